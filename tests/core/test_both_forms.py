"""What a node's work looks like in each form, at the edges: a vote alone, a snapshot, nothing but reads."""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import (
    Config,
    ConfState,
    HardState,
    InitialState,
    Message,
    MessageType,
    Outbox,
    RawNode,
    Ready,
    Snapshot,
    SoftState,
    StateType,
)
from raftcore.base.errors import ConfigError
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.wire.codec import DatagramBuilder, Header

MEMBERS = ConfState(voters=(1, 2, 3))


def node(voters: ConfState = MEMBERS, **options: Any) -> tuple[RawNode, MemoryStorage]:
    storage = MemoryStorage()
    return RawNode(Config(id=1, **options), InitialState(conf_state=voters), storage), storage


def plain(raw: RawNode, storage: MemoryStorage) -> Ready:
    """Takes one Ready in the plain form and does all it asks for."""
    ready = raw.ready()
    if ready.hard_state is not None:
        storage.set_hard_state(ready.hard_state)
    if ready.snapshot is not None:
        storage.apply_snapshot(ready.snapshot)
    if ready.entries is not None:
        storage.append(ready.entries)
    raw.advance()
    return ready


def outbox(raw: RawNode) -> Outbox:
    """All outstanding work in the driver's form; nothing of it is done yet."""
    taken = Outbox([DatagramBuilder(Header(from_=1, to=to), 60_000) for to in (2, 3)])
    raw.collect(taken)
    return taken


def heard(term: int, by: int = 2) -> Message:
    return Message(MessageType.MsgHeartbeat, from_=by, to=1, term=term)


def asked(term: int, by: int = 3) -> Message:
    return Message(MessageType.MsgVote, from_=by, to=1, term=term, index=9, log_term=term)


def test_a_vote_in_a_term_already_stored_is_stored() -> None:
    """votedFor is persistent (Figure 2), also where the term was stored before it."""
    raw, storage = node()
    raw.step(Message(MessageType.MsgVoteResp, from_=2, to=1, term=4, reject=True))
    assert plain(raw, storage).hard_state == HardState(4, 0, 0)
    assert not raw.has_ready()
    raw.step(asked(4))
    ready = plain(raw, storage)
    assert ready.hard_state == HardState(4, 3, 0)
    assert ready.must_sync


def test_a_vote_in_a_term_already_stored_is_stored_by_the_driver_too() -> None:
    raw, _ = node(async_storage_writes=True)
    raw.step(Message(MessageType.MsgVoteResp, from_=2, to=1, term=4, reject=True))
    first = outbox(raw)
    raw.written(first.appends, first)
    raw.step(asked(4))
    second = outbox(raw)
    (append,) = second.appends
    assert (append.term, append.vote, append.must_sync) == (4, 3, True)
    assert second.datagrams() == [], "the answer waits for the write"
    raw.written(second.appends, second)
    assert [to for to, _ in second.datagrams()] == [3]


@pytest.mark.parametrize("driver", [False, True])
def test_a_snapshot_is_written_before_it_is_answered(driver: bool) -> None:
    """Paper 7; whoever acknowledges a snapshot must not lose it."""
    snapshot = Snapshot(7, 1, MEMBERS, 0)
    raw, storage = node(async_storage_writes=driver)
    raw.step(Message(MessageType.MsgSnap, from_=2, to=1, term=1, snapshot=snapshot))
    if driver:
        taken = outbox(raw)
        (append,) = taken.appends
        assert (append.snapshot, append.must_sync) == (snapshot, True)
        assert taken.datagrams() == []
        raw.written(taken.appends, taken)
        assert [to for to, _ in taken.datagrams()] == [2]
    else:
        ready = plain(raw, storage)
        assert (ready.snapshot, ready.must_sync) == (snapshot, True)
        assert bool(ready)
        assert [(m.type, m.to, m.index) for m in ready.messages] == [(MessageType.MsgAppResp, 2, 7)]
    assert raw.applied_index == 7
    assert raw.first_index == 8


def test_only_appends_are_reported_as_written() -> None:
    raw, _ = node(async_storage_writes=True)
    raw.step(heard(4))
    taken = outbox(raw)
    before = raw.fingerprint()
    with pytest.raises(ConfigError, match="appends are written in order, each reported once"):
        raw.written([heard(4)], taken)
    assert raw.fingerprint() == before


def test_a_ready_of_one_thing_is_true() -> None:
    """A lone voter's Readys: the election, a read and nothing else, a command and nothing else."""
    raw, storage = node(ConfState(voters=(1,)))
    raw.campaign()
    while raw.has_ready():
        plain(raw, storage)
    assert raw.state == StateType.StateLeader
    raw.read_index(b"r")
    read = plain(raw, storage)
    assert (read.soft_state, read.hard_state, read.entries, read.messages) == (None, None, None, [])
    assert [name for _, name in read.read_states] == [b"r"]
    assert read
    raw.propose([b"a"])
    entries = plain(raw, storage)
    assert (entries.soft_state, bool(entries.read_states)) == (None, False)
    assert entries.entries is not None
    assert entries
    plain(raw, storage)
    assert not raw.has_ready()


def test_a_ready_of_messages_alone_is_true() -> None:
    raw, storage = node()
    raw.step(heard(4))
    plain(raw, storage)
    raw.step(heard(4))
    answer = plain(raw, storage)
    assert (answer.soft_state, answer.hard_state, answer.entries, answer.committed_entries) == (None, None, None, None)
    assert [m.type for m in answer.messages] == [MessageType.MsgHeartbeatResp]
    assert answer


def test_soft_states_differ_by_leader_and_by_role() -> None:
    def told(*messages: Message) -> SoftState | None:
        raw, storage = node()
        for message in messages:
            raw.step(message)
        return plain(raw, storage).soft_state

    assert told(heard(4, by=2)) == told(heard(5, by=2))
    assert told(heard(4, by=2)) != told(heard(4, by=3))
    raw, storage = node()
    raw.campaign()
    standing = plain(raw, storage).soft_state
    raw.step(heard(1, by=2))
    following = plain(raw, storage).soft_state
    assert standing is not None
    assert following is not None
    assert standing != following


@pytest.mark.parametrize("offset", [0, 3, 500])
@pytest.mark.parametrize("form", [bytes, bytearray])
def test_frames_begin_behind_the_header_and_within_the_datagram(form: type, offset: int) -> None:
    raw, _ = node()
    builder = DatagramBuilder(Header(from_=2, to=1), 60_000)
    assert builder.add(Message(MessageType.MsgHeartbeat, term=4))
    with pytest.raises(ValueError, match="a datagram has at least"):
        raw.step_frames(form(builder.finish()), offset)
    assert (raw.term, raw.faults) == (0, 0)


def leading(**options: Any) -> RawNode:
    """A leader in term 1 that has committed its first entry."""
    raw, storage = node(**options)
    raw.campaign()
    plain(raw, storage)
    raw.step(Message(MessageType.MsgVoteResp, from_=2, to=1, term=1))
    plain(raw, storage)
    raw.step(Message(MessageType.MsgAppResp, from_=2, to=1, term=1, index=1))
    while raw.has_ready():
        plain(raw, storage)
    assert (raw.state, raw.commit_index) == (StateType.StateLeader, 1)
    return raw


def test_a_read_of_nobody_in_particular_is_the_leaders_own() -> None:
    """MsgReadIndex without a sender, as etcd/raft's: answered here, once a quorum confirmed the leader (thesis 6.4)."""
    raw = leading()
    raw.step(Message(MessageType.MsgReadIndex, to=1, context=b"r"))
    (round_bytes,) = {m.context for m in raw.ready().messages if m.type == MessageType.MsgHeartbeat}
    raw.advance()
    raw.step(Message(MessageType.MsgHeartbeatResp, from_=2, to=1, term=1, context=round_bytes))
    assert raw.ready().read_states == [(1, b"r")]


def test_an_echo_of_a_round_that_was_never_sent_does_nothing_without_rounds() -> None:
    """As long as nobody reads there is no round; a peer that names one is not believed."""
    raw = leading()
    raw.step(Message(MessageType.MsgHeartbeatResp, from_=2, to=1, term=1, context=(1).to_bytes(8, "little")))
    assert not [m for m in raw.ready().messages if m.type != MessageType.MsgApp]


def test_an_answer_whose_numbers_no_datagram_holds_is_left_as_a_message() -> None:
    """A peer may name any index; the answer that echoes it does not hold up what goes to others."""
    raw, _ = node(async_storage_writes=True)
    beyond = 2**63 + 5
    raw.step(Message(MessageType.MsgApp, from_=2, to=1, term=1, index=beyond, log_term=1))
    raw.step(heard(1, by=2))
    taken = outbox(raw)
    raw.written(taken.appends, taken)
    assert [(m.type, m.to, m.index, m.reject) for m in taken.messages] == [(MessageType.MsgAppResp, 2, beyond, True)]
    assert [to for to, _ in taken.datagrams()] == [2], "the heartbeat's answer goes"
