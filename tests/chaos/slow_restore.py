"""``raftpy`` whose key-value store says when it is in the middle of a restore, and stays there.

``python -m tests.chaos.slow_restore serve ...``
"""

from __future__ import annotations

import sys
import time

from raftpy.cli.run import run
from raftpy.contracts.state_machine import SavedState
from raftpy.replicated.kv import KeyValueStore

MIDDLE = "in the middle of the restore"
PAUSE_S = 20.0
"""Seconds that it stays there, in a thread; much longer than a test lets it live."""


class Pausing:
    """The state as saved, which stops coming behind its first half."""

    def __init__(self, saved: SavedState) -> None:
        self._saved = saved
        self._read = 0
        self.version = saved.version
        self.size = saved.size

    def read(self, size: int) -> bytes:
        """As ``SavedState.read``."""
        if self._read <= self.size // 2 < self._read + size:
            print(MIDDLE, flush=True)
            time.sleep(PAUSE_S)
        self._read += size
        return self._saved.read(size)


if __name__ == "__main__":
    whole = KeyValueStore.restore
    KeyValueStore.restore = lambda self, saved: whole(self, Pausing(saved))  # type: ignore[method-assign]
    sys.exit(run(sys.argv[1:]))
