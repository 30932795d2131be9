"""One segment of a row: a LevelDB database of its own that is written until it is full, and then only read.

LevelDB makes it, with its header, and lets go of it. Batches are added to its one write-ahead file as LevelDB would add
them (wal_framing.pyx). LevelDB could open it at any time, and never does, so all that was written to it stands in that
file, once. Beside the records of the store it has four of its own, under keys that no other record has:

=== ================ ==================================================================================
\\0S header           u32 format, u64 id of the row, u64 number of the segment, u64 number of the one before
\\0N successor        u64 number of the segment that may be in use from here on
\\0L lowest           u64 number of the oldest segment that is needed; in the first batch of what it is used for
\\0E end before       u64 bytes at which the batches of the segment before it end, 0: there was none; in the first batch
=== ================ ==================================================================================

The header is a batch of its own, written and synced when the segment is made. A segment with nothing but a header is
not in use; the batch behind it opens it (raftpy/storage/leveldb/row.py).
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from struct import Struct

from raftpy.contracts.database import DatabaseEngine
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.files import File, Files
from raftpy.storage.leveldb.places import Places
from raftpy.storage.leveldb.reading import read_batches
from raftpy.storage.leveldb.sealing import Sealed, seal, unseal
from raftpy.storage.leveldb.wal import set_aside, write_ahead_files
from raftpy.storage.leveldb.wal_batches import Batches, MalformedBatch
from raftpy.storage.leveldb.wal_framing import Framing
from raftpy.storage.leveldb.wal_records import BLOCK, HEADER, TORN, WHOLE, survey, whole_until

ROW_FORMAT = 1
PIECE = 1 << 20
"""Bytes of a segment's file that are read at a time."""
LARGEST_BUFFER = 64 << 20
"""Bytes of memory that are kept for the next segment that is read; one batch may be many times as large."""
UNFLUSHED = 1 << 30
"""The largest write buffer that LevelDB takes, in bytes: nothing is ever flushed."""
HEADER_KEY = b"\0S"
SUCCESSOR_KEY = b"\0N"
LOWEST_KEY = b"\0L"
END_BEFORE_KEY = b"\0E"

Write = tuple[bytes, bytes | Sealed | None]
"""Key and value; None: what is under the key goes."""

_HEADER = Struct("<IQQQ")
_NUMBER_DIGITS = 16


def name_of(number: int) -> str:
    """The name of a segment's directory."""
    return f"{number:0{_NUMBER_DIGITS}}"


def segments(files: Files, row: PurePath) -> list[int]:
    """The numbers of the segments that have a directory, ascending."""
    names = files.names(row) if files.is_directory(row) else []
    return sorted(int(name) for name in names if len(name) == _NUMBER_DIGITS and name.isdigit())


def pack_number(key: bytes, number: int) -> bytes:
    """The value of a record of the row that is a number."""
    return seal(key, number.to_bytes(8, "little"))


def unpack_number(key: bytes, value: bytes) -> int | None:
    """The number in such a value; None where it is none."""
    body = unseal(key, value)
    return int.from_bytes(body, "little") if body is not None and len(body) == 8 else None


@dataclass(frozen=True, slots=True)
class Header:
    """Whose segment it is: the id of its ``row``, its own ``number``, and the number of the one that was in use when it
    was made (``previous``, 0: none)."""

    row: int
    number: int
    previous: int

    def pack(self) -> bytes:
        """The record's value."""
        return seal(HEADER_KEY, _HEADER.pack(ROW_FORMAT, self.row, self.number, self.previous))

    @classmethod
    def unpack(cls, value: bytes) -> Header | None:
        """The header in a record's value; None where it is none of this format."""
        body = unseal(HEADER_KEY, value)
        if body is None or len(body) != _HEADER.size:
            return None
        version, *numbers = _HEADER.unpack(body)
        return cls(*numbers) if version == ROW_FORMAT else None


def _behind_the_header() -> Framing:
    framing = Framing()
    framing.frame([(HEADER_KEY, Header(0, 0, 0).pack())])
    return framing


class Made:
    """A segment that can be written: its ``header``, and the ``path`` of the ``file`` that counts, which is open.

    ``lock`` has LevelDB's lock, so that no other process that goes by it opens the segment meanwhile: it is one of the
    process, and closing any handle of that file lets go of it. ``close`` closes both.
    """

    __slots__ = ("_file", "_framing", "_lock", "header", "path")

    def __init__(self, header: Header, path: PurePath, file: File, lock: File) -> None:
        self.header = header
        self.path = path
        self._file = file
        self._lock = lock
        self._framing = _behind_the_header()

    @property
    def end(self) -> int:
        """Where its records end in the file, in bytes."""
        return self._framing.end

    def write(self, writes: list[Write]) -> list[int]:
        """Adds one batch, durably; where its values lie, as ``Framing.frame`` has it. Nothing may be written once that
        has failed. Raises ``OSError``."""
        begin = self._framing.end
        data, offsets = self._framing.frame(writes)
        self._file.write_durably(data, begin)
        return offsets

    def read(self, size: int, offset: int) -> bytes:
        """``File.read_at``; nobody may close it meanwhile."""
        return self._file.read_at(size, offset)

    def close(self) -> None:
        """Lets go of the file, and of the lock. What was written is durable, so it matters to nobody if that fails."""
        for file in (self._file, self._lock):
            with suppress(OSError):
                file.close()


HEADER_END = _behind_the_header().end
"""Where the header ends in a segment's write-ahead file, in bytes."""


def make(files: Files, engine: DatabaseEngine, row: PurePath, header: Header, size: int) -> Made:
    """A new segment with nothing but its header, durable, with room for ``size`` bytes set aside.

    What is left of one with this number that was never finished is removed. Raises the engine's ``Error``, ``OSError``.
    """
    directory = row / name_of(header.number)
    if files.is_directory(directory):
        files.remove_tree(directory)
    database = engine.open(directory, create=True, write_buffer_size=UNFLUSHED)
    try:
        (path,) = write_ahead_files(files, directory)
        set_aside(files, path, size)
        database.put(HEADER_KEY, header.pack(), sync=True)
    finally:
        database.close()
    files.sync_directory(directory)
    files.sync_directory(row)
    lock = files.open(directory / "LOCK", "share")
    try:
        if not lock.lock_for_process():
            raise BlockingIOError(errno.EAGAIN, "another process has it open", str(directory))
        return Made(header, path, files.open(path, "change"), lock)
    except BaseException:
        lock.close()
        raise


def holds_no_batch(files: Files, row: PurePath, number: int) -> bool:
    """Whether there is nothing but zeros behind the place of a segment's header, whatever stands there: then it was not
    in use, or nothing is left of what it was used for. Raises ``OSError``."""
    found = write_ahead_files(files, row / name_of(number))
    return not any(files.read(path)[HEADER_END:].strip(b"\0") for path in found)


class SegmentFile:
    """What a segment's write-ahead file holds, read without LevelDB while nobody writes it, once.

    ``header`` is None where not even that is there whole: the segment was not finished. ``buffers``: where what is read
    finds its place, and gives it back to when it is let go of. Raises ``StorageDamaged`` for what no crash leaves,
    ``OSError``.
    """

    def __init__(self, files: Files, row: PurePath, number: int, buffers: list[bytearray] | None = None) -> None:
        self._files = files
        self.number = number
        self.directory = row / name_of(number)
        self.header: Header | None = None
        self.data: bytes | memoryview = b""
        self._buffers = [] if buffers is None else buffers
        self._row = row
        self._end = 0
        self._torn = False
        self._last_batch = 0  # where it begins
        self._buffer: bytearray | None = None
        found = write_ahead_files(files, self.directory)
        if len(found) > 1:
            raise self.damaged("it has more than one write-ahead file")
        if not found:
            return
        self.path = found[0]
        verdict, self._end = self._read()
        if verdict not in (WHOLE, TORN):
            raise StorageDamaged(f"the record at byte {self._end} is not what was written", str(self.path))
        self._torn = verdict == TORN
        self._batches = self._from_the_first()
        first = self._next()
        if first is not None:
            self.header = self._read_header(first)

    def _read(self) -> tuple[str, int]:
        """Reads the file, each piece with its records' checksums while the processor has it at hand; see ``survey``."""
        file = self._files.open(self.path, "read")
        try:
            size = file.size()
            with suppress(IndexError):  # another thread may have had the last one
                self._buffer = self._buffers.pop()
            if self._buffer is None or len(self._buffer) < size:
                self._buffer = bytearray(size + -size % PIECE)  # so that it has room for the others as well
            view, read, whole = memoryview(self._buffer), 0, 0
            while read < size:
                count = file.read_into(view[read : min(read + PIECE, size)], read)
                if not count:
                    break
                read += count
                whole = whole_until(view[:read], whole)
        finally:
            file.close()
        self.data = view[:read]
        return survey(self.data, whole)

    def let_go(self) -> None:
        """Nothing is asked of it any more."""
        self.data = b""
        if self._buffer is not None and len(self._buffer) <= LARGEST_BUFFER:
            self._buffers.append(self._buffer)
        self._buffer = None

    def damaged(self, what: str) -> StorageDamaged:
        """What to raise about the segment."""
        return StorageDamaged(what, str(self.directory))

    @property
    def is_in_use(self) -> bool:
        """Whether there is a batch behind its header. ``StorageDamaged`` where what is there is none."""
        if self.header is None:
            return False
        try:
            return sum(1 for _ in islice(self._from_the_first(), 2)) == 2
        except MalformedBatch as error:
            raise StorageDamaged(str(error), str(self.path)) from error

    def marks(self) -> dict[bytes, int]:
        """What it says last under ``LOWEST_KEY`` and ``SUCCESSOR_KEY``, as far as it says anything.

        ``StorageDamaged`` where that is none.
        """
        marks: dict[bytes, int] = {}
        try:
            for batch in self._from_the_first():
                for key, offset, size in batch:
                    if key in (LOWEST_KEY, SUCCESSOR_KEY):
                        marks[key] = self._number_in(key, offset, size)
        except MalformedBatch as error:
            raise StorageDamaged(str(error), str(self.path)) from error
        return marks

    def read(self, places: Places, small: dict[bytes, bytes]) -> bool:
        """Reads the batches behind the header, once: see ``read_batches``. False where there is none.

        ``StorageDamaged`` where a record's seal does not hold, or a batch is none.
        """
        if self.header is None:
            return False
        try:
            self._last_batch, count = read_batches(self._batches, places, self.number, small, str(self._row))
        except MalformedBatch as error:
            raise StorageDamaged(str(error), str(self.path)) from error
        return count > 0

    @property
    def end(self) -> int:
        """Behind the last whole batch, once all of it was read."""
        return self._batches.end

    @property
    def is_whole(self) -> bool:
        """Whether the beginning of no batch is left behind the last whole one; likewise.

        Where that ends so near to the end of a block that no other begins there, the next block is the end of both.
        """
        behind = self._end - self._batches.end
        return not self._torn and (behind == 0 or (0 < behind < HEADER and self._end % BLOCK == 0))

    def write_last_batch_again(self) -> None:
        """Makes the last batch durable, which may not be, and cuts off what is behind it; likewise. Raises ``OSError``.

        Where its writer was killed before the sync, a sync would do. Where the sync failed, the system may hold what
        was written for clean although it is not on the disk: only what is written again is synced again.
        """
        file = self._files.open(self.path, "change")
        try:
            if self.end < file.size():
                file.truncate(self.end)
            file.write_at(self.data[self._last_batch : self.end], self._last_batch)
            file.sync()
        finally:
            file.close()

    def _number_in(self, key: bytes, offset: int, size: int) -> int:
        """The number that the record with this key holds."""
        number = unpack_number(key, self._batches.value(offset, size)) if size > 0 else None
        if number is None:
            raise self.damaged(f"its record {key!r} is none")
        return number

    def _from_the_first(self) -> Batches:
        return Batches(self.data, self._end)

    def _next(self) -> list[tuple[bytes, int, int]] | None:
        try:
            return next(self._batches, None)
        except MalformedBatch as error:
            raise StorageDamaged(str(error), str(self.path)) from error

    def _read_header(self, batch: list[tuple[bytes, int, int]]) -> Header:
        key, offset, size = batch[0]
        is_header = len(batch) == 1 and key == HEADER_KEY and size > 0
        body = unseal(key, self._batches.value(offset, size)) if is_header else None
        if body is None or len(body) < 4:
            raise self.damaged("it does not begin with a header")
        version = int.from_bytes(body[:4], "little")
        if version != ROW_FORMAT:
            raise StorageFailed(
                f"{self.directory} has segment format {version}, and this release reads and writes format "
                f"{ROW_FORMAT}: use the release that wrote it"
            )
        if len(body) != _HEADER.size:
            raise self.damaged(f"its header has {len(body)} bytes, {_HEADER.size} expected")
        header = Header(*_HEADER.unpack(body)[1:])
        if header.number != self.number:
            raise self.damaged(f"it is segment {header.number}")
        return header
