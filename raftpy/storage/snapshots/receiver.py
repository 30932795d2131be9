"""Receives a snapshot from another node, from file to file, over any number of lives of this process.

What has come stands in a file whose name says which snapshot it will be, down to its digest. It is not said anywhere
how far it has come: its blocks say it by their checksums. So nothing has to be kept in step with it, and what a power
failure has taken, or turned into zeros, is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable

from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.files import Data
from raftpy.contracts.snapshots import SnapshotFile, Steps
from raftpy.storage.snapshots.checking import CheckedBlocks, check_all
from raftpy.storage.snapshots.folder import Appender, Folder, SnapshotRoom
from raftpy.storage.snapshots.names import receiving_name
from raftpy.storage.snapshots.writer import Ended, Unfinished


class SnapshotFileReceiver:
    """A ``SnapshotReceiver`` into a file."""

    def __init__(
        self,
        folder: Folder,
        offered: SnapshotFile,
        ended: Ended,
        came: Callable[[int], object],
        *,
        sync_bytes: int,
        room: SnapshotRoom,
    ) -> None:
        """Makes the file, or opens what is there of it. Raises ``SnapshotFailed``, and ``ended`` was called.

        ``came(size)`` is called whenever so many bytes were written.
        """
        self.file = offered
        self._sync_bytes = sync_bytes
        self._room = room
        self._came = came
        name = receiving_name(offered)
        try:
            file = folder.open(name, "share")
        except SnapshotFailed:
            ended(None, left=True)
            raise
        self._unfinished = Unfinished(folder, name, file, ended)
        self._appender = Appender(file, 0, sync_bytes, room)
        with self._unfinished.while_open():
            folder.sync()

    @property
    def position(self) -> int:
        """See ``SnapshotReceiver``."""
        return self._appender.position

    def resume(self) -> Steps[None]:
        """Finds how much of it is there, whole, and cuts off what is not. Raises ``SnapshotFailed``, also where there
        is no room for the rest, and ``NotUnderstood``."""
        offered = self.file
        with self._unfinished.while_open() as file:
            there = file.size()
            whole = 0
            try:
                blocks = CheckedBlocks(file, offered.ref)
                while blocks.file is None:
                    whole = blocks.position
                    yield whole
                    blocks.next()
                whole = blocks.position
            except SnapshotDamaged:
                pass
            if whole > offered.size:  # no beginning of what is offered: it is not begun twice under one name
                whole = 0
            if there > whole:
                file.truncate(whole)
            self._room.check(file.path, offered.size, offered.size - whole)
            self._appender = Appender(file, whole, self._sync_bytes, self._room)

    def write(self, data: Data) -> None:
        with self._unfinished.while_open():
            left = self.file.size - self.position
        if len(data) > left:
            raise ValueError(f"{len(data)} bytes of a snapshot of which {left} are missing")
        with self._unfinished.while_open():
            self._appender.write(data)
        self._came(len(data))

    def finish(self) -> Steps[SnapshotFile]:
        if self.position != self.file.size:
            raise ValueError(f"{self.file.size - self.position} bytes of the snapshot are missing")
        with self._unfinished.while_open() as file:
            checked = yield from check_all(file, self.file.ref)
            if checked.file != self.file:
                raise SnapshotDamaged(
                    file.path, f"it is not what was offered, by its digest {checked.file.digest.hex()}"
                )
            return self._unfinished.publish(self.file)

    def close(self) -> None:
        self._unfinished.leave()

    def abort(self) -> None:
        self._unfinished.abort()
