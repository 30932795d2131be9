"""Who has a data directory open.

The lock is the kernel's, on the file ``lock`` in the data directory: it goes when its holder goes, however that
happens, and it holds against a second handle in the same process as well. What is written in the file only tells the
next one whom to ask; it is never what decides.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath

from raftpy.contracts.errors import StorageLocked
from raftpy.contracts.files import File, Files
from raftpy.system.forking import call_in_child, undivided

_held: dict[Hashable, int] = {}
"""Each data directory that this process has open (``Files.identity``), and for which node."""


class DirectoryLock:
    """The lock on one data directory, held from construction to ``release``. Raises ``StorageLocked``, ``OSError``.

    A fork copies the descriptor, and the lock would stay with the copy: a child lets go of it before it goes on,
    whatever the parent was at when it forked.
    """

    FILE = "lock"
    BEGINNING = b'{"pid": '
    """Of what a holder writes into the file; it is empty while nobody holds the lock."""

    def __init__(self, files: Files, directory: PurePath, node_id: int) -> None:
        self._place = files.identity(directory)
        self._file: File | None = None
        call_in_child(self.leave)
        with undivided():
            self._file = file = files.open(directory / self.FILE, "share")
        try:
            if not file.lock():
                raise StorageLocked(directory, *read_holder(file))
            pid, host = files.holder()
            if self._place in _held:  # and somebody has removed the file
                raise StorageLocked(directory, pid, host, _held[self._place])
            holder = {"pid": pid, "host": host, "node_id": node_id}
            file.truncate(0)
            file.write_at(json.dumps(holder).encode() + b"\n", 0)
            _held[self._place] = node_id
        except BaseException:
            self._let_go()
            raise

    def release(self) -> None:
        """Lets go of the directory; again, and in a forked child, it does nothing."""
        if self._file is None:
            return
        _held.pop(self._place, None)
        try:
            self._file.truncate(0)
        except OSError:
            pass  # a broken disk: the name that stays there decides nothing
        finally:
            self._let_go()

    def leave(self) -> None:
        """In a forked child: lets go of this copy of the lock, which could outlive the parent's own."""
        if self._file is not None:
            _held.pop(self._place, None)
            self._close()

    def _let_go(self) -> None:
        """Unlocks before it closes: a child that was forked just now may not have come to close its copy."""
        if self._file is not None:
            with suppress(OSError):  # closing it unlocks as well, where there is no such child
                self._file.unlock()
            self._close()

    def _close(self) -> None:
        with undivided():
            file, self._file = self._file, None
            if file is not None:
                file.close()


@contextmanager
def leveldb_unused(files: Files, directory: PurePath, owner: PurePath) -> Iterator[None]:
    """While nobody has the LevelDB database in ``directory`` open, which belongs to the data directory ``owner``,
    whatever has become of our own lock.

    Takes LevelDB's lock, which is one of the process: this process must not have the database open. Raises
    ``StorageLocked``, ``OSError``.
    """
    file = files.open(directory / "LOCK", "share")
    try:
        if not file.lock_for_process():
            raise StorageLocked(owner)
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
