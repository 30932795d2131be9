"""A MsgSnap that is held back until its bytes are there: everything else goes on (paper 7)."""

from __future__ import annotations

import pytest

from raftcore import ConfState, Message, MessageType, RawNode, Snapshot
from tests.core.server import Server
from tests.core.test_outbox import builder

VOTERS = ConfState(voters=(1, 2, 3))


def offer(index: int, term: int, *, in_term: int = 3, sender: int = 2) -> Message:
    return Message(MessageType.MsgSnap, to=1, from_=sender, term=in_term, snapshot=Snapshot(index, term, VOTERS))


def hear(raw: RawNode, *messages: Message) -> int:
    """Each in a frame of one datagram from its sender."""
    built = builder(messages[0].from_, 1)
    for message in messages:
        built.add(message)
    return raw.step_frames(built.finish())


@pytest.fixture
def server() -> Server:
    server = Server([1, 1, 2], term=3, commit=2)
    server.raw.hold_snapshots()
    return server


def test_it_is_held_back_and_the_rest_of_its_datagram_is_not(server: Server) -> None:
    raw = server.raw
    heartbeat = Message(MessageType.MsgHeartbeat, to=1, from_=2, term=3, commit=2)
    assert hear(raw, offer(9, 3), heartbeat) == 2
    assert (raw.last_index, raw.unstable_snapshot, raw.leader) == (3, 0, 2)
    (held,) = raw.take_offers()
    assert (held.from_, held.term, held.snapshot) == (2, 3, Snapshot(9, 3, VOTERS))
    assert raw.take_offers() == []
    assert raw.needs_snapshot(held)
    raw.step(held)
    assert (raw.first_index, raw.last_index, raw.unstable_snapshot) == (10, 9, 9)
    server.net.collect(server.member)
    assert (raw.unstable_snapshot, raw.applied_index) == (0, 9)
    assert not raw.needs_snapshot(held)


def test_without_that_it_is_stepped_as_it_comes() -> None:
    raw = Server([1], term=3).raw
    hear(raw, offer(9, 3))
    assert raw.take_offers() == []
    assert raw.last_index == 9


@pytest.mark.parametrize(
    ("index", "term", "in_term", "needed"),
    [
        (9, 3, 3, True),
        (9, 3, 4, True),  # of a leader not heard of yet
        (9, 2, 2, False),  # of a former term
        (2, 1, 3, False),  # committed
        (3, 2, 3, False),  # in the log, which goes on (Figure 13, 6)
        (3, 3, 3, True),  # another entry is there
    ],
)
def test_whether_it_is_needed(server: Server, index: int, term: int, in_term: int, *, needed: bool) -> None:
    hear(server.raw, offer(index, term, in_term=in_term))
    (held,) = server.raw.take_offers()
    assert server.raw.needs_snapshot(held) is needed
    server.raw.step(held)
    assert server.raw.unstable_snapshot == (index if needed else 0)


def test_what_no_correct_leader_sends_is_refused_at_once(server: Server) -> None:
    raw = server.raw
    hear(raw, Message(MessageType.MsgSnap, to=1, from_=2, term=3, snapshot=Snapshot(9, 4, VOTERS)))
    assert raw.take_offers() == []
    assert raw.faults == 1


def test_it_is_state(server: Server) -> None:
    raw = server.raw
    before = raw.fingerprint()
    hear(raw, offer(9, 3))
    copy = raw.clone()
    assert copy.fingerprint() == raw.fingerprint() != before
    assert [message.snapshot for message in copy.take_offers()] == [Snapshot(9, 3, VOTERS)]
    assert len(raw.take_offers()) == 1
