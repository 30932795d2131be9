"""A snapshot given back to its state machine, at a start and while a node runs, and what it says beside the state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from raftcore.base.errors import DecodeError
from raftcore.values.message import Snapshot
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import SnapshotFailed, Stopped, StorageDamaged
from raftpy.contracts.files import is_passing
from raftpy.contracts.snapshots import CheckedSnapshot, SnapshotReader, SnapshotRef, Snapshots
from raftpy.members.own_entries import MEMBERS
from raftpy.members.table import MemberTable
from raftpy.runtime.beside import Beside
from raftpy.runtime.capturing import Capturing
from raftpy.runtime.sections import STATE, known_sections
from raftpy.storage.snapshots.metadata import read_metadata

AGAIN_S = 1.0
"""Until a snapshot that the system had nothing to open with is opened again."""

log = logging.getLogger("raftpy")


def restore(
    offered: Capturing,
    snapshots: Snapshots,
    chosen: CheckedSnapshot,
    name: str,
    given_up: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], object] = lambda position, size: None,
) -> None:
    """Gives the state in ``chosen`` to the state machine, of the group that the log calls ``name``; takes as long as
    that does. Where ``given_up`` says so it ends by ``Stopped``; ``told`` hears how many bytes of how many were taken.

    Raises ``StorageDamaged`` where there is no state in it, ``SnapshotFailed``, and what the machine raises.
    """
    _restore_from(snapshots.open(chosen.file.ref), offered, chosen, name, given_up, told)


async def restore_beside(
    beside: Beside, clock: Clock, offered: Capturing, snapshots: Snapshots, chosen: CheckedSnapshot, name: str
) -> None:
    """The same in a thread of ``beside``, on whose stop it ends. As long as the system lacks descriptors, memory or a
    thread to begin with, which is said once, it is tried again each second: the log stands on this snapshot by now."""
    opened = said = False

    def restore_now() -> None:
        nonlocal opened
        reader = snapshots.open(chosen.file.ref)
        opened = True
        _restore_from(reader, offered, chosen, name, lambda: beside.stopped)

    while True:
        try:
            return await beside.call(restore_now)
        except SnapshotFailed as error:
            if opened or not (is_passing(error) or isinstance(error.__cause__, RuntimeError)):
                raise
            if not said:
                log.warning("%s: restoring waits, and is tried again: %s", name, error)
            said = True
        await beside.pause(clock, AGAIN_S)


def _restore_from(
    reader: SnapshotReader,
    offered: Capturing,
    chosen: CheckedSnapshot,
    name: str,
    given_up: Callable[[], bool],
    told: Callable[[int, int], object] = lambda position, size: None,
) -> None:
    """See ``restore``. Closes ``reader``."""
    sizes = {header.name: size for header, size in chosen.sections}
    try:
        for header, chunks in reader.sections(known_sections(offered.version)):
            if header.name == STATE:
                offered.machine.restore(StateReader(header.version, sizes[STATE], chunks, given_up, told))
                return
    except Exception as error:
        error.add_note(f"{name}: while the snapshot of {chosen.file.ref} was restored")
        raise
    finally:
        reader.close()
    raise damaged(f"the snapshot of {chosen.file.ref} has no section {STATE!r}", name)


def read_whole(
    snapshots: Snapshots, ref: SnapshotRef, version: int, beside: Beside, name: str
) -> tuple[CheckedSnapshot, Snapshot, MemberTable | None]:
    """In a thread of ``beside``: reads all of a snapshot back, and what it says of itself, for a state machine of
    ``version``, of the group that the log calls ``name``. One that has no state is discarded.

    Raises ``SnapshotDamaged``, ``NotUnderstood``, ``SnapshotFailed``, ``StorageDamaged``.
    """
    checked = beside.complete(snapshots.verify(ref, known_sections(version)))
    if not any(header.name == STATE for header, _ in checked.sections):
        snapshots.discard(ref)
        raise SnapshotFailed(str(ref), f"it has no section {STATE!r}, and so nothing to restore")
    return checked, *read_beginning(snapshots, ref, name)


def read_beginning(snapshots: Snapshots, ref: SnapshotRef, name: str) -> tuple[Snapshot, MemberTable | None]:
    """What stands before the machine's bytes: what the core knows of it, and the member table, of group 0.

    Raises ``StorageDamaged`` where it is none, ``NotUnderstood``, ``SnapshotFailed``.
    """
    reader = snapshots.open(ref)
    try:
        metadata = read_metadata(reader)
        for header, chunks in reader.sections():
            if header.name == MEMBERS.name:
                return metadata, MemberTable.decode(b"".join(chunks))
            if header.name == STATE:
                break
    except DecodeError as error:
        raise damaged(f"the snapshot of {ref} cannot be read: {error}", name) from error
    finally:
        reader.close()
    return metadata, None


def damaged(what: str, name: str) -> StorageDamaged:
    """What is wrong with what is stored of the group that the log calls ``name``."""
    return StorageDamaged(what, f"the store of {name}")


class StateReader:
    """A ``SavedState`` over the chunks of a section."""

    def __init__(
        self,
        version: int,
        size: int,
        chunks: Iterator[bytes],
        given_up: Callable[[], bool],
        told: Callable[[int, int], object] = lambda position, size: None,
    ) -> None:
        self.version = version
        self.size = size
        self._chunks = chunks
        self._given_up = given_up
        self._told = told
        self._taken = 0
        self._chunk = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """See ``SavedState``. Raises ``ValueError`` for a size below 0, ``SnapshotFailed``, ``Stopped``."""
        if size < 0:
            raise ValueError(f"how many bytes are read is 0 or more, got {size}")
        end = self._at + size
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            return data
        parts = [self._chunk[self._at :]]
        wanted = size - len(parts[0])
        self._chunk, self._at = b"", 0
        while wanted:
            if self._given_up():
                raise Stopped("the node was stopped while its state was being restored")
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._taken += len(chunk)
            self._told(self._taken, self.size)
            part = chunk[:wanted]
            parts.append(part)
            self._chunk, self._at = chunk, len(part)
            wanted -= len(part)
        return b"".join(parts)
