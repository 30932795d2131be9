# What no correct peer sends.
from raftcore.message cimport Message
from raftcore.state cimport Raft

cdef int check_peer(Raft r, Message m) except -1
cdef bint is_local(int type) noexcept
cdef bint is_response(int type) noexcept
