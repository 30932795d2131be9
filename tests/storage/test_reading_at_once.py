"""``entries_at_once`` and ``page``: the beginning of what ``entries`` gives, whatever lies between the records or is
wrong.

Which records lie where is drawn: small ones, and ones that fill LevelDB's blocks of 32 KiB, in segments that are closed
and in one that LevelDB has open, with other groups' records, deletions and rewritten ones between them.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import pytest

from raftcore.base.errors import Compacted, LogTemporarilyUnavailable, Unavailable
from raftcore.base.types import EntryKind
from raftcore.values.message import Entries, Entry
from raftpy.contracts.errors import StorageDamaged
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import StoreOwner
from raftpy.storage.leveldb.group_log import LevelDBGroupLog
from raftpy.storage.leveldb.keys import entry_key
from raftpy.storage.leveldb.places import Places
from raftpy.storage.leveldb.stretch import Stretch, find_stretch
from raftpy.system.files import SystemFile, SystemFiles
from tests.storage.damage import flip
from tests.storage.layout import log_files
from tests.storage.support import EVERYTHING, MEMBERS, Disk, append, entries, submit

PLAIN, APPLYING = 4, 16
"""Bytes that an entry counts for beside its payload: in a block, and while it is being applied."""
SEGMENT = 200_000
OWNER = StoreOwner(1, MEMBERS, groups={7: (1, 2, 3)})


def run(dice: random.Random, first: int, count: int, term: int, size: int) -> Entries:
    """So many entries, of ``size`` bytes at most."""
    payloads = (dice.randbytes(dice.randint(0, size)) for _ in range(count))
    made = [Entry(term, index, EntryKind.EntryNormal, payload) for index, payload in enumerate(payloads, first)]
    return Entries.build(made, time_ms=term)


def filled(dice: random.Random, path: Path) -> tuple[Storage, int]:
    """A store with a log that was written, cut, and read back by later starts, and the last index of group 0's."""
    disk = Disk("leveldb", path, segment_size=SEGMENT)
    store, _ = disk.open(OWNER)
    last, other = 0, 0
    for term in range(1, 40):
        first = last + 1
        if last and dice.random() < 0.2:
            first = dice.randint(max(1, last - 30), last)
        count, size = dice.choice(((1, 40_000), (20, 200), (100, 700), (3, 90_000), (9000, 2)))
        submit(store, [append(run(dice, first, count, term, size), term=term)])
        last = first + count - 1
        if dice.random() < 0.3:
            submit(store, [append(run(dice, other + 1, 5, term, 9000), term=term)], group=7)
            other += 5
        if dice.random() < 0.1:
            store, _ = disk.reopen(store, OWNER)
    return store, last


def cost(found: Entries, overhead: int) -> int:
    """What they count for."""
    return 40 * found.blocks + found.payload_size + overhead * found.count


def test_they_are_the_beginning_of_what_entries_gives(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    store, last = filled(dice, tmp_path / "store")
    log = store.group(0)
    assert isinstance(log, LevelDBGroupLog)
    counts = []
    for _ in range(300):
        lo = dice.choice((dice.randint(1, last), dice.choice(log._index.firsts)))  # most are in long records
        hi = dice.choice((lo + 1, dice.randint(lo + 1, last + 1), last + 1))
        limit = dice.choice((0, 1, 500, 50_000, 300_000, EVERYTHING))
        overhead = dice.choice((PLAIN, APPLYING))
        found = log.entries_at_once(lo, hi, limit, overhead)
        assert found == log.entries(lo, found.last + 1, EVERYTHING)
        assert lo <= found.last < hi
        assert (found.count, found.blocks, found.last_term) == (len(list(found)), len(found.runs()), found[-1].term)
        assert found.count == 1 or cost(found, PLAIN) <= limit
        counts.append(found.blocks)
    assert max(counts) > 3
    for wrong, error in (((0, 5), Compacted), ((last, last + 2), Unavailable), ((5, 5), Unavailable)):
        with pytest.raises(error):
            log.entries_at_once(*wrong, EVERYTHING, PLAIN)


def test_a_page_is_all_that_was_said_in_pieces_that_are_as_long_as_may_be(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    store, last = filled(dice, tmp_path / "store")
    log = store.group(0)
    assert isinstance(log, LevelDBGroupLog)
    known = many = 0
    for _ in range(300):
        lo = dice.choice((dice.randint(1, last), dice.choice(log._index.firsts)))  # most are in long records
        hi = dice.choice((lo + 1, dice.randint(lo + 1, last + 1), last + 1))
        size = dice.choice((0, 50_000, 300_000, EVERYTHING))
        end = log.page_end(lo, hi, size)
        if end is None:
            continue
        assert lo < end <= hi
        limit = dice.choice((500, 50_000, 100_000, EVERYTHING))
        overhead = dice.choice((PLAIN, APPLYING))
        pieces = log.page(lo, end, limit, overhead)
        assert [entry for piece in pieces for entry in piece] == list(log.entries(lo, end, EVERYTHING))
        assert all(piece.blocks == 1 or cost(piece, PLAIN) <= limit for piece in pieces)
        known += 1
        many += len(pieces) > 1
    assert known > 100
    assert many > 10
    for wrong, error in (((0, 5), Compacted), ((last, last + 2), Unavailable), ((5, 5), Unavailable)):
        with pytest.raises(error):
            log.page_end(*wrong, EVERYTHING)
        with pytest.raises(error):
            log.page(*wrong, EVERYTHING, PLAIN)


def test_where_a_page_ends_is_known_but_for_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each goes on where the one before ends, and has as many bytes as it may. Nothing is read for that, and all of a
    page at once."""
    disk = Disk("leveldb", tmp_path / "store")
    store, _ = disk.open()
    for first in range(1, 1000, 10):
        submit(store, [append(entries(first, 10, 1), term=1)])
    store, _ = disk.reopen(store)
    log = store.group(0)
    assert isinstance(log, LevelDBGroupLog)
    opened = watched(store, monkeypatch)
    bounds = [1]
    while (end := log.page_end(bounds[-1], 1001, 4000)) is not None:
        bounds.append(end)
    assert not opened
    for page, (lo, end) in enumerate(pairwise(bounds), 1):
        overhead = (PLAIN, APPLYING)[page % 2]
        pieces = log.page(lo, end, 1000, overhead)
        assert len(opened) == page
        assert len(pieces) > 1
        assert all(cost(piece, overhead) <= 1000 for piece in pieces)
        assert 2000 < sum(len(piece.data) for piece in pieces) <= 4000
    assert 900 < bounds[-1] < 1000
    assert log.page_end(5, 8, 4000) == 8


def watched(store: Storage, monkeypatch: pytest.MonkeyPatch) -> list[PurePath]:
    """The files that are opened from now on."""
    opened: list[PurePath] = []
    open_file = SystemFiles.open

    def watch(files: SystemFiles, path: PurePath, mode: Any) -> Any:
        opened.append(path)
        return open_file(files, path, mode)

    monkeypatch.setattr(SystemFiles, "open", watch)
    return opened


def test_many_records_are_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk("leveldb", tmp_path / "store")
    store, _ = disk.open()
    for first in range(1, 1000, 10):
        submit(store, [append(entries(first, 10, 1), term=1)])
    store, _ = disk.reopen(store)
    opened = watched(store, monkeypatch)
    log = store.group(0)
    assert isinstance(log, LevelDBGroupLog)
    assert log.entries_at_once(5, 1001, EVERYTHING, PLAIN).last == 1000
    assert len(opened) == 1
    for overhead in (PLAIN, 5, APPLYING):
        for limit in (1, 60, 400, 20_000):
            found = log.entries_at_once(5, 1001, limit, overhead)
            assert found.count == 1 or cost(found, overhead) <= limit
            assert found.last == 1000 or cost(found, overhead) > limit // 5


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("how", ["entries_at_once", "page"])
def test_damage_is_found_and_named(tmp_path: Path, number: int, how: str) -> None:
    """A payload, a length, the seal, the header of a block: each was read before anything of it is given."""
    disk = Disk("leveldb", tmp_path / "store")
    store, _ = disk.open()
    for first in (1, 4, 7, 10):
        submit(store, [append(entries(first, 3, 1), term=1)])
    store, _ = disk.reopen(store)
    (path,) = (path for path in log_files(tmp_path / "store") if b"1/8" in path.read_bytes())
    data = path.read_bytes()
    at = data.index(b"1/7") - 40 - 12  # the block of the record at 7
    flip(path, at + (54, 41, -3, 9)[number], 0)
    with pytest.raises(StorageDamaged, match="record of entry 7 "):
        getattr(store.group(0), how)(1, 13, EVERYTHING, PLAIN)
    with pytest.raises(StorageDamaged):  # the handle is dead
        store.group(0).entries(1, 3, EVERYTHING)


@pytest.mark.parametrize("how", ["entries_at_once", "page"])
def test_a_file_that_is_cut_off_is_damage(tmp_path: Path, how: str) -> None:
    disk = Disk("leveldb", tmp_path / "store")
    store, _ = disk.open()
    submit(store, [append(entries(1, 30, 1), term=1)])
    store, _ = disk.reopen(store)
    (path,) = (path for path in log_files(tmp_path / "store") if b"1/8" in path.read_bytes())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StorageDamaged, match="it ends before"):
        getattr(store.group(0), how)(1, 31, EVERYTHING, PLAIN)


@pytest.mark.parametrize("how", ["entries_at_once", "page"])
def test_what_the_system_lacks_is_told_as_of_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    disk = Disk("leveldb", tmp_path / "store")
    store, _ = disk.open()
    submit(store, [append(entries(1, 30, 1), term=1)])
    store, _ = disk.reopen(store)

    def lacks(files: SystemFiles, path: PurePath, mode: Any) -> Any:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(SystemFiles, "open", lacks)
        with pytest.raises(LogTemporarilyUnavailable):
            getattr(store.group(0), how)(1, 31, EVERYTHING, PLAIN)
    found = getattr(store.group(0), how)(1, 31, EVERYTHING, PLAIN)
    assert sum(piece.count for piece in ([found] if isinstance(found, Entries) else found)) == 30


class Meanwhile:
    """Many records, of which something is done as they were read, once, before anything is made of them."""

    def __init__(self, log: LevelDBGroupLog, call: Callable[[], object]) -> None:
        self._many, self._log, self._call = log._many, log, call
        log._many = self  # type: ignore[assignment]

    def entries(self, *question: int) -> Entries | None:
        return self._done(self._many.entries(*question))

    def pieces(self, *question: int) -> list[Entries] | None:
        return self._done(self._many.pieces(*question))

    def _done(self, found: Any) -> Any:
        self._log._many = self._many
        self._call()
        return found


@pytest.mark.parametrize("how", ["entries_at_once", "page"])
def test_what_changes_meanwhile_is_read_anew(tmp_path: Path, how: str) -> None:
    """Never a part of either log."""
    disk = Disk("leveldb", tmp_path / "store")
    store, _ = disk.open()
    for first in (1, 4, 7, 10):
        submit(store, [append(entries(first, 3, 1), term=1)])
    store, _ = disk.reopen(store)
    log = store.group(0)
    assert isinstance(log, LevelDBGroupLog)
    Meanwhile(log, lambda: submit(store, [append(entries(6, 7, 2), term=2)]))
    found = getattr(log, how)(1, 13, EVERYTHING, PLAIN)
    terms = [entry.term for piece in ([found] if how == "entries_at_once" else found) for entry in piece]
    assert terms == [1] * 5 + [2] * (len(terms) - 5)
    assert len(terms) > 5
    assert how == "entries_at_once" or len(terms) == 12


def test_a_stretch_is_of_one_segment_and_comes_from_nobody_else() -> None:
    places = Places()
    places.put(entry_key(1, 1), 1, 100, 50)
    places.put(entry_key(1, 3), 1, 170, 50)
    places.put(entry_key(1, 5), 2, 300, 50)
    found = find_stretch(places, 1, 1, 100, EVERYTHING, PLAIN)
    assert found is not None
    assert (found.segment, found.offset, found.size) == (1, 100, 120)
    assert found.entries(b"", 1, 5, EVERYTHING, PLAIN) is None
    assert found.entries(bytes(120), 1, 5, EVERYTHING, PLAIN) is None
    for group, first in ((2, 1), (1, 2), (1, 7)):
        assert find_stretch(places, group, first, 100, EVERYTHING, PLAIN) is None
    assert find_stretch(places, 1, 1, 3, EVERYTHING, PLAIN).size == 50  # type: ignore[union-attr]
    assert find_stretch(places, 1, 1, 100, 60, PLAIN).size == 50  # type: ignore[union-attr]
    with pytest.raises(TypeError):
        Stretch()


def test_records_that_lie_in_another_order_or_far_apart_are_read_apart() -> None:
    """Those that have gone along to a newer segment lie behind what was written before."""
    for offset in (20, 1 << 20):
        places = Places()
        places.put(entry_key(1, 1), 1, 100, 50)
        places.put(entry_key(1, 3), 1, offset, 50)
        assert find_stretch(places, 1, 1, 100, EVERYTHING, PLAIN).size == 50  # type: ignore[union-attr]


def test_what_the_loop_asks_does_not_wait_for_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread reads a record of the segment that is still written, and the disk does not answer."""
    store, last = filled(random.Random(3), tmp_path / "store")
    submit(store, [append(run(random.Random(1), last + 1, 5, 60, 200), term=60)])
    log = store.group(0)
    asked, answers = threading.Event(), threading.Event()

    def slowly(self: SystemFile, size: int, offset: int) -> bytes:
        if threading.current_thread() is thread:
            asked.set()
            answers.wait()
        return read_at(self, size, offset)

    read_at = SystemFile.read_at
    monkeypatch.setattr(SystemFile, "read_at", slowly)
    thread = threading.Thread(target=log.entries, args=(last + 5, last + 6, 1 << 20))
    thread.start()
    asked.wait()
    try:
        assert log.page_end(1, last, 2 << 20) > 1  # type: ignore[attr-defined]
        assert thread.is_alive()
    finally:
        answers.set()
        thread.join()
    store.close()
