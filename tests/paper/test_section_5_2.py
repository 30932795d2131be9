"""Section 5.2, leader election."""

from __future__ import annotations

import pytest

from raftcore import MessageType, StateType
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, of


def test_5_2_servers_begin_as_followers() -> None:
    assert {member.role for member in Network(3).members.values()} == {StateType.StateFollower}


@pytest.mark.parametrize("kind", [MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgVote])
def test_5_2_a_follower_stays_one_as_long_as_it_hears_a_leader_or_candidate(kind: MessageType) -> None:
    server = Server(term=1)
    for term in range(2, 12):
        server.tick(ELECTION_TICK - 1)
        server.step(kind, term)
        assert server.member.role == StateType.StateFollower


def test_5_2_the_leader_keeps_its_authority_by_heartbeats_to_all() -> None:
    net = Network(5)
    net.campaign(1)
    net.tick_all(20 * ELECTION_TICK)
    assert net.leader == 1
    assert {member.raw.term for member in net.members.values()} == {1}


def test_5_2_without_a_leader_one_is_elected() -> None:
    net = Network(5)
    net.tick_all(4 * ELECTION_TICK)
    leader = net.leader
    assert {member.raw.leader for member in net.members.values()} == {leader}


def test_5_2_a_candidate_with_votes_of_a_majority_becomes_leader() -> None:
    net = Network(5)
    net.isolate(4)
    net.isolate(5)
    net.campaign(1)
    assert net[1].role == StateType.StateLeader


def test_5_2_a_candidate_without_a_majority_does_not() -> None:
    net = Network(5)
    for silent in (3, 4, 5):
        net.isolate(silent)
    net.campaign(1)
    assert net[1].role == StateType.StateCandidate


def test_5_2_votes_of_another_term_and_repeated_votes_do_not_count() -> None:
    server = Server(voters=range(1, 6))
    server.campaign()
    server.campaign()
    server.step(MessageType.MsgVoteResp, 1, 3)
    for _ in range(3):
        server.step(MessageType.MsgVoteResp, 2, 2)
    assert server.member.role == StateType.StateCandidate


def test_5_2_each_server_votes_for_the_first_that_asks_in_a_term() -> None:
    server = Server()
    assert not server.vote(1, 0, 0, from_=3)[0].reject
    assert server.vote(1, 0, 0, from_=2)[0].reject
    assert not server.vote(1, 0, 0, from_=3)[0].reject
    assert not server.vote(2, 0, 0, from_=2)[0].reject


def test_5_2_the_new_leader_tells_all_others_at_once() -> None:
    net = Network(5)
    net.campaign(1)
    assert {member.raw.leader for member in net.members.values()} == {1}


@pytest.mark.parametrize("ahead", [0, 1])
def test_5_2_a_candidate_recognises_a_leader_whose_term_is_at_least_its_own(ahead: int) -> None:
    server = Server()
    server.campaign()
    server.append(1 + ahead, 0, 0, [1])
    assert (server.member.role, server.raw.leader) == (StateType.StateFollower, 2)
    assert server.terms == [1]


def test_5_2_a_candidate_rejects_a_leader_of_a_smaller_term_and_stays_candidate() -> None:
    server = Server(term=4)
    server.campaign()
    server.append(4, 0, 0, [4])
    assert (server.member.role, server.raw.term) == (StateType.StateCandidate, 5)
    assert server.terms == []


def test_5_2_a_candidate_that_neither_wins_nor_loses_tries_again_in_a_new_term() -> None:
    server = Server()
    server.campaign()
    sent = of(MessageType.MsgVote, server.tick(2 * ELECTION_TICK))
    assert {m.term for m in sent} == set(range(2, server.raw.term + 1))


def test_5_2_a_candidate_refused_by_a_majority_stops_being_one() -> None:
    server = Server()
    server.campaign()
    for peer in (2, 3):
        server.step(MessageType.MsgVoteResp, 1, peer, reject=True)
    assert server.member.role == StateType.StateFollower


def silences(seed: int, elections: int) -> list[int]:
    """Ticks until each of ``elections`` elections that nobody answers."""
    server = Server(seed=seed)
    waits = []
    for _ in range(elections):
        wait, term = 0, server.raw.term
        while server.raw.term == term:
            server.tick()
            wait += 1
        waits.append(wait)
    return waits


def test_5_2_election_timeouts_are_drawn_anew_from_a_fixed_interval() -> None:
    waits = silences(7, 200)
    assert set(waits) == set(range(ELECTION_TICK, 2 * ELECTION_TICK))


def test_5_2_servers_draw_their_timeouts_apart() -> None:
    """So that in most cases only one of them times out."""
    alone = 0
    for seed in range(50):
        first, second = sorted(silences(seed * 2 + turn, 1)[0] for turn in (0, 1))
        alone += first != second
    assert alone >= 40
