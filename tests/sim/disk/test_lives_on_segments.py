"""The store with segments of a few batches each keeps its promises on a disk that fails, wherever its process is
stopped or its power fails, and whenever what is done beside its writes is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import PurePath
from random import Random

import pytest

from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.segment import segments
from tests.sim.disk.lives import NODE, Life, draw_faults, end_of_life, lives_cut_off
from tests.storage.late import LateExecutor
from tests.storage.layout import RECORDS

SIZE = 1500
"""Bytes of a segment, so that there are many."""


class SegmentedLife(Life):
    """A life of the store with small segments."""

    def new(self) -> LevelDBStorage:
        self.seed += 1
        files = self.disk.files(pid=self.seed)
        return LevelDBStorage(
            NODE,
            mode="inline",
            segment_size=SIZE,
            files=files,
            database=SimulatedEngine(files),
            executor=LateExecutor(Random(self.rng.random())),
            entropy=SeededEntropy(Random(self.seed)),
        )


def no_faults(rng: Random) -> DiskFaults:
    return DiskFaults()


def out_of_order(rng: Random) -> DiskFaults:
    return DiskFaults(out_of_order=1.0)


@pytest.mark.parametrize("faults", [no_faults, draw_faults, out_of_order])
def test_wherever_the_power_fails(faults: Callable[[Random], DiskFaults], seed: int) -> None:
    """What was acknowledged is found, or the start is refused where the disk has done what may be refused."""
    outcomes: Counter[str] = Counter()
    for life in lives_cut_off(SegmentedLife, seed, range(0, 900, 9), 5, faults):
        life.disk.faults = DiskFaults(out_of_order=float(faults is out_of_order))
        outcomes[end_of_life(life)] += 1
    assert outcomes["found"] > (30 if faults is out_of_order else 80), outcomes


def test_a_full_disk_takes_nothing_that_was_acknowledged(seed: int) -> None:
    for room in range(0, 200_000, 10_000):
        rng = Random(seed * 1000 + room)
        life = SegmentedLife(Disk(Random(room)), rng)
        for _ in range(3):
            life.disk.capacity = life.disk.used + rng.randint(0, room)
            life.start()
            life.disk.kill()
            life.disk.capacity = 1 << 40
            life.start()
            life.disk.kill()
        assert end_of_life(life) == "found"


def test_segments_are_changed_all_the_time(seed: int) -> None:
    """So those paths are among what the others test, and LevelDB's tables are not."""
    life = SegmentedLife(Disk(Random(seed)), Random(seed))
    seen: set[str] = set()
    numbers: set[int] = set()
    database = PurePath(NODE, RECORDS)

    def on_step(operation: str) -> None:
        seen.update(path.suffix for path, _ in life.disk.copy().files)
        numbers.update(segments(life.disk.files(), database))

    life.disk.on_step = on_step
    life.run(30)
    assert ".ldb" not in seen
    assert len(numbers) > 25
