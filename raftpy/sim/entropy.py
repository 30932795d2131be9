"""Draws that come again: ``raftpy.contracts.entropy`` from a seed."""

from __future__ import annotations

from random import Random


class SeededEntropy:
    """``Entropy`` drawn from ``source``; who draws the same in the same order draws it again in another run."""

    def __init__(self, source: Random) -> None:
        self._source = source

    def bytes(self, count: int) -> bytes:
        return self._source.randbytes(count)

    def u64(self) -> int:
        return self._source.getrandbits(64)
