"""Fetching with real sockets, disks and threads: whatever ends a node or a process, nothing is left at work, and the
next life goes on with what has come."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from raftpy import Config, Node, NotOwner, Stopped
from raftpy.contracts.errors import FetchFailed
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef
from raftpy.runtime import fetching
from raftpy.runtime.driver import Driver
from raftpy.storage import LevelDBStorage
from tests.node.fetch_process import Place
from tests.node.harness import Recorder, _free_addresses
from tests.node.test_forks import in_child
from tests.storage.snapshots import MACHINE, raw, write

SIZE = 6_000_000
WANTED = SnapshotRef(9, 150, 2)
"""Of a group that the nodes do not have: nobody but the tests asks for it."""
RATE = 4 << 20
"""Bytes a second where a test wants to see a fetch under way."""

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class Pair:
    """Two nodes on UDP and LevelDB, the first of which has a snapshot."""

    def __init__(self, path: Path, rate: int | None = None) -> None:
        self.path = path
        self.rate = rate
        self.addresses = _free_addresses(2)
        self.nodes: dict[int, Node] = {}
        self.file: SnapshotFile | None = None

    async def start(self, node_id: int) -> Node:
        config = Config(id=node_id, cluster=self.addresses, snapshot_rate=self.rate)
        node = Node(config, Recorder(), storage=LevelDBStorage(self.path / str(node_id)))
        await node.start()
        self.nodes[node_id] = node
        return node

    async def __aenter__(self) -> Pair:
        await asyncio.gather(self.start(1), self.start(2))
        await self.nodes[1].wait_for_leader()
        if WANTED not in self.driver(1).storage.snapshots.refs(9):
            self.file = write(self.driver(1).storage.snapshots, WANTED, [(MACHINE, Random(1).randbytes(SIZE))])
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes.values():
            await node.stop()

    def driver(self, node_id: int) -> Driver:
        driver = self.nodes[node_id]._host.driver
        assert driver is not None
        return driver

    def fetch(self) -> asyncio.Task[SnapshotFile]:
        return asyncio.ensure_future(self.driver(2).fetching.fetch(1, WANTED))

    async def half(self) -> asyncio.Task[SnapshotFile]:
        """A fetch that has written something."""
        task = self.fetch()
        while (progress := self.driver(2).fetching.progress(9)) is None or progress.position < SIZE // 4:
            assert not task.done()
            await asyncio.sleep(0.005)
        return task

    def given(self) -> int:
        source = self.driver(1).fetching.given
        assert source is not None
        return source.given

    def same(self) -> bool:
        one, two = (raw(self.driver(node_id).storage.snapshots, WANTED) for node_id in (1, 2))
        return one == two

    def names(self) -> list[str]:
        return sorted(file.name.rpartition(".")[2] for file in (self.path / "2" / "snapshots").iterdir())


def test_it_comes_while_commands_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with Pair(tmp_path) as pair:
            leader = pair.nodes[await pair.nodes[1].wait_for_leader()]
            await leader.propose(b"first")
            term = leader.status().term
            task = pair.fetch()
            count = 0
            while not task.done():
                await leader.propose(b"more")
                count += 1
            assert await task == pair.file
            assert pair.same()
            assert count > 3
            assert leader.status().term == term, "no election"

    asyncio.run(main())


def test_a_stop_keeps_what_has_come_for_the_next_life(tmp_path: Path) -> None:
    async def main() -> None:
        async with Pair(tmp_path, RATE) as pair:
            task = await pair.half()
            begun = time.monotonic()
            await pair.nodes.pop(2).stop()
            assert time.monotonic() - begun < 5.0
            with pytest.raises(Stopped):
                await task
            assert pair.names() == ["receiving"]
            await asyncio.sleep(0.5)
            before = pair.given()
            await pair.start(2)
            assert await pair.fetch() == pair.file
            assert pair.same()
            assert pair.names() == ["snapshot"]
            assert pair.given() - before < SIZE - SIZE // 8

    asyncio.run(main())


def test_the_source_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Pair(tmp_path, RATE) as pair:
            task = await pair.half()
            await pair.nodes.pop(1).stop()
            with pytest.raises(FetchFailed) as caught:
                await task
            assert caught.value.why == FetchFailed.SILENT
            assert pair.names() == ["receiving"]
            await pair.start(1)
            assert (await pair.fetch()).ref == WANTED
            assert pair.same()

    monkeypatch.setattr(fetching, "GIVE_UP_S", 1.0)
    asyncio.run(main())


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_end_of_asyncio_run_leaves_nothing_behind(tmp_path: Path, *, cancelled: bool) -> None:
    async def main() -> None:
        async with Pair(tmp_path, RATE) as pair:
            tasks.append(await pair.half())
            if cancelled:
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
                await asyncio.sleep(0.01)

    async def again() -> None:
        async with Pair(tmp_path) as pair:
            assert (await pair.fetch()).ref == WANTED
            assert pair.same()

    tasks: list[asyncio.Task[SnapshotFile]] = []
    asyncio.run(main())
    assert tasks[0].cancelled() or isinstance(tasks[0].exception(), Stopped)
    asyncio.run(again())


def test_a_forked_child_is_told_and_touches_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with Pair(tmp_path, RATE) as pair:
            task = await pair.half()

            def act() -> list[str]:
                with pytest.raises(NotOwner):
                    ours.fetch(1, WANTED).send(None)
                with pytest.raises(NotOwner):
                    under_way._check()
                bell, waited = under_way._bell, under_way._beside._waited
                assert waited is not None
                assert waited.done(), "or whoever waits there waits for ever"
                assert bell is None or bell.done()
                assert theirs._beside.stopped
                assert theirs._timer is None
                return pair.names()

            ours, theirs = pair.driver(2).fetching, pair.driver(1).fetching.given
            under_way = ours._wanted[9]
            assert theirs is not None
            with under_way._beside._lock, theirs._beside._lock:  # as threads may have them, which the child has not
                assert in_child(act) == ["receiving"]
            assert await task == pair.file
            assert pair.same()

    asyncio.run(main())


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_kill_9_of_the_receiver_loses_at_most_what_was_not_synced(tmp_path: Path, parts: int) -> None:
    """A process that is killed loses nothing of what it has written: only what was on its way comes again."""
    members = {1: _free_addresses(2)[1], 2: _free_addresses(2)[2]}

    def started(life: int) -> subprocess.Popen[str]:
        where = str(tmp_path / "to")
        arguments = json.dumps(members), where, json.dumps([WANTED.group, WANTED.index, WANTED.term]), str(life)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.node.fetch_process", *arguments], stdout=subprocess.PIPE, text=True
        )

    async def main() -> None:
        place = Place(1, members, tmp_path / "from", rate=8 << 20)
        file = write(place.store, WANTED, [(MACHINE, Random(1).randbytes(SIZE))])
        loop = asyncio.get_running_loop()
        position = 0
        for life in range(1, parts + 1):
            process = started(life)
            assert process.stdout is not None
            while position < life * SIZE // parts:
                line = await loop.run_in_executor(None, process.stdout.readline)
                assert line, "it has ended"
                assert position == 0 or int(line) == 0 or int(line) >= position - fetching.WINDOW
                position = max(position, int(line))
            if life < parts:
                process.kill()
            else:
                while await loop.run_in_executor(None, process.stdout.readline):
                    pass
            await loop.run_in_executor(None, process.wait)
            process.stdout.close()
        assert place.fetching.given is not None
        assert place.fetching.given.given < file.size + parts * 2 * fetching.WINDOW
        other = Place(2, members, tmp_path / "to", life=parts + 1)
        assert raw(other.store, WANTED) == raw(place.store, WANTED)
        assert len(list((tmp_path / "to").iterdir())) == 1
        other.stop()
        place.stop()

    asyncio.run(main())
