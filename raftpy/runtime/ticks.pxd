# The clock's time as ticks of the core.
from libc.stdint cimport int64_t, uint32_t

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
