"""Members that are added while the newest snapshot is older than their place in the configuration (thesis 4.1).

The leader has compacted its log, so that a snapshot is all that helps a new member; nobody takes a new one meanwhile.
"""

from __future__ import annotations

import pytest

from raftcore import ConfChange, ConfChangeType, ConfState, Message, MessageType, StateType
from tests.core.network import ELECTION_TICK, Member, Network
from tests.core.server import of

NEW = 4
ADDED = {
    "voter": (ConfChangeType.AddNode, ConfState(voters=(1, 2, 3, NEW))),
    "learner": (ConfChangeType.AddLearner, ConfState(voters=(1, 2, 3), learners=(NEW,))),
}


def compact(net: Network, node_id: int, index: int) -> None:
    member = net[node_id]
    member.storage.create_snapshot(index, member.raw.conf_state)
    member.storage.compact(index)
    member.raw.compact(index)


def compacted(**options: bool) -> tuple[Network, int]:
    """Node 1 leads, and every member has compacted its log up to the index given; then came more."""
    net = Network(3, **options)
    net.campaign(1)
    last = net.propose(1, *[b"%d" % i for i in range(10)])
    net.tick_all(2)
    for node_id in (1, 2, 3):
        compact(net, node_id, last)
    net.propose(1, b"behind the snapshot")
    net.tick_all(2)
    return net, last


def change(net: Network, node_id: int, kind: ConfChangeType) -> None:
    net[1].raw.propose_conf_change(ConfChange(kind, node_id), net.now_ms)
    net.settle()
    net.tick_all(2)


@pytest.mark.parametrize("kind", ADDED)
def test_a_new_member_takes_the_snapshot_from_before_and_finds_its_place_in_the_log_behind_it(kind: str) -> None:
    net, index = compacted()
    net.members[NEW] = Member(NEW, voters=())
    how, expected = ADDED[kind]
    change(net, NEW, how)
    sent = of(MessageType.MsgSnap, net.sent)
    assert [(m.to, m.snapshot.index, m.snapshot.conf_state) for m in sent if m.snapshot] == [
        (NEW, index, ConfState(voters=(1, 2, 3)))
    ]
    assert net[NEW].raw.conf_state == expected
    assert (net[NEW].raw.last_index, net[NEW].raw.commit_index) == (net[1].raw.last_index, net[1].raw.commit_index)
    last = net.propose(1, b"on")
    assert net[1].raw.status().progress[NEW].match == last
    net.tick_all(20)
    assert len(of(MessageType.MsgSnap, net.sent)) == 1, "not sent again"


def test_a_member_that_was_removed_and_added_again_takes_the_snapshot_from_between() -> None:
    net = Network((1, 2, NEW))
    net.campaign(1)
    net.propose(1, b"a")
    net.tick_all(2)
    net.isolate(NEW)
    change(net, NEW, ConfChangeType.RemoveNode)
    between = net.propose(1, b"b")
    net.tick_all(2)
    for node_id in (1, 2):
        compact(net, node_id, between)
    change(net, NEW, ConfChangeType.AddNode)
    net[NEW].raw.set_randomized_election_timeout(1000)
    net.heal()
    net.tick_all(3)
    assert [m.snapshot.index for m in of(MessageType.MsgSnap, net.sent) if m.snapshot] == [between]
    assert net[NEW].raw.conf_state == ConfState(voters=(1, 2, NEW))
    assert net[NEW].raw.last_index == net[1].raw.last_index


def without_a_place(net: Network, index: int) -> Member:
    """The new voter has the snapshot up to index, and nothing of what follows it."""
    member = net.members[NEW] = Member(NEW, voters=())
    net.lose = lambda m: m.to == NEW and m.type == MessageType.MsgApp and m.index == index
    change(net, NEW, ConfChangeType.AddNode)
    assert member.raw.last_index == index
    assert member.raw.conf_state == ConfState(voters=(1, 2, 3))
    return member


def test_until_then_it_stands_for_no_election() -> None:
    net, index = compacted()
    member = without_a_place(net, index)
    net.isolate(NEW)
    net.tick(NEW, 5 * ELECTION_TICK)
    member.raw.campaign()
    assert member.role == StateType.StateFollower


def test_until_then_it_votes_when_asked() -> None:
    """It counts for the others, who know the configuration that names it (thesis 4.2.2)."""
    net, index = compacted()
    member = without_a_place(net, index)
    term, last, last_term = net[1].raw.term, net[2].raw.last_index, net[2].raw.last_term
    net.deliver(Message(MessageType.MsgVote, to=NEW, from_=2, term=term + 1, index=last, log_term=last_term))
    assert member.raw.vote == 2


def test_it_goes_on_from_the_snapshot_after_a_restart_and_under_another_leader() -> None:
    net, index = compacted()
    member = without_a_place(net, index)
    net.crash(NEW)
    assert member.raw.conf_state == ConfState(voters=(1, 2, 3))
    net.lose = lambda m: False
    net.campaign(2)
    net.tick_all(3)
    assert net.leader == 2
    assert member.raw.conf_state == ConfState(voters=(1, 2, 3, NEW))
    assert member.raw.last_index == net[2].raw.last_index
    assert len(of(MessageType.MsgSnap, net.sent)) == 1
