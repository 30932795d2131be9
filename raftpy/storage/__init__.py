"""Where a node's term, vote and log live: in LevelDB, or in memory. The contract is
raftpy.contracts.storage.Storage."""

from __future__ import annotations

from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.storage.memory import MemoryDisk, MemoryStore

__all__ = ["LevelDBStorage", "MemoryDisk", "MemoryStore"]
