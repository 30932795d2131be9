"""A rare branch of the store that nobody sees from outside: a truncation that cuts through a record."""

from __future__ import annotations

from collections.abc import Callable

from raftpy.contracts.storage import AppendBatch
from raftpy.storage.leveldb.store import LevelDBStorage


def watch_cuts(storage: LevelDBStorage, cut: Callable[[], object]) -> None:
    """``cut`` is called when one is about to be written. To be called before the store is opened."""
    write = storage._writer._write

    def watched(batch: AppendBatch) -> bool:
        for group, appends in batch:
            log = storage._groups.get(group)
            index = None if log is None else log._index
            for append in appends:
                if index is None or append.entries is None or not index.prev < append.entries.first <= index.last:
                    continue
                if index.cut(append.entries.first)[1] is not None:
                    cut()
        return write(batch)

    storage._writer._write = watched
