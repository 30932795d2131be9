"""What nodes say to each other so that a snapshot goes from one to the other, beside Raft's own messages.

    who lacks its state   question: what is your newest snapshot between these two entries?
    who is asked          answer: this one, or none
    who wants it          request: which snapshot, from which byte on, how many
    who has it            chunk: these bytes, and of which snapshot they are; or refusal: why there are none
    who was offered it    useless: what has come of it does not do, and no more of it is asked for

Each stands for itself, and may be lost, repeated or come late: who wants the snapshot asks again for what is missing.
A request for no bytes asks which file it is: its size and its digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef

LARGEST_CHUNK = 1 << 20
"""Bytes of a snapshot that one request asks for, and one chunk holds, at most."""


class NotGiven(IntEnum):
    """Why a node gives no bytes of a snapshot."""

    NOT_THERE = 1
    """It has none of that group, index and term."""
    UNREADABLE = 2
    """Its disk does not give it, or it is damaged there."""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Asks for bytes of a snapshot."""

    ref: SnapshotRef
    """Of which state."""
    offset: int
    """Of the first byte that is wanted."""
    size: int
    """How many are wanted, 0 to ``LARGEST_CHUNK``; there may be fewer up to the snapshot's end."""


@dataclass(frozen=True, slots=True)
class SnapshotChunk:
    """Bytes of a snapshot."""

    file: SnapshotFile
    """Which snapshot it is, by the word of the node that has it."""
    offset: int
    """Where the bytes stand in it; they end within it."""
    data: bytes | memoryview
    """At most ``LARGEST_CHUNK`` of them."""


@dataclass(frozen=True, slots=True)
class SnapshotRefusal:
    """Says that there are no bytes."""

    ref: SnapshotRef
    """Of which state."""
    reason: NotGiven
    """Why."""


@dataclass(frozen=True, slots=True)
class SnapshotQuestion:
    """Asks for the newest snapshot of a group that its sender can use: it has the log, and no state to go with it.

    Raises ``ValueError`` where none can lie between the two entries.
    """

    group: int
    """Of which group."""
    first: int
    """Index, at least 1: of an older one the log does not go on."""
    last: int
    """Index of the last entry of the log, at least ``first``."""

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ValueError(f"a snapshot between the entries {self.first} and {self.last} is asked for: there is none")


@dataclass(frozen=True, slots=True)
class SnapshotAnswer:
    """Says which snapshot there is."""

    group: int
    """Of which group."""
    ref: SnapshotRef | None
    """Of which state; None: there is none between the two entries, at the moment."""


@dataclass(frozen=True, slots=True)
class SnapshotUseless:
    """Says to a leader that the snapshot which it has offered does not do: what came of it is damaged, is not what was
    offered, or cannot be read where it is."""

    ref: SnapshotRef
    """Of which state."""


SnapshotTalk: TypeAlias = (
    SnapshotQuestion | SnapshotAnswer | SnapshotRequest | SnapshotChunk | SnapshotRefusal | SnapshotUseless
)
"""What is said."""
