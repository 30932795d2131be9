"""What is stored and not read for long is read back at the stated rate, and damage is found while it can be mended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from inspect import GEN_CLOSED, GEN_SUSPENDED, getgeneratorstate
from pathlib import Path
from typing import Any, cast

import pytest

from raftpy import Config, Node
from raftpy.contracts.clock import SystemClock
from raftpy.contracts.errors import Stopped, StorageDamaged
from raftpy.contracts.storage import Reread, Storage
from raftpy.runtime import scrubbing
from raftpy.runtime.beside import Beside
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.segment import SegmentFile
from raftpy.storage.leveldb.wal import damage_in
from raftpy.storage.snapshots.memory import MemoryFolder
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.threads import Threads
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.lone import Lone
from tests.node.loop import run
from tests.node.words import Words
from tests.storage.damage import flip
from tests.storage.layout import in_use, log_files, records
from tests.storage.offline import FILES, texts
from tests.storage.support import Disk, append, entries, submit


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass every minute, and the first at once, for a day's heartbeats take a while also on virtual time."""
    monkeypatch.setattr(scrubbing, "PASS_S", 60.0)
    monkeypatch.setattr(scrubbing, "FIRST_S", 0.0)


def flip_snapshot(lone: Lone, name: str) -> None:
    held = lone.disk.snapshots.held[name]
    held[len(held) // 2] ^= 1


async def until(condition: Any, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_snapshot_is_replaced(which: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"scrub_rate": 1 << 20}
        node = await lone.start()
        await lone.propose(b"a")
        await node.snapshot()
        await lone.propose(b"b")
        await node.snapshot()
        await asyncio.sleep(5)
        assert node.status().damage == ()
        await lone.propose(b"c")
        flip_snapshot(lone, lone.files[which])
        await asyncio.sleep(scrubbing.PASS_S)
        await until(lambda: node.status().damage)
        (said,) = node.status().damage
        assert "is damaged: block" in said
        assert sum(said in record.getMessage() for record in caplog.records) == 1
        await until(lambda: node.status().snapshot_index == node.status().applied_index)
        if which:  # then it lies between two that are kept, until there is one more
            await lone.propose(b"d")
            await node.snapshot()
        await asyncio.sleep(2 * scrubbing.PASS_S)
        assert node.status().damage == (), "what was damaged is gone"
        words = list(lone.machine.words)
        await lone.restart()
        assert lone.machine.words == words
        await lone.stop()

    with caplog.at_level(logging.ERROR):
        run(main())


def test_the_rate_is_kept() -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"scrub_rate": 1 << 16}
        node = await lone.start()
        for _ in range(4):
            await lone.propose(b"x" * (1 << 18))
        await node.snapshot()
        await asyncio.sleep(scrubbing.PASS_S)
        size = sum(len(held) for held in lone.disk.snapshots.held.values())
        assert size > 1 << 20
        driver = node._host.driver
        assert driver is not None
        await until(lambda: driver.scrubbing._pass is not None, 2 * scrubbing.PASS_S)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await until(lambda: driver.scrubbing._pass is None, 200)
        assert size / (1 << 16) - 8 <= loop.time() - begun <= size / (1 << 16) + 8
        await lone.stop()

    run(main())


def test_no_file_stays_open_where_a_pass_was_under_way_at_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"scrub_rate": 1 << 16}
        node = await lone.start()
        for _ in range(4):
            await lone.propose(b"x" * (1 << 18))
        await node.snapshot()
        verify, opened = SnapshotStore.verify, []

        def noting(store: SnapshotStore, *arguments: Any) -> Any:
            opened.append(verify(store, *arguments))
            return opened[-1]

        monkeypatch.setattr(SnapshotStore, "verify", noting)
        driver = node._host.driver
        assert driver is not None
        await until(lambda: opened and driver.scrubbing._allowed < 0, 3 * scrubbing.PASS_S)
        assert [getgeneratorstate(one) for one in opened] == [GEN_SUSPENDED]
        await lone.stop()
        assert [getgeneratorstate(one) for one in opened] == [GEN_CLOSED]

    run(main())


@pytest.mark.parametrize("rate", [0, None])
def test_nothing_is_read_where_it_is_switched_off(rate: int | None) -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"scrub_rate": rate}
        node = await lone.start()
        await lone.propose(b"a")
        await node.snapshot()
        flip_snapshot(lone, lone.files[0])
        await asyncio.sleep(2 * scrubbing.PASS_S)
        assert node.status().damage == ()
        await lone.stop()

    run(main())


def test_it_reads_a_mebibyte_a_second_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """From an hour after the start on, which has itself read what is stored; and then once a day."""
    monkeypatch.undo()
    assert (scrubbing.FIRST_S, scrubbing.PASS_S) == (3600.0, 86_400.0)
    assert Config(id=1, cluster={1: "127.0.0.1:7101"}).scrub_rate == 1 << 20
    clock, read, lasted = Moving(), [], []
    storage = Stored(read, [1 << 18] * 42)
    asyncio.run(
        scrub(clock, storage, Config(id=1, cluster={1: "127.0.0.1:7101"}).scrub_rate, lasted, 3600 + 86_400 + 600)
    )
    begun = [at_s for at_s, number in read if number == 0]
    assert begun == [3600.0, 3600.0 + 86_400]
    ended = [at_s for at_s, number in read if number == 41]
    assert [end - begin for begin, end in zip(begun, ended, strict=True)] == pytest.approx([9.5, 9.5], abs=1)
    assert sum(lasted) <= 2 * 12, "it is at work only while there is something to read, and a small store is soon read"


def test_what_is_small_is_read_at_a_time() -> None:
    """A node that has next to nothing is not kept awake by it: one thread once a day."""
    clock, read, lasted = Moving(), [], []
    asyncio.run(scrub(clock, Stored(read, [1 << 18, 1 << 17]), 1 << 20, lasted, 50))
    assert [number for _, number in read] == [0, 1]
    assert sum(lasted) == 1


class Moving(SystemClock):
    """A clock that is moved by hand."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


class Stored:
    """A store of pieces, whose sizes are given: when each was read goes into ``read``."""

    def __init__(self, read: list[tuple[float, int]], sizes: list[int]) -> None:
        self.snapshots = SnapshotStore(MemoryFolder())
        self.clock = Moving()
        self._read, self._sizes = read, sizes

    def reread(self) -> Iterator[Reread]:
        for number, size in enumerate(self._sizes):
            self._read.append((self.clock.now_s, number))
            yield Reread(size)


async def scrub(clock: Moving, storage: Stored, rate: int | None, at_work: list[int], seconds: int) -> None:
    """Looks once a second for so long; into ``at_work`` goes each look after which something is at work."""
    storage.clock = clock
    beside = Beside(Threads().background(), "scrubbing")
    scrubbed = scrubbing.Scrubbing("node 1", cast(Storage, storage), {}, clock, beside, rate)
    for _ in range(seconds + 1):
        scrubbed.look()
        if scrubbed._task is not None and not scrubbed._task.done():
            at_work.append(1)
            await scrubbed._task
        clock.now_s += 1
    scrubbed.stop(lambda: Stopped("the end"))
    scrubbed.end()


async def test_a_damaged_segment_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the node runs and serves; the next start would be refused, as the offline tools say, too."""
    clock = SystemClock()
    storage = LevelDBStorage(tmp_path, segment_size=64 << 10)
    config = Config(id=1, cluster={1: "127.0.0.1:7101"}, scrub_rate=1 << 30)
    node = Node(config, Words(), storage=storage, transport=MemoryTransport(MemoryNetwork(clock, 1)), clock=clock)
    monkeypatch.setattr(scrubbing, "PASS_S", 1.0)
    async with node:
        await node.wait_for_leader()
        for number in range(30):
            await node.propose(b"%d" % number * 5000)
        driver = node._host.driver
        assert driver is not None
        first_s = driver.scrubbing._next_s
        await until(lambda: driver.scrubbing._next_s > first_s, 10)
        assert node.status().damage == ()
        file = log_files(tmp_path)[0]
        flip(file, 40_000, 1)
        await until(lambda: node.status().damage, 10)
        (said,) = node.status().damage
        assert said.startswith(f"{file} is damaged: the record at byte ")
        await node.propose(b"and goes on")
        await asyncio.sleep(3 * scrubbing.PASS_S)
        assert node.status().damage == (said,)
        assert sum(said in record.getMessage() for record in caplog.records) == 1, "and no more by the next passes"
    assert any(text.startswith(f"{file}: bytes ") for text in texts(tmp_path))


async def test_what_the_store_has_met_with_in_passing_is_said_without_a_scrub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SystemClock()
    storage = LevelDBStorage(tmp_path)
    config = Config(id=1, cluster={1: "127.0.0.1:7101"})
    node = Node(config, Words(), storage=storage, transport=MemoryTransport(MemoryNetwork(clock, 1)), clock=clock)
    async with node:
        await node.wait_for_leader()
        assert node.status().damage == ()
        error = StorageDamaged("its checksum does not hold", "segments/1")
        monkeypatch.setattr(storage, "damage", lambda: [error])
        await until(lambda: node.status().damage, 10)
        await asyncio.sleep(0.5)
        assert node.status().damage == (str(error),)
        assert sum(str(error) in record.getMessage() for record in caplog.records) == 1
        monkeypatch.setattr(storage, "damage", list)
        await until(lambda: not node.status().damage, 10)


def test_a_store_reads_back_its_closed_segments(tmp_path: Path) -> None:
    store, _ = Disk("leveldb", tmp_path, segment_size=64 << 10).open()
    assert isinstance(store, LevelDBStorage)
    for index in range(1, 20_000, 200):
        submit(store, [append(entries(index, 200, 1), term=1, vote=1)])
    store.close()
    store, _ = Disk("leveldb", tmp_path, segment_size=64 << 10).open()
    assert isinstance(store, LevelDBStorage)
    closed = in_use(tmp_path)[:-1]
    sizes = [SegmentFile(FILES, records(tmp_path), number).path for number in closed]
    read = list(store.reread())
    assert [one.damage for one in read] == [None] * len(read)
    assert sum(one.size for one in read) == sum(path.stat().st_size for path in map(Path, sizes))
    first, second = (Path(path) for path in sizes[:2])
    flip(first, 100, 3)
    second.unlink()
    damage = [str(one.damage) for one in store.reread() if one.damage is not None]
    assert damage[0].startswith(f"{first} is damaged: the record at byte ")
    assert damage[1].startswith(f"{second} is damaged: it is missing")
    store.close()
    assert list(store.reread()) == []


def test_pieces_of_a_segment(tmp_path: Path) -> None:
    store, _ = Disk("leveldb", tmp_path, segment_size=64 << 10).open()
    submit(store, [append(entries(1, 9000, 1), term=1, vote=1)])
    store.close()
    (data,) = [path.read_bytes() for path in log_files(tmp_path) if path.stat().st_size > 32768]
    assert damage_in(data, 0, len(data)) is None
    for piece in (data[:-1], data[:-100], b""):
        assert damage_in(piece, 0, len(data)) == f"it ends before byte {len(data)}"
    for at in (5, 32767 + 8, len(data) - 3):
        changed = bytearray(data)
        changed[at] ^= 4
        assert "is not what was written" in str(damage_in(bytes(changed), 0, len(data)))
    for at in (32768, 40_000):
        assert damage_in(data[:at] + bytes(len(data) - at), 0, len(data)) is not None
    assert damage_in(data[:32768], 0, 32768) is None, "a piece ends with a block"
