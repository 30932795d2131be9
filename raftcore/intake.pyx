"""Where messages come in: one at a time, or as the frames of a datagram.

Before the state machine sees a message of another node, everything that no correct peer sends has been refused
(:mod:`raftcore.faults`); one bad frame does not keep the others of its datagram out.
"""

from libc.stdint cimport uint64_t

from raftcore.errors import DecodeError, PeerFault, ProposalDropped, StepLocalMessage, StepPeerNotFound

from raftcore.codec cimport datagram_from, decode_frame
from raftcore.faults cimport check_origin, check_peer, is_local, is_response
from raftcore.message cimport Message
from raftcore.node_invariants cimport CHECK_EACH_STEP, check_raft
from raftcore.raft cimport step
from raftcore.state cimport Raft
from raftcore.types cimport APPEND_THREAD, APPLY_THREAD


cdef int take_message(Raft r, Message m) except -1:
    cdef int type = m.type
    if m.from_ != APPEND_THREAD and m.from_ != APPLY_THREAD:
        if is_local(type):
            raise StepLocalMessage()
        if is_response(type) and m.from_ != r.id and r.tracker.find(m.from_) is None:
            raise StepPeerNotFound()
        if m.from_ != r.id:
            check_peer(r, m)
    step(r, m)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0


cdef Py_ssize_t take_frames(Raft r, const unsigned char* data, Py_ssize_t size, Py_ssize_t offset, uint64_t group,
                            Refused* refused) except -1:
    cdef Py_ssize_t at = offset
    cdef uint64_t frame_group = 0
    cdef int kind = 0
    cdef Py_ssize_t stepped = 0
    cdef Message m = None
    while at < size:
        try:
            m = decode_frame(data, size, &at, &frame_group, &kind, m)
            if m is None or frame_group != group:
                continue
            check_origin(m, datagram_from(data), r.id)
            m.to = r.id
            take_message(r, m)
            stepped += 1
        except (DecodeError, PeerFault, StepLocalMessage):
            refused.faults += 1
        except (StepPeerNotFound, ProposalDropped):
            refused.ignored += 1
    return stepped
