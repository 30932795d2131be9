"""Many records of a log at once: what a row of segments offers to who reads on and on, beside its ``get``.

Only closed segments are read so. What is still written, and whatever is not as it should be, is left to ``get``, record
by record, which says what is wrong with which.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import PurePath

from raftcore.base.types import UNLIMITED
from raftcore.values.message import Entries
from raftcore.wire.codec import LENGTH_SIZE
from raftpy.contracts.files import Files
from raftpy.storage.leveldb.emptying import read_piece
from raftpy.storage.leveldb.places import Places
from raftpy.storage.leveldb.stretch import Stretch, find_stretch


class Many:
    """Of a row's ``places`` and the ``paths`` of its closed segments, by number, which ``mutex`` guards."""

    def __init__(
        self, files: Files, places: Places, paths: Mapping[int, PurePath], mutex: AbstractContextManager[object]
    ) -> None:
        self._files = files
        self._places = places
        self._paths = paths
        self._mutex = mutex

    def entries(self, group: int, first: int, lo: int, hi: int, max_bytes: int, overhead: int) -> Entries | None:
        """The entries from ``lo`` on, which is in the record of this first index, as many as ``Stretch.entries`` gives.
        None where not all is as it should be, or it is still written: then ``get`` knows. Raises ``OSError``."""
        read = self._read(group, first, hi, max_bytes, overhead)
        if read is None:
            return None
        stretch, stored = read
        return stretch.entries(stored, lo, hi, max_bytes, overhead)

    def pieces(self, group: int, first: int, lo: int, hi: int, max_bytes: int, overhead: int) -> list[Entries] | None:
        """Likewise those that are quickly read together, each as many as ``max_bytes`` allows."""
        read = self._read(group, first, hi, UNLIMITED, overhead)
        if read is None:
            return None
        stretch, stored = read
        return stretch.pieces(stored, lo, hi, max_bytes, overhead)

    def behind(self, group: int, first: int, hi: int, page_bytes: int) -> int | None:
        """First index of the record behind those that begin before ``hi``, lie together and take at most so many bytes
        (at least one); None where no other is known."""
        with self._mutex:
            stretch = find_stretch(self._places, group, first, hi, page_bytes, LENGTH_SIZE)
        return None if stretch is None else stretch.behind or None

    def _read(self, group: int, first: int, hi: int, max_bytes: int, overhead: int) -> tuple[Stretch, bytes] | None:
        """What ``find_stretch`` finds in a closed segment, and its bytes."""
        with self._mutex:
            stretch = find_stretch(self._places, group, first, hi, max_bytes, overhead)
            path = None if stretch is None else self._paths.get(stretch.segment)
        if stretch is None or path is None:
            return None
        return stretch, read_piece(self._files, path, stretch.size, stretch.offset)
