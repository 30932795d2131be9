"""Who has a data directory open.

The lock is the kernel's, on the file ``lock`` in the data directory: it goes when its holder goes, however that
happens, and it holds against a second handle in the same process as well. What is written in the file only tells the
next one whom to ask; it is never what decides.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

from raftpy.contracts.errors import StorageLocked
from raftpy.contracts.files import File, Files

_held: dict[Hashable, int] = {}
"""Each data directory that this process has open (``Files.identity``), and for which node."""


class DirectoryLock:
    """The lock on one data directory, held from construction to ``release``. Raises ``StorageLocked``, ``OSError``."""

    FILE = "lock"
    BEGINNING = b'{"pid": '
    """Of what a holder writes into the file; it is empty while nobody holds the lock."""

    def __init__(self, files: Files, directory: PurePath, node_id: int) -> None:
        self._place = files.identity(directory)
        self._file = files.open(directory / self.FILE, "share")
        try:
            if not self._file.lock():
                raise StorageLocked(directory, *read_holder(self._file))
            pid, host = files.holder()
            if self._place in _held:  # and somebody has removed the file
                raise StorageLocked(directory, pid, host, _held[self._place])
            holder = {"pid": pid, "host": host, "node_id": node_id}
            self._file.truncate(0)
            self._file.write_at(json.dumps(holder).encode() + b"\n", 0)
            _held[self._place] = node_id
        except BaseException:
            self._file.close()
            raise

    def release(self) -> None:
        """Lets go of the directory; to be called once."""
        _held.pop(self._place, None)
        try:
            self._file.truncate(0)
        finally:
            self._file.close()

    def leave(self) -> None:
        """In a forked child: lets go of this copy of the lock, which could outlive the parent's own."""
        _held.pop(self._place, None)
        self._file.close()


@contextmanager
def leveldb_unused(files: Files, directory: PurePath) -> Iterator[None]:
    """While nobody has the LevelDB database in ``directory`` open, whatever has become of our own lock.

    Takes LevelDB's lock, which is one of the process: this process must not have the database open. Raises
    ``StorageLocked``, ``OSError``.
    """
    file = files.open(directory / "LOCK", "share")
    try:
        if not file.lock_for_process():
            raise StorageLocked(directory.parent)
        yield
    finally:
        file.close()


def read_holder(file: File) -> tuple[int | None, str | None, int | None]:
    """(pid, host, node id) as the holder wrote them, or three times None while it has not (yet)."""
    try:
        holder = json.loads(file.read_at(4096, 0))
        return int(holder["pid"]), str(holder["host"]), int(holder["node_id"])
    except (ValueError, KeyError, TypeError, OSError):
        return None, None, None
