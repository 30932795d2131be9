"""The operating system's random source: ``raftpy.contracts.entropy`` for real."""

from __future__ import annotations

import os


class SystemEntropy:
    """``Entropy`` of the operating system, which no two processes share."""

    bytes = staticmethod(os.urandom)

    def u64(self) -> int:
        return int.from_bytes(os.urandom(8), "little")
