"""When a pass begins, how many ticks have passed by then, and what becomes of its failure.

    the transport has something to read (wake), a write has completed, a timer is due      at once
    a proposal or a read has been queued, a pass has left something for the next (schedule)  at the loop's next turn

One pass runs at a time: what asks for another meanwhile gets it at the loop's next turn. And one turn is asked for at a
time: passes that ask for more must not multiply.

Ticks: the clock's time as the core counts it, and the one timer that a node at rest keeps.

A node need not wake up for a tick in which nothing is due. So the timer is set for the tick at which something may be
due, a quiet leader's heartbeat interval ahead at most, or a little more where the host leads nothing. Whenever
something else wakes the node, the ticks that have passed since are counted all at once.

A follower's timer is put off by whoever wakes it in time: it hears a heartbeat as often as its timer would be due, so
at rest it wakes up once in an interval and not twice.

        counted            now       planned
    ------|----|----|----|--x-|--------|-----------> ticks
          passed() = 3

A stall (of this process, or of the whole machine) shows when it is more than a tick later than the timer was due. A
leader gets the time from its next heartbeat to the shortest election timeout to be heard then: of the ticks slept
through no more than that interval counts, the rest is forgotten.
"""
from asyncio import current_task

cimport cython
from libc.math cimport INFINITY, ceil, floor
from libc.stdint cimport UINT32_MAX, int64_t, uint32_t

from raftcore.base.errors import InvariantViolation

from raftpy.contracts.clock import is_systems

from raftpy.system.now cimport READS_CLOCKS, read_clock

from raftpy.runtime.group_work cimport GroupWork

# In ticks: a timer may be called, and a clock may read, so much early.
cdef double EARLY = 1e-3
# Ticks before the timer is due in which whatever wakes the node puts it off: so many that a heartbeat which comes a
# tick early does, and so few that a node at work, which is woken all the time, does it no more often than it slept.
cdef int64_t NEAR = 3
# By how many ticks a follower sleeps longer than its leader does between two heartbeats.
cdef uint32_t GRACE = 2
# Seconds between two looks at what needs no haste.
cdef double LOOK_S = 1.0
# By how many seconds the transport's chores may wait for something else to wake the node.
cdef double PATIENCE_S = 0.1

KEPT = object()


@cython.final
cdef class Ticks:
    """The ticks of one node. ``clock`` as in raftpy.contracts.clock; ``length_s`` of one tick; ``heartbeat`` a quiet
    leader's interval in ticks; ``wake()`` is called when the time planned has come. ``origin``: the reading of the
    clock, in seconds, from which they are counted."""

    def __init__(self, clock, double length_s, uint32_t heartbeat, wake):
        self.call_later = clock.call_later
        self.monotonic = None if READS_CLOCKS and is_systems(clock) else clock.monotonic
        self.length = length_s
        self.grace = heartbeat
        self.wake = wake
        self.origin = self.now()
        self.counted = 0
        self.planned = 0

    cdef double now(self) except? -1:
        # What the clock reads.
        return read_clock(self.monotonic)

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

    cdef bint is_near(self) noexcept:
        # Whether a timer is set, and due soon.
        return self.timer is not None and self.planned - self.counted <= NEAR

    def take(self, double now):
        """How many ticks to tell the core: those since the last call, without those to forget."""
        return self.passed(now)

    cpdef plan(self, uint32_t ticks, double deadline):
        """Sees to it that ``wake`` is called so many ticks from the last one counted, or at ``deadline`` before.

        ``deadline`` is a reading of the clock, infinite for none. A timer that is due earlier stays.
        """
        cdef int64_t due = self.counted + max(<int64_t> ticks, 1)
        if deadline < self.origin + <double> due * self.length:
            due = max(<int64_t> ceil((deadline - self.origin) / self.length), self.counted + 1)
        if self.timer is not None:
            if self.planned <= due:
                return
            self.stop()
        self.planned = due
        self.set()

    cdef int set(self) except -1:
        self.timer = KEPT if self.kept else self.call_later(self.due_at() - self.now(), self._due)
        return 0

    cdef int keep(self, bint kept) except -1:
        # Whether the timer is kept by somebody who rests, from now on.
        cdef bint some = self.timer is not None
        self.stop()
        self.kept = kept
        if some:
            self.set()
        return 0

    cpdef put_off(self, uint32_t ticks, double deadline):
        """As :meth:`plan`, and a timer that is due earlier goes."""
        self.stop()
        self.plan(ticks, deadline)

    def _due(self):
        self.call()

    cdef int call(self) except -1:
        # The timer is due.
        self.timer = None
        self.wake()
        return 0

    cdef int hand_over(self, loop, context) except -1:
        # What is due, and was kept, the loop calls soon.
        self.timer = loop.call_soon(self._due, context=context)
        return 0

    cpdef stop(self):
        """Nobody is woken any more."""
        if self.timer is not None and self.timer is not KEPT:
            self.timer.cancel()
        self.timer = None


@cython.final
cdef class Passes:
    """The passes of one host. Made before its parts are, for the transport may call ``wake`` as soon as it has started;
    until ``bind``, nothing happens.

    ``rounds`` is what a pass runs, None until ``bind``; ``running``: a pass is under way; ``wanted``: another was asked
    for meanwhile; ``nothing_waits`` to be read, as whoever rests has seen just before the timer was due; ``closed``:
    none begins any more; ``led``: this node has led a group since the timer was set.
    """

    def __init__(self, loop):
        self.loop = loop
        self.call_soon = loop.call_soon

    def bind(self, Rounds rounds not None, Ticks ticks not None, fail, late, look, chores=None):
        """What a pass runs, the ticks that it is told of, and who hears of its failure. ``late(seconds, led)`` is told
        of a stall: by how much the timer was late, and whether this node led a group since it was set; ``look()`` is
        called once a second; ``chores()`` as it says itself (``PatientTransport``)."""
        self.rounds = rounds
        self.ticks = ticks
        self.fail = fail
        self.late = late
        self.look = look
        self.look_at = ticks.now() + LOOK_S
        self.chores = chores
        self.chores_at = 0 if chores is not None else INFINITY

    cpdef schedule(self):
        """Asks for a pass at the loop's next turn."""
        if not self.turn_due:
            self.turn_due = True
            self.call_soon(self.turn)

    cpdef request(self):
        """Asks for a pass, unless one is running: that one takes up what has come."""
        if not self.running:
            self.schedule()

    cpdef note(self, GroupWork group):
        """Asks for a pass that looks at this group: the one under way, or the next."""
        if self.rounds is not None:
            self.rounds.note(group)
        self.request()

    @cython.binding(False)
    def turn(self):
        """The loop's next turn has come."""
        self.turn_due = False
        self.run()

    @cython.binding(False)
    def wake(self):
        """Something waits to be read, or a write has completed: called by transport and storage, in the loop."""
        if current_task(self.loop) is None:
            self.run()
        else:
            self.schedule()  # a pass resumes tasks, which one that runs itself cannot do

    cpdef run(self):
        """A pass, unless one is running; what comes out of it ends the node."""
        cdef double now = 0
        cdef uint32_t passed = 0
        if self.running or self.closed or self.rounds is None:
            self.wanted = True
            return
        self.running = True
        self.wanted = False
        try:
            now = self.ticks.now()
            passed = self.ticks.passed(now)
            self.rounds.nothing_waits = self.nothing_waits
            self.rounds.run(now, passed)
        except (KeyboardInterrupt, SystemExit) as error:
            if self.rounds.resuming:  # of a task that was resumed: not the node's, and it has lost nothing
                self.wanted = True
            else:  # the pass was cut off somewhere: what it had in hand may be lost
                self.fail(error)
            raise
        except InvariantViolation as error:
            self.fail(error)
            raise
        except Exception as error:
            self.fail(error)
        finally:
            self.running = False
            try:
                self.end(passed, now)
            except BaseException as error:  # perhaps no timer is set, or no turn asked for: it would wait for ever
                self.fail(error)
                if not isinstance(error, Exception):
                    raise

    cdef int end(self, uint32_t passed, double now) except -1:
        # Is another one due?
        if self.closed:
            return 0
        if passed and now >= self.chores_at:
            self.chores_at = self.chores()
        if passed and self.ticks.is_near() and not self.rounds.is_leading():
            # It has done what the timer would have had done soon. Nobody asks for a pass who leads.
            self.look_back()
            if self.closed:
                return 0
            self.plan_for(False, True)
        if self.rounds.deadline < self.ticks.due_at():  # somebody's timeout ends then
            self.ticks.plan(UINT32_MAX, self.rounds.deadline)
        if self.wanted or self.rounds.has_left():
            self.schedule()
        return self.rounds.rest(self.turn_due)

    # --- The timer ----------------------------------------------------------------------------------------------

    @cython.binding(False)
    def timer_due(self):
        """The pass for which the timer was set, and the next timer."""
        try:
            self.run()
            self.look_back()
        finally:
            if not self.closed:
                try:
                    self.plan()
                except BaseException as error:  # no timer is set: it would never wake up by itself again
                    self.fail(error)
                    if not isinstance(error, Exception):
                        raise

    cdef int look_back(self) except -1:
        cdef double now
        cdef double late = self.ticks.late
        if late:
            self.ticks.late = 0
            self.late(late, self.led)
        now = self.ticks.now()
        if now >= self.look_at and not self.closed:
            self.look_at = now + LOOK_S
            self.look()
        return 0

    cpdef int plan(self) except -1:
        """Sleeps until something may be due, but for a quiet leader's interval at most, so that a stall is told from
        sleep; where this host leads nothing, for a little longer, in which the leader's next heartbeat comes."""
        return self.plan_for(self.rounds.is_leading(), False)

    cdef int plan_for(self, bint led, bint anew) except -1:
        cdef uint32_t ticks = self.ticks.grace + (0 if led else GRACE)
        cdef double deadline = min(self.rounds.due_within(&ticks), self.chores_at + PATIENCE_S)
        self.led = led
        if anew:
            self.ticks.put_off(ticks, deadline)
        else:
            self.ticks.plan(ticks, deadline)
        return 0
