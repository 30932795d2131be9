"""The log of a whole node: ModelLog, with what a node adds to it (log time, sizes, and what is still in memory).

What is in memory decides nothing in Raft; it shows in one place: a slice that begins in the storage and ends in memory
is cut as two, each with block headers of its own. So the model keeps one border, `memory_from`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raftcore import EntryKind
from tests.model.log import APPLYING_OVERHEAD, BLOCK_HEADER, LENGTH, UNLIMITED, Item, ModelLog, applying_size
from tests.model.values import Rejected

CONF_CHANGES = (EntryKind.EntryConfChange, EntryKind.EntryConfChangeV2)


def fitting(items: Iterable[Item], limit: int, least: int) -> list[Item]:
    """Items from the front whose blocks stay within `limit` bytes, but at least `least` of them."""
    size, block, taken = 0, None, []
    for item in items:
        same = (item.term, item.kind, item.time)
        size += LENGTH + len(item.data) + (0 if same == block else BLOCK_HEADER)
        block = same
        if size > limit and len(taken) >= least:
            break
        taken.append(item)
    return taken


def fitting_to_apply(items: Iterable[Item], limit: int, least: int) -> list[Item]:
    """The same by what they count for while they are being applied."""
    size, taken = 0, []
    for item in items:
        size += APPLYING_OVERHEAD + len(item.data)
        if size > limit and len(taken) >= least:
            break
        taken.append(item)
    return taken


@dataclass
class NodeLog(ModelLog):
    memory_from: int = 1
    """Entries from here on have not left the memory."""
    last_time: int = 0
    """Newest log time seen; a restored snapshot does not make it forgotten."""
    most_bytes: int = UNLIMITED
    """Bytes, counted as for applying, kept in memory of what is durable and applied."""
    most_entries: int = UNLIMITED
    awaits: bool = False
    """What is to be applied next has to be read first."""

    def matches(self, index: int, term: int) -> bool:
        return self.term(index) == term

    def is_up_to_date(self, index: int, term: int) -> bool:
        """Is a log that ends there at least as complete as this one (paper 5.4.1)?"""
        return (term, index) >= (self.last_term(), self.last)

    def put(self, first: int, items: Sequence[Item]) -> None:
        """Log time never goes back: what comes from a leader that lost sight of it is raised."""
        newest = self.last_time if first == self.last + 1 else 0
        if first - 1 > self.snapshot_index:
            newest = self.items[first - 2 - self.snapshot_index].time
        raised = []
        for item in items:
            newest = max(newest, item.time)
            raised.append(item._replace(time=newest))
        super().put(first, raised)
        self.memory_from = min(self.memory_from, first)
        self.last_time = newest
        self.evict()

    def stable_to(self, index: int, term: int) -> None:
        super().stable_to(index, term)
        self.evict()

    def applied_to(self, index: int, size: int) -> None:
        super().applied_to(index, size)
        self.evict()

    def evict(self) -> None:
        """What is durable and applied may leave the memory, from the oldest on, when there is too much of it; and what
        is not applied, when there is more than several times what is applied at once."""
        kept = self.at(self.memory_from, self.last + 1)
        while self.memory_from <= min(self.applied, self.offset - 1) and (
            len(kept) > self.most_entries or applying_size(kept) > self.most_bytes
        ):
            del kept[0]
            self.memory_from += 1
        while self.memory_from < self.offset and applying_size(kept) > max(self.most_bytes, 4 * self.max_applying):
            del kept[0]
            self.memory_from += 1

    def restore(self, snapshot) -> None:  # type: ignore[no-untyped-def]
        super().restore(snapshot)
        self.awaits = False
        self.memory_from = snapshot.index + 1
        self.last_time = snapshot.time_ms or self.last_time

    def compact(self, index: int) -> None:
        if index <= self.snapshot_index:
            raise Rejected("Compacted")
        if index > self.applied or index >= self.offset:
            raise Rejected("Unavailable")
        super().compact(index)
        self.memory_from = max(self.memory_from, index + 1)

    def slice(self, lo: int, limit: int) -> list[Item]:
        """Entries from lo on for one message."""
        if lo >= self.memory_from:
            return fitting(self.at(lo, self.last + 1), limit, 1)
        stored = fitting(self.at(lo, self.offset), limit, 1)  # all that is durable, also what is in memory as well
        if lo + len(stored) < self.memory_from:
            return stored
        left = limit - sum(size_of(stored))
        return stored + fitting(self.at(lo + len(stored), self.last + 1), left, 0)

    def next_committed(self, allow_unstable: bool) -> list[Item]:
        """What may be applied now. Nothing while a snapshot waits, or while too much is being applied already."""
        if self.paused or self.awaits or self.pending is not None:
            return []
        lo, hi = self.applying + 1, max(self.applying, self.max_appliable(allow_unstable)) + 1
        room = self.max_applying - self.applying_bytes
        if lo == hi:
            return []
        if lo >= self.memory_from:
            return fitting_to_apply(self.at(lo, hi), room, 1)
        # The storage is told the same limit, and counts in blocks.
        stored = fitting_to_apply(fitting(self.at(lo, min(hi, self.offset)), room, 1), room, 1)
        if lo + len(stored) < self.memory_from:
            return stored
        room -= sum(APPLYING_OVERHEAD + len(item.data) for item in stored)
        return stored + fitting_to_apply(self.at(lo + len(stored), hi), room, 0)

    def has_conf_change(self, lo: int, hi: int) -> bool:
        return any(item.kind in CONF_CHANGES for item in self.at(lo, hi))


def size_of(items: Iterable[Item]) -> Iterable[int]:
    """Bytes of each item in blocks, those of a block's header with its first."""
    block = None
    for item in items:
        same = (item.term, item.kind, item.time)
        yield LENGTH + len(item.data) + (0 if same == block else BLOCK_HEADER)
        block = same
