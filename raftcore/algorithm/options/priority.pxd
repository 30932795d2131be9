# Election priority: which member should lead, as far as it can.
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport node_id_t

cdef int extra_timeout(Raft r) except -1
cdef int prefer(Raft r) except -1
cdef int begun_anew(Raft r, node_id_t id) except -1
