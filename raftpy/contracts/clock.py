"""What the runtime asks of a clock; the system's clock, and one that stands still until it is told to move."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class TimerHandle(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """The call is not made; has no effect once it has been made."""
        ...


class Clock(Protocol):
    """The only source of time in raftpy: real, or virtual in tests and the simulator."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; may jump, so nothing waits by it."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """Calls ``callback()`` in the loop's thread after ``delay_s`` seconds; calls with equal due time keep order.

        0 or less: as soon as the code now running has returned to the loop, never inside this call.
        """
        ...


class Lingering(Protocol):
    """How a pass waits, where it stands, for an answer that may come any moment (raftpy/runtime/linger.pyx)."""

    def wait(self) -> bool:
        """Waits a moment, or not at all. True: something waits to be read, and ``found`` is called next."""
        ...

    def found(self, something: bool) -> None:
        """Whether it was for this node."""
        ...


class LingeringClock(Clock, Protocol):
    """A ``Clock`` that knows better than the runtime how to wait inside a pass.

    Optional: a clock is one of these when it has the method. With any other clock a node waits on the selector of its
    event loop, for a millisecond of real time at most, where the loop is one of asyncio's own.
    """

    def lingering(self) -> Lingering:
        """Called once by each node that starts."""
        ...


class SystemClock:
    """Real time, with timers on an asyncio loop: the one given, or the one running at the first ``call_later``."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop

    def is_of(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether what ``call_later`` is given by code that runs on ``loop`` is called there."""
        return self._loop is None or self._loop is loop

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """See ``Clock.call_later``."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop.call_soon(callback) if delay_s <= 0 else loop.call_later(delay_s, callback)


def is_systems(clock: Clock) -> bool:
    """Whether this clock reads what the system's do, so that whoever cannot spare a call of it may read those."""
    return type(clock) is SystemClock


class ManualTimer:
    """A timer of a :class:`ManualClock`."""

    __slots__ = ("callback", "due_s")

    def __init__(self, due_s: float, callback: Callable[[], object]) -> None:
        self.due_s = due_s
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """The call is not made."""
        self.callback = None


class ManualClock:
    """Virtual time: moves only in ``advance``, and then calls what falls due, in order of due time and of asking.

    Two runs that ask for the same timers see the same calls in the same order.
    """

    def __init__(self, start_s: float = 0.0, wall_start_ms: int = 1_700_000_000_000) -> None:
        self._now_s = start_s
        self._wall_offset_ms = wall_start_ms - int(start_s * 1000)
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """Seconds; the sum of all ``advance`` calls and the start."""
        return self._now_s

    def wall_ms(self) -> int:
        """Runs exactly beside ``monotonic``."""
        return self._wall_offset_ms + int(self._now_s * 1000)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """See ``Clock.call_later``; called from within ``advance`` or ``run_due``."""
        timer = ManualTimer(self._now_s + max(delay_s, 0.0), callback)
        heapq.heappush(self._timers, (timer.due_s, next(self._order), timer))
        return timer

    def next_due(self) -> float | None:
        """When the next timer is due, in seconds of ``monotonic``; None when there is none."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def run_due(self) -> int:
        """Calls what is due now, and what these calls ask for at once; returns the number of calls."""
        calls = 0
        while (due := self.next_due()) is not None and due <= self._now_s:
            callback = heapq.heappop(self._timers)[2].callback
            assert callback is not None  # next_due has thrown the cancelled ones away
            callback()
            calls += 1
        return calls

    def advance(self, seconds: float) -> int:
        """Moves on by ``seconds``, stopping at each timer on the way; returns the number of calls made. ValueError for
        less than 0."""
        if seconds < 0:
            raise ValueError(f"time cannot be moved by {seconds} s: allowed is 0 or more")
        end = self._now_s + seconds
        calls = self.run_due()
        while (due := self.next_due()) is not None and due <= end:
            self._now_s = max(self._now_s, due)
            calls += self.run_due()
        self._now_s = end
        return calls
