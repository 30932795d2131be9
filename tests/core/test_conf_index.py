"""A member that was removed and added again: what its earlier life says must not count (progress is echoed)."""

from __future__ import annotations

import pytest

from raftcore import ConfChange, ConfChangeType, ConfChangeV2, Message, MessageType
from raftcore.membership.confchange import parse
from tests.core.network import Network
from tests.core.server import of


def changed(net: Network, kind: ConfChangeType, node_id: int) -> int:
    """Lets the leader change the configuration; the index of the change."""
    index = net[net.leader].raw.propose_conf_change(ConfChange(kind, node_id)).index
    net.settle()
    assert net[net.leader].raw.conf_index == index
    return index


def readded() -> tuple[Network, list[Message], int]:
    """Node 3 acknowledged entries, was removed, and is added again, cut off; what it said before; the index."""
    net = Network(3)
    net.campaign(1)
    net.propose(1, b"x", b"y")
    earlier = [m for m in net.sent if m.from_ == 3 and m.to == 1]
    net.isolate(3)
    changed(net, ConfChangeType.RemoveNode, 3)
    return net, earlier, changed(net, ConfChangeType.AddNode, 3)


def test_a_new_progress_begins_at_nothing() -> None:
    net, _, index = readded()
    progress = net[1].raw.status().progress[3]
    assert (progress.match, progress.conf_index) == (0, index)


def test_late_acknowledgements_from_before_the_removal_do_not_count() -> None:
    net, earlier, _ = readded()
    assert of(MessageType.MsgAppResp, earlier)
    before = net[1].raw.status()
    for message in earlier:
        net.deliver(message)
    assert net[1].raw.status() == before


@pytest.mark.parametrize("kind", [MessageType.MsgAppResp, MessageType.MsgHeartbeatResp])
@pytest.mark.parametrize("offset", [-1, 1])
def test_only_the_very_index_counts(kind: MessageType, offset: int) -> None:
    net, _, index = readded()
    net.tick(1)
    term, before = net[1].raw.term, net[1].raw.status().progress[3]
    match = 2 if kind == MessageType.MsgAppResp else 0
    net.deliver(Message(kind, 1, 3, term, index=match, conf_index=index + offset))
    assert net[1].raw.status().progress[3] == before
    net.deliver(Message(kind, 1, 3, term, index=match, conf_index=index))
    progress = net[1].raw.status().progress[3]
    assert (progress.match, progress.heard_ms) == (match, net.now_ms)


def test_they_do_not_confirm_reads_either() -> None:
    net, _, index = readded()
    net.isolate(2)
    net[1].raw.read_index(b"r")
    net.collect(net[1])
    (context,) = {m.context for m in of(MessageType.MsgHeartbeat, net.sent)} - {None}
    net.deliver(Message(MessageType.MsgHeartbeatResp, 1, 3, net[1].raw.term, context=context))
    assert net[1].reads == []
    net.deliver(Message(MessageType.MsgHeartbeatResp, 1, 3, net[1].raw.term, context=context, conf_index=index))
    assert [name for _, name in net[1].reads] == [b"r"]


def test_everything_a_leader_sends_names_the_progress_it_is_about_and_every_answer_repeats_it() -> None:
    net, _, index = readded()
    net.sent.clear()
    net.heal()
    net.tick_all(3)
    kinds = (MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgAppResp, MessageType.MsgHeartbeatResp)
    about = {m.to if m.from_ == 1 else m.from_: m.conf_index for m in net.sent if m.type in kinds}
    assert about == {2: 0, 3: index}
    assert net[1].raw.status().progress[3].match == net[1].raw.last_index


def test_a_change_of_others_leaves_a_progress_its_index() -> None:
    net = Network(3)
    net.campaign(1)
    index = changed(net, ConfChangeType.AddLearner, 4)
    indexes = {i: progress.conf_index for i, progress in net[1].raw.status().progress.items()}
    assert indexes == {1: 0, 2: 0, 3: 0, 4: index}
    changed(net, ConfChangeType.AddNode, 4)  # promoted: the same life
    assert net[1].raw.status().progress[4].conf_index == index


def test_leaving_and_coming_back_in_one_change_begins_anew() -> None:
    net = Network(3, learners=[4])
    net.campaign(1)
    net.propose(1, b"x")
    assert net[1].raw.status().progress[4].conf_index == 0
    net.isolate(4)
    index = net[1].raw.propose_conf_change(ConfChangeV2(tuple(parse("r4 l4")))).index
    net.settle()
    progress = net[1].raw.status().progress[4]
    assert (progress.match, progress.conf_index) == (0, index)


def updated(net: Network, node_id: int = 2) -> int:
    """Lets the leader say something about a member; the index of the entry."""
    return changed(net, ConfChangeType.UpdateNode, node_id)


def test_an_update_changes_no_progress_and_no_quorum() -> None:
    net = Network(3)
    net.campaign(1)
    before = net[1].raw.conf_state
    index = updated(net)
    assert {p.conf_index for p in net[1].raw.status().progress.values()} == {0}
    assert {member.raw.conf_index for member in net.members.values()} == {index}
    assert {member.raw.conf_state for member in net.members.values()} == {before}
    assert updated(net, 3) > index, "and the next may come"


def test_an_update_is_pending_until_it_is_applied_and_reads_go_on_meanwhile() -> None:
    net = Network(3)
    net.campaign(1)
    assert net[1].raw.pending_conf_index <= net[1].raw.applied_index
    net[1].raw.propose_conf_change(ConfChange(ConfChangeType.UpdateNode, 2))
    index = net[1].raw.pending_conf_index
    assert index == net[1].raw.last_index > net[1].raw.applied_index
    assert net[2].raw.pending_conf_index == 0
    refused = net[1].raw.propose_conf_change(ConfChange(ConfChangeType.UpdateNode, 3)).refused
    assert refused is not None
    assert f"at index {index}" in refused
    net[1].raw.read_index(b"meanwhile")
    net.settle()
    assert [name for _, name in net[1].reads] == [b"meanwhile"]
    assert net[1].raw.applied_index >= index
    wrong = net[1].raw.propose_conf_change(ConfChange(ConfChangeType.UpdateNode, 3), expected_conf_index=0)
    assert wrong.refused == f"the configuration is that of index {index}, not 0"
    assert updated(net, 3) > index


@pytest.mark.parametrize("restarted", [1, 3])
def test_a_node_that_starts_before_its_log_is_replayed_follows_a_later_configuration(restarted: int) -> None:
    """Its configuration is that of the store (index 0), the leader's that of an entry it has not applied again yet."""
    net = Network(3)
    net.campaign(1)
    index = updated(net)
    net.propose(1, b"x")
    kept = net[restarted].storage.hard_state
    net[restarted].storage.set_hard_state(type(kept)(kept.term, kept.vote, 0))  # the commit index was not durable
    net.crash(restarted)
    assert (net[restarted].raw.conf_index, net[restarted].raw.commit_index) == (0, 0)
    if restarted == 1:
        net.campaign(2)  # a leader whose configuration is that of the entry
    leader = net.leader
    net.sent.clear()
    net.tick_all(2)
    net.propose(leader, b"y")
    assert {m.conf_index for m in net.sent if restarted in (m.from_, m.to)} == {0}, "what made its progress"
    assert net[leader].raw.status().progress[restarted].match == net[leader].raw.last_index
    net.tick_all(2)
    assert net[restarted].raw.conf_index == index
    assert [command for _, _, command in net[restarted].applied] == [b"x", b"y"]
    net.campaign(restarted)  # and as leader, from what it has replayed
    net.propose(restarted, b"z")
    assert all(p.match == net[restarted].raw.last_index for p in net[restarted].raw.status().progress.values())
    assert updated(net, 3) > index


def test_a_leader_that_steps_down_counts_nothing_any_more() -> None:
    net = Network(3)
    net.campaign(1)
    net.isolate(3)
    net.writes_held.add(1)
    net[1].raw.propose([b"x"])
    net.settle()  # node 2 has it and says so; node 1's own write is under way
    term, index = net[1].raw.term, net[1].raw.last_index
    net[1].raw.step_down()
    net.writes_held.clear()
    net.write(net[1])
    net.settle()
    assert (net[1].raw.term, net[1].raw.leader, net[1].raw.commit_index) == (term, 0, index - 1)
    net[1].raw.step_down()  # nothing to give up
    net.campaign(2)
    assert net[1].raw.commit_index > index


def test_a_candidate_that_steps_down_loses_its_votes() -> None:
    net = Network(3)
    net[1].raw.campaign()
    net.collect(net[1])
    votes = [m for m in net.flying if m.type == MessageType.MsgVote]
    for message in votes:
        net.flying.remove(message)
        net.deliver(message)
    net[1].raw.step_down()
    net.settle()
    assert all(member.raw.leader == 0 for member in net.members.values())
