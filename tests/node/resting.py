"""What rests in the place of a node, for tests of what a rest may do to its loop.

Passes do nothing here, so that what has come stays there: with ``flooded`` the socket can be read all the time, which
is the worst that a node can do to its loop.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from raftpy.contracts.clock import SystemClock
from raftpy.runtime.passes import Passes, Ticks
from raftpy.runtime.rest import rest

TICK_S = 0.01
NEVER = 1000.0
FAR_S = 30.0
"""When the next timer is due of those who must not have to wait for it."""
SOON_S = 5.0
"""What is done at once is done in less, on any machine."""

both = pytest.mark.parametrize("flooded", [False, True])


class Sleeper:
    """What rests in the place of a node. Its timer calls ``act``, and is set again for ``again`` ticks later."""

    def __init__(self, act: Callable[[], object] = lambda: None, *, flooded: bool = False, again: int = 0) -> None:
        self.loop = asyncio.get_running_loop()
        self.act, self.again = act, again
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.setblocking(False)
        self.called_by: list[str] = []
        """Who has called ``act``: the loop's ``_run_once``, which waits, or a handle's ``_run``."""
        self.passes = Passes(self.loop)
        self.ticks = Ticks(SystemClock(), TICK_S, 5, self._on_timer)
        self.loop.add_reader(self.near, self.passes.wake)
        if flooded:
            self.far.send(b"x")
        self.rest = rest(self.loop, SystemClock(), self, self.passes, self.ticks)  # type: ignore[arg-type]

    def fileno(self) -> int:
        return self.near.fileno()

    def due_in(self, ticks: int) -> None:
        self.ticks.take(time.monotonic())
        self.ticks.put_off(ticks, NEVER + time.monotonic())

    def _on_timer(self) -> None:
        self.called_by.append(sys._getframe(1).f_code.co_name)
        if self.again:
            self.due_in(self.again)
        self.act()

    def leave(self) -> None:
        if self.rest is not None:
            self.rest.leave(self.passes)
            self.rest = None
        self.ticks.stop()

    def __enter__(self) -> Sleeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        self.loop.remove_reader(self.near)
        self.near.close()
        self.far.close()


@contextmanager
def a_thread(act: Callable[[], object]) -> Iterator[None]:
    """While this runs, a thread waits until the loop has gone to rest, and acts."""

    def run() -> None:
        time.sleep(0.1)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def play_resting(scenario: Callable[[], Any]) -> None:
    """Runs a scenario on a loop that has nothing to do for long, and sees that it takes much less."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        far = loop.call_later(FAR_S, loop.stop)
        began = time.monotonic()
        await scenario()
        assert time.monotonic() - began < SOON_S
        far.cancel()

    asyncio.run(main())
