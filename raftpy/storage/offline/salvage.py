"""The batches of a write-ahead file of which something is damaged: those that are whole, and where the others were.

``wal_batches.Batches`` ends at the first byte that is wrong, as a start does. This goes on behind it: with the next
record of the same block whose checksum holds, else with the next block. It is slow, and only for what is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from raftpy.storage.leveldb.wal_records import BLOCK, HEADER, length_is_damaged, record_holds

_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_DELETION, _VALUE = 0, 1
_BATCH = Struct("<QI")
"""What a batch begins with: the number of its first write, and how many there are."""

Write = tuple[bytes, bytes | None, int]
"""Key, value (None: a deletion), and where the value lies in the file."""


@dataclass(frozen=True, slots=True)
class SavedBatch:
    """A batch that is whole: it lies in [``start``, ``end``) of the file, and has these ``writes``."""

    start: int
    end: int
    writes: list[Write]


class _Malformed(ValueError):
    pass


class Salvage:
    """Reads ``data``, the whole file, once: ``batches``. Afterwards:

    Attributes:
        damaged: [start, stop) in bytes of what is not what was written, ascending.
        torn: where the beginning of a write stands at the end that was never finished; None: there is none.
        end: behind the last whole batch.
        other: what is wrong beside that, one text each.
    """

    def __init__(self, data: bytes) -> None:
        self.damaged: list[tuple[int, int]] = []
        self.torn: int | None = None
        self.end = 0
        self.other: list[str] = []
        self._data = data
        self._written = len(data.rstrip(b"\0"))

    def batches(self) -> Iterator[SavedBatch]:
        """Those that are whole, in order."""
        parts: list[tuple[int, int]] = []
        expected: int | None = 1  # the number of the next write; None behind damage, where some are missing
        for piece in self._pieces():
            if piece is None:
                parts, expected = [], None
                continue
            start, stop, kind = piece
            if kind in (_FULL, _FIRST):
                if parts:
                    self._add_damage(parts[0][0], start)
                    expected = None
                parts = []
            elif not parts:
                if expected is not None:
                    self._add_damage(start, stop)
                    expected = None
                continue  # the rest of one whose beginning is damaged
            parts.append((start, stop))
            if kind in (_FULL, _LAST):
                number, count, batch = self._opened(parts)
                parts = []
                if batch is None:
                    expected = None
                    continue
                if expected is not None and number != expected:
                    self.other.append(
                        f"the batch at byte {batch.start} has writes from number {number} on, where {expected} "
                        "follows: what was between is missing"
                    )
                expected = number + count
                self.end = stop
                yield batch
        if parts:
            self.torn = parts[0][0]

    # --- records

    def _pieces(self) -> Iterator[tuple[int, int, int] | None]:
        """(start, stop, type) of each record that holds; None where something is damaged."""
        data, size = self._data, len(self._data)
        at = 0
        while at < size:
            block_end = min((at // BLOCK + 1) * BLOCK, size)
            if block_end - at < HEADER:
                if block_end == size and at < self._written:
                    self.torn = at
                at = block_end
                continue
            if self._holds(at, block_end):
                stop = at + HEADER + self._length(at)
                yield at, stop, data[at + 6]
                at = stop
                continue
            if at >= self._written:
                return  # what was set aside
            if self._is_torn(at, block_end):
                self.torn = at
                return
            following = self._following(at, block_end)
            self._add_damage(at, min(following, max(self._written, at + 1)))
            yield None
            at = following

    def _length(self, at: int) -> int:
        return int.from_bytes(self._data[at + 4 : at + 6], "little")

    def _holds(self, at: int, block_end: int) -> bool:
        """Whether a record that LevelDB wrote begins there."""
        stop = at + HEADER + self._length(at)
        if stop > block_end or not _FULL <= self._data[at + 6] <= _LAST:
            return False
        return record_holds(self._data, at, stop)

    def _is_torn(self, at: int, block_end: int) -> bool:
        """Whether this is what a write leaves that never was finished: see ``wal_records.survey``."""
        stop = at + HEADER + self._length(at)
        if stop > block_end:
            if block_end < len(self._data):
                return False
        elif self._data[stop - 1] or stop < self._written:
            return False
        return not length_is_damaged(self._data, at, min(stop, block_end))

    def _following(self, at: int, block_end: int) -> int:
        """Where the next record begins behind the damaged one: where that says it ends, if there is one or nothing was
        written behind it; or else the first that holds; or the next block."""
        stop = at + HEADER + self._length(at)
        if stop <= block_end - HEADER and (self._holds(stop, block_end) or self._is_torn(stop, block_end)):
            return stop
        for candidate in range(at + 1, block_end - HEADER + 1):
            if _FULL <= self._data[candidate + 6] <= _LAST and self._holds(candidate, block_end):
                return candidate
        return block_end

    def _add_damage(self, start: int, stop: int) -> None:
        if self.damaged and self.damaged[-1][1] >= start:
            start, stop = self.damaged[-1][0], max(stop, self.damaged.pop()[1])
        self.damaged.append((start, stop))

    # --- batches

    def _opened(self, parts: list[tuple[int, int]]) -> tuple[int, int, SavedBatch | None]:
        """The number of its first write, how many it has, and the batch; None where it is none."""
        data = b"".join(self._data[start + HEADER : stop] for start, stop in parts)
        try:
            if len(data) < _BATCH.size:
                raise _Malformed
            number, count = _BATCH.unpack_from(data)
            writes = list(_writes(data, parts))
            if count != len(writes):
                raise _Malformed
        except _Malformed:
            self._add_damage(parts[0][0], parts[-1][1])
            return 0, 0, None
        return number, count, SavedBatch(parts[0][0], parts[-1][1], writes)


def _writes(data: bytes, parts: list[tuple[int, int]]) -> Iterator[Write]:
    """The writes of the batch whose pieces, at these places of the file, are ``data``."""
    at = _BATCH.size
    while at < len(data):
        kind = data[at]
        if kind not in (_DELETION, _VALUE):
            raise _Malformed
        key, at = _sized(data, at + 1)
        if kind == _DELETION:
            yield key, None, 0
            continue
        value, behind = _sized(data, at)
        yield key, value, _place(parts, behind - len(value))
        at = behind


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes behind their length (varint32), and where they end."""
    size = shift = 0
    while True:
        if at >= len(data) or shift > 28:
            raise _Malformed
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if size > len(data) - at:
        raise _Malformed
    return data[at : at + size], at + size


def _place(parts: list[tuple[int, int]], at: int) -> int:
    """Where byte ``at`` of a batch lies in the file."""
    for start, stop in parts:
        size = stop - start - HEADER
        if at < size:
            return start + HEADER + at
        at -= size
    return parts[-1][1]
