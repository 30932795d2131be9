"""The commit feed: everything, in order, once; whoever reads slowly costs the node nothing."""

from __future__ import annotations

import asyncio
import gc

import pytest

from raftcore import Entries, Entry, EntryKind
from raftpy import Stopped
from raftpy.runtime import commits
from raftpy.runtime.commits import Commit, CommitFeed
from tests.node.harness import Cluster, play
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
