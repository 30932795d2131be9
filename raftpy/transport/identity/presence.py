"""Whether a peer is up or down, by what is heard of it, by its address refusing datagrams, and by its silence.

    down --(an incarnation of it is heard, or it is heard again and has refused nothing for a look)--> up
    up   --(its address refuses a datagram, or it has been silent for SILENT_LOOKS looks)--> down

A *look* at the counters is taken once a second, as often as a running peer sends a hello. So nothing has to be done for
each datagram, and the log has at most one line (at level INFO) for each look.
"""

from __future__ import annotations

from raftpy.transport.exchange.counters import PeerCounters

SILENT_LOOKS = 5
"""Hellos in a row that do not come: on a network that loses one datagram in ten, once in a day by chance alone."""


class Presence:
    """Of one peer, by its counters. ``up`` is what the log said last; ``reachable`` also knows what came in since."""

    def __init__(self, counters: PeerCounters) -> None:
        self._counters = counters
        self.up = False
        self._down_when = -1  # counters.received when it was found down; equal: silent ever since
        self._silent = 0  # looks in a row since anything was received
        self._received = 0  # as of the last look
        self._refused = 0  # counters.send_refused as of the last look

    @property
    def reachable(self) -> bool:
        """It was not found down, or has been heard since."""
        return self._down_when != self._counters.received

    def begun(self) -> bool:
        """An incarnation of it has been heard that is new. False: it was up before, too."""
        was_up, self.up = self.up, True
        self._silent = 0
        return not was_up

    def refused(self) -> bool:
        """Its address has refused a datagram. True: it was up until now."""
        return self._found_down()

    def look(self) -> bool | None:
        """Once a second: True when it is up again, False when it has been silent for too long, None for no news."""
        counters = self._counters
        heard, self._received = counters.received != self._received, counters.received
        refused, self._refused = counters.send_refused != self._refused, counters.send_refused
        if heard:
            self._silent = 0
            if self.up or refused:
                return None
            self.up = True
            return True
        self._silent += 1
        return False if self._silent == SILENT_LOOKS and self._found_down() else None

    def _found_down(self) -> bool:
        self._down_when = self._counters.received
        was_up, self.up = self.up, False
        return was_up
