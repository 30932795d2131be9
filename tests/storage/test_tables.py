"""LevelDB never makes a table of what a store writes, and the newest head is found wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from raftpy.contracts.database import Database
from raftpy.contracts.errors import StorageDamaged
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.head import Head
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.startup import Reader
from raftpy.system.leveldb import LevelDB
from tests.storage.layout import log_files, open_records, records, write_raw
from tests.storage.support import (
    OWNER,
    SMALLEST_BUFFER,
    Disk,
    abandon,
    append,
    commit_only,
    entries,
    joined,
    next_is_made,
    payload,
    submit,
)


def test_each_entry_is_written_once(tmp_path: Path) -> None:
    """Over a dozen segments, terms and votes written between, three starts: none is ever turned into a table."""
    last = 0
    for term in (1, 2, 3):
        store = LevelDBStorage(tmp_path / "node1", segment_size=SMALLEST_BUFFER)
        store.open(OWNER)
        for _ in range(40):
            submit(store, [append(entries(last + 1, 1000, term), term=term, vote=1, commit=last)])
            last += 1000
            next_is_made(store)
        store.close()
        assert not list(records(tmp_path / "node1").rglob("*.ldb"))
        files = log_files(tmp_path / "node1")
        assert len(files) > 4 * term
        size = sum(file.stat().st_size for file in files)
        assert size < 1.1 * len(payloads(last)) + 2000 * len(files)


@pytest.mark.parametrize("clean", [True, False], ids=["closed", "killed"])
def test_the_newest_of_two_heads_counts(tmp_path: Path, clean: bool) -> None:
    """One stands behind the last entries, the other under a key of its own; either may be the newer."""
    disk = Disk("leveldb", tmp_path / "node1")
    for turn, (hard_state, newest) in enumerate(
        [
            (append(entries(1, 3, 1), term=1, vote=1, commit=2), (1, 1, 2)),
            (append(term=2, vote=3, commit=3), (2, 3, 3)),
            (append(entries(4, 2, 2), term=4, vote=0, commit=3), (4, 0, 3)),
            (append(entries(5, 1, 5), term=5, vote=2, commit=4), (5, 2, 4)),
            (append(term=6, vote=6, commit=4), (6, 6, 4)),
        ]
    ):
        store, recovered = disk.open()
        submit(store, [hard_state])
        if clean:
            submit(store, [commit_only(*newest)])
            store.close()
        else:
            abandon(store)
        store, recovered = disk.open()
        found = recovered.groups[0]
        assert (found.hard_state.term, found.hard_state.vote, found.hard_state.commit) == newest
        assert found.last_index == (3, 3, 5, 5, 5)[turn]
        abandon(store)


def test_heads_written_one_after_the_other(tmp_path: Path) -> None:
    """In one life of the store, each in a batch of its own, in both orders."""
    disk = Disk("leveldb", tmp_path / "node1")
    store, _ = disk.open()
    submit(store, [append(term=2, vote=3)])
    submit(store, [append(entries(1, 1, 3), term=3, vote=1)])
    abandon(store)
    store, recovered = disk.open()
    assert (recovered.groups[0].hard_state.term, recovered.groups[0].hard_state.vote) == (3, 1)
    submit(store, [append(entries(2, 1, 3), term=3, vote=1)])
    submit(store, [append(term=4, vote=2)])
    abandon(store)
    _, recovered = disk.open()
    assert (recovered.groups[0].hard_state.term, recovered.groups[0].hard_state.vote) == (4, 2)


def payloads(last: int) -> bytes:
    """What the entries up to ``last`` have in their blocks beside the headers."""
    return b"".join(payload(index, 3) + bytes(4) for index in range(1, last + 1))


END_3 = Head(boot=1, term=2, commit=3, last_index=3, last_term=1, number=1).pack()


class EndsEarly:
    """A database whose iterators stop after ``count`` records."""

    def __init__(self, database: Database, count: int) -> None:
        self._database, self._count = database, count
        self.get = database.get

    def iterator(self, **options: Any) -> Iterator[tuple[bytes, bytes]]:
        return islice(self._database.iterator(**options), self._count)


def test_an_iterator_that_ends_early(tmp_path: Path) -> None:
    """LevelDB's iterators pass over a block that cannot be read, and say so to nobody. The first of three
    records looks like the end of a batch."""
    disk = Disk("leveldb", tmp_path / "node1")
    store, _ = disk.open()
    submit(store, [append(joined(entries(1, 3, 1), entries(4, 1, 1), entries(5, 2, 2, 9)), term=2, commit=5)])
    store.close()
    write_raw(disk.path, (keys.entry_key(0, 1), seal(keys.entry_key(0, 1), entries(1, 3, 1).data, END_3)))
    with open_records(disk.path) as row:
        reader = Reader(LevelDB(), EndsEarly(row, 1), disk.path)
        check_end(reader)


def check_end(reader: Reader) -> None:
    head = reader.head(0)
    head.number = 0
    log = reader.log(0, head)
    assert (log.index.last, log.head.last_index) == (3, 3)
    with pytest.raises(StorageDamaged, match=r"record of entry 4 .*iterator ended before it, at 3"):
        reader.check_end(0, log)
