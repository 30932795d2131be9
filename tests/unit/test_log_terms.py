"""What a log knows of its terms: finding conflicts, agreeing with another log, voting (paper 5.3, 5.4.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftcore.log.log import RaftLog
from tests.model.log import encode
from tests.unit.logs import CONF_CHANGE, NOOP, ents, item, log_of, stored, terms

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
def test_find_conflict_by_term(make: Callable[..., RaftLog], index: int, term: int, found: tuple[int, int]) -> None:
    assert make(2, 2, 4, 4, 5, base=2, base_term=1).find_conflict_by_term(index, term) == found


@pytest.mark.parametrize(("index", "term", "found"), [(3, 0, (0, 0)), (1, 0, (0, 0)), (2, 1, (1, 1)), (0, 5, (0, 0))])
def test_find_conflict_by_term_down_to_the_beginning(index: int, term: int, found: tuple[int, int]) -> None:
    assert log_of(1, 2, 3).find_conflict_by_term(index, term) == found


def test_find_conflict_by_term_next_to_the_beginning() -> None:
    assert log_of(3, 3, base=1, base_term=2).find_conflict_by_term(3, 1) == (0, 0)


# ---- terms


@BOTH
def test_terms_are_known_from_the_snapshot_to_the_end(make: Callable[..., RaftLog]) -> None:
    log = make(2, 3, 3, base=4, base_term=1)
    assert [log.term_at(i) for i in range(3, 9)] == [None, 1, 2, 3, 3, None]
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
