# When a pass of the driver begins, and how many ticks have passed by then.
cimport cython
from libc.stdint cimport int64_t, uint32_t

from raftpy.runtime.group_work cimport GroupWork
from raftpy.runtime.rounds cimport Rounds

cdef object KEPT                 # in the place of a timer: it is kept by somebody who rests (rest.pyx)

cdef class Ticks:
    cdef public double origin    # reading of the clock from which ticks are counted, seconds
    cdef double length           # of one tick, seconds
    cdef int64_t counted         # ticks since the origin that passed() has given out, or forgotten
    cdef int64_t planned         # the tick at which the timer is due
    cdef double late             # seconds by which the timer came late in a stall that nobody has asked for yet
    cdef uint32_t grace          # ticks that still count after a stall: a quiet leader's interval
    cdef object call_later       # the clock's
    cdef object monotonic        # the clock's, or None: the system's is read without it
    cdef object wake             # called when the timer is due
    cdef object timer            # the timer set, or KEPT, or None
    cdef bint kept               # timers are not the clock's: whoever rests calls _due at due_at()

    cdef double now(self) except? -1
    cdef uint32_t passed(self, double now) noexcept
    cdef double due_at(self) noexcept
    cdef bint is_near(self) noexcept
    cdef int keep(self, bint kept) except -1
    cdef int set(self) except -1
    cpdef plan(self, uint32_t ticks, double deadline)
    cpdef put_off(self, uint32_t ticks, double deadline)
    cpdef stop(self)
    cdef int call(self) except -1
    cdef int hand_over(self, loop, context) except -1

@cython.final
cdef class Passes:
    cdef object loop
    cdef object call_soon         # the loop's
    cdef readonly Rounds rounds   # what a pass runs; None until the parts are there
    cdef Ticks ticks              # how many it is told of; None as well
    cdef object fail              # called with the exception that ended the node
    cdef object late              # called with the seconds by which the timer was late in a stall, and `led`
    cdef object look              # called once a second, for what needs no haste
    cdef double look_at           # when it is next, by the clock
    cdef object chores            # the transport's, or None
    cdef double chores_at         # when they are next, by the clock
    cdef public bint led          # since the timer was last set: a stall may have cost a leadership before it is seen
    cdef public bint closed       # no pass begins any more
    cdef readonly bint nothing_waits  # to be read, as whoever rests has just seen: ticks need not look first
    cdef readonly bint running    # one is under way
    cdef public bint wanted       # another was asked for meanwhile
    cdef bint turn_due            # one is due at the loop's next turn

    cpdef schedule(self)
    cpdef request(self)
    cpdef note(self, GroupWork group)
    cpdef run(self)
    cdef int end(self, uint32_t passed, double now) except -1
    cdef int look_back(self) except -1
    cpdef int plan(self) except -1
    cdef int plan_for(self, bint led, bint anew) except -1
