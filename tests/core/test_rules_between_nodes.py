"""The rules between nodes are seen to be broken, on nodes that a working core could not be brought to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from raftcore import ConfState, StateType
from raftcore.base.errors import InvariantViolation
from raftcore.testing.cluster_invariants import History, leader_is_complete, observe_leader, quorums_overlap


def leader(terms: dict[int, int], *, term: int = 3, first: int = 1) -> Any:
    """A leader that shows this log, index -> term."""
    last = max(terms, default=0)
    return SimpleNamespace(
        id=1, state=StateType.StateLeader, term=term, first_index=first, last_index=last, term_at=terms.get
    )


def test_a_leader_that_changes_its_log() -> None:
    """S2, leader append-only (Figure 3); what is compacted is not changed."""
    history = History()
    observe_leader(leader({1: 1, 2: 3}), history)
    observe_leader(leader({1: 1, 2: 3, 3: 3}), history)
    observe_leader(leader({2: 3, 3: 3, 4: 3}, first=2), history)
    with pytest.raises(InvariantViolation, match="S2: leader 1 of term 3 changed entry 4: 3 to None"):
        observe_leader(leader({2: 3, 3: 3}, first=2), history)


def test_a_leader_need_not_have_what_is_compacted_or_committed_later() -> None:
    """S4 (Figure 3) is about entries of former terms, and says nothing of what the snapshot holds."""
    history = History()
    history.committed = {1: 1, 2: 1, 3: 2, 4: 9}
    leader_is_complete(leader({2: 1, 3: 2}, first=2), history)
    with pytest.raises(InvariantViolation, match="S4: leader 1 of term 3 lacks entry 3 of term 2, committed"):
        leader_is_complete(leader({2: 1, 3: 3}, first=2), history)


def configured(node_id: int, index: int, voters: set[int], outgoing: set[int] | None = None) -> Any:
    state = ConfState(voters=tuple(voters), voters_outgoing=tuple(outgoing or ()))
    return SimpleNamespace(id=node_id, conf_index=index, conf_state=state)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((5, {1, 2, 3}), (5, {4, 5, 6})),  # of the same entry: not for this rule to say
        ((5, {1, 2, 3}), (6, {1, 2, 3})),
        ((5, {1, 2, 3}), (6, {1, 2, 3, 4})),  # one at a time (thesis 4.1)
        ((5, {1}), (6, {1, 2})),
        ((5, {1, 2, 3}), (9, {7, 8, 9})),  # one of them lags behind
        ((5, {1, 2, 3}), (6, {4, 5, 6}, {1, 2, 3})),  # into a joint configuration (thesis 4.3)
        ((6, {4, 5, 6}, {1, 2, 3}), (7, {4, 5, 6})),  # and out of it
        ((5, {1, 2, 3}), (9, {7, 8, 9}, {4, 5, 6})),
        ((6, {4, 5, 6}, {1, 2, 3}), (9, {7, 8, 9}, {4, 5, 6})),
    ],
)
def test_configurations_whose_quorums_meet_or_of_which_one_is_old(
    ours: tuple[Any, ...], theirs: tuple[Any, ...]
) -> None:
    quorums_overlap(configured(1, *ours), configured(2, *theirs))
    quorums_overlap(configured(2, *theirs), configured(1, *ours))


def test_no_single_change_makes_two_majorities_apart() -> None:
    """S7's bound cannot be broken by any two sets of voters that differ in one (thesis 4.1), which is its point."""
    for size in range(1, 9):
        quorums_overlap(configured(1, 5, set(range(1, size + 1))), configured(2, 6, set(range(1, size + 2))))
