"""The open connections of one server: how many there may be, and which goes first when there is no room.

    accepted --> idle <--(the answer is written, or not taken)-- busy
                  |  \\--(a whole head has come, or is taken)------^
                  v
               closed for a newer one, the longest idle first

Whoever has not sent a whole head (request line and headers) is idle, however many bytes of it came, and however often.
So is whoever does not read what it has asked for: from when the buffers are full until they are nearly empty again,
which makes it the one that became idle last. So neither clients that say nothing or say it slowly nor clients that do
not listen can keep others away, nobody is cut off unless a place is needed, and the process never comes to its limit
of open files, where the store could not go on either.

When all are busy, a few more are let in so that somebody can still ask how the node is; on these anything but
``/healthz`` and ``/v1/status`` is answered 503.
"""

from __future__ import annotations

import logging
import os
import resource
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("raftpy.server")

MOST = 10_000
"""However high the limit of open files is."""
FEWEST = 8
CROWD = 8
"""Connections beyond the most, for questions about the node's health."""
SPARE = 16
"""Open files for what comes and goes: a file that is replaced, a name that is looked up, a socket just accepted."""
STORE_PART = 5
"""LevelDB keeps at most this part of the limit open itself, one of five (its PosixEnv)."""


class Connection(Protocol):
    """What is known of a connection here."""

    crowded: bool
    """Whether it was let in beyond the most."""

    def abort(self) -> None:
        """Closes it at once."""


def most_connections() -> int:
    """How many connections this process may have open, by its limit of open files and those that are open now."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST
    room = limit - _open_files() - limit // STORE_PART - SPARE - CROWD
    if room < FEWEST:
        log.warning(
            "a limit of %d open files leaves room for %d HTTP connections, and the store may come to need it, too: "
            "raise it with: ulimit -n 1024",
            limit,
            max(room, 0),
        )
    return max(FEWEST, min(MOST, room))


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))


class Connections:
    """The connections of one server, of which at most ``most`` are open, ``CROWD`` more when all are busy.

    1. Each is counted from ``opened`` to ``closed``, and while it is idle it is listed, in the order of becoming so.
    2. One that was told to close is counted until it is closed, which is in the loop's next turn.
    3. At most ``most`` are busy for longer than an answer takes that needs nobody else: beyond them nothing else is
       answered but 503, and the connection closed.
    """

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.count = 0
        self._idle: dict[Connection, None] = {}
        self._idle_within = 0  # of them those that were not beyond the most
        self._once_per_second = OncePerSecond(now)

    @property
    def has_room(self) -> bool:
        """Whether one more may be opened for which nobody has to go."""
        return self.count < self.most

    def admit(self) -> bool:
        """Whether one more may be opened now. False: one is about to close, ask again in the loop's next turn."""
        if self.has_room or (not self._idle_within and self.count < self.most + CROWD):
            return True
        self.close_one()
        return False

    @property
    def crowded(self) -> bool:
        """Whether the one opened last is beyond the most."""
        return self.count > self.most

    def opened(self) -> None:
        """One more is open."""
        self.count += 1

    def closed(self, connection: Connection | None = None) -> None:
        """One fewer is open; None: it never came to be a connection."""
        self.count -= 1
        if connection is not None:
            self.busy(connection)

    def idle(self, connection: Connection) -> None:
        """It waits for a request, or for its client to take an answer, from now on."""
        self.busy(connection)
        self._idle[connection] = None
        self._idle_within += not connection.crowded

    def busy(self, connection: Connection) -> None:
        """A request has come on it, its answer is taken again, or nothing more will happen."""
        if connection in self._idle:
            del self._idle[connection]
            self._idle_within -= not connection.crowded

    def close_one(self) -> None:
        """Closes the one that is idle for longest, if any is."""
        longest = next(iter(self._idle), None)
        if longest is None:
            return
        self.busy(longest)
        longest.abort()
        self._once_per_second.warn(
            "%d idle HTTP connections were closed for newer ones: at most %d may be open, by the limit of open files "
            "(ulimit -n)",
            self.most,
        )


class OncePerSecond:
    """A warning that may be due thousands of times a second: logged at most once a second, with how often it was."""

    PERIOD_S = 1.0

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: dict[str, float] = {}
        self._times: dict[str, int] = {}

    def warn(self, text: str, *arguments: object) -> None:
        """``text`` begins with %d, for the times since it was logged before."""
        times = self._times[text] = self._times.get(text, 0) + 1
        now = self._now()
        if now - self._last.get(text, float("-inf")) >= self.PERIOD_S:
            self._last[text], self._times[text] = now, 0
            log.warning(text, times, *arguments)
