"""Elections on disks that take as long as an election timeout and longer.

A candidate asks for votes after its own write, and a voter answers after its own: an election takes two writes, one
after the other. What grows with them is how long a node without a leader waits for an outcome. When a follower misses
its leader, and how long it refuses votes, does not.
"""

from __future__ import annotations

import pytest

from raftcore import MessageType, StateType
from tests.core.server import Server, of
from tests.core.slow_disks import SlowDisks

ELECTION_TICK = 15  # as a node has them by default: ticks of 10 ms, 150 to 300 ms
LONGEST = 2 * ELECTION_TICK - 1
SLOW = 40  # 400 ms
SEEDS = range(8)  # the same each time, so that the bounds below are no matter of luck
SAFER = {"pre_vote": True, "check_quorum": True}
PLAIN = {"pre_vote": False, "check_quorum": False}


def ticks_until_led(net: SlowDisks, limit: int) -> int:
    """Ticks until somebody leads, and goes on leading for five election timeouts."""
    began, led, leader, term = net.ticks, net.ticks, 0, 0
    while net.ticks < led + 5 * ELECTION_TICK or not leader:
        net.pass_tick()
        assert net.ticks - began < limit, [m.raw.status() for m in net.members.values()]
        now = max(net.leaders(), key=lambda i: net[i].raw.term, default=0)
        if now != leader or (now and net[now].raw.term != term):
            led, leader, term = net.ticks, now, net[now].raw.term if now else 0
    return led - began


@pytest.mark.parametrize("options", [SAFER, PLAIN], ids=["pre-vote", "plain"])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("ticks", [ELECTION_TICK, LONGEST, SLOW])
def test_a_leader_is_elected_whatever_the_disks_take(ticks: int, size: int, options: dict[str, bool]) -> None:
    """At the start, and again when that leader is gone."""
    waits = []
    for seed in SEEDS:
        net = SlowDisks(
            dict.fromkeys(range(1, size + 1), ticks),
            election_tick=ELECTION_TICK, heartbeat_tick=5, seed=seed, **options,
        )  # fmt: skip
        waits.append(ticks_until_led(net, 40 * ticks))
        net.stop(net.leader)
        waits.append(ticks_until_led(net, 40 * ticks))
    assert sum(waits) / len(waits) < 15 * ticks, waits


@pytest.mark.parametrize("options", [SAFER, PLAIN], ids=["pre-vote", "plain"])
@pytest.mark.parametrize("disks", [(0, SLOW, SLOW), (SLOW, 0, 0), (1, SLOW, SLOW), (5, LONGEST, LONGEST)])
def test_where_only_some_disks_are_slow_too(disks: tuple[int, ...], options: dict[str, bool]) -> None:
    """A quick candidate does not know how slow its voters write, but by votes that come too late."""
    waits = []
    for seed in SEEDS:
        net = SlowDisks(
            dict(enumerate(disks, 1)), election_tick=ELECTION_TICK, heartbeat_tick=5, seed=seed, **options
        )  # fmt: skip
        waits.append(ticks_until_led(net, 40 * SLOW))
        net.stop(net.leader)
        waits.append(ticks_until_led(net, 40 * SLOW))
    assert sum(waits) / len(waits) < 15 * SLOW, waits


def slow_server(**options: bool) -> Server:
    server = Server([1], term=1, election_tick=ELECTION_TICK, **options)
    server.raw.report_write(SLOW)
    return server


def test_a_follower_misses_its_leader_no_later() -> None:
    for _ in range(20):
        server = slow_server()
        server.step(MessageType.MsgHeartbeat, 1)
        assert server.raw.ticks_until_due() <= LONGEST
        server.step(MessageType.MsgHeartbeat, 2)
        assert ELECTION_TICK <= server.raw.ticks_until_due() <= LONGEST


def test_a_voter_refuses_no_longer_and_votes_no_sooner() -> None:
    """The minimum election timeout, on which check-quorum, pre-vote and leases rest, is what it was."""
    server = slow_server(check_quorum=True)
    server.step(MessageType.MsgHeartbeat, 1)
    server.raw.set_randomized_election_timeout(LONGEST)
    server.tick(ELECTION_TICK - 1)
    assert server.vote(2, 1, 1) == []
    server.tick(1)
    assert not server.vote(2, 1, 1)[0].reject


def test_a_leader_without_a_quorum_steps_down_no_later() -> None:
    server = slow_server(check_quorum=True)
    server.lead()
    server.raw.report_write(SLOW)
    server.tick(2 * ELECTION_TICK)
    assert server.member.role == StateType.StateFollower


def test_a_candidate_waits_for_two_writes_more_and_draws_from_several() -> None:
    waits = set()
    server = slow_server()
    for _ in range(100):
        server.campaign()
        waits.add(server.raw.ticks_until_due())
    assert min(waits) >= ELECTION_TICK + 2 * SLOW
    assert max(waits) - min(waits) > 4 * SLOW
    assert max(waits) < 2 * ELECTION_TICK + 8 * SLOW


def test_who_has_given_its_vote_waits_as_long() -> None:
    """It would else stand before the leader that it has voted for can be one."""
    server = slow_server()
    server.vote(2, 1, 1)
    assert server.raw.ticks_until_due() >= 2 * SLOW
    server.step(MessageType.MsgHeartbeat, 2)
    assert server.raw.ticks_until_due() <= LONGEST


def test_a_long_write_counts_half_with_each_that_is_shorter() -> None:
    server = slow_server()
    for ticks, least in ((0, SLOW // 2), (3, SLOW // 4), (0, SLOW // 8)):
        server.raw.report_write(ticks)
        server.campaign()
        assert server.raw.ticks_until_due() >= ELECTION_TICK + 2 * least
    for _ in range(10):
        server.raw.report_write(0)
    server.campaign()
    assert server.raw.ticks_until_due() <= LONGEST


def test_a_wait_drawn_by_a_long_write_becomes_shorter_with_each_short_one() -> None:
    """A node with the newest log, after one stalled write: nobody else can win before it stands (paper 5.4.1)."""
    server = slow_server()
    server.campaign()
    waits = [server.raw.ticks_until_due()]
    for _ in range(10):
        server.raw.report_write(0)
        waits.append(server.raw.ticks_until_due())
    assert waits == sorted(waits, reverse=True)
    assert waits[0] >= ELECTION_TICK + 2 * SLOW
    assert waits[2] <= ELECTION_TICK * 2 + 2 * SLOW
    assert waits[-1] <= LONGEST


def test_who_has_drawn_apart_stays_apart_when_waits_become_shorter() -> None:
    apart = set()
    server = slow_server()
    for _ in range(100):
        server.raw.report_write(SLOW)
        server.campaign()
        server.raw.report_write(SLOW // 2)
        apart.add(server.raw.ticks_until_due())
    assert max(apart) - min(apart) > 2 * SLOW


def test_a_vote_that_comes_too_late_makes_the_next_wait_longer_up_to_a_limit() -> None:
    server = Server([1], term=1, election_tick=ELECTION_TICK)
    longest = 0
    for _ in range(20):
        server.campaign()
        server.step(MessageType.MsgVoteResp, server.raw.term - 1, reject=False)
        longest = max(longest, server.raw.ticks_until_due())
    assert 4 * ELECTION_TICK < longest <= 6 * ELECTION_TICK
    server.step(MessageType.MsgHeartbeat, server.raw.term)
    assert server.raw.ticks_until_due() <= LONGEST
    server.campaign()
    assert server.raw.ticks_until_due() <= LONGEST, "with a leader it is forgotten"


def test_a_late_refusal_says_nothing_of_a_disk() -> None:
    server = Server([1], term=1, election_tick=ELECTION_TICK)
    for _ in range(5):
        server.campaign()
        server.step(MessageType.MsgVoteResp, server.raw.term - 1, reject=True)
    assert server.raw.ticks_until_due() <= LONGEST


def test_what_writes_take_is_part_of_a_clone_and_of_its_fingerprint() -> None:
    server = slow_server()
    same, other = server.raw.clone(), server.raw.clone()
    assert same.fingerprint() == server.raw.fingerprint()
    other.report_write(SLOW + 1)
    assert other.fingerprint() != server.raw.fingerprint()
    for node in (server.raw, same):
        node.campaign()
    assert same.ticks_until_due() == server.raw.ticks_until_due() > 2 * SLOW
    assert same.fingerprint() == server.raw.fingerprint()


def test_no_number_of_ticks_is_too_large() -> None:
    server = Server([1], term=1, election_tick=ELECTION_TICK)
    server.raw.report_write(2**64 - 1)
    sent = of(MessageType.MsgVote, server.campaign())
    assert len(sent) == 2
    assert 0 < server.raw.ticks_until_due() < 1 << 24
