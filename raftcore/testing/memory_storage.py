"""A storage in memory: the read side the core needs, and the writes of the one who drives it.

For embedders that keep their log elsewhere, for tests and for transcripts. Nothing here is thread-safe, and nothing
outlives the process. The order of work for a Ready (or a MsgStorageAppend) is: hard state, then the snapshot or the
entries.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from itertools import pairwise
from typing import Self

from raftcore.base.errors import Compacted, SnapshotOutOfDate, Unavailable
from raftcore.base.types import UNLIMITED
from raftcore.values.message import ConfState, Entries, HardState, Snapshot
from raftcore.values.storage_view import InitialState
from raftcore.wire.codec import BLOCK_HEADER_SIZE, LENGTH_SIZE

_LENGTH = struct.Struct("<I")


class MemoryStorage:
    """A log, a hard state and the newest snapshot. Satisfies :class:`raftcore.values.storage_view.StorageView`.

    Invariant: the entries are consecutive from ``first_index`` to ``last_index``; the entry before the first one has
    a known term, that of the snapshot or of the compacted entry.
    """

    def __init__(self, hard_state: HardState | None = None) -> None:
        self.hard_state = hard_state or HardState()
        self._snapshot = Snapshot()
        self._before = 0  # index just before the first entry
        self._before_term = 0
        self._before_time = 0
        self._pieces: list[Entries] = []  # consecutive; as they were appended
        self._firsts: list[int] = []  # first index of each piece

    @property
    def first_index(self) -> int:
        """Index of the first entry there is, or of the next one when the log is empty."""
        return self._before + 1

    @property
    def last_index(self) -> int:
        """Index of the last entry, ``first_index - 1`` when the log is empty."""
        return self._pieces[-1].last if self._pieces else self._before

    def initial_state(self) -> InitialState:
        """What a node starts from; the configuration is that of the snapshot."""
        runs: list[tuple[int, int]] = []
        last_time_ms = self._before_time
        for piece in self._pieces:
            for first, _, term, _, time_ms in piece.runs():
                last_time_ms = time_ms
                if not runs or runs[-1][1] != term:
                    runs.append((first, term))
        return InitialState(
            hard_state=self.hard_state,
            conf_state=self._snapshot.conf_state,
            conf_index=self._snapshot.conf_index,
            snapshot_index=self._before,
            snapshot_term=self._before_term,
            last_index=self.last_index,
            term_runs=tuple(runs),
            last_time_ms=last_time_ms,
        )

    def term(self, index: int) -> int:
        """The term of the entry at ``index``; also of the one just before the first. Compacted or Unavailable."""
        if index == self._before:
            return self._before_term
        self._check(index, index + 1)
        piece = self._pieces[bisect_right(self._firsts, index) - 1]
        return piece[index - piece.first].term

    def log_time(self, index: int) -> int:
        """Log time, in milliseconds, of the entry at ``index``; for the one just before the first, 0 if not known."""
        if index == self._before:
            return self._before_time
        self._check(index, index + 1)
        piece = self._pieces[bisect_right(self._firsts, index) - 1]
        return next(time_ms for first, count, _, _, time_ms in piece.runs() if index < first + count)

    def entries(self, lo: int, hi: int, max_bytes: int = UNLIMITED) -> Entries:
        """See :meth:`raftcore.values.storage_view.StorageView.entries`; ValueError unless ``lo`` is below ``hi``."""
        if lo >= hi:
            raise ValueError(f"entries from {lo} to {hi}: the end must be above the start")
        self._check(lo, hi)
        parts: list[Entries] = []
        room = max_bytes
        for piece in self._pieces[bisect_right(self._firsts, lo) - 1 :]:
            if piece.first >= hi or (parts and room <= 0):
                break
            part = piece.slice(max(lo, piece.first), min(hi, piece.last + 1))
            fitting = _fitting(part, room)
            if fitting < part.count:
                if fitting or not parts:
                    parts.append(part.slice(part.first, part.first + max(fitting, 1)))
                break
            parts.append(part)
            room -= len(part.data)
        return parts[0] if len(parts) == 1 else Entries.decode(b"".join(part.data for part in parts))

    def snapshot(self) -> Snapshot:
        """The newest snapshot; index 0 when there never was one."""
        return self._snapshot

    def set_hard_state(self, hard_state: HardState) -> None:
        """Keep term, vote and commit index."""
        self.hard_state = hard_state

    def append(self, entries: Entries) -> None:
        """Write entries; whatever is there from their first index on is replaced. Compacted ones are left out.

        Unavailable when they would leave a gap behind the last entry.
        """
        if entries.first > self.last_index + 1:
            raise Unavailable
        if entries.last <= self._before:
            return
        if entries.first <= self._before:
            entries = entries.slice(self._before + 1, entries.last + 1)
        self._cut_from(entries.first)
        self._pieces.append(entries)
        self._firsts.append(entries.first)

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace everything by a snapshot from the leader. SnapshotOutOfDate when it is not newer than ours."""
        if snapshot.index <= self._snapshot.index:
            raise SnapshotOutOfDate
        self._snapshot = snapshot
        self._before, self._before_term, self._before_time = snapshot.index, snapshot.term, snapshot.time_ms
        self._pieces, self._firsts = [], []

    def create_snapshot(
        self, index: int, conf_state: ConfState | None = None, conf_index: int | None = None
    ) -> Snapshot:
        """Note that there is a snapshot of the state applied up to ``index``; the log stays until :meth:`compact`.

        What the state machine keeps of it stays with the one who drives the storage.
        Configuration and its index are those of the snapshot before unless given. Raises SnapshotOutOfDate unless
        ``index`` is above that of the snapshot before, Compacted or Unavailable for one that is not in the log.
        """
        if index <= self._snapshot.index:
            raise SnapshotOutOfDate
        before = self._snapshot
        self._snapshot = Snapshot(
            index=index,
            term=self.term(index),
            conf_state=before.conf_state if conf_state is None else conf_state,
            conf_index=before.conf_index if conf_index is None else conf_index,
            time_ms=self.log_time(index),
        )
        return self._snapshot

    def compact(self, index: int) -> None:
        """Drop the entries up to and including ``index``. Compacted when they are gone already."""
        if index <= self._before:
            raise Compacted
        before = index, self.term(index), self.log_time(index)
        kept = [
            piece if piece.first > index else piece.slice(index + 1, piece.last + 1)
            for piece in self._pieces
            if piece.last > index
        ]
        self._before, self._before_term, self._before_time = before
        self._pieces, self._firsts = kept, [piece.first for piece in kept]

    def clone(self) -> Self:
        """A storage with the same contents that goes its own way from here on; entries are shared, nothing else."""
        copy = type(self)(self.hard_state)
        copy._snapshot = self._snapshot
        copy._before, copy._before_term, copy._before_time = self._before, self._before_term, self._before_time
        copy._pieces, copy._firsts = list(self._pieces), list(self._firsts)
        return copy

    def valid(self) -> bool:
        """Does the class's invariant hold? For tests."""
        indexes = [self._before] + [edge for piece in self._pieces for edge in (piece.first, piece.last)]
        steps = [after - before for before, after in pairwise(indexes)]
        return all(step == 1 for step in steps[::2]) and all(step >= 0 for step in steps[1::2])

    def _check(self, lo: int, hi: int) -> None:
        if lo <= self._before:
            raise Compacted
        if hi > self.last_index + 1:
            raise Unavailable

    def _cut_from(self, index: int) -> None:
        while self._firsts and self._firsts[-1] >= index:
            self._pieces.pop()
            self._firsts.pop()
        if self._pieces and self._pieces[-1].last >= index:
            self._pieces[-1] = self._pieces[-1].slice(self._firsts[-1], index)


def _fitting(entries: Entries, max_bytes: int) -> int:
    """How many entries from the front fit into ``max_bytes`` of blocks."""
    size = count = 0
    for _, _, _, _, in_block, block in entries.iter_blocks():
        if size + len(block) <= max_bytes:
            size += len(block)
            count += in_block
            continue
        size += BLOCK_HEADER_SIZE
        for (length,) in _LENGTH.iter_unpack(block[BLOCK_HEADER_SIZE : BLOCK_HEADER_SIZE + LENGTH_SIZE * in_block]):
            size += LENGTH_SIZE + length
            if size > max_bytes:
                break
            count += 1
        break
    return count
