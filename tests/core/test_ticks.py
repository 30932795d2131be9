"""Several ticks at once are as many single ones, and until the next one is due nothing happens but counting."""

from __future__ import annotations

import random
from typing import Any

import pytest

from raftcore import MessageType, RawNode, StateType
from raftcore.testing.cluster_invariants import History
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, of
from tests.core.test_invariants import stormy

NEVER = 2**30


def outputs(raw: RawNode) -> list[str]:
    """All that it wants done, in words."""
    found = []
    while raw.has_ready():
        found.append(repr(raw.ready()))
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"heartbeat_tick": 3},
        {"pre_vote": True, "check_quorum": True, "priorities": {2: 1, 3: 2}, "witnesses": (3,)},
        {"check_quorum": True, "read_only": "lease", "lease_ms": 80, "heartbeat_tick": 4},
    ],
    ids=["plain", "slow-heartbeats", "options", "lease"],
)
def test_many_ticks_are_as_many_single_ticks(options: dict[str, Any], seed: int) -> None:
    dice = random.Random(seed)
    net = Network(3, learners=(4,), seed=seed % 1000, **options)
    for _ in range(60):
        stormy(net, dice, 10, History())
        now_ms = net.now_ms + dice.randrange(3)
        for member in net.members.values():
            for count in (0, 1, dice.randrange(2, 6), dice.randrange(6, 5 * ELECTION_TICK)):
                one, many = member.raw.clone(), member.raw.clone()
                one.tick(now_ms, 0)
                for _ in range(count):
                    one.tick(now_ms)
                many.tick(now_ms, count)
                assert many.fingerprint() == one.fingerprint(), (member.id, count)
                assert many.status() == one.status(), (member.id, count)
                assert outputs(many) == outputs(one), (member.id, count)


def test_nothing_happens_before_a_tick_is_due(seed: int) -> None:
    dice = random.Random(seed)
    net = Network(3, learners=(4,), seed=seed % 1000, heartbeat_tick=3, check_quorum=True)
    for _ in range(60):
        stormy(net, dice, 10, History())
        for member in net.members.values():
            raw = member.raw.clone()
            outputs(raw)
            role, term = raw.state, raw.term
            due = raw.ticks_until_due()
            for left in range(min(due, 40), 1, -1):
                raw.tick(net.now_ms)
                assert not raw.has_ready()
                assert (raw.state, raw.term) == (role, term)
                assert due == NEVER or raw.ticks_until_due() == left - 1


def test_an_election_is_due_when_the_timeout_ends() -> None:
    server = Server([1])
    server.raw.set_randomized_election_timeout(13)
    assert server.raw.ticks_until_due() == 13
    server.raw.tick(0, 5)
    assert server.raw.ticks_until_due() == 8
    server.raw.tick(0, 7)
    assert server.raw.state == StateType.StateFollower
    assert server.raw.ticks_until_due() == 1
    server.raw.tick()
    assert server.raw.state == StateType.StateCandidate


def test_a_message_of_the_leader_makes_the_election_due_later() -> None:
    server = Server([1], term=1)
    server.append(1, 1, 1)  # its first word, with which a timeout is drawn
    server.raw.set_randomized_election_timeout(15)
    server.raw.tick(0, 9)
    server.append(1, 1, 1)
    assert server.raw.ticks_until_due() == 15


def test_a_heartbeat_is_due_on_a_leader() -> None:
    server = Server([1], heartbeat_tick=4)
    server.lead()
    assert server.raw.ticks_until_due() == 4
    assert of(MessageType.MsgHeartbeat, server.does(lambda: server.raw.tick(0, 3))) == []
    assert server.raw.ticks_until_due() == 1
    assert [m.to for m in of(MessageType.MsgHeartbeat, server.tick())] == [2, 3]
    assert server.raw.ticks_until_due() == 4


def test_a_look_for_a_quorum_is_due_on_a_leader_before_the_heartbeat_that_follows_it() -> None:
    server = Server([1], heartbeat_tick=4, check_quorum=True)
    server.lead()
    server.raw.tick(0, 8)  # two heartbeats, at 4 and 8
    assert server.raw.ticks_until_due() == ELECTION_TICK - 8
    server.raw.tick(0, 2)
    assert server.raw.ticks_until_due() == 2  # the third, at 12


def test_what_is_due_several_times_is_done_as_often() -> None:
    server = Server([1], heartbeat_tick=2)
    server.lead()
    assert len(of(MessageType.MsgHeartbeat, server.does(lambda: server.raw.tick(0, 7)))) == 3 * 2


def test_nothing_is_due_on_who_may_not_stand() -> None:
    net = Network((1, 2, 3), learners=(4,), witnesses=(3,))
    for node_id in (3, 4):
        assert net[node_id].raw.ticks_until_due() == NEVER
        net[node_id].raw.tick(0, 2**32 - 1)
        assert net[node_id].raw.state == StateType.StateFollower
        assert net[node_id].raw.ticks_until_due() == NEVER


def test_no_negative_and_no_endless_number_of_ticks() -> None:
    raw = Server([1]).raw
    for count in (-1, 2**32):
        with pytest.raises(OverflowError):
            raw.tick(0, count)
