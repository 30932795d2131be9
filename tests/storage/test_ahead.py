"""``ahead``: calls that are made in threads before it is their turn; and what a start reads so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.contracts.executor import ahead
from raftpy.storage.leveldb.loading import AHEAD
from raftpy.storage.leveldb.segment import SegmentFile
from raftpy.system.files import SystemFile, SystemFiles
from raftpy.system.threads import Threads
from tests.storage.damage import flip
from tests.storage.late import LateExecutor
from tests.storage.layout import batch_ends
from tests.storage.rows import open_real, record, scan

PATIENCE_S = 30.0
"""Until a call that never begins fails its test."""


class Calls:
    """Calls that are counted when they begin and when they end, and end when they are let."""

    def __init__(self, count: int) -> None:
        self.began = [threading.Event() for _ in range(count)]
        self.may_end = [threading.Event() for _ in range(count)]
        self.ended: list[int] = []
        self.threads: set[int] = set()

    def call(self, number: int) -> int:
        self.threads.add(threading.get_ident())
        self.began[number].set()
        assert self.may_end[number].wait(PATIENCE_S)
        self.ended.append(number)
        return number

    def all(self) -> Iterator[Callable[[], int]]:
        return (partial(self.call, number) for number in range(len(self.began)))


def test_calls_are_made_ahead_of_their_turn_and_given_in_their_order() -> None:
    calls = Calls(6)
    given = Threads().ahead("ahead", calls.all(), 2)
    calls.may_end[2].set()
    calls.may_end[1].set()
    calls.may_end[0].set()
    assert next(given) == 0
    assert calls.began[2].wait(PATIENCE_S)
    assert not calls.began[3].is_set()  # two are ahead, and no more
    for event in calls.may_end:
        event.set()
    assert list(given) == [1, 2, 3, 4, 5]
    assert threading.get_ident() not in calls.threads


def test_what_a_call_raises_comes_when_it_is_its_turn_and_nothing_is_under_way_then() -> None:
    calls = Calls(4)

    def fail() -> int:
        raise ValueError("it cannot")

    some = list(calls.all())
    for event in calls.may_end:
        event.set()
    given = Threads().ahead("ahead", [some[0], fail, some[1], some[2], some[3]], 2)
    assert next(given) == 0
    with pytest.raises(ValueError, match="it cannot"):
        next(given)
    assert calls.ended[:1] == [0]
    assert sorted(calls.ended) == [number for number in range(4) if calls.began[number].is_set()]
    assert not calls.began[3].is_set()


def test_nothing_is_under_way_when_the_rest_is_not_wanted() -> None:
    calls = Calls(4)
    given = Threads().ahead("ahead", calls.all(), 2)
    calls.may_end[0].set()
    assert next(given) == 0
    for event in calls.may_end:
        event.set()
    given.close()  # type: ignore[attr-defined]
    assert sorted(calls.ended) == [0, 1, 2]


def test_without_room_for_a_thread_each_is_made_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    calls = Calls(3)
    for event in calls.may_end:
        event.set()
    given = Threads().ahead("ahead", calls.all(), 2)
    assert next(given) == 0
    assert not calls.began[1].is_set()
    assert list(given) == [1, 2]
    assert calls.threads == {threading.get_ident()}


def test_with_an_executor_that_does_not_offer_it_each_is_made_in_its_turn() -> None:
    calls = Calls(3)
    for event in calls.may_end:
        event.set()
    given = ahead(LateExecutor(), "ahead", calls.all(), 2)
    assert next(given) == 0
    assert not calls.began[1].is_set()
    assert list(given) == [1, 2]


def filled(path: Path) -> None:
    row = open_real(path, create=True)
    for first in range(1, 300):
        key, value = record(0, first)
        batch = row.write_batch(sync=True)
        batch.put(key, value)
        batch.write()
    row.close()


def test_a_start_reads_segments_ahead_each_of_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    read: list[tuple[int, int]] = []
    make = SegmentFile.__init__

    def watch(segment: SegmentFile, *arguments: object) -> None:
        make(segment, *arguments)  # type: ignore[arg-type]
        read.append((segment.number, threading.get_ident()))

    monkeypatch.setattr(SegmentFile, "__init__", watch)
    row = open_real(tmp_path)
    assert len(scan(row)) == 299
    row.close()
    numbers = sorted(number for number, _ in read)
    assert numbers == sorted(set(numbers))
    assert len(numbers) > AHEAD + 3
    assert len({thread for _, thread in read}) > 1


def test_damage_to_a_segment_that_is_read_ahead_is_named(tmp_path: Path) -> None:
    filled(tmp_path)
    file = sorted(tmp_path.glob("*/*.log"))[2]
    flip(file, 2000, 0)
    with pytest.raises(StorageDamaged) as damage:
        open_real(tmp_path)
    assert file.parent.name in str(damage.value)


def test_a_start_that_ends_early_leaves_nothing_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens the store then has it for himself."""
    filled(tmp_path)
    file = sorted(tmp_path.glob("*/*.log"))[2]
    flip(file, 2000, 0)
    make = SegmentFile.__init__

    def take_long(segment: SegmentFile, *arguments: object) -> None:
        time.sleep(0.05)
        make(segment, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SegmentFile, "__init__", take_long)
    with pytest.raises(StorageDamaged) as damage:  # its traceback holds what the start held
        open_real(tmp_path)
    names = [thread.name for thread in threading.enumerate()]
    assert damage.value.__traceback__ is not None
    assert [name for name in names if "opening segments" in name] == []


def test_the_last_batch_is_there_to_be_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of every other segment that was read is used again."""
    filled(tmp_path)
    newest = next(
        file for file in sorted(tmp_path.glob("*/*.log"), reverse=True) if len(batch_ends(file.read_bytes())) > 1
    )
    begin, end = batch_ends(newest.read_bytes())[-2:]
    written: list[tuple[int, bytes]] = []
    write_at = SystemFile.write_at

    def watch(file: SystemFile, data: bytes, offset: int) -> None:
        written.append((offset, bytes(data)))
        write_at(file, data, offset)

    monkeypatch.setattr(SystemFile, "write_at", watch)
    row = open_real(tmp_path)
    row.put(*record(0, 300), sync=True)
    row.close()
    assert written == [(begin, newest.read_bytes()[begin:end])]


def test_the_memory_of_one_segment_has_room_for_another_one_that_is_a_little_larger(tmp_path: Path) -> None:
    """New memory takes the system about as long as to read into it."""
    row = open_real(tmp_path, create=True)
    for first in range(1, 300):
        row.put(*record(0, first, 300 + first), sync=True)
    row.close()
    sizes = {int(path.parent.name): path.stat().st_size for path in tmp_path.glob("*/*.log")}
    assert len(set(sizes.values())) > 3
    buffers: list[bytearray] = []
    used: list[bytearray | None] = []
    for number in sorted(sizes, key=lambda number: sizes[number]):
        segment = SegmentFile(SystemFiles(), tmp_path, number, buffers)
        used.append(segment._buffer)
        segment.let_go()
    assert all(buffer is used[0] for buffer in used)
