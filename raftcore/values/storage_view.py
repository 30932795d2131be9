"""What the core is given at start, and the read side of the storage it may ask while it runs.

The core never writes: it hands out what has to be stored (etcd/raft's MsgStorageAppend, or a Ready) and hears when that
is done. All it ever asks of a storage is to read back entries that left its window of memory, and the newest snapshot.
A storage on a disk need not read them while the core waits: see :class:`PagedStorageView`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from raftcore.base.conflict import Conflict
from raftcore.values.message import ConfState, Entries, HardState, Snapshot


@dataclass(frozen=True, slots=True)
class InitialState:
    """What a node finds in its storage when it starts; all defaults together are a node's very first start.

    The log it describes reaches from ``snapshot_index + 1`` to ``last_index``; it is empty when the two are equal.
    Nothing is checked here: RawNode raises ConfigError, or ConfChangeError, when the fields do not fit together.
    """

    hard_state: HardState = field(default_factory=HardState)
    """Term, vote and commit index as last written (Figure 2). The commit index may be an old one; it lies at or below
    ``last_index``."""

    conf_state: ConfState = field(default_factory=ConfState)
    """The configuration of the applied state (of the snapshot, and of the changes applied since, if any are kept)."""

    conf_index: int = 0
    """Index of the entry that ``conf_state`` comes from; 0 for a configuration given at bootstrap."""

    snapshot_index: int = 0
    """Index just before the first entry of the log; 0 for a log that has everything."""

    snapshot_term: int = 0
    """Term of the entry at ``snapshot_index``."""

    last_index: int = 0
    """Index of the last entry of the log."""

    term_runs: tuple[tuple[int, int], ...] = ()
    """(first index, term) of each run of entries of one term, ascending, covering the whole log; none for an empty
    one."""

    last_time_ms: int = 0
    """Log time, in milliseconds, of the last entry; 0 when it is not known. What this node appends later has no earlier
    one."""

    conflict: Conflict | None = None
    """Why this node was quarantined, once it was (docs/design.md, decision 1): it stays that. None when it was not."""

    awaits_state: bool = False
    """The state machine has no state as of ``snapshot_index``: it is restored while the node runs (``state_restored``).
    ``conf_state`` may be any earlier one then, since the node does not stand for election."""

    conf_changes: tuple[int, ...] | None = None
    """Indexes of all entries of the log that are configuration changes, ascending, as found when the log was read. None
    when that is not known: then a node that stands for election reads what is committed and not applied, to see whether
    its vote may have been taken away."""


@runtime_checkable
class StorageView(Protocol):
    """The read side of a storage (etcd/raft's Storage). Both calls are plain and must not block for long: they run
    inside the core, in the call that needs them. Any exception but those named below comes out of that call."""

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        """The entries from ``lo`` up to, not including, ``hi``; 1 <= ``lo`` < ``hi``, all of them reported as durable.

        At least one entry is given; the rest stops before ``len(entries.data)``, in bytes, would exceed ``max_bytes``.
        Raises :class:`raftcore.base.errors.Compacted` when ``lo`` is covered by the snapshot,
        :class:`raftcore.base.errors.Unavailable` when the log ends before ``hi``, and
        :class:`raftcore.base.errors.LogTemporarilyUnavailable` where they are there and cannot be read right now.
        """
        ...

    def snapshot(self) -> Snapshot:
        """What is known of the newest snapshot (index 0 when there never was one).

        Its bytes are never asked for: a MsgSnap carries what is given here and nothing else. Whoever drives the core
        brings the state machine's bytes to the receiver, where they are to be had before the message is stepped, and
        keeps them as long as somebody may need them. That ``index`` and ``term`` name them suffices: there is one state
        at each committed entry.

        It must reach the log: its index is at least the last one compacted, so that entries follow it without a gap
        (InvariantViolation, when it has to be sent). More is not asked of it. A snapshot that was taken before a member
        was added serves that member as well: the member takes it with its configuration, in which it has no place,
        answers its leader, votes when asked, stands for no election, and finds its own place in the entries that
        follow (thesis 4.1, 4.2.2).

        Raises :class:`raftcore.base.errors.SnapshotTemporarilyUnavailable` when it cannot be had right now: the core
        asks again later.
        """
        ...


@runtime_checkable
class PagedStorageView(StorageView, Protocol):
    """A StorageView that may say "not now" where many entries are asked for: those that a follower lacks, and those
    that are committed and not applied yet (after a restart, all of them). Where the core needs one entry, or a few, to
    decide anything, it asks ``entries`` all the same."""

    def entries_at_hand(self, lo: int, hi: int, max_bytes: int, urgent: bool) -> Entries:
        """As ``entries``, where that takes no time; any number of them from ``lo`` on, at least one.

        Not ``urgent`` is what a follower lacks that is far behind where a quorum has been heard of members that are
        not: nobody waits for it. Such entries may be held back so that they get in nobody's way, but the follower has
        to gain on the log all the same; and not for long at a time, as the core says that they are urgent when it asks
        again.

        Raises :class:`raftcore.base.errors.LogTemporarilyUnavailable` where it would take time. Then whoever drives the
        core has them read meanwhile, and calls ``RawNode.report_entries`` when they are at hand, or cannot be had any
        more; until then the core does not ask for them again, and sends nothing to the follower that they are for.

        Optional: ``committed_at_hand(lo, hi, max_bytes)``, which the core asks in its place for entries that are to be
        applied. Each of them counts for its payload and 16 bytes there, as for ``max_committed_size_per_ready``: what
        is counted otherwise the core has to cut, and to copy.
        """
        ...
