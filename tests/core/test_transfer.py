"""Leadership transfer (thesis 3.10)."""

from __future__ import annotations

import pytest

from raftcore import ConfChange, ConfChangeTransition, ConfChangeType, ConfChangeV2, Message, MessageType, StateType
from raftcore.base.errors import ProposalDropped
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, of


def leading(voters: int = 3, **options: object) -> Network:
    net = Network(voters, **options)
    net.campaign(1)
    net.tick_all(1)
    net.sent.clear()
    return net


def transfer(net: Network, to: int, asked: int = 1) -> None:
    net[asked].raw.transfer_leader(to)
    net.collect(net[asked])


@pytest.mark.parametrize("options", [{}, {"pre_vote": True, "check_quorum": True}], ids=["plain", "guarded"])
def test_to_a_member_that_has_everything(options: dict[str, bool]) -> None:
    net = leading(**options)
    transfer(net, 2)
    assert [(m.to, m.term) for m in of(MessageType.MsgTimeoutNow, net.sent)] == [(2, 1)]
    net.settle()
    assert (net.leader, net[2].raw.term) == (2, 2)
    assert net[1].role == StateType.StateFollower


def test_to_a_member_that_is_behind_which_catches_up_first() -> None:
    net = leading()
    net.isolate(3)
    net.propose(1, *[b"x"] * 5)
    net.heal()
    net.tick_all(2)
    net.isolate(3)
    net.propose(1, b"y")
    net.heal()
    net.sent.clear()
    transfer(net, 3)
    assert of(MessageType.MsgTimeoutNow, net.sent) == []
    net.tick_all(3)
    assert net.leader == 3
    assert net[3].raw.last_index == net[1].raw.last_index


def test_the_target_is_told_with_its_last_acknowledgement_and_not_with_one_before() -> None:
    server = Server(voters=(1, 2, 3))
    server.lead()
    last = server.raw.propose([b"a", b"b", b"c"]) + 2
    assert of(MessageType.MsgTimeoutNow, server.does(lambda: server.raw.transfer_leader(2))) == []
    for index in (last - 2, last - 1):
        assert of(MessageType.MsgTimeoutNow, server.acknowledge(2, index)) == []
    assert of(MessageType.MsgTimeoutNow, server.acknowledge(3, last)) == []  # the other one's is none of its
    assert [m.to for m in of(MessageType.MsgTimeoutNow, server.acknowledge(2, last))] == [2]


def test_on_a_follower_the_request_goes_to_the_leader() -> None:
    net = leading()
    transfer(net, 2, asked=3)
    net.settle()
    assert net.leader == 2


def test_a_follower_without_a_leader_drops_it() -> None:
    net = Network(3)
    transfer(net, 2, asked=3)
    assert net.sent == []


@pytest.mark.parametrize("to", [1, 9])
def test_to_itself_or_to_nobody_nothing_happens(to: int) -> None:
    net = leading()
    transfer(net, to)
    assert net.sent == []
    assert net[1].raw.status().transferee == 0
    net.propose(1, b"x")


def test_to_a_learner_nothing_happens() -> None:
    net = leading(learners=(4,))
    transfer(net, 4)
    assert net.sent == []
    assert net[1].raw.status().transferee == 0


def test_proposals_are_refused_meanwhile() -> None:
    net = leading()
    net.isolate(2)
    transfer(net, 2)
    with pytest.raises(ProposalDropped) as dropped:
        net[1].raw.propose([b"x"])
    assert dropped.value.reason == "transferring"
    with pytest.raises(ProposalDropped):
        net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 3))


def test_after_an_election_timeout_the_leader_goes_on() -> None:
    net = leading()
    net.isolate(2)
    transfer(net, 2)
    net.tick(1, ELECTION_TICK - 1)
    assert net[1].raw.status().transferee == 2
    net.tick(1)
    assert net[1].raw.status().transferee == 0
    net.propose(1, b"x")
    assert net[1].raw.commit_index == net[1].raw.last_index


def test_the_time_runs_from_the_request() -> None:
    net = leading()
    net.isolate(2)
    net.tick(1, ELECTION_TICK - 2)
    transfer(net, 2)
    net.tick(1, ELECTION_TICK - 1)
    assert net[1].raw.status().transferee == 2


def test_a_second_request_for_the_same_member_prolongs_nothing() -> None:
    net = leading()
    net.isolate(2)
    transfer(net, 2)
    net.tick(1, ELECTION_TICK // 2)
    transfer(net, 2)
    net.tick(1, ELECTION_TICK // 2)
    assert net[1].raw.status().transferee == 0


def test_a_second_request_for_another_member_takes_its_place() -> None:
    net = leading()
    net.isolate(2)
    transfer(net, 2)
    transfer(net, 3)
    assert net[1].raw.status().transferee == 3
    net.settle()
    assert net.leader == 3


def test_a_request_for_itself_ends_a_running_one() -> None:
    net = leading()
    net.isolate(2)
    transfer(net, 2)
    transfer(net, 1)
    assert net[1].raw.status().transferee == 0
    net.propose(1, b"x")


def test_a_higher_term_ends_it() -> None:
    net = leading()
    net.isolate(2)
    transfer(net, 2)
    net[1].raw.step(Message(MessageType.MsgHeartbeat, 1, 3, 5))
    assert net[1].raw.status().transferee == 0


def test_the_removal_of_the_target_ends_it() -> None:
    net = leading()
    net.isolate(2)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 2))
    net.collect(net[1])
    transfer(net, 2)
    assert net[1].raw.status().transferee == 2
    net.settle()
    assert net[1].raw.conf_state.voters == (1, 3)
    assert net[1].raw.status().transferee == 0
    net.propose(1, b"x")


def test_the_removal_of_the_target_and_of_the_leader_itself_ends_it() -> None:
    """In one change (thesis 4.3): who leads on until that is known has nobody to hand over to."""
    net = leading(5)
    net.isolate(2)
    changes = tuple(ConfChange(ConfChangeType.RemoveNode, id) for id in (1, 2))
    net[1].raw.propose_conf_change(ConfChangeV2(changes, ConfChangeTransition.TransitionJointExplicit))
    net.settle()
    net[1].raw.propose_conf_change(ConfChangeV2(()))
    net.collect(net[1])
    transfer(net, 2)
    assert net[1].raw.status().transferee == 2
    net.settle()
    assert net[1].raw.conf_state.voters == (3, 4, 5)
    assert net[1].raw.status().transferee == 0


def test_a_target_that_was_removed_already_does_not_stand() -> None:
    """It has applied its own removal: a late order changes nothing."""
    net = leading()
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 2))
    net.settle()
    net.tick_all(1)
    net[2].raw.step(Message(MessageType.MsgTimeoutNow, 2, 1, net[1].raw.term))
    net.settle()
    assert net[2].role == StateType.StateFollower
    assert net.leader == 1


def test_the_target_asks_no_pre_vote_and_says_who_sent_it() -> None:
    server = Server([1], term=1, pre_vote=True, check_quorum=True)
    server.step(MessageType.MsgHeartbeat, 1, 2)
    sent = server.step(MessageType.MsgTimeoutNow, 1, 2)
    assert {(m.type, m.term, m.context) for m in sent} == {(MessageType.MsgVote, 2, b"CampaignTransfer")}


@pytest.mark.parametrize("role", ["candidate", "leader"])
def test_only_a_follower_obeys(role: str) -> None:
    server = Server()
    server.campaign()
    if role == "leader":
        server.lead()
    term = server.raw.term
    assert server.step(MessageType.MsgTimeoutNow, term, 2) == []
    assert server.raw.term == term


def test_after_a_lost_order_the_transfer_can_be_asked_for_again() -> None:
    net = leading()
    net.lose = lambda m: m.type == MessageType.MsgTimeoutNow
    transfer(net, 2)
    net.settle()
    assert net.leader == 1
    net.lose = lambda m: False
    net.tick(1, ELECTION_TICK)
    transfer(net, 2)
    net.settle()
    assert net.leader == 2
