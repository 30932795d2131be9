"""Snapshots of a node on LevelDB, with real threads: the loop goes on, and whatever ends the node leaves nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftpy import BlockingNode, Config, Node, Stopped
from raftpy.contracts.errors import NotOwner
from raftpy.contracts.files import Data
from raftpy.runtime.host import Host
from raftpy.runtime.snapshotting import SLICE_BYTES
from raftpy.storage import LevelDBStorage
from tests.node.harness import _free_addresses
from tests.node.test_forks import in_child
from tests.node.words import ThreadedView, ThreadedWords, Words, WordsView

LONG_S = 10.0


class HeldView(ThreadedView):
    """Does not come to its end before it may."""

    def __init__(self, words: list[tuple[int, bytes]]) -> None:
        super().__init__(words)
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.inside = self.closed_inside = False

    def write(self) -> Iterator[Data]:
        self.thread = threading.get_ident()
        for number, chunk in enumerate(super().write()):
            yield chunk
            if not number:
                self.inside = True
                self.begun.set()
                assert self.may_end.wait(LONG_S)
                self.inside = False

    def close(self) -> None:
        self.closed_inside = self.closed_inside or self.inside
        super().close()


class Held(ThreadedWords):
    view_class = HeldView
    views: list[HeldView]  # type: ignore[assignment]


def config(**settings: int) -> Config:
    return Config(id=1, cluster=_free_addresses(1), **settings)  # type: ignore[arg-type]


async def begun(machine: Held) -> HeldView:
    while not machine.views or not machine.views[-1].begun.is_set():
        await asyncio.sleep(0.001)
    return machine.views[-1]


async def started(path: Path, machine: Words) -> Node:
    node = Node(config(), machine, storage=LevelDBStorage(path))
    await node.start()
    await node.wait_for_leader()
    await node.propose(b"a")
    await node.propose(b"b")
    return node


def names(path: Path) -> list[str]:
    return sorted(file.name.rpartition(".")[2] for file in (path / "snapshots").iterdir())


def restarts(path: Path, words: list[bytes]) -> None:
    """The directory is free, holds no file that was begun, and all words."""
    machine = Words()

    async def main() -> None:
        node = Node(config(), machine, storage=LevelDBStorage(path))
        await node.start()
        await node.wait_for_leader()
        await node.read_index()
        await node.stop()

    asyncio.run(main())
    assert machine.commands == words
    assert set(names(path)) <= {"snapshot"}


def test_commands_go_on_while_a_view_is_written_in_a_thread(tmp_path: Path) -> None:
    async def main() -> None:
        machine = Held()
        node = await started(tmp_path, machine)
        taking = asyncio.ensure_future(node.snapshot())
        view = await begun(machine)
        assert view.thread != threading.get_ident()
        index = await node.propose(b"c")
        assert names(tmp_path) == ["writing"]
        view.may_end.set()
        assert await taking < index
        assert names(tmp_path) == ["snapshot"]
        await node.stop()

    asyncio.run(main())
    restarts(tmp_path, [b"a", b"b", b"c"])


def test_a_stop_waits_for_the_thread_and_keeps_no_loop(tmp_path: Path) -> None:
    async def main() -> None:
        machine = Held()
        node = await started(tmp_path, machine)
        taking = asyncio.ensure_future(node.snapshot())
        view = await begun(machine)
        stopping = asyncio.ensure_future(node.stop())
        with pytest.raises(Stopped):
            await taking
        await asyncio.sleep(0.1)
        assert not stopping.done(), "the store is closed when nothing is at work in it any more"
        assert view.closed == 0
        view.may_end.set()
        await stopping
        assert view.closed == 1
        assert not view.closed_inside
        assert names(tmp_path) == []

    asyncio.run(main())
    restarts(tmp_path, [b"a", b"b"])


@pytest.mark.parametrize("stops", [True, False])
def test_the_end_of_asyncio_run_leaves_nothing_behind(tmp_path: Path, *, stops: bool) -> None:
    machine = Held()

    async def main() -> None:
        async def taken() -> None:
            await node.snapshot()

        node = await started(tmp_path, machine)
        tasks.append(asyncio.ensure_future(taken()))
        view = await begun(machine)
        threading.Timer(0.1, view.may_end.set).start()
        if stops:
            tasks.append(asyncio.ensure_future(node.stop()))
            await asyncio.sleep(0)
        else:
            tasks[0].cancel()
            await asyncio.sleep(0.01)
            await node.stop()

    tasks: list[asyncio.Future[None]] = []
    asyncio.run(main())
    restarts(tmp_path, [b"a", b"b"])
    assert machine.views[0].closed == 1
    assert not machine.views[0].closed_inside


def test_a_caller_that_goes_does_not_end_the_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        machine = Held()
        node = await started(tmp_path, machine)
        taking = asyncio.ensure_future(node.snapshot())
        view = await begun(machine)
        taking.cancel()
        await asyncio.sleep(0.01)
        view.may_end.set()
        while not view.closed:
            await asyncio.sleep(0.001)
        assert names(tmp_path) == ["snapshot"]
        await node.stop()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_touches_nothing_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        machine = Held()
        node = await started(tmp_path, machine)
        taking = asyncio.ensure_future(node.snapshot())
        view, group = await begun(machine), node._running

        async def in_the_child() -> str:
            with pytest.raises(NotOwner):
                await node.snapshot()
            waited = group.snapshots._beside._waited
            assert waited is not None
            assert isinstance(waited.exception(), NotOwner), "or whoever waits there waits for ever"
            return str(names(tmp_path))

        def step() -> str:
            try:
                in_the_child().send(None)
            except StopIteration as end:
                return str(end.value)
            raise AssertionError("it waits")

        with group.snapshots._beside._lock:  # as a thread may have it just then, which is not there in the child
            assert in_child(step) == "['writing']"
        view.may_end.set()
        assert await taking
        await node.stop()

    asyncio.run(main())
    restarts(tmp_path, [b"a", b"b"])


def test_chunks_are_taken_for_a_millisecond_at_a_time(tmp_path: Path) -> None:
    made: list[int] = []

    class SlowView(WordsView):
        def write(self) -> Iterator[Data]:
            for _ in range(50):
                made.append(1)
                time.sleep(0.0005)
                yield b""
            for _ in range(3):
                yield bytes(SLICE_BYTES - 1)
            yield from super().write()

    class Slow(Words):
        view_class = SlowView

    async def main() -> None:
        node = await started(tmp_path, Slow())
        taking = asyncio.ensure_future(node.snapshot())
        most = before = 0
        while not taking.done():
            await asyncio.sleep(0)
            most, before = max(most, len(made) - before), len(made)
        assert len(made) == 50
        assert most <= 3
        await taking
        await node.stop()

    asyncio.run(main())


def test_each_group_has_its_own(tmp_path: Path) -> None:
    machines = {0: Words(), 7: Words()}

    async def main() -> None:
        host = Host(config(), machines, storage=LevelDBStorage(tmp_path))
        await host.start()
        for group_id in machines:
            await host.group(group_id).wait_for_leader()
        for word in (b"a", b"b", b"c"):
            await host.group(7).propose(word)
            await host.group(7).snapshot()
        await asyncio.sleep(0.1)
        assert host.group(7).status().first_index > 1
        assert host.group(0).status().first_index == 1
        assert sorted(file.name.partition("-")[0] for file in (tmp_path / "snapshots").iterdir()) == ["7", "7"]
        await host.group(0).propose(b"x")
        await host.stop()

    async def again() -> None:
        restored = {0: Words(), 7: Words()}
        host = Host(config(), restored, storage=LevelDBStorage(tmp_path))
        await host.start()
        for group_id in restored:
            await host.group(group_id).wait_for_leader()
            await host.group(group_id).read_index()
        assert restored[7].restored
        assert restored[7].given == []
        assert restored[7].commands == [b"a", b"b", b"c"]
        assert (restored[0].restored, restored[0].commands) == ([], [b"x"])
        await host.stop()

    asyncio.run(main())
    asyncio.run(again())


def test_a_program_without_asyncio(tmp_path: Path) -> None:
    with BlockingNode(config(), Words(), storage=LevelDBStorage(tmp_path)) as node:
        node.wait_for_leader(LONG_S)
        index = node.propose(b"a")
        assert node.snapshot() == index
        assert node.status().snapshot_index == index
