"""Between two starts of a store whose process is killed or whose power fails anywhere, the offline reading finds what
the next start finds: no damage where that opens, and damage where it is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

import pytest

from raftcore.values.message import Entry
from raftpy.contracts.errors import StorageDamaged
from raftpy.contracts.types import Recovered
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk
from raftpy.storage import LevelDBStorage
from raftpy.storage.offline.directory import NotADataDirectory
from raftpy.storage.offline.examining import examined
from raftpy.storage.offline.exporting import entries
from tests.sim.disk.lives import NODE, draw_faults, end_of_life, lives_cut_off
from tests.sim.disk.test_lives_on_segments import SegmentedLife, no_faults, out_of_order


class ReadLife(SegmentedLife):
    """A life of which each start is foretold by an offline reading."""

    outcomes: Counter[str]

    def open(self, opened: LevelDBStorage) -> Recovered:
        damage, log = self.read()
        try:
            recovered = super().open(opened)
        except StorageDamaged:
            self.outcomes["damaged" if damage else "damaged and not foretold"] += 1
            raise
        assert damage == []
        assert log == [(entry.term, entry.data) for entry in self.stored(opened)]
        self.outcomes["whole"] += 1
        return recovered

    def read(self) -> tuple[list[str], list[tuple[int, bytes]]]:
        """What is damaged, and the log; nothing is written."""
        files = self.disk.files(pid=10_000)
        on_step, self.disk.on_step = self.disk.on_step, None
        steps, faults, self.disk.faults = self.disk.steps, self.disk.faults, DiskFaults()
        try:
            with examined(files, NODE) as found:
                stored = entries(found, 0, 1, 2**64 - 1) if found.groups else ()
                log = [(each.entry.term, each.entry.data) for each in stored]
                return [str(fault) for fault in found.faults.found], log
        except NotADataDirectory:
            return [], []
        finally:
            assert self.disk.steps == steps
            self.disk.on_step, self.disk.faults = on_step, faults

    def stored(self, opened: LevelDBStorage) -> Iterable[Entry]:
        last = len(self.known.log)
        return opened.group(0).entries(1, last + 1, 2**64 - 1) if last else []


@pytest.mark.parametrize("faults", [no_faults, draw_faults, out_of_order])
def test_the_next_start_is_foretold(faults: Callable[[Random], DiskFaults], seed: int) -> None:
    outcomes: Counter[str] = Counter()

    def begin(disk: Disk, rng: Random) -> ReadLife:
        life = ReadLife(disk, rng)
        life.outcomes = outcomes
        return life

    for life in lives_cut_off(begin, seed, range(0, 900, 18), 5, faults):
        life.disk.faults = DiskFaults(out_of_order=float(faults is out_of_order))
        end_of_life(life)
    assert outcomes["whole"] > 50, outcomes
    assert outcomes["damaged and not foretold"] == 0
