"""Who has a data directory open.

The lock is the kernel's, on the file ``lock`` in the data directory: it goes when its holder goes, however that
happens, and it holds against a second handle in the same process as well. What is written in the file only tells the
next one whom to ask; it is never what decides.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raftpy.contracts.errors import StorageLocked

_held: dict[tuple[int, int], int] = {}
"""Device and inode of each data directory that this process has open, and for which node."""


class DirectoryLock:
    """The lock on one data directory, held from construction to ``release``. Raises ``StorageLocked``, ``OSError``."""

    FILE = "lock"
    BEGINNING = b'{"pid": '
    """Of what a holder writes into the file; it is empty while nobody holds the lock."""

    def __init__(self, directory: Path, node_id: int) -> None:
        path = directory / self.FILE
        status = directory.stat()
        self._place = (status.st_dev, status.st_ino)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageLocked(directory, *read_holder(self._fd)) from None
            if self._place in _held:  # and somebody has removed the file
                raise StorageLocked(directory, os.getpid(), socket.gethostname(), _held[self._place])
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "node_id": node_id}
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(holder).encode() + b"\n", 0)
            _held[self._place] = node_id
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Lets go of the directory; to be called once."""
        _held.pop(self._place, None)
        try:
            os.ftruncate(self._fd, 0)
        finally:
            os.close(self._fd)

    def leave(self) -> None:
        """In a forked child: lets go of this copy of the lock, which could outlive the parent's own."""
        _held.pop(self._place, None)
        os.close(self._fd)


@contextmanager
def leveldb_unused(directory: Path) -> Iterator[None]:
    """While nobody has the LevelDB database in ``directory`` open, whatever has become of our own lock.

    Takes LevelDB's lock, which is one of the process: this process must not have the database open. Raises
    ``StorageLocked``, ``OSError``.
    """
    fd = os.open(directory / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise StorageLocked(directory.parent) from None
        yield
    finally:
        os.close(fd)


def read_holder(fd: int) -> tuple[int | None, str | None, int | None]:
    """(pid, host, node id) as the holder wrote them, or three times None while it has not (yet)."""
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        return int(holder["pid"]), str(holder["host"]), int(holder["node_id"])
    except (ValueError, KeyError, TypeError, OSError):
        return None, None, None
