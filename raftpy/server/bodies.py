"""How many bytes of bodies a server holds at a time, over all its connections.

Each body has its place before a byte of it is read, and keeps it until its request is answered. Who finds none waits
in line, unread, so that the client's system is what holds it back; and is refused where that takes too long. Short
bodies have a room of their own: they never wait for long ones, which a slow client may take minutes to send.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from raftpy.server.errors import overloaded

MOST_LONG = 64 << 20
"""Bytes of long bodies, or as many as ``COMMANDS`` of the largest commands have."""
COMMANDS = 4
SHORT = 64 << 10
"""Bytes in the longest short one."""
MOST_SHORT = 16 << 20
"""Bytes of these together."""
WAIT_S = 5.0
"""For how long one waits for its place."""


class Room:
    """Places for ``most()`` bytes, given in the order in which they are asked for. One larger than all of it has it
    alone."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self.held = 0
        """Bytes that are given away."""
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    def _fits(self, size: int) -> bool:
        return not self.held or self.held + size <= self._most()

    async def take(self, size: int, wait_s: float) -> None:
        """Returns with a place for so many bytes, which is to be given back. Raises ``TimeoutError``."""
        if not self._line and self._fits(size):
            self.held += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException:
            if turn.cancelled():
                self._call()  # whoever stands behind it may fit
            else:
                self.give_back(size)  # its turn came just as it gave up
            raise

    def give_back(self, size: int) -> None:
        """So many bytes are held no more."""
        self.held -= size
        self._call()

    def _call(self) -> None:
        """Whose turn it is, as many as fit."""
        while self._line and (self._line[0][1].cancelled() or self._fits(self._line[0][0])):
            size, turn = self._line.popleft()
            if not turn.cancelled():
                self.held += size
                turn.set_result(None)


class Bodies:
    """The two rooms of a server. ``max_command()``: bytes of the largest command now."""

    def __init__(self, max_command: Callable[[], int], *, wait_s: float | None = None) -> None:
        self.long = Room(lambda: max(MOST_LONG, COMMANDS * max_command()))
        self.short = Room(lambda: MOST_SHORT)
        self._wait_s = WAIT_S if wait_s is None else wait_s

    @asynccontextmanager
    async def place(self, length: int | None, limit: int) -> AsyncIterator[None]:
        """A place for one body of ``length`` bytes, as long as the block runs; None: the client says none, and it may
        have ``limit``. Raises ``overloaded``: what the client sends is not read any more."""
        size = limit if length is None else min(length, limit)
        room = self.short if size <= SHORT else self.long
        try:
            await room.take(size, self._wait_s)
        except TimeoutError:
            error = overloaded(f"{room.held} bytes of bodies are under way already, the most allowed; try again")
            error.close = True
            raise error from None
        try:
            yield
        finally:
            room.give_back(size)
