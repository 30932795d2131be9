"""The files of the operating system: ``raftpy.contracts.files`` for real."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Hashable
from pathlib import Path, PurePath
from types import TracebackType

from raftpy.contracts.files import Data, File, OpenMode
from raftpy.system.durable import write_durably
from raftpy.system.removing import remove
from raftpy.system.space import set_aside
from raftpy.system.write_back import write_back

_FLAGS: dict[OpenMode, int] = {
    "share": os.O_RDWR | os.O_CREAT,
    "rewrite": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "change": os.O_RDWR,
    "read": os.O_RDONLY,
}
_NO_WRITE_BACK = (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EPERM)
"""How a system says that it cannot write a part of this file back: also where a sandbox allows no such call."""


class _Named:
    """An ``OSError`` inside says which file it is about: where a call is given a descriptor, the system does not."""

    __slots__ = ("path",)

    def __init__(self, path: PurePath) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(self.path)


if hasattr(os, "preadv"):

    def _read_into(fd: int, buffer: memoryview, offset: int) -> int:
        return os.preadv(fd, [buffer], offset)

else:

    def _read_into(fd: int, buffer: memoryview, offset: int) -> int:
        read = os.pread(fd, len(buffer), offset)
        buffer[: len(read)] = read
        return len(read)


class SystemFile:
    """A ``File`` over a descriptor of the system; ``path`` is what errors call it."""

    __slots__ = ("_fd", "_named")

    def __init__(self, fd: int, path: PurePath) -> None:
        self._fd = fd
        self._named = _Named(path)

    def read_at(self, size: int, offset: int) -> bytes:
        with self._named:
            return os.pread(self._fd, size, offset)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        read = 0
        with self._named:
            while read < len(buffer):
                count = _read_into(self._fd, buffer[read:], offset + read)
                if not count:
                    break
                read += count
        return read

    def write(self, data: Data) -> None:
        with self._named:
            while data:
                data = data[os.write(self._fd, data) :]

    def write_at(self, data: Data, offset: int) -> None:
        with self._named:
            while data:
                written = os.pwrite(self._fd, data, offset)
                data = data[written:]
                offset += written

    def size(self) -> int:
        with self._named:
            return os.fstat(self._fd).st_size

    def truncate(self, size: int) -> None:
        with self._named:
            os.ftruncate(self._fd, size)

    def set_aside(self, size: int) -> bool:
        return bool(set_aside(self._fd, size))

    def free_space(self) -> int:
        return _free(os.fstatvfs(self._fd))

    def write_back(self, size: int, offset: int) -> bool:
        error = write_back(self._fd, offset, size)
        if error in _NO_WRITE_BACK:
            return False
        if error:
            raise self._error(error)
        return True

    def sync(self) -> None:
        with self._named:
            sync(self._number())

    def write_durably(self, data: Data, offset: int) -> None:
        error = write_durably(self._fd, data, offset)
        if error:
            raise self._error(error)

    def lock(self) -> bool:
        return self._flock(fcntl.LOCK_EX)

    def lock_shared(self) -> bool:
        return self._flock(fcntl.LOCK_SH)

    def _flock(self, how: int) -> bool:
        try:
            fcntl.flock(self._number(), how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        fcntl.flock(self._number(), fcntl.LOCK_UN)

    def lock_for_process(self) -> bool:
        return self._lockf(fcntl.LOCK_EX)

    def locked_by_another(self) -> bool:
        if not self._lockf(fcntl.LOCK_SH):
            return True
        fcntl.lockf(self._fd, fcntl.LOCK_UN)
        return False

    def _lockf(self, how: int) -> bool:
        try:
            fcntl.lockf(self._number(), how | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        return True

    def _number(self) -> int:
        """The descriptor, where the interpreter would call that of a closed file a wrong value."""
        if self._fd < 0:
            raise self._error(errno.EBADF)
        return self._fd

    def _error(self, number: int) -> OSError:
        return OSError(number, os.strerror(number), str(self._named.path))

    def close(self) -> None:
        fd, self._fd = self._fd, -1  # the number may be another file's from now on
        os.close(fd)


class SystemFiles:
    """``Files`` of the operating system. It holds nothing, so that any number of them are as good as one."""

    def open(self, path: PurePath, mode: OpenMode) -> File:
        return SystemFile(os.open(path, _FLAGS[mode] | os.O_CLOEXEC, 0o644), path)

    def read(self, path: PurePath) -> bytes:
        return Path(path).read_bytes()

    def read_beginning(self, path: PurePath, size: int) -> bytes:
        with Path(path).open("rb") as file:
            return file.read(size)

    def names(self, directory: PurePath) -> list[str]:
        return os.listdir(directory)

    def exists(self, path: PurePath) -> bool:
        return Path(path).exists()

    def is_file(self, path: PurePath) -> bool:
        return Path(path).is_file()

    def is_directory(self, path: PurePath) -> bool:
        return Path(path).is_dir()

    def identity(self, directory: PurePath) -> Hashable:
        status = os.stat(directory)
        return status.st_dev, status.st_ino

    def disk_of(self, directory: PurePath) -> Hashable:
        return os.stat(directory).st_dev

    def real_path(self, path: PurePath) -> PurePath:
        return PurePath(Path(path).resolve())

    def make_directory(self, path: PurePath) -> None:
        Path(path).mkdir(exist_ok=True)

    def replace(self, old: PurePath, new: PurePath) -> None:
        os.replace(old, new)

    def remove(self, path: PurePath) -> None:
        remove(path)

    def remove_tree(self, directory: PurePath) -> None:
        shutil.rmtree(directory)

    def free_space(self, directory: PurePath) -> int:
        return _free(os.statvfs(directory))

    def sync_directory(self, directory: PurePath) -> None:
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with _Named(directory):
                sync(fd)
        finally:
            os.close(fd)

    def holder(self) -> tuple[int, str]:
        return os.getpid(), socket.gethostname()


def _free(room: os.statvfs_result) -> int:
    return room.f_bavail * room.f_frsize


def sync(fd: int) -> None:
    """Makes a file durable: ``fsync``; on macOS ``F_FULLFSYNC``, since ``fsync`` stops at the drive's cache there."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(fd, full)
            return
        except OSError:
            pass  # a file system that knows only fsync
    os.fsync(fd)
