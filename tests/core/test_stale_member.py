"""A member with an old log that asks for votes again and again: refused, it must not keep the others from electing.

Without pre-vote and check-quorum every request carries a later term than anybody is in. What restarts a follower's
election timer is a vote that it gives, and the word of its leader (Figure 2, followers); a later term alone is neither.
"""

from __future__ import annotations

import pytest

from raftcore import Message, MessageType, StateType
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, with_logs

PATIENCE = 10 * ELECTION_TICK  # a few draws of both; a split vote costs one


def disturbed(seed: int, **options: bool) -> Network:
    """Members 1 and 2 hold an entry; 3 does not, and is heard only where the test lets it speak."""
    net = with_logs({1: [1], 2: [1], 3: []}, seed=seed, **options)
    net.isolate(3)
    return net


def ask_for_votes(net: Network) -> None:
    """Node 3 stands in the next term, with an empty log."""
    term = max(net[1].raw.term, net[2].raw.term) + 1
    for voter in (1, 2):
        net.deliver(Message(MessageType.MsgVote, to=voter, from_=3, term=term))
    net.settle()


def led(net: Network) -> bool:
    return any(net[node_id].role == StateType.StateLeader for node_id in (1, 2))


@pytest.mark.parametrize("every", [1, 5, ELECTION_TICK - 1])
def test_two_good_members_elect_beside_a_stale_one_that_asks_all_the_time(seed: int, every: int) -> None:
    for offset in range(20):
        net = disturbed(seed + offset)
        ticks = 0
        while not led(net):
            ticks += 1
            assert ticks <= PATIENCE, f"seed {seed + offset}: no leader in {ticks} ticks, term {net[1].raw.term}"
            net.tick_all()
            if ticks % every == 0 and not led(net):
                ask_for_votes(net)


def test_they_elect_again_and_commit_each_time_the_stale_one_deposes_their_leader(seed: int) -> None:
    net = disturbed(seed)
    committed = 0
    for tick in range(1, 30 * ELECTION_TICK):
        net.tick_all()
        if led(net):
            net.propose(net.leader, b"x")
            committed += 1
        if tick % (ELECTION_TICK - 1) == 0:
            ask_for_votes(net)
    assert committed >= 5
    assert len([command for _, _, command in net[1].applied if command == b"x"]) >= 5


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (MessageType.MsgVote, {}),
        (MessageType.MsgVoteResp, {"reject": True}),
        (MessageType.MsgPreVoteResp, {"reject": True}),
        (MessageType.MsgAppResp, {"index": 1}),
        (MessageType.MsgHeartbeatResp, {}),
    ],
)
def test_no_message_of_a_later_term_but_a_leaders_makes_a_follower_wait_anew(
    kind: MessageType, fields: dict[str, int]
) -> None:
    server = Server([1], term=1)
    server.raw.set_randomized_election_timeout(ELECTION_TICK)
    server.tick(ELECTION_TICK - 1)
    server.step(kind, 5, **fields)
    assert (server.raw.term, server.raw.ticks_until_due()) == (5, 1)


@pytest.mark.parametrize("kind", [MessageType.MsgApp, MessageType.MsgHeartbeat])
def test_the_leader_of_a_later_term_makes_a_follower_wait_anew(kind: MessageType) -> None:
    server = Server([1], term=1)
    server.tick(ELECTION_TICK - 1)
    server.step(kind, 5, index=1, log_term=1)
    assert server.raw.ticks_until_due() >= ELECTION_TICK


@pytest.mark.parametrize("kind", [MessageType.MsgApp, MessageType.MsgHeartbeat])
@pytest.mark.parametrize("voted", [True, False])
def test_a_new_leader_of_the_same_term_makes_a_follower_draw_anew(kind: MessageType, voted: bool) -> None:
    """Most followers meet a leader so: they have voted in its term already, for it or for another."""
    server = Server([1], term=1)
    server.vote(5, 1 if voted else 0, 1 if voted else 0, from_=2)
    assert (server.raw.term, server.raw.vote) == (5, 2 if voted else 0)
    server.raw.set_randomized_election_timeout(10 * ELECTION_TICK)
    server.step(kind, 5, index=1, log_term=1)
    assert ELECTION_TICK <= server.raw.ticks_until_due() < 2 * ELECTION_TICK
    server.raw.set_randomized_election_timeout(10 * ELECTION_TICK)
    server.step(kind, 5, index=1, log_term=1)
    assert server.raw.ticks_until_due() == 10 * ELECTION_TICK, "the same leader again: counted anew, not drawn anew"


@pytest.mark.parametrize("role", ["pre-candidate", "candidate", "leader"])
def test_who_steps_down_draws_a_new_timeout(role: str) -> None:
    server = Server([1], term=1, pre_vote=role == "pre-candidate")
    if role == "leader":
        server.lead()
    else:
        server.campaign()
    server.raw.set_randomized_election_timeout(10 * ELECTION_TICK)
    server.tick(ELECTION_TICK // 2)
    server.step(MessageType.MsgVote, server.raw.term + 3)
    assert server.member.role == StateType.StateFollower
    assert ELECTION_TICK <= server.raw.ticks_until_due() < 2 * ELECTION_TICK
