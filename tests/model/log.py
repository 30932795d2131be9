"""The log as plain lists: what RaftLog must do, said in the simplest way there is, and a disk to go with it.

Nothing here is fast and nothing is shared. Where RaftLog compares runs, this walks entry by entry; where it keeps
borders, this asks for every entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from raftcore.base.types import EntryKind
from raftcore.values.message import Entries, Entry, Snapshot

UNLIMITED = 2**64 - 1
BLOCK_HEADER = 40
LENGTH = 4
APPLYING_OVERHEAD = 16


class Item(NamedTuple):
    """One entry, without its index."""

    term: int
    kind: int
    data: bytes
    time: int

    def differs(self, other: Item) -> bool:
        """In contents. A witness is sent empty commands in place of all."""
        comparable = self.kind != EntryKind.EntryNormal or (self.data and other.data)
        return self.kind != other.kind or bool(comparable and self.data != other.data)


def blocks(items: Sequence[Item]) -> Iterable[list[Item]]:
    """The items in groups of one term, kind and time: those that share a block."""
    for _, group in groupby(items, key=lambda item: (item.term, item.kind, item.time)):
        yield list(group)


def encoded_size(items: Sequence[Item]) -> int:
    """Bytes of the items as blocks."""
    return sum(BLOCK_HEADER + sum(LENGTH + len(item.data) for item in block) for block in blocks(items))


def applying_size(items: Iterable[Item]) -> int:
    """What the items count for while they are being applied."""
    return sum(APPLYING_OVERHEAD + len(item.data) for item in items)


def encode(first: int, items: Sequence[Item]) -> Entries:
    """The items, at least one, as Entries that begin at index `first`."""
    data = b""
    for block in blocks(items):
        entries = [Entry(item.term, first + i, item.kind, item.data) for i, item in enumerate(block)]
        data += Entries.build(entries, time_ms=block[0].time).data
        first += len(block)
    return Entries.decode(data)


def decode(entries: Entries | None) -> list[Item]:
    """Entries as items; None is none."""
    if entries is None:
        return []
    times = [time for _, count, _, _, time in entries.runs() for _ in range(count)]
    return [Item(e.term, e.kind, e.data, time) for e, time in zip(entries, times, strict=True)]


@dataclass
class Disk:
    """A storage view over lists: entry snapshot_index + 1 + i is items[i]."""

    snapshot_index: int = 0
    snapshot_term: int = 0
    items: list[Item] = field(default_factory=list)
    stop_after: int = UNLIMITED
    """Give at most so many entries at a time."""
    reads: int = 0
    """Calls of entries() so far."""

    @property
    def last(self) -> int:
        return self.snapshot_index + len(self.items)

    def write(self, first: int, items: Sequence[Item]) -> None:
        """Puts items at `first` and drops whatever was there and behind."""
        assert self.snapshot_index < first <= self.last + 1, f"write at {first}, the disk ends at {self.last}"
        self.items[first - self.snapshot_index - 1 :] = items

    def compact(self, index: int) -> None:
        """Drops items up to `index`, which is on the disk."""
        self.snapshot_term = self.items[index - self.snapshot_index - 1].term
        del self.items[: index - self.snapshot_index]
        self.snapshot_index = index

    def install(self, index: int, term: int) -> None:
        """A snapshot takes the place of everything."""
        self.snapshot_index, self.snapshot_term, self.items = index, term, []

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        assert self.snapshot_index < lo < hi <= self.last + 1, f"asked for [{lo}, {hi}), the disk ends at {self.last}"
        self.reads += 1
        items = self.items[lo - self.snapshot_index - 1 : hi - self.snapshot_index - 1][: self.stop_after]
        while len(items) > 1 and encoded_size(items) > max_bytes:
            items.pop()
        return encode(lo, items)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.snapshot_index, self.snapshot_term)

    def term_runs(self) -> list[tuple[int, int]]:
        """A run for each entry: RaftLog has to join them."""
        return [(self.snapshot_index + 1 + i, item.term) for i, item in enumerate(self.items)]

    def conf_changes(self) -> list[int]:
        """Which of its entries change the configuration."""
        return [self.snapshot_index + 1 + i for i, item in enumerate(self.items) if item.kind in (1, 2)]


class Broken(Exception):
    """The call contradicts what must hold; nothing has changed."""


@dataclass
class ModelLog:
    """The log of one node. Entry snapshot_index + 1 + i is items[i]."""

    snapshot_index: int = 0
    snapshot_term: int = 0
    items: list[Item] = field(default_factory=list)
    committed: int = 0
    applying: int = 0
    applied: int = 0
    offset: int = 1
    in_progress: int = 1
    pending: Snapshot | None = None
    pending_in_progress: bool = False
    max_applying: int = UNLIMITED
    applying_bytes: int = 0
    paused: bool = False
    rewrites: int = 0
    """How often entries were replaced by some whose terms are not above all of theirs: names may come again."""

    @property
    def last(self) -> int:
        return self.snapshot_index + len(self.items)

    def at(self, lo: int, hi: int) -> list[Item]:
        return self.items[lo - self.snapshot_index - 1 : hi - self.snapshot_index - 1]

    def term(self, index: int) -> int | None:
        if index == self.snapshot_index:
            return self.snapshot_term
        if self.snapshot_index < index <= self.last:
            return self.items[index - self.snapshot_index - 1].term
        return None

    def last_term(self) -> int:
        return self.items[-1].term if self.items else self.snapshot_term

    def find_conflict(self, first: int, items: Sequence[Item]) -> int:
        for index, item in enumerate(items, first):
            if self.term(index) != item.term:
                return index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        while index > 0:
            ours = self.term(index)
            if ours is None:
                return index, 0
            if ours <= term:
                return index, ours
            index -= 1
        return 0, 0

    def put(self, first: int, items: Sequence[Item]) -> None:
        """Items from `first` on, in place of what is there (paper 5.3)."""
        if first <= self.committed or first > self.last + 1:
            raise Broken
        replaced = first <= self.last
        self.rewrites += replaced and items[0].term <= self.last_term()
        del self.items[first - self.snapshot_index - 1 :]
        self.items += items
        if replaced:
            self.offset = min(self.offset, first)
            self.in_progress = min(self.in_progress, first)

    def rewritten(self, first: int, items: Sequence[Item], kept: int = 0) -> int:
        """The first item behind `kept`, and before a conflict of terms, whose contents are not those of this log."""
        for index, item in enumerate(items, first):
            if self.term(index) != item.term:
                return 0
            if index > kept and self.at(index, index + 1)[0].differs(item):
                return index
        return 0

    def maybe_append(self, prev: int, prev_term: int, commit: int, items: Sequence[Item], kept: int = 0) -> int | None:
        """`kept`: up to there no contents are replaced in the same term."""
        if self.term(prev) != prev_term:
            return None
        rewritten = self.rewritten(prev + 1, items, kept)
        conflict = rewritten or self.find_conflict(prev + 1, items)
        if conflict:
            self.put(conflict, items[conflict - prev - 1 :])
        self.committed = max(self.committed, min(commit, prev + len(items)))
        return prev + len(items)

    def cut(self, lo: int, hi: int, max_bytes: int) -> int:
        """Where a slice of [lo, hi) ends."""
        end = lo + 1
        while end < hi and encoded_size(self.at(lo, end + 1)) <= max_bytes:
            end += 1
        return end

    def max_appliable(self, allow_unstable: bool) -> int:
        return self.committed if allow_unstable else min(self.committed, self.offset - 1)

    def next_committed(self, allow_unstable: bool) -> list[Item]:
        if self.paused or self.pending is not None:
            return []
        items = self.at(self.applying + 1, max(self.applying, self.max_appliable(allow_unstable)) + 1)
        while len(items) > 1 and applying_size(items) > self.max_applying - self.applying_bytes:
            items.pop()
        return items

    def accept_applying(self, index: int, size: int, allow_unstable: bool) -> None:
        if not self.applying <= index <= self.committed:
            raise Broken
        self.applying = index
        self.applying_bytes += size
        self.paused = self.applying_bytes >= self.max_applying or index < self.max_appliable(allow_unstable)

    def applied_to(self, index: int, size: int) -> None:
        if not self.applied <= index <= self.committed:
            raise Broken
        self.applied = index
        self.applying = max(self.applying, index)
        self.applying_bytes = max(0, self.applying_bytes - size)
        self.paused = self.applying_bytes >= self.max_applying

    def accept_unstable(self) -> None:
        self.in_progress = self.last + 1
        self.pending_in_progress = self.pending is not None

    def stable_to(self, index: int, term: int) -> None:
        if self.offset <= index <= self.last and self.term(index) == term:
            self.offset = index + 1
            self.in_progress = max(self.in_progress, self.offset)

    def stable_snapshot_to(self, index: int) -> None:
        if self.pending is not None and self.pending.index == index:
            self.pending = None
            self.pending_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.index < self.committed:
            raise Broken
        self.rewrites += (snapshot.term, snapshot.index) < (self.last_term(), self.last)
        self.snapshot_index, self.snapshot_term, self.items = snapshot.index, snapshot.term, []
        self.committed = snapshot.index
        self.offset = self.in_progress = snapshot.index + 1
        self.pending = snapshot
        self.pending_in_progress = False

    def compact(self, index: int) -> None:
        if not self.snapshot_index < index <= min(self.applied, self.offset - 1):
            raise Broken
        term = self.term(index)
        assert term is not None
        del self.items[: index - self.snapshot_index]
        self.snapshot_index, self.snapshot_term = index, term
