"""Snapshots through power failures, kill -9 and refused calls at each step: what was there stays, what was promised is
there, and nothing else is left."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef, complete
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, DiskFile, DiskFiles
from raftpy.storage.snapshots.blocks import BLOCK_SIZE
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.store import SnapshotStore
from tests.storage.power import fail_at_each_step
from tests.storage.snapshots import SMALL, Place, contents, ranges, raw, ref, sample, write

NODE = PurePath("/data")
ENDS = pytest.mark.parametrize("end", [Disk.power_failure, Disk.kill], ids=["power", "kill"])


def opened(files: DiskFiles) -> SnapshotStore:
    store = SnapshotStore(SystemFolder(files, NODE / "snapshots"), max_body=SMALL, sync_bytes=150)
    store.load()
    return store


def make_node(files: DiskFiles) -> None:
    files.make_directory(NODE)
    files.sync_directory(NODE.parent)


@pytest.fixture
def sent(tmp_path: Path) -> tuple[SnapshotFile, bytes]:
    """A snapshot of another node, as new as four."""
    other = Place("memory", tmp_path, max_body=SMALL).store()
    return write(other, ref(4)), raw(other, ref(4))


class Life:
    """Snapshots are written, deleted and received; and what had returned when the end came."""

    def __init__(self, sent: tuple[SnapshotFile, bytes]) -> None:
        self.sent = sent
        self.there: set[SnapshotRef] = set()
        """Made, and not being deleted."""
        self.received = 0
        """Bytes of the one that is received that were synced."""

    def __call__(self, files: DiskFiles) -> None:
        self.__init__(self.sent)  # type: ignore[misc]
        offered, data = self.sent
        store = opened(files)
        for index in (1, 2, 3):
            write(store, ref(index))
            self.there.add(ref(index))
            if index == 3:
                self.there.discard(ref(1))
            cut = complete(store.retain(0))
            assert cut == {1: None, 2: ref(1), 3: ref(2)}[index]
            if index == 1:
                store.begin(ref(9, group=7)).abort()
                write(store, ref(1, group=7))
                self.there.add(ref(1, group=7))
        receiver = complete(store.receive(SnapshotFile(ref(9), 500, bytes(16))))
        receiver.write(bytes(200))
        receiver.close()
        receiver = complete(store.receive(offered))
        receiver.write(data[:200])
        receiver.close()
        self.received = 200
        store = opened(files)
        receiver = complete(store.receive(offered))
        for piece in ranges(data[receiver.position :], 60):
            receiver.write(piece)
        complete(receiver.finish())
        self.there.add(ref(4))
        self.there.discard(ref(2))
        assert complete(store.retain(0)) == ref(3)

    def check(self, files: DiskFiles, done: bool) -> None:
        """All that is there is whole, all that was promised is there, and everything can be gone on with."""
        offered, data = self.sent
        store = opened(files)
        found = {each for group in store.groups() for each in store.refs(group)}
        assert self.there <= found
        assert not done or found == self.there
        for each in found:
            complete(store.verify(each))
            assert contents(store, each) == sample(each.index)
        names = files.names(NODE / "snapshots") if files.exists(NODE / "snapshots") else []
        assert not [name for name in names if name.endswith(".writing")]
        assert len([name for name in names if name.endswith(".receiving")]) <= 1
        if ref(4) not in found:
            receiver = complete(store.receive(offered))
            assert receiver.position >= self.received - BLOCK_SIZE - SMALL
            receiver.write(data[receiver.position :])
            complete(receiver.finish())
        write(store, ref(5))
        assert complete(store.retain(0)) == ref(4)
        assert [contents(store, each) for each in store.refs(0)] == [sample(5), sample(4)]


@ENDS
def test_nothing_is_lost_and_nothing_is_left_wherever_the_end_comes(
    sent: tuple[SnapshotFile, bytes], end: Callable[[Disk], None]
) -> None:
    life = Life(sent)
    steps = fail_at_each_step(make_node, life, life.check, end=end)
    assert steps > 80


@ENDS
def test_a_snapshot_is_there_or_not(end: Callable[[Disk], None]) -> None:
    def before(files: DiskFiles) -> None:
        make_node(files)
        write(opened(files), ref(1))

    def act(files: DiskFiles) -> None:
        write(opened(files), ref(2))

    def check(files: DiskFiles, done: bool) -> None:
        store = opened(files)
        assert store.refs(0) in ([(ref(2), ref(1))] if done else [(ref(1),), (ref(2), ref(1))])
        assert [contents(store, each) for each in store.refs(0)] == [sample(each.index) for each in store.refs(0)]

    # The opening syncs the directory; the writer makes sure of the directory's own name, makes the file, writes the
    # head, two sections with one block and three, and the end, syncs twice between them and then all, renames, and
    # syncs the directory.
    assert fail_at_each_step(before, act, check, range(12), end) == 1 + 1 + 1 + (1 + 2 + 4 + 1) + 3 + 1 + 1


def test_what_an_end_leaves_is_durable_before_it_counts() -> None:
    """A snapshot that a killed process had just renamed is found by the next one, which deletes an older one for it;
    then the power fails. A file system may have kept the deletion and lost the new name: not after an opening."""

    def act(files: DiskFiles) -> None:
        write(opened(files), ref(1))
        write(opened(files), ref(2))

    renames = 0
    for step in range(100):
        for seed in range(8):
            disk = Disk(Random(seed))
            make_node(disk.files())

            def on_step(operation: str, disk: Disk = disk, at: int = disk.steps + step) -> None:
                if disk.steps == at:
                    disk.on_step = None
                    raise KeyboardInterrupt

            disk.on_step = on_step
            with suppress(KeyboardInterrupt):
                act(disk.files())
            ended = disk.on_step is not None
            disk.on_step = None
            disk.kill()
            store = opened(disk.files())
            renames += len(store.refs(0)) == 2 and not ended
            if store.refs(0):
                complete(store.retain(0, 1))
            kept = store.refs(0)
            disk.power_failure()
            store = opened(disk.files())
            assert set(kept) <= set(store.refs(0))
            for each in store.refs(0):
                complete(store.verify(each))
        if ended:
            break
    assert renames >= 8


def test_what_a_receiver_that_was_closed_has_is_durable(sent: tuple[SnapshotFile, bytes]) -> None:
    offered, data = sent
    for seed in range(20):
        disk = Disk(Random(seed))
        make_node(disk.files())
        store = SnapshotStore(SystemFolder(disk.files(), NODE / "snapshots"))  # that syncs nothing before the end
        store.load()
        receiver = complete(store.receive(offered))
        receiver.write(data[:400])
        receiver.close()
        disk.power_failure()
        assert complete(opened(disk.files()).receive(offered)).position >= 400 - BLOCK_SIZE - SMALL


REFUSALS = [(errno.EIO, "Input/output error"), (errno.ENOSPC, "No space left on device")]


class Refusing:
    """A disk that refuses one call, the one with this number: as a whole, or with part of it done."""

    def __init__(self, seed: int, at: int, partly: bool, number: int, text: str) -> None:
        self.disk = Disk(Random(seed))
        make_node(self.disk.files())
        store = opened(self.disk.files())
        for index in (1, 2):
            write(store, ref(index))
        self.store = opened(self.disk.files())
        self.refused = ""
        self.at = self.disk.steps + at
        self.partly = partly
        self.error = OSError(number, text)
        self.disk.on_step = self._on_step

    def _on_step(self, operation: str) -> None:
        disk = self.disk
        disk.faults = DiskFaults()
        if disk.steps == self.at and not self.refused:
            self.refused = operation
            if not self.partly or operation in ("rename", "remove"):
                raise self.error
            disk.faults = DiskFaults(write_error=1.0, sync_error=1.0)

    def calm(self) -> None:
        self.disk.on_step = None
        self.disk.faults = DiskFaults()


@pytest.mark.parametrize("partly", [False, True], ids=["whole", "partly"])
@pytest.mark.parametrize(("number", "text"), REFUSALS, ids=["EIO", "ENOSPC"])
def test_a_refused_call_costs_the_new_snapshot_and_nothing_else(number: int, text: str, partly: bool) -> None:
    seen: set[str] = set()
    for step in range(100):
        for seed in range(4):
            refusing = Refusing(seed, step, partly, number, text)
            disk, store = refusing.disk, refusing.store
            made = [ref(2), ref(1)]
            try:
                write(store, ref(3))
                made = [ref(3), *made]
            except SnapshotFailed as error:
                word = "Input/output error" if partly and refusing.refused not in ("rename", "remove") else text
                assert str(error) == f"the snapshot file {error.path}: {error.what}"  # noqa: PT017
                assert error.path.startswith("/data/snapshots")  # noqa: PT017
                assert error.what.endswith(f" failed: {word}")  # noqa: PT017
                assert isinstance(error.__cause__, OSError)  # noqa: PT017
            refusing.calm()
            seen.add(refusing.refused)
            assert sorted(disk.files().names(NODE / "snapshots")) == sorted(
                f"{each.group}-{each.index}-{each.term}.snapshot" for each in made
            )
            assert store.refs(0) == tuple(made)
            write(store, ref(4))  # and it goes on
            disk.power_failure()
            store = opened(disk.files())
            assert store.refs(0) == (ref(4), *made)
            assert [contents(store, each) for each in store.refs(0)] == [sample(each.index) for each in store.refs(0)]
        if not refusing.refused:
            break
    assert seen == {"", "create", "write", "sync", "rename", "sync directory"}


@pytest.mark.parametrize("partly", [False, True], ids=["whole", "partly"])
def test_a_refused_call_while_receiving(sent: tuple[SnapshotFile, bytes], partly: bool) -> None:
    offered, data = sent
    seen: set[str] = set()
    for step in range(100):
        for seed in range(4):
            refusing = Refusing(seed, step, partly, *REFUSALS[0])
            disk, store = refusing.disk, refusing.store
            made = [ref(2), ref(1)]
            with suppress(SnapshotFailed):
                receiver = complete(store.receive(offered))
                receiver.write(data[:200])
                receiver.close()
                receiver = complete(store.receive(offered))
                for piece in ranges(data[receiver.position :], 60):
                    receiver.write(piece)
                complete(receiver.finish())
                made = [ref(4), *made]
            refusing.calm()
            seen.add(refusing.refused)
            assert store.refs(0) == tuple(made)
            assert len(disk.files().names(NODE / "snapshots")) == len(made)
            if ref(4) not in made:
                receiver = complete(store.receive(offered))
                receiver.write(data[receiver.position :])
                assert complete(receiver.finish()) == offered
            disk.power_failure()
            store = opened(disk.files())
            assert store.refs(0) == (ref(4), ref(2), ref(1))
            assert contents(store, ref(4)) == sample(4)
        if not refusing.refused:
            break
    assert seen == {"", "create", "write", "sync", "truncate", "rename", "sync directory"}


def test_garbage_that_cannot_be_deleted_goes_with_the_next_opening() -> None:
    for step in range(40):
        refusing = Refusing(1, step, False, *REFUSALS[1])
        disk = refusing.disk
        broken: list[str] = []

        def on_step(operation: str, refusing: Refusing = refusing, broken: list[str] = broken) -> None:
            if broken and operation == "remove":
                raise OSError(*REFUSALS[0])
            try:
                refusing._on_step(operation)
            except OSError:
                broken.append(operation)
                raise

        disk.on_step = on_step
        store = refusing.store
        with suppress(SnapshotFailed):
            write(store, ref(3))
        refusing.calm()
        assert store.refs(0) == ((ref(2), ref(1)) if broken else (ref(3), ref(2), ref(1)))
        disk.kill()
        store = opened(disk.files())
        for each in store.refs(0):
            assert contents(store, each) == sample(each.index)
        assert len(disk.files().names(NODE / "snapshots")) == len(store.refs(0))
        if not broken:
            break
    assert step > 10


def test_a_disk_that_is_full_takes_no_snapshot_and_the_next_one_when_there_is_room() -> None:
    disk = Disk(Random(1))
    make_node(disk.files())
    store = opened(disk.files())
    write(store, ref(1))
    disk.capacity = disk.used + 100
    used = disk.used
    with pytest.raises(SnapshotFailed, match=r"/data/snapshots/0-2-1\.writing: writing it failed: No space left"):
        write(store, ref(2))
    assert (disk.used, store.refs(0)) == (used, (ref(1),))
    with pytest.raises(SnapshotFailed, match=r"0-9-1-1000-.*receiving: the disk lacks 900 bytes for the 1000 of it"):
        complete(store.receive(SnapshotFile(ref(9), 1000, bytes(16))))
    assert disk.used == used
    disk.capacity = 1 << 40
    write(store, ref(2))
    assert contents(store, ref(2)) == sample(2)


def test_one_that_cannot_be_read_is_not_taken_for_damaged_and_nothing_goes_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Disk(Random(1))
    make_node(disk.files())
    store = opened(disk.files())
    for index in (1, 2, 3):
        write(store, ref(index))

    def read_at(self: DiskFile, size: int, offset: int) -> bytes:
        raise OSError(*REFUSALS[0])

    with monkeypatch.context() as broken:
        broken.setattr(DiskFile, "read_at", read_at)
        for call in (lambda: complete(store.retain(0)), lambda: store.open(ref(2))):
            with pytest.raises(
                SnapshotFailed, match=r"0-2-1\.snapshot: reading it failed: Input/output error"
            ) as caught:
                call()
            assert not isinstance(caught.value, SnapshotDamaged)
    assert store.refs(0) == (ref(3), ref(2), ref(1))
    assert complete(store.retain(0)) == ref(2)


def test_what_cannot_be_deleted_is_said_and_still_there() -> None:
    disk = Disk(Random(1))
    make_node(disk.files())
    store = opened(disk.files())
    for index in range(1, 6):
        write(store, ref(index))

    def on_step(operation: str) -> None:
        if operation == "remove" and len(store.refs(0)) == 3:  # it counts no more
            raise OSError(*REFUSALS[0])

    disk.on_step = on_step
    with pytest.raises(SnapshotFailed, match=r"0-2-1\.snapshot: deleting it failed: Input/output error"):
        complete(store.retain(0))
    assert store.refs(0) == (ref(5), ref(4), ref(3), ref(2))  # the oldest went first
    disk.on_step = None
    assert complete(store.retain(0)) == ref(4)
    assert store.refs(0) == (ref(5), ref(4))
