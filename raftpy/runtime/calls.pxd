# The calls of a Node that a program makes for each command and each read.
from raftpy.runtime.proposal cimport Proposals
from raftpy.runtime.reads cimport Reads

cdef class Calls:
    cdef Proposals proposals       # None until the node has been started
    cdef Reads reads               # the same
