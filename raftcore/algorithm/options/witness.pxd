# Witness members: they vote and hold the log's terms, but no payloads.
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport node_id_t
from raftcore.values.message cimport Entries

cdef bint is_witness(Raft r, node_id_t id) except -1
cdef Entries without_payloads(Entries entries)
