"""File systems for tests with the rights of root: small ones that fill up, and ones on a device that can be made fail.

Both are put in the place of a directory, with what was in it, for as long as a ``with`` block lasts; then the directory
is what it was before. Whoever uses it has to be gone by then.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

LOOP_SET_STATUS64, LOOP_GET_STATUS64 = 0x4C04, 0x4C05  # linux/loop.h
STATUS_SIZE = 232
"""Bytes of struct loop_info64."""
SIZE_LIMIT = 32
"""Where it says, in eight bytes, how many bytes of the file are the device; 0 for all of them."""
DEVICE_SIZE = 128 << 20
STUMP = 8 << 20
"""Bytes that are left of a device that fails: what the file system knows of itself, without which it does not tell
errors but waits, and a file that nobody reads."""


def run(*command: str | Path) -> str:
    """What it prints; raises with its words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def _replace(path: Path, mount: list[str | Path], stump: int = 0) -> None:
    """Mounts something on the directory, takes the first ``stump`` bytes of it, and copies what the directory had."""
    path.mkdir(exist_ok=True)
    copy = path.with_name(path.name + ".copy")
    shutil.copytree(path, copy)
    run(*mount, path)
    if stump:
        with (path / "lost+found" / "stump").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, stump)
    shutil.copytree(copy, path, dirs_exist_ok=True)
    shutil.rmtree(copy)


class Guard:
    """Undoes what was done to the system when it is told to, and when this process ends without a word."""

    def __init__(self) -> None:
        self._undo: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def expect(self, *command: str | Path) -> None:
        """To be called before what this command undoes is done."""
        self._end()
        self._undo.insert(0, shlex.join(map(str, command)))
        script = "; ".join(["read word", '[ "$word" = stop ] && exit', *self._undo])
        self._process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)

    def _end(self) -> None:
        if self._process is not None:
            self._process.communicate(b"stop\n")
            self._process = None

    def undo(self) -> None:
        """Now; returns when it is done."""
        assert self._process is not None
        self._process.communicate()
        assert self._process.returncode == 0, self._undo


class SmallDisk:
    """A file system in memory at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ballast = path / "lost+found"  # the only name beside its own that a store does not mind

    def grow(self, size: str) -> None:
        """Changes its size, as mount takes it: ``64m``."""
        run("mount", "-o", f"remount,size={size}", self._path)

    def fill(self) -> None:
        """Takes all that is free."""
        self._ballast.mkdir()
        with (self._ballast / "file").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def empty(self, size: str) -> None:
        """Gives that back, and grows."""
        shutil.rmtree(self._ballast)
        self.grow(size)


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[SmallDisk]:
    """One of ``size`` bytes, as mount takes it, in the place of the directory ``path``."""
    guard = Guard()
    guard.expect("umount", "-l", path)
    try:
        _replace(path, ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs"])
        yield SmallDisk(path)
    finally:
        guard.undo()


class Device:
    """An ext4 file system on a loop device, in the place of the directory ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._image = path.with_name(path.name + ".image")
        self._device = ""
        self._guard = Guard()

    def __enter__(self) -> Self:
        with self._image.open("wb") as file:
            file.truncate(DEVICE_SIZE)
        run("mkfs.ext4", "-q", "-b", "4096", "-N", "256", "-O", "^has_journal", "-E", "lazy_itable_init=0", self._image)
        self._guard.expect("rm", self._image)
        self._device = run("losetup", "-f", "--show", self._image)
        self._guard.expect("losetup", "-d", self._device)
        self._guard.expect("umount", "-l", self._path)
        _replace(self._path, ["mount", "-o", "nodelalloc", self._device], STUMP)
        os.sync()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.heal()
        self._guard.undo()

    def fail(self) -> None:
        """From now on whatever is written to it, or read from it, is an input/output error. Nothing that is there is
        lost by that."""
        self._limit(STUMP)

    def heal(self) -> None:
        """It works again."""
        self._limit(0)

    def _limit(self, size: int) -> None:
        device = os.open(self._device, os.O_RDWR)
        try:
            info = bytearray(STATUS_SIZE)
            fcntl.ioctl(device, LOOP_GET_STATUS64, info)
            struct.pack_into("<Q", info, SIZE_LIMIT, size)
            fcntl.ioctl(device, LOOP_SET_STATUS64, info)
        finally:
            os.close(device)
