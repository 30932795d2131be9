"""Stalls: the event loop did not get round to the node's timer for so long that a leader's heartbeats were late.

The usual reasons are code of the program itself that runs in the loop (``time.sleep``, a long computation, a state
machine whose ``apply`` takes long) and a machine with too little processor time. Without the
warning a leader just loses its leadership, and nothing says why. A follower warns as well: it owes no heartbeat, but it
may wrongly take its leader for silent. A stall shows by how late the node's own timer is called (passes.pyx), so
looking for one costs nothing.
"""

from __future__ import annotations

import logging

from raftpy.config import Config
from raftpy.contracts.clock import Clock

PERIOD_S = 10.0
"""Between two warnings; stalls in between are counted, and the longest is named in the next."""

log = logging.getLogger("raftpy")


class Stalls:
    """The warnings of one node."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._id = config.id
        # A heartbeat that comes so late ends a silence in which somebody may have stood for election already.
        self._shortest_s = (config.election_ms[0] - config.quiet_heartbeat_ticks * config.tick_ms) / 1000
        self._election_ms = config.election_ms[0]
        self._clock = clock
        self._next_s = clock.monotonic()  # when the next warning may be given
        self._untold = 0
        self._longest_s = 0.0

    def note(self, late_s: float, led: bool) -> None:
        """The timer came ``late_s`` seconds after it was due; had the node ``led`` since it was set?

        Warns where that may have cost a leadership.
        """
        if late_s < self._shortest_s:
            return
        now = self._clock.monotonic()
        if now < self._next_s:
            self._untold += 1
            self._longest_s = max(self._longest_s, late_s)
            return
        self._next_s = now + PERIOD_S
        before = f" ({self._untold} more since the last warning, up to {_ms(self._longest_s)})" if self._untold else ""
        self._untold, self._longest_s = 0, 0.0
        owed = f", heartbeat late (a leader is replaced after {self._election_ms} ms without one)" if led else ""
        log.warning(
            "node %d: the loop was blocked for %s or more%s%s: something in the program kept the event loop, or the "
            "process got no processor time; long work belongs in a thread, or the node in one (BlockingNode)",
            self._id, _ms(late_s), owed, before,
        )  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
