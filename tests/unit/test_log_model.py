"""RaftLog against plain lists, over random histories: the same answers, the same standing, and no memory left behind.

The disk is played beside the log: writes are queued as they are handed out, take effect in order, and are acknowledged
at some later time, also after what they wrote has been replaced.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raftcore.base.errors import Compacted, InvariantViolation, PeerFault, Unavailable
from raftcore.log.log import RaftLog
from raftcore.log.window import live_chunks
from raftcore.values.message import Snapshot
from tests.model.log import UNLIMITED, Broken, Disk, Item, ModelLog, applying_size, decode, encode, encoded_size

PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.integers(0, 255).map(lambda n: bytes([n]) * n),
    st.sampled_from([16_384, 16_385, 70_000]).map(lambda n: b"\xab" * n),
)
KINDS = st.sampled_from([0, 0, 0, 1, 2])
LIMITS = st.one_of(st.just(UNLIMITED), st.integers(0, 400))


class Write:
    """Entries from `first` on, or a snapshot, on the way to the disk."""

    def __init__(self, first: int, items: list[Item], snapshot: Snapshot | None, rewrites: int) -> None:
        self.first = first
        self.items = items
        self.snapshot = snapshot
        self.rewrites = rewrites  # of the log when it was handed out
        self.done = False


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.before = live_chunks()
        self.log: RaftLog | None = None
        self.writes: list[Write] = []
        self.handed: list[tuple[int, int]] = []  # (last index, size) handed out to be applied, not applied yet

    @initialize(
        window_entries=st.sampled_from([0, 1, 3, 10**6]),
        window_bytes=st.sampled_from([0, 30, 10**6]),
        max_applying=st.one_of(st.just(UNLIMITED), st.integers(1, 120)),
        stop_after=st.sampled_from([1, 2, UNLIMITED]),
        base=st.sampled_from([0, 1, 7]),
        stored=st.lists(st.tuples(st.integers(0, 2), PAYLOADS, st.integers(0, 2)), max_size=8),
        told=st.booleans(),
        data=st.data(),
    )
    def begin(
        self,
        window_entries: int,
        window_bytes: int,
        max_applying: int,
        stop_after: int,
        base: int,
        stored: list[tuple[int, bytes, int]],
        told: bool,
        data: st.DataObject,
    ) -> None:
        self.limits = {
            "max_applying_bytes": max_applying,
            "window_max_bytes": window_bytes,
            "window_max_entries": window_entries,
        }
        term = 1 if base else 0
        self.disk = Disk(base, term, [], stop_after)
        term = max(term, 1)
        for step, payload, kind in stored:
            term += step
            self.disk.items.append(Item(term, kind, payload, 10 * term + 9))
        self.told = told
        committed = data.draw(st.integers(base, self.disk.last))
        applied = data.draw(st.integers(base, committed))
        self.start(committed, applied)

    def start(self, committed: int, applied: int) -> None:
        disk = self.disk
        self.log = RaftLog(
            disk, disk.snapshot_index, disk.snapshot_term, disk.last, disk.term_runs(), committed, applied,
            disk.items[-1].time if disk.items else 0, conf_changes=disk.conf_changes() if self.told else None,
            **self.limits,
        )  # fmt: skip
        self.model = ModelLog(
            disk.snapshot_index, disk.snapshot_term, list(disk.items), committed, applied, applied,
            disk.last + 1, disk.last + 1, max_applying=self.limits["max_applying_bytes"],
        )  # fmt: skip
        self.writes.clear()
        self.handed.clear()

    # ---- growing

    @rule(
        payloads=st.lists(PAYLOADS, min_size=1, max_size=5), step=st.integers(0, 2), kind=KINDS, time=st.integers(0, 9)
    )
    def lead(self, payloads: list[bytes], step: int, kind: int, time: int) -> None:
        model, log = self.model, self.log
        term = max(1, model.last_term() + step)
        clock = 10 * term + time
        expected = max(log.last_time(), clock)
        first = model.last + 1
        assert log.append_commands(payloads, term, kind, clock) == first
        model.put(first, [Item(term, kind, payload, expected) for payload in payloads])
        assert log.last_time() == expected

    @rule(
        data=st.data(),
        fresh=st.lists(st.tuples(st.integers(0, 2), KINDS, PAYLOADS), max_size=6),
        commit=st.integers(0, 12),
        wrong=st.booleans(),
    )
    def follow(self, data: st.DataObject, fresh: list[tuple[int, int, bytes]], commit: int, wrong: bool) -> None:
        """An append message: some entries the log has already, then others, possibly in conflict with its own."""
        model, log = self.model, self.log
        prev = data.draw(st.integers(model.snapshot_index, model.last), label="prev")
        same = data.draw(st.integers(prev, model.last), label="same")
        items = list(model.at(prev + 1, same + 1))
        term = model.term(same) or 0
        for step, kind, payload in fresh:
            term = max(1, term + step)
            items.append(Item(term, kind, payload, max(10 * term + 9, items[-1].time if items else 0)))
        prev_term = model.term(prev) + (1 if wrong else 0)
        if wrong and items and items[0].term < prev_term:
            items = []
        entries = encode(prev + 1, items) if items else None
        commit += model.committed - 3 if model.committed > 3 else 0
        if entries is not None:
            assert log.find_conflict(entries) == model.find_conflict(prev + 1, items)
        kept = data.draw(st.sampled_from([0, 0, model.committed, same]), label="kept")
        rewritten = model.rewritten(prev + 1, items, kept)
        conflict = rewritten or model.find_conflict(prev + 1, items)
        before = log.fingerprint()
        try:
            expected = model.maybe_append(prev, prev_term, commit, items, kept)
        except Broken:
            with pytest.raises(PeerFault, match=f"entry {conflict} conflicts with a committed entry"):
                log.maybe_append(prev, prev_term, commit, entries, kept)
            assert log.fingerprint() == before
            return
        assert log.maybe_append(prev, prev_term, commit, entries, kept) == expected
        assert log.unstable.rewrites == model.rewrites

    @rule(data=st.data(), items=st.lists(st.tuples(st.integers(0, 1), PAYLOADS), min_size=1, max_size=4))
    def overwrite(self, data: st.DataObject, items: list[tuple[int, bytes]]) -> None:
        """append() itself, at any place from before the commit index to behind a gap."""
        model, log = self.model, self.log
        first = data.draw(st.integers(max(1, model.committed - 1), model.last + 2), label="first")
        before = log.fingerprint()
        term = max(1, model.term(first - 1) or 0)
        fresh = []
        for step, payload in items:
            term += step
            fresh.append(Item(term, 0, payload, 10 * term + 9))
        try:
            model.put(first, fresh)
        except Broken:
            with pytest.raises((PeerFault, InvariantViolation), match="append of"):
                log.append(encode(first, fresh))
            assert log.fingerprint() == before
            return
        assert log.append(encode(first, fresh)) == model.last

    # ---- durability

    @rule()
    def hand_out_writes(self) -> None:
        model, log = self.model, self.log
        assert log.has_next_unstable() == (model.in_progress <= model.last)
        entries = log.next_unstable()
        snapshot = log.next_unstable_snapshot()
        assert decode(entries) == model.at(model.in_progress, model.last + 1)
        assert snapshot == (None if model.pending_in_progress else model.pending)
        if entries is None and snapshot is None:
            return
        self.writes.append(Write(model.in_progress, decode(entries), snapshot, log.unstable.rewrites))
        log.accept_unstable()
        model.accept_unstable()
        assert log.next_unstable() is None
        assert log.next_unstable_snapshot() is None

    @precondition(lambda self: any(not w.done for w in self.writes))
    @rule()
    def write(self) -> None:
        write = next(w for w in self.writes if not w.done)
        if write.snapshot is not None:
            self.disk.install(write.snapshot.index, write.snapshot.term)
        if write.items:
            self.disk.write(write.first, write.items)
        write.done = True

    @precondition(lambda self: any(w.done for w in self.writes))
    @rule()
    def acknowledge(self) -> None:
        write = self.writes.pop(0)
        model, log = self.model, self.log
        if write.snapshot is not None:
            for each in (log, model):
                each.stable_snapshot_to(write.snapshot.index)
            if write.snapshot.index > model.applied:
                self.handed.clear()
                log.applied_to(write.snapshot.index, 0)
                model.applied_to(write.snapshot.index, 0)
        if write.items and write.rewrites == log.unstable.rewrites:  # the caller's part
            index, term = write.first + len(write.items) - 1, write.items[-1].term
            log.stable_to(index, term)
            model.stable_to(index, term)
        first = max(model.snapshot_index, self.disk.snapshot_index)
        on_disk = self.disk.items[first - self.disk.snapshot_index : model.offset - 1 - self.disk.snapshot_index]
        assert on_disk == model.at(first + 1, model.offset), "what counts as durable the disk holds"

    @rule(data=st.data(), step=st.integers(1, 3))
    def acknowledge_nothing(self, data: st.DataObject, step: int) -> None:
        """Acknowledgements of entries that are not there, or not unstable, change nothing."""
        model, log = self.model, self.log
        index = data.draw(st.integers(0, model.last + 3), label="index")
        term = (model.term(index) or 0) + (step if index >= model.offset else 0)
        before = log.fingerprint()
        log.stable_to(index, term)
        log.stable_snapshot_to(index if model.pending is None else model.pending.index + step)
        assert log.fingerprint() == before

    # ---- committing and applying

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        model, log = self.model, self.log
        index = data.draw(st.integers(max(0, model.committed - 2), model.last + 1), label="index")
        term = data.draw(st.sampled_from([model.term(index) or 0, 0, model.last_term() + 1]), label="term")
        expected = index > model.committed and term != 0 and model.term(index) == term
        assert log.maybe_commit(index, term) == expected
        if expected:
            model.committed = index

    @rule(allow_unstable=st.booleans())
    def hand_out_committed(self, allow_unstable: bool) -> None:
        model, log = self.model, self.log
        expected = model.next_committed(allow_unstable)
        assert log.has_next_committed(allow_unstable) == bool(expected)
        entries = log.next_committed(allow_unstable)
        got = decode(entries)
        if log.window_first <= model.applying + 1:
            assert got == expected
        else:  # the storage cuts by its own measure
            assert got == expected[: len(got)]
            assert bool(got) == bool(expected)
        if entries is None:
            return
        assert entries.first == model.applying + 1
        last, size = model.applying + len(got), applying_size(got)
        log.accept_applying(last, size, allow_unstable)
        model.accept_applying(last, size, allow_unstable)
        self.handed.append((last, size))

    @precondition(lambda self: self.handed)
    @rule()
    def applied(self) -> None:
        last, size = self.handed.pop(0)
        last = max(last, self.model.applied)
        self.log.applied_to(last, size)
        self.model.applied_to(last, size)

    @rule(data=st.data())
    def applied_out_of_range(self, data: st.DataObject) -> None:
        model = self.model
        beyond = data.draw(st.integers(model.committed + 1, model.committed + 3))
        with pytest.raises(InvariantViolation, match="applied of"):
            self.log.applied_to(beyond, 0)
        with pytest.raises(InvariantViolation, match="applying of"):
            self.log.accept_applying(beyond, 0, True)
        with pytest.raises(InvariantViolation, match="commit of"):
            self.log.commit_to(model.last + 1)

    # ---- snapshots

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        model, log = self.model, self.log
        index = data.draw(st.integers(max(0, model.snapshot_index - 1), model.last + 1), label="index")
        try:
            model.compact(index)
        except Broken:
            with pytest.raises(Compacted if index <= model.snapshot_index else Unavailable):
                log.compact(index)
            return
        log.compact(index)
        assert log.first_index() == index + 1

    @precondition(lambda self: self.disk.snapshot_index < self.model.snapshot_index <= self.disk.last)
    @precondition(lambda self: self.model.pending is None)
    @rule()
    def compact_disk(self) -> None:
        self.disk.compact(self.model.snapshot_index)

    @rule(ahead=st.integers(0, 4), data=st.data())
    def restore(self, ahead: int, data: st.DataObject) -> None:
        """Of any term that can follow what is committed: what it takes the place of may be of later ones."""
        model, log = self.model, self.log
        term = data.draw(st.integers(max(1, model.term(model.committed) or 0), model.last_term() + 1), label="term")
        snapshot = Snapshot(model.committed + ahead, term, time_ms=10 * term)
        if snapshot.index == 0:
            return
        model.restore(snapshot)
        log.restore(snapshot)
        if snapshot.index > 1:
            with pytest.raises(InvariantViolation, match="restore of a snapshot"):
                log.restore(Snapshot(snapshot.index - 1, term))
        assert log.snapshot() is snapshot

    # ---- the whole

    @rule(swap=st.booleans())
    def clone(self, swap: bool) -> None:
        copy = self.log.clone()
        copy.check()
        assert copy.fingerprint() == self.log.fingerprint()
        if swap:
            self.log, copy = copy, self.log
        copy.append_commands([b"of the other one"], copy.last_term() + 1, 0, 0)  # must not show here
        assert copy.fingerprint() != self.log.fingerprint()

    @precondition(lambda self: self.model.snapshot_index <= self.disk.last)
    @precondition(lambda self: self.model.pending is None and self.disk.snapshot_index <= self.model.applied)
    @rule()
    def restart(self) -> None:
        model, disk = self.model, self.disk
        if disk.snapshot_index < model.snapshot_index:
            disk.compact(model.snapshot_index)
        committed = min(model.committed, disk.last)
        self.start(committed, min(model.applied, committed))

    # ---- questions

    @rule(data=st.data(), limit=LIMITS)
    def slice(self, data: st.DataObject, limit: int) -> None:
        model, log = self.model, self.log
        first = model.snapshot_index + 1
        lo = data.draw(st.integers(first, model.last + 1), label="lo")
        hi = data.draw(st.integers(lo, model.last + 1), label="hi")
        entries = log.slice(lo, hi, limit)
        if lo == hi:
            assert entries is None
            return
        got = decode(entries)
        assert entries.first == lo
        assert got == model.at(lo, lo + len(got))
        assert len(entries.data) <= limit or len(got) == 1
        if lo >= log.window_first:
            assert lo + len(got) == model.cut(lo, hi, limit)
            assert entries.data == encode(lo, got).data
            assert len(entries.data) == encoded_size(got)
            assert log.slice(lo, hi, limit) is log.slice(lo, hi, limit)
        with pytest.raises(Compacted):
            log.slice(first - 1, hi, limit)
        with pytest.raises(InvariantViolation, match="slice of"):
            log.slice(lo, model.last + 2, limit)
        with pytest.raises(InvariantViolation, match="lo is above hi"):
            log.slice(hi, lo, limit)

    @rule(data=st.data(), term=st.integers(0, 12))
    def conflict_by_term(self, data: st.DataObject, term: int) -> None:
        index = data.draw(st.integers(0, self.model.last + 2), label="index")
        assert self.log.find_conflict_by_term(index, term) == self.model.find_conflict_by_term(index, term)

    @rule(data=st.data())
    def pending_conf_change(self, data: st.DataObject) -> None:
        model = self.model
        lo = data.draw(st.integers(model.snapshot_index + 1, model.last + 1), label="lo")
        hi = data.draw(st.integers(lo, model.last + 1), label="hi")
        reads = self.disk.reads
        assert self.log.has_pending_conf_change(lo, hi) == any(i.kind in (1, 2) for i in model.at(lo, hi))
        assert self.disk.reads == reads or not self.told

    @rule(ahead=st.integers(-2, 2), step=st.integers(-1, 1))
    def up_to_date(self, ahead: int, step: int) -> None:
        model = self.model
        index, term = max(0, model.last + ahead), max(0, model.last_term() + step)
        assert self.log.is_up_to_date(index, term) == ((term, index) >= (model.last_term(), model.last))

    @invariant()
    def same(self) -> None:
        if self.log is None:
            return
        model, log = self.model, self.log
        log.check()
        assert (log.snapshot_index, log.snapshot_term) == (model.snapshot_index, model.snapshot_term)
        assert (log.first_index(), log.last_index()) == (model.snapshot_index + 1, model.last)
        assert (log.committed, log.applying, log.applied) == (model.committed, model.applying, model.applied)
        assert (log.unstable.offset, log.unstable.offset_in_progress) == (model.offset, model.in_progress)
        assert log.unstable.snapshot == model.pending
        assert log.unstable.snapshot_in_progress == model.pending_in_progress
        assert (log.applying_bytes, log.applying_paused) == (model.applying_bytes, model.paused)
        assert log.last_term() == model.last_term()
        indexes = range(max(0, model.snapshot_index - 2), model.last + 3)
        assert [log.term_at(i) for i in indexes] == [model.term(i) for i in indexes]
        # What is durable and applied stays in memory only as far as the window's bounds go.
        kept = min(model.applied, model.offset - 1) - log.window_first + 1
        if kept > 0:
            held = model.at(log.window_first, model.last + 1)
            assert len(held) <= self.limits["window_max_entries"]
            assert sum(16 + len(item.data) for item in held) <= self.limits["window_max_bytes"]
        # What is durable and not applied, as far as that goes, or several times what is applied at once.
        if log.window_first < model.offset:
            held = model.at(log.window_first, model.last + 1)
            most = max(self.limits["window_max_bytes"], 4 * self.limits["max_applying_bytes"])
            assert sum(16 + len(item.data) for item in held) <= most

    def teardown(self) -> None:
        self.log = None
        assert live_chunks() == self.before


class TestLogMachine(LogMachine.TestCase):
    settings = settings(max_examples=80, stateful_step_count=50)
