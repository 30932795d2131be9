"""When a snapshot is taken, and how far the log is cut: decided from numbers alone.

A snapshot writes the whole state, so it is due when as much has been appended to the log since the last one: then what
snapshots write is at most what the log writes, whatever the size of the state. Small states wait for ``bytes``. Where
the disk runs short one is due sooner.

All members append the same, so all would be due at the same entry. So each has its turn, a moment of every minute of
the log's time, which all of them know; where that has come and nothing is due, the next one is a minute later::

    log time   0 s       20        40        60        80        100
    node 1     T.........:.........:.........T.........:.........:....
    node 2     :.........T.........:.........:.........T.........:....
    node 3     :.........:.........T.........:.........:.........T....

Where short intervals were asked for, by a number of entries or by few bytes, a snapshot takes no time worth
speaking of, or somebody wants them whenever they are due: nobody waits for a turn, and nodes that start together are
kept apart by this alone, that the first interval of each is longer by its own share.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from raftpy.config import Config
from raftpy.contracts.snapshots import KEPT

APART_S = 60.0
"""One snapshot in so many seconds at most, unless a number of entries was asked for."""
LEAST_BYTES = 16 << 20
"""Less log than this is behind the last snapshot: then no disk is so full that one is due for it."""
LEAST_PART = 8
"""So is less log than one part in so many of what the last snapshot has."""
SMALL_BYTES = 2 << 20
"""A snapshot of no more bytes frees eight times as much log at least, where the disk is short."""
TURN_S = 5.0
"""So long a turn lasts: several looks at whether one is due, and short beside the third of a minute between two."""
BRIEF_BYTES = 16 << 20
"""Neither the log behind the last snapshot nor that one has so many bytes when one is due: then none waits for its
node's turn, as it is written in a tenth of a second."""


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """What a node was told: ``snapshot_bytes``, ``snapshot_entries``, ``trailing_bytes``, ``snapshots_kept``."""

    bytes: int
    """Of log behind the last snapshot, or since the beginning."""
    entries: int | None = None
    """The same in entries, whatever time has passed; None: they are not counted."""
    trailing_bytes: int = 1 << 30
    """Of log that may stay behind the oldest snapshot kept (trailing.py)."""
    kept: int = KEPT
    """How many snapshots are kept, before the log is cut behind the oldest of them."""

    @classmethod
    def of(cls, config: Config) -> SnapshotPolicy:
        """What this node was told."""
        return cls(config.snapshot_bytes, config.snapshot_entries, config.trailing_bytes, config.snapshots_kept)


@dataclass(frozen=True, slots=True)
class Behind:
    """What lies behind the newest snapshot of a group, all of it applied."""

    entries: int
    """How many entries; bytes may be counted of fewer, where the last ones are of a batch that is not through."""
    bytes: int
    """Bytes of them in the log."""
    size: int
    """Bytes of that snapshot; 0: there is none yet."""
    seconds: float
    """Since it was taken or tried, infinite where that was in an earlier life or never."""
    free: int | None = None
    """Bytes that are free on the disk for its next snapshot; None: not known, or not asked for (:func:`matters`)."""
    others: int = 0
    """Bytes of the snapshots that other groups of this host would take as soon (disk_space.py)."""
    others_log: int = 0
    """Bytes of log that these groups have behind their last ones."""

    @property
    def next_size(self) -> int:
        """Bytes that the next snapshot may have: what the last one has, and what was appended since."""
        return self.size + self.bytes

    @property
    def needs(self) -> int:
        """Bytes that have to be free for the next one to be tried where the disk is short: all that it may have. Where
        the last one is small, twice as many as that has: then what is tried in vain costs next to nothing, and what
        was appended says little about the state."""
        return min(self.next_size, 2 * self.size) if 0 < self.size <= SMALL_BYTES else self.next_size


def share_of(node_id: int, members: Collection[int]) -> float:
    """The node's place among the members of its group, itself among them, 0 to below 1; no two have the same."""
    return sum(other < node_id for other in members) / max(1, len(members))


def is_turn(share: float, log_s: float) -> bool:
    """Whether the node with this share has its turn at a log time, in seconds."""
    return (log_s - share * APART_S) % APART_S < TURN_S


def is_due(policy: SnapshotPolicy, share: float | None, behind: Behind, log_s: float) -> bool:
    """Whether a snapshot is to be taken now, wherever the disk is not short of space. ``share`` as of :func:`share_of`;
    None: there is no other member. ``log_s``: the log's time, in seconds."""
    if not behind.entries:
        return False
    longer = 1.0 if behind.size or share is None else 1.0 + share
    if policy.entries is not None and behind.entries >= policy.entries * longer:
        return True
    interval = max(policy.bytes, behind.size)
    if share is None or interval < BRIEF_BYTES:
        return behind.seconds >= APART_S and behind.bytes >= interval * longer
    if behind.bytes < interval or not is_turn(share, log_s):
        return False
    return behind.seconds >= APART_S - TURN_S  # early in this turn, behind one that was late in the turn before


def matters(size: int, snapshot: int) -> bool:
    """Whether the free space may make a snapshot due, with ``size`` bytes behind the last one, which has so many."""
    return size >= max(LEAST_BYTES, snapshot // LEAST_PART)


def is_short(share: float | None, behind: Behind) -> bool:
    """Whether the disk is so short of space that a snapshot is due at once: what is free would be taken by one more of
    this group and of each other that would take one, as large as the last one and what was appended since, and by as
    much log again as there is behind those. Not where it may lack the space for this group's (``needs``): that would
    fail, and could take what the log needs for its next entries.

    The log takes what is free: so, without anybody else, the snapshot is due at two thirds of the way from the one
    before to the moment from which on none fits any more; with a larger share sooner, as all have the same log, and
    perhaps such disks. Then the log is cut.
    """
    if not behind.entries or behind.free is None or not matters(behind.bytes, behind.size):
        return False
    log = behind.bytes + behind.others_log
    return behind.needs <= behind.free <= behind.next_size + behind.others + log * (1.0 + (share or 0.0))


def cut_to(first: int, kept: int, durable: int, needless: int) -> int:
    """Up to which entry the log may be cut; 0: not at all.

    ``first``: index of its first entry. ``kept``: of the oldest snapshot that is kept, and was read back. ``durable``:
    up to which the state machine has synced what it keeps itself. ``needless``: up to which nothing of it has to stay
    for a member.
    """
    to = min(kept, durable, needless)
    return to if to >= first else 0
