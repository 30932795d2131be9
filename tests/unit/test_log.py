"""RaftLog case by case: the rules of paper 5.3 and 5.4, and where the log keeps what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftcore.errors import Compacted, ConfigError, InvariantViolation, PeerFault, Unavailable
from raftcore.log import RaftLog
from raftcore.message import Entries, Snapshot
from raftcore.window import live_chunks
from tests.model.log import UNLIMITED, Disk, Item, decode, encode, encoded_size

NORMAL, CONF_CHANGE, CONF_CHANGE_V2, NOOP = range(4)


def item(term: int, data: bytes = b"", kind: int = NORMAL) -> Item:
    return Item(term, kind, data or (b"" if kind == NOOP else b"t%d" % term), 0)


def ents(first: int, *terms: int) -> Entries | None:
    """Entries from `first` on with these terms; None without terms."""
    return encode(first, [item(t) for t in terms]) if terms else None


def log_of(*terms: int, base: int = 0, base_term: int = 0, committed: int = 0, durable: bool = False) -> RaftLog:
    """A log behind a snapshot at `base` with entries of these terms, in memory, and durable if asked for."""
    disk = Disk(base, base_term)
    log = RaftLog(disk, base, base_term)
    if terms:
        log.append(ents(base + 1, *terms))
        if durable:
            disk.write(base + 1, [item(t) for t in terms])
            log.accept_unstable()
            log.stable_to(base + len(terms), terms[-1])
    log.commit_to(committed)
    log.check()
    return log


def stored(*terms: int, base: int = 0, base_term: int = 0, committed: int = 0, applied: int = 0) -> RaftLog:
    """The same after a restart: all entries are on the disk only."""
    disk = Disk(base, base_term, [item(t) for t in terms])
    log = RaftLog(disk, base, base_term, disk.last, disk.term_runs(), committed, applied)
    log.check()
    return log


def terms(log: RaftLog) -> list[int]:
    """Term of the snapshot, and of each entry."""
    return [log.term_at_(i) for i in range(log.snapshot_index, log.last_index() + 1)]


BOTH = pytest.mark.parametrize("make", [log_of, stored], ids=["memory", "disk"])


# ---- find_conflict: the first entry that is not there with the same term (paper 5.3)


@BOTH
@pytest.mark.parametrize(
    ("first", "given", "conflict"),
    [
        # all of it is there
        (1, (1, 2, 2), 0),
        (2, (2, 2), 0),
        (3, (2,), 0),
        (4, (4, 4, 4), 0),
        # all of it is there, and more
        (1, (1, 2, 2, 4, 4, 4, 4, 4), 7),
        (3, (2, 4, 4, 4, 5), 7),
        (7, (4,), 7),
        (7, (4, 5), 7),
        (9, (9,), 9),  # not even next to it
        # a conflict, at the beginning, at the end and in the middle of a run
        (1, (3, 3), 1),
        (2, (1, 4, 4), 2),
        (3, (1, 2, 4, 4), 3),
        (3, (2, 3), 4),
        (4, (4, 5), 5),
        (5, (4, 5, 5), 6),
        (6, (5,), 6),
        (4, (2, 4), 4),
    ],
)
def test_find_conflict(make: Callable[..., RaftLog], first: int, given: tuple[int, ...], conflict: int) -> None:
    assert make(1, 2, 2, 4, 4, 4).find_conflict(ents(first, *given)) == conflict


def test_find_conflict_with_what_is_compacted() -> None:
    log = log_of(3, 3, base=5, base_term=2)
    assert log.find_conflict(ents(4, 2, 2, 3)) == 4  # not known any more: not the same
    assert log.find_conflict(ents(5, 2, 3, 3)) == 0  # the snapshot's own term is known
    assert log.find_conflict(ents(5, 1, 3, 3)) == 5


def test_find_conflict_looks_at_terms_not_at_blocks() -> None:
    """One term may be cut into many blocks (kind, time): their borders mean nothing."""
    log = log_of(1, 1, 1, 1)
    kinds = [item(1, kind=CONF_CHANGE), item(1), item(1, kind=NOOP), item(1)]
    assert encode(1, kinds).blocks == 4
    assert log.find_conflict(encode(1, kinds)) == 0
    assert log.find_conflict(encode(2, kinds)) == 5


# ---- find_conflict_by_term: where two logs may still agree


@BOTH
@pytest.mark.parametrize(
    ("index", "term", "found"),
    [
        # (base 2, term 1), then 2 2 4 4 5 at 3..7
        (7, 9, (7, 5)),
        (7, 5, (7, 5)),
        (7, 4, (6, 4)),
        (7, 3, (4, 2)),
        (7, 2, (4, 2)),
        (7, 1, (2, 1)),
        (7, 0, (1, 0)),  # below the snapshot nothing is known: a possible match
        (6, 4, (6, 4)),
        (5, 4, (5, 4)),
        (5, 3, (4, 2)),
        (3, 2, (3, 2)),
        (3, 1, (2, 1)),
        (2, 1, (2, 1)),
        (2, 0, (1, 0)),
        (1, 7, (1, 0)),
        (0, 7, (0, 0)),
        (8, 3, (8, 0)),  # behind the end
        (100, 3, (100, 0)),
    ],
)
def test_find_conflict_by_term(
    make: Callable[..., RaftLog], index: int, term: int, found: tuple[int, int]
) -> None:
    assert make(2, 2, 4, 4, 5, base=2, base_term=1).find_conflict_by_term_(index, term) == found


@pytest.mark.parametrize(("index", "term", "found"), [(3, 0, (0, 0)), (1, 0, (0, 0)), (2, 1, (1, 1)), (0, 5, (0, 0))])
def test_find_conflict_by_term_down_to_the_beginning(index: int, term: int, found: tuple[int, int]) -> None:
    assert log_of(1, 2, 3).find_conflict_by_term_(index, term) == found


def test_find_conflict_by_term_next_to_the_beginning() -> None:
    assert log_of(3, 3, base=1, base_term=2).find_conflict_by_term_(3, 1) == (0, 0)


# ---- terms


@BOTH
def test_terms_are_known_from_the_snapshot_to_the_end(make: Callable[..., RaftLog]) -> None:
    log = make(2, 3, 3, base=4, base_term=1)
    assert [log.term_at_(i) for i in range(3, 9)] == [None, 1, 2, 3, 3, None]
    assert [log.term_or_zero(i) for i in range(3, 9)] == [0, 1, 2, 3, 3, 0]
    assert log.term_runs() == [(4, 1), (5, 2), (6, 3)]
    assert log.match_term(4, 1)
    assert not log.match_term(4, 2)
    assert not log.match_term(3, 0)  # unknown is not "term 0"
    assert not log.match_term(8, 0)


def test_before_the_first_entry_lies_term_zero() -> None:
    log = log_of()
    assert log.match_term(0, 0)
    assert (log.first_index(), log.last_index(), log.last_term()) == (1, 0, 0)


def test_a_run_goes_on_from_the_snapshot() -> None:
    log = log_of(2, 2, base=4, base_term=2)
    assert log.term_runs() == [(4, 2)]
    assert terms(log) == [2, 2, 2]


# ---- is_up_to_date (paper 5.4.1)


@BOTH
@pytest.mark.parametrize(
    ("index", "term", "answer"),
    [
        # a later term wins, whatever the length
        (2, 4, True),
        (3, 4, True),
        (4, 4, True),
        (0, 4, True),
        # an earlier term loses, whatever the length
        (2, 2, False),
        (3, 2, False),
        (400, 2, False),
        # the same term: the longer log wins, the same length is good enough
        (2, 3, False),
        (3, 3, True),
        (4, 3, True),
    ],
)
def test_is_up_to_date(make: Callable[..., RaftLog], index: int, term: int, answer: bool) -> None:
    assert make(1, 2, 3).is_up_to_date(index, term) is answer


# ---- maybe_append: the follower's side of AppendEntries (paper 5.3)


@BOTH
@pytest.mark.parametrize(
    ("prev", "prev_term", "commit", "given", "last_new", "terms_after", "commit_after"),
    [
        # no such predecessor
        (3, 2, 3, (4,), None, [0, 1, 2, 3], 1),
        (4, 3, 3, (4,), None, [0, 1, 2, 3], 1),
        (4, 4, 3, (4,), None, [0, 1, 2, 3], 1),
        # behind the end
        (3, 3, 1, (), 3, [0, 1, 2, 3], 1),
        (3, 3, 3, (), 3, [0, 1, 2, 3], 3),
        (3, 3, 4, (), 3, [0, 1, 2, 3], 3),  # commit: no further than what was checked
        (3, 3, 0, (4,), 4, [0, 1, 2, 3, 4], 1),  # commit never goes back
        (3, 3, 3, (4,), 4, [0, 1, 2, 3, 4], 3),
        (3, 3, 4, (4,), 4, [0, 1, 2, 3, 4], 4),
        (3, 3, 5, (4,), 4, [0, 1, 2, 3, 4], 4),
        (3, 3, 5, (4, 4), 5, [0, 1, 2, 3, 4, 4], 5),
        # what is there already stays, and what follows it (the message may be an old one)
        (0, 0, 3, (), 0, [0, 1, 2, 3], 1),
        (0, 0, 3, (1,), 1, [0, 1, 2, 3], 1),
        (1, 1, 3, (2,), 2, [0, 1, 2, 3], 2),
        (0, 0, 9, (1, 2), 2, [0, 1, 2, 3], 2),
        (1, 1, 9, (2, 3), 3, [0, 1, 2, 3], 3),
        (1, 1, 3, (2, 3, 3), 4, [0, 1, 2, 3, 3], 3),
        # a conflict: everything from there on is replaced
        (2, 2, 3, (4,), 3, [0, 1, 2, 4], 3),
        (1, 1, 3, (4,), 2, [0, 1, 4], 2),
        (1, 1, 1, (4, 4), 3, [0, 1, 4, 4], 1),
        (1, 1, 3, (2, 4), 3, [0, 1, 2, 4], 3),
        (1, 1, 1, (1, 1, 1, 1), 5, [0, 1, 1, 1, 1, 1], 1),
        (0, 0, 1, (1, 2, 5, 6), 4, [0, 1, 2, 5, 6], 1),
    ],
)
def test_maybe_append(
    make: Callable[..., RaftLog], prev: int, prev_term: int, commit: int, given: tuple[int, ...],
    last_new: int | None, terms_after: list[int], commit_after: int,
) -> None:  # fmt: skip
    log = make(1, 2, 3, committed=1)
    assert log.maybe_append_(prev, prev_term, commit, ents(prev + 1, *given)) == last_new
    log.check()
    assert terms(log) == terms_after
    assert log.committed == commit_after
    assert [i.term for i in decode(log.slice(1, log.last_index() + 1, UNLIMITED))] == terms_after[1:]


@BOTH
@pytest.mark.parametrize(
    ("prev", "prev_term", "entries", "text"),
    [
        (0, 0, ents(1, 4), r"entry 1 conflicts with a committed entry \(committed is 2\)"),
        (0, 0, ents(1, 1, 3, 3), "entry 2 conflicts"),
        (1, 1, ents(2, 9, 9, 9, 9), "entry 2 conflicts"),
        (3, 3, ents(5, 3), "entries begin at 5, but follow 3"),
        (3, 3, ents(3, 3), "entries begin at 3, but follow 3"),
        (3, 3, ents(4, 2, 5), "entry 4 has term 2, the one before it 3"),
    ],
)
def test_what_no_correct_leader_sends_changes_nothing(
    make: Callable[..., RaftLog], prev: int, prev_term: int, entries: Entries, text: str
) -> None:
    log = make(1, 2, 3, committed=2)
    before = log.fingerprint()
    with pytest.raises(PeerFault, match=text):
        log.maybe_append_(prev, prev_term, 3, entries)
    assert log.fingerprint() == before
    log.check()


def test_a_compacted_predecessor_does_not_match() -> None:
    log = log_of(2, 2, base=5, base_term=2)
    assert log.maybe_append_(4, 2, 0, ents(5, 2)) is None
    assert log.maybe_append_(5, 2, 0, ents(6, 2, 2, 2)) == 8


# ---- append


@BOTH
@pytest.mark.parametrize(
    ("first", "given", "terms_after", "offset"),
    [
        (3, (2,), [0, 1, 2, 2], 3),
        (3, (4, 5), [0, 1, 2, 4, 5], 3),
        (1, (2,), [0, 2], 1),  # replaces all of it
        (2, (3, 3), [0, 1, 3, 3], 2),  # replaces the second
    ],
)
def test_append(
    make: Callable[..., RaftLog], first: int, given: tuple[int, ...], terms_after: list[int], offset: int
) -> None:
    log = make(1, 2, durable=True) if make is log_of else make(1, 2)
    assert log.append(ents(first, *given)) == len(terms_after) - 1
    log.check()
    assert terms(log) == terms_after
    assert log.unstable.offset == offset
    assert [i.term for i in decode(log.next_unstable())] == terms_after[offset:]


def test_append_refuses_what_would_break_the_log() -> None:
    log = log_of(1, 2, 3, committed=2)
    before = log.fingerprint()
    with pytest.raises(PeerFault, match="append of 2 would replace committed entries"):
        log.append(ents(2, 4))
    with pytest.raises(InvariantViolation, match="append of 5 behind last index 3"):
        log.append(ents(5, 4))
    with pytest.raises(InvariantViolation, match="append of term 1 behind term 2"):
        log.append(ents(3, 1))
    assert log.fingerprint() == before


def test_append_commands() -> None:
    log = log_of(1, 2)
    assert log.append_commands([b"x", b"", b"yy"], 3, NORMAL, 70) == 3
    assert log.append_commands((b"z",), 3, CONF_CHANGE, 60) == 6  # the clock went back, the log time does not
    assert log.append_commands([b""], 4, NOOP, 80) == 7
    log.check()
    assert decode(log.slice(3, 8, UNLIMITED)) == [
        Item(3, NORMAL, b"x", 70),
        Item(3, NORMAL, b"", 70),
        Item(3, NORMAL, b"yy", 70),
        Item(3, CONF_CHANGE, b"z", 70),
        Item(4, NOOP, b"", 80),
    ]
    assert log.last_time() == 80


@pytest.mark.parametrize(
    ("commands", "term", "kind", "error", "text"),
    [
        ([b"a", "b"], 3, NORMAL, TypeError, "command 1 must be bytes, got str"),
        ([b"a", None], 3, NORMAL, TypeError, "command 1 must be bytes, got NoneType"),
        ([b"a", bytearray(b"b")], 3, NORMAL, TypeError, "command 1 must be bytes, got bytearray"),
        (b"ab", 3, NORMAL, TypeError, "command 0 must be bytes, got int"),
        (7, 3, NORMAL, TypeError, "commands must be a sequence of bytes"),
        ([], 3, NORMAL, ValueError, "no commands: at least 1 expected"),
        ([b"a"], 3, 4, ValueError, r"kind must be an EntryKind \(0 to 3\), got 4"),
        ([b"a"], 3, -1, ValueError, "got -1"),
        ([b"", b"a"], 3, NOOP, ValueError, "a no-op has 1 bytes of payload, 0 allowed"),
        ([b"a"], 1, NORMAL, InvariantViolation, "append of term 1 behind term 2"),
        ([b"a"], 0, NORMAL, InvariantViolation, "append of term 0 behind term 2"),
    ],
)
def test_append_commands_checks_all_before_it_changes_anything(
    commands: object, term: int, kind: int, error: type[Exception], text: str
) -> None:
    log = log_of(1, 2)
    before, chunks = log.fingerprint(), live_chunks()
    with pytest.raises(error, match=text):
        log.append_commands(commands, term, kind, 0)
    assert log.fingerprint() == before
    assert live_chunks() == chunks


@pytest.mark.slow
def test_a_payload_above_the_limit_is_refused() -> None:
    log = log_of(1)
    with pytest.raises(ValueError, match="command 1 has 1073741824 bytes, at most 1073741823 allowed"):
        log.append_commands([b"a", bytes(1 << 30)], 1, NORMAL, 0)
    log.check()
    assert log.last_index() == 1


# ---- commit (paper 5.3, 5.4.2)


@pytest.mark.parametrize(("index", "after"), [(3, 3), (1, 2), (2, 2)])
def test_commit_to_never_goes_back(index: int, after: int) -> None:
    log = log_of(1, 2, 3, committed=2)
    log.commit_to(index)
    assert log.committed == after


def test_commit_to_ends_with_the_log() -> None:
    log = log_of(1, 2, 3, committed=2)
    with pytest.raises(InvariantViolation, match="commit of 4 behind last index 3"):
        log.commit_to(4)
    assert log.committed == 2


@pytest.mark.parametrize(
    ("index", "term", "done"),
    [
        (2, 2, False),  # not new
        (3, 3, True),
        (3, 2, False),  # Figure 8: only of the leader's own term
        (3, 4, False),
        (4, 3, True),
        (5, 3, False),  # not there
        (5, 0, False),  # and unknown is not "term 0"
    ],
)
def test_maybe_commit(index: int, term: int, done: bool) -> None:
    log = log_of(1, 2, 3, 3, committed=2)
    assert log.maybe_commit(index, term) is done
    assert log.committed == (index if done else 2)


# ---- applying


def paging_log(limit: int, *sizes: int) -> RaftLog:
    log = RaftLog(Disk(), max_applying_bytes=limit)
    log.append_commands([bytes(n) for n in sizes], 1, NORMAL, 0)
    log.commit_to(len(sizes))
    return log


def hand_out(log: RaftLog) -> int:
    """Takes what may be applied now; how many entries that were."""
    entries = log.next_committed(True)
    if entries is None:
        assert not log.has_next_committed(True)
        return 0
    log.accept_applying(entries.first + len(entries) - 1, entries.payload_size + 16 * len(entries), True)
    return len(entries)


def test_an_entry_counts_for_its_payload_and_16_bytes() -> None:
    log = paging_log(100, 34, 34, 1)
    assert hand_out(log) == 2  # exactly 100
    assert log.applying_bytes == 100
    assert log.applying_paused
    assert hand_out(log) == 0
    log.applied_to(1, 50)
    assert hand_out(log) == 1
    log.applied_to(3, 67)
    assert (log.applying_bytes, log.applying_paused) == (0, False)


def test_one_entry_always_passes() -> None:
    log = paging_log(1, 1000, 1000)
    assert hand_out(log) == 1
    assert hand_out(log) == 0
    log.applied_to(1, 1016)
    assert hand_out(log) == 1


def test_paused_when_the_next_one_did_not_fit() -> None:
    """Below the bound, but the next entry would have gone beyond it: waits until something is applied."""
    log = paging_log(100, 34, 35)
    assert hand_out(log) == 1
    assert log.applying_bytes == 50
    assert log.applying_paused
    assert hand_out(log) == 0
    log.applied_to(1, 50)
    assert not log.applying_paused
    assert hand_out(log) == 1


def test_more_is_acknowledged_than_was_handed_out() -> None:
    log = paging_log(100, 10, 10)
    assert hand_out(log) == 2
    log.applied_to(1, 1000)
    assert log.applying_bytes == 0


@pytest.mark.parametrize(("allow_unstable", "count"), [(False, 2), (True, 4)])
def test_unstable_entries_are_handed_out_only_when_allowed(allow_unstable: bool, count: int) -> None:
    log = log_of(1, 1, 2, 2, 2, committed=4)
    log.stable_to(2, 1)
    assert log.has_next_committed(allow_unstable)
    assert len(log.next_committed(allow_unstable)) == count
    log.accept_applying(count, 0, allow_unstable)
    assert not log.has_next_committed(allow_unstable)
    assert log.next_committed(allow_unstable) is None
    assert not log.applying_paused


def test_nothing_is_applied_while_a_snapshot_waits() -> None:
    log = log_of(1, 1, 1, committed=1)
    log.restore(Snapshot(5, 2))
    log.append(ents(6, 2))
    log.commit_to(6)
    assert not log.has_next_committed(True)
    assert log.next_committed(True) is None
    log.stable_snapshot_to(5)
    log.applied_to(5, 0)
    assert [e.index for e in log.next_committed(True)] == [6]


@pytest.mark.parametrize("index", [0, 1, 4])
def test_applied_moves_forward_and_no_further_than_commit(index: int) -> None:
    log = log_of(1, 1, 1, 1, committed=3)
    log.applied_to(2, 0)
    with pytest.raises(InvariantViolation, match=f"applied of {index}: must be from 2 to the commit index 3"):
        log.applied_to(index, 0)
    with pytest.raises(InvariantViolation, match=f"applying of {index}: must be from 2 to the commit index 3"):
        log.accept_applying(index, 0, True)
    assert (log.applying, log.applied) == (2, 2)


# ---- durability: acknowledged by (index, term)


@pytest.mark.parametrize(
    ("index", "term", "offset"),
    [
        (3, 1, 3),  # durable already
        (2, 1, 3),
        (3, 2, 4),
        (4, 2, 5),
        (5, 3, 6),
        (4, 1, 3),  # another entry was written than is there now
        (5, 2, 3),
        (6, 3, 3),  # cut off since
    ],
)
def test_stable_to(index: int, term: int, offset: int) -> None:
    log = log_of(1, 1, 2, 2, 3)
    log.stable_to(2, 1)
    log.stable_to(index, term)
    log.check()
    assert log.unstable.offset == offset


def test_an_acknowledgement_of_a_replaced_entry_is_ignored() -> None:
    """Written under term 1, replaced under term 2 while the write was under way: the new one is not durable."""
    log = log_of(1, 1)
    log.accept_unstable()
    log.append(ents(2, 2))
    assert (log.unstable.offset, log.unstable.offset_in_progress) == (1, 2)
    log.stable_to(2, 1)
    assert log.unstable.offset == 1
    assert [(e.index, e.term) for e in log.next_unstable()] == [(2, 2)]
    log.accept_unstable()
    log.stable_to(2, 2)
    assert log.unstable.offset == 3


def test_an_acknowledgement_of_the_snapshots_own_entry_is_ignored() -> None:
    log = log_of(1, 1)
    log.restore(Snapshot(5, 2))
    log.stable_to(5, 2)
    assert log.unstable.offset == 6
    assert log.has_next_or_in_progress_snapshot()


def test_only_what_was_not_handed_out_is_next() -> None:
    log = log_of(1, 1)
    assert log.has_next_unstable()
    assert len(log.next_unstable()) == 2
    log.accept_unstable()
    assert not log.has_next_unstable()
    assert log.has_next_or_in_progress_unstable()
    log.append_commands([b"x"], 1, NORMAL, 0)
    assert [e.index for e in log.next_unstable()] == [3]
    log.stable_to(2, 1)
    log.accept_unstable()
    log.stable_to(3, 1)
    assert not log.has_next_or_in_progress_unstable()
    assert log.next_unstable() is None


# ---- snapshots and compaction


def test_restore() -> None:
    log = log_of(1, 1, 2, committed=1)
    snapshot = Snapshot(7, 3)
    log.restore(snapshot)
    log.check()
    assert (log.first_index(), log.last_index(), log.last_term(), log.committed) == (8, 7, 3, 7)
    assert (log.applied, log.applying) == (0, 0)  # it has to be applied yet
    assert terms(log) == [3]
    assert log.term_at_(6) is None
    assert log.snapshot() is snapshot
    assert log.next_unstable_snapshot() is snapshot
    log.accept_unstable()
    assert log.next_unstable_snapshot() is None
    assert log.has_next_or_in_progress_snapshot()
    with pytest.raises(Compacted):
        log.slice(7, 8, UNLIMITED)
    log.stable_snapshot_to(6)  # another one
    assert log.has_next_or_in_progress_snapshot()
    log.stable_snapshot_to(7)
    assert not log.has_next_or_in_progress_snapshot()
    assert log.snapshot() == Snapshot()  # the storage's


def test_restore_behind_commit_is_refused() -> None:
    log = log_of(1, 1, 2, committed=2)
    with pytest.raises(InvariantViolation, match="restore of a snapshot at 1: 2 is committed"):
        log.restore(Snapshot(1, 1))
    assert log.last_index() == 3


@BOTH
def test_compaction(make: Callable[..., RaftLog]) -> None:
    log = make(1, 1, 2, 3, 3, committed=4, durable=True) if make is log_of else make(1, 1, 2, 3, 3, committed=4)
    log.applied_to(4, 0)
    log.compact(3)
    log.check()
    assert (log.snapshot_index, log.snapshot_term, log.first_index()) == (3, 2, 4)
    assert terms(log) == [2, 3, 3]
    assert [e.index for e in log.slice(4, 6, UNLIMITED)] == [4, 5]
    with pytest.raises(Compacted):
        log.slice(3, 5, UNLIMITED)
    with pytest.raises(Compacted):
        log.compact(3)
    with pytest.raises(Unavailable, match="cannot compact up to 5: entries are applied up to 4 and durable up to 5"):
        log.compact(5)
    log.compact(4)
    assert log.maybe_append_(4, 3, 0, ents(5, 3, 3)) == 6


def test_what_is_not_durable_is_not_compacted() -> None:
    log = log_of(1, 1, committed=2)
    log.applied_to(2, 0)
    log.stable_to(1, 1)
    with pytest.raises(Unavailable, match="applied up to 2 and durable up to 1"):
        log.compact(2)
    log.compact(1)
    log.check()


def test_compaction_up_to_the_last_entry() -> None:
    log = log_of(1, 2, committed=2, durable=True)
    log.applied_to(2, 0)
    log.compact(2)
    log.check()
    assert (log.first_index(), log.last_index(), log.last_term()) == (3, 2, 2)
    assert log.append_commands([b"x"], 2, NORMAL, 0) == 3
    log.check()
    assert terms(log) == [2, 2]


# ---- the start


def test_entries_on_the_disk_are_there() -> None:
    log = stored(2, 2, 3, base=4, base_term=1, committed=6, applied=5)
    assert (log.first_index(), log.last_index(), log.window_first) == (5, 7, 8)
    assert (log.committed, log.applying, log.applied) == (6, 5, 5)
    assert (log.unstable.offset, log.unstable.offset_in_progress) == (8, 8)
    assert log.next_unstable() is None
    assert [e.index for e in log.next_committed(False)] == [6]
    assert terms(log) == [1, 2, 2, 3]


def test_commit_and_applied_begin_at_the_snapshot() -> None:
    log = RaftLog(Disk(4, 1), 4, 1)
    assert (log.committed, log.applying, log.applied, log.last_index()) == (4, 4, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"snapshot_index": 4, "last_index": 3}, "got 4, 4, 4, 3"),
        ({"committed": 4, "last_index": 3, "term_runs": [(1, 1)]}, "got 0, 0, 4, 3"),
        ({"applied": 2, "committed": 1, "last_index": 3, "term_runs": [(1, 1)]}, "got 0, 2, 1, 3"),
        ({"snapshot_index": 4, "applied": 3, "last_index": 5, "term_runs": [(5, 1)]}, "got 4, 3, 4, 5"),
        ({"last_index": 3}, "no term runs for entries 1 to 3"),
        ({"last_index": 3, "term_runs": [(2, 1)]}, r"term run \(2, 1\) after \(0, 0\)"),
        ({"last_index": 3, "term_runs": [(1, 0)]}, r"term run \(1, 0\)"),
        ({"last_index": 3, "term_runs": [(1, 2), (2, 1)]}, r"term run \(2, 1\) after \(1, 2\)"),
        ({"last_index": 3, "term_runs": [(1, 1), (1, 2)]}, r"term run \(1, 2\) after \(1, 1\)"),
        ({"last_index": 3, "term_runs": [(1, 1), (4, 2)]}, "within the last index 3"),
        ({"snapshot_index": 2, "snapshot_term": 5, "last_index": 3, "term_runs": [(3, 4)]}, r"after \(2, 5\)"),
        ({"max_applying_bytes": 0}, "max_applying_bytes must be at least 1, got 0"),
        ({"last_index": UNLIMITED, "term_runs": [(1, 1)]}, "last_index must be below"),
    ],
)
def test_a_start_that_does_not_fit_together_is_refused(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        RaftLog(Disk(), **arguments)


# ---- a storage that contradicts the log


class Liar(Disk):
    answer: object = None

    def entries(self, lo: int, hi: int, max_bytes: int) -> object:
        return self.answer

    def snapshot(self) -> object:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, r"storage gave NoneType for entries \[2, 4\), not Entries"),
        ([b"x"], "storage gave list for entries"),
        (ents(1, 1, 1), r"storage gave entries \[1, 3\) for \[2, 4\)"),
        (ents(2, 1, 2, 2), r"storage gave entries \[2, 5\) for \[2, 4\)"),
        (ents(2, 1, 3), "storage gave another term for entry 3 than the log's 2"),
        (ents(2, 2, 2), "storage gave another term for entry 2 than the log's 1"),
    ],
)
def test_a_storage_that_contradicts_the_log(answer: object, text: str) -> None:
    disk = Liar()
    disk.answer = answer
    log = RaftLog(disk, last_index=3, term_runs=[(1, 1), (3, 2)])
    with pytest.raises(InvariantViolation, match=text):
        log.slice(2, 4, UNLIMITED)
    with pytest.raises(InvariantViolation, match="storage gave"):
        log.has_pending_conf_change(2, 4)


def test_a_storage_without_a_snapshot() -> None:
    with pytest.raises(InvariantViolation, match="storage gave NoneType, not a Snapshot"):
        RaftLog(Liar()).snapshot()


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


def test_log_time_never_goes_back_within_one_slice() -> None:
    """Behind a restored snapshot, whose log time is not known, a follower's time may; slices end there."""
    log = log_of()
    log.append_commands([b"x"], 1, NORMAL, 500)
    log.restore(Snapshot(5, 1))
    log.append(encode(6, [Item(1, NORMAL, b"a", 700), Item(1, NORMAL, b"b", 800)]))
    log.append(encode(8, [Item(1, NORMAL, b"c", 100)]))
    log.check()
    assert [e.index for e in log.slice(6, 9, UNLIMITED)] == [6, 7]
    assert [e.index for e in log.slice(7, 9, UNLIMITED)] == [7]
    assert [e.index for e in log.slice(8, 9, UNLIMITED)] == [8]


@pytest.mark.parametrize(
    ("lo", "hi", "answer"), [(1, 3, True), (2, 3, True), (1, 2, False), (3, 5, False), (3, 6, True), (4, 4, False)]
)
@pytest.mark.parametrize("where", ["memory", "disk", "both"])
@pytest.mark.parametrize("stop_after", [1, UNLIMITED])
def test_has_pending_conf_change(lo: int, hi: int, answer: bool, where: str, stop_after: int) -> None:
    items = [item(1), item(1, b"c", CONF_CHANGE), item(1), item(1, kind=NOOP), item(1, b"d", CONF_CHANGE_V2)]
    on_disk = {"memory": 0, "disk": 5, "both": 2}[where]
    disk = Disk(0, 0, items[:on_disk], stop_after)
    log = RaftLog(disk, 0, 0, on_disk, disk.term_runs())
    if on_disk < 5:
        log.append(encode(on_disk + 1, items[on_disk:]))
    assert log.has_pending_conf_change(lo, hi) is answer
    with pytest.raises(InvariantViolation, match="last index is 5"):
        log.has_pending_conf_change(1, 7)
    with pytest.raises(Compacted):
        log.has_pending_conf_change(0, 3)


# ---- memory


def settle(log: RaftLog, index: int) -> None:
    """Entries up to `index` are committed, durable (on the log's disk, too) and applied."""
    disk = log.storage
    if index > disk.last:
        disk.write(disk.last + 1, decode(log.slice(disk.last + 1, index + 1, UNLIMITED)))
    log.commit_to(index)
    log.stable_to(index, log.term_or_zero(index))
    log.applied_to(index, 0)
    log.check()


def test_what_is_durable_and_applied_leaves_the_window() -> None:
    log = RaftLog(Disk(), window_max_entries=2)
    log.append_commands([b"a", b"b", b"c", b"d", b"e"], 1, NORMAL, 0)
    log.commit_to(5)
    log.applied_to(4, 0)
    assert log.window_first == 1  # applied, not durable
    log.storage.write(1, decode(log.slice(1, 6, UNLIMITED)))
    log.stable_to(3, 1)
    assert log.window_first == 4  # entry 4 is not durable, entry 5 neither
    log.stable_to(5, 1)
    assert log.window_first == 4
    log.append_commands([b"f"], 1, NORMAL, 0)
    assert log.window_first == 5  # entry 5 is not applied
    log.append_commands([b"g"], 1, NORMAL, 0)
    assert log.window_first == 5
    log.check()
    assert log.storage.reads == 0
    assert b"".join(log.slice(1, 8, UNLIMITED).commands()) == b"abcdefg"
    assert log.storage.reads == 1


def test_the_window_is_bounded_in_bytes() -> None:
    log = RaftLog(Disk(), window_max_bytes=100)
    log.append_commands([bytes(60), bytes(60), bytes(40)], 1, NORMAL, 0)
    settle(log, 3)
    assert log.window_first == 2  # exactly 100
    log.append_commands([bytes(101)], 1, NORMAL, 0)
    assert log.window_first == 4
    settle(log, 4)
    assert log.window_first == 5
    assert log.last_time() == 0


def test_memory_is_given_back() -> None:
    before = live_chunks()
    log = RaftLog(Disk())
    log.append_commands([bytes(100)] * 2000, 1, NORMAL, 0)
    full = log.memory_bytes()
    assert full > 200_000 + 2000 * 16
    settle(log, 2000)
    log.compact(1999)
    log.check()
    assert log.memory_bytes() < 100_000
    log.compact(2000)
    log.check()
    assert live_chunks()[0] <= before[0] + 1  # the open one
    del log
    assert live_chunks() == before


def test_the_open_chunk_is_used_again() -> None:
    log = RaftLog(Disk(), window_max_entries=0)
    for index in range(1, 300):
        log.append_commands([bytes(100)], 1, NORMAL, 0)
        settle(log, index)
        assert log.window_first == index + 1
    assert log.memory_bytes() < 2000


def test_replaced_entries_give_their_memory_back() -> None:
    before = live_chunks()[1]
    log = log_of(1)
    for term in range(2, 50):
        log.append(encode(2, [item(term, bytes(100_000)), item(term, bytes(50))]))
        log.check()
    assert live_chunks()[1] - before < 200_000
    log.restore(Snapshot(1, 1))
    log.check()
    assert live_chunks()[1] - before <= 65_536


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000])
def test_payloads_of_all_sizes(size: int) -> None:
    """Around the borders of chunks; alone, in one call and from blocks, all read back as they were."""
    items = [item(1, bytes([n]) * (size + n)) for n in range(1, 6)] + [Item(1, NORMAL, b"", 0)]
    items += items
    one_by_one, at_once, follower = RaftLog(Disk()), RaftLog(Disk()), RaftLog(Disk())
    for each in items:
        one_by_one.append_commands([each.data], 1, NORMAL, 0)
    at_once.append_commands([each.data for each in items], 1, NORMAL, 0)
    follower.append(at_once.slice(1, 4, UNLIMITED))
    follower.append(at_once.slice(4, 13, UNLIMITED))
    for log in (one_by_one, at_once, follower):
        log.check()
        assert decode(log.slice(1, 13, UNLIMITED)) == items
        assert decode(log.slice(3, 9, UNLIMITED)) == items[2:8]
    assert one_by_one.fingerprint() == at_once.fingerprint() == follower.fingerprint()


def test_sixteen_bytes_an_entry() -> None:
    """Beside its payload; and a quarter of room to grow, at most."""
    log = RaftLog(Disk())
    for _ in range(100):
        log.append_commands([bytes(16)] * 1000, 1, NORMAL, 0)
    beside = log.memory_bytes() - 100_000 * 16
    assert 16 <= beside / 100_000 < 20.1
    log.check()


# ---- clones and fingerprints


def test_a_clone_goes_its_own_way() -> None:
    before = live_chunks()
    log = log_of(1, 1, 2, committed=1)
    other_disk = Disk()
    copy = log.clone(other_disk)
    assert copy.storage is other_disk
    assert log.clone().storage is log.storage
    assert copy.fingerprint() == log.fingerprint()
    log.append_commands([b"left"], 3, NORMAL, 0)
    copy.append_commands([b"rght"], 3, NORMAL, 0)
    for each in (log, copy):
        each.check()
    assert log.slice(4, 5, UNLIMITED).commands() == [b"left"]
    assert copy.slice(4, 5, UNLIMITED).commands() == [b"rght"]
    assert copy.fingerprint() != log.fingerprint()
    log.restore(Snapshot(9, 9))
    assert decode(copy.slice(1, 4, UNLIMITED)) == [item(1), item(1), item(2)]
    copy.check()
    del log, copy, each
    assert live_chunks() == before


def test_small_clones_are_small() -> None:
    log = log_of(1, 1, 2)
    copies = []
    for _ in range(100):
        log = log.clone()
        log.append_commands([b"step"], 2, NORMAL, 0)
        copies.append(log)
    assert all(copy.memory_bytes() < 40_000 for copy in copies)
    assert live_chunks()[1] < 100_000


CHANGES: list[Callable[[RaftLog], object]] = [
    lambda log: log.append_commands([b"x"], 3, NORMAL, 0),
    lambda log: log.append_commands([b"y"], 3, NORMAL, 0),
    lambda log: log.append_commands([b"x"], 4, NORMAL, 0),
    lambda log: log.append_commands([b"x"], 3, CONF_CHANGE, 0),
    lambda log: log.append_commands([b"x"], 3, NORMAL, 7),
    lambda log: log.append(ents(3, 3)),
    lambda log: log.commit_to(3),
    lambda log: log.accept_applying(2, 0, True),
    lambda log: log.accept_applying(2, 9, True),
    lambda log: log.applied_to(2, 0),
    lambda log: log.accept_unstable(),
    lambda log: log.stable_to(2, 1),
    lambda log: (log.stable_to(1, 1), log.compact(1)),
    lambda log: log.restore(Snapshot(3, 2)),
    lambda log: log.restore(Snapshot(3, 2, data=b"s")),
    lambda log: log.restore(Snapshot(3, 2, conf_index=1)),
    lambda log: (log.restore(Snapshot(3, 2)), log.accept_unstable()),
    lambda log: None,
]


def test_every_difference_shows_in_the_fingerprint() -> None:
    prints = []
    for change in CHANGES:
        log = log_of(1, 1, 2, committed=2)
        log.applied_to(1, 0)
        twin = log.clone()
        for each in (log, twin):
            change(each)
            each.check()
        assert log.fingerprint() == twin.fingerprint()
        prints.append(log.fingerprint())
    assert len(set(prints)) == len(CHANGES)


def test_repr_names_where_the_log_stands() -> None:
    assert repr(log_of(1, 2, committed=1)) == (
        "RaftLog(snapshot=0/0, last=2/2, committed=1, applied=0, applying=0, unstable=1, in_progress=1)"
    )
