# When a pass of the driver begins.
cimport cython

from raftpy.runtime.group_work cimport GroupWork
from raftpy.runtime.rounds cimport Rounds
from raftpy.runtime.ticks cimport Ticks

@cython.final
cdef class Passes:
    cdef object loop
    cdef object call_soon         # the loop's
    cdef readonly Rounds rounds   # what a pass runs; None until the parts are there
    cdef Ticks ticks              # how many it is told of; None as well
    cdef object fail              # called with the exception that ended the node
    cdef public bint closed       # no pass begins any more
    cdef readonly bint running    # one is under way
    cdef public bint wanted       # another was asked for meanwhile
    cdef bint turn_due            # one is due at the loop's next turn

    cpdef schedule(self)
    cpdef request(self)
    cpdef note(self, GroupWork group)
    cpdef run(self)
    cdef int end(self) except -1
