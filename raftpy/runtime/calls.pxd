# The calls of a Node that a program makes for each command and each read.
from cpython.pystate cimport PyThreadState

from raftpy.runtime.passes cimport Passes
from raftpy.runtime.pending_proposals cimport Proposals
from raftpy.runtime.reads cimport Reads

cdef class Calls:
    cdef Proposals proposals       # None until the node has been started
    cdef Reads reads               # the same
    cdef Passes passes             # the same
    cdef object owner              # the same; an Owner
    cdef PyThreadState* thread     # the node's

    cdef inline int check(self) except -1
