"""A store that takes long to open keeps no event loop; and whatever ends the start, nothing is left open."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raftpy import BlockingNode, Config, Node, NotOwner, Stopped, StorageDamaged, StorageFailed, WrongIdentity
from raftpy.contracts.executor import Thread
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.storage.leveldb.places import SeenRecord
from raftpy.storage.leveldb.row import SegmentRow
from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.system.threads import Threads
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Recorder, _free_addresses
from tests.node.loop import VirtualClock, run

SLOW = 0.5
"""Seconds that an opening takes here."""


class SlowStore(LevelDBStorage):
    """Takes its time, and remembers in which thread."""

    opener: int | None = None
    wait: Callable[[], object] = staticmethod(lambda: time.sleep(SLOW))

    def open(self, identity: StoreOwner) -> Recovered:
        self.opener = threading.get_ident()
        self.wait()
        return super().open(identity)


def new_node(path: Path, node_id: int = 1, **more: Any) -> tuple[Node, SlowStore]:
    storage = SlowStore(path)
    cluster = _free_addresses(1)
    return Node(Config(id=node_id, cluster={node_id: cluster[1]}), Recorder(), storage=storage, **more), storage


def opens_again(path: Path) -> None:
    """Whether nothing has the directory open, and nothing is about to open it."""
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("raftpy opening")] == []
    store = LevelDBStorage(path)
    store.open(StoreOwner(1, {1: "127.0.0.1:7101"}))
    store.close()


async def ended_in_a_child(waiting: asyncio.Future[None]) -> int:
    """Forks, and waits in both processes; how the child ends: 7 where it was told that the node is not its own."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        try:
            await waiting
        except NotOwner:
            os._exit(7)
        os._exit(1)
    while not waiting.done():  # whichever process a wake-up of the loop went to, as they share it
        await asyncio.sleep(0.01)
    await waiting
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def longest_turn(of: Callable[[], Any]) -> float:
    """How long the loop was kept at most, in seconds, while ``of()`` was awaited."""
    longest, last = 0.0, time.monotonic()
    task = asyncio.ensure_future(of())
    while not task.done():
        await asyncio.sleep(0.005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    await task
    return longest


def test_the_loop_goes_on_while_the_store_is_opened(tmp_path: Path) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        assert await longest_turn(node.start) < SLOW / 2
        assert storage.opener != threading.get_ident()
        await node.wait_for_leader()
        assert await node.propose(b"x") == 3
        await node.stop()
        opens_again(tmp_path)

    asyncio.run(main())


def test_a_store_that_does_not_say_so_is_opened_in_the_loop_and_at_once() -> None:
    """So a start on virtual time is one step, as deterministic as before."""

    class Store(MemoryStore):
        opener: int | None = None

        def open(self, identity: StoreOwner) -> Recovered:
            self.opener = threading.get_ident()
            return super().open(identity)

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
        with pytest.raises(StopIteration):
            node.start().send(None)
        assert storage.opener == threading.get_ident()
        await node.stop()

    run(main())


def damaged() -> None:
    raise StorageDamaged("a record is missing", "here")


def test_what_opening_raises_start_raises(tmp_path: Path) -> None:
    async def main() -> None:
        opens_again(tmp_path)
        node, _ = new_node(tmp_path, 2)
        with pytest.raises(WrongIdentity, match="belongs to node 1, not to node 2"):
            await node.start()
        opens_again(tmp_path)
        node, storage = new_node(tmp_path)
        storage.wait = damaged  # type: ignore[method-assign]
        with pytest.raises(StorageDamaged, match="a record is missing"):
            await node.start()
        opens_again(tmp_path)

    asyncio.run(main())


def test_a_start_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        starting = asyncio.ensure_future(node.start())
        await asyncio.sleep(SLOW / 10)
        assert storage.opener is not None
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        opens_again(tmp_path)
        with pytest.raises(Stopped):
            await node.propose(b"x")
        await node.stop()

    asyncio.run(main())


def test_a_start_within_a_timeout_that_is_too_short(tmp_path: Path) -> None:
    async def main() -> None:
        node, _ = new_node(tmp_path)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SLOW / 10):
                await node.start()
        opens_again(tmp_path)

    asyncio.run(main())


def test_the_end_of_the_program_while_a_store_is_opened(tmp_path: Path) -> None:
    async def main() -> None:
        node, _ = new_node(tmp_path)
        task = asyncio.ensure_future(node.start())
        await asyncio.sleep(SLOW / 10)
        assert not task.done()

    asyncio.run(main())
    opens_again(tmp_path)


def test_a_start_that_is_cancelled_before_its_thread_begins_opens_nothing(tmp_path: Path) -> None:
    begin = threading.Event()

    class Late(Threads):
        def start(self, name: str, run: Callable[[], object]) -> Thread:
            return super().start(name, lambda: (begin.wait(20), run()))

    async def main() -> None:
        path = tmp_path / "data"
        config = Config(id=1, cluster=_free_addresses(1))
        node = Node(config, Recorder(), storage=LevelDBStorage(path), executor=Late())
        starting = asyncio.ensure_future(node.start())
        await asyncio.sleep(0.01)
        starting.cancel()
        await asyncio.sleep(0.01)
        assert not starting.done()
        begin.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not path.exists()

    asyncio.run(main())


class NoRoom(Threads):
    """The system has no room for another thread."""

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        raise RuntimeError("can't start new thread")


def test_without_room_for_a_thread_the_start_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        config = Config(id=1, cluster=_free_addresses(1))
        node = Node(config, Recorder(), storage=LevelDBStorage(tmp_path), executor=NoRoom())
        with pytest.raises(StorageFailed, match="no room for a thread: can't start new thread"):
            await node.start()
        opens_again(tmp_path)

    asyncio.run(main())
    blocking = BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder(), executor=NoRoom())
    with pytest.raises(Stopped, match="not started, as the system has no room for a thread: can't start new thread"):
        blocking.start()
    blocking.stop()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_meanwhile_waits_for_no_thread(tmp_path: Path) -> None:
    """Nor does it keep the parent from going on: the store is the parent's."""

    async def main() -> None:
        node, _ = new_node(tmp_path)
        starting = asyncio.ensure_future(node.start())
        await asyncio.sleep(SLOW / 10)
        assert await ended_in_a_child(starting) == 7
        await node.wait_for_leader()
        assert await node.propose(b"x") == 3
        await node.stop()
        opens_again(tmp_path)

    asyncio.run(main())


def test_reading_a_long_log_is_given_up_when_the_start_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        node, storage = new_node(tmp_path)
        storage.wait = lambda: None  # type: ignore[method-assign]
        await node.start()
        await node.wait_for_leader()
        for number in range(300):
            await node.propose(b"%d" % number)
        await node.stop()
        seen = SegmentRow.seen

        def slowly(row: SegmentRow, group: int) -> Iterator[SeenRecord]:
            for record in seen(row, group):
                time.sleep(0.02)
                yield record

        with monkeypatch.context() as patch:
            patch.setattr(SegmentRow, "seen", slowly)
            node, storage = new_node(tmp_path)
            storage.wait = lambda: None  # type: ignore[method-assign]
            starting = asyncio.ensure_future(node.start())
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            assert time.monotonic() - begun < 2  # to the end it would be six
        node, storage = new_node(tmp_path)
        async with node:
            await node.wait_for_leader()
            await node.read_index()
            assert node.status().last_index >= 302

    asyncio.run(main())


def test_stop_during_the_start(tmp_path: Path) -> None:
    async def main() -> None:
        node, _ = new_node(tmp_path)
        starting = asyncio.ensure_future(node.start())
        await asyncio.sleep(SLOW / 10)
        await node.stop()
        opens_again(tmp_path)
        with pytest.raises(Stopped):
            await starting
        with pytest.raises(RuntimeError, match="started before"):
            await node.start()

    asyncio.run(main())


def test_a_second_start_during_the_first_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        node, _ = new_node(tmp_path)
        starting = asyncio.ensure_future(node.start())
        await asyncio.sleep(SLOW / 10)
        with pytest.raises(RuntimeError, match="started before"):
            await node.start()
        await starting
        await node.wait_for_leader()
        await node.stop()

    asyncio.run(main())


def test_a_store_closed_while_it_is_opened_refuses_what_comes(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            store.open(StoreOwner(1, {1: "127.0.0.1:7101"}))
        except StorageFailed as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(SLOW / 10)
    store.close()
    thread.join(20)
    store.close()
    with pytest.raises(StorageFailed):
        store.group(0).entries(1, 2, 100)
    opens_again(tmp_path)
