"""The directory ``snapshots/``, as the store of snapshots uses it, and the files in it: a name, not a path.

Whatever the system refuses comes out as ``SnapshotFailed``, which says what was tried, and with which file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Protocol

from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.files import Data, File, Files, OpenMode


class FolderFile(Protocol):
    """An open file of a folder: ``File`` as far as it is used, raising ``SnapshotFailed``. To be closed."""

    path: str
    """What errors call it."""

    def read_at(self, size: int, offset: int) -> bytes:
        """See ``File``."""
        ...

    def write_at(self, data: Data, offset: int) -> None:
        """See ``File``."""
        ...

    def size(self) -> int:
        """See ``File``."""
        ...

    def truncate(self, size: int) -> None:
        """See ``File``."""
        ...

    def write_back(self, size: int, offset: int) -> bool:
        """See ``File``."""
        ...

    def sync(self) -> None:
        """See ``File``."""
        ...

    def close(self) -> None:
        """See ``File``."""
        ...


class Folder(Protocol):
    """One directory of files; it is made when the first file is. What is done with names is durable after ``sync``."""

    def names(self) -> list[str]:
        """What is in it. Raises ``SnapshotFailed``."""
        ...

    def open(self, name: str, mode: OpenMode) -> FolderFile:
        """See ``Files.open``. ``SnapshotDamaged`` where the file should be there and is not, ``SnapshotFailed``."""
        ...

    def rename(self, old: str, new: str) -> None:
        """In one step, also where there is a file of that name. Raises ``SnapshotFailed``."""
        ...

    def remove(self, name: str) -> None:
        """Deletes a file; one that is not there is as good as deleted. Raises ``SnapshotFailed``."""
        ...

    def free_space(self) -> int:
        """Bytes that may still be written on the disk on which it is, or will be. Raises ``SnapshotFailed``."""
        ...

    def sync(self) -> None:
        """Returns when the names would outlive a crash. Raises ``SnapshotFailed``."""
        ...


LEFT = 8
"""So many times its own bytes a snapshot leaves free for the log, where that is less than the log's reserve."""


class SnapshotRoom:
    """What snapshots may take of the disk on which the ``folder`` is, and with it the log of their node.

    ``reserve``: bytes of it that are left to the log: its node ends with the first entry for which there is no room.
    A small one leaves less: it may be what lets the log be cut, and no room would be left for it once the log has come
    that far. So one of ``n`` bytes leaves ``8 n``, and the reserve at most::

        free when it is begun        what it may take
        9/8 of the reserve or more   what is beyond the reserve
        less                         a ninth

    0, and to be set before anything is written: the log lies on another disk, and needs none of this one.
    """

    def __init__(self, folder: Folder, reserve: int) -> None:
        self.reserve = reserve
        self._folder = folder

    def free(self) -> int:
        """Bytes that one may take which is begun now. Raises ``SnapshotFailed``."""
        free = self._folder.free_space()
        return max(free - self.reserve, free // (1 + LEFT))

    def check(self, path: str, size: int, more: int) -> None:
        """Raises ``SnapshotFailed`` where there is no room for ``more`` bytes of a snapshot in the file ``path``, of
        ``size`` bytes with them."""
        free, kept = self._folder.free_space(), min(self.reserve, LEFT * size)
        if free < kept + more:
            lacking = f"the disk lacks {kept + more - free} bytes for the {size} of it"
            raise SnapshotFailed(path, f"{lacking}: {free} are left, of which {kept} are kept for the log")


WRITE_BACK_BYTES = 256 << 10
"""How much is given to the disk in one go. A log that is synced meanwhile waits behind this much, and no more."""


class Appender:
    """Writes a file from ``position`` on. Raises ``SnapshotFailed``.

    What is written goes to the disk in small steps, each waited for, and each time that ``sync_bytes`` have come
    together they are synced: so every sync is short, the last one, too, and what others sync meanwhile waits behind one
    small step and not behind all that has come together.

    What finds no ``room`` is not written; where that has no reserve, or is None, the disk says so itself.
    """

    def __init__(self, file: FolderFile, position: int, sync_bytes: int, room: SnapshotRoom | None = None) -> None:
        self.position = position
        """Where the next bytes go."""
        self._file = file
        self._sync_bytes = sync_bytes
        self._room = room
        self._unsynced = 0
        self._held = 0  # of these, what the disk was not given yet

    def write(self, data: Data) -> None:
        """All of ``data``. Raises ``SnapshotFailed``."""
        size = len(data)
        if self._room is not None and self._room.reserve:
            self._room.check(self._file.path, self.position + size, size)
        self._file.write_at(data, self.position)
        self.position += size
        self._unsynced += size
        self._held += size
        if self._held >= WRITE_BACK_BYTES:
            self._file.write_back(self._held, self.position - self._held)
            self._held = 0
        if self._unsynced >= self._sync_bytes:
            self.sync()

    def sync(self) -> None:
        """Returns when all of it would outlive a crash."""
        self._file.sync()
        self._unsynced = self._held = 0


@contextmanager
def told(path: str, doing: str) -> Iterator[None]:
    """Whatever the system refuses inside is raised as ``SnapshotFailed`` of this file, with what was being done."""
    try:
        yield
    except OSError as error:
        raise SnapshotFailed(path, f"{doing} failed: {error.strerror or error}") from error


class SystemFolderFile(FolderFile):
    """A ``FolderFile`` over a ``File``."""

    def __init__(self, file: File, path: str) -> None:
        self._file = file
        self.path = path

    def read_at(self, size: int, offset: int) -> bytes:
        with told(self.path, "reading it"):
            return self._file.read_at(size, offset)

    def write_at(self, data: Data, offset: int) -> None:
        with told(self.path, "writing it"):
            self._file.write_at(data, offset)

    def size(self) -> int:
        with told(self.path, "asking for its size"):
            return self._file.size()

    def truncate(self, size: int) -> None:
        with told(self.path, "cutting it"):
            self._file.truncate(size)

    def write_back(self, size: int, offset: int) -> bool:
        with told(self.path, "writing it back"):
            return self._file.write_back(size, offset)

    def sync(self) -> None:
        with told(self.path, "syncing it"):
            self._file.sync()

    def close(self) -> None:
        with told(self.path, "closing it"):
            self._file.close()


class SystemFolder(Folder):
    """A ``Folder`` of a file system."""

    def __init__(self, files: Files, directory: PurePath) -> None:
        self._files = files
        self._directory = directory
        self._made = False  # it is there, durably

    def names(self) -> list[str]:
        with told(str(self._directory), "listing it"):
            try:
                return self._files.names(self._directory)
            except FileNotFoundError:
                return []

    def open(self, name: str, mode: OpenMode) -> FolderFile:
        """See ``Folder``. Raises ``SnapshotDamaged``, ``SnapshotFailed``."""
        path = self._directory / name
        with told(str(path), "opening it"):
            if mode in ("rewrite", "share") and not self._made:
                self._files.make_directory(self._directory)
                self._files.sync_directory(self._directory.parent)
                self._made = True
            try:
                return SystemFolderFile(self._files.open(path, mode), str(path))
            except FileNotFoundError:
                raise SnapshotDamaged(str(path), "it is not there") from None

    def rename(self, old: str, new: str) -> None:
        with told(str(self._directory / old), f"giving it the name {new}"):
            self._files.replace(self._directory / old, self._directory / new)

    def remove(self, name: str) -> None:
        with told(str(self._directory / name), "deleting it"):
            try:
                self._files.remove(self._directory / name)
            except FileNotFoundError:
                pass

    def free_space(self) -> int:
        with told(str(self._directory), "asking for free space"):
            try:
                return self._files.free_space(self._directory)
            except FileNotFoundError:
                return self._files.free_space(self._directory.parent)

    def sync(self) -> None:
        with told(str(self._directory), "syncing it"):
            self._files.sync_directory(self._directory)
