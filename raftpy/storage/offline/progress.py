"""How far the reading of a data directory is, for whoever waits for it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told how far the reading is."""

    def expect(self, size: int) -> None:
        """So many bytes more are to be read."""
        ...

    def read(self, size: int) -> None:
        """So many bytes more were read."""
        ...


class Untold:
    """A ``Progress`` that nobody looks at."""

    def expect(self, size: int) -> None:
        """See ``Progress``."""

    def read(self, size: int) -> None:
        """See ``Progress``."""
