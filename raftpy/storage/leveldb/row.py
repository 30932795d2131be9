"""A row of LevelDB databases that looks like one and writes each record once: segments, of which the newest is written.

A segment is changed for the next one before a write would make it larger than ``segment_size``, so LevelDB never turns
its memory into a table. What is small and may be needed for ever (all but the records of the logs) is kept in memory,
and written again with the first batch of each segment; the records of the logs stay where they are, and a segment goes
when none of them is needed any more::

    0000000000000004   [header][L=4, small, records][records]...[N=5][records]     closed: read here, not by LevelDB
    0000000000000005   [header][L=4, small, records][records]...[N=6]              written
    0000000000000006   [header]                                                    made beforehand

What is durable when, so that a crash at any moment leaves either all of it or what a start can tell from a loss:

1. A segment has its header, and its names are synced, before another one names it as its successor.
2. Its successor is named, synced, before the first batch of the successor is written: so a newest segment that is
   missing, or has lost its header, is missed. It is named with an ordinary batch, and costs no sync of its own.
3. The first batch of a segment is its opening, and holds all that older segments are not asked for any more.
4. Older segments go oldest first, once the number of the lowest one needed is durable in the newest.
5. A start never goes on writing a segment; it begins the next one. Before that it cuts off what a crash has left of a
   batch, and makes the last whole batch durable, which may not have been acknowledged.

``get`` may be called from one thread and ``commit`` from another. What costs time beside a write (the next segment,
closing and reading back the one before, removing directories) is done by a worker; a segment that is not ready makes
nobody wait: the one before grows meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import PurePath

from raftpy.contracts.database import Database, DatabaseEngine
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.executor import Executor
from raftpy.contracts.files import Files
from raftpy.storage.identity import new_store_id
from raftpy.storage.leveldb.places import UNREAD, Place, Places, is_record
from raftpy.storage.leveldb.segment import (
    LOWEST_KEY,
    OWN_KEYS,
    SUCCESSOR_KEY,
    UNFLUSHED,
    Header,
    SegmentFile,
    make,
    name_of,
    pack_number,
    segments,
)
from raftpy.storage.leveldb.wal import cut_off, cut_off_ahead
from raftpy.storage.leveldb.wal_batches import DELETED, stored_size, value_in

SEGMENT_SIZE = 16 << 20
"""Bytes; larger ones cost more memory and processor time, smaller ones more changes (docs/performance.md)."""
ENTRY_OVERHEAD = 128
"""More than a write takes, beside its key and value, in LevelDB's memory or in the write-ahead file."""
LARGEST_SEGMENT = UNFLUSHED - (64 << 20)
"""Bytes up to which a segment may grow while the next one is not ready."""
BEYOND = 256 << 10
"""Bytes set aside in a segment's file beyond its size, for the batch that is its last."""
MOVED_AT_ONCE = 64 << 10
"""Bytes of records that are still needed in the oldest segment which any batch may carry along to the newest; a larger
batch carries as many as it has itself."""

Write = tuple[bytes, bytes | None]


def size_of(writes: Sequence[Write]) -> int:
    """At least what they take in LevelDB's memory, and in the write-ahead file, in bytes."""
    return sum(len(key) + len(value or b"") + ENTRY_OVERHEAD for key, value in writes)


class RowBatch:
    """A ``Batch`` of a :class:`SegmentRow`, always synced."""

    def __init__(self, row: SegmentRow) -> None:
        self._row = row
        self._writes: list[Write] = []
        self._forgotten: list[bytes] = []

    def put(self, key: bytes, value: bytes) -> None:
        self._writes.append((key, value))

    def delete(self, key: bytes) -> None:
        self._writes.append((key, None))

    def forget(self, key: bytes) -> None:
        """The record is needed no more once the batch is written.

        As ``delete``, but that nothing is written of it, and a later opening may find it again.
        """
        self._forgotten.append(key)

    def write(self) -> None:
        self._row.commit(self._writes, self._forgotten)

    def clear(self) -> None:
        self._writes.clear()
        self._forgotten.clear()


class _Newest:
    """The segment that is written. ``limit``: bytes at which it is changed for the next one; ``held``: those it has."""

    __slots__ = ("database", "held", "is_named", "is_opened", "limit", "number")

    def __init__(self, number: int, database: Database, limit: int) -> None:
        self.number = number
        self.database = database
        self.limit = limit
        self.held = 0
        self.is_opened = False  # its first batch is written
        self.is_named = False  # its successor is


class SegmentRow:
    """A ``Database`` in the directory ``path``, which is there. ``create``: whether there may be no segment yet.

    Raises what the engine and ``files`` raise, ``StorageDamaged``, and ``StorageFailed`` for another release's row.
    """

    def __init__(
        self,
        path: PurePath,
        *,
        create: bool,
        files: Files,
        engine: DatabaseEngine,
        executor: Executor,
        entropy: Entropy,
        segment_size: int = SEGMENT_SIZE,
    ) -> None:
        self._path = path
        self._files = files
        self._engine = engine
        self._segment_size = segment_size
        self._mutex = executor.lock()  # over what a reader sees, and what the worker hands over
        self._writing = executor.lock()  # held while a batch is written
        self._worker = executor.worker("raftpy segments", self._work)
        self._small: dict[bytes, bytes] = {}
        self._places = Places()
        self._open: dict[int, Database] = {}  # those that LevelDB has open, by number
        self._paths: dict[int, PurePath] = {}  # the files of the others
        self._sizes: dict[int, int] = {}  # of all that are in use or were
        self._next: tuple[Header, Database] | None = None
        self._trouble: BaseException | None = None  # what the worker has failed of, or a write
        self._closed = False
        self._moving: deque[bytes] = deque()  # records of the oldest segment that are still needed
        self._moving_from = 0
        self._row_id = 0
        self._used = self._lowest = 0  # the newest segment in use before this opening, the oldest one needed
        unused = self._load(create)
        self._row_id = self._row_id or new_store_id(entropy)
        self._unused = unused  # to be removed once the new segment is in use
        header = Header(self._row_id, max([*unused, self._used, 0]) + 1, self._used)
        self._begin(header, make(files, engine, path, header, segment_size + BEYOND))

    # --- Database

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None:
        """See ``Database.get``; ``StorageDamaged`` where the file of its segment is missing, or too short."""
        while True:
            with self._mutex:
                if not is_record(key):
                    return self._small.get(key)
                place = self._places.find(key)
                if place is None:
                    return None
                database = self._open.get(place.segment)
                if database is not None:
                    return database.get(key, verify_checksums=verify_checksums)
                path = self._paths[place.segment]
            try:
                file = self._files.open(path, "read")
            except FileNotFoundError as error:
                with self._mutex:
                    if self._places.find(key) == place:
                        raise StorageDamaged("it is missing", str(path)) from error
                continue  # the record has gone along to the newest segment meanwhile, or is needed no more
            try:
                stored = file.read_at(stored_size(place.offset, place.size), place.offset)
            finally:
                file.close()
            return self._value(path, stored, place)

    def put(self, key: bytes, value: bytes, *, sync: bool) -> None:
        self.commit([(key, value)], [])

    def write_batch(self, *, sync: bool) -> RowBatch:
        return RowBatch(self)

    def iterator(
        self, *, start: bytes, stop: bytes, verify_checksums: bool, fill_cache: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """For an opening: nothing is written meanwhile."""
        with self._mutex:
            small = sorted(item for item in self._small.items() if start <= item[0] < stop)
            records = list(self._places.keys(start, stop))
        yield from small
        whole: tuple[int, bytes] = 0, b""  # a segment's number and file: most are followed by one of the same
        for key in records:
            with self._mutex:
                place = self._places.find(key)
                path = None if place is None else self._paths.get(place.segment)
            if place is None or path is None:
                value = self.get(key, verify_checksums=verify_checksums)
                if value is not None:
                    yield key, value
                continue
            if whole[0] != place.segment:
                whole = place.segment, self._files.read(path)
            stop_at = place.offset + stored_size(place.offset, place.size)
            yield key, self._value(path, whole[1][place.offset : stop_at], place)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._worker.close()
        if self._next is not None:
            self._next[1].close()
        for number in sorted(self._open):
            self._open.pop(number).close()
            with suppress(OSError):
                cut_off_ahead(self._files, self._path / name_of(number))

    # --- writing

    def commit(self, writes: Sequence[Write], forgotten: Sequence[bytes]) -> None:
        """Writes them as one synced batch. After any failure nothing is written any more, and each call raises it;
        ``RuntimeError`` once the row is closed."""
        with self._writing:
            if self._closed:
                raise RuntimeError("Database is closed")
            if self._trouble is not None:
                raise self._trouble
            try:
                self._commit(writes, forgotten)
            except BaseException as error:
                self._trouble = error
                raise

    def _commit(self, writes: Sequence[Write], forgotten: Sequence[bytes]) -> None:
        size = size_of(writes)
        if size > LARGEST_SEGMENT:
            raise StorageFailed(f"{size} bytes are to be written as one batch, and no segment holds them")
        if self._newest.is_opened and self._newest.held + size > self._newest.limit:
            self._change(size)
        with self._mutex:  # for readers they are gone at once, as they were for the caller
            for key in (*forgotten, *(key for key, value in writes if value is None)):
                if is_record(key):
                    self._places.remove(key)
        carried = self._carried(size)
        lowest = self._lowest_needed(carried)
        newest, following = self._newest, self._next
        opening = [] if newest.is_opened else list(self._small.items())
        own: list[Write] = []
        if not newest.is_opened or lowest != self._lowest:
            own.append((LOWEST_KEY, pack_number(LOWEST_KEY, lowest)))
        if not newest.is_named and following is not None:
            own.append((SUCCESSOR_KEY, pack_number(SUCCESSOR_KEY, following[0].number)))
        batch = newest.database.write_batch(sync=True)
        for key, value in (*own, *opening, *carried, *writes):
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.write()
        newest.held += size + size_of(own) + size_of(opening) + size_of(carried)
        newest.is_named = newest.is_named or following is not None
        self._sizes[newest.number] = newest.held
        self._written(carried)
        self._written(writes)
        if not newest.is_opened:
            newest.is_opened = True
            newest.limit = max(newest.limit, 4 * size_of(opening))
            unused, self._unused = self._unused, []
            self._later(lambda: self._remove(unused))
            self._later(self._make_next)
        if lowest != self._lowest:
            self._lowest = lowest
            gone = [number for number in self._sizes if number < lowest]
            for number in gone:
                del self._sizes[number]
            self._later(lambda: self._remove(gone))

    def _written(self, writes: Sequence[Write]) -> None:
        """Takes note of what is durable."""
        with self._mutex:
            for key, value in writes:
                if not is_record(key):
                    if value is None:
                        self._small.pop(key, None)
                    else:
                        self._small[key] = value
                elif value is None:
                    self._places.remove(key)
                else:
                    self._places.put(key, Place(self._newest.number, UNREAD, len(value)))

    # --- changing segments

    def _begin(self, header: Header, database: Database) -> None:
        """The next batch opens this segment."""
        with self._mutex:
            self._open[header.number] = database
        self._newest = _Newest(header.number, database, self._segment_size)

    def _change(self, size: int) -> None:
        """Goes on to the next segment, if that is ready."""
        with self._mutex:
            following, self._next = self._next, None
        if following is None:
            if self._newest.held + size > LARGEST_SEGMENT:
                raise StorageFailed(
                    f"no segment follows {name_of(self._newest.number)} in {self._path}, and it is full"
                )
            return
        header, database = following
        if not self._newest.is_named:
            self._newest.database.put(SUCCESSOR_KEY, pack_number(SUCCESSOR_KEY, header.number), sync=True)
        old = self._newest.number
        self._begin(header, database)
        self._later(lambda: self._close_segment(old))
        if not self._moving:
            self._choose()

    def _later(self, job: Callable[[], None]) -> None:
        try:
            self._worker.put(job)
        except RuntimeError:  # no room for a thread
            self._work([job])

    def _work(self, jobs: list[Callable[[], None]]) -> bool:
        """Beside the writes. What fails here fails the next write."""
        for job in jobs:
            if self._trouble is None:
                try:
                    job()
                except BaseException as error:
                    self._trouble = error
        return True

    def _make_next(self) -> None:
        header = Header(self._row_id, self._newest.number + 1, self._newest.number)
        database = make(self._files, self._engine, self._path, header, self._segment_size + BEYOND)
        with self._mutex:
            self._next = header, database

    def _close_segment(self, number: int) -> None:
        """LevelDB lets go of a segment; from now on it is read here, and was once already."""
        found = SegmentFile(self._files, self._path, number, self._row_id)
        settled = [write for batch in found.batches() for write in batch if is_record(write[0])]
        if found.header is None or not found.is_whole:
            raise found.damaged("what was written to it is not there any more")
        cut_off(self._files, found.path, found.end)
        with self._mutex:
            for key, offset, size in settled:
                place = self._places.find(key)
                if place is not None and place.segment == number and size != DELETED:
                    self._places.put(key, Place(number, offset, size))
            self._paths[number] = found.path
            database = self._open.pop(number)
        database.close()

    def _remove(self, numbers: Sequence[int]) -> None:
        """Oldest first, and only below what is durable as the lowest one needed."""
        for number in sorted(numbers):
            directory = self._path / name_of(number)
            if self._files.is_directory(directory):
                self._files.remove_tree(directory)
            with self._mutex:
                self._paths.pop(number, None)
        if numbers:
            self._files.sync_directory(self._path)

    # --- what is still needed of old segments

    def _lowest_needed(self, carried: Sequence[Write]) -> int:
        """The oldest segment of which anything is needed once the ``carried`` records are in the newest."""
        leaving = sum(len(value or b"") for _, value in carried)
        for number in sorted(self._sizes):
            live = self._places.live[number] - (leaving if number == self._moving_from else 0)
            if live > 0 or number == self._newest.number:
                return number
        return self._newest.number

    def _carried(self, size: int) -> list[Write]:
        """Records of the oldest segment that go along to the newest, where too much of what is kept is needed no more.

        So space is bounded, and a group that writes nothing keeps no segment for ever.
        """
        carried: list[Write] = []
        room = max(size, MOVED_AT_ONCE)
        while self._moving and room > 0:
            key = self._moving.popleft()
            place = self._places.find(key)
            if place is not None and place.segment == self._moving_from:
                value = self.get(key, verify_checksums=True)
                assert value is not None
                carried.append((key, value))
                room -= len(value)
        return carried

    def _choose(self) -> None:
        """Has the oldest segment emptied where dead bytes are more than those needed, and worth it."""
        oldest = min(self._sizes, default=self._newest.number)
        closed = [number for number in self._sizes if number in self._paths]
        if oldest not in self._paths or len(closed) < 4:
            return
        whole = sum(self._sizes[number] for number in closed)
        needed = sum(self._places.live[number] for number in closed)
        if whole > 2 * needed and self._places.live[oldest] > 0:
            found = SegmentFile(self._files, self._path, oldest, self._row_id)
            self._moving_from = oldest
            self._moving = deque({key: None for batch in found.batches() for key, _, _ in batch if is_record(key)})

    # --- opening

    def _load(self, create: bool) -> list[int]:
        """Reads all segments that are needed, checks that none is missing, and tells which have no part in it."""
        files, path = self._files, self._path
        numbers = segments(files, path)
        newest = self._find_newest(numbers)
        if newest is None:
            if not create:
                raise StorageDamaged("no segment of it is there", str(path))
            return numbers
        self._row_id = newest.header.row if newest.header is not None else 0
        lowest, successor = self._marks(newest)
        if successor and successor > newest.number:
            following = SegmentFile(files, path, successor, self._row_id)
            if following.header is None:
                raise following.damaged("it is missing, or empty, and may have been in use")
        newest.write_last_batch_again()  # on which the opening of the next segment will rest
        previous = 0
        in_use: list[int] = []
        for number in numbers:
            if not lowest <= number <= newest.number:
                continue
            found = SegmentFile(files, path, number, self._row_id)
            if not self._apply(found):
                continue
            assert found.header is not None
            if previous and found.header.previous != previous:
                raise StorageDamaged("it is missing", str(path / name_of(found.header.previous)))
            if not previous and number != lowest:
                raise StorageDamaged("it is missing", str(path / name_of(lowest)))
            if not found.is_whole:
                raise found.damaged(f"its last batch, at byte {found.end}, is not there whole")
            previous = number
            in_use.append(number)
            self._paths[number] = found.path
            self._sizes[number] = found.end
        self._used, self._lowest = newest.number, lowest
        return [number for number in numbers if number not in in_use]

    def _find_newest(self, numbers: Sequence[int]) -> SegmentFile | None:
        """The newest segment that is in use."""
        for number in reversed(numbers):
            found = SegmentFile(self._files, self._path, number)
            if found.header is not None and any(True for _ in found.batches()):
                return SegmentFile(self._files, self._path, number)
        return None

    def _marks(self, found: SegmentFile) -> tuple[int, int]:
        """The lowest segment that is needed, and the successor that is named (0: none), by the newest segment."""
        marks = {LOWEST_KEY: 0, SUCCESSOR_KEY: 0}
        for batch in found.batches():
            for key, offset, size in batch:
                if key in marks:
                    marks[key] = found.number_in(key, offset, size)
        if not 0 < marks[LOWEST_KEY] <= found.number:
            raise found.damaged("it does not say which segments are needed")
        return marks[LOWEST_KEY], marks[SUCCESSOR_KEY]

    def _apply(self, found: SegmentFile) -> bool:
        """Takes note of what a segment holds; False where it was never in use."""
        in_use = False
        for batch in found.batches() if found.header is not None else ():
            in_use = True
            for key, offset, size in batch:
                if key in OWN_KEYS:
                    continue
                if is_record(key):
                    if size == DELETED:
                        self._places.remove(key)
                    else:
                        self._places.put(key, Place(found.number, offset, size))
                elif size == DELETED:
                    self._small.pop(key, None)
                else:
                    self._small[key] = found.value(offset, size)
        return in_use

    def _value(self, path: PurePath, stored: bytes, place: Place) -> bytes:
        if len(stored) != stored_size(place.offset, place.size):
            raise StorageDamaged(f"it ends before byte {place.offset + place.size}", str(path))
        return value_in(stored, place.offset, place.size)
