"""Inline or on a thread: the order, the grouping and the reports are the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raftcore.base.errors import Compacted
from raftcore.base.types import EntryKind
from raftcore.values.entries import Entries, Entry
from raftcore.values.message import Message
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.storage import AppendBatch
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import writer as writer_module
from raftpy.storage.leveldb.writer import Pace, Writer
from raftpy.system.threads import Threads
from tests.storage.support import EVERYTHING, OWNER, Disk, Model, append, commit_only, entries, submit


class TestPace:
    def test_short_syncs_stay_inline(self) -> None:
        pace = Pace()
        for _ in range(100):
            pace.note(0.0003)
            assert not pace.slow

    def test_slow_when_the_median_is_long(self) -> None:
        pace = Pace()
        for _ in range(8):
            pace.note(0.003)
            assert not pace.slow
        pace.note(0.003)
        assert pace.slow

    def test_inline_again_when_the_median_is_short(self) -> None:
        pace = Pace()
        for _ in range(30):
            pace.note(0.003)
        for _ in range(7):
            pace.note(0.0003)
            assert pace.slow
        pace.note(0.0003)
        assert not pace.slow

    def test_one_stall_counts_for_a_while(self) -> None:
        pace = Pace()
        pace.note(0.050)
        for _ in range(Pace.WINDOW - 1):
            pace.note(0.0001)
            assert pace.slow
        for _ in range(2):
            pace.note(0.0001)
        assert not pace.slow

    def test_stalls_among_short_syncs(self) -> None:
        pace = Pace()
        for _ in range(5):
            pace.note(0.025)
            for _ in range(10):
                pace.note(0.0001)
                assert pace.slow


class Gate:
    """A write function that takes until it is let through, and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[threading.Thread] = set()
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.error: StorageFailed | None = None

    def write(self, batch: AppendBatch) -> bool:
        self.entered.release()
        self.open.wait(10)
        self.threads.add(threading.current_thread())
        if self.error is not None:
            raise self.error
        self.batches.append([message.index for _, appends in batch for message in appends])
        return True

    async def until_entered(self) -> None:
        await asyncio.to_thread(self.entered.acquire, timeout=10)


def numbered(*numbers: int, group: int = 0) -> AppendBatch:
    messages = []
    for number in numbers:
        message = append(term=1)
        message.index = number
        messages.append(message)
    return [(group, messages)]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited too long")


@pytest.fixture
def gate() -> Gate:
    return Gate()


class TestThread:
    async def test_what_waits_for_a_batch_is_not_written_in_the_call(self, tmp_path: Path) -> None:
        """A commit index alone is, for it costs no sync; with a compaction that waits it does."""
        store = LevelDBStorage(tmp_path / "node1", mode="thread")
        store.open(OWNER)
        done: list[AppendBatch] = []
        store.set_completion(done.append)
        assert not store.submit([(0, [append(entries(1, 3, 1), term=1)])])
        await until(lambda: len(done) == 1)
        assert store.submit([(0, [commit_only(1, 0, 3)])])
        store.group(0).compact(2)
        assert store.group(0).entries(1, 4, EVERYTHING).count == 3
        assert not store.submit([(0, [commit_only(1, 0, 3)])])
        await until(lambda: len(done) == 2)
        with pytest.raises(Compacted):
            store.group(0).entries(2, 4, EVERYTHING)
        assert store.submit([(0, [commit_only(1, 0, 3)])])
        store.close()

    async def test_without_room_for_a_thread_it_is_written_in_the_call(
        self, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once and no more, and the next one finds a thread again."""

        def no_room(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        gate.open.set()
        writer = Writer(gate.write, "thread", Threads())
        done: list[AppendBatch] = []
        writer.bind(done.append, None)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_room)
            assert writer.submit(numbered(1))
            assert (gate.batches, gate.threads) == ([[1]], {threading.current_thread()})
        second = numbered(2)
        assert not writer.submit(second)
        await until(lambda: len(done) == 1)
        assert done == [second]
        writer.close()
        assert gate.batches == [[1], [2]]
        assert len(gate.threads) == 2

    async def test_a_large_batch_is_never_waited_for(self, gate: Gate) -> None:
        """However fast the disk was; and that it took long says nothing of the next one."""
        times = iter([0.0, 0.001, 1.0, 2.0, 3.0, 3.001])
        writer = Writer(gate.write, "auto", Threads(), timer=lambda: next(times))
        done: list[AppendBatch] = []
        writer.bind(done.append, None)
        gate.open.set()
        assert writer.submit(numbered(1))
        part = append(
            Entries.build([Entry(1, 2, EntryKind.EntryNormal, bytes(writer_module.LARGE_BYTES // 4))]), term=1
        )
        large, small = [(0, [part, part]), (7, [part, part])], [(0, [part] * 3)]
        assert writer_module.is_large(large)
        assert not writer_module.is_large(small)
        gate.open.clear()
        assert not writer.submit(large)
        await gate.until_entered()
        assert done == []  # it is being written, and the loop goes on
        gate.open.set()
        await until(lambda: len(done) == 1)
        assert not writer.pace.slow
        assert writer.submit(numbered(3))
        writer.close()

    async def test_what_waits_is_written_together(self, gate: Gate) -> None:
        writer = Writer(gate.write, "thread", Threads())
        done: list[AppendBatch] = []
        threads: set[threading.Thread] = set()

        def complete(batch: AppendBatch) -> None:
            done.append(batch)
            threads.add(threading.current_thread())

        writer.bind(complete, None)
        submits = [numbered(1), numbered(2, 3), numbered(4, group=7), numbered(5)]
        assert not writer.submit(submits[0])
        await gate.until_entered()
        for batch in submits[1:]:
            assert not writer.submit(batch)
        assert done == []
        gate.open.set()
        await until(lambda: len(done) == 4)
        assert gate.batches == [[1], [2, 3, 4, 5]]
        assert all(one is other for one, other in zip(done, submits, strict=True))
        assert threads == {threading.current_thread()}
        assert threads.isdisjoint(gate.threads)
        writer.close()

    async def test_a_commit_alone_waits_for_what_is_under_way(self, gate: Gate) -> None:
        writer = Writer(gate.write, "thread", Threads())
        done: list[AppendBatch] = []
        writer.bind(done.append, None)
        gate.open.set()
        assert writer.submit([(0, [commit_only(1, 1, 1)])])  # nothing under way: complete at once, inline
        assert gate.threads == {threading.current_thread()}
        gate.open.clear()
        first, alone = numbered(1), [(0, [commit_only(1, 1, 1)])]
        assert not writer.submit(first)
        assert not writer.submit(alone)
        await asyncio.sleep(0.02)
        assert done == []
        gate.open.set()
        await until(lambda: len(done) == 2)
        assert done[0] is first
        assert done[1] is alone
        writer.close()

    async def test_close_waits_and_silences(self, gate: Gate) -> None:
        writer = Writer(gate.write, "thread", Threads())
        done: list[AppendBatch] = []
        writer.bind(done.append, None)
        writer.submit(numbered(1))
        await gate.until_entered()
        writer.submit(numbered(2))
        threading.Timer(0.05, gate.open.set).start()
        writer.close()
        assert gate.batches == [[1], [2]]
        await asyncio.sleep(0.02)
        assert done == []

    async def test_a_failure_is_reported_once_and_nothing_after_it_is_durable(self, gate: Gate) -> None:
        writer = Writer(gate.write, "thread", Threads())
        done: list[AppendBatch] = []
        failures: list[StorageFailed] = []
        writer.bind(done.append, failures.append)
        gate.error = StorageFailed("full")
        writer.submit(numbered(1))
        await gate.until_entered()
        writer.submit(numbered(2))
        gate.open.set()
        await until(lambda: bool(failures))
        await asyncio.sleep(0.02)
        assert (done, failures) == ([], [gate.error])
        writer.close()

    async def test_the_loop_goes_away(self, gate: Gate) -> None:
        def other() -> Writer:
            async def main() -> Writer:
                writer = Writer(gate.write, "thread", Threads())
                writer.bind(lambda appends: None, None)
                writer.submit(numbered(1))
                return writer

            return asyncio.run(main())

        writer = await asyncio.to_thread(other)
        gate.open.set()
        writer.close()
        assert gate.batches == [[1]]


class TestAuto:
    async def test_a_stall_moves_writing_to_the_thread_and_short_syncs_back(self) -> None:
        threads: list[bool] = []
        took = 0.0
        now = 0.0

        def write(batch: AppendBatch) -> bool:
            nonlocal now
            threads.append(threading.current_thread() is not threading.main_thread())
            now += took
            return True

        writer = Writer(write, "auto", Threads(), timer=lambda: now)
        done: list[AppendBatch] = []
        writer.bind(done.append, None)

        async def submit() -> None:
            count = len(done)
            if not writer.submit(numbered(1)):
                await until(lambda: len(done) > count)

        await submit()
        took = 0.030
        await submit()
        took = 0.0001
        for _ in range(40):
            await submit()
        assert threads[:2] == [False, False]
        switch_back = threads.index(False, 2)
        assert threads[2:switch_back] == [True] * (switch_back - 2)
        assert Pace.WINDOW - 1 <= switch_back - 2 <= Pace.WINDOW + 2
        assert not any(threads[switch_back:])
        writer.close()

    def test_without_a_loop_everything_is_inline(self, gate: Gate) -> None:
        writer = Writer(gate.write, "thread", Threads())
        writer.bind(lambda appends: None, None)
        gate.open.set()
        assert writer.submit(numbered(1))
        assert gate.threads == {threading.current_thread()}


class TestLevelDB:
    async def test_on_the_thread_with_conflicts_and_reads(self, tmp_path: Path) -> None:
        """Reads go on while batches that cut the log are under way, and see only what is durable."""
        store = LevelDBStorage(tmp_path / "node1", mode="thread")
        store.open(OWNER)
        model = Model()
        done: list[AppendBatch] = []
        failures: list[StorageFailed] = []
        store.set_completion(done.append, failures.append)
        submitted: list[list[Message]] = []
        reads = 0
        for round_number in range(60):
            term = round_number + 1
            last = len(model.log)
            first = last + 1 if round_number % 3 else max(1, last - 2)
            for appends in ([append(entries(first, 4, term), term=term)], [append(entries(first + 4, 1, term))]):
                model.submit(appends)
                assert not submit(store, appends)
                submitted.append(appends)
            pending = [appends[0].entries for appends in submitted[len(done) :]]
            durable = min(run.first for run in pending if run is not None) - 1
            if durable:
                reads += 1
                read = store.group(0).entries(1, durable + 1, EVERYTHING)
                assert [(entry.term, entry.data) for entry in read] == model.log[:durable]
            await asyncio.sleep(0.002 * (round_number % 4))
        await until(lambda: len(done) == len(submitted))
        assert reads > 20
        assert not failures
        model.check(store)
        store.close()
        disk = Disk("leveldb", tmp_path / "node1")
        model.check(*disk.open())

    async def test_closing_writes_what_was_submitted(self, tmp_path: Path) -> None:
        store = LevelDBStorage(tmp_path / "node1", mode="thread")
        store.open(OWNER)
        store.set_completion(lambda appends: None)
        for index in range(1, 20):
            submit(store, [append(entries(index, 1, 1))])
        submit(store, [commit_only(1, 1, 19)])
        store.close()
        _, recovered = Disk("leveldb", tmp_path / "node1").open()
        assert (recovered.groups[0].last_index, recovered.groups[0].hard_state.commit) == (19, 19)

    async def test_a_write_that_fails_later(self, tmp_path: Path) -> None:
        store = LevelDBStorage(tmp_path / "node1", mode="thread")
        store.open(OWNER)
        done: list[AppendBatch] = []
        failures: list[StorageFailed] = []
        store.set_completion(done.append, failures.append)
        assert not submit(store, [append(entries(1, 1, 1))])
        assert not submit(store, [append(entries(5, 1, 1))])  # a gap
        await until(lambda: bool(failures))
        assert len(done) <= 1  # the first may have been in the same batch
        with pytest.raises(StorageFailed, match="entries from 5 on"):
            submit(store, [append(entries(2, 1, 1))])
        start = time.monotonic()
        store.close()
        assert time.monotonic() - start < 5
