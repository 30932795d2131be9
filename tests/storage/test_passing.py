"""What the system lacks for a moment, descriptors or memory, ends no store: it waits, and is made again.

A read of the log says "not now", and so does a compaction to itself. Damage, and a disk that does not give what it has,
are what they were.
"""

from __future__ import annotations

import errno
from pathlib import Path, PurePath

import pytest

from raftcore.base.conflict import Conflict
from raftcore.base.errors import LogTemporarilyUnavailable
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.files import is_passing
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import Floor
from tests.storage.descriptors import LACKING, SEGMENT, Refusing, no_descriptors
from tests.storage.support import EVERYTHING, OWNER, append, entries, submit


@pytest.mark.parametrize("number", LACKING)
def test_what_passes(number: int) -> None:
    told = StorageFailed("no")
    told.__cause__ = OSError(number, "no")
    assert is_passing(told)
    assert is_passing(told.__cause__)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.ENOENT])
def test_what_does_not(number: int) -> None:
    told = StorageFailed("no")
    told.__cause__ = OSError(number, "no")
    assert not is_passing(told)
    assert not is_passing(None)


class TestReading:
    @pytest.mark.parametrize("number", LACKING)
    def test_not_now(self, number: int) -> None:
        """And nothing else comes of it: everything goes on, and the same read is made a little later."""
        there = Refusing()
        there.write(60)
        there.files.number = number
        for _ in range(3):
            with pytest.raises(LogTemporarilyUnavailable, match=r"reading record of entry 1 .* failed"):
                there.read()
        there.write(1)
        assert there.read(601) == list(range(601, 611)), "the newest segment is open"
        there.files.number = 0
        assert there.read() == list(range(1, 611))

    def test_a_disk_that_does_not_give_it_is_what_it_was(self) -> None:
        there = Refusing()
        there.write(60)
        there.files.number = errno.EIO
        with pytest.raises(StorageFailed):
            there.read()
        there.files.number = 0
        with pytest.raises(StorageFailed):  # the handle is dead
            there.read()

    def test_for_real(self, tmp_path: Path) -> None:
        store = LevelDBStorage(tmp_path / "node", mode="inline", segment_size=SEGMENT)
        store.open(OWNER)
        try:
            for first in range(1, 600, 10):
                submit(store, [append(entries(first, 10, 1), term=1)])
            store._row._worker.put(lambda: None)  # type: ignore[union-attr]
            with no_descriptors():
                with pytest.raises(LogTemporarilyUnavailable, match="Too many open files"):
                    store.group(0).entries(1, 601, EVERYTHING)
                submit(store, [append(entries(601, 10, 1), term=1)])
            assert store.group(0).entries(1, 611, EVERYTHING).last == 610
        finally:
            store.close()


class TestCompacting:
    def test_it_waits(self) -> None:
        """What a batch has to write besides is written; a later one compacts."""
        there = Refusing()
        there.write(60)
        there.store.group(0).compact(205)
        there.files.number = errno.EMFILE
        submit(there.store, [])
        submit(there.store, [], group=0)
        there.write(2)
        there.files.number = 0
        assert there.read()[:1] == [1]
        there.again()
        assert there.recovered.groups[0].snapshot_index == 0
        there.store.group(0).compact(205)
        there.files.number = errno.EMFILE
        there.write(1)
        there.files.number = 0
        submit(there.store, [])
        assert there.read(206)[0] == 206
        there.again()
        assert there.recovered.groups[0].snapshot_index == 205
        assert there.read(206) == list(range(206, there.last + 1))


class TestCuttingThroughARecord:
    def test_the_spare_descriptor_reads_it(self) -> None:
        """A leader's entries cut through a record of a closed segment (paper 5.3), and the batch cannot wait."""
        there = Refusing()
        there.write(60)
        there.files.limit = len(there.files.opened)
        with pytest.raises(LogTemporarilyUnavailable):
            there.read()
        for index in (305, 203, 101):
            submit(there.store, [append(entries(index, 1, 2), term=2)])
            there.last = index
            there.executor.run()
            there.files.limit = len(there.files.opened)  # whatever is free by now somebody else takes
        assert there.disk.lacked > 3
        there.files.limit = 1 << 30
        assert there.read() == list(range(1, 102))
        there.again()
        assert there.recovered.groups[0].last_index == 101

    def test_without_it_the_store_fails(self) -> None:
        there = Refusing()
        there.write(60)
        there.files.number = errno.EMFILE
        with pytest.raises(StorageFailed, match="Too many open files"):
            submit(there.store, [append(entries(305, 1, 2), term=2)])
        there.files.number = 0
        with pytest.raises(StorageFailed):  # the handle is dead
            submit(there.store, [append(entries(601, 1, 2), term=2)])
        there.again()
        assert there.recovered.groups[0].last_index == 600

    def test_a_quarantine_is_kept_with_it(self) -> None:
        there = Refusing()
        there.write(3)
        there.files.limit = len(there.files.opened)
        conflict = Conflict(index=3, term=1, leader=2, leader_term=2, current_term=2)
        there.store.group(0).quarantine(conflict)
        there.files.limit = 1 << 30
        there.again()
        assert there.recovered.groups[0].conflict == conflict

    def test_a_clean_close_leaves_an_exact_floor_with_it(self) -> None:
        there = Refusing()
        there.write(3)
        there.files.limit = len(there.files.opened)
        there.store.close()
        floor = Floor.read(there.disk.files(), PurePath("/node"))
        assert floor is not None
        assert floor.closed
        assert list(there.files.opened) == []
