# A world on virtual time.
cimport cython
from libc.stdint cimport uint64_t

from raftpy.sim.trace cimport Trace

cdef class Due:
    cdef readonly double time
    cdef uint64_t number          # of those that are due at one time, the lowest is made first
    cdef bint open                # False: it was made, or is not to be made

    cdef int happen(self) except -1

@cython.final
cdef class PlannedCall(Due):
    cdef object call
    cdef tuple arguments

cdef class Runnable:
    cdef bint step(self) except -1

@cython.final
cdef class World:
    cdef readonly object seed
    cdef readonly double now
    cdef readonly Trace trace
    cdef public object look
    cdef list due                 # a heap of Due, by time and number
    cdef uint64_t number
    cdef object ready             # deque of Runnable
    cdef object outer             # the loop in which the world itself runs, mostly None
    cdef object loop              # the loop that passes for the running one instead; None: `outer` does

    cdef Due plan(self, double time, call, tuple arguments)
    cdef int put(self, double time, Due due) except -1
    cdef Due take_next(self)
    cdef int wake(self, Runnable process) except -1
    cdef int enter(self, loop) except -1
    cdef int leave(self) except -1
    cdef int settle(self) except -1
