# When a pass of the driver begins, and how many ticks have passed by then.
cimport cython
from libc.stdint cimport int64_t, uint32_t

from raftpy.runtime.group_work cimport GroupWork
from raftpy.runtime.rounds cimport Rounds

cdef class Ticks:
    cdef public double origin    # reading of the clock from which ticks are counted, seconds
    cdef double length           # of one tick, seconds
    cdef int64_t counted         # ticks since the origin that passed() has given out, or forgotten
    cdef int64_t planned         # the tick at which the timer is due
    cdef double late             # seconds by which the timer came late in a stall that nobody has asked for yet
    cdef uint32_t grace          # ticks that still count after a stall: a heartbeat interval
    cdef object call_later       # the clock's
    cdef object monotonic        # the clock's
    cdef object wake             # called when the timer is due
    cdef object timer            # the timer set, or None

    cdef uint32_t passed(self, double now) noexcept
    cdef double due_at(self) noexcept
    cdef bint is_near(self) noexcept

@cython.final
cdef class Passes:
    cdef object loop
    cdef object call_soon         # the loop's
    cdef readonly Rounds rounds   # what a pass runs; None until the parts are there
    cdef Ticks ticks              # how many it is told of; None as well
    cdef object near              # called when a pass comes shortly before the timer
    cdef object fail              # called with the exception that ended the node
    cdef public bint closed       # no pass begins any more
    cdef readonly bint running    # one is under way
    cdef public bint wanted       # another was asked for meanwhile
    cdef bint turn_due            # one is due at the loop's next turn

    cpdef schedule(self)
    cpdef request(self)
    cpdef note(self, GroupWork group)
    cpdef run(self)
    cdef int end(self, uint32_t passed) except -1
