"""One timer for whatever of a transport is due first."""

from __future__ import annotations

from collections.abc import Callable

from raftpy.contracts.clock import Clock, TimerHandle

MICROSECONDS = 1_000_000
"""In a second."""


class Due:
    """Calls ``callback()`` when something is due, by ``clock``; then ``set`` says what is due next."""

    def __init__(self, clock: Clock, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback = callback
        self._timer: TimerHandle | None = None
        self._at_us = 0

    def now_us(self) -> int:
        """Microseconds, by the clock."""
        return int(self._clock.monotonic() * MICROSECONDS)

    def set(self, at_us: int | None, now_us: int) -> None:
        """What is due first is so at ``at_us``; None: nothing is. A timer that is set already and comes too early
        stays: what it calls sets the next one."""
        if at_us is None:
            self.stop()
        elif self._timer is None or at_us < self._at_us:
            self.stop()
            self._at_us = at_us
            self._timer = self._clock.call_later(max(0, at_us - now_us) / MICROSECONDS, self._on_timer)

    def stop(self) -> None:
        """Nothing is due any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self._callback()
