"""A byte string read as a program: whatever the bytes are, they mean something, and an end of bytes is all zeros."""

from __future__ import annotations

from tests.fuzz.mutate import EDGES


class Reader:
    """Takes bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Is anything left?"""
        return self._at < len(self._data)

    def byte(self) -> int:
        """The next byte; 0 behind the end."""
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def take(self, count: int) -> bytes:
        """Up to ``count`` bytes."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def number(self, near: int) -> int:
        """An unsigned number of 64 bits: one near ``near`` (most first bytes say so), one on an edge, or any."""
        choice = self.byte()
        if choice < 0x60:
            return choice & 15
        if choice < 0xA0:
            return max(0, near + (choice & 15) - 8)
        if choice < 0xF0:
            return min(EDGES[(choice - 0xA0) % len(EDGES)], 2**64 - 1)
        return int.from_bytes(self.take(8), "little")
