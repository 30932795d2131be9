"""A leader sends a member the snapshot that it has in part, in place of the newest (paper 7)."""

from __future__ import annotations

import pytest

from raftcore import ConfState, MessageType, Snapshot
from raftcore.values.message import Message
from tests.core.network import Network
from tests.core.server import of

VOTERS = ConfState(voters=(1, 2, 3))


def offering() -> Network:
    """Leader 1 has compacted up to 5, and its newest snapshot, at 8, was sent to node 3, and lost."""
    net = Network(3)
    net.campaign(1)
    net.isolate(3)
    net.propose(1, *[b"%d" % i for i in range(10)])
    member = net[1]
    member.storage.create_snapshot(8, member.raw.conf_state)
    member.storage.compact(5)
    member.raw.compact(5)
    net.lose = lambda m: m.type == MessageType.MsgSnap
    net.heal()
    net.tick_all(2)
    assert net[1].raw.pending_snapshots() == [(3, 8)]
    net.lose = lambda m: False
    net.sent.clear()
    return net


def at(index: int, term: int = 1) -> Snapshot:
    return Snapshot(index, term, VOTERS)


def test_an_older_one_is_sent_and_the_log_goes_on_behind_it() -> None:
    net = offering()
    assert net[1].raw.offer_snapshot(3, at(6)) is True
    assert net[1].raw.pending_snapshots() == [(3, 6)]
    net.settle()
    (sent,) = of(MessageType.MsgSnap, net.sent)
    assert (sent.snapshot, sent.to, sent.term) == (at(6), 3, 1)
    assert net[3].raw.first_index == 7
    assert net[3].raw.last_index == net[1].raw.last_index
    assert net[1].raw.pending_snapshots() == []


@pytest.mark.parametrize(
    ("id", "snapshot"),
    [(3, at(4)), (3, at(12)), (3, at(6, 2)), (2, at(6)), (4, at(6)), (1, at(6))],
    ids=["compacted behind it", "not committed", "of another history", "in no need", "no member", "oneself"],
)
def test_one_that_would_not_do_is_not_sent(id: int, snapshot: Snapshot) -> None:
    net = offering()
    assert net[1].raw.offer_snapshot(id, snapshot) is False
    assert net[1].raw.pending_snapshots() == [(3, 8)]
    net.collect(net[1])
    assert net.sent == []


def test_the_last_compacted_entry_is_where_the_log_still_goes_on() -> None:
    net = offering()
    assert net[1].raw.offer_snapshot(3, at(5)) is True
    net.settle()
    assert net[3].raw.last_index == net[1].raw.last_index


def test_who_has_more_than_the_one_on_its_way_and_less_than_the_log_reaches_is_sent_a_newer_one() -> None:
    """An old answer may come so late that the log was cut behind it meanwhile."""
    net = offering()
    assert net[1].raw.offer_snapshot(3, at(6)) is True
    net.collect(net[1])
    net.sent.clear()
    net[1].storage.compact(8)
    net[1].raw.compact(8)
    net[1].raw.step(Message(MessageType.MsgAppResp, to=1, from_=3, term=1, index=7))
    net.collect(net[1])
    (sent,) = of(MessageType.MsgSnap, net.sent)
    assert sent.snapshot is not None
    assert sent.snapshot.index == 8
    assert net[1].raw.pending_snapshots() == [(3, 8)]


@pytest.mark.parametrize("gone", ["failed", "deposed"])
def test_nothing_is_sent_where_none_is_on_its_way(gone: str) -> None:
    net = offering()
    if gone == "failed":
        net[1].raw.report_snapshot(3, False)
    else:
        net[1].raw.step(Message(MessageType.MsgHeartbeat, to=1, from_=2, term=2))
    assert net[1].raw.offer_snapshot(3, at(6)) is False
