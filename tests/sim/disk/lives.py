"""A store that lives through drawn errors, kills and power failures, and what it has promised by then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import PurePath
from random import Random
from typing import TypeVar

from raftcore.values.message import Message
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.types import Recovered
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, DiskFiles, PowerFailure
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.store import make_directory
from tests.storage.late import LateExecutor
from tests.storage.support import OWNER, SMALLEST_BUFFER, Model, append, commit_only, entries, submit

NODE = PurePath("/data/node1")
NO_FAULTS = DiskFaults()


def store(files: DiskFiles, seed: int) -> LevelDBStorage:
    """The shipped store on a simulated disk."""
    return LevelDBStorage(
        NODE,
        mode="inline",
        segment_size=SMALLEST_BUFFER,
        files=files,
        database=SimulatedEngine(files),
        executor=LateExecutor(Random(seed)),
        entropy=SeededEntropy(Random(seed)),
    )


def draw_appends(rng: Random, model: Model) -> list[Message]:
    """What a follower may be told next: entries behind its log or in the place of its end, a vote, a commit index."""
    term, vote, commit = model.hard_state
    kind = rng.random()
    if kind < 0.15:
        return [append(term=term + 1, vote=rng.randrange(1, 4), commit=commit)]
    if kind < 0.2:
        return [commit_only(term, vote, min(len(model.log), commit + 1))]
    last = len(model.log)
    first = rng.randint(max(commit, 0) + 1, last + 1) if rng.random() < 0.3 else last + 1
    term += first <= last or term == 0
    count = rng.choice((1, 2, 20, 20, 900))
    return [append(entries(first, count, term), term=term, vote=vote, commit=commit)]


class Life:
    """Everything that is done to one disk, and what has to be found at any moment.

    known: what was acknowledged. maybe: what may be found: that, and perhaps with what was under way.
    """

    def __init__(self, disk: Disk, rng: Random) -> None:
        self.disk = disk
        self.rng = rng
        self.known = Model()
        self.maybe = [self.known]
        self.boots: list[int] = []
        self.seed = 0
        make_directory(disk.files(), NODE.parent)

    def run(self, starts: int, faults: Callable[[], DiskFaults] = DiskFaults) -> None:
        """So many starts, each with some submits and an end of some kind; ``PowerFailure`` comes through."""
        for _ in range(starts):
            self.disk.faults = faults()
            self.start()
            self.disk.faults = NO_FAULTS
            self.disk.kill()

    def start(self) -> None:
        """A start, some submits, and perhaps a clean close."""
        rng = self.rng
        opened = self.new()
        try:
            self.open(opened)
        except StorageDamaged:
            raise
        except StorageFailed:
            return
        for _ in range(rng.choice((0, 1, 5, 15))):
            try:
                self.submit(opened, draw_appends(rng, self.known))
            except StorageFailed:
                break
        if rng.random() < 0.5:
            opened.close()

    def submit(self, opened: LevelDBStorage, appends: list[Message]) -> None:
        """Acknowledged when it returns, and perhaps written when it raises."""
        following = deepcopy(self.known)
        following.submit(appends)
        if appends[0].must_sync:
            self.maybe = [self.known, following]
        assert submit(opened, appends)
        if appends[0].must_sync:  # a commit index alone is not written
            self.known = following
            self.maybe = [following]

    def append(self, opened: LevelDBStorage, count: int) -> None:
        """So many entries of a new term, behind the log."""
        term, _, commit = self.known.hard_state
        new = entries(len(self.known.log) + 1, count, term + 1)
        self.submit(opened, [append(new, term=term + 1, commit=commit)])

    def new(self) -> LevelDBStorage:
        """A store, to be opened by ``open``."""
        self.seed += 1
        return store(self.disk.files(pid=self.seed), self.seed)

    def open(self, opened: LevelDBStorage) -> Recovered:
        """Opens it; it holds one of what may be there, and that is known from then on."""
        recovered = opened.open(OWNER)
        assert all(recovered.boot >> 32 > boot >> 32 for boot in self.boots)
        self.boots.append(recovered.boot)
        self.known = found(self.maybe, opened, recovered)
        self.maybe = [self.known]
        return recovered

    def stop_at(self, step: int) -> None:
        """The process stops in the place of the step with this number, counted from now."""
        at = self.disk.steps + step

        def on_step(operation: str) -> None:
            if self.disk.steps == at:
                raise PowerFailure

        self.disk.on_step = on_step

    def lose_power(self) -> None:
        """Everything that was not durable may be gone."""
        self.disk.on_step = None
        self.disk.faults = DiskFaults(out_of_order=self.disk.faults.out_of_order)
        self.disk.power_failure()


def found(maybe: list[Model], opened: LevelDBStorage, recovered: Recovered) -> Model:
    """Which of the models the store holds."""
    state = recovered.groups[0]
    hard_state = (state.hard_state.term, state.hard_state.vote)
    for model in reversed(maybe):
        if (len(model.log), *model.hard_state[:2]) == (state.last_index, *hard_state):
            model.check(opened)
            return model
    said = [(len(model.log), *model.hard_state) for model in maybe]
    raise AssertionError(f"it holds {state.last_index} entries and {hard_state}, and was told one of {said}")


def draw_faults(rng: Random) -> DiskFaults:
    """Each kind of error now and then, or not at all."""

    def rate() -> float:
        return rng.choice((0.0, 0.0, 0.01, 0.05))

    return DiskFaults(write_error=rate(), sync_error=rate(), no_space=rate())


AnyLife = TypeVar("AnyLife", bound=Life)


def lives_cut_off(
    begin: Callable[[Disk, Random], AnyLife],
    seed: int,
    steps: range,
    starts: int,
    faults: Callable[[Random], DiskFaults],
) -> Iterator[AnyLife]:
    """Lives of so many starts, of which each had its power fail at one of ``steps``, unless it came to its end before;
    without those that the disk has ended by what may be refused."""
    for step in steps:
        rng = Random(seed * 1000 + step)
        life = begin(Disk(Random(seed * 1000 + step)), rng)
        life.stop_at(step)
        try:
            life.run(starts, partial(faults, rng))
        except PowerFailure:
            pass
        except StorageDamaged:
            assert life.disk.harm
            continue
        yield life


def end_of_life(life: Life) -> str:
    """What the first start after a power failure finds: "found", or "refused" where the disk has done what may be
    refused. Anything else fails the test."""
    life.lose_power()
    opened = life.new()
    try:
        life.open(opened)
    except StorageDamaged:
        assert life.disk.harm, "refused, and the disk has kept its contract"
        return "refused"
    opened.close()
    opened = life.new()  # and a clean close is one
    life.open(opened)
    opened.close()
    return "found"
