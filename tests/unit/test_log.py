"""A log grows, commits, is applied and becomes durable (paper 5.3, 5.4.2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftcore.base.errors import InvariantViolation, PeerFault
from raftcore.log.log import RaftLog
from raftcore.log.window import live_chunks
from raftcore.values.message import Entries, Snapshot
from tests.model.log import UNLIMITED, Disk, Item, decode, encoded_size
from tests.unit.logs import CONF_CHANGE, NOOP, NORMAL, ents, log_of, stored, terms

BOTH = pytest.mark.parametrize("make", [log_of, stored], ids=["memory", "disk"])


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
    assert log.maybe_append(prev, prev_term, commit, ents(prev + 1, *given)) == last_new
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
        (3, 3, ents(4, 2, 5), "entry 4 has term 2, the one before it 3"),
    ],
)
def test_what_no_correct_leader_sends_changes_nothing(
    make: Callable[..., RaftLog], prev: int, prev_term: int, entries: Entries, text: str
) -> None:
    log = make(1, 2, 3, committed=2)
    before = log.fingerprint()
    with pytest.raises(PeerFault, match=text):
        log.maybe_append(prev, prev_term, 3, entries)
    assert log.fingerprint() == before
    log.check()


def test_a_compacted_predecessor_does_not_match() -> None:
    log = log_of(2, 2, base=5, base_term=2)
    assert log.maybe_append(4, 2, 0, ents(5, 2)) is None
    assert log.maybe_append(5, 2, 0, ents(6, 2, 2, 2)) == 8


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


def paging_log(limit: int, *sizes: int, committed: int | None = None) -> RaftLog:
    log = RaftLog(Disk(), max_applying_bytes=limit)
    log.append_commands([bytes(n) for n in sizes], 1, NORMAL, 0)
    log.commit_to(len(sizes) if committed is None else committed)
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


def test_entries_from_the_disk_count_the_same() -> None:
    disk = Disk(items=[Item(1, NORMAL, b"", 0)] * 10)
    assert encoded_size(disk.items) == 80
    log = RaftLog(disk, last_index=10, term_runs=[(1, 1)], committed=10, max_applying_bytes=100)
    assert hand_out(log) == 6  # of 16 bytes each
    assert (log.applying_bytes, log.applying_paused) == (96, True)
    log.applied_to(3, 48)
    assert hand_out(log) == 3  # 52 are left
    assert log.applying == 9


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


def test_paused_as_long_as_what_is_out_reaches_the_bound() -> None:
    """An acknowledgement of a part does not make room while the rest alone is as large as the bound."""
    log = paging_log(100, 10, 84, 10, committed=1)
    assert hand_out(log) == 1
    assert not log.applying_paused
    log.commit_to(3)
    assert hand_out(log) == 1
    assert log.applying_bytes == 126
    log.applied_to(1, 26)
    assert (log.applying_bytes, log.applying_paused) == (100, True)
    assert hand_out(log) == 0
    log.check()
    log.applied_to(2, 100)
    assert hand_out(log) == 1


def test_more_is_acknowledged_than_was_handed_out() -> None:
    log = paging_log(100, 10, 10)
    assert hand_out(log) == 2
    log.applied_to(1, 1000)
    assert log.applying_bytes == 0


@pytest.mark.parametrize(
    ("committed", "allow_unstable", "count"),
    [(2, False, 2), (3, False, 2), (4, False, 2), (2, True, 2), (3, True, 3), (4, True, 4)],
)
def test_unstable_entries_are_handed_out_only_when_allowed(committed: int, allow_unstable: bool, count: int) -> None:
    log = log_of(1, 1, 2, 2, 2, committed=committed)
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


@pytest.mark.parametrize(
    ("index", "term", "again"),
    [
        (5, 3, True),  # 6 of term 3 may follow, which is being written
        (6, 3, False),  # behind 6, and nothing later was there
        (7, 3, False),
        (5, 4, False),  # what follows is of a later term than all that was there
        (5, 2, True),
        (6, 2, True),  # entries that were replaced before may be of this term and lie behind it
        (9, 2, True),
    ],
)
def test_a_snapshot_after_which_an_index_and_a_term_may_come_again_is_a_rewrite(
    index: int, term: int, again: bool
) -> None:
    log = log_of(1, 1, 2, 2, 3, 3)
    log.restore(Snapshot(index, term))
    assert log.unstable.rewrites == again


def test_entries_that_come_again_after_a_snapshot_are_not_durable_by_their_first_write() -> None:
    """1 to 5 of term 2 are being written, 3 of term 3 takes the place of 3 to 5, then a snapshot that of 3."""
    log = log_of(2, 2, 2, 2, 2)
    log.accept_unstable()
    written_in = log.unstable.rewrites
    log.append(ents(3, 3))
    assert log.unstable.rewrites == written_in, "nothing of term 2 can come again yet"
    log.restore(Snapshot(4, 2))
    log.append(ents(5, 2))
    assert log.match_term(5, 2), "as the write under way has it, which the one of 3 cuts off the disk again"
    assert log.unstable.rewrites != written_in


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
