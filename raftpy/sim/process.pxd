# A simulated process.
cimport cython
from libc.stdint cimport uint64_t

from raftpy.sim.world cimport Due, Runnable, World

@cython.final
cdef class Call:
    cdef object call              # None: it is not to be made
    cdef tuple arguments
    cdef object context

@cython.final
cdef class LoopTimer(Due):
    cdef Process process
    cdef double own_time          # seconds of the process's clock
    cdef Call call

@cython.final
cdef class Process(Runnable):
    cdef readonly World world
    cdef readonly uint64_t node
    cdef readonly bint alive
    cdef readonly bint running
    cdef readonly bint paused
    cdef public object jump_ms
    cdef readonly list complaints
    cdef readonly Py_ssize_t timers
    cdef public double spent
    cdef public object disk       # None: nothing takes time
    cdef public Py_ssize_t calls_left  # 0: there is no last one
    cdef public object at_the_last
    cdef readonly object loop
    cdef object sight             # what the checks have found out about it; None before they have looked
    cdef double rate
    cdef object calls             # deque of Call
    cdef bint awake               # the world knows that there is something to do
    cdef Due busy                 # None, or when the step that took time is over

    cdef LoopTimer timer(self, double own_time, Call call)
    cdef int take(self, Call call) except -1
    cdef int soon(self, callback) except -1
    cpdef count_time(self)
    cdef int wake_up(self) except -1
