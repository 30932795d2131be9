"""The commit feed: everything, in order, once; whoever reads slowly costs the node nothing."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from raftcore import Entries, Entry, EntryKind
from raftcore.base.errors import Compacted, LogTemporarilyUnavailable, Unavailable
from raftpy import Config, Node, Stopped, StorageDamaged
from raftpy.cli.demo_cluster import free_ports
from raftpy.contracts.clock import SystemClock
from raftpy.runtime import commits
from raftpy.runtime.commits import Commit, CommitFeed
from raftpy.runtime.log_reading import LogReading
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.group_log import LevelDBGroupLog
from raftpy.system.threads import Threads
from tests.node.harness import Cluster, Recorder, play
from tests.node.loop import run
from tests.node.test_errors import single


def test_every_replica_tells_the_same(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        readers = {i: cluster.nodes[i].commits() for i in cluster.ids}
        leader, term = await cluster.single_leader()
        for number in range(5):
            await cluster.propose(leader, b"%d" % number)
        for reader in readers.values():
            got = [await anext(reader) for _ in range(5)]
            assert [c.command for c in got] == [b"0", b"1", b"2", b"3", b"4"]
            assert [c.index for c in got] == list(range(got[0].index, got[0].index + 5))
            assert {c.term for c in got} == {term}
            index, of_term, command = got[0]
            assert (index, of_term, command) == (got[0].index, term, b"0")

    play("memory", 3, seed, scenario)


def test_from_now_on_or_from_an_index() -> None:
    async def main() -> None:
        node, _, _ = single()
        async with node:
            await node.wait_for_leader()
            await node.propose_many([b"%d" % i for i in range(10)])
            late, early, middle = node.commits(), node.commits(1), node.commits(6)
            await node.propose(b"new")
            assert await anext(late) == Commit(13, 1, b"new")  # 1 is the leader's own, 2 the member table's
            assert [(await anext(early)).command for _ in range(11)] == [*(b"%d" % i for i in range(10)), b"new"]
            assert (await anext(middle)).index == 6
            with pytest.raises(ValueError, match="at least 1, got 0"):
                node.commits(0)
            ahead = node.commits(15)
            await node.propose_many([b"a", b"b"])
            assert await anext(ahead) == Commit(15, 1, b"b")

    run(main())


def test_waits_for_what_comes_and_ends_with_the_node() -> None:
    async def main() -> None:
        node, _, _ = single()
        got: list[Commit] = []

        async def read() -> None:
            async for commit in node.commits(1):
                got.append(commit)

        await node.start()
        task = asyncio.create_task(read())
        await node.wait_for_leader()
        for number in range(3):
            await node.propose(b"%d" % number)
            await asyncio.sleep(0.01)
            assert len(got) == number + 1
        await node.stop()
        await task

    run(main())


class Log:
    """Pages for a feed, and how often they were read."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.reads: list[tuple[int, int]] = []

    def read(self, lo: int, hi: int, max_bytes: int) -> Entries:
        self.reads.append((lo, hi))
        size = count = 0
        while lo + count < hi and (count == 0 or size < max_bytes):
            size += len(self.entries[lo + count - 1].data)
            count += 1
        return Entries.build(self.entries[lo - 1 : lo - 1 + count])

    def add(self, feed: CommitFeed, count: int, size: int = 10) -> None:
        first = len(self.entries) + 1
        new = [Entry(1, first + i, EntryKind.EntryNormal, bytes(size)) for i in range(count)]
        self.entries += new
        feed.publish(Entries.build(new))


def test_a_reader_that_keeps_up_never_asks_the_store() -> None:
    async def main() -> None:
        log = Log()
        feed = CommitFeed(log.read, 0)
        reader = feed.subscribe(None)
        for index in range(1, 200, 2):
            log.add(feed, 2)
            assert [(await anext(reader)).index for _ in range(2)] == [index, index + 1]
        assert log.reads == []

    asyncio.run(main())


def test_a_slow_reader_holds_a_bounded_queue_and_misses_nothing() -> None:
    async def main() -> None:
        log = Log()
        feed = CommitFeed(log.read, 0)
        reader = feed.subscribe(1)
        got = []
        for round_ in range(50):
            log.add(feed, 100, size=1000)  # five million bytes in all
            assert reader._queued_bytes <= commits.QUEUE_BYTES
            assert reader._queued_bytes == sum(len(e.data) for e in reader._queue)
            if round_ % 7 == 0:
                got += [await anext(reader) for _ in range(30)]
        while len(got) < 5000:
            got.append(await anext(reader))
        assert [c.index for c in got] == list(range(1, 5001))
        assert log.reads
        assert max(hi - lo for lo, hi in log.reads) < 5000
        log.add(feed, 1)
        before = len(log.reads)
        assert (await anext(reader)).index == 5001
        assert len(log.reads) == before  # it has caught up, and lives from its queue again

    asyncio.run(main())


def test_a_long_backlog_leaves_the_loop_its_turns() -> None:
    async def main() -> None:
        log = Log()
        feed = CommitFeed(log.read, 0)
        log.add(feed, 5000, size=1000)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        reader = feed.subscribe(1)
        for _ in range(5000):
            await anext(reader)
        task.cancel()
        assert turns >= 5_000_000 // commits.PAGE_BYTES

    asyncio.run(main())


def test_an_abandoned_reader_is_forgotten() -> None:
    async def main() -> None:
        feed = CommitFeed(Log().read, 0)
        reader = feed.subscribe(None)
        closed = feed.subscribe(None)
        await closed.aclose()
        assert len(feed.readers) == 1
        del reader
        gc.collect()
        assert len(feed.readers) == 0

    asyncio.run(main())


def test_stopped_with_entries_unread() -> None:
    async def main() -> None:
        log = Log()
        feed = CommitFeed(log.read, 0)
        log.add(feed, 3)
        reader, idle = feed.subscribe(1), feed.subscribe(None)
        feed.close(None)
        with pytest.raises(Stopped, match="entries 1 to 3 committed but not read"):
            await anext(reader)
        with pytest.raises(StopAsyncIteration):
            await anext(idle)
        with pytest.raises(StopAsyncIteration):
            await anext(feed.subscribe(4))

    asyncio.run(main())


class Beside:
    """A feed whose pages are read in a thread, and what its host would end for."""

    def __init__(self) -> None:
        self.log = Log()
        self.failures: list[BaseException] = []
        self.reading = LogReading(Threads(), SystemClock(), 1, self.failures.append)
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[int] = set()
        self.errors: deque[Exception] = deque()
        self.feed = CommitFeed(self.read, 0, reading=self.reading)

    def read(self, lo: int, hi: int, max_bytes: int) -> Entries:
        self.threads.add(threading.get_ident())
        self.gate.wait(10)
        if self.errors:
            raise self.errors.popleft()
        return self.log.read(lo, hi, max_bytes)

    def end(self) -> None:
        self.gate.set()
        self.reading.stop()
        self.reading.end()


def beside(scenario: Callable[[Beside], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        there = Beside()
        try:
            await asyncio.wait_for(scenario(there), 20)
        finally:
            there.end()

    asyncio.run(main())


def test_pages_are_read_beside_the_loop_which_goes_on() -> None:
    async def scenario(there: Beside) -> None:
        there.log.add(there.feed, 3000, size=1000)
        reader = there.feed.subscribe(1)
        there.gate.clear()
        first = asyncio.ensure_future(anext(reader))
        for _ in range(20):
            await asyncio.sleep(0.001)  # the disk takes its time
        there.log.add(there.feed, 10)  # which wakes the reader
        await asyncio.sleep(0.01)
        assert not first.done()
        assert len(there.log.reads) == 0
        there.gate.set()
        got = [await first, *[await anext(reader) for _ in range(3009)]]
        assert [commit.index for commit in got] == list(range(1, 3011))
        assert there.threads
        assert threading.get_ident() not in there.threads
        begins = [lo for lo, _ in there.log.reads]
        assert begins == sorted(set(begins)), "each page once, in order"
        assert len(begins) > 5
        assert there.failures == []

    beside(scenario)


@pytest.mark.parametrize("error", [Compacted(), Unavailable()])
def test_what_is_cut_off_beneath_a_slow_reader_it_is_told(error: Exception) -> None:
    """And nobody else: it may begin again behind it."""

    async def scenario(there: Beside) -> None:
        there.log.add(there.feed, 100)
        reader = there.feed.subscribe(1)
        there.errors.append(error)
        with pytest.raises(type(error)):
            await anext(reader)
        assert (await anext(there.feed.subscribe(50))).index == 50
        assert there.failures == []

    beside(scenario)


def test_what_cannot_be_read_now_is_read_a_little_later() -> None:
    async def scenario(there: Beside) -> None:
        there.log.add(there.feed, 100)
        there.errors += [LogTemporarilyUnavailable(), LogTemporarilyUnavailable()]
        assert (await anext(there.feed.subscribe(1))).index == 1
        assert not there.errors

    beside(scenario)


def test_damage_is_told_to_the_reader_and_ends_the_host() -> None:
    async def scenario(there: Beside) -> None:
        there.log.add(there.feed, 100)
        there.errors.append(StorageDamaged("its checksum does not hold", "here"))
        with pytest.raises(StorageDamaged):
            await anext(there.feed.subscribe(1))
        await asyncio.sleep(0.01)
        assert [type(failure) for failure in there.failures] == [StorageDamaged]

    beside(scenario)


def test_a_stop_while_a_page_is_read() -> None:
    """The reader is told at once, whatever the disk does; the page is for nobody."""

    async def scenario(there: Beside) -> None:
        there.log.add(there.feed, 100)
        there.gate.clear()
        waiting = asyncio.ensure_future(anext(there.feed.subscribe(1)))
        await asyncio.sleep(0.01)
        there.reading.stop()
        there.feed.close(None)
        with pytest.raises(Stopped, match="entries 1 to 100 committed but not read"):
            await waiting

    beside(scenario)


def test_a_reader_that_gives_up_waiting_goes_on_where_it_was() -> None:
    async def scenario(there: Beside) -> None:
        there.log.add(there.feed, 100)
        reader = there.feed.subscribe(1)
        there.gate.clear()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(reader), 0.01)
        there.gate.set()
        assert [(await anext(reader)).index for _ in range(100)] == list(range(1, 101))
        assert len(there.log.reads) == 1

    beside(scenario)


def test_without_room_for_a_thread_the_loop_reads() -> None:
    async def scenario(there: Beside) -> None:
        def refuse(item: object) -> None:
            raise RuntimeError("can't start new thread")

        there.log.add(there.feed, 100)
        for worker in there.reading._workers:
            worker.put = refuse  # type: ignore[method-assign]
        assert (await anext(there.feed.subscribe(1))).index == 1
        assert there.threads == {threading.get_ident()}

    beside(scenario)


def test_a_node_on_a_disk_reads_them_beside_its_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[int] = set()
    entries = LevelDBGroupLog.entries

    def watched(log: LevelDBGroupLog, lo: int, hi: int, max_bytes: int) -> Entries:
        read.add(threading.get_ident())
        return entries(log, lo, hi, max_bytes)

    async def main() -> None:
        config = Config(id=1, cluster={1: f"127.0.0.1:{free_ports(1)[0]}"}, log_cache_bytes=0)
        async with Node(config, Recorder(), storage=LevelDBStorage(tmp_path / "n1")) as node:
            await node.wait_for_leader()
            await node.propose_many([b"%d" % number for number in range(100)])
            monkeypatch.setattr(LevelDBGroupLog, "entries", watched)
            reader = node.commits(1)
            assert [(await anext(reader)).command for _ in range(100)] == [b"%d" % number for number in range(100)]

    asyncio.run(main())
    assert read
    assert threading.get_ident() not in read
