"""Where messages come in, one at a time or as the frames of a datagram, and commands and reads.

Before the state machine sees a message of another node, everything that no correct peer sends has been refused
(:mod:`raftcore.algorithm.peer_checks`); one bad frame does not keep the others of its datagram out.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from raftcore.base.errors import (
    DecodeError, LogTemporarilyUnavailable, PeerFault, ProposalDropped, StepLocalMessage, StepPeerNotFound,
)

from raftcore.algorithm.peer_checks cimport check_origin, check_peer
from raftcore.algorithm.proposals cimport forward_payloads, propose_payloads
from raftcore.algorithm.state cimport Raft
from raftcore.algorithm.step cimport step, step_from
from raftcore.base.types cimport (
    APPEND_THREAD, APPLY_THREAD, LOCAL_TYPES, RESPONSES, EntryNormal, MsgApp, MsgReadIndex, MsgSnap, StateFollower,
    StateLeader, index_t, is_one_of,
)
from raftcore.check.invariants cimport CHECK_EACH_STEP, check_raft
from raftcore.membership.tracker cimport borrowed_progress
from raftcore.values.message cimport Message, entries_follow_index, new_message, recycle
from raftcore.wire.frame cimport decode_frame, end_of_frame
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE, datagram_from


cdef int receive_message(Raft r, Message m) except -1:
    if m.type == MsgApp and not entries_follow_index(m):
        raise PeerFault(f"append from {m.from_} after index {m.index} begins with index {m.entries.first}")
    if m.from_ != APPEND_THREAD and m.from_ != APPLY_THREAD:
        if is_one_of(m.type, LOCAL_TYPES):
            raise StepLocalMessage()
        return receive_remote(r, m)
    step(r, m)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0


cdef inline int receive_remote(Raft r, Message m) except -1:
    """A message of a type that other nodes may send, and that is not from a storage thread."""
    cdef PyObject* sender = NULL
    if m.from_ != r.id:
        if is_one_of(m.type, RESPONSES):
            sender = borrowed_progress(r.tracker, m.from_)
            if sender == NULL:
                raise StepPeerNotFound()
        check_peer(r, m)
    step_from(r, m, sender)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0


cdef Py_ssize_t receive_datagram(Raft r, object buffer, Py_ssize_t offset, uint64_t group, Refused* refused) except -1:
    cdef Py_buffer view
    if type(buffer) is bytes and DATAGRAM_HEADER_SIZE <= offset <= PyBytes_GET_SIZE(buffer):
        return receive_frames(r, <const unsigned char*> PyBytes_AS_STRING(buffer), PyBytes_GET_SIZE(buffer), offset,
                              group, refused)
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        if offset < DATAGRAM_HEADER_SIZE or view.len < offset:
            raise ValueError(f"a datagram has at least {<int> DATAGRAM_HEADER_SIZE} bytes, not {view.len}")
        return receive_frames(r, <const unsigned char*> view.buf, view.len, offset, group, refused)
    finally:
        PyBuffer_Release(&view)


cdef Py_ssize_t receive_frames(Raft r, const unsigned char* data, Py_ssize_t size, Py_ssize_t offset, uint64_t group,
                               Refused* refused) except -1:
    cdef Py_ssize_t at = offset
    cdef Py_ssize_t stepped = 0
    cdef int taken
    while at < size:
        # A try block takes as long as half a frame. So the call is declared noexcept, its result shows an exception,
        # and refuse() handles it. This is the only call: the C compiler puts the function in its place.
        taken = (<Stepping> step_frame_of)(r, data, size, &at, group)
        if taken < 0:
            refuse(refused)
        else:
            stepped += taken
    return stepped


ctypedef int (*Stepping)(Raft, const unsigned char*, Py_ssize_t, Py_ssize_t*, uint64_t) noexcept


cdef int receive_frame(Raft r, const unsigned char* data, Py_ssize_t size, Py_ssize_t* at, Refused* refused) except -1:
    cdef uint64_t group = 0
    cdef Py_ssize_t start = at[0]
    at[0] = end_of_frame(data, size, start, &group)
    return <int> receive_frames(r, data, at[0], start, group, refused)


cdef int step_frame_of(Raft r, const unsigned char* data, Py_ssize_t size, Py_ssize_t* at, uint64_t group) except -1:
    """Steps the message in the frame at `at`, which moves behind it; 0 when there is none for this group."""
    cdef uint64_t frame_group = 0
    cdef int kind = 0
    cdef Message m = decode_frame(data, size, at, &frame_group, &kind)
    if m is None or frame_group != group:
        return 0
    check_origin(m, datagram_from(data), r.id)
    m.to = r.id
    if m.type == MsgSnap and r.offers is not None:
        check_peer(r, m)
        r.offers.append(m)
        return 1
    receive_remote(r, m)
    recycle(m)
    return 1


cdef int raised() except -1:
    return -1  # the exception is set already: this makes it one that a try block sees


cdef int refuse(Refused* refused) except -1:
    """Counts the exception that step_frame_of has raised; raises any other than those of a frame."""
    try:
        raised()
    except (DecodeError, PeerFault, StepLocalMessage):
        refused.faults += 1
    except (StepPeerNotFound, ProposalDropped, LogTemporarilyUnavailable):
        refused.ignored += 1
    return 0


cdef index_t receive_commands(Raft r, object commands, uint64_t now_ms) except? 0:
    set_now(r, now_ms)
    if not isinstance(commands, (list, tuple)):
        commands = list(commands)
    if not commands:
        raise ValueError("commands must hold at least one command, not none")
    if r.state == StateLeader:
        return propose_payloads(r, commands, EntryNormal)
    forward_payloads(r, commands, EntryNormal)
    return 0


cdef bint receive_read(Raft r, bytes context, uint64_t now_ms) except -1:
    set_now(r, now_ms)
    if r.state != StateLeader and (r.lead == 0 or r.state != StateFollower):
        return False
    m = new_message(MsgReadIndex, r.id)
    m.from_ = r.id
    m.context = context
    step(r, m)
    return True
