"""Each store has its snapshots beside the log: they come back with it, and go with it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from raftpy.contracts.errors import SnapshotFailed, StorageFailed
from raftpy.contracts.snapshots import complete
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk as SimulatedDisk
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage, MemoryStore
from tests.storage.late import LateExecutor
from tests.storage.snapshots import contents, ref, sample, write
from tests.storage.support import OWNER, Disk, append, entries, submit


@pytest.fixture(params=["memory", "leveldb"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(request.param, tmp_path / "node1")


def test_they_come_back_with_the_log(disk: Disk) -> None:
    store, _ = disk.open()
    submit(store, [append(entries(1, 9, 1), term=1)])
    for index in (3, 5, 7):
        write(store.snapshots, ref(index))
    assert complete(store.snapshots.retain(0)) == ref(5)
    store, recovered = disk.reopen(store)
    assert recovered.groups[0].last_index == 9
    assert store.snapshots.refs(0) == (ref(7), ref(5))
    assert contents(store.snapshots, ref(5)) == sample(5)


def test_one_that_was_begun_is_gone_with_the_life_that_began_it(disk: Disk) -> None:
    store, _ = disk.open()
    write(store.snapshots, ref(3))
    store.snapshots.begin(ref(5))
    store, _ = disk.reopen(store)
    assert store.snapshots.refs(0) == (ref(3),)
    write(store.snapshots, ref(5))


def test_a_data_directory_without_snapshots_has_no_directory_for_them(tmp_path: Path) -> None:
    disk = Disk("leveldb", tmp_path / "node1")
    store, _ = disk.open()
    assert not (disk.path / "snapshots").exists()
    write(store.snapshots, ref(3))
    assert [path.name for path in (disk.path / "snapshots").iterdir()] == ["0-3-1.snapshot"]


def test_a_directory_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    disk = Disk("leveldb", tmp_path / "node1")
    disk.open()[0].close()
    (disk.path / "snapshots").write_bytes(b"")
    with pytest.raises(StorageFailed, match="node1/snapshots: listing it failed: Not a directory"):
        disk.open()


def test_of_a_store_that_is_not_open_none_are_written(disk: Disk) -> None:
    with pytest.raises(ValueError, match="not loaded"):
        disk.new().snapshots.begin(ref(3))


def test_in_memory_they_fail_with_their_disk_and_outlive_its_crash() -> None:
    disk = Disk("memory", Path())
    store, _ = disk.open()
    write(store.snapshots, ref(3))
    writer = store.snapshots.begin(ref(4))
    disk.memory.fault = "broken"
    with pytest.raises(SnapshotFailed, match=r"memory/snapshots/0-4-1\.writing: .* failed: broken"):
        writer.commit()
    disk.memory.fault = None
    late = store.snapshots.begin(ref(5))
    disk.memory.crash()
    late.commit()  # by a process that is dead: it reaches no disk
    again = MemoryStore(disk.memory)
    again.open(OWNER)
    assert again.snapshots.refs(0) == (ref(3),)
    again.close()
    disk.memory.erase()
    empty = MemoryStore(disk.memory)
    empty.open(OWNER)
    assert empty.snapshots.refs(0) == ()
    empty.close()


def test_on_a_simulated_disk_they_are_there_after_a_power_failure(tmp_path: Path) -> None:
    disk = SimulatedDisk(Random(1))

    def opened(seed: int) -> LevelDBStorage:
        files = disk.files()
        store = LevelDBStorage(
            "/node1",
            mode="inline",
            files=files,
            database=SimulatedEngine(files),
            executor=LateExecutor(),
            entropy=SeededEntropy(Random(seed)),
        )
        store.open(OWNER)
        return store

    store = opened(1)
    write(store.snapshots, ref(3))
    store.snapshots.begin(ref(4))
    disk.power_failure()
    store = opened(2)
    assert store.snapshots.refs(0) == (ref(3),)
    assert contents(store.snapshots, ref(3)) == sample(3)
    store.close()
