"""What a store says that it has written is what came to its files, and of how many bytes of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftpy.contracts.snapshots import complete
from raftpy.contracts.storage import Written
from raftpy.contracts.types import StoreOwner
from raftpy.storage.leveldb.segment import HEADER_END, Made, Write
from tests.storage.snapshots import MACHINE, raw, ref, write
from tests.storage.support import MEMBERS, Disk, append, entries, payload, submit
from tests.storage.test_space import SIZE, Place


def payloads(first: int, count: int, term: int) -> int:
    return sum(len(payload(index, term)) for index in range(first, first + count))


def test_the_log_and_the_commands_in_it() -> None:
    place = Place()
    store = place.open()
    begun = store.written()
    assert (begun.commands, begun.snapshots) == (0, 0)
    assert begun.log == place.written() - HEADER_END
    submit(store, [append(entries(1, 50, 1), term=1)])
    submit(store, [append(entries(51, 10, 1), term=1)])
    # Of what is replaced within a batch nothing is written; what was written before counts, replaced or not.
    submit(store, [append(entries(61, 9, 1), term=1), append(entries(61, 5, 2), term=2)])
    submit(store, [append(entries(60, 2, 3), term=3)])
    said = store.written()
    assert said.commands == payloads(1, 60, 1) + payloads(61, 5, 2) + payloads(60, 2, 3)
    assert said.log == place.written() - HEADER_END
    assert said.log > said.commands + begun.log
    store.close()
    again = place.open()
    assert again.written().commands == 0, "it counts from when it was opened"
    again.close()


def test_what_is_moved_from_old_segments_counts_for_the_log_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    done = 0
    framed = Made.write

    def noting(made: Made, writes: list[Write]) -> list[int]:
        nonlocal done
        begin = made.end
        try:
            return framed(made, writes)
        finally:
            done += made.end - begin

    monkeypatch.setattr(Made, "write", noting)
    place = Place()
    store = place.open(StoreOwner(1, MEMBERS, groups={1: (1, 2)}))
    submit(store, [append(entries(1, 100, 1), term=1, vote=2)], 1)
    commands = payloads(1, 100, 1)
    for first in range(1, 10_000, 20):
        submit(store, [append(entries(first, 20, 1), term=1, commit=first)])
        commands += payloads(first, 20, 1)
        if first > 200 and first % 100 == 1:
            store.group(0).compact(first - 200)
        place.executor.run()
    said = store.written()
    assert said.commands == commands
    segments = done // SIZE + 1
    assert segments > 5
    assert done - 100 * segments < said.log <= done, "but for the word with which a segment names the next"
    store.close()


def test_snapshots_that_are_complete(tmp_path: Path) -> None:
    disk, other = Disk("leveldb", tmp_path / "node1"), Disk("leveldb", tmp_path / "node2")
    store, _ = disk.open()
    assert store.written().snapshots == 0
    first = write(store.snapshots, ref(3))
    writer = store.snapshots.begin(ref(4))
    writer.abort()
    assert store.written().snapshots == first.size
    second = write(store.snapshots, ref(5))
    of_another_group = write(store.snapshots, ref(5, group=1))
    assert store.written().snapshots == first.size + second.size + of_another_group.size
    complete(store.snapshots.retain(0, 1))
    assert store.written().snapshots == first.size + second.size + of_another_group.size, "what is deleted was written"
    taker, _ = other.open()
    receiver = complete(taker.snapshots.receive(second))
    receiver.write(raw(store.snapshots, ref(5)))
    assert taker.written().snapshots == 0
    complete(receiver.finish())
    assert taker.written().snapshots == second.size
    store, _ = disk.reopen(store)
    assert store.written() == Written(0, store.written().log, 0)


def test_of_one_that_is_gone_on_with_what_this_process_has_received(tmp_path: Path) -> None:
    disk, other = Disk("leveldb", tmp_path / "node1"), Disk("leveldb", tmp_path / "node2")
    giver, _ = other.open()
    sent = write(giver.snapshots, ref(5), [(MACHINE, bytes(1_000_000))])
    data = raw(giver.snapshots, ref(5))
    taker, _ = disk.open()

    def receive(until: int) -> int:
        """Where it has begun."""
        receiver = complete(taker.snapshots.receive(sent))
        begin = receiver.position
        receiver.write(data[begin:until])
        if until == len(data):
            complete(receiver.finish())
        else:
            receiver.close()
        return begin

    receive(400_000)
    assert taker.written().snapshots == 0
    taker, _ = disk.reopen(taker)
    begin = receive(700_000)
    assert 0 < begin <= 400_000
    second = receive(len(data))
    assert taker.written().snapshots == (700_000 - begin) + (len(data) - second), "not what the process before received"
    # What was given up does not count, nor does what is left of it.
    third = write(giver.snapshots, ref(6), [(MACHINE, bytes(300_000))])
    receiver = complete(taker.snapshots.receive(third))
    receiver.write(raw(giver.snapshots, ref(6))[:200_000])
    receiver.abort()
    before = taker.written().snapshots
    receiver = complete(taker.snapshots.receive(third))
    receiver.write(raw(giver.snapshots, ref(6)))
    complete(receiver.finish())
    assert taker.written().snapshots == before + third.size
