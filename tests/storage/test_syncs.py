"""What must reach the disk, in which order. A missing sync shows only when the power fails, so it is watched for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from raftpy.contracts.files import Data
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.store import make_directory
from raftpy.system import files, leveldb
from tests.storage.late import LateExecutor
from tests.storage.layout import records
from tests.storage.support import FILES, OWNER, append, commit_only, entries, submit


class Recorder:
    """Notes file syncs, renames, batches and what LevelDB writes, in order, and lets them happen."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.options: dict[str, object] = {}
        fsync, replace, binding = os.fsync, os.replace, leveldb.binding.DB
        write_durably = files.write_durably

        def noting_fsync(fd: int) -> None:
            fsync(fd)
            self.events.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")

        def noting_replace(old: Path, new: Path) -> None:
            replace(old, new)
            self.events.append(f"rename {old.name} to {new.name}")

        def noting_write(fd: int, data: Data, offset: int) -> int:
            error = write_durably(fd, data, offset)
            self.events.append("batch, synced")
            return error

        def noting_database(path: str, **options: object) -> Database:
            self.options = options
            return Database(binding(path, **options), self.events)

        patch.setattr(files.os, "fsync", noting_fsync)
        patch.setattr(files.os, "replace", noting_replace)
        patch.setattr(files, "write_durably", noting_write)
        patch.setattr(leveldb.binding, "DB", noting_database)

    def take(self) -> list[str]:
        taken, self.events[:] = self.events[:], []
        return taken


class Database:
    """A plyvel DB that notes its writes."""

    def __init__(self, database: Any, events: list[str]) -> None:
        self._database, self._events = database, events
        self.close = database.close

    def put(self, key: bytes, value: bytes, *, sync: bool = False) -> None:
        self._database.put(key, value, sync=sync)
        self._events.append("put, synced" if sync else "put")


FLOOR = ["fsync floor.new", "rename floor.new to floor"]


def segment(number: int) -> list[str]:
    """A segment is made: its header, the names of its files, its own name."""
    return ["put, synced", f"fsync {number:016}", "fsync segments"]


def test_every_step_of_a_life(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = Recorder(monkeypatch)
    path = tmp_path / "node1"
    write_floor = [*FLOOR, "fsync node1"]
    executor = LateExecutor()
    store = LevelDBStorage(path, executor=executor)
    store.open(OWNER)
    made = [f"fsync {tmp_path.name}"]
    row = ["fsync node1", *segment(1), "batch, synced", "batch, synced"]
    assert recorder.take() == [*made, *write_floor, *row, *write_floor]
    assert recorder.options["create_if_missing"] is True
    assert recorder.options["paranoid_checks"] is True
    assert recorder.options["compression"] is None
    submit(store, [append(entries(1, 3, 1), term=1), append(entries(2, 1, 2)), append(term=2, vote=1)])
    assert recorder.take() == ["batch, synced"]
    submit(store, [commit_only(2, 1, 2)])
    assert recorder.take() == []
    store.pin(2, 22)
    store.pin(2, 22)
    assert recorder.take() == ["batch, synced"]
    executor.run()
    assert recorder.take() == segment(2)
    store.close()
    assert recorder.take() == ["batch, synced", "fsync 000003.log", "fsync 000003.log", *write_floor]
    store = LevelDBStorage(path, executor=LateExecutor())
    store.open(OWNER)
    # The last batch is written once more: it may not be durable, and what comes now rests on it.
    assert recorder.take() == ["fsync 000003.log", *segment(3), "batch, synced", *write_floor]
    store.close()


def test_a_change_of_segments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next one is named, durably, before it is written, and the older ones go behind what says so."""
    executor = LateExecutor()
    recorder = Recorder(monkeypatch)
    store = LevelDBStorage(tmp_path / "node1", executor=executor, segment_size=10_000)
    store.open(OWNER)
    executor.run()
    recorder.take()
    last = 0
    taken: list[str] = []
    while not taken.count("batch, synced") > 3:
        submit(store, [append(entries(last + 1, 100, 1), term=1)])
        last += 100
        taken += recorder.take()
    assert taken == ["batch, synced"] * 4
    while len(taken) < 5:
        submit(store, [append(entries(last + 1, 100, 1))])
        last += 100
        executor.run()
        taken = recorder.take()
    assert taken == ["batch, synced", "fsync 000003.log", *segment(3)]
    store.group(0).compact(last)
    submit(store, [append(entries(last + 1, 100, 1))])
    assert recorder.take() == ["batch, synced"]
    executor.run()
    assert recorder.take() == ["fsync segments"]
    assert sorted(path.name for path in records(tmp_path / "node1").iterdir()) == [f"{2:016}", f"{3:016}"]
    store.close()


def test_directories_are_named_durably(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = Recorder(monkeypatch)
    make_directory(FILES, tmp_path / "a" / "b" / "c")
    assert recorder.take() == [f"fsync {tmp_path.name}", "fsync a", "fsync b"]
    # Found there, but no store in it yet: who made it may not have synced.
    make_directory(FILES, tmp_path / "a" / "b" / "c")
    assert recorder.take() == ["fsync b"]
    (tmp_path / "a" / "b" / "c" / Floor.FILE).touch()
    make_directory(FILES, tmp_path / "a" / "b" / "c")
    assert recorder.take() == []


def test_macos_asks_the_drive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is F_FULLFSYNC it is used, and fsync only when the file system does not know it."""
    recorder = Recorder(monkeypatch)
    asked: list[int] = []

    def fcntl(fd: int, command: int) -> int:
        asked.append(command)
        if len(asked) > 2:
            raise OSError("not supported")
        return 0

    monkeypatch.setattr(files.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(files.fcntl, "fcntl", fcntl)
    Floor(1).write(FILES, tmp_path)
    assert (asked, recorder.take()) == ([51, 51], ["rename floor.new to floor"])
    Floor(1).write(FILES, tmp_path)
    assert recorder.take() == [*FLOOR, f"fsync {tmp_path.name}"]
