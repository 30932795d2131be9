"""A store of several groups with small segments, whose logs are cut, compacted and give way to snapshots, keeps its
promises on a disk that fails, wherever its process is stopped or its power fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from random import Random

import pytest

from raftcore.values.message import Message, Snapshot
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.types import StoreOwner
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, PowerFailure
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.store import make_directory
from tests.sim.disk.lives import NODE, draw_faults
from tests.storage.late import LateExecutor
from tests.storage.support import MEMBERS, Model, append, entries

GROUPS = (0, 1, 2, 3)
OWNER = StoreOwner(1, MEMBERS, groups=dict.fromkeys(GROUPS, (1, 2, 3)))
LIVES = 80

Models = dict[int, Model]


class GroupsLife:
    """Everything that is done to one disk. ``maybe``: what may be found: what was acknowledged, and perhaps with what
    was under way. ``done``: how often what was done."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.disk = Disk(Random(seed))
        self.maybe: list[Models] = [{group: Model() for group in GROUPS}]
        self.done: Counter[str] = Counter()
        self._starts = 0
        make_directory(self.disk.files(), NODE.parent)

    def open(self) -> LevelDBStorage:
        """A start, which finds one of what may be there."""
        self._starts += 1
        files = self.disk.files(pid=self._starts)
        store = LevelDBStorage(
            NODE,
            mode="inline",
            segment_size=self.rng.choice((600, 1500, 4000)),
            files=files,
            database=SimulatedEngine(files),
            executor=LateExecutor(Random(self.rng.random())),
            entropy=SeededEntropy(Random(self._starts)),
        )
        recovered = store.open(OWNER)
        states = {group: recovered.groups[group] for group in GROUPS}
        found = {
            group: (state.hard_state.term, state.hard_state.vote, state.last_index, state.snapshot_index)
            for group, state in states.items()
        }
        told = [
            {group: (*model.hard_state[:2], len(model.log), model.compacted) for group, model in models.items()}
            for models in self.maybe
        ]
        assert found in told
        models = self.maybe[len(told) - 1 - told[::-1].index(found)]
        for group, model in models.items():
            model.check(store, None, group)
            # A commit index alone is written with whatever comes next.
            model.hard_state = (*model.hard_state[:2], states[group].hard_state.commit)
        self.maybe = [models]
        return store

    def write(self, store: LevelDBStorage) -> None:
        """One batch of one group or several, acknowledged when it returns."""
        following = deepcopy(self.maybe[0])
        groups = [0] if self.rng.random() < 0.7 else self.rng.sample(GROUPS, self.rng.choice((1, 2, 4)))
        batch = [(group, self._draw(store, group, following[group])) for group in groups]
        self.maybe = [self.maybe[0], following]
        assert store.submit(batch)
        self.maybe = [following]

    def _draw(self, store: LevelDBStorage, group: int, model: Model) -> list[Message]:
        """What a group is told next; ``model`` has been told it, too."""
        rng = self.rng
        term, vote, commit = model.hard_state
        commit, last, same = max(commit, model.compacted), len(model.log), max(term, 1)
        kind = rng.random()
        if kind < 0.1:
            appends = [append(term=term + 1, vote=rng.randrange(1, 4), commit=commit)]
        elif kind < 0.16:
            index = rng.randint(commit + 1, max(commit + 1, last + 10))
            appends = [append(term=same, vote=vote, commit=index, snapshot=Snapshot(index, same))]
            if rng.random() < 0.4:
                appends.append(append(entries(index + 1, 2, same), term=same, vote=vote, commit=index))
            self.done["installed"] += 1
        elif kind < 0.35 and last > commit:
            first = rng.randint(commit + 1, last)
            appends = [append(entries(first, rng.choice((1, 2, 5)), term + 1), term=term + 1, commit=commit)]
            self.done["replaced"] += 1
        else:
            new = entries(last + 1, rng.choice((1, 1, 2, 20)), same)
            appends = [append(new, term=same, vote=vote, commit=rng.randint(commit, last))]
        compacted = 0
        if rng.random() < 0.3 and model.compacted < min(commit, last):
            compacted = rng.randint(model.compacted + 1, min(commit, last))
            store.group(group).compact(compacted)
            self.done["compacted"] += 1
        model.submit(appends)
        model.compacted = max(model.compacted, compacted)
        return appends

    def run(self, starts: int, faults: Callable[[], DiskFaults]) -> None:
        """So many starts, each with some batches and an end of some kind; ``PowerFailure`` comes through."""
        for _ in range(starts):
            self.disk.faults = faults()
            try:
                store = self.open()
                for _ in range(self.rng.choice((0, 1, 10, 40, 80))):
                    self.write(store)
                if self.rng.random() < 0.4:
                    store.close()
            except StorageDamaged:
                raise
            except StorageFailed:
                self.done["failed"] += 1
            self.disk.faults = DiskFaults()
            self.disk.kill()

    def stop_at(self, step: int) -> None:
        """The power fails in the place of the step with this number."""

        def on_step(operation: str) -> None:
            if self.disk.steps == step:
                raise PowerFailure

        self.disk.on_step = on_step

    def end(self) -> None:
        """The power fails, and two more starts find everything."""
        self.disk.on_step, self.disk.faults = None, DiskFaults()
        self.disk.power_failure()
        for _ in range(2):
            store = self.open()
            self.write(store)
            store.close()


@pytest.mark.parametrize("faults", [lambda rng: DiskFaults(), draw_faults], ids=["no_faults", "faults"])
def test_wherever_the_power_fails(faults: Callable[[Random], DiskFaults], seed: int) -> None:
    """What was acknowledged in any group is found, or the start is refused where the disk has done what may be
    refused."""
    outcomes: Counter[str] = Counter()
    for number in range(LIVES):
        life = GroupsLife(seed + number)
        life.stop_at(life.rng.randrange(600))
        try:
            try:
                life.run(6, lambda life=life: faults(life.rng))  # type: ignore[misc]
            except PowerFailure:
                outcomes["power"] += 1
            life.end()
            outcomes["found"] += 1
        except StorageDamaged:
            assert life.disk.harm, f"seed {seed + number}: refused, and the disk has kept its contract"
        except AssertionError as error:
            raise AssertionError(f"seed {seed + number}") from error
        outcomes += life.done
    assert outcomes["found"] > LIVES * 2 // 3, outcomes
    assert min(outcomes[name] for name in ("power", "installed", "replaced", "compacted")) > 10, outcomes
