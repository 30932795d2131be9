"""A snapshot takes the place of the log, in one batch: of the contract for all stores, and what it is in LevelDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftcore.values.message import Message, Snapshot
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import StoreOwner
from raftpy.sim.disk.files import DiskFiles
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.row import SegmentRow
from tests.storage.layout import open_records, rewrite
from tests.storage.power import fail_at_each_step
from tests.storage.support import MEMBERS, OWNER, Disk, Model, abandon, append, entries, joined, submit
from tests.storage.test_simulated import NODE, make_directory
from tests.storage.test_simulated import store as simulated

WRITTEN = append(
    joined(entries(1, 3, 1), entries(4, 1, 1), entries(5, 4, 2), entries(9, 2, 3, 70)), term=3, vote=2, commit=4
)
"""Records [1 2 3] [4] [5 6 7 8] [9 10], of terms 1, 1, 2 and 3."""


@pytest.fixture(params=["memory", "leveldb"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(request.param, tmp_path / "node1")


@pytest.fixture
def store(disk: Disk) -> Storage:
    store, _ = disk.open()
    submit(store, [WRITTEN])
    return store


@pytest.fixture
def model() -> Model:
    model = Model()
    model.submit([WRITTEN])
    return model


def installing(index: int, term: int = 5, commit: int = 0) -> list[Message]:
    """What a core hands out with a snapshot that its leader of term 6 has sent."""
    return [append(term=6, vote=0, commit=commit or index, snapshot=Snapshot(index, term, time_ms=99))]


@pytest.mark.parametrize("index", [*range(5, 12), 500])
def test_the_log_is_the_snapshot_from_then_on(disk: Disk, store: Storage, model: Model, index: int) -> None:
    """Wherever it ends: within the log, at its end or behind it; and entries follow it (Figure 13, 6 and 7)."""
    assert submit(store, installing(index))
    model.submit(installing(index))
    model.check(store)
    store, recovered = disk.reopen(store)
    model.check(store, recovered)
    assert recovered.groups[0].last_time_ms == 99
    for message in (append(entries(index + 1, 2, 6, 100)), append(entries(index + 2, 3, 7, 100), term=7)):
        submit(store, [message])
        model.submit([message])
        model.check(store)
    store, recovered = disk.reopen(store)
    model.check(store, recovered)
    assert recovered.groups[0].last_time_ms == 100


@pytest.mark.parametrize("index", [6, 10, 20])
def test_with_what_comes_before_and_behind_it_in_one_batch(
    disk: Disk, store: Storage, model: Model, index: int
) -> None:
    """What was to be written before it is not written any more, and what follows it is."""
    messages = [
        append(entries(11, 2, 3, 70)),
        *installing(index),
        append(entries(index + 1, 4, 6, 100)),
        append(joined(entries(index + 3, 1, 7, 100), entries(index + 4, 2, 8, 100)), term=8, commit=index + 2),
    ]
    submit(store, messages)
    model.submit(messages)
    model.check(store)
    model.check(*disk.reopen(store))


def test_a_newer_one_in_the_same_batch_and_after_it(disk: Disk, store: Storage, model: Model) -> None:
    for messages in ([*installing(7), *installing(9)], installing(30), installing(31, term=6)):
        submit(store, messages)
        model.submit(messages)
        model.check(store)
    model.check(*disk.reopen(store))


def test_the_log_is_compacted_and_replaced_behind_it(disk: Disk, store: Storage, model: Model) -> None:
    store.group(0).compact(2)
    submit(store, installing(20))
    model.submit(installing(20))
    for first, count, term in ((21, 5, 6), (23, 4, 7), (27, 1, 8)):
        message = append(entries(first, count, term, 100))
        submit(store, [message])
        model.submit([message])
        model.check(store)
    store.group(0).compact(24)
    submit(store, [])
    model.compacted = 24
    model.check(store)
    model.check(*disk.reopen(store))


def test_one_group_alone(disk: Disk) -> None:
    owner = StoreOwner(1, MEMBERS, groups={7: (1, 2)})
    store, _ = disk.open(owner)
    models = {group: Model() for group in (0, 7)}
    for group, model in models.items():
        submit(store, [WRITTEN], group)
        model.submit([WRITTEN])
    assert store.submit([(0, [append(entries(11, 1, 3, 70))]), (7, installing(40))])
    models[0].submit([append(entries(11, 1, 3, 70))])
    models[7].submit(installing(40))
    store, recovered = disk.reopen(store, owner)
    for group, model in models.items():
        model.check(store, recovered, group)


def test_one_that_brings_the_beginning_no_further_is_refused(disk: Disk, store: Storage, model: Model) -> None:
    store.group(0).compact(4)
    submit(store, [])
    with pytest.raises(StorageFailed, match="a snapshot at 4, but the log begins after 4"):
        submit(store, installing(4))
    model.compacted = 4
    model.check(*disk.reopen(store))


# --- In LevelDB -----------------------------------------------------------------------------------------------------


@pytest.fixture
def leveldb(tmp_path: Path) -> Disk:
    return Disk("leveldb", tmp_path / "node1")


def firsts(row: SegmentRow) -> list[int]:
    """First indexes of the records that are there."""
    start, stop = keys.entry_range(0)
    found = row.iterator(start=start, stop=stop, verify_checksums=True, fill_cache=False)
    return [keys.entry_first(key) for key, _ in found]


def test_what_is_outside_of_the_log_is_left_out_by_a_start(leveldb: Disk) -> None:
    """What the snapshot's index lies in is deleted: another record may begin there. The rest is given up, and found
    again by a start as long as its segment is there, which gives it up again."""
    store, _ = leveldb.open()
    model = Model()
    for message in (WRITTEN, *installing(7)):
        submit(store, [message])
        model.submit([message])
    abandon(store)
    with open_records(leveldb.path) as row:
        assert firsts(row) == [1, 4, 7]
    store, recovered = leveldb.open()
    model.check(store, recovered)
    assert isinstance(store, LevelDBStorage)
    assert store._row is not None
    assert firsts(store._row) == [7]
    submit(store, [append(entries(8, 1, 6, 100))])
    model.submit([append(entries(8, 1, 6, 100))])
    abandon(store)
    model.check(leveldb.open()[0])


@pytest.mark.parametrize("lost", [12, 13])
def test_the_record_that_stands_for_it_is_missed(leveldb: Disk, lost: int) -> None:
    store, _ = leveldb.open()
    submit(store, [WRITTEN])
    submit(store, [*installing(12), append(entries(13, 1, 6, 100))])
    store.close()
    rewrite(leveldb.path, (keys.entry_key(0, lost), None))
    with pytest.raises(StorageDamaged, match="entries 13 to 13 in term 6, and the log|the log ends at 12 in term 5"):
        leveldb.open()


def test_a_crash_after_one_that_came_with_entries(leveldb: Disk) -> None:
    """A start finds where the log begins before it reads the log."""
    store, _ = leveldb.open()
    model = Model()
    for messages in ([WRITTEN], [*installing(7), append(entries(8, 5, 6, 100), term=6)]):
        submit(store, messages)
        model.submit(messages)
    abandon(store)
    store, recovered = leveldb.open()
    model.check(store, recovered)


def test_a_shorter_log_than_at_the_start_is_no_damage(leveldb: Disk) -> None:
    """The floor knows a log up to 10, and the snapshot that takes its place ends at 7."""
    store, _ = leveldb.open()
    submit(store, [WRITTEN])
    store.close()
    store, _ = leveldb.open()
    submit(store, installing(7))
    abandon(store)
    assert leveldb.open()[1].groups[0].last_index == 7


def test_a_power_failure_leaves_the_one_log_or_the_other() -> None:
    """Wherever the power fails: the log as it was, or the snapshot in its place, whole; and it goes on from there."""
    behind = append(entries(8, 30, 6, 100), term=6)
    steps: list[list[Message]] = [[WRITTEN], installing(7), [behind]]
    models = [Model() for _ in range(4)]
    for done, model in enumerate(models):
        for messages in steps[:done]:
            model.submit(messages)
    durable = 0

    def act(files: DiskFiles) -> None:
        nonlocal durable
        durable = 0
        store = simulated(files)
        store.open(OWNER)
        for messages in steps:
            submit(store, messages)
            durable += 1
        store.close()

    def check(files: DiskFiles, done: bool) -> None:
        store = simulated(files, seed=2)
        recovered = store.open(OWNER).groups[0]
        found = (recovered.snapshot_index, recovered.last_index)
        assert found in [(model.compacted, len(model.log)) for model in models[durable : durable + 2]]
        next(model for model in models if found == (model.compacted, len(model.log))).check(store)
        last = append(entries(recovered.last_index + 1, 1, 9, 200), term=9)
        submit(store, [last])
        store.close()
        again = simulated(files, seed=3)
        assert again.open(OWNER).groups[0].last_index == recovered.last_index + 1
        again.close()

    assert fail_at_each_step(lambda files: make_directory(files, NODE.parent), act, check) > 25
