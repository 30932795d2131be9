"""A world on virtual time: what is due when, and which process has something to do.

Everything that happens is a call that was due: a timer of a process, a datagram that arrives, a write that has
completed, a client that asks, a fault. Calls that are due at the same time happen in the order in which they were asked
for. After each of them, the processes that have something to do do it, in the order in which they got it; after each
of their steps ``look`` is called, which is where everything is checked. Then time jumps to what is due next.
"""

from collections import deque
from heapq import heappop, heappush
from random import Random

cimport cython
from libc.stdint cimport uint64_t

from raftpy.sim.trace cimport Trace

# Steps of all processes without time going on: more is a program that goes round in a circle.
MOST_STEPS_AT_ONCE = 20_000


class Stuck(AssertionError):
    """Processes have gone round and round at one moment of virtual time."""


@cython.final
@cython.freelist(1024)
cdef class Due:
    """A call that is due at ``time``, virtual seconds; as ``TimerHandle`` of the contract of clocks."""

    def cancel(self):
        """It is not made."""
        self.call = None
        self.arguments = None


cdef class Runnable:
    """Something that has steps to do at the present moment: a process."""

    cdef bint step(self) except -1:
        # Does what was to do when it was called; True: more has come meanwhile.
        raise NotImplementedError


@cython.final
cdef class World:
    """Virtual time, from 0 seconds on.

    ``seed`` decides everything that a ``source`` is asked for; ``now`` is the time, in seconds; ``trace`` takes the
    events; ``look(process)`` is called after each step of a process.
    """

    def __init__(self, seed, Trace trace=None):
        self.seed = seed
        self.now = 0.0
        self.trace = Trace() if trace is None else trace
        self.look = None
        self.due = []
        self.number = 0
        self.ready = deque()

    def source(self, str of):
        """Dice of their own for each concern: what one is asked for does not change what another gives."""
        return Random(f"{self.seed}/{of}")  # text is hashed the same whatever PYTHONHASHSEED says

    def at(self, double time, call, *arguments):
        """Has ``call(*arguments)`` made at ``time``, virtual seconds; at once if that has passed."""
        return self.plan(time, call, arguments)

    def after(self, double delay_s, call, *arguments):
        """Has the call made in ``delay_s`` seconds."""
        return self.plan(self.now + delay_s, call, arguments)

    cdef Due plan(self, double time, call, tuple arguments):
        cdef Due due = Due.__new__(Due)
        due.time = time if time > self.now else self.now
        due.call = call
        due.arguments = arguments
        self.number += 1
        heappush(self.due, (due.time, self.number, due))
        return due

    cdef int wake(self, Runnable process) except -1:
        # The process has something to do; called once until it has said that nothing is left.
        self.ready.append(process)
        return 0

    def event(self, uint64_t node, str kind, *detail):
        """Notes that something happened now."""
        self.trace.note(self.now, node, kind, detail)

    def run(self, double until, done=None):
        """Lets time go on until ``until``, virtual seconds, or until ``done()`` holds, which is asked after each call.

        True: ``done`` holds. Raises what a call raises, and ``Stuck``.
        """
        cdef list due = self.due
        cdef tuple entry
        cdef Due next_due
        cdef double time
        self.settle()
        while due:
            entry = <tuple> due[0]
            time = <double> entry[0]
            if time > until:
                break
            heappop(due)
            next_due = <Due> entry[2]
            call = next_due.call
            if call is None:
                continue
            arguments = next_due.arguments
            self.now = time
            next_due.call = None
            next_due.arguments = None
            call(*arguments)
            self.settle()
            if done is not None and done():
                return True
        self.now = max(self.now, until)
        return done is not None and bool(done())

    cdef int settle(self) except -1:
        # Until no process has anything to do at this moment.
        cdef Runnable process
        cdef int steps = 0
        while self.ready:
            process = <Runnable> self.ready.popleft()
            if process.step():
                self.ready.append(process)
            if self.look is not None:
                self.look(process)
            steps += 1
            if steps > MOST_STEPS_AT_ONCE:
                raise Stuck(f"after {self.now} s: {MOST_STEPS_AT_ONCE:,} steps of processes, and time does not go on")
        return 0

    @property
    def pending(self):
        """What is due and not cancelled, in no particular order."""
        return [entry[2] for entry in self.due if (<Due> entry[2]).call is not None]
