"""Writes a snapshot to a file of its own, which takes its name when all of it is durable.

    made under a temporary name, written, synced (each few megabytes, and at its end), renamed, the directory synced

A crash before the rename leaves garbage, which the next opening deletes; after it, the whole snapshot. A write or sync
that fails takes the file away: what it holds is not known any more, and its room may be what others need.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.files import Data
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.snapshots.blocks import BlockWriter
from raftpy.storage.snapshots.folder import Appender, Folder, FolderFile, SnapshotRoom
from raftpy.storage.snapshots.names import whole_name, writing_name


class Ended(Protocol):
    """What is told of the end of an unfinished file."""

    def __call__(self, made: SnapshotFile | None, *, left: bool = False) -> object:
        """It has become the snapshot ``made``; None: none, and it is there no more, unless it was ``left``."""
        ...


class Unfinished:
    """A file that is to become a snapshot: under ``name`` so far, open, and removed when anything fails.

    ``ended`` is called once, with the snapshot it has become, or None.
    """

    def __init__(self, folder: Folder, name: str, file: FolderFile, ended: Ended) -> None:
        self._folder = folder
        self._name = name
        self._file: FolderFile | None = file
        self._ended: Ended | None = ended

    @contextmanager
    def while_open(self) -> Iterator[FolderFile]:
        """For what is done to it: raises ``ValueError`` once it has ended, and aborts it when anything fails."""
        if self._file is None or self._ended is None:
            raise ValueError(f"{self._name} has been committed or given up")
        try:
            yield self._file
        except Exception:
            self.abort()
            raise

    def publish(self, snapshot: SnapshotFile) -> SnapshotFile:
        """The file, which is complete, becomes this snapshot. Raises ``SnapshotFailed``; to be called while open."""
        assert self._file is not None
        self._file.sync()
        self._close()
        self._folder.rename(self._name, whole_name(snapshot.ref))
        self._name = whole_name(snapshot.ref)  # a name that may not be durable goes again when the sync fails
        self._folder.sync()
        self._end(snapshot)
        return snapshot

    def leave(self) -> None:
        """Closes the file, which stays under its name, durably."""
        if self._file is not None:
            try:
                self._file.sync()
                self._close()
            except SnapshotFailed:
                self.abort()
            else:
                self._end(None, left=True)

    def abort(self) -> None:
        """Closes and removes the file. Where that fails it is garbage, which the next opening deletes."""
        if self._ended is not None:
            with suppress(SnapshotFailed):
                self._close()
            with suppress(SnapshotFailed):
                self._folder.remove(self._name)
            self._end(None)

    def _close(self) -> None:
        file, self._file = self._file, None  # never twice: the system may have given its number to another file
        if file is not None:
            file.close()

    def _end(self, snapshot: SnapshotFile | None, *, left: bool = False) -> None:
        ended, self._ended = self._ended, None
        assert ended is not None
        ended(snapshot, left=left)


class SnapshotFileWriter:
    """A ``SnapshotWriter`` of a file."""

    def __init__(
        self,
        folder: Folder,
        ref: SnapshotRef,
        ended: Ended,
        *,
        sync_bytes: int,
        max_body: int,
        room: SnapshotRoom,
    ) -> None:
        """Makes the file. Raises ``SnapshotFailed``, and ``ended`` was called; also where it cannot be made."""
        self.ref = ref
        name = writing_name(ref)
        try:
            file = folder.open(name, "rewrite")
        except SnapshotFailed:
            ended(None)
            raise
        self._unfinished = Unfinished(folder, name, file, ended)
        self._in_section = False
        with self._unfinished.while_open():
            self._blocks = BlockWriter(Appender(file, 0, sync_bytes, room), ref, max_body)

    def section(self, header: TypeHeader) -> None:
        with self._unfinished.while_open():
            self._blocks.section(header.encode())
        self._in_section = True

    def write(self, data: Data) -> None:
        if not self._in_section:
            raise ValueError("a snapshot's bytes are those of a section: begin one first")
        with self._unfinished.while_open():
            self._blocks.write(data)

    def commit(self) -> SnapshotFile:
        with self._unfinished.while_open():
            return self._unfinished.publish(self._blocks.end())

    def abort(self) -> None:
        self._unfinished.abort()
