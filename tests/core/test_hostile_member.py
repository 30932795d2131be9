"""A damaged or hostile member must not be able to stop this node: what the search over programs found (tests/fuzz)."""

from __future__ import annotations

import pytest

from raftcore import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entries,
    Entry,
    EntryKind,
    Message,
    MessageType,
    RawNode,
    Snapshot,
    StateType,
)
from raftcore.base.errors import PeerFault, ProposalDropped
from raftcore.testing.cluster_invariants import check
from raftcore.wire.codec import DatagramBuilder, Header
from tests.core.network import ELECTION_TICK, Network
from tests.core.server import Server, of

LAST_TERM = 2**63 - 1  # the last one that a message can carry


def from_datagram(raw: RawNode, sender: int, *messages: Message) -> tuple[int, int]:
    """Steps these messages as frames of one datagram from ``sender``; (stepped, refused as faults)."""
    builder = DatagramBuilder(Header(from_=sender, to=raw.id), 60_000)
    assert all(builder.add(message) for message in messages)
    faults = raw.faults
    stepped = raw.step_frames(builder.finish())
    check(raw)
    return stepped, raw.faults - faults


def refused(raw: RawNode, message: Message, text: str) -> None:
    """A fault that leaves everything as it was."""
    before = raw.fingerprint()
    with pytest.raises(PeerFault, match=text):
        raw.step(message)
    assert raw.fingerprint() == before


@pytest.mark.parametrize("sender", [0, 1])
@pytest.mark.parametrize(
    "message",
    [
        Message(MessageType.MsgHeartbeat, term=5),
        Message(MessageType.MsgApp, term=5),
        Message(MessageType.MsgVote, term=5, index=9, log_term=4),
        Message(MessageType.MsgSnap, term=5, snapshot=Snapshot(9, 6, ConfState([1, 2, 3]))),
    ],
)
def test_a_datagram_of_nobody_or_of_the_node_itself(sender: int, message: Message) -> None:
    raw = Network(3)[1].raw
    before = raw.fingerprint()
    assert from_datagram(raw, sender, message) == (0, 1)
    assert raw.fingerprint() == before


IMPOSSIBLE = [
    ConfState(voters=[1, 2, 3], learners=[1]),
    ConfState(voters=[1, 2, 3], learners_next=[2]),
    ConfState(voters=[1, 2, 3], auto_leave=True),
]


@pytest.mark.parametrize("state", IMPOSSIBLE)
def test_a_snapshot_of_an_impossible_configuration_in_a_later_term(state: ConfState) -> None:
    """Not even the term is taken from it."""
    raw = Server([1, 1], term=1, commit=1).raw
    snapshot = Snapshot(9, 2, state)
    refused(raw, Message(MessageType.MsgSnap, 1, 2, term=7, snapshot=snapshot), "no possible configuration")


def test_a_snapshot_whose_configuration_comes_from_behind_it() -> None:
    raw = Server([1, 1], term=1, commit=1).raw
    snapshot = Snapshot(9, 1, ConfState([1, 2, 3]), conf_index=10)
    message = Message(MessageType.MsgSnap, 1, 2, term=1, snapshot=snapshot)
    refused(raw, message, "at index 9 has a configuration of index 10")


def test_a_snapshot_that_leaves_no_room_for_a_log() -> None:
    """Else the next leader's entries would have indexes that no message can carry."""
    for index, allowed in ((2**62, False), (2**62 - 1, True)):
        server = Server([1, 1], term=1, commit=1)
        message = Message(MessageType.MsgSnap, 1, 2, term=1, snapshot=Snapshot(index, 1, ConfState([1, 2, 3])))
        if not allowed:
            refused(server.raw, message, f"at index {index}, at most {2**62 - 1} leaves room for a log")
            continue
        server.raw.step(message)
        server.net.collect(server.member)
        server.lead()
        assert (server.raw.last_index, server.raw.state) == (index + 1, StateType.StateLeader)


def proposal(*entries: tuple[EntryKind, bytes]) -> Message:
    built = Entries.build([Entry(1, i, kind, data) for i, (kind, data) in enumerate(entries, 1)])
    return Message(MessageType.MsgProp, to=1, from_=2, entries=built)


NORMAL, CHANGE, CHANGE_V2, NOOP = (
    EntryKind.EntryNormal, EntryKind.EntryConfChange, EntryKind.EntryConfChangeV2, EntryKind.EntryNoop,
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "data"), [(CHANGE, b"no change"), (CHANGE_V2, b"\x09"), (CHANGE, b"\x00" + b"\xff" * 8)]
)
def test_a_proposed_change_that_is_none(kind: EntryKind, data: bytes) -> None:
    """What came before it in the same proposal is not appended either."""
    server = Server([1, 1], term=2)
    server.lead()
    refused(server.raw, proposal((NORMAL, b"x"), (kind, data)), "proposes a configuration change that is none")


def test_a_forwarded_proposal_is_appended_whole_or_not_at_all() -> None:
    server = Server([1, 1], term=2, max_uncommitted_size=10)
    server.lead()
    before = server.raw.fingerprint()
    with pytest.raises(ProposalDropped, match="dropped"):
        server.raw.step(proposal((NORMAL, b"x"), (NOOP, b"")))
    assert server.raw.fingerprint() == before
    server.raw.step(proposal((NORMAL, b"123456"), (NORMAL, b"789abcdef")))  # the first is taken, whatever its size
    assert server.raw.last_index == 5
    before = server.raw.fingerprint()
    with pytest.raises(ProposalDropped) as dropped:
        server.raw.step(proposal((NORMAL, b""), (NORMAL, b"0")))
    assert dropped.value.reason == "uncommitted_limit"
    assert server.raw.fingerprint() == before


def test_a_forwarded_proposal_goes_out_in_one_append() -> None:
    server = Server([1, 1], term=2)
    server.lead()
    sent = server.does(lambda: server.raw.step(proposal((NORMAL, b"a"), (NORMAL, b"b"), (NORMAL, b"c"))))
    appends = of(MessageType.MsgApp, sent)
    assert [(m.to, m.entries.count if m.entries else 0) for m in appends] == [(2, 3), (3, 3)]


def test_a_second_change_in_one_proposal_is_refused_as_it_would_be_in_two() -> None:
    server = Server([1, 1], term=2)
    server.lead()
    add = [ConfChange(ConfChangeType.AddLearner, node_id).encode() for node_id in (4, 5)]
    sent = server.does(lambda: server.raw.step(proposal((CHANGE, add[0]), (CHANGE, add[1]))))
    (to_two, _) = of(MessageType.MsgApp, sent)
    assert to_two.entries is not None
    assert [entry.kind for entry in to_two.entries] == [CHANGE, NOOP]


def test_a_read_without_a_name() -> None:
    server = Server([1, 1], term=2)
    server.lead()
    refused(server.raw, Message(MessageType.MsgReadIndex, to=1, from_=2), "asked for by 2 under no name")


@pytest.mark.parametrize("pre_vote", [False, True])
def test_nobody_stands_behind_the_last_term(pre_vote: bool) -> None:
    """A vote request of term 2**64 could not be sent, and the node would stop over it."""
    server = Server([1, 1], term=2, pre_vote=pre_vote)
    server.vote(LAST_TERM - 1, 9, LAST_TERM - 2)
    assert server.raw.term == LAST_TERM - 1
    assert {m.term for m in server.campaign()} == {LAST_TERM}
    server.vote(LAST_TERM, 9, LAST_TERM - 1)
    assert server.raw.term == LAST_TERM
    fingerprint = server.raw.fingerprint()
    assert server.campaign() == []
    assert server.raw.fingerprint() == fingerprint
    assert server.tick(4 * ELECTION_TICK) == []
    server.step(MessageType.MsgHeartbeat, LAST_TERM, 3)  # it still follows
    assert server.raw.leader == 3


def test_a_leader_that_is_reported_unreachable_for_itself_replicates_on() -> None:
    server = Server([1, 1], term=2)
    server.lead()
    server.raw.report_unreachable(1)
    check(server.raw)
    assert server.raw.status().progress[1].state == "StateReplicate"


def test_a_pre_vote_far_ahead_is_answered_in_its_own_term() -> None:
    """An invariant once took this for wrong: the pre-candidate's term may be any number ahead (thesis 9.6)."""
    server = Server([1, 1], term=2, pre_vote=True)
    server.raw.step(Message(MessageType.MsgPreVote, 1, 2, term=100, index=2, log_term=1))
    check(server.raw)
    (answer,) = server.does(lambda: None)
    assert (answer.term, answer.reject, server.raw.term) == (100, False, 2)
