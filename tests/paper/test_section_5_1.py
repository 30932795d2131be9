"""Section 5.1, basics: terms as a logical clock."""

from __future__ import annotations

import random

import pytest

from raftcore import MessageType, StateType
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, of


def test_5_1_each_election_begins_the_next_term() -> None:
    server = Server(term=7)
    for term in (8, 9, 10):
        server.campaign()
        assert server.raw.term == term


def test_5_1_a_term_has_at_most_one_leader(seed: int) -> None:
    """Elections at random, with losses: whoever leads in a term is the only one who ever led in it."""
    rng = random.Random(seed)
    net = Network(5)
    net.lose = lambda message: rng.random() < 0.2
    leaders: dict[int, int] = {}
    for step in range(300):
        if step % 15 == 0:
            net[rng.randint(1, 5)].raw.campaign()
        net.tick_all()
        for member in net.members.values():
            if member.role == StateType.StateLeader:
                assert leaders.setdefault(member.raw.term, member.id) == member.id
    assert len(leaders) > 2


def test_5_1_a_split_vote_ends_a_term_without_a_leader_and_a_new_term_begins() -> None:
    net = Network(4)
    for candidate in (1, 2):
        net[candidate].raw.campaign()
        net.collect(net[candidate])
    mine = {1: 3, 2: 4}
    net.flying = [m for m in net.flying if mine[m.from_] == m.to or m.to in (1, 2)]
    net.settle()
    assert not [m for m in net.members.values() if m.role == StateType.StateLeader]
    net.tick_all(4 * ELECTION_TICK)
    assert net[net.leader].raw.term > 1


def test_5_1_servers_exchange_terms_and_the_lower_one_is_raised() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(3)
    net.campaign(3)
    net.campaign(3)
    net.heal()
    net.campaign(3)
    assert {member.raw.term for member in net.members.values()} == {net[3].raw.term}


@pytest.mark.parametrize("leads", [False, True])
def test_5_1_a_candidate_or_leader_whose_term_is_out_of_date_becomes_follower(leads: bool) -> None:
    server = Server()
    server.campaign()
    if leads:
        server.step(MessageType.MsgVoteResp, 1, 2)
    server.step(MessageType.MsgHeartbeatResp, 2, 3)
    assert (server.member.role, server.raw.term, server.raw.vote) == (StateType.StateFollower, 2, 0)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (MessageType.MsgApp, {"index": 1, "log_term": 1, "commit": 1}),
        (MessageType.MsgHeartbeat, {"commit": 1}),
        (MessageType.MsgVote, {"index": 9, "log_term": 4}),
        (MessageType.MsgVoteResp, {}),
        (MessageType.MsgAppResp, {"index": 1}),
        (MessageType.MsgTimeoutNow, {}),
    ],
)
def test_5_1_what_comes_from_a_stale_term_is_not_accepted(kind: MessageType, fields: dict[str, int]) -> None:
    server = Server([1], term=5)
    before = server.raw.status()
    assert [m for m in server.step(kind, 4, **fields) if not m.reject] == []
    assert server.raw.status() == before


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (MessageType.MsgAppResp, {"index": 3}),
        (MessageType.MsgAppResp, {"index": 2, "reject": True, "reject_hint": 0}),
        (MessageType.MsgHeartbeatResp, {}),
        (MessageType.MsgVoteResp, {"reject": True}),
    ],
    ids=["success", "rejection", "heartbeat", "refusal"],
)
def test_5_1_a_leader_does_not_take_answers_of_a_stale_term_for_its_own(
    kind: MessageType, fields: dict[str, int]
) -> None:
    """A success of a former term says what a log held that may have been replaced since."""
    server = Server([1])
    server.lead()
    last = server.raw.propose([b"not committed"])
    assert (server.raw.term, last, server.raw.commit_index) == (2, 3, 2)
    server.net.collect(server.member)
    before = server.raw.status()
    for peer in server.peers:
        assert server.step(kind, 1, peer, **fields) == []
    assert server.raw.status() == before


def test_5_1_requests_without_an_answer_are_repeated() -> None:
    net = Network(3)
    net.campaign(1)
    net.lose = lambda message: message.type == MessageType.MsgApp
    net.propose(1, b"x")
    net.lose = lambda message: False
    net.tick_all(2)
    assert net[2].log() == net[1].log()
    assert len(of(MessageType.MsgApp, net.sent)) > 4
