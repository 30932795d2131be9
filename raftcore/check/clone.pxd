# Copies and fingerprints of a node's whole state, for exploring every schedule of a small cluster.
from raftcore.algorithm.state cimport Raft

cdef Raft clone_raft(Raft r, object storage)
cdef bytes fingerprint_raft(Raft r, bint suspicion)
