"""What both stores share: the plan of one batch, the index of records, and reading entries out of records.

A record is one block of the log (decision 3: a block is what is sent and what is stored), found by the index of its
first entry. A store keeps only those first indexes in memory::

    firsts   1        4   5           9          last = 11
    records  [1 2 3]  [4] [5 6 7 8]   [9 10 11]

Entries that begin at or below the last index replace everything from there on. The record they cut through is
written anew, shorter, in the same batch, so that at every moment records neither overlap nor leave a gap::

    append [7 8]:     [1 2 3]  [4] [5 6]   [7 8]         9 deleted, 5 rewritten, 7 written

A snapshot takes the place of everything. A record of one empty entry stands for the last entry that it covers::

    snapshot at 20:   [20]                               prev = last = 20; the rest is outside of the log from then on
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from typing import Protocol

from raftcore.base.errors import Compacted, Unavailable
from raftcore.base.types import EntryKind
from raftcore.values.message import Entries, Entry, Message, Snapshot
from raftcore.wire.codec import BLOCK_HEADER_SIZE, LENGTH_SIZE
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.storage import AppendBatch

CONF_CHANGE_KINDS = frozenset({int(EntryKind.EntryConfChange), int(EntryKind.EntryConfChangeV2)})
"""Kinds of entries that change the configuration."""

UNGUARDED: AbstractContextManager[object] = nullcontext()
"""For an index that nobody changes meanwhile."""


def kind_of(entries: Entries) -> int:
    """The kind of the entries of one block, which its header has."""
    return int.from_bytes(entries.data[32:36], "little")


class Index:
    """Which records there are: first indexes, ascending, 8 bytes each.

    Invariant: the records reach from ``prev`` + 1 to ``last`` without a gap, so record i ends where i + 1 begins. Where
    the log is compacted the first of them is the one that holds entry ``prev`` as well: its term and its log time are
    still needed, and what it holds beyond need not be written anew.
    """

    __slots__ = ("firsts", "last", "prev")

    def __init__(self, prev: int = 0) -> None:
        self.firsts = array("Q")
        self.prev = prev
        self.last = prev

    def position(self, index: int) -> int:
        """The record that holds the entry at ``index``, prev < index <= last."""
        return bisect_right(self.firsts, index) - 1

    def span(self, position: int) -> tuple[int, int]:
        """(first, last) entry of the record at ``position``."""
        following = position + 1
        last = self.firsts[following] - 1 if following < len(self.firsts) else self.last
        return self.firsts[position], last

    def cut(self, index: int) -> tuple[Sequence[int], int | None]:
        """What has to go when the log ends before ``index``: the doomed records, and the one cut through, if any."""
        position = bisect_left(self.firsts, index)
        doomed = self.firsts[position:]
        if position and self.span(position - 1)[1] >= index:
            return doomed, self.firsts[position - 1]
        return doomed, None

    def truncate(self, index: int) -> None:
        """Forgets everything from ``index`` on; the record cut through stays under its first index."""
        del self.firsts[bisect_left(self.firsts, index) :]
        self.last = index - 1

    def compact(self, index: int) -> Sequence[int]:
        """Forgets everything up to ``index``, prev < index <= last.

        The records that have to go: all before the one that holds it.
        """
        position = self.position(index)
        doomed = self.firsts[:position]
        del self.firsts[:position]
        self.prev = index
        return doomed

    def install(self, index: int) -> Sequence[int]:
        """The log is a snapshot at ``index`` from now on, and the record that stands for it (:func:`placeholder`).

        The records there were, which are outside of the log from now on; one of them may begin at ``index`` itself.
        """
        outside = self.firsts
        self.firsts = array("Q", [index])
        self.prev = self.last = index
        return outside

    def check_range(self, lo: int, hi: int) -> None:
        """Raises ``Compacted`` or ``Unavailable`` unless [lo, hi) is a part of the log with at least one entry."""
        if lo <= self.prev:
            raise Compacted
        if hi - 1 > self.last or hi <= lo:
            raise Unavailable


def needs_writing(batch: AppendBatch) -> bool:
    """Whether any of it must be written now: a commit index alone rides in a later batch."""
    return any(append.must_sync or append.entries is not None for _, appends in batch for append in appends)


class Compacting(Protocol):
    """A group's log, as far as :func:`compacts` needs it."""

    @property
    def compacting(self) -> bool:
        """Whether a compaction waits for a batch to be written with."""
        ...


def compacts(batch: AppendBatch, logs: Mapping[int, Compacting]) -> bool:
    """Whether a compaction of one of its groups waits for it; ``logs`` has those that are known, by group."""
    return any(group in logs and logs[group].compacting for group, _ in batch)


def by_group(batch: AppendBatch) -> Iterable[tuple[int, Sequence[Message]]]:
    """Each group once, with all its appends in order: a batch of several submits may have a group several times."""
    if len(batch) == 1:
        return batch
    appends_of: defaultdict[int, list[Message]] = defaultdict(list)
    for group, appends in batch:
        appends_of[group] += appends
    return appends_of.items()


class Plan:
    """What one batch has to do in one group for a sequence of MsgStorageAppend messages, in order.

    ``staged``: the entries to write, consecutive. ``cut``: the log ends before this index first; 0 when nothing
    written before is replaced. ``newest``: the append whose term, vote and commit hold in the end, None when none says.
    ``must_write``: False when only the commit index changed. Entries staged by one append and replaced by a later one
    of the same batch are never written. ``snapshot``: takes the place of the whole log first, None when none does;
    ``staged`` follows it then. Raises ``StorageFailed`` for a snapshot that does not move the log's beginning up, and
    for entries that leave a gap.
    """

    __slots__ = ("cut", "must_write", "newest", "snapshot", "staged")

    def __init__(self, appends: Sequence[Message], prev: int, last: int) -> None:
        self.staged: list[Entries] = []
        self.cut = 0
        self.newest: Message | None = None
        self.must_write = False
        self.snapshot: Snapshot | None = None
        for append in appends:
            if append.term or append.vote or append.commit:
                self.newest = append
            if append.snapshot is not None:
                prev = last = self._install(append.snapshot, prev)
            entries = append.entries
            if entries is not None:
                self.must_write = True
                last = self._stage(entries, prev, last)
            elif append.must_sync:
                self.must_write = True

    def _install(self, snapshot: Snapshot, prev: int) -> int:
        """Takes in the snapshot of one append, where the log began behind ``prev``; where log and prev are now."""
        if snapshot.index <= prev:
            raise StorageFailed(f"a snapshot at {snapshot.index}, but the log begins after {prev}")
        self.snapshot, self.cut, self.must_write = snapshot, 0, True
        self.staged.clear()
        return snapshot.index

    def _stage(self, entries: Entries, prev: int, last: int) -> int:
        """Takes in the entries of one append, given where the log ended before it; returns where it ends now."""
        first = entries.first
        if first <= last:
            if first <= prev:
                raise StorageFailed(f"entries from {first} on, but the log begins after {prev}")
            staged = self.staged
            while staged and staged[-1].first >= first:
                last = staged.pop().first - 1
            if staged and staged[-1].last >= first:
                staged[-1] = staged[-1].slice(staged[-1].first, first)
            if not staged and last >= first:
                self.cut = first
        elif first != last + 1:
            raise StorageFailed(f"entries from {first} on, but the log ends at {last}")
        self.staged.append(entries)
        return entries.last


def placeholder(snapshot: Snapshot) -> Entries:
    """What stands in the log for the last entry that a snapshot covers: index, term and log time, and no payload. It is
    never given out, being compacted."""
    return Entries.build([Entry(snapshot.term, snapshot.index, EntryKind.EntryNoop)], snapshot.time_ms)


def gather(
    index: Index,
    lo: int,
    hi: int,
    max_bytes: int,
    read: Callable[[int, int], Entries],
    guard: AbstractContextManager[object] = UNGUARDED,
) -> Entries:
    """The entries [lo, hi) as far as ``max_bytes`` of data allow, at least one; ``read(first, last)`` gives a record.

    Records are cut at both ends, and at the byte limit, with new headers over the same payloads. ``guard`` is held
    whenever the index is looked at, and not while a record is read: where the index may change meanwhile, the caller
    has to see afterwards whether it has.
    """
    parts: list[bytes] = []
    size = 0
    entries: Entries | None = None
    with guard:
        index.check_range(lo, hi)
    while lo < hi:
        with guard:
            index.check_range(lo, hi)
            first, last = index.span(index.position(lo))
        entries = read(first, last)
        end = min(hi, last + 1)
        if lo != first or end != last + 1:
            entries = entries.slice(lo, end)
        if size + len(entries.data) > max_bytes:
            fitting = fit(entries, max_bytes - size, at_least=0 if parts else 1)
            if fitting:
                entries = entries.slice(lo, lo + fitting)
                parts.append(entries.data)
            break
        parts.append(entries.data)
        size += len(entries.data)
        lo = end
    if len(parts) == 1 and entries is not None and entries.data is parts[0]:
        return entries
    return Entries.decode(b"".join(parts))


def fit(entries: Entries, max_bytes: int, at_least: int) -> int:
    """How many entries from the first on, in blocks, take at most ``max_bytes``; not below ``at_least``."""
    count = 0
    for _, _, _, _, block_count, block in entries.iter_blocks():
        if len(block) <= max_bytes:
            count += block_count
            max_bytes -= len(block)
            continue
        room = max_bytes - BLOCK_HEADER_SIZE
        lengths = array("I")
        lengths.frombytes(block[BLOCK_HEADER_SIZE : BLOCK_HEADER_SIZE + LENGTH_SIZE * block_count])
        if sys.byteorder == "big":
            lengths.byteswap()
        count += bisect_right(list(_until(accumulate(LENGTH_SIZE + length for length in lengths), room)), room)
        break
    return max(count, at_least)


def _until(sizes: Iterator[int], room: int) -> Iterator[int]:
    """The ascending sizes up to the first above ``room``, so that a limit far below the block costs little."""
    for size in sizes:
        yield size
        if size > room:
            return
