"""A forwarded proposal: all its entries in one append and one broadcast, or none of them (as etcd/raft)."""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import ConfChange, ConfChangeType, Entries, Entry, EntryKind, Message, MessageType
from raftcore.base.errors import PeerFault, ProposalDropped
from tests.core.network import Network
from tests.core.server import of

NORMAL, CHANGE = EntryKind.EntryNormal, EntryKind.EntryConfChange
CHANGES = [ConfChange(ConfChangeType.AddLearner, node_id).encode() for node_id in (4, 5)]


def elected(**options: Any) -> Network:
    net = Network(3, **options)
    net.campaign(1)
    net.sent.clear()
    return net


def forwarded(*entries: tuple[EntryKind, bytes]) -> Message:
    return Message(
        MessageType.MsgProp,
        to=1,
        from_=2,
        entries=Entries.build([Entry(1, i, kind, data) for i, (kind, data) in enumerate(entries, 1)]),
    )


def appended(net: Network) -> list[tuple[int, bytes]]:
    """Kind and payload of what the leader holds behind its own first entry."""
    raw = net[1].raw
    return [(e.kind, e.data) for e in net[1].storage.entries(2, raw.last_index + 1)] if raw.last_index > 1 else []


def test_many_commands_are_one_append_and_one_message_to_each_follower() -> None:
    net = elected()
    net[1].raw.step(forwarded(*((NORMAL, b"%d" % i) for i in range(50))))
    net.collect(net[1])
    appends = of(MessageType.MsgApp, net.sent)
    assert [(m.to, len(m.entries or ())) for m in appends] == [(2, 50), (3, 50)]
    assert appended(net) == [(NORMAL, b"%d" % i) for i in range(50)]


def test_a_follower_passes_many_on_in_one_message() -> None:
    net = elected()
    assert net[2].raw.propose([b"a", b"b", b"c"]) == 0
    net.settle()
    assert [data for _, _, data in net[3].applied] == [b"a", b"b", b"c"]
    assert [len(m.entries or ()) for m in of(MessageType.MsgApp, net.sent) if m.entries and m.to == 2] == [3]


def test_a_second_change_in_one_message_is_refused_and_what_is_around_it_is_not() -> None:
    net = elected()
    net[1].raw.step(forwarded((NORMAL, b"a"), (CHANGE, CHANGES[0]), (CHANGE, CHANGES[1]), (NORMAL, b"b")))
    net.collect(net[1])
    noop = (EntryKind.EntryNoop, b"")
    assert appended(net) == [(NORMAL, b"a"), (CHANGE, CHANGES[0]), noop, (NORMAL, b"b")]
    assert len(of(MessageType.MsgApp, net.sent)) == 2
    net.settle()
    assert net[3].raw.conf_state.learners == (4,)


def test_a_change_stays_pending_until_it_is_applied() -> None:
    net = elected()
    net[1].raw.step(forwarded((NORMAL, b"a"), (CHANGE, CHANGES[0])))
    net[1].raw.step(forwarded((CHANGE, CHANGES[1])))
    net.collect(net[1])
    assert appended(net)[2] == (EntryKind.EntryNoop, b"")
    net.settle()
    net[1].raw.step(forwarded((CHANGE, CHANGES[1])))
    net.settle()
    assert net[1].raw.conf_state.learners == (4, 5)


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ((EntryKind.EntryNoop, b""), ProposalDropped),
        ((CHANGE, b"no change"), PeerFault),
        ((NORMAL, b"too much"), ProposalDropped),
    ],
)
def test_all_or_nothing(last: tuple[EntryKind, bytes], error: type[Exception]) -> None:
    net = elected(max_uncommitted_size=10)
    net.isolate(1)
    net.propose(1, b"12345")
    before = net[1].raw.status()
    with pytest.raises(error):
        net[1].raw.step(forwarded((NORMAL, b"1"), last))
    assert net[1].raw.status() == before
    net[1].raw.step(forwarded((NORMAL, b"1"), (NORMAL, b"2345")))
    assert net[1].raw.last_index == before.last_index + 2
    with pytest.raises(ProposalDropped):
        net[1].raw.step(forwarded((NORMAL, b"1")))


def test_none_is_taken_while_leadership_is_handed_over() -> None:
    net = elected()
    net.isolate(1)
    net[1].raw.transfer_leader(2)
    with pytest.raises(ProposalDropped) as raised:
        net[1].raw.step(forwarded((NORMAL, b"a")))
    assert raised.value.reason == "transferring"
