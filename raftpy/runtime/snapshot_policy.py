"""When a snapshot is taken, and how far the log is cut: decided from numbers alone.

A snapshot writes the whole state, so it is due when as much has been appended to the log since the last one: then what
snapshots write is at most what the log writes, whatever the size of the state. Small states wait for ``bytes``.

Nodes that start together would all be due at the same entry. So the first interval of each is longer by its own share,
and as the later ones are not, they stay apart::

    node 1   |----T----|----T----|----T----
    node 2   |------T 4/3-----|----T----|--
    node 3   |---------T 5/3-------|----T--
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

APART_S = 60.0
"""Seconds between two snapshots at least, unless a number of entries was asked for."""


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """What a node was told: ``Config.snapshot_bytes``, ``snapshot_entries`` and ``trailing_bytes``."""

    bytes: int
    """Of log behind the last snapshot, or since the beginning."""
    entries: int | None = None
    """The same in entries, whatever time has passed; None: they are not counted."""
    trailing_bytes: int = 1 << 30
    """Of log that may stay behind the oldest snapshot kept (trailing.py)."""


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


def share_of(node_id: int, members: Collection[int]) -> float:
    """By how much of an interval the node's first one is longer than the others', 0 to below 1."""
    return sum(other < node_id for other in members) / max(1, len(members))


def is_due(policy: SnapshotPolicy, share: float, behind: Behind) -> bool:
    """Whether a snapshot is to be taken now. ``share`` as of :func:`share_of`."""
    if not behind.entries:
        return False
    longer = 1.0 if behind.size else 1.0 + share
    if policy.entries is not None and behind.entries >= policy.entries * longer:
        return True
    return behind.seconds >= APART_S and behind.bytes >= max(policy.bytes, behind.size) * longer


def cut_to(first: int, kept: int, durable: int, needless: int) -> int:
    """Up to which entry the log may be cut; 0: not at all.

    ``first``: index of its first entry. ``kept``: of the oldest snapshot that is kept, and was read back. ``durable``:
    up to which the state machine has synced what it keeps itself. ``needless``: up to which nothing of it has to stay
    for a member.
    """
    to = min(kept, durable, needless)
    return to if to >= first else 0
