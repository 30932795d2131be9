"""The storage in memory, against a list."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raftcore.base.errors import Compacted, SnapshotOutOfDate, Unavailable
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.values.message import ConfState, Entries, Entry, HardState, Snapshot
from raftcore.values.storage_view import InitialState, StorageView


def entries(first: int, *terms: int, size: int = 3) -> Entries:
    """One entry a term, from index `first` on; its payload tells index and term apart from any other."""
    return Entries.build(
        [Entry(term, first + at, 0, f"{first + at}/{term}".encode().ljust(size)) for at, term in enumerate(terms)],
        time_ms=first,
    )


class StorageAgainstList(RuleBasedStateMachine):
    """Every sequence of appends, truncations, compactions and snapshots."""

    @initialize()
    def begin(self) -> None:
        self.storage = MemoryStorage()
        self.log: list[Entry] = []
        self.before, self.before_term, self.snapshot_index = 0, 0, 0
        self.highest_term = 1

    @property
    def last(self) -> int:
        return self.before + len(self.log)

    def term_before(self, index: int) -> int:
        return self.log[index - self.before - 2].term if index > self.before + 1 else self.before_term

    @rule(back=st.integers(-3, 8), count=st.integers(1, 5), rise=st.integers(0, 1), size=st.integers(0, 30))
    def append(self, back: int, count: int, rise: int, size: int) -> None:
        first = max(self.last + 1 - back, 1)
        self.highest_term += rise
        new = entries(first, *[max(self.highest_term, 1)] * count, size=size)
        if first > self.last + 1:
            with pytest.raises(Unavailable):
                self.storage.append(new)
            return
        self.storage.append(new)
        kept = [entry for entry in new if entry.index > self.before]
        if kept:
            self.log = [*self.log[: kept[0].index - self.before - 1], *kept]

    @rule(at=st.integers(-2, 8))
    def compact(self, at: int) -> None:
        index = self.before + at
        if at <= 0:
            with pytest.raises(Compacted):
                self.storage.compact(max(index, 0))
        elif index > self.last:
            with pytest.raises(Unavailable):
                self.storage.compact(index)
        else:
            self.storage.compact(index)
            self.before_term = self.log[at - 1].term
            self.log, self.before = self.log[at:], index

    @rule(ahead=st.integers(-1, 5))
    def apply_snapshot(self, ahead: int) -> None:
        snapshot = Snapshot(max(self.snapshot_index + ahead, 0), self.highest_term, ConfState((1, 2)), 0)
        if snapshot.index <= self.snapshot_index:
            with pytest.raises(SnapshotOutOfDate):
                self.storage.apply_snapshot(snapshot)
            return
        self.storage.apply_snapshot(snapshot)
        self.log, self.before, self.before_term = [], snapshot.index, snapshot.term
        self.snapshot_index = snapshot.index

    @precondition(lambda self: self.log and self.last > self.snapshot_index)
    @rule(back=st.integers(0, 3))
    def create_snapshot(self, back: int) -> None:
        index = max(self.last - back, self.before + 1, self.snapshot_index + 1)
        made = self.storage.create_snapshot(index, ConfState((3,)), index)
        assert (made.index, made.term, made.conf_index) == (index, self.log[index - self.before - 1].term, index)
        assert self.storage.snapshot() == made
        self.snapshot_index = index

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        lo = data.draw(st.integers(self.before + 1, self.last))
        hi = data.draw(st.integers(lo + 1, self.last + 1))
        wanted = self.log[lo - self.before - 1 : hi - self.before - 1]
        assert list(self.storage.entries(lo, hi)) == wanted
        limit = data.draw(st.integers(0, 400))
        limited = self.storage.entries(lo, hi, limit)
        assert list(limited) == wanted[: len(limited)]
        assert len(limited.data) <= limit or len(limited) == 1
        if len(limited) < len(wanted):
            assert len(self.storage.entries(lo, lo + len(limited) + 1).data) > limit, "one more would have fitted"

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "log"):
            return
        assert self.storage.valid()
        assert (self.storage.first_index, self.storage.last_index) == (self.before + 1, self.last)
        assert self.storage.term(self.before) == self.before_term
        assert [self.storage.term(entry.index) for entry in self.log] == [entry.term for entry in self.log]
        state = self.storage.initial_state()
        assert (state.snapshot_index, state.snapshot_term, state.last_index) == (
            self.before,
            self.before_term,
            self.last,
        )
        assert expanded(state) == {entry.index: entry.term for entry in self.log}


def expanded(state: InitialState) -> dict[int, int]:
    """Index -> term of the whole log, from the runs."""
    ends = [first for first, _ in state.term_runs[1:]] + [state.last_index + 1]
    return {
        index: term for (first, term), end in zip(state.term_runs, ends, strict=False) for index in range(first, end)
    }


TestStorage = StorageAgainstList.TestCase
TestStorage.settings = settings(max_examples=60, stateful_step_count=30)


def test_it_is_a_storage_view() -> None:
    assert isinstance(MemoryStorage(), StorageView)


def test_an_empty_one_is_the_very_first_start() -> None:
    assert MemoryStorage().initial_state() == InitialState()


def test_hard_state_and_time_are_part_of_what_a_node_starts_from() -> None:
    storage = MemoryStorage(HardState(3, 2, 1))
    storage.append(entries(1, 1, 1))
    storage.append(entries(3, 2, 2))
    assert storage.initial_state() == InitialState(
        hard_state=HardState(3, 2, 1), last_index=4, term_runs=((1, 1), (3, 2)), last_time_ms=3
    )
    storage.set_hard_state(HardState(4, 0, 4))
    assert storage.initial_state().hard_state == HardState(4, 0, 4)


def test_a_snapshot_keeps_the_configuration_unless_it_is_given_another() -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(5, 1, ConfState((1, 2)), 3))
    storage.append(entries(6, 2, 2))
    made = storage.create_snapshot(6)
    assert made == Snapshot(6, 2, ConfState((1, 2)), 3, time_ms=6)
    assert storage.first_index == 6, "the log stays until it is compacted"
    with pytest.raises(SnapshotOutOfDate, match="requested index is older than the existing snapshot"):
        storage.create_snapshot(6)


def test_reading_outside_of_the_log() -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(5, 1, ConfState((1,))))
    storage.append(entries(6, 1, 1))
    with pytest.raises(Compacted, match="unavailable due to compaction"):
        storage.entries(5, 7)
    with pytest.raises(Unavailable, match="entry at index is unavailable"):
        storage.entries(6, 9)
    with pytest.raises(ValueError, match="entries from 7 to 7: the end must be above the start"):
        storage.entries(7, 7)
    with pytest.raises(Compacted):
        storage.term(4)
    with pytest.raises(Unavailable):
        storage.term(8)
