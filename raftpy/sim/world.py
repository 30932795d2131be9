"""A world on virtual time: what is due when, and which process has something to do.

Everything that happens is a call that was due: a timer of a process, a datagram that arrives, a write that has
completed, a client that asks, a fault. Calls that are due at the same time happen in the order in which they were asked
for. After each of them, the processes that have something to do do it, in the order in which they got it; after each
of their steps ``look`` is called, which is where everything is checked. Then time jumps to what is due next.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from raftpy.sim.trace import Trace

MOST_STEPS_AT_ONCE = 20_000
"""Of all processes, without time going on: more is a program that goes round in a circle."""


class Stuck(AssertionError):
    """Processes have gone round and round at one moment of virtual time."""


class Due:
    """A call that is due; as ``TimerHandle`` of the contract of clocks."""

    __slots__ = ("arguments", "call", "time")

    def __init__(self, time: float, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.time = time
        self.call: Callable[..., object] | None = call
        self.arguments = arguments

    def cancel(self) -> None:
        """It is not made."""
        self.call = None
        self.arguments = ()


class Runnable(Protocol):
    """Something that has steps to do at the present moment: a process."""

    def step(self) -> bool:
        """Does what was to do when it was called; True: more has come meanwhile."""
        ...


class World:
    """Virtual time, from 0 seconds on. ``seed`` decides everything that ``source`` is asked for."""

    def __init__(self, seed: int, trace: Trace | None = None) -> None:
        self.seed = seed
        self.now = 0.0
        self.trace = trace or Trace()
        self.look: Callable[[Runnable], object] = _nothing
        self._due: list[tuple[float, int, Due]] = []
        self._number = 0
        self._ready: deque[Runnable] = deque()

    def source(self, of: str) -> Random:
        """Dice of their own for each concern: what one is asked for does not change what another gives."""
        return Random(f"{self.seed}/{of}")  # text is hashed the same whatever PYTHONHASHSEED says

    def at(self, time: float, call: Callable[..., object], *arguments: Any) -> Due:
        """Has ``call(*arguments)`` made at ``time``, virtual seconds; at once if that has passed."""
        due = Due(max(time, self.now), call, arguments)
        self._number += 1
        heapq.heappush(self._due, (due.time, self._number, due))
        return due

    def after(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> Due:
        """Has the call made in ``delay_s`` seconds."""
        return self.at(self.now + delay_s, call, *arguments)

    def wake(self, process: Runnable) -> None:
        """The process has something to do; called once until it has said that nothing is left."""
        self._ready.append(process)

    def event(self, node: int, kind: str, *detail: int | float | str | bytes) -> None:
        """Notes that something happened now."""
        self.trace.add(self.now, node, kind, *detail)

    def run(self, until: float, done: Callable[[], bool] | None = None) -> bool:
        """Lets time go on until ``until``, virtual seconds, or until ``done()`` holds, which is asked after each call.

        True: ``done`` holds. Raises what a call raises, and ``Stuck``.
        """
        due = self._due
        self._settle()
        while due and due[0][0] <= until:
            time, _, next_due = heapq.heappop(due)
            call = next_due.call
            if call is None:
                continue
            self.now = time
            next_due.call = None
            call(*next_due.arguments)
            self._settle()
            if done is not None and done():
                return True
        self.now = max(self.now, until)
        return done is not None and done()

    def _settle(self) -> None:
        """Until no process has anything to do at this moment."""
        ready = self._ready
        steps = 0
        while ready:
            process = ready.popleft()
            if process.step():
                ready.append(process)
            self.look(process)
            steps += 1
            if steps > MOST_STEPS_AT_ONCE:
                raise Stuck(f"after {self.now} s: {MOST_STEPS_AT_ONCE:,} steps of processes, and time does not go on")

    @property
    def pending(self) -> list[Due]:
        """What is due and not cancelled, in no particular order."""
        return [entry[2] for entry in self._due if entry[2].call is not None]


def _nothing(stepped: Runnable) -> None:
    """Looks at nothing."""
