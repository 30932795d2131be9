"""On real LevelDB and the system's files: the directory shrinks behind a compaction, with that batch and no other."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from raftpy.storage import LevelDBStorage
from tests.storage.support import OWNER, append, entries, submit

SIZE = 200_000
"""Bytes of a segment."""


def taken(folder: Path) -> int:
    """Bytes of all files, with what is set aside in them; a thread may be deleting some."""
    sizes = []
    for directory, _, names in os.walk(folder):
        for name in filter(lambda name: name.endswith(".log"), names):
            with suppress(FileNotFoundError):
                sizes.append((Path(directory) / name).stat().st_size)
    return sum(sizes)


def test_it_does_with_the_batch_behind_a_compaction(tmp_path: Path) -> None:
    store = LevelDBStorage(tmp_path / "node1", mode="inline", segment_size=SIZE)
    store.open(OWNER)
    for first in range(1, 100_000, 500):
        submit(store, [append(entries(first, 500, 1), term=1, commit=first)])
    full = taken(tmp_path)
    assert full > 8 * SIZE
    store.group(0).compact(99_990)
    store.submit([(0, ())])
    # What is needed lies in the newest segment, or in the one before it; the next one is there already.
    while taken(tmp_path) > 4 * SIZE:
        time.sleep(0.01)
        assert not store.damage()
    store.close()
