# Where messages come in, one at a time or as the frames of a datagram, and commands and reads. RawNode's methods call
# this; drivers in C do so without them, with the fields of the RawNode.
from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport index_t
from raftcore.values.message cimport Message

# What became of the frames that were not stepped.
cdef struct Refused:
    uint64_t faults    # undecodable, or what no correct peer sends
    uint64_t ignored   # did not concern this node: unknown senders, dropped proposals

# One message, from another node or from local storage work, through the gates and into the state machine.
cdef int receive_message(Raft r, Message m) except -1
# The frames for `group` in a datagram (bytes-like) whose header has been checked, from `offset` on; how many were
# stepped. ValueError when it is shorter than that.
cdef Py_ssize_t receive_datagram(Raft r, object buffer, Py_ssize_t offset, uint64_t group, Refused* refused) except -1
# The same for C: the frames in data[offset:size].
cdef Py_ssize_t receive_frames(Raft r, const unsigned char* data, Py_ssize_t size, Py_ssize_t offset, uint64_t group,
                               Refused* refused) except -1
# The frame at data + at[0], whatever its group; at[0] moves behind it. 1 when it was a message and stepped; one that is
# refused is counted, like those of receive_datagram, and raises nothing.
cdef int receive_frame(Raft r, const unsigned char* data, Py_ssize_t size, Py_ssize_t* at, Refused* refused) except -1
# RawNode.propose and RawNode.read_index.
cdef index_t receive_commands(Raft r, object commands, uint64_t now_ms) except? 0
cdef bint receive_read(Raft r, bytes context, uint64_t now_ms) except -1

# The caller's time; what lies before the newest one given is ignored.
cdef inline void set_now(Raft r, uint64_t now_ms) noexcept:
    if now_ms > r.now_ms:
        r.now_ms = now_ms
