"""What a crash leaves of a row of segments and is no damage, however its unused parts look; and what looks like that.

A start opens the one and refuses the other; so does the offline reading.
"""

from __future__ import annotations

from pathlib import PurePath

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.segment import HEADER_END, name_of, segments
from raftpy.storage.leveldb.wal_framing import Framing
from raftpy.storage.leveldb.wal_records import BLOCK
from raftpy.storage.offline.faults import Faults
from raftpy.storage.offline.progress import Untold
from raftpy.storage.offline.segments import RowReader
from tests.storage.rows import ROW, Simulated, record, scan


def file_of(place: Simulated, number: int) -> PurePath:
    (path,) = [path for path in place.disk.paths() if path.parent.name == name_of(number) and path.suffix == ".log"]
    return path


def offline(place: Simulated, *, may_be_empty: bool = False) -> list[str]:
    """What the offline reading calls damaged."""
    faults = Faults()
    RowReader(place.files, ROW, faults, Untold()).read(may_be_empty)
    return [str(fault) for fault in faults.found]


def with_the_next_made() -> tuple[Simulated, dict[bytes, bytes]]:
    """A killed row of one segment in use and the next one, which is not named, and what is in it."""
    place = Simulated()
    row = place.open(create=True)
    for first in range(1, 4):
        row.put(*record(0, first), sync=True)
    place.executor.run()
    place.disk.kill()
    assert segments(place.files, ROW) == [1, 2]
    return place, dict(record(0, first) for first in range(1, 4))


def check_each_flip(place: Simulated, number: int, told: dict[bytes, bytes]) -> None:
    """Each bit of the header of a segment that nobody needs."""
    path = file_of(place, number)
    image = place.disk.copy()
    for byte in range(HEADER_END):
        for bit in range(8):
            place.disk.flip_bit(path, byte, bit)
            assert offline(place) == [], (byte, bit)
            assert scan(row := place.open()) == told, (byte, bit)
            if bit == byte % 8:
                row.put(*record(0, 100), sync=True)
                place.executor.run()
                assert number not in segments(place.files, ROW)
            place.disk.restore(image)


def test_a_next_segment_that_nobody_has_named() -> None:
    place, told = with_the_next_made()
    check_each_flip(place, 2, told)


def test_a_next_segment_that_is_named() -> None:
    """It may have been in use: whatever is wrong with it."""
    place = Simulated()
    row = place.open(create=True)
    for first in range(1, 4):
        row.put(*record(0, first), sync=True)
        place.executor.run()
    place.disk.kill()
    image = place.disk.copy()
    for byte in range(HEADER_END):
        place.disk.flip_bit(file_of(place, 2), byte, byte % 8)
        assert offline(place) != []
        with pytest.raises(StorageDamaged):
            place.open()
        place.disk.restore(image)


def test_a_segment_that_was_never_used_between_two_that_were() -> None:
    """A start makes its own first one, with a higher number, and may be killed before it has removed that one."""
    place, told = with_the_next_made()
    row = place.open()
    row.put(*record(0, 4), sync=True)
    place.disk.kill()
    assert segments(place.files, ROW) == [1, 2, 3]
    check_each_flip(place, 2, told | dict([record(0, 4)]))


def test_a_flipped_bit_in_what_was_used_and_not_named() -> None:
    """A start's first segment, which is not named beforehand, has batches behind its header."""
    place, _ = with_the_next_made()
    row = place.open()
    row.put(*record(0, 4), sync=True)
    place.disk.kill()
    image = place.disk.copy()
    path = file_of(place, 3)
    for byte in range(len(place.files.read(path).rstrip(b"\0"))):
        place.disk.flip_bit(path, byte, byte % 8)
        assert offline(place) != [], byte
        with pytest.raises(StorageDamaged):
            place.open()
        place.disk.restore(image)


def test_the_founding() -> None:
    """A first start that was killed before its first batch: there is nothing to be lost yet."""
    place = Simulated()
    row = place.open(create=True)
    row._make(row._first)  # type: ignore[arg-type]
    place.disk.kill()
    assert segments(place.files, ROW) == [1]
    place.disk.flip_bit(file_of(place, 1), 10, 1)
    assert offline(place, may_be_empty=True) == []
    image = place.disk.copy()
    row = place.open(create=True)
    row.put(*record(0, 1), sync=True)
    place.executor.run()
    assert scan(row) == dict([record(0, 1)])
    place.disk.restore(image)
    with pytest.raises(StorageDamaged, match="no segment of it is there"):
        place.open()


@pytest.mark.parametrize("zeros", [False, True])
def test_a_segment_that_its_successor_says_was_in_use(zeros: bool) -> None:
    """It has lost everything behind its header, and was the newest: what is made behind it is made once it is used."""
    place = Simulated()
    row = place.open(create=True)
    first = 0
    while segments(place.files, ROW) != [1, 2, 3]:
        first += 1
        row.put(*record(0, first), sync=True)
        place.executor.run()
    place.disk.kill()
    path = file_of(place, 2)
    data = place.files.read(path)
    place.disk.rewrite(path, data[:HEADER_END] + bytes(len(data) - HEADER_END if zeros else 0))
    where = str(ROW / name_of(2))
    assert offline(place) == [f"{where}: it was in use, and what was written to it is not there"]
    with pytest.raises(StorageDamaged, match="it was in use, and what was written to it is not there") as caught:
        place.open()
    assert caught.value.where == where
    place.files.remove_tree(ROW / name_of(2))
    assert f"{where}: it is missing" in offline(place)
    with pytest.raises(StorageDamaged, match="it is missing"):
        place.open()


@pytest.mark.parametrize("before", range(9))
def test_a_closed_segment_that_ends_near_the_end_of_a_block(before: int) -> None:
    """No batch begins in a block's last six bytes; the room behind them is not cut off yet when the power fails."""
    place = Simulated()
    row = place.open(create=True, size=BLOCK + 8000)
    row.put(*record(0, 1), sync=True)
    place.executor.run()
    row.put(*record(0, 2), sync=True)

    def end_with(size: int) -> int:
        framing = Framing(row._newest.made.end)
        framing.frame([(b"K", seal(b"K", bytes(size)))])
        return framing.end

    size = next(size for size in range(BLOCK - 2000, BLOCK) if end_with(size) == BLOCK - before)
    row.put(b"K", seal(b"K", bytes(size)), sync=True)
    row.put(b"Q", seal(b"Q", bytes(30_000)), sync=True)
    assert row._newest.number == 2
    place.disk.power_failure()
    assert len(place.files.read(file_of(place, 1))) > BLOCK
    assert offline(place) == []
    assert len(scan(place.open())) == 4
    place.disk.kill()
    data = place.files.read(file_of(place, 1))
    for begun in (b"\1\2\3\4\x20\0\2", b"\1\2\3\4\x20\0\2torn"):
        place.disk.rewrite(file_of(place, 1), data[:BLOCK] + begun + data[BLOCK + len(begun) :])
        assert offline(place) != []
        with pytest.raises(StorageDamaged):
            place.open()
