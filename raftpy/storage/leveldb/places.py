"""Where the records of the logs lie in a row of segments: in which segment, at which byte, and how long they are.

Each group has four arrays, ascending by the first index of the records, 32 bytes for each record; and each segment a
count of the bytes that are still needed of it. A record is where it was written last.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from raftpy.storage.leveldb import keys

UNREAD = -1
"""In the place of an offset: the segment is still written, and LevelDB finds the record."""


class Place(NamedTuple):
    """Where a value lies: ``offset`` and ``size`` in bytes in the write-ahead file of the segment with this number."""

    segment: int
    offset: int
    size: int


class _Group:
    """The records of one group: element i of each array is of the record whose first entry is ``firsts[i]``."""

    __slots__ = ("firsts", "offsets", "segments", "sizes")

    def __init__(self) -> None:
        self.firsts = array("Q")
        self.segments = array("Q")
        self.offsets = array("q")
        self.sizes = array("Q")


def is_record(key: bytes) -> bool:
    """Whether it is the key of a record of a log; all others are small, and kept in memory."""
    return len(key) == keys.ENTRY_KEY_SIZE and key.startswith(b"e")


class Places:
    """The places of all records, by key."""

    def __init__(self) -> None:
        self._groups: dict[bytes, _Group] = {}  # by all of the key but the index
        self.live: Counter[int] = Counter()
        """Bytes of values that are needed, by the number of their segment."""

    def find(self, key: bytes) -> Place | None:
        """Where the record is; None where there is no such record."""
        group, at, found = self._look(key)
        return Place(group.segments[at], group.offsets[at], group.sizes[at]) if found else None

    def put(self, key: bytes, place: Place) -> None:
        """It is here now, wherever it was before."""
        group, at, found = self._look(key)
        if found:
            self.live[group.segments[at]] -= group.sizes[at]
            group.segments[at], group.offsets[at], group.sizes[at] = place
        else:
            group.firsts.insert(at, keys.entry_first(key))
            for values, value in zip((group.segments, group.offsets, group.sizes), place, strict=True):
                values.insert(at, value)
            self._groups.setdefault(key[:-8], group)
        self.live[place.segment] += place.size

    def remove(self, key: bytes) -> None:
        """There is no such record any more, if there was one."""
        group, at, found = self._look(key)
        if found:
            self.live[group.segments[at]] -= group.sizes[at]
            for values in (group.firsts, group.segments, group.offsets, group.sizes):
                del values[at]

    def keys(self, start: bytes, stop: bytes) -> Iterator[bytes]:
        """The keys of all records from ``start`` on and before ``stop``, ascending."""
        for prefix in sorted(self._groups):
            for first in self._groups[prefix].firsts:
                key = prefix + first.to_bytes(8, "big")
                if start <= key < stop:
                    yield key

    def _look(self, key: bytes) -> tuple[_Group, int, bool]:
        """The group, where in its arrays the record is or would be, and whether it is there."""
        group = self._groups.get(key[:-8])
        if group is None:
            return _Group(), 0, False
        first = keys.entry_first(key)
        firsts = group.firsts
        at = len(firsts) if firsts and firsts[-1] < first else bisect_left(firsts, first)
        return group, at, at < len(firsts) and firsts[at] == first
