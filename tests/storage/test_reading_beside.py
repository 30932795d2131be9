"""``entries`` beside the loop (``reads_in_thread``): what it gives was the log at one moment, whatever is written.

A write in the middle of a read comes from the reading itself here: before each record is read, a test may write. A lock
that were held meanwhile would hang it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raftcore.base.errors import Compacted, Unavailable
from raftcore.values.message import Entries, Snapshot
from raftpy.contracts.errors import StorageDamaged
from raftpy.contracts.storage import Storage
from raftpy.storage import LevelDBStorage, MemoryStore
from raftpy.storage.leveldb.group_log import LevelDBGroupLog
from tests.storage.support import EVERYTHING, OWNER, Disk, append, entries, submit

Told = list[tuple[int, int]]


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    """Records [1 2 3] [4 5 6] [7 8 9] [10 11 12], of term 1."""
    store, _ = Disk("leveldb", tmp_path / "store").open()
    for first in (1, 4, 7, 10):
        submit(store, [append(entries(first, 3, 1), term=1)])
    return store


def before_record(store: Storage, number: int, call: Callable[[], object]) -> None:
    """Has ``call()`` called before the record of this number, from 0, is read; once."""
    log = store.group(0)
    assert isinstance(log, LevelDBGroupLog)
    reader, record = log._reader, log._reader.record
    read = 0

    def watched(group: int, first: int) -> Entries:
        nonlocal read
        read += 1
        if read == number + 1:
            reader.record = record  # type: ignore[method-assign]
            call()
        return record(group, first)

    reader.record = watched  # type: ignore[method-assign]


def told(found: Entries) -> Told:
    return [(entry.index, entry.term) for entry in found]


def test_which_stores_are_read_so() -> None:
    assert LevelDBStorage.reads_in_thread
    assert not getattr(MemoryStore, "reads_in_thread", False)  # it has all at hand


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("first", range(1, 14))
def test_entries_that_are_replaced_meanwhile(store: Storage, number: int, first: int) -> None:
    """From a record's beginning on, and out of its middle: never a part of either log."""
    before_record(store, number, lambda: submit(store, [append(entries(first, 14 - first, 2), term=2)]))
    found = told(store.group(0).entries(1, 13, EVERYTHING))
    assert found == [(index, 1 if index < first else 2) for index in range(1, 13)]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("first", range(1, 13))
def test_a_log_that_becomes_shorter_meanwhile(store: Storage, number: int, first: int) -> None:
    before_record(store, number, lambda: submit(store, [append(entries(first, 1, 2), term=2)]))
    log = store.group(0)
    if first == 12:
        assert told(log.entries(1, 13, EVERYTHING)) == [*((index, 1) for index in range(1, 12)), (12, 2)]
    else:
        with pytest.raises(Unavailable):
            log.entries(1, 13, EVERYTHING)
    assert told(log.entries(1, first + 1, EVERYTHING)) == [*((index, 1) for index in range(1, first)), (first, 2)]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("index", range(1, 13))
def test_a_log_that_is_compacted_meanwhile(store: Storage, number: int, index: int) -> None:
    def compact() -> None:
        store.group(0).compact(index)
        submit(store, [])

    before_record(store, number, compact)
    log = store.group(0)
    with pytest.raises(Compacted):
        log.entries(1, 13, EVERYTHING)
    if index < 12:
        assert told(log.entries(index + 1, 13, EVERYTHING)) == [(at, 1) for at in range(index + 1, 13)]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("index", [5, 12, 20])
def test_a_log_that_gives_way_to_a_snapshot_meanwhile(store: Storage, number: int, index: int) -> None:
    message = append(term=2)
    message.snapshot = Snapshot(index, 2)
    before_record(store, number, lambda: submit(store, [message]))
    with pytest.raises((Compacted, Unavailable)):
        store.group(0).entries(1, 13, EVERYTHING)


def test_entries_that_are_appended_meanwhile_change_nothing(store: Storage) -> None:
    before_record(store, 2, lambda: submit(store, [append(entries(13, 3, 1), term=1)]))
    assert told(store.group(0).entries(1, 13, EVERYTHING)) == [(index, 1) for index in range(1, 13)]


def test_damage_is_damage_all_the_same(store: Storage) -> None:
    log = store.group(0)
    assert isinstance(log, LevelDBGroupLog)

    def damaged() -> None:
        raise StorageDamaged("its checksum does not hold", "here")

    before_record(store, 2, damaged)
    with pytest.raises(StorageDamaged):
        log.entries(1, 13, EVERYTHING)
    with pytest.raises(StorageDamaged):  # the handle is dead
        log.entries(1, 13, EVERYTHING)


def test_threads_read_while_the_log_is_written_cut_and_compacted(tmp_path: Path, seed: int) -> None:
    """Entry i of term t, in each log that ever was: t never falls along a log, and each payload says whose it is."""
    dice = random.Random(seed)
    store, _ = Disk("leveldb", tmp_path / "store").open(OWNER)
    log = store.group(0)
    submit(store, [append(entries(1, 50, 1), term=1)])
    first, last, term = 1, 50, 1
    wrong: list[object] = []
    reads = [0]
    over = threading.Event()

    def read(dice: random.Random) -> None:
        while not over.is_set():
            lo = dice.randint(max(1, last - 200), last)
            try:
                found = log.entries(lo, dice.randint(lo + 1, last + 1), dice.choice((1, 500, EVERYTHING)))
            except (Compacted, Unavailable):
                continue
            except BaseException as error:
                wrong.append(error)
                return
            terms = [entry.term for entry in found]
            if found.first != lo or terms != sorted(terms):
                wrong.append(found)
            for entry in found:
                if not entry.data.startswith(f"{entry.term}/{entry.index}".encode()):
                    wrong.append(entry)
            reads[0] += 1

    threads = [threading.Thread(target=read, args=(random.Random(seed + i),)) for i in range(2)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 2
    try:
        while time.monotonic() < until:
            at = last + 1
            if dice.random() < 0.3:
                term += 1
                at = dice.randint(max(first + 1, last - 20), last + 1)
            count = dice.randint(1, 30)
            if dice.random() < 0.1 and at - first > 60:
                first = at - 40
                log.compact(first - 1)
            submit(store, [append(entries(at, count, term), term=term)])
            last = at + count - 1
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert reads[0] > 20
