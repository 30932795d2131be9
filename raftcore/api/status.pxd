# The status of a node at one moment, as Python objects.
from raftcore.algorithm.state cimport Raft

cdef object status_of(Raft r)
