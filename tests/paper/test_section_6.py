"""Section 6, cluster membership changes (joint consensus).

The paper lets a server use a configuration as soon as it is in its log; here, as in the thesis' implementations and
etcd/raft, it takes effect when its entry is applied. The leader lets in no further change until then, which keeps
the majorities of two neighbouring configurations overlapping.
"""

from __future__ import annotations

import pytest

from raftcore import ConfChange, ConfChangeType, ConfChangeV2, ConfState, Message, MessageType, StateType
from raftcore.base.errors import ProposalDropped
from raftcore.membership.confchange import ConfChangeTransition, parse
from tests.core.network import ELECTION_TICK, Member, Network
from tests.core.server import of

EXPLICIT = ConfChangeTransition.TransitionJointExplicit


def joined(net: Network, *ids: int) -> None:
    """New servers without a log and without a configuration: the leader's snapshot brings them both."""
    leader = net[net.leader]
    leader.storage.create_snapshot(leader.applied_index, leader.raw.conf_state)
    leader.storage.compact(leader.applied_index)
    leader.raw.compact(leader.applied_index)
    for node_id in ids:
        net.members[node_id] = Member(node_id, ())
    net.tick_all(3)


def change(net: Network, text: str, transition: ConfChangeTransition = EXPLICIT) -> None:
    net[net.leader].raw.propose_conf_change(ConfChangeV2(tuple(parse(text)), transition))
    net.settle()
    net.tick_all(2)


def to_joint() -> Network:
    """C_old = 1 2 3, C_new = 3 4 5, in the joint configuration; node 1 leads."""
    net = Network(3)
    net.campaign(1)
    change(net, "v4 v5 r1 r2")
    joined(net, 4, 5)
    assert net[1].raw.conf_state.voters == (3, 4, 5)
    assert net[1].raw.conf_state.voters_outgoing == (1, 2, 3)
    return net


def test_6_in_joint_consensus_entries_go_to_all_servers_of_both_configurations() -> None:
    net = to_joint()
    net.propose(1, b"x")
    assert {member.raw.last_index for member in net.members.values()} == {net[1].raw.last_index}


@pytest.mark.parametrize(
    ("alive", "agree"),
    [
        ({1, 2, 3, 4}, True),
        ({1, 2, 4, 5}, True),
        ({1, 3, 4}, True),
        ({1, 2, 3}, False),  # a majority of the old one only
        ({1, 3}, False),  # a majority of the old one, one of the new
        ({1, 4, 5}, False),  # a majority of the new one only
    ],
)
def test_6_in_joint_consensus_commitment_needs_separate_majorities(alive: set[int], agree: bool) -> None:
    net = to_joint()
    for node_id in set(net.members) - alive:
        net.isolate(node_id)
    before = net[1].raw.commit_index
    net.propose(1, b"x")
    assert (net[1].raw.commit_index > before) is agree


@pytest.mark.parametrize(
    ("candidate", "alive", "wins"),
    [
        (4, {1, 2, 4, 5}, True),
        (2, {2, 3, 4}, True),  # any server of either configuration may lead
        (5, {3, 4, 5}, False),
        (2, {1, 2, 3}, False),
    ],
)
def test_6_in_joint_consensus_elections_need_separate_majorities(candidate: int, alive: set[int], wins: bool) -> None:
    net = to_joint()
    net.tick_all(2)
    for node_id in set(net.members) - alive:
        net.isolate(node_id)
    net.campaign(candidate)
    assert (net[candidate].role == StateType.StateLeader) is wins


def test_6_the_joint_configuration_is_left_by_a_second_entry() -> None:
    net = to_joint()
    change(net, "", ConfChangeTransition.TransitionAuto)
    for node_id in (3, 4, 5):
        assert net[node_id].raw.conf_state == ConfState(voters=(3, 4, 5))


def test_6_until_then_no_other_change_is_let_in() -> None:
    net = to_joint()
    refused = net[1].raw.propose_conf_change(ConfChange(ConfChangeType.AddNode, 6)).refused
    assert refused == "must transition out of joint config first"


def test_6_new_servers_catch_up_as_non_voting_members_first() -> None:
    net = Network(3)
    net.campaign(1)
    net.propose(1, b"x")
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.AddLearner, 4))
    net.settle()
    joined(net, 4)
    net.propose(1, b"z")
    assert net[4].log()[-1] == net[1].log()[-1]
    net.isolate(2)
    net.isolate(3)
    before = net[1].raw.commit_index
    net.propose(1, b"y")
    assert net[4].raw.last_index == net[1].raw.last_index  # it gets the entry,
    assert net[1].raw.commit_index == before  # and does not count for the majority,
    net.campaign(4)
    assert net[4].role == StateType.StateFollower  # nor stand for election


@pytest.mark.parametrize("step_down", [False, True])
def test_6_a_leader_outside_the_new_configuration_does_not_count_itself_and_then_steps_down(step_down: bool) -> None:
    net = Network(3, step_down_on_removal=step_down)
    net.campaign(1)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 1))
    net.settle()
    assert net[1].raw.conf_state == ConfState(voters=(2, 3))
    expected = StateType.StateFollower if step_down else StateType.StateLeader
    assert net[1].role == expected
    net.tick_all(4 * ELECTION_TICK)
    if step_down:
        assert net.leader in (2, 3)
        assert net[1].role == StateType.StateFollower


def test_6_a_leader_managing_its_own_removal_commits_without_counting_itself() -> None:
    """Nodes 1 to 4, joint with 2 to 4: the leader, node 1, is no help to the new half."""
    net = Network(4)
    net.campaign(1)
    change(net, "r1")
    before = net[1].raw.commit_index
    net.isolate(2)
    net.isolate(3)
    net.propose(1, b"x")
    assert net[1].raw.commit_index == before  # old half: 1 and 4 of four; new half: 4 of three
    net.cut = {(one, other) for one, other in net.cut if 2 not in (one, other)}
    net.tick_all(2)
    assert net[1].raw.commit_index == net[1].raw.last_index


def test_6_a_removed_server_does_not_disturb_a_cluster_that_hears_its_leader() -> None:
    net = Network(4, check_quorum=True)
    net.campaign(1)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 4))
    net.isolate(4)  # it never learns of its removal
    net.settle()
    net.heal()
    for _ in range(3):
        net.campaign(4)
        net.tick_all(2)
    assert net.leader == 1
    assert {net[i].raw.term for i in (1, 2, 3)} == {1}


def test_6_after_a_minimum_election_timeout_of_silence_votes_are_given_again() -> None:
    net = Network(3, check_quorum=True)
    net.campaign(1)
    net.isolate(1)
    net.campaign(2)
    assert not [m for m in of(MessageType.MsgVoteResp, net.sent) if m.term == 2 and m.to == 2 and m.from_ == 3]
    for member in net.members.values():
        member.raw.set_randomized_election_timeout(3 * ELECTION_TICK)
    net.tick(3, ELECTION_TICK)
    net.campaign(2)
    assert net[2].role == StateType.StateLeader


def test_6_a_change_takes_effect_when_it_is_applied() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(1)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.AddNode, 4))
    net.settle()
    assert net[1].raw.conf_state.voters == (1, 2, 3)
    again = net[1].raw.propose_conf_change(ConfChange(ConfChangeType.AddNode, 5))
    assert again.refused is not None
    assert again.refused.startswith("possible unapplied conf change")


def test_6_a_removed_leader_that_manages_the_cluster_takes_no_requests() -> None:
    net = Network(3, step_down_on_removal=False)
    net.campaign(1)
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 1))
    net.settle()
    assert net[1].role == StateType.StateLeader
    before = net[1].raw.last_index
    with pytest.raises(ProposalDropped) as refused:
        net[1].raw.propose([b"x"])
    assert refused.value.reason == "removed"
    assert net[1].raw.last_index == before


def test_6_a_change_that_a_former_leader_left_in_the_log_is_pending_too() -> None:
    """Thesis 4.1. It may be committed still, so the new leader lets in no other before it has applied it."""
    net = Network(3)
    net.campaign(1)
    net.lose = lambda message: message.type == MessageType.MsgAppResp
    left = net[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 3)).index
    net.settle()
    assert net[2].raw.last_index == left
    assert net[2].raw.commit_index < left
    net.campaign(2)
    assert net.leader == 2
    answer = net[2].raw.propose_conf_change(ConfChange(ConfChangeType.AddNode, 4))
    assert answer.refused == f"possible unapplied conf change at index {left} (applied to {net[2].applied_index})"


def test_6_the_thesis_mended_a_leader_changes_nothing_before_it_has_committed_in_its_term() -> None:
    """raft-dev, 2015. All that it has is committed and applied, but for the entry of its own term."""
    net = Network(3, conf_change_after_own_commit=True)
    net.campaign(1)
    net.propose(1, b"x")
    net.tick_all(1)
    net.lose = lambda message: message.type == MessageType.MsgApp
    net.campaign(2)
    assert net.leader == 2
    assert net[2].raw.commit_index == net[2].applied_index == net[2].raw.last_index - 1
    change = ConfChange(ConfChangeType.AddLearner, 4)
    assert net[2].raw.propose_conf_change(change).refused == "no entry of term 2 is committed yet"
    net.lose = lambda message: False
    net.tick_all(2)
    assert net[2].raw.propose_conf_change(change).refused is None


def test_6_a_server_with_a_committed_change_that_it_has_not_applied_does_not_stand() -> None:
    """It may have lost its vote; the change is the very next entry that it will apply."""
    net = Network(3)
    net.campaign(1)
    net.tick_all(1)
    applied, apply = net[2].applied_index, net._apply
    held: list[Message] = []

    def hold(member: Member, message: Message) -> None:
        if member.id == 2:
            held.append(message)
        else:
            apply(member, message)

    net._apply = hold  # type: ignore[method-assign]
    change = net[1].raw.propose_conf_change(ConfChange(ConfChangeType.AddLearner, 4)).index
    net.settle()
    net.tick_all(1)
    assert (net[2].applied_index, net[2].raw.commit_index) == (applied, change)
    assert change == applied + 1
    term = net[2].raw.term
    net.campaign(2)
    assert (net[2].role, net[2].raw.term) == (StateType.StateFollower, term)
    net._apply = apply  # type: ignore[method-assign]
    for message in held:
        apply(net[2], message)
    net.campaign(2)
    assert net.leader == 2
