"""LogClock: the log's time (``time_ms`` of its blocks) as it runs on between two entries.

The leader stamps entries with its clock, so all members read the same time from the log, however their own are set.
"""

from __future__ import annotations

import math

from raftpy.contracts.clock import Clock


class LogClock:
    """Of one group. An entry's time is that of its making, so of all that were seen the latest is nearest to now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = -math.inf  # of the clock's own seconds

    def seen(self, time_ms: int) -> None:
        """An entry with this log time is applied."""
        self._ahead_s = max(self._ahead_s, time_ms / 1000 - self._clock.monotonic())

    def seconds(self) -> float | None:
        """The log's time now, within the time that an entry takes to be applied here; None: none was seen yet."""
        return None if self._ahead_s == -math.inf else self._clock.monotonic() + self._ahead_s
