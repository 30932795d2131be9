"""Figure 7: a leader of term 8 comes to power, and six followers of every shape end with its log."""

from __future__ import annotations

import pytest

from raftcore import MessageType, StateType
from tests.core.server import of, with_logs

LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
FOLLOWERS = {
    "a_misses_an_entry": [1, 1, 1, 4, 4, 5, 5, 6, 6],
    "b_misses_many": [1, 1, 1, 4],
    "c_has_an_entry_too_many": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    "d_has_entries_of_a_later_term": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    "e_misses_some_and_has_others": [1, 1, 1, 4, 4, 4, 4],
    "f_led_in_two_terms_and_committed_nothing": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
}


@pytest.mark.parametrize("max_reject_runs", [0, 8], ids=["hints", "runs"])
@pytest.mark.parametrize("name", FOLLOWERS)
def test_figure_7_each_follower_ends_with_the_leaders_log(name: str, max_reject_runs: int) -> None:
    net = with_logs({1: LEADER, 2: FOLLOWERS[name], 3: LEADER}, term=7, max_reject_runs=max_reject_runs)
    net.campaign(1)
    assert net[1].raw.term == 8
    net.tick_all(2)
    assert net[2].log() == net[1].log() == [*enumerate([*LEADER, 8], 1)]
    assert len([m for m in of(MessageType.MsgAppResp, net.sent) if m.reject]) <= 3


def test_figure_7_the_leader_can_have_won_with_the_votes_of_those_that_are_not_more_up_to_date() -> None:
    logs = {1: LEADER} | dict(enumerate(FOLLOWERS.values(), 2))
    net = with_logs(logs, term=7)
    net.campaign(1)
    refused = {m.from_ for m in of(MessageType.MsgVoteResp, net.sent) if m.reject and m.term == 8}
    assert refused == {4, 5}  # c has more entries of term 6, d has later ones
    assert net[1].role == StateType.StateLeader
    net.tick_all(3)
    assert {tuple(member.log()) for member in net.members.values()} == {tuple(enumerate([*LEADER, 8], 1))}


def test_figure_7_a_follower_that_led_in_two_terms_costs_a_rejection_a_term() -> None:
    name = "f_led_in_two_terms_and_committed_nothing"
    net = with_logs({1: LEADER, 2: FOLLOWERS[name], 3: LEADER}, term=7)
    net.campaign(1)
    rejected = [(m.index, m.reject_hint, m.log_term) for m in of(MessageType.MsgAppResp, net.sent) if m.reject]
    # Asked at 10 (term 6): its last entry of a term up to 6 there is its own 10 (term 3). The leader has no term up
    # to 3 before index 3, which is where they agree.
    assert rejected == [(10, 10, 3)]
