"""Election priority: the preferred member leads when it can, and nobody else is kept from it when it cannot."""

from __future__ import annotations

import pytest

from raftcore import MessageType, StateType
from tests.core.network import ELECTION_TICK, Network

PRIORITIES = {3: 10, 2: 5}


@pytest.mark.parametrize("seed", range(10))
def test_the_preferred_member_wins_the_first_election(seed: int) -> None:
    net = Network(3, priorities=PRIORITIES, pre_vote=True, check_quorum=True, seed=seed)
    net.tick_all(2 * ELECTION_TICK)
    assert net.leader == 3


def test_the_preferred_member_takes_over_once_it_is_caught_up() -> None:
    net = Network(3, priorities=PRIORITIES, pre_vote=True, check_quorum=True)
    net.isolate(3)
    net.tick_all(12 * ELECTION_TICK)  # an election, perhaps a split one, and the step from 1 to 2
    assert net.leader == 2
    net.propose(2, *[b"%d" % i for i in range(50)])
    net.heal()
    net.tick_all(4 * ELECTION_TICK)
    assert net.leader == 3
    assert net[3].log() == net[2].log()


@pytest.mark.parametrize("seed", range(10))
def test_a_lower_one_wins_when_the_others_are_gone(seed: int) -> None:
    net = Network(3, priorities=PRIORITIES, pre_vote=True, check_quorum=True, seed=seed)
    net.isolate(3)
    net.tick_all(12 * ELECTION_TICK)  # an election, perhaps a split one, and the step from 1 to 2
    assert net.leader == 2


def test_a_takeover_that_fails_is_not_tried_all_the_time() -> None:
    net = Network(3, priorities={2: 1}, check_quorum=True)
    net.campaign(1)
    net.lose = lambda message: message.type == MessageType.MsgTimeoutNow
    refused = 0
    for _ in range(40 * ELECTION_TICK):
        net.tick_all(1)
        refused += net[1].raw.status().transferee != 0
    assert net[1].role == StateType.StateLeader
    assert 0 < refused < 10 * ELECTION_TICK
    ordered = len(net.of_type(MessageType.MsgTimeoutNow))
    assert 2 <= ordered <= 4


def test_without_priorities_nobody_is_moved() -> None:
    net = Network(3, check_quorum=True)
    net.campaign(1)
    net.tick_all(20 * ELECTION_TICK)
    assert net.leader == 1
    assert net.of_type(MessageType.MsgTimeoutNow) == []


def test_priorities_that_change_hold_for_followers_from_the_next_leader_on() -> None:
    """A follower that stands in no election itself must not wait by what it was told terms ago."""
    net = Network(3)
    net.campaign(1)
    for member in (1, 2, 3):
        net[member].raw.set_members(priorities={3: 10})
    net.campaign(3)
    assert net.leader == 3
    assert net[2].raw.vote == 3
    assert net[2].raw.ticks_until_due() >= 2 * ELECTION_TICK
