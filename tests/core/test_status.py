"""What a node's status says: what people ask when something looks wrong."""

from __future__ import annotations

from raftcore import Message, MessageType, StateType
from tests.core.network import ELECTION_TICK, Network


def test_a_leader_that_hears_everybody() -> None:
    net = Network(3, check_quorum=True)
    net.campaign(1)
    net.tick_all(3)
    status = net[1].raw.status()
    assert status.has_quorum
    assert status.in_sync
    assert status.heard_quorum_ms == net.now_ms
    assert {peer.behind for peer in status.progress.values()} == {0}
    assert status.progress[2].heard_ms == net.now_ms
    assert status.progress[2].paused_because is None


def test_a_leader_cut_off_says_when_it_last_heard_a_quorum() -> None:
    net = Network(3)
    net.campaign(1)
    net.tick_all(3)
    heard = net.now_ms
    net.isolate(1)
    net.tick(1, 5)
    assert net[1].raw.status().heard_quorum_ms == heard
    assert net[1].raw.status().now_ms == heard + 50


def test_answers_to_a_former_leadership_do_not_count() -> None:
    net = Network(3)
    net.campaign(1)
    net.tick_all(3)
    assert net[1].raw.status().progress[2].heard_ms == net.now_ms
    net.campaign(2)
    net.isolate(1)
    net[1].raw.campaign()
    net.collect(net[1])
    net[1].raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=net[1].raw.term))
    status = net[1].raw.status()
    assert status.state == StateType.StateLeader
    assert (status.progress[2].heard_ms, status.heard_quorum_ms) == (0, 0)


def test_one_silent_member_of_three_leaves_a_quorum() -> None:
    net = Network(3, check_quorum=True)
    net.campaign(1)
    net.isolate(3)
    net.propose(1, b"a", b"b")
    net.tick_all(2 * ELECTION_TICK - 1)
    status = net[1].raw.status()
    assert status.has_quorum
    assert status.progress[3].behind > 0
    assert not status.progress[3].recent_active


def test_a_follower_knows_its_leader_or_not() -> None:
    net = Network(3)
    assert not net[2].raw.status().has_quorum
    assert not net[2].raw.status().in_sync
    net.campaign(1)
    net.tick_all(1)
    assert net[2].raw.status().has_quorum
    assert net[2].raw.status().in_sync
    assert net[2].raw.status().heard_quorum_ms == net.now_ms


def test_why_a_follower_is_paused() -> None:
    net = Network(3, max_inflight_msgs=2)
    net.campaign(1)
    net.isolate(2)
    for _ in range(3):
        net.propose(1, b"x")
    assert net[1].raw.status().progress[2].paused_because == "window"
    net[1].raw.report_unreachable(2)
    net.propose(1, b"x")
    assert net[1].raw.status().progress[2].paused_because == "probe"
