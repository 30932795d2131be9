"""Election priority: the preferred member leads when it can, and nobody else is kept from it when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from raftcore import Message, MessageType, StateType
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


def tries(net: Network, timeouts: int, ticks: int = ELECTION_TICK) -> list[tuple[int, int]]:
    """(timeout, whom) of each order to stand while so many election timeouts, of so many ticks, pass."""
    found = []
    for timeout in range(timeouts):
        before = len(net.of_type(MessageType.MsgTimeoutNow))
        net.tick_all(ticks)
        found += [(timeout, message.to) for message in net.of_type(MessageType.MsgTimeoutNow)[before:]]
    return found


def cannot_stand(*members: int) -> Callable[[Message], bool]:
    """Loses what would make these stand: as far as their leader knows, they hear it and cannot."""
    return lambda message: message.type == MessageType.MsgTimeoutNow and message.to in members


def pauses(found: list[tuple[int, int]]) -> list[int]:
    """Election timeouts between one try and the next."""
    return [after - before for (before, _), (after, _) in pairwise(found)]


def test_who_cannot_take_over_is_tried_half_as_often_after_each_try() -> None:
    net = Network(3, priorities={2: 1}, check_quorum=True, election_tick=2)
    net.campaign(1)
    net.lose = cannot_stand(2)
    waits = [wait - 2 for wait in pauses(tries(net, 3200, ticks=2))]
    assert waits == [10, 20, 40, 80, 160, 320, 640, 640, 640]
    assert net.leader == 1


def test_who_can_take_over_at_last_does_so_at_the_next_try() -> None:
    net = Network(3, priorities={2: 1}, check_quorum=True)
    net.campaign(1)
    net.lose = cannot_stand(2)
    assert len(tries(net, 40)) == 3
    net.lose = cannot_stand()
    assert len(tries(net, 45)) == 1
    assert net.leader == 2


def test_another_is_tried_while_the_most_preferred_is_left_alone() -> None:
    net = Network(3, priorities=PRIORITIES, check_quorum=True)
    net.campaign(1)
    net.lose = cannot_stand(2, 3)
    assert [whom for _, whom in tries(net, 60)] == [3, 3, 2, 3, 2]
    net.lose = cannot_stand(3)
    assert [whom for _, whom in tries(net, 60)][:1] == [2]
    assert net.leader == 2


def test_a_voter_that_was_started_again_is_tried_as_at_first() -> None:
    net = Network(3, priorities={2: 1}, check_quorum=True)
    net.campaign(1)
    net.lose = cannot_stand(2)
    assert len(tries(net, 180)) == 5  # the next one is 160 later
    for ignored in (1, 3, 9):
        net[1].raw.report_started(ignored)
    assert tries(net, 30) == []
    net[1].raw.report_started(2)
    assert pauses(tries(net, 80))[:2] == [12, 22]


def test_each_leadership_begins_anew() -> None:
    net = Network(3, priorities={2: 1}, check_quorum=True)
    net.campaign(1)
    net.lose = cannot_stand(2)
    assert len(tries(net, 180)) == 5
    for leader, following in ((1, 3), (3, 1)):
        net[leader].raw.transfer_leader(following)
        net.settle()
        assert net.leader == following
        assert pauses(tries(net, 60)) == [12, 22]


def test_followers_are_told_in_vain_who_was_started() -> None:
    net = Network(3, priorities={2: 1}, check_quorum=True)
    net.campaign(1)
    for node_id in (2, 3):
        before = net[node_id].raw.fingerprint()
        net[node_id].raw.report_started(2)
        assert net[node_id].raw.fingerprint() == before


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
