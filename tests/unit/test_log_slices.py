"""Slices of a log: where they are cut, and who shares them."""

from __future__ import annotations

import pytest

from raftcore.base.errors import Compacted, InvariantViolation
from raftcore.log.log import RaftLog
from raftcore.values.message import Entries, Snapshot
from tests.model.log import UNLIMITED, Disk, Item, decode, encode, encoded_size
from tests.unit.logs import CONF_CHANGE, CONF_CHANGE_V2, NOOP, NORMAL, ents, item, log_of, stored

# ---- slices


def test_slice_is_cut_by_encoded_size() -> None:
    log = log_of(1, 1, 2, 2)
    one = 40 + 4 + 2
    assert encoded_size([item(1), item(1)]) == one + 6
    sizes = {0: 1, 1: 1, one: 1, one + 5: 1, one + 6: 2, 2 * one + 5: 2, 2 * one + 6: 3, 2 * one + 12: 4, UNLIMITED: 4}
    assert {limit: len(log.slice(1, 5, limit)) for limit in sizes} == sizes
    assert [e.index for e in log.slice(2, 4, UNLIMITED)] == [2, 3]
    assert log.slice(3, 3, UNLIMITED) is None
    assert log.slice(5, 5, UNLIMITED) is None


def test_the_same_slice_is_the_same_object() -> None:
    """The storage's and every follower's, also when they were asked for in other ways."""
    log = log_of(1, 1, 1)
    whole = log.slice(1, 4, UNLIMITED)
    assert log.next_unstable() is whole
    assert log.slice(1, 4, 1000) is whole
    log.commit_to(3)
    assert log.next_committed(True) is whole
    assert log.slice(1, 3, UNLIMITED) is not whole
    log.append(ents(4, 1))
    assert log.slice(1, 4, UNLIMITED) is whole


def test_a_limit_means_another_slice_when_it_counts_otherwise() -> None:
    """60 bytes hold one of these entries as blocks, and two of them to be applied."""
    log = RaftLog(Disk(), max_applying_bytes=60)
    log.append(encode(1, [item(1, bytes(10)), item(1, bytes(10))]))
    log.commit_to(2)
    assert len(log.slice(1, 3, 60)) == 1
    assert len(log.next_committed(True)) == 2
    assert len(log.slice(1, 3, 60)) == 1


@pytest.mark.parametrize("lo", [1, 2])
def test_a_slice_of_what_is_compacted_is_given_back(lo: int) -> None:
    log = log_of()
    for _ in range(4):
        log.append_commands([bytes(1000)], 1, 0, 0)
    log.commit_to(2)
    log.stable_to(2, 1)
    log.applied_to(2, 0)
    before = log.memory_bytes()
    log.slice(lo, 5, UNLIMITED)
    log.slice(3, 5, UNLIMITED)
    assert log.memory_bytes() - before == encoded_size([item(1, bytes(1000))] * (5 - lo)) + 40 + 2008
    log.compact(2)
    assert log.memory_bytes() - before <= 40 + 2008


def test_a_slice_is_given_back_once_all_of_it_is_applied_and_durable() -> None:
    log = log_of()
    log.append_commands([bytes(1000)] * 4, 1, 0, 0)
    empty = log.memory_bytes()
    for lo, hi in ((3, 5), (1, 3), (2, 4)):  # the last to end is asked for first
        log.slice(lo, hi, UNLIMITED)
    each = encoded_size([item(1, bytes(1000))] * 2)
    log.commit_to(4)
    left = []
    for index in range(1, 5):
        log.stable_to(index, 1)
        log.applied_to(index, 0)
        left.append((log.memory_bytes() - empty) // each)
    assert left == [3, 2, 1, 0]


def test_entries_appended_whole_are_given_back_as_they_came() -> None:
    log = log_of(1)
    entries = encode(2, [item(1, b"a"), item(2, b"b"), Item(2, 0, b"c", 5)])
    log.append(entries)
    assert log.next_unstable() != entries  # the one before it is as new
    assert log.slice(2, 5, UNLIMITED) is entries
    assert log.slice(2, 5, len(entries.data)) is entries
    assert len(log.slice(2, 5, len(entries.data) - 1)) == 2
    assert log.slice(3, 5, UNLIMITED).data == entries.slice(3, 5).data
    log.append(encode(4, [item(2, b"d")]))
    assert [e.data for e in log.slice(2, 5, UNLIMITED)] == [b"a", b"b", b"d"]


def test_entries_that_the_log_would_write_otherwise_are_not_given_back_as_they_came() -> None:
    log = log_of()
    log.append(encode(1, [Item(1, 0, b"x", 9)]))
    log.append(encode(2, [Item(1, 0, b"late", 4)]))  # log time never goes back
    assert [run[4] for run in log.slice(2, 3, UNLIMITED).runs()] == [9]
    in_two = Entries.decode(encode(3, [Item(1, 0, b"a", 9)]).data + encode(4, [Item(1, 0, b"b", 9)]).data)
    log.append(in_two)
    assert in_two.blocks == 2
    assert log.slice(3, 5, UNLIMITED).blocks == 1
    known = encode(4, [Item(1, 0, b"B", 9), Item(1, 0, b"c", 9)])  # no correct leader says so: 4 is b"b"
    assert log.maybe_append(3, 1, 0, known, kept=4) == 5
    assert [e.data for e in log.slice(4, 6, UNLIMITED)] == [b"b", b"c"]


def test_a_slice_does_not_outlive_its_entries() -> None:
    log = log_of(1, 1, 1)
    assert [e.term for e in log.slice(1, 4, UNLIMITED)] == [1, 1, 1]
    assert len(log.slice(1, 4, 40 + 6 + 6)) == 2
    log.append(encode(3, [item(2, b"new")]))
    assert [e.term for e in log.slice(1, 4, UNLIMITED)] == [1, 1, 2]


def test_an_entry_that_did_not_fit_is_replaced_by_one_that_does() -> None:
    log = RaftLog(Disk())
    log.append(encode(1, [item(1, b"x"), item(1, b"x" * 100)]))
    limit = encoded_size([item(1, b"x"), item(2, b"y")])
    assert len(log.slice(1, 3, limit)) == 1
    log.append(encode(2, [item(2, b"y")]))
    assert len(log.slice(1, 3, limit)) == 2


def test_a_slice_may_begin_on_the_disk_and_end_in_memory() -> None:
    log = stored(1, 1, 2)
    log.append(ents(4, 2, 3))
    assert log.window_first == 4
    whole = log.slice(1, 6, UNLIMITED)
    assert decode(whole) == [item(t) for t in (1, 1, 2, 2, 3)]
    assert (whole.first, whole.count, whole.first_term, whole.last_term, whole.payload_size) == (1, 5, 1, 3, 10)
    assert Entries.decode(whole.data) == whole
    size = encoded_size([item(1), item(1), item(2)])
    assert len(log.slice(1, 6, size)) == 3
    assert len(log.slice(1, 6, size + 45)) == 3
    assert len(log.slice(1, 6, size + 46)) == 4
    assert [e.index for e in log.slice(2, 4, UNLIMITED)] == [2, 3]
    log.storage.stop_after = 2
    assert [e.index for e in log.slice(1, 6, UNLIMITED)] == [1, 2]


def test_log_time_never_goes_back() -> None:
    """Behind a restored snapshot, whose log time is not known, a leader's may: the log keeps to the newest it has seen.

    A slice that ended there would leave entries behind that are then taken to be handed out.
    """
    log = log_of()
    log.append_commands([b"x"], 1, NORMAL, 500)
    log.restore(Snapshot(5, 1))
    log.append(encode(6, [Item(1, NORMAL, b"a", 700), Item(1, NORMAL, b"b", 800)]))
    log.append(encode(8, [Item(1, NORMAL, b"c", 100)]))
    log.check()
    assert [e.index for e in log.slice(6, 9, UNLIMITED)] == [6, 7, 8]
    assert [run[4] for run in log.slice(6, 9, UNLIMITED).runs()] == [700, 800]
    assert log.last_time() == 800


@pytest.mark.parametrize(
    ("lo", "hi", "answer"), [(1, 3, True), (2, 3, True), (1, 2, False), (3, 5, False), (3, 6, True), (4, 4, False)]
)
@pytest.mark.parametrize("where", ["memory", "disk", "both"])
@pytest.mark.parametrize("stop_after", [1, UNLIMITED])
@pytest.mark.parametrize("told", [False, True])
def test_has_pending_conf_change(lo: int, hi: int, answer: bool, where: str, stop_after: int, told: bool) -> None:
    items = [item(1), item(1, b"c", CONF_CHANGE), item(1), item(1, kind=NOOP), item(1, b"d", CONF_CHANGE_V2)]
    on_disk = {"memory": 0, "disk": 5, "both": 2}[where]
    disk = Disk(0, 0, items[:on_disk], stop_after)
    log = RaftLog(disk, 0, 0, on_disk, disk.term_runs(), conf_changes=disk.conf_changes() if told else None)
    if on_disk < 5:
        log.append(encode(on_disk + 1, items[on_disk:]))
    log.check()
    assert log.has_pending_conf_change(lo, hi) is answer
    assert disk.reads == 0 or not told
    with pytest.raises(InvariantViolation, match="last index is 5"):
        log.has_pending_conf_change(1, 7)
    with pytest.raises(Compacted):
        log.has_pending_conf_change(0, 3)


def test_configuration_changes_stay_known_while_the_log_changes() -> None:
    """What is cut off, compacted or replaced by a snapshot is one no more; what has left the memory still is one."""
    items = [item(1, b"c", CONF_CHANGE), item(1), item(1, b"d", CONF_CHANGE_V2), item(1)]
    disk = Disk(0, 0, items)
    log = RaftLog(disk, 0, 0, 4, disk.term_runs(), 1, 1, conf_changes=[1, 3], window_max_entries=0)
    assert [log.has_pending_conf_change(i, i + 1) for i in range(1, 5)] == [True, False, True, False]
    log.maybe_append(2, 1, 0, encode(3, [item(2), item(2, b"e", CONF_CHANGE), item(2, b"f", CONF_CHANGE)]))
    log.check()
    assert [log.has_pending_conf_change(i, i + 1) for i in range(1, 6)] == [True, False, False, True, True]
    disk.write(3, [item(2), item(2, b"e", CONF_CHANGE), item(2, b"f", CONF_CHANGE)])
    log.accept_unstable()
    log.stable_to(5, 2)
    log.commit_to(4)
    log.accept_applying(4, 0, False)
    log.applied_to(4, 0)
    log.compact(4)
    log.check()
    assert log.window_first > 4
    copy = log.clone()
    copy.check()
    assert log.has_pending_conf_change(5, 6)
    assert copy.has_pending_conf_change(5, 6)
    log.restore(Snapshot(9, 3))
    log.append_commands([b"g", b"h"], 3, CONF_CHANGE, 0)
    log.append_commands([b"i"], 3, NORMAL, 0)
    log.check()
    assert [log.has_pending_conf_change(i, i + 1) for i in range(10, 13)] == [True, True, False]
    assert not log.has_pending_conf_change(12, 12)
    assert copy.has_pending_conf_change(5, 6)
    assert disk.reads == 1  # for the log time of the entry before those that were replaced


def test_what_nobody_has_named_ends_where_the_log_is_cut() -> None:
    """Which entries of the disk are changes is read from there; what took the place of some is known."""
    disk = Disk(0, 0, [item(1), item(1), item(1, b"d", CONF_CHANGE_V2), item(1)])
    log = RaftLog(disk, 0, 0, 4, disk.term_runs())
    log.maybe_append(2, 1, 0, encode(3, [item(2), item(2)]))
    log.check()
    assert [log.has_pending_conf_change(i, i + 1) for i in range(1, 5)] == [False] * 4
