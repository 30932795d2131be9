"""How much of the disk a store takes: what was compacted comes back, whoever writes nothing, and however often it is
started."""

from __future__ import annotations

from pathlib import PurePath
from random import Random

import pytest

from raftpy.contracts.types import StoreOwner
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.segment import segments
from raftpy.storage.leveldb.store import make_directory
from tests.storage.late import LateExecutor
from tests.storage.layout import RECORDS
from tests.storage.support import EVERYTHING, MEMBERS, OWNER, Model, append, entries, submit

NODE = PurePath("/data/node1")
SIZE = 20_000
"""Bytes of a segment."""


class Place:
    """Stores on one simulated disk, one after the other; ``executor``: of the one that is open."""

    def __init__(self) -> None:
        self.disk = Disk(Random(1))
        self.starts = 0
        self.executor = LateExecutor()
        make_directory(self.disk.files(), NODE.parent)

    def open(self, owner: StoreOwner = OWNER) -> LevelDBStorage:
        files = self.disk.files()
        self.starts += 1
        self.executor = LateExecutor()
        store = LevelDBStorage(
            NODE,
            mode="inline",
            segment_size=SIZE,
            files=files,
            database=SimulatedEngine(files),
            executor=self.executor,
            entropy=SeededEntropy(Random(self.starts)),
        )
        store.open(owner)
        return store

    def written(self) -> int:
        """Bytes in the files of all segments, without the space set aside behind them."""
        files = self.disk.copy().files
        return sum(len(data) for path, (data, _) in files if path.suffix == ".log" and RECORDS in path.parts)

    def segments(self) -> int:
        return len(segments(self.disk.files(), NODE / RECORDS))


@pytest.mark.parametrize("idle", [0, 99])
def test_idle_groups_and_a_busy_one(idle: int) -> None:
    """Space is at most twice the bytes that are needed, with a few segments; and the idle groups lose nothing."""
    place = Place()
    owner = StoreOwner(1, MEMBERS, groups=dict.fromkeys(range(1, idle + 1), (1, 2)))
    store = place.open(owner)
    models = {group: Model() for group in range(idle + 1)}
    for group in range(1, idle + 1):
        models[group].submit([message := append(entries(1, 3, 1), term=1, vote=2)])
        submit(store, [message], group)
        place.executor.run()
    busy, kept = models[0], 200
    for first in range(1, 20_000, 20):
        busy.submit([message := append(entries(first, 20, 1), term=1, commit=first)])
        submit(store, [message])
        if first > kept and first % 100 == 1:
            busy.compacted = first - kept
            store.group(0).compact(busy.compacted)
        place.executor.run()
        if first > 2000:
            # With what stands around them; and of each group its head and bootstrap.
            needed = 20 * kept + 200 * idle + 220 * (idle + 1)
            assert store._row is not None
            segment = store._row._newest.limit  # many groups have larger ones, as each begins with all small records
            assert place.written() < 2 * needed + 3 * segment
            assert place.segments() < 2 * needed / SIZE + 9
    busy.compacted = store.group(0).floor().prev_index
    place.disk.power_failure()
    store = place.open(owner)
    for group, model in models.items():
        last = len(model.log)
        read = store.group(group).entries(model.compacted + 1, last + 1, EVERYTHING)
        assert [(entry.term, entry.data) for entry in read] == model.log[model.compacted :]
    store.close()


def test_starts_that_write_hardly_anything() -> None:
    """Each begins a segment, and they do not become more and more, though the log in the oldest is needed."""
    place = Place()
    store = place.open()
    model = Model()
    for first in range(1, 4000, 100):
        model.submit([message := append(entries(first, 100, 1), term=1)])
        submit(store, [message])
        place.executor.run()
    log = place.written()
    store.close()
    most = 0
    for _ in range(60):
        store = place.open()
        place.executor.run()
        store.close()
        most = max(most, place.segments())
    assert most <= 8 + 2 * log // SIZE + 3
    assert place.segments() < most + 1
    model.check(place.open())


def test_a_batch_larger_than_a_segment() -> None:
    """It has one for itself."""
    place = Place()
    store = place.open()
    model = Model()
    for first, count in ((1, 10), (11, 5000), (5011, 10), (5021, 6000), (11_021, 10)):
        model.submit([message := append(entries(first, count, 1), term=1)])
        submit(store, [message])
        place.executor.run()
        model.check(store)
    assert place.segments() > 4
    place.disk.power_failure()
    store = place.open()
    model.check(store)
    store.close()
