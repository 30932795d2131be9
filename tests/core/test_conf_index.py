"""A member that was removed and added again: what its earlier life says must not count (progress is echoed)."""

from __future__ import annotations

import pytest

from raftcore import ConfChange, ConfChangeType, ConfChangeV2, Message, MessageType
from raftcore.confchange import parse
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
