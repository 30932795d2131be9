"""A disk whose writes and syncs fail does the same to the double as to LevelDB and to real files: ENOSPC, EIO.

To the real ones it is done by a library before the C library, which needs a C compiler, as raftpy does.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path, PurePath
from random import Random
from typing import Any

import pytest

from raftpy.contracts.files import OpenMode
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk, DiskFile, DiskFiles
from tests.sim.disk.both import work
from tests.sim.disk.failing import all_of_it

__all__ = ["work"]

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FAULTS = [
    f"{name}:{call}:{number}"
    for name, calls in {
        "/MANIFEST": ("write", "sync"),
        ".log": ("write", "sync"),
        ".ldb": ("write", "sync"),
        ".dbtmp": ("write", "sync"),
        "/floor": ("write", "sync"),
        "/db": ("sync",),
        "/segments": ("sync",),
        "/00000000": ("sync",),
        "/store": ("sync",),
    }.items()
    for call in calls
    for number in ((errno.EIO, errno.ENOSPC) if call == "write" else (errno.EIO,))
]
"""Which files by a part of their last name, with the slash before it; which call; and how it fails."""


class FailingFiles(DiskFiles):
    """A simulated disk on which some calls fail while ``bad`` is set."""

    def __init__(self, disk: Disk, fault: str) -> None:
        super().__init__(disk)
        self.name, self.call, number = fault.split(":")
        self.number = int(number)
        self.bad = False

    def fail(self, path: PurePath, call: str) -> None:
        if self.bad and call == self.call and self.name in f"/{path.name}":
            raise OSError(self.number, os.strerror(self.number))

    def open(self, path: PurePath, mode: OpenMode) -> DiskFile:
        return FailingFile(self, path, super().open(path, mode))

    def sync_directory(self, directory: PurePath) -> None:
        self.fail(directory, "sync")
        super().sync_directory(directory)


class FailingFile(DiskFile):
    def __init__(self, files: FailingFiles, path: PurePath, file: DiskFile) -> None:
        super().__init__(file._disk, file._contents, file._pid, file._opened, reads=file._reads)
        self._files, self._path = files, path

    def _write(self, data: bytes, offset: int) -> tuple[int, OSError | None]:
        try:
            self._files.fail(self._path, "write")
        except OSError as error:
            return 0, error
        return super()._write(data, offset)

    def sync(self) -> None:
        try:
            self._files.fail(self._path, "sync")
        except OSError:
            self._contents.fail_to_sync()
            raise
        super().sync()


def simulated(fault: str) -> dict[str, list[Any]]:
    files = FailingFiles(Disk(Random(1)), fault)
    return all_of_it(files, SimulatedEngine(files), PurePath("/"), lambda on: setattr(files, "bad", on))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands before the C library, built."""
    path = tmp_path_factory.mktemp("failing") / "failing.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, HERE / "failing.c", "-ldl"], check=True)
    return path


def real(library: Path, work: Path) -> list[dict[str, list[Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim.disk.failing", work, *FAULTS],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_whatever_fails_and_however(library: Path, work: Path) -> None:
    """What is refused, what goes on, what is found by the next opening: of a database, and of the store."""
    said = real(library, work)
    assert dict(zip(FAULTS, said, strict=True)) == {fault: simulated(fault) for fault in FAULTS}
    for one in said:
        for opened, _, good, bad, after in (one["in_a_store"][:5], one["in_a_store"][5:]):
            assert (opened in ("done", "StorageFailed"), good, bad) == (True, "done", after)
        assert one["in_a_store"][6] >= one["in_a_store"][2:5].count("done")
    assert {one["in_a_store"][at] for one in said for at in (0, 3, 5, 8)} == {"done", "StorageFailed"}
    assert {word for one in said for word in one["in_a_write"][:-1]} == {"done", "other"}
    assert {word for one in said for word in one["in_an_opening"][:-1]} == {"done", "other"}
    assert {one["in_its_thread"][0] for one in said} == {"done", "other"}
    assert all(one["in_its_thread"][-1] for one in said), "what was acknowledged is found"


HALVES = """
import ctypes, os, sys
from pathlib import Path
from raftpy.system.durable import write_durably
data = os.urandom(100_000)
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
ctypes.CDLL(None).fail(b"/file", 3, 0)
assert [write_durably(fd, data, 10), write_durably(fd, b"", 0)] == [0, 0]
assert Path(sys.argv[1]).read_bytes() == bytes(10) + data
ctypes.CDLL(None).fail(b"/file", 1, 28)
assert write_durably(fd, b"x", 0) == 28
ctypes.CDLL(None).fail(b"/file", 2, 5)
assert write_durably(fd, b"x", 0) == 5
"""


def test_what_is_interrupted_goes_on_where_it_was(library: Path, tmp_path: Path) -> None:
    """A write may take less than it is given, and any call may be interrupted: neither is an error."""
    subprocess.run(
        [sys.executable, "-c", HALVES, tmp_path / "file"],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library)},
        check=True,
        timeout=60,
    )
