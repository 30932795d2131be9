# Election priority: which member should lead, as far as it can.
from raftcore.algorithm.state cimport Raft

cdef int extra_timeout(Raft r) except -1
cdef int prefer(Raft r) except -1
