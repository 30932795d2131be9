# Witness members: they vote and hold the log's terms, but no payloads.
from raftcore.message cimport Entries, Snapshot
from raftcore.state cimport Raft
from raftcore.types cimport node_id_t

cdef bint is_witness(Raft r, node_id_t id) except -1
cdef Entries without_payloads(Entries entries)
cdef Snapshot without_state(Snapshot snapshot)
