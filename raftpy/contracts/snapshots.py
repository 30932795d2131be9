"""What the runtime asks of a store of snapshots: the states of groups at places in their logs, whole and checked.

A snapshot is a row of typed sections (``raftpy.contracts.typed``): who writes it says what they are, the store does not
look into them. To whoever moves it to another node it is a row of bytes, with a digest of all of them.

What takes long is a generator, ``Steps``: each of its steps does at most a block's work (256 KiB) and gives how many
bytes are behind it, so that a caller may stop between any two, for the event loop's sake, or run all of it in a thread
with ``complete``. Its result is what it returns. Given up half-way it is closed, as any generator. Every other call
may take as long as the disk takes to read, write or sync a few megabytes.

What changes is the caller's to order: of one group, one thread at a time writes snapshots and retains them, and one at
a time receives them. These two, and any number that open, verify and read, may be at it beside each other; so may
groups.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from raftpy.contracts.files import Data
from raftpy.contracts.typed import TypeHeader
from raftpy.contracts.types import MAX_GROUP

KEPT = 2
"""How many snapshots of a group are kept, where nothing else is said."""
EVERY_INDEX = 2**64 - 1
"""No index is greater."""
DIGEST_SIZE = 16
"""Bytes of a digest."""

_T = TypeVar("_T")
Steps: TypeAlias = Generator[int, None, _T]
"""A call that is made step by step; each gives how many bytes are behind it, the last one the result."""


def complete(steps: Steps[_T], told: Callable[[int], object] = lambda behind: None) -> _T:
    """Makes all steps of a call, and gives its result. After each ``told`` hears how many bytes are behind it."""
    while True:
        try:
            told(next(steps))
        except StopIteration as end:
            result: _T = end.value
            return result


@dataclass(frozen=True, slots=True, order=True)
class SnapshotRef:
    """Which state it is: there is one at each committed index, so index and term name it. Older ones sort first.

    Raises ``ValueError`` for numbers that cannot be.
    """

    group: int
    """Group id, u64."""
    index: int
    """Of the last entry it covers, 1 to 2**64 - 1."""
    term: int
    """Of that entry, 1 to 2**64 - 1."""

    def __post_init__(self) -> None:
        if not (0 <= self.group <= MAX_GROUP and 1 <= self.index < 2**64 and 1 <= self.term < 2**64):
            raise ValueError(f"no snapshot is of group {self.group}, index {self.index}, term {self.term}")

    def __str__(self) -> str:
        return f"group {self.group}, index {self.index}, term {self.term}"


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A snapshot as a row of bytes. Equal just when all bytes are the same, as far as their checksums can tell."""

    ref: SnapshotRef
    """Of which state."""
    size: int
    """Bytes."""
    digest: bytes
    """16 bytes, over everything: against accidents, not against who means harm."""


@dataclass(frozen=True, slots=True)
class CheckedSnapshot:
    """What ``Snapshots.verify`` has read and found whole."""

    file: SnapshotFile
    """Which it is."""
    sections: tuple[tuple[TypeHeader, int], ...]
    """Each section, in order, and how many bytes are in it."""


class SnapshotWriter(Protocol):
    """A snapshot that is being written. It ends with ``commit`` or ``abort``, or with a call that raises
    ``SnapshotFailed``, which has aborted it; after that every call but ``abort`` raises ``ValueError``."""

    ref: SnapshotRef
    """Which it will be."""

    def section(self, header: TypeHeader) -> None:
        """Begins a section, and so ends the one before. Raises ``SnapshotFailed``."""
        ...

    def write(self, data: Data) -> None:
        """Some more bytes of the section, any number. Raises ``SnapshotFailed``, ``ValueError`` before any section."""
        ...

    def commit(self) -> SnapshotFile:
        """Returns when the snapshot is there, durably. Raises ``SnapshotFailed``: then it is not."""
        ...

    def abort(self) -> None:
        """Nothing is left of it. May be called at any time, and again."""
        ...


class SnapshotReader(Protocol):
    """A snapshot that is open. It stays readable when its store deletes it. To be closed."""

    file: SnapshotFile
    """Which it is, by its own word; the rest is checked as it is read."""

    def sections(self, known: Mapping[str, int] | None = None) -> Iterator[tuple[TypeHeader, Iterator[bytes]]]:
        """The sections in order, each with its bytes in chunks of at most 256 KiB, checked before they are given out.

        Chunks that are not asked for before the next section are passed over. With ``known``, name -> newest version,
        sections that are not understood are left out, and one that must be understood raises ``NotUnderstood``.
        Raises ``SnapshotDamaged`` where what was written does not follow, ``SnapshotFailed``.
        """
        ...

    def read_range(self, offset: int, size: int) -> bytes:
        """The snapshot's own bytes from ``offset`` on, ``size`` of them or up to its end, for another node. They are
        not checked here: whoever receives them all checks them. Raises ``SnapshotFailed``."""
        ...

    def close(self) -> None:
        """Lets go of it. May be called again."""
        ...


class SnapshotReceiver(Protocol):
    """A snapshot that comes from another node. It ends with ``finish``, ``abort`` or ``close``, or with a call that
    raises ``SnapshotFailed``, which has aborted it; after that every call but these two raises ``ValueError``."""

    file: SnapshotFile
    """Which it will be, as the sender says."""

    @property
    def position(self) -> int:
        """How many bytes are there, which is where the next ones begin."""
        ...

    def write(self, data: Data) -> None:
        """The bytes at ``position``, any number. Raises ``SnapshotFailed``, ``ValueError`` beyond the size."""
        ...

    def finish(self) -> Steps[SnapshotFile]:
        """Reads all of it back, checks it, and makes it a snapshot like any other, durably.

        Raises ``ValueError`` while bytes are missing, ``SnapshotDamaged`` when it is not what was offered, or
        ``SnapshotFailed``; then nothing is left of it.
        """
        ...

    def close(self) -> None:
        """Keeps what is there, for the next ``receive`` of the same snapshot."""
        ...

    def abort(self) -> None:
        """Nothing is left of it. May be called at any time, and again."""
        ...


class Snapshots(Protocol):
    """The snapshots of one node. The same contract for every implementation, checked by tests/storage/test_snapshots.py
    and test_snapshot_receiving.py:

    1. What ``commit`` or ``finish`` has returned for is there after a crash at any later moment, until ``retain``
       deletes it. What they have not returned for may be there as a whole, or not at all.
    2. Nothing is given out that was not written: what is damaged raises ``SnapshotDamaged``.
    3. Whatever fails, and whatever is given up, leaves every other snapshot as it was.
    """

    def groups(self) -> tuple[int, ...]:
        """Ids of the groups that have a snapshot, ascending."""
        ...

    def refs(self, group: int) -> tuple[SnapshotRef, ...]:
        """The group's snapshots, the newest first, those found damaged among them. Nothing is read for it."""
        ...

    def begin(self, ref: SnapshotRef) -> SnapshotWriter:
        """Begins to write a snapshot. One that is there already is replaced only where it was found damaged.

        Raises ``ValueError`` where it is there, while it is being received, or while another one of the group is being
        written; ``SnapshotFailed``.
        """
        ...

    def open(self, ref: SnapshotRef) -> SnapshotReader:
        """Opens a snapshot. Raises ``SnapshotDamaged``, also for one that is not there; ``NotUnderstood`` for a file of
        a later format; ``SnapshotFailed``."""
        ...

    def verify(self, ref: SnapshotRef, known: Mapping[str, int] | None = None) -> Steps[CheckedSnapshot]:
        """Reads a snapshot from its first byte to its last, and checks each block.

        Before anything of it is restored, and before the log is cut behind it. Raises what ``open`` raises, and with
        ``known`` (see ``SnapshotReader.sections``) ``NotUnderstood`` for a section.
        """
        ...

    def retain(self, group: int, count: int = KEPT, up_to: int = EVERY_INDEX) -> Steps[SnapshotRef | None]:
        """Keeps the newest ``count`` snapshots of the group and deletes older ones, and says behind which one the log
        may be cut: the oldest of those kept. Those beyond the index ``up_to``, which were received and are not this
        node's state yet, do not count, and stay.

        That one is read back first, unless it was since this process began; one that is damaged does not count, and
        what is older stays for it. None, and nothing is deleted, where there are not ``count`` that count: then the
        log is all that could take the place of one more. With ``count`` 0 all go. Raises ``SnapshotFailed`` when one
        cannot be read or deleted; ``refs`` says what is left.
        """
        ...

    def discard(self, ref: SnapshotRef) -> None:
        """Deletes one snapshot that nothing needs; nothing happens where it is not there. Raises ``SnapshotFailed``."""
        ...

    def free_space(self) -> int:
        """Bytes that snapshots may still take of the disk on which they lie. Raises ``SnapshotFailed``."""
        ...

    def begun(self, group: int) -> SnapshotFile | None:
        """Of which of the group's snapshots there is a beginning, received from another node; None: of none. Nothing
        is read for it."""
        ...

    def receive(self, offered: SnapshotFile) -> Steps[SnapshotReceiver]:
        """Begins to receive a snapshot from another node, or goes on with it where it stopped, also in another life of
        this process: what is there already is checked, step by step. Of another one that was begun nothing is left.

        Raises ``ValueError`` where the snapshot is there, and was not found damaged, while it is being written, or
        while another one of the group is being received; ``SnapshotFailed``, also where the disk has no room for it.
        """
        ...
