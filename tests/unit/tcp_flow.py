"""A TCP stream in virtual time, over the bottleneck of a path that carries fragments.

Its window is CUBIC's (RFC 9438) or Reno's (RFC 5681). It always has something to send. The receiver names each segment
that has come (RFC 2018), and the path reorders none, so three that came later show a loss (RFC 6675); what is lost is
sent again, which is no different here from sending anything else.
"""

from __future__ import annotations

from functools import partial
from itertools import takewhile

from tests.unit.fragment_path import Path

SEGMENT, ACK = 1500, 52
"""Bytes on the wire."""
DUPLICATES = 3
LEAST_TIMEOUT_US = 200_000
BETA = 0.7
C = 0.4
RENO_BETA = 0.5


class TcpFlow:
    """One stream over ``path``, whose steps carry it too; it begins at once. Its window is in segments.

    ``delivered``: bytes on the wire that have arrived."""

    def __init__(self, path: Path, *, cubic: bool = True) -> None:
        self.delivered = self.losses = self.timeouts = 0
        self.window = 10.0
        self._path, self._beta = path, BETA if cubic else RENO_BETA
        self._threshold = float("inf")
        self._sent: dict[int, int] = {}
        """When each segment left that is on its way, by its number, in their order."""
        self._next = self._recovered = 0
        """What was sent before the latest answer to a loss asks for no other."""
        self._smoothed = self._variation = 0.0
        self._due, self._armed = 0, False
        self._epoch: int | None = None
        self._most = self._estimate = 0.0
        self._cubic = cubic
        self._fill()

    def _fill(self) -> None:
        while len(self._sent) < int(self.window):
            number, now = self._next, self._path.now
            self._next += 1
            self._sent[number] = now
            self._path.carry(SEGMENT, partial(self._come, number, now), True)
        self._set_timer()

    def _come(self, number: int, left: int) -> None:
        self.delivered += SEGMENT
        self._path.carry(ACK, lambda: self._acknowledged(number, left), False)

    def _acknowledged(self, number: int, left: int) -> None:
        self._sample(self._path.now - left)
        if self._sent.pop(number, None) is not None and number >= self._recovered:
            self._grow()
        lost = list(takewhile(lambda each: each <= number - DUPLICATES, self._sent))
        for each in lost:
            del self._sent[each]
        self.losses += len(lost)
        if lost and lost[-1] >= self._recovered:
            self._shrink()
        self._fill()

    # --- The window ---------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        if self.window < self._threshold:
            self.window += 1
        elif not self._cubic:
            self.window += 1 / self.window
        else:
            self._grow_cubic()

    def _grow_cubic(self) -> None:
        """RFC 9438, 4.2 to 4.5"""
        if self._epoch is None:
            self._epoch, self._estimate = self._path.now, self.window
            self._most = max(self._most, self.window)
            self._inflection = ((self._most - self.window) / C) ** (1 / 3)
        elapsed = (self._path.now - self._epoch) / 1_000_000
        alpha = 1.0 if self._estimate >= self._most else 3 * (1 - BETA) / (1 + BETA)
        self._estimate += alpha / self.window
        wanted = C * (elapsed + self._smoothed / 1_000_000 - self._inflection) ** 3 + self._most
        target = min(max(wanted, self.window), 1.5 * self.window)
        if C * (elapsed - self._inflection) ** 3 + self._most < self._estimate:
            self.window = max(self.window, self._estimate)
        else:
            self.window += (target - self.window) / self.window

    def _shrink(self) -> None:
        """RFC 9438, 4.6 and 4.7; RFC 5681, 3.2"""
        self._recovered = self._next
        converges = self.window < self._most
        self._most = self.window * (1 + BETA) / 2 if converges else self.window
        self._threshold = self.window = max(2.0, self.window * self._beta)
        self._epoch = None

    # --- Silence ------------------------------------------------------------------------------------------------

    def _sample(self, took_us: int) -> None:
        """RFC 6298, 2"""
        if not self._smoothed:
            self._smoothed, self._variation = took_us, took_us / 2
        else:
            self._variation += (abs(self._smoothed - took_us) - self._variation) / 4
            self._smoothed += (took_us - self._smoothed) / 8

    def _set_timer(self) -> None:
        wait = max(LEAST_TIMEOUT_US, int(self._smoothed + 4 * self._variation)) if self._smoothed else 1_000_000
        self._due = self._path.now + wait
        if not self._armed:
            self._armed = True
            self._path.after(wait, self._look_at_timer)

    def _look_at_timer(self) -> None:
        self._armed = False
        if (left := self._due - self._path.now) > 0:
            self._armed = True
            self._path.after(left, self._look_at_timer)
            return
        self.timeouts += 1
        self._sent.clear()
        self._shrink()
        self.window = 1.0
        self._fill()
