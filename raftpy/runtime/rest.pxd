# How an event loop waits while nodes on it have nothing to do.
cimport cython

from raftpy.runtime.passes cimport Passes, Ticks

@cython.final
cdef class Sleeper:
    # One node that rests.
    cdef int descriptor      # of its socket, which the loop watches for it
    cdef Passes passes
    cdef Ticks ticks
    cdef object context      # in which its passes run, as the loop's own calls do in theirs

@cython.final
cdef class Rest:
    cdef object loop
    cdef dict attributes     # the loop's
    cdef object selector
    cdef object ready        # the loop's calls that are due
    cdef list scheduled      # the loop's timers
    cdef object plain        # the selector's own select
    cdef int descriptor      # the selector's
    cdef list sleepers       # replaced, never changed
    cdef bint inside         # a pass runs in here: whoever selects now is its loop in a loop
    cdef double silent_at    # when the last wait has ended, if nothing had come; before all time: something had
    cdef Py_ssize_t timers   # that the loop had when it went to sleep: as it sleeps, they only become more

    cdef int join(self, Sleeper sleeper) except -1
    cdef double next_due(self) noexcept
    cdef bint is_wanted(self) except -1
    cdef Sleeper find(self, int descriptor)
    cdef int hand_over(self) except -1
    cdef int run_due(self, double now) except -1
    cdef int run(self, Sleeper sleeper, bint due) except -1
    cdef object rest(self, double until)
