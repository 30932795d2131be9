"""A data directory has one user at a time, and the second one is told who the first is."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path, PurePath
from typing import Any

import pytest

from raftpy.contracts.errors import StorageFailed, StorageLocked
from raftpy.contracts.files import File, OpenMode
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import Floor
from raftpy.system.files import SystemFiles
from tests.storage.layout import newest_file
from tests.storage.support import MEMBERS, OWNER, Disk, append, entries, submit

HOLDER = """
import sys
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage
store = LevelDBStorage(sys.argv[1])
store.open(StoreOwner(7, {7: "127.0.0.1:1"}))
print("open", flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Another process with the store open; it closes nothing when its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_another_process(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        before = (tmp_path / Floor.FILE).read_bytes()
        with pytest.raises(StorageLocked) as caught:
            LevelDBStorage(tmp_path).open(StoreOwner(7, MEMBERS))
        assert (caught.value.pid, caught.value.host, caught.value.node_id) == (process.pid, socket.gethostname(), 7)
        text = f"is in use by process {process.pid} on host {socket.gethostname()} as node 7"
        assert text in str(caught.value)
        assert (tmp_path / Floor.FILE).read_bytes() == before
        process.kill()
    store = LevelDBStorage(tmp_path)  # the kernel's lock went with the process, the name it left does not count
    assert store.open(StoreOwner(7)).boot >> 32 == 2
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    store.close()
    assert (tmp_path / "lock").read_bytes() == b""


@pytest.mark.parametrize(
    "left", [b"", b"{", b"[1]", b'{"pid": 1}', b"\xff\xfe", b'{"pid": "x", "host": 1, "node_id": 2}']
)
def test_a_holder_without_a_readable_name(tmp_path: Path, left: bytes) -> None:
    disk = Disk("leveldb", tmp_path)
    disk.open()
    (tmp_path / "lock").write_bytes(left)
    with pytest.raises(StorageLocked, match="by a process that left no name"):
        disk.open()


def test_a_name_left_behind_is_overwritten(tmp_path: Path) -> None:
    disk = Disk("leveldb", tmp_path)
    disk.open()[0].close()
    (tmp_path / "lock").write_text('{"pid": 1, "host": "elsewhere", "node_id": 9}' + " " * 100)
    disk.open()
    assert json.loads((tmp_path / "lock").read_text()) == {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "node_id": 1,
    }


def test_leveldb_held_by_something_else(tmp_path: Path) -> None:
    disk = Disk("leveldb", tmp_path)
    disk.open()[0].close()
    command = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    )
    lock = newest_file(tmp_path).parent / "LOCK"
    with subprocess.Popen(
        [sys.executable, "-c", command, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StorageLocked, match="by a process that left no name"):
            disk.open()
        other.kill()
    disk.open()


def test_a_removed_lock_file_lets_nobody_in_and_nothing_is_touched(tmp_path: Path) -> None:
    """The second to come finds LevelDB's own lock taken, before it cuts anything off the file that is written to."""
    with hold(tmp_path) as process:
        (tmp_path / "lock").unlink()
        log = newest_file(tmp_path)
        before = log.read_bytes()
        with pytest.raises(StorageLocked):
            LevelDBStorage(tmp_path).open(StoreOwner(7, MEMBERS))
        assert log.read_bytes() == before
        process.kill()


def test_a_removed_lock_file_in_the_same_process(tmp_path: Path) -> None:
    disk = Disk("leveldb", tmp_path)
    store, _ = disk.open()
    (tmp_path / "lock").unlink()
    log = newest_file(tmp_path)
    before = log.read_bytes()
    with pytest.raises(StorageLocked, match=f"by process {os.getpid()} .* as node 1"):
        disk.open()
    assert log.read_bytes() == before
    submit(store, [append(entries(1, 1, 1), term=1)])
    store.close()
    assert disk.open()[1].groups[0].last_index == 1


def test_a_refused_start_lets_go(tmp_path: Path) -> None:
    disk = Disk("leveldb", tmp_path)
    disk.open()[0].close()
    for _ in range(2):
        with pytest.raises(StorageFailed, match="belongs to node 1"):
            disk.open(StoreOwner(2, MEMBERS))
    disk.open(OWNER)


class Forking(SystemFiles):
    """Forks once, at one point of the lock file's life: the child lives until it is killed."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.children: list[int] = []

    def open(self, path: PurePath, mode: OpenMode) -> File:
        file = super().open(path, mode)
        if path.name != "lock":
            return file
        self.at("opened")
        return LockFile(file, self)  # type: ignore[return-value]

    def at(self, point: str) -> None:
        if point != self.point or self.children:
            return
        if point in ("opened", "closed"):  # in another thread, as one that opens or closes a store does not fork there
            thread = threading.Thread(target=self.fork)
            thread.start()
            thread.join(0.3)  # it may have to wait until we have gone on
        else:
            self.fork()

    def fork(self) -> None:
        if (pid := os.fork()) == 0:
            signal.alarm(60)
            time.sleep(60)
            os._exit(0)
        self.children.append(pid)

    def kill(self) -> None:
        (pid,) = self.children
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class LockFile:
    def __init__(self, file: Any, files: Forking) -> None:
        self._file, self._files = file, files

    def lock(self) -> bool:
        locked: bool = self._file.lock()
        self._files.at("locked")
        return locked

    def truncate(self, size: int) -> None:
        self._file.truncate(size)
        self._files.at("emptied")

    def close(self) -> None:
        self._files.at("closed")
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("refused", [False, True])
def test_a_copy_of_the_handle_that_nobody_has_closed_yet_keeps_no_lock(tmp_path: Path, refused: bool) -> None:
    """As it is in a child from the fork until the child runs, however long that takes on a busy machine."""
    copies = []

    class Copied(LockFile):
        def lock(self) -> bool:
            copies.append(os.dup(self._file._fd))
            return super().lock()

        def truncate(self, size: int) -> None:
            if refused:
                raise OSError(errno.EIO, "Input/output error")
            super().truncate(size)

    class Copying(Forking):
        def open(self, path: PurePath, mode: OpenMode) -> File:
            file = SystemFiles.open(self, path, mode)
            return Copied(file, self) if path.name == "lock" else file  # type: ignore[return-value]

    store = LevelDBStorage(tmp_path, files=Copying("never"))
    with pytest.raises(StorageFailed, match="Input/output") if refused else nullcontext():
        store.open(OWNER)
    store.close()
    again = LevelDBStorage(tmp_path)
    again.open(OWNER)
    again.close()
    (copy,) = copies
    os.close(copy)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("point", ["opened", "locked", "emptied", "closed"])
def test_a_child_that_lives_on_keeps_no_lock_whenever_it_was_forked(tmp_path: Path, point: str) -> None:
    """Every moment between the opening of the file and its close."""
    files = Forking(point)
    store = LevelDBStorage(tmp_path, files=files)
    store.open(OWNER)
    store.close()
    deadline = time.monotonic() + 10
    while not files.children:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        again = LevelDBStorage(tmp_path)
        again.open(OWNER)
        again.close()
    finally:
        files.kill()
