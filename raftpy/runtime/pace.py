"""How fast a follower that is far behind is given what it lacks, where nobody waits for it.

Its node writes, syncs and applies what it catches up with, on a machine and a disk that others may share, and as fast
as it can: commits wait behind that. So it is given a piece at a time, which is an append, and the next only when that
one is paid for:

    rate      so many bytes a second, evenly, whatever the log does
    growth    and in any case two entries for each by which the log has grown meanwhile

By the second the follower gains on the log, however fast that grows: what it lacks becomes less by as many entries as
were added. Who is to be given entries like this is the core's to say (``PagedStorageView``).
"""

from __future__ import annotations

GAIN = 2
"""Entries for each by which the log grows."""
SAVED_BYTES = 64 << 10
"""What may be given at once, before one more piece, to make up for timers that came late. Larger steps hold up who
waits for the same processor or the same disk."""
LONGEST_S = 0.05
"""Until it is asked again, however much is left to wait: the follower may be one by then that somebody waits for."""
SHORTEST_S = 0.001
"""Until it is asked again: what is left of a wait may be less than the clock can tell."""


class Pace:
    """Of one follower, or of some close to one another: ``rate`` bytes a second from ``now_s`` on, when the log ends
    before index ``end``."""

    __slots__ = ("_at_s", "_credit", "_end", "_goal", "_rate")

    def __init__(self, rate: int, now_s: float, end: int) -> None:
        self._rate = rate
        self._credit = 0.0  # bytes; below 0: what was given and is not paid for
        self._at_s = now_s  # up to where it is counted
        self._end = end
        self._goal = 0  # what lies before it is given at once

    def wait_s(self, now_s: float, index: int, end: int) -> float:
        """In how many seconds to ask again for the entries from ``index`` on, which may be too early still; 0: they may
        be given now."""
        self._credit = min(self._credit + self._rate * (now_s - self._at_s), SAVED_BYTES)
        self._at_s = now_s
        if end > self._end:
            self._goal = max(self._goal, index) + GAIN * (end - self._end)
            self._end = end
        if self._credit >= 0 or index < self._goal:
            return 0.0
        return min(max(-self._credit / self._rate, SHORTEST_S), LONGEST_S)

    def gave(self, size: int) -> None:
        """So many bytes were given. What the growth of the log has called for is not to be made up for later."""
        self._credit = max(self._credit, 0.0) - size
