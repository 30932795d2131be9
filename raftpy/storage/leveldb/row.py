"""A row of LevelDB databases that looks like one and writes each record once: segments, of which the newest is written.

A segment is changed for the next one before a write would make it larger than ``segment_size``, so LevelDB never turns
its memory into a table. What is small and may be needed for ever (all but the records of the logs) is kept in memory,
and written again with the first batch of each segment; the records of the logs stay where they are, and a segment goes
when none of them is needed any more::

    0000000000000004   [header][L=4, E, small, records][records]...[N=5][records]  closed: read here, not by LevelDB
    0000000000000005   [header][L=4, E, small, records][records]...[N=6]           written
    0000000000000006   [header]                                                    made beforehand

What is durable when, so that a crash at any moment leaves either all of it or what a start can tell from a loss:

1. A segment has its header, and its names are synced, before another one names it as its successor.
2. Its successor is named, synced, before the first batch of the successor is written: so a newest segment that is
   missing, or has lost its header, is missed. It is named with an ordinary batch, and costs no sync of its own.
3. The first batch of a segment is its opening, and holds all that older segments are not asked for any more. It says
   where the batches of the segment before it end (``E``), to which nothing is written from then on: so one that has
   lost whole batches at its end is noticed.
4. Older segments go oldest first, once the number of the lowest one needed is durable in the newest.
5. A start never goes on writing a segment; it begins the next one. Before that it cuts off what a crash has left of a
   batch, and makes the last whole batch durable, which may not have been acknowledged.

``get`` may be called from one thread and ``commit`` from another. What costs time beside a write (the next segment,
closing the one before, removing directories) is done by a worker; a segment that is not ready makes nobody wait: the
one before grows meanwhile. So it does where the next one cannot be made (no room, no descriptors): that is tried again
as it grows, and ends nothing before it is full. Where a record lies follows from LevelDB's format when it is written
(``Framing``), so nothing is read back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import PurePath

from raftpy.contracts.database import DatabaseEngine
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.executor import Executor
from raftpy.contracts.files import Files, is_passing
from raftpy.storage.identity import new_store_id
from raftpy.storage.leveldb.emptying import Emptying, read_piece, value_of
from raftpy.storage.leveldb.loading import Loader
from raftpy.storage.leveldb.many import Many
from raftpy.storage.leveldb.places import SeenRecord, is_record
from raftpy.storage.leveldb.sealing import Sealed
from raftpy.storage.leveldb.segment import (
    END_BEFORE_KEY,
    LOWEST_KEY,
    SUCCESSOR_KEY,
    UNFLUSHED,
    Header,
    Made,
    Write,
    make,
    name_of,
    pack_number,
)
from raftpy.storage.leveldb.wal import REREAD, cut_off_room, damage_in
from raftpy.storage.leveldb.wal_batches import stored_size

SEGMENT_SIZE = 16 << 20
"""Bytes; larger ones cost more memory and processor time, smaller ones more changes (docs/performance.md)."""
ENTRY_OVERHEAD = 128
"""More than a write takes in the write-ahead file, beside its key and value."""
LARGEST_SEGMENT = UNFLUSHED // 2
"""Bytes up to which a segment may grow while the next one is not ready. LevelDB could have it in memory whole, if it
were to open it: it takes blocks of 4,096 bytes, and leaves up to a fifth of them unused."""
BEYOND = 256 << 10
"""Bytes set aside in a segment's file beyond its size, for what stands around its last batch; at most as many again."""
TRIES_IN_A_SEGMENT = 16
"""Where the next segment cannot be made, this is tried again whenever so large a part of one has been written."""
REMOVED_AT_ONCE = 4
"""How many segments are removed before the worker looks whether anything else is to be done: a large file takes a while
to remove, and a compaction may free thousands."""


def room_of(segment_size: int) -> int:
    """How many bytes are set aside for a segment of this size."""
    return segment_size + min(segment_size, BEYOND)


def size_of(writes: Sequence[Write]) -> int:
    """At least what they take in the write-ahead file, in bytes."""
    return sum(len(key) + len(value or b"") + ENTRY_OVERHEAD for key, value in writes)


class RowBatch:
    """A ``Batch`` of a :class:`SegmentRow`, always synced."""

    def __init__(self, row: SegmentRow) -> None:
        self._row = row
        self._writes: list[Write] = []
        self._bounds: list[bytes] = []

    def put(self, key: bytes, value: bytes | Sealed) -> None:
        """``Sealed``: of a record of a log."""
        self._writes.append((key, value))

    def delete(self, key: bytes) -> None:
        self._writes.append((key, None))

    def forget_before(self, key: bytes) -> None:
        """Of the log of the record under ``key``, what comes before that is needed no more once the batch is written.

        Nothing is written of it, and a later opening may find those records again.
        """
        self._bounds.append(key)

    def write(self) -> None:
        self._row.commit(self._writes, self._bounds)

    def clear(self) -> None:
        self._writes.clear()
        self._bounds.clear()


class _Newest:
    """The segment that is written. ``limit``: bytes at which it is changed for the next one; ``held``: those it has;
    ``end_before``: at which byte the batches of the one before it end (0: there was none)."""

    __slots__ = ("end_before", "held", "is_named", "is_opened", "limit", "made", "number")

    def __init__(self, made: Made, limit: int, end_before: int) -> None:
        self.end_before = end_before
        self.number = made.header.number
        self.made = made
        self.limit = limit
        self.held = 0
        self.is_opened = False  # its first batch is written
        self.is_named = False  # its successor is


class SegmentRow:
    """A ``Database`` in the directory ``path``, which is there. ``create``: whether there may be no segment yet.

    ``given_up`` is not empty any more once the opening is to end, with ``StorageFailed``. Raises what the engine and
    ``files`` raise, ``StorageDamaged``, and ``StorageFailed`` for another release's row.
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
        given_up: Sequence[object] = (),
    ) -> None:
        self._path = path
        self._files = files
        self._engine = engine
        self._segment_size = segment_size
        self._mutex = executor.lock()  # over what a reader sees, and what the worker hands over
        self._writing = executor.lock()  # held while a batch is written
        self._worker = executor.background().worker("raftpy segments", self._work)
        self._next: Made | None = None
        self._not_made: StorageFailed | None = None  # why there is none
        self._not_closed: list[_Newest] = []  # what could not be closed for want of descriptors or memory
        self._make_at = 0  # when the newest has so many bytes, making the next one is tried again; 0: it is under way
        self._trouble: Exception | None = None  # what the worker has failed of, or a write
        self._closed = False
        self.appended = 0
        """Bytes that ``commit`` has written to segments."""
        loaded = Loader(files, path, executor, given_up).load(create)
        self._small = loaded.small
        self._places = loaded.places
        self._emptying = Emptying(files, loaded.places)
        self._open: dict[int, Made] = {}  # those that are not closed, by number
        self._paths = loaded.files  # the files of the others that are in use
        self._sizes = loaded.sizes  # of all that are in use or were
        self._ends = dict(loaded.sizes)  # where the records end in these files
        self._lowest = loaded.lowest  # the oldest one needed, as it was last written
        self._unused = loaded.unused  # to be removed once the new segment is in use
        self._doomed: deque[int] = deque()  # to be removed, in this order
        self._kept: dict[int, StorageFailed] = {}  # by segment: why it could not be removed
        self.many = Many(files, loaded.places, loaded.files, self._mutex)
        """Reads many records at once; may be asked as ``get`` may."""
        self._row_id = loaded.row_id or new_store_id(entropy)
        number = max([*loaded.unused, loaded.used, 0]) + 1
        self._found = loaded.newest
        self._first: Header | None = Header(self._row_id, number, loaded.used)  # made with the first batch
        self._newest: _Newest
        self._choose()

    # --- Database

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None:
        """See ``Database.get``; ``StorageDamaged`` where the file of its segment is missing, or too short, and
        ``RuntimeError`` once the row is closed."""
        while True:
            with self._mutex:
                if not is_record(key):
                    return self._small.get(key)
                place = self._places.find(key)
                if place is None:
                    return None
                made = self._open.get(place.segment)
                if made is None and place.segment not in self._paths:
                    raise RuntimeError("Database is closed")
                path = self._paths[place.segment] if made is None else made.path
            size = stored_size(place.offset, place.size)
            try:  # not with the mutex, which the loop takes: a disk may take long
                stored = read_piece(self._files, path, size, place.offset)
            except OSError as error:
                if made is not None and is_passing(error):
                    with self._mutex:
                        if self._open.get(place.segment) is made:  # it has a descriptor, and is not closed meanwhile
                            return value_of(path, made.read(size, place.offset), place)
                    continue
                if not isinstance(error, FileNotFoundError):
                    raise
                with self._mutex:
                    if self._places.find(key) == place:
                        raise StorageDamaged("it is missing", str(path)) from error
                continue  # the record has gone along to the newest segment meanwhile, or is needed no more
            return value_of(path, stored, place)

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
            yield key, value_of(path, whole[1][place.offset : stop_at], place)

    def seen(self, group: int) -> Iterator[SeenRecord]:
        """What the opening has read of each record of a group's log, ascending; until ``started``."""
        return self._places.seen(group)

    def started(self) -> None:
        """Nobody asks ``seen`` any more: lets go of it."""
        self._places.started()

    def make_durable(self) -> None:
        """Makes durable what the opening has read, once it is known that this is the right row; the first batch does it
        otherwise. Raises ``OSError``."""
        if self._found is not None:
            self._found.write_last_batch_again()
            self._found = None

    def reread(self) -> Iterator[tuple[int, StorageDamaged | None]]:
        """Reads back the segments that are closed, oldest first, a MiB at a time: how many bytes, and what is wrong.

        A step may be made in any thread, beside all others. Raises ``OSError``.
        """
        with self._mutex:
            numbers = sorted(self._paths)
        for number in numbers:
            offset = 0
            while True:
                with self._mutex:
                    path, size = self._paths.get(number), self._ends.get(number, 0)
                    needed = number in self._sizes  # else it may be under way to be removed
                if path is None or not needed or offset >= size:
                    break  # needed no more, or read to its end
                try:
                    piece = read_piece(self._files, path, min(REREAD, size - offset), offset)
                except FileNotFoundError:
                    with self._mutex:
                        needed = number in self._sizes
                    if needed:
                        yield 0, StorageDamaged("it is missing", str(path))
                    break
                damage = damage_in(piece, offset, size)
                yield len(piece), None if damage is None else StorageDamaged(damage, str(path))
                offset += REREAD

    def damage(self) -> list[StorageFailed]:
        """What was found damaged or unreadable in passing, and has ended nothing: such a segment is not emptied. And
        what is needed no more and could not be removed, and why the next segment is not there yet."""
        not_made = self._not_made
        return [*self._emptying.damage(), *self._kept.values(), *(() if not_made is None else (not_made,))]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._worker.close()
        with self._writing, self._mutex:  # nobody writes or reads what is closed
            for made in self._take_open():
                made.close()
                if self._trouble is None:
                    with suppress(OSError, StorageFailed):  # it is only for the room that is set aside
                        cut_off_room(self._files, made.path, made.end)

    def leave(self) -> None:
        """This is a forked child, in which no thread goes on and a lock may be held for ever: what is under way here
        fails, and whatever comes, and the files stay with the parent."""
        self._trouble = StorageFailed(f"{self._path} was opened by the process that forked this one")
        for made in self._take_open():
            made.close()

    def _take_open(self) -> list[Made]:
        taken = [*self._open.values(), *(() if self._next is None else (self._next,))]
        self._open, self._next = {}, None
        return taken

    # --- writing

    def commit(self, writes: Sequence[Write], bounds: Sequence[bytes]) -> None:
        """Writes them as one synced batch. After any failure nothing is written any more, and each call raises it;
        ``RuntimeError`` once the row is closed."""
        with self._writing:
            if self._closed:
                raise RuntimeError("Database is closed")
            if self._trouble is not None:
                raise self._trouble
            try:
                self._commit(writes, bounds)
            except Exception as error:
                self._trouble = error
                raise
            except BaseException:
                self._trouble = self._cut_short()
                raise

    def _commit(self, writes: Sequence[Write], bounds: Sequence[bytes]) -> None:
        size = size_of(writes)
        if size > LARGEST_SEGMENT:
            raise StorageFailed(f"{size} bytes are to be written as one batch, and no segment holds them")
        if self._first is not None:
            header, self._first = self._first, None
            self.make_durable()
            self._begin(self._make(header), self._ends.get(header.previous, 0))
        if self._make_at and self._newest.held >= self._make_at:
            self._make_at = 0
            self._later(self._make_next)
        if self._newest.is_opened and self._newest.held + size > self._newest.limit:
            self._change(size)
        self._take_away(writes, bounds)
        newest, following = self._newest, self._next
        carried = self._carried(size, len(writes)) if self._emptying.is_under_way else []
        lowest = self._lowest_needed(carried) if bounds or carried or not newest.is_opened else self._lowest
        whole: list[Write] = []
        if not newest.is_opened or lowest != self._lowest:
            whole.append((LOWEST_KEY, pack_number(LOWEST_KEY, lowest)))
        if not newest.is_opened:
            whole.append((END_BEFORE_KEY, pack_number(END_BEFORE_KEY, newest.end_before)))
        if not newest.is_named and following is not None:
            whole.append((SUCCESSOR_KEY, pack_number(SUCCESSOR_KEY, following.header.number)))
        if not newest.is_opened:
            whole += self._small.items()
            newest.limit = max(newest.limit, 4 * size_of(whole))
        size += size_of(whole) + size_of(carried)
        begin = len(whole)
        whole += carried
        whole += writes
        end = newest.made.end
        offsets = newest.made.write(whole)
        self.appended += newest.made.end - end
        newest.held += size
        newest.is_named = newest.is_named or following is not None
        self._written(whole[begin:], offsets[begin:])
        if not newest.is_opened:
            newest.is_opened = True
            unused, self._unused = self._unused, []
            self._later(self._make_next)  # which a write may soon ask for
            self._remove_later(unused)
        if lowest != self._lowest or self._emptying.is_under_way:
            self._settle(lowest)

    def _settle(self, lowest: int) -> None:
        """It is durable that ``lowest`` is the oldest segment needed."""
        gone = [number for number in self._sizes if number < lowest]
        self._lowest = lowest
        with self._mutex:
            self._emptying.settle(lowest)
            for number in gone:
                del self._sizes[number]
                self._places.live.pop(number, None)
        self._remove_later(gone)

    def _take_away(self, writes: Sequence[Write], bounds: Sequence[bytes]) -> None:
        """For readers what a batch takes away is gone at once, as it was for the caller."""
        gone = [key for key, value in writes if value is None]
        if gone or bounds:
            with self._mutex:
                for key in bounds:
                    self._places.forget_before(key)
                for key in gone:
                    self._places.remove(key)

    def _written(self, writes: Sequence[Write], offsets: Sequence[int]) -> None:
        """Takes note of what is durable, and where it lies."""
        number = self._newest.number
        with self._mutex:
            self._sizes[number] = self._newest.held
            for (key, value), offset in zip(writes, offsets, strict=True):
                if not is_record(key):
                    if value is None:
                        self._small.pop(key, None)
                    else:
                        assert isinstance(value, bytes), "only records of a log are sealed late"
                        self._small[key] = value
                elif value is None:
                    self._places.remove(key)
                else:
                    self._places.put(key, number, offset, len(value))

    # --- changing segments

    def _begin(self, made: Made, end_before: int) -> None:
        """The next batch opens this segment; the one before it ends at byte ``end_before``."""
        with self._mutex:
            self._open[made.header.number] = made
        self._newest = _Newest(made, self._segment_size, end_before)

    def _change(self, size: int) -> None:
        """Goes on to the next segment, if that is ready."""
        with self._mutex:
            following = self._next
        if following is None:
            if self._newest.held + size > LARGEST_SEGMENT:
                why = "" if self._not_made is None else f": {self._not_made}"
                raise StorageFailed(
                    f"no segment follows {name_of(self._newest.number)} in {self._path}, and it is full{why}"
                ) from self._not_made
            return
        old = self._newest
        if not old.is_named:
            number = following.header.number
            old.made.write([(SUCCESSOR_KEY, pack_number(SUCCESSOR_KEY, number))])
        self._next = None  # not before: where its naming fails, closing it is left to ``close``
        self._begin(following, old.made.end)
        self._later(lambda: self._close_segments(old))
        self._later(self._choose)

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
                except Exception as error:
                    self._trouble = error
                except BaseException:
                    self._trouble = self._cut_short()
                    raise
        return True

    def _cut_short(self) -> StorageFailed:
        return StorageFailed(f"something that was done to {self._path} was cut short")

    def _make_next(self) -> None:
        """Where that fails nothing is lost: a later attempt begins by removing what is left of this one."""
        if self._closed:
            return
        newest = self._newest
        number = newest.number + 1
        try:
            made = self._make(Header(self._row_id, number, newest.number))
        except (self._engine.Error, OSError) as error:
            text = self._engine.text(error)
            self._not_made = failed = StorageFailed(f"making segment {self._path / name_of(number)} failed: {text}")
            failed.__cause__ = error
            self._make_at = newest.held + max(1, self._segment_size // TRIES_IN_A_SEGMENT)
            return
        self._not_made = None
        with self._mutex:
            self._next = made

    def _make(self, header: Header) -> Made:
        if self._trouble is not None:
            raise self._trouble
        return make(self._files, self._engine, self._path, header, room_of(self._segment_size))

    def _close_segments(self, old: _Newest) -> None:
        """Closes this one, and what could not be closed before. What the system lacks descriptors or memory for stays
        open, and can be read, until the next one is closed, or the row."""
        self._not_closed.append(old)
        waited = len(self._not_closed) > 1
        while self._not_closed:
            try:
                self._close_segment(self._not_closed[0])
            except OSError as error:
                if not is_passing(error):
                    raise
                return
            del self._not_closed[0]
        if waited:
            self._later(self._remove)  # which may have waited, too

    def _close_segment(self, old: _Newest) -> None:
        """Nothing is written to it any more, and what is set aside behind its records is cut off."""
        made = old.made
        cut_off_room(self._files, made.path, made.end)
        with self._mutex:
            self._paths[old.number], self._ends[old.number] = made.path, made.end
            del self._open[old.number]
        made.close()

    def _remove_later(self, numbers: Sequence[int]) -> None:
        """Oldest first, and only below what is durable as the lowest one needed."""
        if numbers:
            self._doomed.extend(sorted(numbers))
            self._later(self._remove)

    def _remove(self) -> None:
        """A few at a time, behind whatever else was put meanwhile. What is left when the row is closed, the next start
        removes."""
        while self._doomed and not self._closed:
            numbers: list[int] = []
            while self._doomed and len(numbers) < REMOVED_AT_ONCE and self._doomed[0] not in self._open:
                numbers.append(self._doomed.popleft())
            if not numbers:
                return  # it is to be closed first: that was put already, and behind it this again
            self._remove_some(numbers)
            if self._doomed:
                with suppress(RuntimeError):  # no room for a thread: here and now
                    self._worker.put(self._remove)
                    return

    def _remove_some(self, numbers: Sequence[int]) -> None:
        """What cannot be removed is left for the next start: nothing reads it, and it only takes room."""
        for number in numbers:
            directory = self._path / name_of(number)
            try:
                if self._files.is_directory(directory):
                    self._files.remove_tree(directory)
            except OSError as error:
                self._kept[number] = StorageFailed(f"removing {directory} failed: {error}")
            with self._mutex:
                self._paths.pop(number, None)
                self._ends.pop(number, None)
        with suppress(OSError):  # else the next start removes them
            self._files.sync_directory(self._path)

    # --- what is still needed of old segments

    def _lowest_needed(self, carried: Sequence[Write]) -> int:
        """The oldest segment of which anything is needed once the ``carried`` records are in the newest."""
        leaving = sum(len(value or b"") for _, value in carried)
        for number in sorted(self._sizes):
            live = self._places.live.get(number, 0) - (leaving if number == self._emptying.source else 0)
            if live > 0 or number == self._newest.number:
                return number
        return self._newest.number

    def _carried(self, size: int, count: int) -> list[Write]:
        """Records of the oldest segment that go along to the newest with a batch of ``count`` writes that takes
        ``size`` bytes."""
        with self._mutex:
            if not self._emptying.begin():
                return []
            path = self._paths[self._emptying.source]  # it is closed, and above the lowest
        return self._emptying.carry(path, size, count, is_first=not self._newest.is_opened)

    def _choose(self) -> None:
        with self._mutex:
            self._emptying.choose(self._sizes, self._paths, self._segment_size)
