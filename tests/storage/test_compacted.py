"""A compacted log's records in LevelDB: which of them stay, and that those are missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.storage.leveldb import keys
from raftpy.system.leveldb import LevelDB
from tests.storage.damage import rewrite
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


def test_a_compaction_takes_its_records_away(disk: Disk) -> None:
    store, _ = disk.open()
    store.group(0).compact(4)
    submit(store, [])
    store.close()
    database = LevelDB().open(disk.path / "leveldb", create=False, write_buffer_size=1 << 20)
    start, stop = keys.entry_range(0)
    left = database.iterator(start=start, stop=stop, verify_checksums=True, fill_cache=False)
    assert [keys.entry_first(key) for key, _ in left] == [4, 5]
    database.close()
