"""The disk in memory: what a crash takes and leaves, delayed writes on a clock, and the faults tests can put in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftcore.values.message import Message
from raftpy.contracts.errors import StorageDamaged, StorageFailed, StorageLocked
from raftpy.contracts.storage import AppendBatch
from raftpy.storage import MemoryDisk, MemoryStore
from tests.storage.support import OWNER, Drawn, Model, append, commit_only, entries, submit


class Timer:
    def cancel(self) -> None:
        raise AssertionError("a store cancels nothing")


class ManualClock:
    """A clock whose hand the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        self._timers.append((self.now + delay_s, len(self._timers), callback))
        return Timer()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and min(self._timers)[0] <= end:
            timer = min(self._timers)
            self._timers.remove(timer)
            self.now = timer[0]
            timer[2]()
        self.now = end


class Fixture:
    """An open store with delayed writes, and what it has reported."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(disk, self.clock, delay_s=1.0)
        self.recovered = self.store.open(OWNER)
        self.done: list[AppendBatch] = []
        self.failures: list[StorageFailed] = []
        self.store.set_completion(self.done.append, self.failures.append)

    def submit(self, *appends: Message) -> AppendBatch:
        batch = [(0, list(appends))]
        assert self.store.submit(batch) is False
        return batch


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


def test_delayed_writes_are_grouped_and_complete_in_order(disk: MemoryDisk) -> None:
    it = Fixture(disk)
    first = it.submit(append(entries(1, 1, 1), term=1))
    it.clock.advance(0.5)
    waiting = [it.submit(append(entries(index, 1, 1))) for index in (2, 3)] + [it.submit(commit_only(1, 0, 2))]
    assert it.done == []
    it.clock.advance(0.5)
    assert [id(batch) for batch in it.done] == [id(first)]
    it.clock.advance(0.99)
    assert len(it.done) == 1
    it.clock.advance(0.01)
    assert [id(batch) for batch in it.done[1:]] == [id(batch) for batch in waiting]


@pytest.mark.parametrize("surviving", range(5))
def test_a_crash_keeps_what_was_durable_and_a_prefix_of_the_rest(disk: MemoryDisk, surviving: int) -> None:
    model = Model()
    it = Fixture(disk)
    model.submit(it.submit(append(entries(1, 5, 1), term=1, vote=2))[0][1])
    it.clock.advance(1)
    pending = [
        it.submit(append(entries(6, 2, 1))),
        it.submit(append(entries(4, 2, 2), term=2, vote=1)),
        it.submit(append(term=3)),
    ]
    it.clock.advance(0.5)
    disk.crash(surviving)
    it.clock.advance(5)
    assert len(it.done) == 1
    for ((_, appends),) in pending[:surviving]:
        model.submit(appends)
    with pytest.raises(StorageFailed, match="has crashed"):
        submit(it.store, [append(term=9)])
    it.store.close()
    again = Fixture(disk)
    model.check(again.store, again.recovered)
    assert again.recovered.boot >> 32 == 2


def test_a_commit_alone_does_not_survive_a_crash(disk: MemoryDisk) -> None:
    store = MemoryStore(disk)
    store.open(OWNER)
    submit(store, [append(entries(1, 5, 1), term=1, vote=2)])
    submit(store, [commit_only(1, 2, 5)])
    disk.crash()
    assert MemoryStore(disk).open(OWNER).groups[0].hard_state.commit == 0


def test_a_closed_store_has_written_everything_and_says_nothing(disk: MemoryDisk) -> None:
    it = Fixture(disk)
    it.submit(append(entries(1, 2, 1), term=1))
    it.submit(append(entries(3, 2, 1)))
    it.store.close()
    it.clock.advance(10)
    assert it.done == []
    assert MemoryStore(disk).open(OWNER).groups[0].last_index == 4


def test_what_a_callback_submits_is_part_of_a_later_batch(disk: MemoryDisk) -> None:
    it = Fixture(disk)
    answers: list[bool] = []

    def callback(batch: AppendBatch) -> None:
        it.done.append(batch)
        if len(it.done) < 3:
            answers.append(submit(it.store, [append(entries(len(it.done) + 1, 1, 1))]))

    it.store.set_completion(callback)
    it.submit(append(entries(1, 1, 1)))
    it.clock.advance(5)
    assert (len(it.done), answers) == (3, [False, False])


def test_a_fault_in_a_delayed_write_is_reported(disk: MemoryDisk) -> None:
    it = Fixture(disk)
    it.submit(append(entries(1, 1, 1)))
    disk.fault = "No space left on device"
    it.clock.advance(1)
    assert it.done == []
    assert [str(error) for error in it.failures] == ["writing to memory failed: No space left on device"]
    disk.fault = None
    with pytest.raises(StorageFailed, match="No space left"):
        submit(it.store, [append(entries(1, 1, 1))])
    it.store.close()
    assert MemoryStore(disk).open(OWNER).groups[0].last_index == 0


def test_damage(disk: MemoryDisk) -> None:
    disk.damaged = "a bit has rotted"
    with pytest.raises(StorageDamaged, match="memory is damaged: a bit has rotted; .* under a new node id"):
        MemoryStore(disk).open(OWNER)


def test_erasing(disk: MemoryDisk) -> None:
    store = MemoryStore(disk)
    first = store.open(OWNER)
    submit(store, [append(entries(1, 2, 1), term=1)])
    with pytest.raises(StorageLocked):
        disk.erase()
    store.close()
    disk.erase()
    again = MemoryStore(disk).open(OWNER)
    assert again.store_id != first.store_id
    assert (again.boot >> 32, again.groups[0].last_index) == (1, 0)


def test_ids_come_from_the_given_random_source() -> None:
    made = [MemoryStore(MemoryDisk(entropy=Drawn(b"\7"))).open(OWNER) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].store_id == 0x0707070707070707
