# A world on virtual time.
cimport cython
from libc.stdint cimport uint64_t

from raftpy.sim.trace cimport Trace

@cython.final
cdef class Due:
    cdef readonly double time
    cdef object call              # None: it was made, or is not to be made
    cdef tuple arguments

cdef class Runnable:
    cdef bint step(self) except -1

@cython.final
cdef class World:
    cdef readonly object seed
    cdef readonly double now
    cdef readonly Trace trace
    cdef public object look
    cdef list due                 # a heap of (time, number, Due)
    cdef uint64_t number
    cdef object ready             # deque of Runnable

    cdef Due plan(self, double time, call, tuple arguments)
    cdef int wake(self, Runnable process) except -1
    cdef int settle(self) except -1
