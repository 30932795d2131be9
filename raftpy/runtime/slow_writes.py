"""Writes that take long: the core is told how long, so that elections allow for it, and the log warns of them.

A write takes from when it is handed to the store until it is reported durable, the wait for earlier writes included.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from raftpy.contracts.storage import AppendBatch

log = logging.getLogger("raftpy")

APART_S = 5.0
"""Seconds between two lines of a kind at least; the later one says how many writes it speaks for."""

TOOK, UNDER_WAY = "took", "is under way for"


class SlowWrites:
    """What :class:`Rounds` asks about each write of a tick or more.

    Args:
        node_id: for the log.
        tick_s: seconds of a tick, the core's unit.
        slow_s: a write that takes longer is worth a line: the heartbeat interval.
        report: every core's ``report_write``.
        monotonic: the clock.
    """

    def __init__(
        self,
        node_id: int,
        tick_s: float,
        slow_s: float,
        report: Callable[[int], object],
        monotonic: Callable[[], float],
    ) -> None:
        self._id = node_id
        self._tick_s = tick_s
        self._slow_s = slow_s
        self._report = report
        self._monotonic = monotonic
        self._counted = 0  # ticks, as the core counts them
        self._next_line = {TOOK: -math.inf, UNDER_WAY: -math.inf}
        self._slow = 0  # since the last line
        self._longest_s = 0.0

    def took(self, batch: AppendBatch, seconds: float) -> bool:
        """A write of these groups' appends is done. False: writes of less than a tick need not be told until the next
        that takes longer."""
        ticks = int(seconds / self._tick_s)
        # The disk was waited for where one of them had to be synced, be it for these or for others.
        if any(append.must_sync for _, appends in batch for append in appends):
            self._counted = max(ticks, self._counted // 2)
            self._report(ticks)
        if seconds > self._slow_s:
            self._slow += 1
            self._longest_s = max(self._longest_s, seconds)
            self._say(TOOK, seconds)
        return self._counted > 0

    def waiting(self, seconds: float) -> None:
        """The oldest write under way has waited so long by now."""
        if seconds > max(1.0, self._slow_s):
            self._say(UNDER_WAY, seconds)

    def _say(self, verb: str, seconds: float) -> None:
        now = self._monotonic()
        if now < self._next_line[verb]:
            return
        self._next_line[verb] = now + APART_S
        others = ""
        if verb == TOOK and self._slow > 1:
            longest = f"{self._longest_s * 1000:,.0f} ms"
            others = f" (the longest of {self._slow} slow ones since the last such line: {longest})"
        log.warning(
            "node %d: a write to the store %s %s ms%s; commits and elections wait for it, and above %s ms, the "
            "heartbeat interval, it is slow",
            self._id, verb, f"{seconds * 1000:,.0f}", others, f"{self._slow_s * 1000:,.0f}",
        )  # fmt: skip
        if verb == TOOK:
            self._slow, self._longest_s = 0, 0.0
