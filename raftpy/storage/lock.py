"""Who has a data directory open.

The lock is the kernel's, on the file ``lock`` in the data directory: it goes when its holder goes, however that
happens, and it holds against a second handle in the same process as well. What is written in the file only tells the
next one whom to ask; it is never what decides.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path

from raftpy.errors import StorageLocked


class DirectoryLock:
    """The lock on one data directory, held from construction to ``release``. Raises ``StorageLocked``, ``OSError``."""

    FILE = "lock"

    def __init__(self, directory: Path, node_id: int) -> None:
        path = directory / self.FILE
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageLocked(directory, *read_holder(self._fd)) from None
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "node_id": node_id}
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(holder).encode() + b"\n", 0)
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Lets go of the directory; to be called once."""
        try:
            os.ftruncate(self._fd, 0)
        finally:
            os.close(self._fd)


def read_holder(fd: int) -> tuple[int | None, str | None, int | None]:
    """(pid, host, node id) as the holder wrote them, or three times None while it has not (yet)."""
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        return int(holder["pid"]), str(holder["host"]), int(holder["node_id"])
    except (ValueError, KeyError, TypeError, OSError):
        return None, None, None
