"""Ticks: the clock's time as the core counts it, and the one timer that a node at rest keeps.

A node need not wake up for a tick in which nothing is due. So the timer is set for the tick at which something may be
due, a heartbeat interval ahead at most. Whenever something else wakes the node, the ticks that have passed since are
counted all at once.

        counted            now       planned
    ------|----|----|----|--x-|--------|-----------> ticks
          passed() = 3

A stall (of this process, or of the whole machine) shows when it is more than a tick later than the timer was due. A
leader gets the time from its next heartbeat to the shortest election timeout to be heard then: of the ticks slept
through no more than one heartbeat interval counts, the rest is forgotten.
"""
cimport cython
from libc.math cimport ceil, floor
from libc.stdint cimport int64_t, uint32_t

# In ticks: a timer may be called, and a clock may read, so much early.
cdef double EARLY = 1e-3


@cython.final
cdef class Ticks:
    """The ticks of one node. ``clock`` as in raftpy.contracts.clock; ``length_s`` of one tick; ``heartbeat`` interval
    in ticks; ``wake()`` is called when the time planned has come. ``origin``: the reading of the clock, in seconds,
    from which they are counted."""

    def __init__(self, clock, double length_s, uint32_t heartbeat, wake):
        self.call_later = clock.call_later
        self.monotonic = clock.monotonic
        self.length = length_s
        self.grace = heartbeat
        self.wake = wake
        self.origin = self.monotonic()
        self.counted = 0
        self.planned = 0

    cdef uint32_t passed(self, double now) noexcept:
        # Ticks since the last call, without those to forget.
        cdef int64_t tick = <int64_t> floor((now - self.origin) / self.length + EARLY)
        cdef int64_t since = tick - self.counted
        if since <= 0:
            return 0
        if since > max(self.planned - self.counted, 1) + 1:
            self.late = max(self.late, now - self.due_at())
            since = min(since, <int64_t> self.grace)
        self.counted = tick
        return <uint32_t> since

    cdef double due_at(self) noexcept:
        # When the timer is due, or was last.
        return self.origin + <double> self.planned * self.length

    def take(self, double now):
        """How many ticks to tell the core: those since the last call, without those to forget."""
        return self.passed(now)

    def take_late(self):
        """By how many seconds the timer was late in a stall since the last call, 0 without one."""
        cdef double late = self.late
        self.late = 0
        return late

    def plan(self, uint32_t ticks, double deadline):
        """Sees to it that ``wake`` is called so many ticks from the last one counted, or at ``deadline`` before.

        ``deadline`` is a reading of the clock, infinite for none. A timer that is due earlier stays.
        """
        cdef int64_t due = self.counted + max(<int64_t> ticks, 1)
        cdef double at
        if deadline < self.origin + <double> due * self.length:
            due = max(<int64_t> ceil((deadline - self.origin) / self.length), self.counted + 1)
        if self.timer is not None:
            if self.planned <= due:
                return
            self.timer.cancel()
        self.planned = due
        at = self.origin + <double> due * self.length
        self.timer = self.call_later(at - self.monotonic(), self._due)

    def _due(self):
        self.timer = None
        self.wake()

    def stop(self):
        """Nobody is woken any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
