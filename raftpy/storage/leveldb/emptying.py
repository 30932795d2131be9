"""Emptying the oldest segment of a row: what is still needed of it goes along to the newest with the next batches.

So space is bounded, and a group that writes nothing keeps no segment for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import PurePath

from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.files import Files
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.places import Place, Places
from raftpy.storage.leveldb.sealing import unseal
from raftpy.storage.leveldb.segment import Write
from raftpy.storage.leveldb.wal_batches import stored_size, value_in

MOVED_AT_ONCE = 64 << 10
"""Bytes of records that are still needed in the oldest segment which any batch may carry along to the newest; a larger
batch carries as many as it has itself."""
MOVED_AT_FIRST = 1 << 20
"""The same, for the first batch of a segment."""
RECORDS_MOVED_AT_ONCE = 512
"""How many such records any batch may carry along, however short they are: each is a read, and a batch waits for them;
a batch with more writes carries as many as it has itself."""
SPARE_SEGMENTS = 8
"""How many segments there may be beside those that twice the bytes needed would fill, before the oldest is emptied:
each start begins one, however little it writes."""


class Emptying:
    """Which segment of a row is being emptied, if any, and what of it has not gone along yet.

    ``choose`` is called in another thread than the rest, and chooses nothing between ``begin`` and ``settle``; these
    three with the row's mutex held, ``carry`` without it.

    ``source``: the segment that was chosen last (0: none).
    """

    def __init__(self, files: Files, places: Places) -> None:
        self.source = 0
        self._files = files
        self._places = places
        self._left: deque[bytes] = deque()  # the keys of what has not gone along; some are needed no more
        self._carrying = False  # what was carried last is not known to be in the newest segment yet
        self._met: dict[int, StorageFailed] = {}  # by segment: why its records cannot go along

    def damage(self) -> list[StorageFailed]:
        """Why segments are not emptied."""
        return list(self._met.values())

    def choose(self, sizes: Mapping[int, int], paths: Mapping[int, PurePath], segment_size: int) -> None:
        """Has the oldest segment emptied where dead bytes, or segments, are more than those needed, and worth it.

        ``sizes``: of all segments in use, in bytes; ``paths``: the files of those that are closed.
        """
        if self._left or self._carrying:
            return
        closed = [number for number in sizes if number in paths]
        oldest = min(sizes, default=0)
        if oldest not in paths or self._places.live.get(oldest, 0) <= 0:
            return
        whole = sum(sizes[number] for number in closed)
        needed = sum(self._places.live.get(number, 0) for number in closed)
        mostly_dead = len(closed) >= 4 and whole > 2 * needed
        if mostly_dead or len(closed) > SPARE_SEGMENTS + 2 * needed // segment_size:
            if isinstance(self._met.get(oldest), StorageDamaged):
                return
            self._met.pop(oldest, None)
            self.source = oldest
            self._left.extend(self._places.within(oldest))

    @property
    def is_under_way(self) -> bool:
        """Whether there is anything to carry, or to settle. To be asked without the mutex by who calls ``carry``."""
        return self._carrying or bool(self._left)

    def begin(self) -> bool:
        """Before each ``carry``; whether there is anything that may go along."""
        self._carrying = bool(self._left)
        return self._carrying

    def carry(self, path: PurePath, size: int, count: int, *, is_first: bool) -> list[Write]:
        """Records that go along from the file at ``path`` with a batch of ``count`` writes that takes ``size`` bytes;
        ``is_first``: the first one of its segment.

        A record that is not what was written must not get LevelDB's checksum in another segment, and is no reason to
        stop a node that nobody has asked for it: from there on the segment is left as it is.
        """
        while self._left and self._place(self._left[0]) is None:
            self._left.popleft()
        if not self._left:
            return []
        carried: list[Write] = []
        room = max(size, MOVED_AT_FIRST if is_first else MOVED_AT_ONCE)
        places = max(count, RECORDS_MOVED_AT_ONCE)
        try:
            file = self._files.open(path, "read")
            try:
                while self._left and room > 0 and len(carried) < places:
                    key = self._left.popleft()
                    place = self._place(key)
                    if place is not None:
                        stored = file.read_at(stored_size(place.offset, place.size), place.offset)
                        value = value_of(path, stored, place)
                        if unseal(key, value) is None:
                            what = f"{keys.describe(key)}, at byte {place.offset}: its checksum does not hold"
                            raise StorageDamaged(what, str(path))
                        carried.append((key, value))
                        room -= len(value)
            finally:
                file.close()
        except StorageDamaged as error:
            self._leave(error)
        except FileNotFoundError:
            self._leave(StorageDamaged("it is missing", str(path)))
        except OSError as error:
            self._leave(StorageFailed(f"reading {path} failed: {error}"))
        return carried

    def settle(self, lowest: int) -> None:
        """What was carried is in the newest segment, durably, and ``lowest`` is the oldest one needed."""
        self._carrying = False
        for number in [number for number in self._met if number < lowest]:
            del self._met[number]
        if self.source < lowest:
            self._left.clear()  # needed no more, or it would keep its segment

    def _place(self, key: bytes) -> Place | None:
        """Where the record lies, if it is still needed from there."""
        place = self._places.find(key)
        return place if place is not None and place.segment == self.source else None

    def _leave(self, error: StorageFailed) -> None:
        """The segment stays for this ``error``: where it is damaged, as long as anything in it is needed, else until
        the next one is full, when it is tried again."""
        self._met[self.source] = error
        self._left.clear()


def read_piece(files: Files, path: PurePath, size: int, offset: int) -> bytes:
    """At most ``size`` bytes of the file at ``path`` from ``offset`` on, fewer where it ends. Raises ``OSError``."""
    file = files.open(path, "read")
    try:
        return file.read_at(size, offset)
    finally:
        file.close()


def value_of(path: PurePath, stored: bytes, place: Place) -> bytes:
    """The value of which ``stored`` was read at its place in the file at ``path``; ``StorageDamaged`` where the file
    was too short."""
    if len(stored) != stored_size(place.offset, place.size):
        raise StorageDamaged(f"it ends before byte {place.offset + place.size}", str(path))
    return value_in(stored, place.offset, place.size)
