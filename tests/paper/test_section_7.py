"""Section 7, log compaction: snapshots, and InstallSnapshot (Figure 13)."""

from __future__ import annotations

import pytest

from raftcore import ConfState, Message, MessageType, Snapshot, StateType
from raftcore.base.errors import PeerFault
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, of

VOTERS = ConfState(voters=(1, 2, 3))


def compacted(net: Network, node_id: int, index: int) -> None:
    """The node takes a snapshot at index by itself, and drops its log up to there."""
    member = net[node_id]
    member.storage.create_snapshot(index, member.raw.conf_state)
    member.storage.compact(index)
    member.raw.compact(index)


def lagging() -> Network:
    """Node 3 missed what the leader, node 1, has compacted away."""
    net = Network(3)
    net.campaign(1)
    net.isolate(3)
    net.propose(1, *[b"%d" % i for i in range(10)])
    compacted(net, 1, 8)
    net.heal()
    return net


def test_7_each_server_takes_snapshots_on_its_own() -> None:
    net = Network(3)
    net.campaign(1)
    net.propose(1, *[b"%d" % i for i in range(10)])
    net.tick_all(1)
    compacted(net, 2, 5)
    assert [net[i].raw.first_index for i in (1, 2, 3)] == [1, 6, 1]
    net.propose(1, b"on")
    assert net[2].raw.last_index == net[1].raw.last_index


def test_7_a_snapshot_keeps_the_last_included_index_and_term_for_the_consistency_check() -> None:
    net = Network(3)
    net.campaign(1)
    index = net.propose(1, b"x")
    net.tick_all(1)
    compacted(net, 2, index)
    assert (net[2].raw.first_index, net[2].raw.last_index, net[2].raw.last_term) == (index + 1, index, 1)
    net.propose(1, b"y")  # its append follows the snapshot's last entry
    assert net[2].raw.last_index == index + 1
    net.crash(2)
    assert (net[2].raw.last_index, net[2].raw.term_at(index)) == (index + 1, 1)


def test_7_it_includes_the_latest_configuration_as_of_that_index() -> None:
    net = lagging()
    net.tick_all(3)
    (snapshot,) = {m.snapshot for m in of(MessageType.MsgSnap, net.sent) if m.snapshot}
    assert snapshot.conf_state == VOTERS
    assert net[3].raw.conf_state == VOTERS


@pytest.mark.parametrize(
    "latest",
    [
        ConfState(voters=(1, 2, 4)),
        ConfState(voters=(2, 3, 4), learners=(1,)),
        ConfState(voters=(1, 2, 4), voters_outgoing=(1, 2, 3), auto_leave=True),
    ],
    ids=["another voter", "now a learner", "joint"],
)
def test_7_a_follower_takes_over_the_configuration_of_the_snapshot(latest: ConfState) -> None:
    server = Server([1], term=1)
    server.step(MessageType.MsgSnap, 1, snapshot=Snapshot(9, 1, latest, 7))
    assert (server.raw.conf_state, server.raw.conf_index) == (latest, 7)
    members = {*latest.voters, *latest.voters_outgoing, *latest.learners}
    assert [member for member, _ in server.raw.progress()] == sorted(members)


def test_7_a_leader_sends_its_snapshot_when_it_has_discarded_the_next_entry() -> None:
    net = lagging()
    net.tick_all(3)
    (sent,) = [(m.to, m.snapshot.index, m.snapshot.term) for m in of(MessageType.MsgSnap, net.sent) if m.snapshot]
    assert sent == (3, 8, 1)
    assert net[3].storage.snapshot() == net[1].storage.snapshot()
    assert net[3].raw.last_index == net[1].raw.last_index
    assert [index for index, _, _ in net[3].applied] == [9, 10, 11]


def snap(server: Server, term: int, index: int, index_term: int, conf_state: ConfState = VOTERS) -> tuple[int, bool]:
    """An InstallSnapshot; the index its answer acknowledges."""
    snapshot = Snapshot(index, index_term, conf_state)
    (answer,) = server.step(MessageType.MsgSnap, term, snapshot=snapshot)
    assert answer.type == MessageType.MsgAppResp
    return answer.index, answer.reject


@pytest.mark.parametrize("terms", [[], [1], [1, 2, 2, 2, 2, 2]], ids=["empty", "short", "conflicting"])
def test_7_a_follower_discards_its_whole_log_for_a_snapshot_it_does_not_hold(terms: list[int]) -> None:
    server = Server(terms, term=3)
    assert snap(server, 3, 5, 3) == (5, False)
    assert (server.raw.first_index, server.raw.last_index, server.raw.last_term) == (6, 5, 3)
    assert (server.raw.commit_index, server.raw.applied_index) == (5, 5)
    assert server.append(3, 5, 3, [3])[0].index == 6


def test_7_a_follower_that_holds_a_longer_log_retains_what_follows_the_snapshot() -> None:
    server = Server([1, 1, 2, 2, 2], term=3)
    assert snap(server, 3, 3, 2) == (3, False)
    assert (server.raw.commit_index, server.terms) == (3, [1, 1, 2, 2, 2])


@pytest.mark.parametrize("index", [1, 2, 3])
def test_7_a_retransmitted_or_older_snapshot_moves_nothing(index: int) -> None:
    server = Server([1, 1, 2, 2], term=3, commit=3)
    before = server.raw.status().applied_index
    # Acknowledged as far as the snapshot goes: the leader's log behind it has not been compared.
    assert snap(server, 3, index, [1, 1, 2][index - 1]) == (index, False)
    assert (server.terms, server.raw.commit_index, server.raw.applied_index) == ([1, 1, 2, 2], 3, before)


def test_figure_13_1_a_snapshot_of_a_lower_term_is_not_taken() -> None:
    server = Server([1], term=5)
    assert server.step(MessageType.MsgSnap, 4, snapshot=Snapshot(9, 4, VOTERS)) == []
    assert server.terms == [1]


def test_7_a_snapshot_from_the_leader_is_a_sign_of_life() -> None:
    server = Server(term=1)
    server.raw.set_randomized_election_timeout(10)
    server.tick(9)
    snap(server, 1, 4, 1)
    server.tick(9)
    assert server.raw.leader == 2


@pytest.mark.parametrize(
    "snapshot", [None, Snapshot(0, 0, VOTERS), Snapshot(4, 1, ConfState()), Snapshot(4, 9, VOTERS)],
    ids=["none", "empty", "no voters", "later term"],
)  # fmt: skip
def test_7_what_is_no_snapshot_changes_nothing(snapshot: Snapshot | None) -> None:
    server = Server([1], term=1)
    before = server.raw.status()
    with pytest.raises(PeerFault, match="snapshot from 2"):
        server.step(MessageType.MsgSnap, 1, snapshot=snapshot)
    assert server.raw.status() == before


def test_7_the_leader_sends_no_second_snapshot_while_one_is_on_its_way() -> None:
    net = lagging()
    net.lose = lambda m: m.type == MessageType.MsgSnap
    net.tick_all(5)
    (sent,) = of(MessageType.MsgSnap, net.sent)
    assert sent.snapshot is not None
    assert net[1].raw.pending_snapshots() == [(3, sent.snapshot.index)]
    net.lose = lambda m: False
    net[1].raw.report_snapshot(3, False)
    assert net[1].raw.pending_snapshots() == []
    net.tick_all(3)
    assert len(of(MessageType.MsgSnap, net.sent)) == 2
    assert net[3].raw.last_index == net[1].raw.last_index


@pytest.mark.parametrize("arrived", [False, True])
def test_7_after_a_snapshot_the_leader_goes_on_where_the_follower_is(arrived: bool) -> None:
    """Behind it if it was delivered; where it stood before if it was not, so that nothing but a snapshot helps."""
    net = lagging()
    net.lose = lambda m: m.type == MessageType.MsgSnap
    net.tick_all(2)
    net.sent.clear()
    net[1].raw.report_snapshot(3, arrived)
    net[1].raw.step(Message(MessageType.MsgHeartbeatResp, to=1, from_=3, term=1))
    net.collect(net[1])
    kinds = [(m.type, m.index) for m in net.sent if m.to == 3]
    assert kinds == ([(MessageType.MsgApp, 8)] if arrived else [(MessageType.MsgSnap, 0)])


def test_7_no_snapshot_goes_to_a_follower_that_is_not_there() -> None:
    """It may be large, and would be sent again and again; the follower's next sign of life starts it."""
    net = Network(3, check_quorum=True)
    net.campaign(1)
    net.isolate(3)
    net.propose(1, *[b"%d" % i for i in range(10)])
    compacted(net, 1, 8)
    for _ in range(2 * ELECTION_TICK):
        for running in (1, 2):
            net.tick(running)
            net.settle()
    net.sent.clear()
    net[1].raw.report_unreachable(3)
    net.propose(1, b"more")
    assert of(MessageType.MsgSnap, net.sent) == []
    net[1].raw.step(Message(MessageType.MsgHeartbeatResp, to=1, from_=3, term=1))
    net.collect(net[1])
    assert [m.to for m in of(MessageType.MsgSnap, net.sent)] == [3]


def test_7_a_server_whose_snapshot_is_not_in_place_yet_does_not_stand() -> None:
    net = lagging()
    net.lose = lambda message: message.type == MessageType.MsgSnap
    net.tick_all(3)
    net.writes_held.add(3)
    net.deliver(of(MessageType.MsgSnap, net.sent)[-1])
    assert net[3].appends[-1].snapshot is not None
    term = net[3].raw.term
    net[3].raw.campaign()
    net.tick(3, 4 * ELECTION_TICK)
    assert (net[3].role, net[3].raw.term) == (StateType.StateFollower, term)
    net.writes_held.clear()
    net.write(net[3])
    net.settle()
    net.campaign(3)
    assert net[3].raw.term > term
