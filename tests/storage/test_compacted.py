"""A compacted log's records on disk: which of them are needed, and that those are missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.row import SegmentRow
from tests.storage.layout import open_records, rewrite
from tests.storage.support import Disk, abandon, append, entries, joined, submit


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Records of [1 2 3] term 1, [4] term 1, [5 6] term 2 with log time 9."""
    disk = Disk("leveldb", tmp_path / "node1")
    store, _ = disk.open()
    submit(store, [append(joined(entries(1, 3, 1), entries(4, 1, 1), entries(5, 2, 2, 9)), term=2, commit=5)])
    store.close()
    return disk


@pytest.mark.parametrize(
    ("first", "body", "what"),
    [
        (1, None, "it holds entries 4 to 4 in term 1, and the log is compacted up to 3 in term 1"),
        (1, entries(1, 2, 1).data, "it holds entries 4 to 4 in term 1, and the log is compacted up to 3 in term 1"),
        (1, entries(1, 3, 2).data, "it holds entries 1 to 3 in term 2"),
        (1, entries(2, 2, 1).data, "it holds entries from 2 on"),
        (1, entries(1, 4, 1).data, "it holds entries from 4 on where 5 follows"),
        (4, None, "it holds entries from 5 on where 4 follows"),
    ],
)
def test_where_a_compacted_log_begins(disk: Disk, first: int, body: bytes | None, what: str) -> None:
    store, _ = disk.open()
    store.group(0).compact(3)
    submit(store, [])
    store.close()
    rewrite(disk.path, (keys.entry_key(0, first), body))
    with pytest.raises(StorageDamaged, match=what) as caught:
        disk.open()
    assert "record of entry" in caught.value.where


def test_a_log_that_is_compacted_to_its_end(disk: Disk) -> None:
    """The record of its last entry is still needed, and missed."""
    store, _ = disk.open()
    store.group(0).compact(6)
    submit(store, [])
    store.close()
    rewrite(disk.path, (keys.entry_key(0, 5), None))
    with pytest.raises(StorageDamaged, match="no record holds it") as caught:
        disk.open()
    assert "record of entry 6" in caught.value.where


@pytest.mark.parametrize("last", [6, 9])
def test_a_crash_after_a_compaction_that_came_with_entries(disk: Disk, last: int) -> None:
    """A start finds where the log begins before it reads the log."""
    store, _ = disk.open()
    store.group(0).compact(4)
    submit(store, [append(entries(6, last - 5, 3, 9), term=3, commit=last)])
    abandon(store)
    state = disk.open()[1].groups[0]
    assert (state.snapshot_index, state.snapshot_term, state.last_index) == (4, 1, last)
    assert state.term_runs == ((5, 2), (6, 3))


def firsts(row: SegmentRow) -> list[int]:
    """Of the records of group 0."""
    start, stop = keys.entry_range(0)
    left = row.iterator(start=start, stop=stop, verify_checksums=True, fill_cache=False)
    return [keys.entry_first(key) for key, _ in left]


def test_a_compaction_takes_its_records_away(disk: Disk) -> None:
    """At once; a start finds them again, as long as their segment has its room, and gives them up again."""
    for _ in range(2):
        store, _ = disk.open()
        assert isinstance(store, LevelDBStorage)
        store.group(0).compact(4)
        submit(store, [])
        assert store._row is not None
        assert firsts(store._row) == [4, 5]
        store.close()
    with open_records(disk.path) as row:
        assert firsts(row) == [1, 4, 5]


def test_what_was_given_up_and_is_found_again_is_not_read(disk: Disk) -> None:
    """Whatever it holds: it is outside of the log's bounds."""
    store, _ = disk.open()
    store.group(0).compact(5)
    submit(store, [])
    store.close()
    rewrite(disk.path, (keys.entry_key(0, 1), entries(2, 1, 9, 99).data), (keys.entry_key(0, 4), None))
    state = disk.open()[1].groups[0]
    assert (state.snapshot_index, state.last_index, state.term_runs) == (5, 6, ((6, 2),))
