"""The double does to files what LevelDB does, call by call.

What is expected was taken down from LevelDB 1.22 itself, with a library before the C library that wrote down each call
(open, write, fdatasync, fsync, rename, unlink) for the database's directory. Left out are the lock, LevelDB's log of
events, and into how many pieces a table is written.
"""

from __future__ import annotations

from pathlib import PurePath
from random import Random

import pytest

from raftpy.contracts.database import Database
from raftpy.contracts.files import OpenMode
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk, DiskFile, DiskFiles

PATH = PurePath("/db")


class Recorder(DiskFiles):
    """Writes down what is done to the files of the database."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.done: list[str] = []

    def take(self) -> list[str]:
        done, self.done[:] = list(self.done), []
        return done

    def open(self, path: PurePath, mode: OpenMode) -> DiskFile:
        file = super().open(path, mode)
        if mode != "rewrite" or path.name == "LOG":
            return file
        self.done.append(f"make {path.name}")
        return RecordedFile(self, path.name, file)

    def replace(self, old: PurePath, new: PurePath) -> None:
        super().replace(old, new)
        if new.name != "LOG.old":
            self.done.append(f"rename {old.name} {new.name}")

    def remove(self, path: PurePath) -> None:
        super().remove(path)
        self.done.append(f"delete {path.name}")

    def sync_directory(self, directory: PurePath) -> None:
        super().sync_directory(directory)
        self.done.append("sync directory")


class RecordedFile(DiskFile):
    def __init__(self, files: Recorder, name: str, file: DiskFile) -> None:
        super().__init__(file._disk, file._contents, file._pid, file._opened, reads=file._reads)
        self._files = files
        self._name = name

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self._name.endswith(".ldb"):
            self._files.done.append(f"write {self._name} {len(data)}")

    def sync(self) -> None:
        super().sync()
        self._files.done.append(f"sync {self._name}")


def current(number: int) -> list[str]:
    """How ``CURRENT`` comes to lead to a manifest."""
    name = f"{number:06}.dbtmp"
    return [f"make {name}", f"write {name} 16", f"sync {name}", f"rename {name} CURRENT"]


def manifest(number: int, snapshot: int, edit: int) -> list[str]:
    name = f"MANIFEST-{number:06}"
    return [f"make {name}", f"write {name} {snapshot}", f"write {name} {edit}", "sync directory", f"sync {name}"]


def commit(number: int, *sizes: int) -> list[str]:
    name = f"{number:06}.log"
    return [*(f"write {name} {size}" for size in sizes), f"sync {name}"]


@pytest.fixture
def files() -> Recorder:
    return Recorder(Disk(Random(1)))


def test_openings_commits_and_a_write_ahead_file_that_is_full(files: Recorder) -> None:
    engine = SimulatedEngine(files)

    def opened() -> Database:
        return engine.open(PATH, create=True, write_buffer_size=64 << 10)

    database = opened()
    first = ["make MANIFEST-000001", "write MANIFEST-000001 41", *current(1), "make 000003.log"]
    assert files.take() == [*first, *manifest(2, 35, 15), *current(2), "delete MANIFEST-000001"]
    database.put(b"a", b"1", sync=True)
    assert files.take() == commit(3, 24)
    batch = database.write_batch(sync=True)
    batch.put(b"big", b"x" * 70_000)
    batch.write()
    assert files.take() == commit(3, 32_744, 32_768, 4_529)
    database.close()
    assert files.take() == []
    database = opened()
    table = ["make 000005.ldb", "sync 000005.ldb", "make 000006.log"]
    gone = ["delete 000003.log", "delete MANIFEST-000002"]
    assert files.take() == [*table, *manifest(4, 35, 43), *current(4), *gone]
    for key in (b"c", b"d", b"e"):
        database.put(key, b"1", sync=True)
    assert files.take() == 3 * commit(6, 24)
    database.close()
    database = opened()
    table = ["make 000008.ldb", "sync 000008.ldb", "make 000009.log"]
    gone = ["delete 000006.log", "delete MANIFEST-000004"]
    assert files.take() == [*table, *manifest(7, 63, 40), *current(7), *gone]
    database.close()
    database = opened()
    gone = ["delete 000009.log", "delete MANIFEST-000007"]
    assert files.take() == ["make 000011.log", *manifest(10, 88, 15), *current(10), *gone]
    for number in range(3):
        database.put(b"r%d" % number, b"y" * 30_000, sync=True)
    assert files.take() == [*commit(11, 30_026), *commit(11, 2_742, 27_291), *commit(11, 5_477, 24_556)]
    for number in range(6):
        database.put(b"s%d" % number, b"y", sync=True)
    # LevelDB's thread makes the table in between; how many commits come first is drawn.
    done = files.take()
    assert done[0] == "make 000012.log"
    table = ["make 000013.ldb", "sync 000013.ldb", "write MANIFEST-000010 43", "sync directory", "sync MANIFEST-000010"]
    start = done.index("make 000013.ldb")
    assert done[start : start + 6] == [*table, "delete 000011.log"]
    assert done[1:start] + done[start + 6 :] == 6 * commit(12, 25)
