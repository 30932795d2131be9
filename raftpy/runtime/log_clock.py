"""LogClock: the log's time (``time_ms`` of its blocks) as it runs on between two entries.

The leader stamps entries with its clock, so all members read the same time from the log, however their own are set.
"""

from __future__ import annotations

from raftpy.contracts.clock import Clock


class LogClock:
    """Of one group, looked at again and again: ``seen`` before ``seconds``.

    An entry's time is that of its making, so a new one tells what the time is; whatever was before it, where leaders
    with other clocks have followed one another, is forgotten.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = 0
        self._ahead_s = 0.0  # of the clock's own seconds

    def seen(self, time_ms: int) -> None:
        """The log's last entry has this log time."""
        if time_ms != self._last_ms:
            self._last_ms = time_ms
            self._ahead_s = time_ms / 1000 - self._clock.monotonic()

    def seconds(self) -> float:
        """The log's time now: as of the last look that found a new entry, and what has passed since."""
        return self._clock.monotonic() + self._ahead_s
