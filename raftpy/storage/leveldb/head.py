"""The head: what every batch says of the store as a whole, so that a batch is known to be there whole or not at all.

It stands behind the last block of a batch's entries, and under a key of its own when a batch has none. The newest of
the two counts, which their numbers tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from raftcore.values.message import HardState

HEAD = Struct("<11Q")


@dataclass(slots=True)
class Head:
    """Hard state (``term``, ``vote``, ``commit``; Figure 2) and bounds of one group's log, as of the last batch.

    Invariants: prev_index <= last_index; commit <= last_index.
    """

    boot: int = 0
    """The boot in which it was written; not below the floor's."""
    term: int = 0
    vote: int = 0
    commit: int = 0
    prev_index: int = 0
    """Index just before the first entry; 0 until the log is compacted."""
    prev_term: int = 0
    """Its term."""
    last_index: int = 0
    """Entries are there up to here, without a gap, whatever an iterator says."""
    last_term: int = 0
    """The term of the entry at ``last_index``."""
    cut: int = 0
    """Lowest index from which this boot has replaced entries; 0: none. Only then may the log end below its floor."""
    closed: int = 0
    """1 in the last record before a clean close."""
    number: int = 0
    """Of the batch it was written with, counted over the life of the store."""

    def pack(self) -> bytes:
        """The record's body: eleven u64, little endian."""
        return HEAD.pack(
            self.boot,
            self.term,
            self.vote,
            self.commit,
            self.prev_index,
            self.prev_term,
            self.last_index,
            self.last_term,
            self.cut,
            self.closed,
            self.number,
        )

    @classmethod
    def unpack(cls, body: bytes) -> Head:
        """The head in ``body``; ValueError when it cannot be one."""
        if len(body) != HEAD.size:
            raise ValueError(f"{len(body)} bytes, {HEAD.size} expected")
        head = cls(*HEAD.unpack(body))
        if not (head.prev_index <= head.last_index and head.commit <= head.last_index and head.closed <= 1):
            raise ValueError(f"its values contradict each other: {head}")
        return head

    @property
    def hard_state(self) -> HardState:
        """Term, vote and commit index."""
        return HardState(self.term, self.vote, self.commit)
