"""What the start of a row of segments reads: each segment that is needed once, and whether one is missing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath

from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.executor import Executor, ahead
from raftpy.contracts.files import Files
from raftpy.storage.leveldb.places import Places
from raftpy.storage.leveldb.segment import (
    END_BEFORE_KEY,
    LOWEST_KEY,
    SUCCESSOR_KEY,
    SegmentFile,
    holds_no_batch,
    name_of,
    segments,
    unpack_number,
)

AHEAD = 2
"""How many segments are read, and their records' checksums checked, in threads while what is in the one before is
looked at: so a start has the use of two processors, or three."""
MISSING = "it is missing"
"""What is wrong with a segment that a later one says was in use."""
EMPTY = "it was in use, and what was written to it is not there"
"""The same, where its header is there."""


@dataclass(slots=True)
class Loaded:
    """What the segments hold. ``row_id``: the row's, 0 where there is none; ``used``: the newest segment in use, and
    ``lowest``: the oldest that is needed (0: none); ``unused``: the numbers of those that have no part in it;
    ``newest``: the newest in use, whose last batch is to be written again before anything rests on it.

    ``files`` and ``sizes``: of each segment in use, its file and the bytes in it; ``small``: key and value of all that
    is no record of a log; ``places``: where those are, and what their blocks say until ``Places.started``.
    """

    row_id: int = 0
    used: int = 0
    lowest: int = 0
    newest: SegmentFile | None = None
    unused: list[int] = field(default_factory=list)
    files: dict[int, PurePath] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    small: dict[bytes, bytes] = field(default_factory=dict)
    places: Places = field(default_factory=Places)


class Loader:
    """Reads the row in the directory ``path``. ``given_up`` is not empty any more once it is to end."""

    def __init__(self, files: Files, path: PurePath, executor: Executor, given_up: Sequence[object]) -> None:
        self._files = files
        self._executor = executor
        self._buffers: list[bytearray] = []  # for segments that are read: new memory takes as long as the reading
        self._path = path
        self._given_up = given_up
        self._read: dict[int, SegmentFile] = {}  # what was read and is asked for again
        self._damaged: dict[int, StorageDamaged] = {}  # what of those is wrong of which nothing may be needed

    def load(self, create: bool) -> Loaded:
        """All of it. ``create``: whether there may be no segment in use. ``StorageDamaged`` where one is missing or not
        what was written, ``StorageFailed`` for another release's, ``OSError``.

        Nothing is written: see ``Loaded.newest``.
        """
        loaded = Loaded()
        numbers = segments(self._files, self._path)
        newest = self._find_newest(numbers)
        if newest is None:
            if not create:
                raise StorageDamaged("no segment of it is there", str(self._path))
            loaded.unused = numbers
            return loaded
        assert newest.header is not None
        loaded.newest, loaded.row_id, loaded.used = newest, newest.header.row, newest.number
        marks = newest.marks()
        loaded.lowest = marks.get(LOWEST_KEY, 0)
        if not 0 < loaded.lowest <= newest.number:
            raise newest.damaged("it does not say which segments are needed")
        self._check_successor(newest, marks.get(SUCCESSOR_KEY, 0))
        self._check_none_above(newest)
        loaded.places.begin()
        previous = 0
        needed = [number for number in numbers if loaded.lowest <= number <= newest.number]
        read = ahead(
            self._executor, "raftpy opening segments", (partial(self._found, number) for number in needed), AHEAD
        )
        with closing(read):  # none is read any more when this ends, however it does
            for number, found in zip(needed, read, strict=True):
                if isinstance(found, StorageDamaged):
                    self._damaged[number] = found  # no damage to the row, unless a later one says that it was in use
                    continue
                if found.header is not None and found.header.row != loaded.row_id:
                    raise found.damaged("it belongs to another store")
                if not found.read(loaded.places, loaded.small):
                    continue
                self._check_follows(found, previous, loaded)
                if found is not newest:
                    if not found.is_whole:
                        raise found.damaged(f"its last batch, at byte {found.end}, is not there whole")
                    found.let_go()
                previous = number
                loaded.files[number] = found.path
                loaded.sizes[number] = found.end
        self._buffers.clear()
        loaded.small.pop(LOWEST_KEY, None)
        loaded.small.pop(SUCCESSOR_KEY, None)
        loaded.unused = [number for number in numbers if number not in loaded.files]
        return loaded

    def _segment(self, number: int) -> SegmentFile:
        if self._given_up:
            raise StorageFailed(f"the opening of {self._path} was given up")
        return self._read.pop(number, None) or SegmentFile(self._files, self._path, number, self._buffers)

    def _found(self, number: int) -> SegmentFile | StorageDamaged:
        """In any thread."""
        try:
            return self._segment(number)
        except StorageDamaged as error:
            return error

    def _find_newest(self, numbers: Sequence[int]) -> SegmentFile | None:
        """The newest segment that is in use."""
        for number in reversed(numbers):
            try:
                found = self._segment(number)
            except StorageDamaged as error:
                if not holds_no_batch(self._files, self._path, number):
                    raise
                self._damaged[number] = error  # no damage to the row, unless it was named as a successor
                continue
            self._read[number] = found
            if found.is_in_use:
                return found
        return None

    def _check_successor(self, newest: SegmentFile, successor: int) -> None:
        """A segment that was named may have been in use: it must be there."""
        if successor <= newest.number:
            return
        if successor in self._damaged:
            raise self._damaged[successor]
        following = self._read.get(successor)
        if following is None or following.header is None:
            where = str(self._path / name_of(successor))
            raise StorageDamaged("it is missing, or empty, and may have been in use", where)
        assert newest.header is not None
        if following.header.row != newest.header.row:
            raise following.damaged("it belongs to another store")

    def _check_none_above(self, newest: SegmentFile) -> None:
        """A segment is made only when the one that its header names before it is in use."""
        assert newest.header is not None
        for found in self._read.values():
            header = found.header
            if header is not None and header.row == newest.header.row and header.previous > newest.number:
                lost = self._read.get(header.previous)
                what = MISSING if lost is None or lost.header is None else EMPTY
                raise StorageDamaged(what, str(self._path / name_of(header.previous)))

    def _check_follows(self, found: SegmentFile, previous: int, loaded: Loaded) -> None:
        """Each says which one was in use before it and where that one ended, and the first is the oldest needed."""
        assert found.header is not None
        lowest, end_before = loaded.lowest, end_before_in(loaded.small)
        if end_before is None:
            raise found.damaged("it does not say where the segment before it ended")
        if previous and found.header.previous != previous:
            raise self._missing(found.header.previous)
        if not previous and found.number != lowest:
            raise self._missing(lowest)
        if previous and loaded.sizes[previous] != end_before:
            raise StorageDamaged(other_end(loaded.sizes[previous], end_before), str(loaded.files[previous]))

    def _missing(self, number: int) -> StorageDamaged:
        """What is wrong with a segment that is needed and was not read."""
        return self._damaged.get(number) or StorageDamaged(MISSING, str(self._path / name_of(number)))


def end_before_in(small: dict[bytes, bytes]) -> int | None:
    """Takes out of ``small``, into which a segment was just read, where it says that the one before it ended, in bytes;
    None where it does not say so."""
    value = small.pop(END_BEFORE_KEY, None)
    return None if value is None else unpack_number(END_BEFORE_KEY, value)


def other_end(end: int, end_before: int) -> str:
    """What is wrong with a segment whose batches end at byte ``end``, where the next one says ``end_before``."""
    return f"its batches end at byte {end}, and they ended at byte {end_before} when the next segment was begun"
