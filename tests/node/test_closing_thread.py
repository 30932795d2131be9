"""A stop that waits for a slow disk keeps no event loop; and whatever becomes of that, the directory is free again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raftpy import ApplyFailed, BlockingNode, Config, Node, Stopped
from raftpy.contracts.executor import Thread
from raftpy.contracts.types import StoreOwner
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.system.threads import Threads
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Recorder, _free_addresses
from tests.node.loop import VirtualClock, run
from tests.node.test_opening_thread import ended_in_a_child, longest_turn

SLOW = 0.5
"""Seconds that a sync takes here, once the disk has become slow."""


class SlowStore(LevelDBStorage):
    """Syncs beside the loop, and once ``slow`` takes its time for it; remembers in which thread it was closed."""

    slow = False
    closer: int | None = None
    closed = False

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="thread")

    def _commit_batch(self) -> None:
        if self.slow:
            time.sleep(SLOW)
        super()._commit_batch()

    def close(self) -> None:
        self.closer = threading.get_ident()
        super().close()
        self.closed = True


class Poisonable(Recorder):
    def apply(self, index: int, command: bytes) -> int:
        if command == b"poison":
            raise ZeroDivisionError
        return super().apply(index, command)


def new_node(path: Path, **more: Any) -> tuple[Node, SlowStore]:
    storage = SlowStore(path)
    return Node(Config(id=1, cluster=_free_addresses(1)), Poisonable(), storage=storage, **more), storage


async def with_a_sync_under_way(node: Node, storage: SlowStore) -> asyncio.Future[int]:
    """Starts the node, and leaves it with a proposal that takes ``SLOW`` to write."""
    await node.start()
    await node.wait_for_leader()
    await node.propose(b"x")
    while node.status().applied_index < 3:  # and the leader's own two, one of which may come behind it
        await asyncio.sleep(0.001)
    storage.slow = True
    waiting = asyncio.ensure_future(outcome(node))
    await asyncio.sleep(SLOW / 10)
    assert not waiting.done()
    return waiting


async def outcome(node: Node) -> int:
    index: int = await node.propose(b"y", timeout=None)
    return index


def opens_again(path: Path) -> int:
    """Whether nothing has the directory open; the last index that is there."""
    store = LevelDBStorage(path)
    recovered = store.open(StoreOwner(1, {1: "127.0.0.1:7101"}))
    store.close()
    return recovered.groups[0].last_index


def test_the_loop_goes_on_while_the_store_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        waiting = await with_a_sync_under_way(node, storage)
        assert await longest_turn(node.stop) < SLOW / 2
        assert storage.closed, "stop returns when it is"
        assert storage.closer != threading.get_ident()
        with pytest.raises(Stopped):
            await waiting
        assert opens_again(tmp_path) == 4, "and what was under way has been written"
        await node.stop()

    asyncio.run(main())


def test_a_node_that_fails_keeps_no_loop_either_and_its_stop_waits_for_the_close(tmp_path: Path) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        await node.start()
        await node.wait_for_leader()
        storage.slow = True

        async def fails() -> None:
            with pytest.raises(ApplyFailed):
                await node.propose(b"poison", timeout=None)
            assert node.failed is not None
            assert not storage.closed

        assert await longest_turn(fails) < SLOW / 2
        await node.stop()
        assert storage.closed
        opens_again(tmp_path)

    asyncio.run(main())


@pytest.mark.parametrize("again", [True, False], ids=["and called again", "and that is all"])
def test_a_stop_that_is_cancelled_closes_the_store_all_the_same(tmp_path: Path, *, again: bool) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        await with_a_sync_under_way(node, storage)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SLOW / 10):
                await node.stop()
        assert not storage.closed
        if again:
            await node.stop()
            assert storage.closed

    asyncio.run(main())
    opens_again(tmp_path)


@pytest.mark.parametrize("begun", [False, True], ids=["before the close has begun", "while it is closed"])
def test_the_end_of_asyncio_run_waits_for_the_close(tmp_path: Path, *, begun: bool) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        await with_a_sync_under_way(node, storage)
        stopping.append(asyncio.ensure_future(node.stop()))
        await asyncio.sleep(SLOW / 10 if begun else 0)
        assert (storage.closer is not None) == begun
        assert not storage.closed

    stopping: list[asyncio.Future[None]] = []
    asyncio.run(main())
    assert opens_again(tmp_path) == 4


def test_the_end_of_asyncio_run_waits_in_whichever_turn_of_the_loop_it_comes(tmp_path: Path) -> None:
    class Slow(SlowStore):
        def close(self) -> None:
            self.closer = threading.get_ident()
            time.sleep(0.05)
            super().close()

    async def main(turns: int) -> SlowStore:
        storage = Slow(tmp_path / f"{turns}")
        node = Node(Config(id=1, cluster=_free_addresses(1)), Recorder(), storage=storage)
        await node.start()
        stopping.append(asyncio.ensure_future(node.stop()))
        for _ in range(turns):
            await asyncio.sleep(0)
        begun.append(storage.closer is not None)
        return storage

    stopping: list[asyncio.Future[None]] = []
    begun: list[bool] = []
    turns = 0
    while not begun or not begun[-1]:
        assert asyncio.run(main(turns)).closed, f"after {turns} turns"
        turns += 1
    assert turns > 2


def test_a_loop_that_is_closed_meanwhile_does_not_keep_the_directory(tmp_path: Path) -> None:
    """As by somebody who neither waits for the stop nor ends the loop as asyncio.run does."""
    loop = asyncio.new_event_loop()

    async def main() -> None:
        node, storage = new_node(tmp_path)
        await with_a_sync_under_way(node, storage)
        stopping.append(asyncio.ensure_future(node.stop()))
        while storage.closer is None:
            await asyncio.sleep(0.001)
        stores.append(storage)

    stopping: list[asyncio.Future[None]] = []
    stores: list[SlowStore] = []
    loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    assert not stores[0].closed
    for thread in threading.enumerate():
        if thread.name == "raftpy closing 1":
            thread.join(20)
    assert opens_again(tmp_path) == 4


def test_a_store_that_does_not_say_so_is_closed_in_the_loop_and_at_once() -> None:
    class Store(MemoryStore):
        closer: int | None = None

        def close(self) -> None:
            self.closer = threading.get_ident()
            super().close()

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        storage = Store(MemoryDisk())
        node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101"}),
            Recorder(),
            storage=storage,
            transport=MemoryTransport(MemoryNetwork(clock)),
            clock=clock,
        )
        await node.start()
        await node.stop()
        assert storage.closer == threading.get_ident()

    run(main())


class NoRoomToClose(Threads):
    """The system has no room for the thread that closes."""

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        if "closing" in name:
            raise RuntimeError("can't start new thread")
        return super().start(name, run)


def test_without_room_for_a_thread_the_loop_closes_the_store(tmp_path: Path) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path, executor=NoRoomToClose())
        await node.start()
        await node.stop()
        assert storage.closed
        assert storage.closer == threading.get_ident()
        opens_again(tmp_path)

    asyncio.run(main())


def test_nothing_else_is_asked_of_a_store_that_is_being_closed(tmp_path: Path) -> None:
    """A reader that has not got to everything hears so, instead of looking for it."""
    asked: list[str] = []

    class Watched:
        def __init__(self, part: Any, closing: list[bool]) -> None:
            self._part, self._closing = part, closing

        def __getattr__(self, name: str) -> Any:
            if name == "close":
                self._closing.append(True)
            elif self._closing:
                asked.append(name)
            elif name == "group":
                return lambda group: Watched(self._part.group(group), self._closing)
            return getattr(self._part, name)

    async def main() -> None:
        inner = SlowStore(tmp_path)
        storage: Any = Watched(inner, [])
        node = Node(Config(id=1, cluster=_free_addresses(1)), Recorder(), storage=storage)
        await with_a_sync_under_way(node, inner)
        reader = node.commits(1)
        stopping = asyncio.ensure_future(node.stop())
        while inner.closer is None:
            await asyncio.sleep(0.001)
        with pytest.raises(Stopped, match="entries 1 to 3 committed but not read here"):
            await anext(reader)
        assert node.status().role == "stopped"
        with pytest.raises(Stopped):
            await node.propose(b"z")
        assert node.term_at(3) == 1
        assert not inner.closed
        await stopping
        assert asked == []

    asyncio.run(main())


def test_what_a_close_raises_is_reported_and_the_stop_returns(tmp_path: Path) -> None:
    class Failing(SlowStore):
        def close(self) -> None:
            super().close()
            raise ZeroDivisionError("in close")

    reported: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
        async with Node(Config(id=1, cluster=_free_addresses(1)), Recorder(), storage=Failing(tmp_path)) as node:
            await node.wait_for_leader()

    asyncio.run(main())
    assert [str(error) for error in reported] == ["in close"]


def test_a_blocking_node_is_closed_when_its_stop_returns(tmp_path: Path) -> None:
    storage = SlowStore(tmp_path)
    with BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder(), storage=storage) as node:
        node.wait_for_leader(10)
        node.propose(b"x")
        storage.slow = True
    assert storage.closed
    assert opens_again(tmp_path) == 3


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_meanwhile_waits_for_no_thread(tmp_path: Path) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        await with_a_sync_under_way(node, storage)
        stopping = asyncio.ensure_future(node.stop())
        while storage.closer is None:
            await asyncio.sleep(0.001)
        assert await ended_in_a_child(stopping) == 7
        assert storage.closed
        assert opens_again(tmp_path) == 4

    asyncio.run(main())
