"""Rare branches that a set of runs must have reached, each by name: a test that never gets there proves nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable

SOMETIMES: dict[str, str] = {}
"""Name to what it means."""


class Watch(logging.Handler):
    """Counts what nodes write into their log, and keeps it off the screen; for ``with``."""

    def __init__(self, reached: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._reached = reached
        self._logger = logging.getLogger("raftpy")
        self._before = (self._logger.level, self._logger.propagate)

    def emit(self, record: logging.LogRecord) -> None:
        """A line was written: its form is what counts."""
        self._reached(f"log: {record.msg}")

    def __enter__(self) -> Watch:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)
        level, propagate = self._before
        self._logger.setLevel(level)
        self._logger.propagate = propagate
