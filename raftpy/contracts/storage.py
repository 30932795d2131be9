"""What the runtime asks of a store: term, vote and log of each group, and the identity of the node, durable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from raftcore.base.conflict import Conflict
from raftcore.base.errors import RaftError
from raftcore.values.message import Entries, Message, Snapshot
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.snapshots import Snapshots
from raftpy.contracts.types import Recovered, StoreOwner

AppendBatch = Sequence[tuple[int, Sequence[Message]]]
"""What is written together: a group's id and MsgStorageAppend messages of its core, for each group that has any."""


class GroupLog(Protocol):
    """The part of a store that is one group's: what :class:`raftcore.StorageView` asks for, and its quarantine."""

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        """The durable entries with indexes in [lo, hi), at least one; stops before ``data`` exceeds ``max_bytes``.

        Raises ``raftcore.base.errors.Compacted`` below the log and ``Unavailable`` when it ends before ``hi``;
        ``LogTemporarilyUnavailable`` where the system lacks descriptors or memory for reading them, and they may be
        asked for again a little later; ``StorageDamaged`` (and the handle is dead) for a record that is not what was
        written.
        """
        ...

    def snapshot(self) -> Snapshot:
        """The newest snapshot; index 0 when there never was one.

        Its index is not below the last one compacted, and its configuration need not name the member it is for:
        :meth:`raftcore.StorageView.snapshot` says more.
        """
        ...

    def compact(self, index: int) -> None:
        """The entries up to ``index``, which are applied and stand in a snapshot that is durable, are needed no more.

        They are gone, durably, with the group's next submit that completes; ``submit([(group, ())])`` is one, and
        writes that alone. Where the system lacks descriptors or memory for it, a later submit takes them along. Until
        then ``entries`` may give them or raise ``Compacted``, and a crash keeps all of them.
        Each later ``open`` tells where the log begins (``InitialState.snapshot_index`` and ``snapshot_term``), and a
        commit index that is not below. What is compacted already is not asked for again. Raises ``Unavailable`` for an
        index beyond the last durable entry, ``StorageFailed``.
        """
        ...

    def quarantine(self, conflict: Conflict) -> None:
        """Keeps why this node is quarantined in the group, durable on return.

        Each later ``open`` says so: ``Recovered.groups[group].conflict``. Nothing is submitted for the group after it;
        what its log holds stays as it is, and so do the other groups. Raises ``StorageFailed``.
        """
        ...


class PagedGroupLog(GroupLog, Protocol):
    """What the ``GroupLog`` of a store that says ``reads_in_thread`` may offer beside everything else."""

    def entries_at_once(self, lo: int, hi: int, max_bytes: int, overhead: int) -> Entries:
        """As ``entries``, but no more of them than are quickly read together, at least one. Where they are, each counts
        for its payload and ``overhead`` bytes, at least the four of its length, and each block for its header. For who
        reads on and on: after a restart, all that is committed."""
        ...

    def page_end(self, lo: int, hi: int, page_bytes: int) -> int | None:
        """Where a page that begins at ``lo`` ends: the index behind its last entry, at most ``hi``. It has those that
        are quickly read together, at least one, and otherwise at most so many bytes of them. Nothing is read for it, so
        this takes no time. None where that is not known before they are read. Raises ``Compacted`` or ``Unavailable``
        as ``entries``."""
        ...

    def page(self, lo: int, hi: int, max_bytes: int, overhead: int) -> list[Entries]:
        """All of them, in pieces as ``entries_at_once`` counts them; for an ``hi`` that ``page_end`` has given."""
        ...


@dataclass(frozen=True, slots=True)
class Reread:
    """A piece of what is stored, read back."""

    size: int
    """Bytes."""
    damage: RaftError | None = None
    """What is wrong with it: ``StorageDamaged``, or ``SnapshotDamaged``; None: it is what was written."""


class RereadStorage(Protocol):
    """What a :class:`Storage` may offer beside everything else."""

    def reread(self) -> Iterator[Reread]:
        """Reads back what was written long ago and is not read otherwise while the store is open, piece by piece, and
        goes on behind what is damaged. Each step is short, and may be made in another thread, while everything else
        goes on; none is under way any more when ``close`` is called. Raises ``StorageFailed`` where the system refuses.
        """
        ...

    def damage(self) -> Sequence[RaftError]:
        """What the open store has found damaged in passing, while nobody had asked for it, and goes on with."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a store has written since it was opened, of all groups, in bytes. ``(log + snapshots) / commands`` is how
    much goes to the disk for a byte of commands."""

    commands: int
    """Of commands (the payloads of entries), as they were appended to the log."""
    log: int
    """Of the log: with term and vote, the entries' headers, checksums, and what was moved from old segments."""
    snapshots: int
    """Of snapshots that are complete, taken here or received."""


class MeasuredStorage(Protocol):
    """What a :class:`Storage` may offer beside everything else."""

    def written(self) -> Written:
        """What it has written since it was opened. Takes no time."""
        ...


class Storage(Protocol):
    """Keeps the identity of one node, and term, vote and log (Figure 2, persistent state) of each of its groups.

    The same contract for every implementation, checked by tests/storage/test_contract.py:

    1. What ``submit`` has reported complete is there after a crash at any later moment; what it has not may or may
       not be, but always as a prefix of the submitted order, each ``submit`` wholly or not at all, over all its groups.
    2. ``open`` restores exactly what was complete, or raises; it never restores something else.
    3. After any failed write the handle is dead: that call and all later ones raise ``StorageFailed``, in all groups.
       What is damaged in one group makes the store a damaged one.

    All calls come from one thread, the loop's. Whatever threads an implementation has are its own affair. Three
    exceptions, each for a store that says so with an attribute:

    - ``opens_in_thread = True``: its ``open`` is called in another thread, while the loop goes on. Of the other methods
      only ``close`` is called meanwhile, in the loop's thread: the opening is wanted no more, and may end by raising
      ``StorageFailed``; where it succeeds, ``close`` is called again.
    - ``closes_in_thread = True``: the ``close`` that ends an open store may be called in another thread, while the loop
      goes on. From then on no other method is called, nor any of a ``GroupLog``. ``close`` never waits for the loop.
    - ``reads_in_thread = True``: ``GroupLog.entries`` takes time, as it asks a disk, and may be called in other threads
      as well, several at a time, while the loop goes on, writes, and has the log compacted; so may
      ``PagedGroupLog.entries_at_once`` and ``page``, where they are there. What it gives was the log at one moment
      during the call; what goes meanwhile it gives, or raises ``Compacted`` or ``Unavailable`` for. It never waits for
      the loop. No such call is under way any more when ``close`` is called.
    """

    @property
    def snapshots(self) -> Snapshots:
        """The snapshots of all groups, which lie beside the log and outlive the process with it.

        Used from when ``open`` has returned until ``close`` is called, also in other threads; what is being written or
        received by then has ended before. A call of it that fails leaves the rest of the store as it was.
        """
        ...

    def open(self, identity: StoreOwner) -> Recovered:
        """Opens the store, making it at the first start, and syncs a new boot before it returns.

        Groups that are named for the first time are founded with the same sync: all of them or none.
        Raises ``ValueError`` (groups or nodes that cannot be), ``StorageLocked`` (in use), ``StorageDamaged``,
        ``WrongIdentity`` (another node's), ``ForeignDirectory`` (no node's), ``StorageFailed``.
        """
        ...

    def set_completion(
        self,
        callback: Callable[[AppendBatch], None],
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        """Sets whom to tell about appends that complete later, and about a write that failed later.

        Called in the loop's thread, which is where both are called back: ``callback`` once for each ``submit`` that
        returned False, with its batch, in order, when it is durable; ``on_failure`` at most once, and then nothing
        that was still under way is ever reported durable. After ``close`` nothing is called any more; while it runs
        beside the loop, either may still be. Without a running loop every ``submit`` completes before it returns.
        """
        ...

    def submit(self, batch: AppendBatch) -> bool:
        """Writes the term, vote, commit index, snapshot and entries of MsgStorageAppend messages, as one synced batch.

        ``batch`` has ``(group id, appends)`` for each group that has something to write; a group's appends hold in
        their order, and of a group that comes twice the later ones after the earlier. An unknown group is a failed
        write.

        True: all of them are durable now, and the caller delivers their responses. False: they complete later, when
        the completion callback is called with the same object. Entries that begin at or below the last index
        replace what was there from their first index on. A snapshot takes the place of the whole log (paper 7): the log
        begins and ends at its index, until the entries that follow, and a crash leaves the one log or the other, whole.
        Its file is the caller's to have brought before, durably. An append with ``must_sync`` False (a commit index
        alone) is not written by itself: it rides in a later batch of its group, and completes when everything before it
        has.
        Raises ``StorageFailed``.
        """
        ...

    def group(self, group_id: int) -> GroupLog:
        """The part of the group, which may be kept as long as the store is open.

        Raises ``UnknownGroup`` for one that the store does not know, ``StorageFailed``.
        """
        ...

    def pin(self, node_id: int, store_id: int, *, replace: bool = False) -> None:
        """Binds a node id to the store id first heard under it, durable on return.

        Pinning the same again does nothing; another store id raises ``WrongIdentity``, or takes the place of the one
        known when ``replace`` says so (the member table, which the cluster has agreed on).
        """
        ...

    def close(self) -> None:
        """Waits for what is under way and lets go of the store. May be called at any time and again."""
        ...
