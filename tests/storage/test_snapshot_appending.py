"""How a snapshot goes to the disk: in small steps, so that a log that is synced meanwhile waits behind one of them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.files import Data, Files, OpenMode
from raftpy.contracts.snapshots import SnapshotRef, complete
from raftpy.storage.snapshots.folder import WRITE_BACK_BYTES, Appender, Folder, FolderFile, SystemFolder
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.files import SystemFile, SystemFiles
from tests.storage.snapshots import MACHINE, Place, raw, write

MIB = 1 << 20


class Noted:
    """A ``FolderFile`` that keeps nothing, and notes what is asked of it; ``able``: to write back."""

    path = "noted"

    def __init__(self, able: bool = True) -> None:
        self.events: list[tuple[object, ...]] = []
        self._able = able

    def write_at(self, data: Data, offset: int) -> None:
        self.events.append(("write", len(data), offset))

    def write_back(self, size: int, offset: int) -> bool:
        self.events.append(("write back", size, offset))
        return self._able

    def sync(self) -> None:
        self.events.append(("sync",))


def appended(file: Noted, position: int, sizes: list[int], sync_bytes: int = 8 * MIB) -> list[tuple[object, ...]]:
    """What an Appender asks of the file for writes of these sizes, but for the writes themselves."""
    appender = Appender(file, position, sync_bytes)  # type: ignore[arg-type] - it asks for no more
    for size in sizes:
        appender.write(bytes(size))
    return [event for event in file.events if event[0] != "write"]


def test_what_has_come_together_goes_to_the_disk_in_small_steps() -> None:
    third = WRITE_BACK_BYTES // 3 + 1
    step = 3 * third
    assert appended(Noted(), 1000, [third] * 7) == [
        ("write back", step, 1000),
        ("write back", step, 1000 + step),
    ]


def test_a_sync_has_at_most_one_step_left_to_write() -> None:
    events = appended(Noted(), 0, [100_000] * 200, sync_bytes=2 * MIB)
    back = 0
    for event in events:
        if event[0] == "write back":
            assert isinstance(event[1], int)
            back += event[1]
        else:
            assert back % (2 * MIB) <= 100_000 * 3
    assert [event[0] for event in events].count("sync") == 200 * 100_000 // (2 * MIB + 100_000)
    assert max(int(str(event[1])) for event in events if event[0] == "write back") < WRITE_BACK_BYTES + 100_000


def test_a_sync_leaves_nothing_to_be_written_back() -> None:
    half = WRITE_BACK_BYTES // 2
    assert appended(Noted(), 0, [half] * 5, sync_bytes=3 * half) == [
        ("write back", 2 * half, 0),
        ("sync",),
        ("write back", 2 * half, 3 * half),
    ]


def test_where_nothing_can_be_written_back_syncs_do_it() -> None:
    events = appended(Noted(able=False), 0, [WRITE_BACK_BYTES] * 64)
    assert [event for event in events if event == ("sync",)] == [("sync",)] * 2


class Watched(SystemFiles):
    """Files of the system that note what is written back; ``fault``: what each write-back raises."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.fault: OSError | None = None

    def open(self, path: object, mode: OpenMode) -> SystemFile:  # type: ignore[override]
        file = super().open(path, mode)  # type: ignore[arg-type]
        watched, name = self, Path(str(path)).suffix

        class WatchedFile(SystemFile):
            def write_back(self, size: int, offset: int) -> bool:
                watched.steps.append((name, size, offset))
                if watched.fault is not None:
                    raise watched.fault
                return super().write_back(size, offset)

        return WatchedFile(file._fd, Path(str(path)))  # type: ignore[attr-defined]


def folder(files: Files, tmp_path: Path) -> Folder:
    return SystemFolder(files, tmp_path / "snapshots")


def covered(steps: list[tuple[str, int, int]]) -> int:
    """Up to where they go, one behind the other."""
    at = 0
    for _, size, offset in steps:
        assert offset == at
        assert size <= WRITE_BACK_BYTES + (256 << 10) + 64
        at += size
    return at


def test_a_snapshot_is_written_back_as_it_is_written_and_as_it_is_received(tmp_path: Path) -> None:
    files = Watched()
    store = SnapshotStore(folder(files, tmp_path / "a"))
    (tmp_path / "a").mkdir()
    store.load()
    made = write(store, SnapshotRef(0, 5, 1), [(MACHINE, bytes(3 * MIB))])
    assert made.size - covered(files.steps) < WRITE_BACK_BYTES
    files.steps.clear()
    (tmp_path / "b").mkdir()
    other = SnapshotStore(folder(files, tmp_path / "b"))
    other.load()
    receiver = complete(other.receive(made))
    body = raw(store, made.ref)
    for at in range(0, len(body), 128 << 10):
        receiver.write(body[at : at + (128 << 10)])
    assert made.size - covered(files.steps) < WRITE_BACK_BYTES
    assert complete(receiver.finish()) == made


def test_a_disk_that_fails_meanwhile_is_heard_of(tmp_path: Path) -> None:
    """The system says so once, here or at the sync: what was lost must not become a snapshot."""
    files = Watched()
    store = SnapshotStore(folder(files, tmp_path))
    store.load()
    writer = store.begin(SnapshotRef(0, 5, 1))
    writer.section(MACHINE)
    files.fault = OSError(errno.EIO, "Input/output error")
    with pytest.raises(SnapshotFailed, match="writing it back failed: Input/output error"):
        writer.write(bytes(2 * MIB))
    assert store.refs(0) == ()
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_every_kind_of_place_takes_the_call(tmp_path: Path) -> None:
    for kind in ("memory", "system"):
        file: FolderFile = Place(kind, tmp_path).folder().open("a", "rewrite")
        file.write_at(b"abc", 0)
        file.write_back(3, 0)
        file.sync()
        file.close()
