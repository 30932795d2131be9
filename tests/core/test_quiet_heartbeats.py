"""A leader that has nothing to repeat pauses longer between its heartbeats, and not for one heartbeat longer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from raftcore import Message, MessageType, StateType
from tests.core.network import ELECTION_TICK, Network

BUSY, QUIET = 2, 3
TIMES: dict[str, Any] = {"heartbeat_tick": BUSY, "quiet_heartbeat_tick": QUIET}


def cluster(**options: Any) -> Network:
    """Three members, the first of which leads, with nothing under way."""
    net = Network(3, **{**TIMES, **options})
    net.campaign(1)
    return net


def beats(net: Network, ticks: int) -> list[int]:
    """In which of the next so many ticks of all heartbeats leave the leader."""
    at = []
    for tick in range(1, ticks + 1):
        before = len(net.of_type(MessageType.MsgHeartbeat))
        net.tick_all()
        if len(net.of_type(MessageType.MsgHeartbeat)) > before:
            at.append(tick)
    return at


def quiet(**options: Any) -> Network:
    """The same, behind a heartbeat of a quiet leader."""
    net = cluster(**options)
    assert beats(net, 7)[-1] == 7
    return net


def test_the_pause_is_longer_once_a_heartbeat_had_nothing_to_repeat() -> None:
    """The first heartbeat comes behind the term's empty entry, which it may have to repeat; the second does not."""
    assert beats(cluster(), 14) == [2, 4, 7, 10, 13]


def test_it_is_one_and_the_same_without_the_option() -> None:
    assert beats(cluster(quiet_heartbeat_tick=0), 8) == [2, 4, 6, 8]


def test_a_new_leader_begins_with_the_shorter_one() -> None:
    net = quiet()
    net.campaign(2)
    assert beats(net, 8) == [2, 4, 7]
    net.campaign(1)  # who has paused longer before
    assert net.leader == 1
    assert beats(net, 8) == [2, 4, 7]


def test_a_command_ends_the_longer_pause() -> None:
    net = quiet()
    net.propose(1, b"command")
    assert beats(net, 9) == [3, 5, 8]


def test_who_has_commands_one_after_the_other_does_not_pause_longer() -> None:
    """Each may have been lost on its way to somebody, and only a heartbeat's answer shows it."""
    net = cluster()
    at = []
    for number in range(12):
        net.propose(1, b"%d" % number)
        at += [number + 1 for _ in beats(net, 1)]
    assert at == [2, 4, 6, 8, 10, 12]


def test_a_member_that_lacks_an_entry_is_told_as_often_as_before() -> None:
    net = quiet()
    net.lose = lambda message: message.to == 3 and message.type == MessageType.MsgApp
    net.propose(1, b"command")
    assert beats(net, 9) == [3, 5, 7, 9]
    net.lose = lambda message: False
    assert beats(net, 2) == [2]  # its answer brings what is missing
    assert beats(net, 5) == [2, 5]  # everybody has it, so the next has nothing to repeat


def test_what_is_not_committed_is_no_rest() -> None:
    net = quiet()
    net.cut = {(1, 2), (1, 3)}
    net.propose(1, b"command")
    assert beats(net, 7) == [3, 5, 7]


def test_a_read_that_waits_is_repeated_as_often_as_before() -> None:
    net = quiet()
    net.cut = {(2, 1), (3, 1)}
    net[1].raw.read_index(b"read", net.now_ms)
    net.settle()
    assert beats(net, 7) == [3, 5, 7]


def test_a_read_that_was_answered_was_something_to_repeat() -> None:
    net = quiet()
    net[1].raw.read_index(b"read", net.now_ms)
    net.settle()
    assert net[1].reads != []
    assert beats(net, 8) == [3, 5, 8]


def test_the_rounds_of_a_lease_are_nobody_s_reads() -> None:
    net = Network(3, check_quorum=True, read_only="lease", lease_ms=80, **TIMES)
    net.tick_all(40)  # until a lease that somebody may have promised before its start has ended
    at = beats(net, 12)
    assert [b - a for a, b in itertools.pairwise(at)] == [QUIET] * 3


@pytest.mark.parametrize(("lost", "asks"), [(1, False), (2, True)])
def test_of_two_within_the_shortest_election_timeout_one_may_be_lost(lost: int, asks: bool) -> None:
    net = Network(3, heartbeat_tick=2, quiet_heartbeat_tick=4, election_tick=9, check_quorum=True, pre_vote=True)
    net.campaign(1)
    assert beats(net, 10) == [2, 4, 8]
    net[3].raw.set_randomized_election_timeout(9)
    left = lost

    def lose(message: Message) -> bool:
        nonlocal left
        if left and message.type == MessageType.MsgHeartbeat and message.to == 3:
            left -= 1
            return True
        return False

    net.lose = lose
    net.sent.clear()
    net.tick_all(20)
    assert left == 0
    assert bool([m for m in net.of_type(MessageType.MsgPreVote) if m.from_ == 3]) == asks
    assert net.leader == 1


def due(net: Network, ticks: int) -> list[int]:
    """In which of the next so many ticks of all the leader has something to do."""
    at = []
    for tick in range(1, ticks + 1):
        if net[net.leader].raw.ticks_until_due() == 1:
            at.append(tick)
        net.tick_all()
    return at


def test_a_quiet_leader_wakes_up_for_heartbeats_alone() -> None:
    """Whether it has a quorum it asks with one of them, within an election timeout (thesis 6.2)."""
    net = quiet(check_quorum=True)
    assert due(net, 12) == [3, 6, 9, 12]


def test_a_busy_leader_looks_for_its_quorum_when_the_election_timeout_ends() -> None:
    net = cluster(check_quorum=True, heartbeat_tick=4, quiet_heartbeat_tick=4)
    assert due(net, 20) == [4, 8, 10, 12, 16, 20]


def test_a_quiet_leader_without_a_quorum_steps_down_within_two_election_timeouts() -> None:
    """And not before one has passed, less what it slept longer."""
    net = quiet(check_quorum=True)
    net.isolate(1)
    led = 0
    while net[1].role == StateType.StateLeader:
        net.tick(1)
        led += 1
    assert ELECTION_TICK - QUIET < led <= 2 * ELECTION_TICK


def test_a_transfer_keeps_its_election_timeout() -> None:
    """It is not cut short by a look that comes early (thesis 3.10)."""
    net = quiet(check_quorum=True)
    net.cut = {(1, 2)}
    net[1].raw.transfer_leader(2)
    net.settle()
    waited = 0
    while net[1].raw.status().transferee:
        net.tick_all()
        waited += 1
    assert waited == ELECTION_TICK


class Losing:
    """Loses all heartbeats of one tick: of the first at ``since`` or later in which there are any."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.now = 0
        self.at = 0

    def __call__(self, message: Message) -> bool:
        if message.type != MessageType.MsgHeartbeat:
            return False
        if not self.at and self.now >= self.since:
            self.at = self.now
        return self.now == self.at


@pytest.mark.parametrize("members", [2, 3])
def test_a_leader_stays_where_one_heartbeat_is_lost(members: int) -> None:
    """Whenever a command comes, and whichever heartbeat reaches nobody: the look that follows counts another one."""
    times: dict[str, Any] = {"heartbeat_tick": 5, "quiet_heartbeat_tick": 7, "election_tick": 15, "check_quorum": True}
    for command_at, lost_from in itertools.product(range(1, 31), range(1, 46, 3)):
        net = Network(members, **times)
        net.campaign(1)
        net.tick_all(60)
        term, losing = net[1].raw.term, Losing(lost_from)
        net.lose = losing
        for tick in range(1, 80):
            losing.now = tick
            if tick == command_at:
                net.propose(1, b"command")
            for node_id in range(2, members + 1):  # only the leader's own look is of interest
                net[node_id].raw.set_randomized_election_timeout(29)
            net.tick_all()
        assert losing.at
        assert (net.leader, net[1].raw.term) == (1, term), (command_at, lost_from)
