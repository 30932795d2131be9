"""An asyncio event loop on virtual time: when nothing is left to do now, the clock jumps to the next timer.

An hour of timeouts passes in the time its callbacks take, and two runs that do the same see the same order of events.
There are no sockets and no threads here: nodes on it use MemoryTransport and MemoryStore.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from raftpy.contracts.clock import TimerHandle

_T = TypeVar("_T")


class Deadlock(RuntimeError):
    """Every task waits, and no timer will ever wake one."""


class _JumpingSelector:
    """Stands where the loop would sleep for files: moves the loop's clock instead."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("every task waits and no timer is set: nothing can ever happen again")
        if timeout > 0:
            self.now += timeout
        return []

    def close(self) -> None:
        pass


class VirtualLoop(asyncio.BaseEventLoop):
    """Time begins at 0 seconds. ``run_in_executor`` and sockets do not work here."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _JumpingSelector()

    def time(self) -> float:
        """Virtual seconds."""
        return self._selector.now

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass  # only other threads need to wake a loop that sleeps


class VirtualClock:
    """The ``Clock`` of nodes on a :class:`VirtualLoop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wall_start_ms: int = 1_700_000_000_000) -> None:
        self._loop = loop
        self._wall_start_ms = wall_start_ms
        self.monotonic = loop.time

    def wall_ms(self) -> int:
        """Runs exactly beside ``monotonic``."""
        return self._wall_start_ms + int(self._loop.time() * 1000)

    def call_later(self, delay_s: float, callback: Any) -> TimerHandle:
        """See ``Clock.call_later``."""
        return self._loop.call_soon(callback) if delay_s <= 0 else self._loop.call_later(delay_s, callback)


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """As ``asyncio.run``, on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
