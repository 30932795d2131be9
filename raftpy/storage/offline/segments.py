"""Reads a row of segments as a start does (raftpy/storage/leveldb/loading.py), and goes on behind damage.

This is the one module here that knows how records lie in files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

from raftcore.base.errors import DecodeError
from raftpy.contracts.database import Batch
from raftpy.contracts.errors import StorageDamaged
from raftpy.contracts.files import File, Files
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.loading import EMPTY, MISSING, end_before_in, other_end
from raftpy.storage.leveldb.places import Place, Places, SeenRecord, is_record
from raftpy.storage.leveldb.sealing import unseal_record
from raftpy.storage.leveldb.segment import (
    HEADER_KEY,
    LOWEST_KEY,
    SUCCESSOR_KEY,
    Header,
    SegmentFile,
    holds_no_batch,
    name_of,
    segments,
)
from raftpy.storage.leveldb.wal import write_ahead_files
from raftpy.storage.leveldb.wal_batches import stored_size, value_in
from raftpy.storage.offline.faults import Faults
from raftpy.storage.offline.progress import Progress
from raftpy.storage.offline.salvage import Salvage


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """A segment in use: its ``number``, its ``path``, the ``size`` of what was written to it, and how many bytes of
    records in it are ``needed``."""

    number: int
    path: str
    size: int
    needed: int


@dataclass(slots=True)
class Row:
    """What the segments hold. ``path`` is their directory, ``row_id`` the row's (0: no segment says it).

    ``files``: of each segment in use, the file that counts; ``sizes``: the bytes in it; ``small``: key and value of all
    that is no record of a log; ``places``: where those are, and what their blocks say.
    """

    path: PurePath
    row_id: int = 0
    files: dict[int, PurePath] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    small: dict[bytes, bytes] = field(default_factory=dict)
    places: Places = field(default_factory=Places)

    def summaries(self) -> list[SegmentSummary]:
        """A line for each segment, oldest first."""
        live = self.places.live
        return [SegmentSummary(n, str(self.files[n]), self.sizes[n], live.get(n, 0)) for n in sorted(self.files)]


class _Damaged:
    """A segment of which something is damaged: what ``SegmentFile`` tells, as far as it can be told.

    ``error``: what has kept that from reading it. ``holds_no_batch``: see ``segment.holds_no_batch``.
    """

    def __init__(self, files: Files, row: PurePath, number: int, error: StorageDamaged) -> None:
        """Raises ``StorageDamaged`` where there is no one file that could be read, ``OSError``."""
        self.number = number
        self._error = error
        self.directory = row / name_of(number)
        found = write_ahead_files(files, self.directory)
        if len(found) != 1:
            raise StorageDamaged(f"it has {len(found)} write-ahead files, 1 expected", str(self.directory))
        self.path = found[0]
        self.holds_no_batch = holds_no_batch(files, row, number)
        self._data = files.read(self.path)
        self.header: Header | None = None
        batches = Salvage(self._data).batches()
        first = next(batches, None)
        if first is not None and first.start == 0 and first.writes[0][0] == HEADER_KEY:
            self.header = Header.unpack(first.writes[0][1] or b"")
            first = next(batches, None)
        self.is_in_use = first is not None

    def marks(self) -> dict[bytes, int]:
        """See ``SegmentFile.marks``; what is damaged says nothing."""
        marks: dict[bytes, int] = {}
        for batch in Salvage(self._data).batches():
            for key, value, _ in batch.writes:
                if key in (LOWEST_KEY, SUCCESSOR_KEY) and value is not None and len(value) == 13:
                    marks[key] = int.from_bytes(value[4:12], "little")
        return marks

    def read(self, row: Row, faults: Faults, is_newest: bool) -> int:
        """Takes what is whole into the row, and notes all that is not; where the last whole batch ends."""
        salvage, before = Salvage(self._data), len(faults.found)
        for batch in salvage.batches():
            if batch.start == 0:
                if self.header is None:
                    faults.add(self._error.where, self._error.what)
                continue
            for key, value, offset in batch.writes:
                self._take(row, faults, key, value, offset)
        for start, stop in salvage.damaged:
            faults.add(self.path, f"bytes {start} to {stop - 1} are not what was written")
        for what in salvage.other:
            faults.add(self.path, what)
        if salvage.torn is not None and not is_newest:
            faults.add(self.path, f"its last batch, at byte {salvage.torn}, is not there whole")
        if len(faults.found) == before:
            faults.add(self._error.where, self._error.what)
        return salvage.end

    def _take(self, row: Row, faults: Faults, key: bytes, value: bytes | None, offset: int) -> None:
        if not is_record(key):
            if value is None:
                row.small.pop(key, None)
            else:
                row.small[key] = value
        elif value is None:
            row.places.remove(key)
        else:
            try:
                opened = unseal_record(key, value)
                what = "its checksum does not hold" if opened is None else ""
            except DecodeError as error:
                what = str(error)
            if what:
                faults.add(self.path, f"{keys.describe(key)}, at byte {offset}: {what}")
            else:
                row.places.put(key, self.number, offset, len(value))


_Segment = SegmentFile | _Damaged


class RowReader:
    """Reads the row in the directory ``path``, once: ``read``."""

    def __init__(self, files: Files, path: PurePath, faults: Faults, progress: Progress) -> None:
        self._files = files
        self._faults = faults
        self._progress = progress
        self._row = Row(path)
        self._kept: dict[int, _Segment] = {}  # what was read and is asked for again
        self._blamed = False  # something is wrong with the segment that was taken last

    def expected(self) -> int:
        """How many bytes there are to read, at most."""
        size = 0
        for number in segments(self._files, self._row.path):
            for path in write_ahead_files(self._files, self._row.path / name_of(number)):
                size += size_of(self._files, path)
        return size

    def read(self, may_be_empty: bool) -> Row:
        """All of it. ``may_be_empty``: whether there may be no segment in use. Raises ``StorageFailed`` for another
        release's."""
        row = self._row
        numbers, before = segments(self._files, row.path), len(self._faults.found)
        newest = self._find_newest(numbers)
        row.places.begin()
        if newest is None:
            if not may_be_empty and len(self._faults.found) == before:
                self._faults.add(row.path, "no segment of it is there")
            return row
        lowest = self._lowest(newest, numbers)
        row.row_id = 0 if newest.header is None else newest.header.row
        previous = 0
        for number in numbers:
            if not lowest <= number <= newest.number:
                continue
            found = self._kept.pop(number, None) or self._open(number)
            if found is not None:
                previous = self._take(found, previous, lowest, found.number == newest.number)
        row.small.pop(LOWEST_KEY, None)
        row.small.pop(SUCCESSOR_KEY, None)
        for number in numbers:
            if number < lowest:
                self._faults.note(f"segment {number} is needed no more: the next start removes it")
        return row

    def _open(self, number: int) -> _Segment | None:
        row, files = self._row.path, self._files
        with self._faults.caught(row / name_of(number)):
            try:
                return SegmentFile(files, row, number)
            except StorageDamaged as error:
                return _Damaged(files, row, number, error)
        return None

    def _find_newest(self, numbers: list[int]) -> _Segment | None:
        """The newest segment that is in use."""
        newest = None
        for number in reversed(numbers):
            found = self._open(number)
            if found is None:
                continue
            self._kept[number] = found
            if self._is_in_use(found):
                newest = found
                break
        successor = self._check_successor(newest)
        for found in self._kept.values():
            self._check_above(found, newest, successor)
        self._kept = {} if newest is None else {newest.number: newest}
        return newest

    def _is_in_use(self, found: _Segment) -> bool:
        try:
            return found.is_in_use
        except StorageDamaged:
            return True

    def _marks(self, found: _Segment) -> dict[bytes, int]:
        try:
            return found.marks()
        except StorageDamaged as error:
            self._faults.add(error.where, error.what)
            return {}

    def _lowest(self, newest: _Segment, numbers: list[int]) -> int:
        lowest = self._marks(newest).get(LOWEST_KEY, 0)
        if 0 < lowest <= newest.number:
            return lowest
        if not isinstance(newest, _Damaged):
            self._faults.add(newest.directory, "it does not say which segments are needed")
        return numbers[0]

    def _check_successor(self, newest: _Segment | None) -> int:
        """A segment that was named may have been in use: it must be there. Its number; 0: none was named."""
        if newest is None:
            return 0
        successor = self._marks(newest).get(SUCCESSOR_KEY, 0)
        if successor <= newest.number:
            return 0
        where = self._row.path / name_of(successor)
        following = self._kept.get(successor)
        if following is None or (following.header is None and not isinstance(following, _Damaged)):
            self._faults.add(where, "it is missing, or empty, and may have been in use")
        elif newest.header is not None and following.header is not None:
            self._check_row(following, newest.header.row)
        return successor

    def _check_above(self, found: _Segment, newest: _Segment | None, successor: int) -> None:
        """What is wrong with a segment above the newest one in use, and what it says about that."""
        if found is newest:
            return
        if isinstance(found, _Damaged):
            if found.number == successor or not found.holds_no_batch:
                found.read(Row(self._row.path), self._faults, True)  # nobody reads it again
            else:
                self._faults.note(f"{found.directory}: made beforehand and not used; the next start makes it anew")
        if newest is None or newest.header is None or found.header is None or found.header.row != newest.header.row:
            return
        if found.header.previous > newest.number:
            lost = self._kept.get(found.header.previous)
            what = MISSING if lost is None or lost.header is None else EMPTY
            self._faults.add(self._row.path / name_of(found.header.previous), what)

    def _check_row(self, found: _Segment, row_id: int) -> None:
        if found.header is not None and row_id and found.header.row != row_id:
            self._faults.add(found.directory, "it belongs to another store")

    def _take(self, found: _Segment, previous: int, lowest: int, is_newest: bool) -> int:
        """Takes a segment into the row; the number of the newest one in use so far."""
        row = self._row
        self._check_row(found, row.row_id)
        before = len(self._faults.found)
        end = self._read(found, is_newest)
        blamed = len(self._faults.found) != before
        self._progress.read(size_of(self._files, found.path) if hasattr(found, "path") else 0)
        if not end:
            return previous
        if found.header is not None:
            row.row_id = row.row_id or found.header.row
            if previous and found.header.previous != previous:
                self._faults.add(row.path / name_of(found.header.previous), MISSING)
        if not previous and found.number != lowest:
            self._faults.add(row.path / name_of(lowest), MISSING)
        self._check_end_before(found, previous)
        self._blamed = blamed
        row.files[found.number] = found.path
        row.sizes[found.number] = end
        return found.number

    def _check_end_before(self, found: _Segment, previous: int) -> None:
        """The segment before this one ends where this one says, unless more is wrong with that one anyway."""
        end_before = end_before_in(self._row.small)
        if end_before is None:
            if isinstance(found, SegmentFile):
                self._faults.add(found.directory, "it does not say where the segment before it ended")
        elif found.header is not None and found.header.previous != previous:
            pass  # that one is not there
        elif previous and not self._blamed and self._row.sizes[previous] != end_before:
            self._faults.add(self._row.files[previous], other_end(self._row.sizes[previous], end_before))

    def _read(self, found: _Segment, is_newest: bool) -> int:
        """Where what is whole of it ends; 0: it is not in use."""
        row = self._row
        if isinstance(found, SegmentFile):
            try:
                if not found.read(row.places, row.small):
                    return 0
            except StorageDamaged as error:
                again = self._salvaged(found.number, error)
                return 0 if again is None else again.read(row, self._faults, is_newest)
            if not found.is_whole:
                if not is_newest:
                    self._faults.add(found.path, f"its last batch, at byte {found.end}, is not there whole")
                else:
                    self._faults.note(
                        f"{found.path}: the beginning of a write that was never finished, at byte {found.end}, which "
                        "the next start cuts off: no damage"
                    )
            return found.end
        return found.read(row, self._faults, is_newest) if found.is_in_use else 0

    def _salvaged(self, number: int, error: StorageDamaged) -> _Damaged | None:
        with self._faults.caught(self._row.path / name_of(number)):
            return _Damaged(self._files, self._row.path, number, error)
        return None


class RowView:
    """The row as a ``Database`` that is only read. To be closed. ``get`` raises ``StorageDamaged``, ``OSError``."""

    def __init__(self, files: Files, row: Row) -> None:
        self._files = files
        self._row = row
        self._open: tuple[PurePath, File] | None = None  # records are read in order: most are in the same file

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None:
        """See ``Database``."""
        if not is_record(key):
            return self._row.small.get(key)
        place = self._row.places.find(key)
        return None if place is None else self._value(place)

    def iterator(
        self, *, start: bytes, stop: bytes, verify_checksums: bool, fill_cache: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """See ``Database``; of what is small."""
        yield from sorted(item for item in self._row.small.items() if start <= item[0] < stop)

    def seen(self, group: int) -> Iterator[SeenRecord]:
        """What was read of each record of a group's log, ascending; without entries where that was not looked at."""
        return self._row.places.seen(group)

    def place(self, key: bytes) -> tuple[str, int, int] | None:
        """(file, offset, bytes) of the record under ``key``; None where there is none."""
        place = self._row.places.find(key)
        return None if place is None else (str(self._row.files[place.segment]), place.offset, place.size)

    def _value(self, place: Place) -> bytes:
        path = self._row.files[place.segment]
        if self._open is None or self._open[0] != path:
            self.close()
            self._open = path, self._files.open(path, "read")
        stored = self._open[1].read_at(stored_size(place.offset, place.size), place.offset)
        if len(stored) != stored_size(place.offset, place.size):
            raise StorageDamaged(f"it ends before byte {place.offset + place.size}", str(path))
        return value_in(stored, place.offset, place.size)

    def put(self, key: bytes, value: bytes, *, sync: bool) -> None:
        """Nothing is written here: raises ``RuntimeError``."""
        raise RuntimeError("this database is only read")

    def write_batch(self, *, sync: bool) -> Batch:
        """Likewise: raises ``RuntimeError``."""
        raise RuntimeError("this database is only read")

    def close(self) -> None:
        """See ``Database``."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def size_of(files: Files, path: PurePath) -> int:
    """Bytes in a file. Raises ``OSError``."""
    file = files.open(path, "read")
    try:
        return file.size()
    finally:
        file.close()
