"""The store on disk over a disk in memory, which forgets at a power failure whatever the contract of files lets it.

So the contracts are enough to run the store on, and it relies on nothing that they do not promise: the power fails
in the place of each step that changes the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePath
from random import Random
from types import SimpleNamespace
from typing import Any, Never

import pytest

from raftpy.contracts.errors import ForeignDirectory, StorageLocked
from raftpy.contracts.executor import Executor
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, DiskFiles
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.lock import DirectoryLock
from raftpy.storage.leveldb.ownership import check_ours
from raftpy.storage.leveldb.store import make_directory
from raftpy.storage.leveldb.writer import Mode
from tests.storage.late import LateExecutor
from tests.storage.power import fail_at_each_step
from tests.storage.support import OWNER, SMALLEST_BUFFER, Model, append, commit_only, entries, submit

NODE = PurePath("/data/node1")


class TestFloor:
    @staticmethod
    def made(files: DiskFiles) -> None:
        make_directory(files, NODE)

    def test_a_first_one(self) -> None:
        def check(files: DiskFiles, done: bool) -> None:
            assert Floor.read(files, NODE) in ((Floor(1),) if done else (None, Floor(1)))

        # Made, written, synced, renamed, and the directory synced.
        assert fail_at_each_step(self.made, lambda files: Floor(1).write(files, NODE), check) == 5

    def test_one_in_the_place_of_another(self) -> None:
        """What was there stays until the new one is there, and what has returned stays for ever."""

        def before(files: DiskFiles) -> None:
            self.made(files)
            Floor(1, boot=7).write(files, NODE)

        def check(files: DiskFiles, done: bool) -> None:
            floors = [Floor(1, boot=8)] if done else [Floor(1, boot=7), Floor(1, boot=8)]
            assert Floor.read(files, NODE) in floors
            assert check_ours(files, NODE) is None
            Floor(1, boot=9).write(files, NODE)  # whatever the failure has left beside it
            assert Floor.read(files, NODE) == Floor(1, boot=9)

        assert fail_at_each_step(before, lambda files: Floor(1, boot=8).write(files, NODE), check) == 5

    def test_the_directory_of_a_store_is_there_with_it(self) -> None:
        def act(files: DiskFiles) -> None:
            make_directory(files, NODE)
            Floor(1).write(files, NODE)

        def check(files: DiskFiles, done: bool) -> None:
            assert not done or Floor.read(files, NODE) == Floor(1)

        assert fail_at_each_step(lambda files: None, act, check) == 9


def test_a_lock_holds_against_everybody_and_goes_with_its_machine() -> None:
    disk = Disk(Random(1))
    files = disk.files()
    make_directory(files, NODE)
    lock = DirectoryLock(files, NODE, 7)
    with pytest.raises(StorageLocked, match="by process 1 on host simulated as node 7"):
        DirectoryLock(disk.files(pid=2), NODE, 8)
    lock.release()
    held = DirectoryLock(disk.files(pid=2), NODE, 8)
    other = Disk(Random(1)).files(pid=2)
    DirectoryLock(other, PurePath("/"), 8).release()  # another disk is another matter
    disk.power_failure()
    held.leave()
    DirectoryLock(disk.files(), NODE, 7).release()


@pytest.mark.parametrize("name", ["passwd", "floor", "lock"])
def test_a_foreign_directory_is_left_alone(name: str) -> None:
    files = Disk(Random(1)).files()
    make_directory(files, NODE)
    file = files.open(NODE / name, "rewrite")
    file.write(b"something else")
    file.close()
    steps = files.disk.steps
    with pytest.raises(ForeignDirectory, match=name):
        store(files).open(OWNER)
    assert files.disk.steps == steps


def store(files: DiskFiles, seed: int = 1, mode: Mode = "inline", executor: Executor | None = None) -> LevelDBStorage:
    return LevelDBStorage(
        NODE,
        mode=mode,
        executor=executor or LateExecutor(),
        segment_size=SMALLEST_BUFFER,
        files=files,
        database=SimulatedEngine(files),
        entropy=SeededEntropy(Random(seed)),
    )


SUBMITS = (
    [append(entries(1, 3, 1), term=1, vote=1)],
    [commit_only(1, 1, 2)],
    [append(entries(3, 2, 2), term=2)],
    [append(term=3, vote=2), append(entries(5, 20, 3))],
)


class Life:
    """A store that is written to, closed and opened again, and what it has said was durable."""

    def __init__(self) -> None:
        self.durable = 0
        self.submitted = 0
        self.closed = False

    def __call__(self, files: DiskFiles) -> None:
        self.__init__()  # type: ignore[misc]
        for part in (SUBMITS[:2], SUBMITS[2:]):
            opened = store(files)
            opened.open(OWNER)
            for appends in part:
                self.submitted += 1
                assert submit(opened, appends)
                self.durable += 1
            opened.close()

    def check(self, files: DiskFiles, done: bool) -> None:
        """It opens, with all that was durable, and perhaps with what was under way."""
        opened = store(files, seed=2)
        recovered = opened.open(OWNER)
        last = recovered.groups[0].last_index
        lasts = {len(model(count).log) for count in range(self.durable, self.submitted + 1)}
        assert last in lasts
        model(self.submitted if last == len(model(self.submitted).log) else self.durable).check(opened)
        opened.close()


def model(count: int) -> Model:
    made = Model()
    for appends in SUBMITS[:count]:
        made.submit(appends)
    return made


def test_a_store_loses_nothing_wherever_the_power_fails() -> None:
    life = Life()
    steps = fail_at_each_step(lambda files: make_directory(files, NODE.parent), life, life.check)
    assert steps > 40


def test_a_first_start_can_be_made_again_wherever_the_power_fails() -> None:
    """Nothing was told to anybody yet, so nothing that is missing is damage.

    In particular there is no floor of a boot without the database beside it, though a power failure takes or leaves
    each name of a directory by itself.
    """

    def start(files: DiskFiles) -> None:
        store(files).open(OWNER)

    def check(files: DiskFiles, done: bool) -> None:
        again = store(files, seed=2)
        assert again.open(OWNER).boot >> 32 >= 1 + done
        again.close()

    steps = fail_at_each_step(lambda files: make_directory(files, NODE.parent), start, check, sources=range(20))
    assert steps > 20


class Stepped:
    """An ``Executor`` without a thread: what runs beside the loop runs when ``step`` is called."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], object]] = []

    def step(self) -> None:
        self._waiting.pop(0)()

    def start(self, name: str, run: Callable[[], object]) -> Never:
        raise AssertionError("a store that is open starts nothing")

    def worker(self, name: str, work: Callable[[list[Any]], bool]) -> Any:
        items: list[Any] = []

        def run() -> None:
            taken, items[:] = items[:], []
            assert work(taken)

        def put(item: Any) -> None:
            items.append(item)
            if len(items) == 1:
                self._waiting.append(run)

        def close() -> None:
            while self._waiting:
                self.step()

        return SimpleNamespace(put=put, close=close)

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        loop.call_soon(call, *arguments)
        return True

    def background(self) -> Stepped:
        return self

    def lock(self) -> AbstractContextManager[object]:
        return nullcontext()


async def test_what_is_written_beside_the_loop_is_written_when_the_simulator_says_so() -> None:
    steps = Stepped()
    files = Disk(Random(1)).files()
    make_directory(files, NODE.parent)
    opened = store(files, mode="thread", executor=steps)
    opened.open(OWNER)
    steps.step()  # a segment is made beforehand
    done: list[int] = []
    opened.set_completion(lambda batch: done.append(batch[0][1][0].term))
    assert not submit(opened, [append(entries(1, 3, 1), term=1)])
    steps.step()
    for term in (2, 3):
        assert not submit(opened, [append(term=term)])
    assert done == []
    await asyncio.sleep(0)
    assert done == [1]
    before = files.disk.steps
    steps.step()
    assert files.disk.steps == before + 2  # one write and one sync for both
    await asyncio.sleep(0)
    assert done == [1, 2, 3]
    assert not submit(opened, [append(term=4)])
    opened.close()
    again = store(files, seed=2)
    assert again.open(OWNER).groups[0].hard_state.term == 4
    again.close()


@pytest.mark.parametrize("bad", [DiskFaults(write_error=1.0), DiskFaults(sync_error=1.0), DiskFaults(no_space=1.0)])
def test_a_store_on_a_broken_disk_is_closed_without_an_error_and_lets_go_of_its_directory(bad: DiskFaults) -> None:
    disk = Disk(Random(1))
    files = disk.files()
    make_directory(files, NODE.parent)
    store = LevelDBStorage(NODE, files=files, database=SimulatedEngine(files), executor=LateExecutor(), mode="inline")
    store.open(OWNER)
    submit(store, [append(entries(1, 2, 1), term=1)])
    disk.faults = bad
    store.close()
    disk.faults = DiskFaults()
    again = LevelDBStorage(NODE, files=files, database=SimulatedEngine(files), executor=LateExecutor(), mode="inline")
    assert again.open(OWNER).groups[0].last_index == 2
    again.close()
