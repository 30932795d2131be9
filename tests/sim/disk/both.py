"""One and the same place on a simulated disk and on a real one, opened by the double and by LevelDB."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.database import Database, DatabaseEngine
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk
from raftpy.sim.disk.image import DiskImage, FileImage
from raftpy.system.leveldb import LevelDB

BUFFER = 64 << 10


@pytest.fixture
def work() -> Iterator[Path]:
    """A directory in memory where there is one: hundreds of openings, each with its syncs."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="raftpy-test-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


def write_image(image: DiskImage, target: Path) -> None:
    """Makes real files of a disk, in an empty directory."""
    for directory in image.directories:
        (target / directory.relative_to("/")).mkdir(exist_ok=True)
    for path, (data, size) in image.files:
        with (target / path.relative_to("/")).open("wb") as file:
            file.write(data)
            file.truncate(size)


def read_image(source: Path) -> DiskImage:
    """A disk with the files of a real directory, all as they were at one moment.

    LevelDB's own thread writes, names and deletes files there while its database is open: what changed under the
    reading is read again.
    """
    deadline = time.monotonic() + 60
    while True:
        with suppress(FileNotFoundError):
            before = listed(source)
            directories, files = [PurePath("/")], []
            for path in before:
                name = PurePath("/") / path.relative_to(source)
                if path.is_dir():
                    directories.append(name)
                else:
                    data = path.read_bytes()
                    files.append((name, FileImage(data, len(data))))
            if listed(source) == before:
                return DiskImage(tuple(directories), tuple(files))
        assert time.monotonic() < deadline, f"the files in {source} change all the time"


def listed(source: Path) -> dict[Path, tuple[int, int, int]]:
    """What is in a real directory: which file it is, its size, and when it was changed last."""
    return {
        path: (status.st_ino, status.st_size, status.st_mtime_ns)
        for path in sorted(source.rglob("*"))
        if (status := path.stat())
    }


def disk_of(image: DiskImage, seed: int = 1) -> Disk:
    """A disk that holds just this."""
    disk = Disk(Random(seed))
    disk.restore(image)
    disk.harm.clear()
    return disk


def fresh(path: Path) -> Path:
    """``path`` as an empty directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


@dataclass(frozen=True)
class Verdict:
    """What became of an opening: how it was refused, or what was read, key by key."""

    refused: str
    """"", "damaged", "locked", or "other"."""
    scanned: tuple[tuple[bytes, bytes] | str, ...] = ()
    """What an iterator gives, and how it ends if that is not quietly."""
    asked: tuple[bytes | str | None, ...] = ()
    """What ``get`` gives for each key asked for, or "damaged"."""


def kind(engine: DatabaseEngine, error: Exception) -> str:
    if engine.is_locked(error):
        return "locked"
    return "damaged" if engine.is_damage(error) else "other"


def judge(engine: DatabaseEngine, path: PurePath, keys: tuple[bytes, ...], create: bool = False) -> Verdict:
    """Opens the database, reads everything in it, asks for each of the keys, and closes it."""
    try:
        database = engine.open(path, create=create, write_buffer_size=BUFFER)
    except engine.Error as error:
        return Verdict(kind(engine, error))
    try:
        half = keys[len(keys) // 2]
        scanned = [*_scanned(engine, database, b"", half), *_scanned(engine, database, half, b"\xff" * 30)]
        return Verdict("", tuple(scanned), tuple(_asked(engine, database, keys)))
    finally:
        database.close()


def _scanned(
    engine: DatabaseEngine, database: Database, start: bytes, stop: bytes
) -> Iterator[tuple[bytes, bytes] | str]:
    try:
        yield from database.iterator(start=start, stop=stop, verify_checksums=True, fill_cache=False)
    except engine.Error as error:
        yield kind(engine, error)


def _asked(engine: DatabaseEngine, database: Database, keys: tuple[bytes, ...]) -> Iterator[bytes | str | None]:
    for key in keys:
        try:
            yield database.get(key, verify_checksums=True)
        except engine.Error as error:
            yield kind(engine, error)


def judge_both(image: DiskImage, target: Path, path: PurePath, keys: tuple[bytes, ...]) -> tuple[Verdict, Verdict]:
    """What the double says of the database at ``path`` on this disk, and what LevelDB says of it."""
    simulated = judge(SimulatedEngine(disk_of(image).files()), path, keys)
    write_image(image, fresh(target))
    return simulated, judge(LevelDB(), target / path.relative_to("/"), keys)
