# Linearizable reads that leave no entry in the log (thesis 6.4).
from raftcore.algorithm.state cimport Raft
from raftcore.values.message cimport Message

cdef int leader_read(Raft r, Message m) except -1
cdef int release_postponed(Raft r) except -1
cdef int acknowledge_round(Raft r, Message m) except -1
cdef bytes newest_round(Raft r)
cdef bint committed_in_term(Raft r) noexcept
cdef int follower_read(Raft r, Message m) except -1
cdef int follower_read_response(Raft r, Message m) except -1
