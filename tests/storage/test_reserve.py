"""Snapshots leave the log the last room on the disk: what would take of that is not written.

A small one, which may let the log be cut, takes a ninth of what is left there: it leaves eight times its own bytes.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raftpy import Config, Node
from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.files import Data
from raftpy.contracts.snapshots import SnapshotFile, complete
from raftpy.sim.disk.files import DiskFiles
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.row import room_of
from raftpy.storage.snapshots.blocks import MAX_BODY
from tests.node.harness import _free_addresses
from tests.node.words import LastWord
from tests.storage.late import LateExecutor
from tests.storage.snapshots import MACHINE, SMALL, Place, raw, ref, write
from tests.storage.support import OWNER
from tests.storage.test_space import SIZE
from tests.storage.test_space import Place as SimulatedPlace

RESERVE = 1_000_000
KEPT = r"the disk lacks \d+ bytes .*: \d+ are left, of which 1000000 are kept for the log"


@pytest.fixture(params=["memory", "simulated"])
def place(request: pytest.FixtureRequest) -> Place:
    """With room for 2,500,000 bytes."""
    made = Place(request.param, Path("/snapshots"), reserve=RESERVE)
    made.memory.capacity = made.disk.capacity = 2_500_000
    return made


def free(place: Place) -> int:
    return place.folder().free_space()


def test_one_that_is_written_stops_before_it_takes_of_the_reserve(place: Place) -> None:
    store = place.store()
    assert store.free_space() == free(place) - RESERVE
    whole = free(place)
    writer = store.begin(ref(1))
    writer.section(MACHINE)
    least = whole
    with pytest.raises(SnapshotFailed, match=KEPT):
        while least:
            writer.write(bytes(100_000))
            least = min(least, free(place))
    assert RESERVE <= least < RESERVE + 2 * MAX_BODY, "and not long before"
    assert free(place) == whole, "its room is the log's, too"
    assert place.names() == []


@pytest.mark.parametrize(
    ("capacity", "may_take"),
    [
        (2_500_000, 1_500_000),
        (1_130_000, 130_000),  # all but the reserve, which is less than eight times as much
        (1_125_000, 125_000),  # both
        (1_000_000, 111_111),  # a ninth: eight times as much stays
        (90_000, 10_000),
        (9, 1),
    ],
)
def test_where_the_reserve_is_what_is_left_one_may_take_a_ninth_of_it(
    capacity: int, may_take: int, place: Place
) -> None:
    place.max_body = SMALL
    store = place.store()
    place.memory.capacity = place.disk.capacity = capacity
    assert store.free_space() == may_take
    taken = 0
    with pytest.raises(SnapshotFailed, match="are kept for the log"):  # noqa: PT012 - it is begun with a first block
        writer = store.begin(ref(1))
        writer.section(MACHINE)
        while True:
            writer.write(bytes(SMALL))
            taken = capacity - free(place)
            assert free(place) >= min(RESERVE, 8 * taken)
    assert may_take - 3 * SMALL < taken <= may_take
    assert free(place) == capacity, "its room is the log's, too"
    assert place.names() == []
    if may_take > 2000:
        made = write(store, ref(2), [(MACHINE, bytes(500))])
        assert made.size * 9 <= capacity
        assert store.refs(0) == (ref(2),)


def test_a_small_one_is_received_there_as_well(tmp_path: Path, place: Place) -> None:
    sender = Place("system", tmp_path / "sender").store()
    small = write(sender, ref(1), [(MACHINE, bytes(90_000))])
    large = write(sender, ref(2), [(MACHINE, bytes(120_000))])
    store = place.store()
    place.memory.capacity = place.disk.capacity = RESERVE
    with pytest.raises(SnapshotFailed, match=rf"the disk lacks \d+ bytes for the {large.size} of it"):
        complete(store.receive(large))
    receiver = complete(store.receive(small))
    data = raw(sender, ref(1))
    receiver.write(data[:50_000])
    receiver.close()
    receiver = complete(store.receive(small))  # what is there already is a part of it
    receiver.write(data[receiver.position :])
    complete(receiver.finish())
    assert store.refs(0) == (ref(1),)


def test_one_that_is_received_stops_as_well(tmp_path: Path, place: Place) -> None:
    sender = Place("system", tmp_path / "sender").store()
    sent = write(sender, ref(1), [(MACHINE, bytes(1_200_000))])
    store = place.store()
    with pytest.raises(SnapshotFailed, match=r"the disk lacks \d+ bytes for the 2000000 of it"):
        complete(store.receive(SnapshotFile(ref(9), 2_000_000, bytes(16))))
    receiver = complete(store.receive(sent))
    place.memory.capacity = place.disk.capacity = 1_500_000
    data = raw(sender, ref(1))
    with pytest.raises(SnapshotFailed, match=KEPT):
        while receiver.position < sent.size:
            receiver.write(data[receiver.position : receiver.position + 100_000])
    assert place.names() == []


def test_the_store_keeps_two_segments_for_its_log() -> None:
    place = SimulatedPlace()
    store = place.open()
    assert store.snapshots.free_space() == place.disk.free - 2 * room_of(SIZE)
    place.disk.capacity = place.disk.used + 2 * room_of(SIZE) + 100_000
    with pytest.raises(SnapshotFailed, match="are kept for the log"):
        write(store.snapshots, ref(1), [(MACHINE, bytes(200_000))])
    write(store.snapshots, ref(2), [(MACHINE, bytes(50_000))])
    store.close()


def test_on_a_disk_of_their_own_nothing_is_kept_for_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskFiles, "disk_of", lambda files, directory: directory)
    place = SimulatedPlace()
    store = place.open()
    assert store.snapshots.free_space() == place.disk.free
    place.disk.capacity = place.disk.used + 100_000
    write(store.snapshots, ref(2), [(MACHINE, bytes(80_000))])
    store.close()


SEGMENT = 1 << 20


@contextmanager
def mounted(path: Path, size: str) -> Iterator[Path]:
    """A disk of this size in the place of a directory."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    with mounted(tmp_path / "disk", "24m") as path:
        yield path


class Large(LastWord):
    """Its state has as many chunks of 64 KiB as are asked for; ``seen``: what was free at each of them, of ``disk``."""

    def __init__(self, disk: Path) -> None:
        super().__init__()
        self.disk = Place("system", disk)
        self.chunks = 1
        self.seen: list[int] = []

    def capture(self) -> LargeView:  # type: ignore[override]
        return LargeView(self)


class LargeView:
    def __init__(self, machine: Large) -> None:
        self.machine = machine

    def write(self) -> Iterator[Data]:
        for _ in range(self.machine.chunks):
            self.machine.seen.append(free(self.machine.disk))
            yield bytes(64 << 10)

    def close(self) -> None:
        pass


@pytest.mark.needs_root
def test_a_disk_that_a_snapshot_would_fill(small_disk: Path) -> None:
    """The node goes on with what it has, says so, and takes one when there is room again; its log never lacks any."""

    async def main() -> None:
        machine = Large(small_disk)
        config = Config(id=1, cluster=_free_addresses(1))
        async with Node(config, machine, storage=LevelDBStorage(small_disk / "node1", segment_size=SEGMENT)) as node:
            await node.wait_for_leader()
            await node.propose(b"x")
            taken = await node.snapshot()
            other = small_disk / "other"
            other.write_bytes(bytes(8 << 20))
            machine.chunks = 1000
            for number in range(3):
                machine.seen.clear()
                await node.propose(b"%d" % number)
                taking = asyncio.ensure_future(node.snapshot())
                while not taking.done():
                    await node.propose(bytes(1000), timeout=30)
                with pytest.raises(SnapshotFailed, match="are kept for the log"):
                    await taking
                assert min(machine.seen) >= 2 * room_of(SEGMENT) - (SEGMENT // 2), "what was written to the log"
                assert node.failed is None
                status = node.status()
                assert status.snapshot_index == taken
                assert "kept for the log" in (status.snapshot_failure or "")
            names = Place("system", small_disk / "node1" / "snapshots").names()
            assert not [name for name in names if "writing" in name]
            other.unlink()
            machine.chunks = 100
            await node.propose(b"y")
            assert await node.snapshot() > taken
            assert node.status().snapshot_failure is None

    asyncio.run(main())


@pytest.mark.needs_root
def test_whether_the_log_lies_beside_is_seen_at_the_start(small_disk: Path) -> None:
    path = small_disk / "node1"

    def may_take() -> int:
        store = LevelDBStorage(path, segment_size=SEGMENT, executor=LateExecutor())  # nothing is written meanwhile
        store.open(OWNER)
        before = free(Place("system", path))
        found = store.snapshots.free_space()
        assert free(Place("system", path)) == before
        store.close()
        return found - before

    assert may_take() == -2 * room_of(SEGMENT)
    with mounted(path / "snapshots", "48m"):
        assert may_take() > 24 << 20
    assert may_take() == -2 * room_of(SEGMENT)


@pytest.mark.needs_root
def test_a_disk_with_less_than_the_reserve_left(small_disk: Path) -> None:
    """A small snapshot finds its room, and the log is cut behind the one before."""

    async def main() -> None:
        machine = Large(small_disk)
        config = Config(id=1, cluster=_free_addresses(1))
        async with Node(config, machine, storage=LevelDBStorage(small_disk / "node1", segment_size=SEGMENT)) as node:
            await node.wait_for_leader()
            await node.propose(b"x")
            taken = await node.snapshot()
            await node.propose(b"y")
            (small_disk / "other").write_bytes(bytes(free(machine.disk) - (3 << 19)))
            assert free(machine.disk) < 2 * room_of(SEGMENT) - (1 << 19)
            machine.chunks = 4
            with pytest.raises(SnapshotFailed, match="are kept for the log"):
                await node.snapshot()
            machine.chunks = 1
            assert await node.snapshot() > taken
            status = node.status()
            assert (status.first_index, status.snapshot_failure) == (taken + 1, None)
            await node.propose(b"z")

    asyncio.run(main())
