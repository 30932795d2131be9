"""What no correct peer sends: each is refused with a reason, and nothing changes (raftcore.algorithm.peer_checks)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from raftcore import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfState,
    Entries,
    Entry,
    EntryKind,
    MessageType,
    Snapshot,
)
from raftcore.base.errors import PeerFault, RaftError, StepLocalMessage, StepPeerNotFound
from tests.core.server import Server, entries

VOTERS = ConfState(voters=(1, 2, 3))


def follower() -> Server:
    """Log 1 1 2 2, term 3, committed up to 3, led by node 2."""
    server = Server([1, 1, 2, 2], term=3, commit=3)
    server.step(MessageType.MsgHeartbeat, 3, 2)
    return server


def leader() -> Server:
    server = Server([1, 1], term=2)
    server.lead()
    return server


def refused(server: Server, kind: MessageType, text: str, term: int = 3, from_: int = 2, **fields: Any) -> None:
    before, log, vote = server.raw.status(), server.member.log(), server.raw.vote
    with pytest.raises(PeerFault, match=re.escape(text)):
        server.step(kind, term, from_, **fields)
    assert server.raw.status() == before
    assert (server.member.log(), server.raw.vote) == (log, vote)
    assert not server.raw.has_ready()


@pytest.mark.parametrize(
    ("index", "log_term", "given", "text"),
    [
        (4, 0, None, "follows index 4 of term 0"),
        (0, 1, None, "follows index 0 of term 1"),
        (4, 4, None, "append from 2 in term 3 follows index 4 of term 4"),
        (4, 2, entries(6, [3]), "append from 2 after index 4 begins with index 6"),
        (4, 2, entries(4, [3]), "append from 2 after index 4 begins with index 4"),
        (4, 2, entries(5, [1, 3]), "append from 2 in term 3 after term 2 holds terms 1 to 3"),
        (4, 2, entries(5, [3, 4]), "append from 2 in term 3 after term 2 holds terms 3 to 4"),
        (3, 1, None, "append from 2 gives committed index 3 the term 1"),
        (2, 2, None, "append from 2 gives committed index 2 the term 2"),
        (1, 1, entries(2, [2]), "append from 2 replaces committed index 2"),
        (2, 1, entries(3, [3, 3]), "append from 2 replaces committed index 3"),
    ],
)
def test_appends(index: int, log_term: int, given: Any, text: str) -> None:
    refused(follower(), MessageType.MsgApp, text, index=index, log_term=log_term, entries=given)


@pytest.mark.parametrize("first", [4, 6])
@pytest.mark.parametrize("term", [2, 3, 4])
@pytest.mark.parametrize("from_", [1, 2, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD])
def test_entries_that_do_not_follow_the_index_whoever_sends_them(from_: int, term: int, first: int) -> None:
    """In this node's own name, of its storage threads, and of a former term too, though other checks let these pass."""
    text = f"append from {from_} after index 4 begins with index {first}"
    given = entries(first, [2])
    refused(follower(), MessageType.MsgApp, text, term, from_, index=4, log_term=2, entries=given)


def test_appends_that_look_like_these_and_are_right() -> None:
    for index, log_term, given in ((0, 0, entries(1, [1, 1])), (3, 2, entries(4, [3])), (9, 3, entries(10, [3]))):
        (answer,) = follower().step(MessageType.MsgApp, 3, index=index, log_term=log_term, entries=given)
        assert answer.type == MessageType.MsgAppResp


def test_a_heartbeat_that_commits_what_is_not_there() -> None:
    refused(follower(), MessageType.MsgHeartbeat, "heartbeat from 2 commits index 5 beyond the last index 4", commit=5)


@pytest.mark.parametrize(
    ("snapshot", "text"),
    [
        (None, "snapshot from 2 is empty or has no voters"),
        (Snapshot(0, 0, VOTERS), "snapshot from 2 is empty or has no voters"),
        (Snapshot(9, 3, ConfState(learners=(1,))), "snapshot from 2 is empty or has no voters"),
        (Snapshot(9, 4, VOTERS), "snapshot from 2 of term 4 in a message of term 3"),
    ],
)
def test_snapshots(snapshot: Snapshot | None, text: str) -> None:
    refused(follower(), MessageType.MsgSnap, text, snapshot=snapshot)


LEADERS_MESSAGES = [
    (MessageType.MsgApp, {"index": 4, "log_term": 2}),
    (MessageType.MsgHeartbeat, {}),
    (MessageType.MsgSnap, {"snapshot": Snapshot(9, 2, VOTERS)}),
]


@pytest.mark.parametrize(("kind", "fields"), LEADERS_MESSAGES)
def test_a_second_leader_of_the_same_term(kind: MessageType, fields: dict[str, Any]) -> None:
    refused(follower(), kind, "node 3 acts as leader of term 3, whose leader is 2", from_=3, **fields)
    server = leader()
    refused(server, kind, "node 3 acts as leader of term 3, whose leader is 1", server.raw.term, 3, **fields)


@pytest.mark.parametrize(("kind", "fields"), LEADERS_MESSAGES)
def test_a_leader_of_a_later_term_is_none(kind: MessageType, fields: dict[str, Any]) -> None:
    server = follower()
    server.step(kind, 4, 3, **fields)
    assert (server.raw.leader, server.raw.term) == (3, 4)


def test_an_acknowledgement_of_what_the_leader_does_not_have() -> None:
    server = leader()
    text = "node 2 acknowledges index 4 beyond the last index 3"
    refused(server, MessageType.MsgAppResp, text, server.raw.term, index=4)


@pytest.mark.parametrize(
    "kind",
    [MessageType.MsgApp, MessageType.MsgAppResp, MessageType.MsgVote, MessageType.MsgVoteResp, MessageType.MsgPreVote,
     MessageType.MsgHeartbeat, MessageType.MsgHeartbeatResp, MessageType.MsgSnap, MessageType.MsgTimeoutNow],
)  # fmt: skip
def test_what_must_have_a_term_and_has_none(kind: MessageType) -> None:
    refused(follower(), kind, f"message type {int(kind)} from 2 without a term", term=0)


@pytest.mark.parametrize(
    "kind",
    [MessageType.MsgHup, MessageType.MsgBeat, MessageType.MsgUnreachable, MessageType.MsgSnapStatus,
     MessageType.MsgCheckQuorum, MessageType.MsgStorageAppend, MessageType.MsgStorageApply],
)  # fmt: skip
@pytest.mark.parametrize("from_", [2, 9])
def test_what_only_a_node_itself_may_say(kind: MessageType, from_: int) -> None:
    for server in (follower(), leader()):
        before = server.raw.status()
        with pytest.raises(StepLocalMessage):
            server.step(kind, server.raw.term, from_)
        assert server.raw.status() == before


@pytest.mark.parametrize("kind", [MessageType.MsgAppResp, MessageType.MsgHeartbeatResp, MessageType.MsgVoteResp])
def test_an_answer_of_a_node_that_is_no_member(kind: MessageType) -> None:
    server = leader()
    before = server.raw.status()
    with pytest.raises(StepPeerNotFound):
        server.step(kind, server.raw.term + 5, 9)
    assert server.raw.status() == before


@pytest.mark.parametrize("kind", list(MessageType))
@pytest.mark.parametrize("role", [follower, leader])
def test_an_empty_message_of_a_former_term_changes_nothing(role: Any, kind: MessageType) -> None:
    server = role()
    before = server.raw.status()
    try:
        server.step(kind, 1, 2)
    except RaftError:
        pass
    assert server.raw.status() == before


def test_an_old_leader_whose_clock_was_ahead_is_corrected() -> None:
    """Its own last entry is of a later log time than the leader's next one: that is a conflict like any other."""
    server = follower()
    lost = Entries.build([Entry(3, 5, EntryKind.EntryNormal, b"lost")], time_ms=1_000_000)
    server.step(MessageType.MsgApp, 3, 2, index=4, log_term=2, entries=lost)
    probe = Entries.build([Entry(5, 6, EntryKind.EntryNormal, b"")], time_ms=1000)
    (answer,) = server.step(MessageType.MsgApp, 5, 3, index=5, log_term=4, entries=probe)
    assert (answer.reject, answer.index, answer.reject_hint) == (True, 5, 5)
    right = Entries.build(
        [Entry(4, 5, EntryKind.EntryNormal, b""), Entry(5, 6, EntryKind.EntryNormal, b"")], time_ms=1000
    )
    (answer,) = server.step(MessageType.MsgApp, 5, 3, index=4, log_term=2, entries=right)
    assert (answer.reject, answer.index) == (False, 6)
    assert server.terms == [1, 1, 2, 2, 4, 5]


def test_a_log_time_that_goes_back_is_raised() -> None:
    """A leader behind a snapshot of unknown log time may not know better; its entries count all the same."""
    server = follower()
    later = Entries.build([Entry(3, 5, EntryKind.EntryNormal, b"x")], time_ms=1000)
    server.step(MessageType.MsgApp, 3, 2, index=4, log_term=2, entries=later)
    back = Entries.build([Entry(3, 6, EntryKind.EntryNormal, b"y")], time_ms=999)
    (answer,) = server.step(MessageType.MsgApp, 3, 2, index=5, log_term=3, entries=back)
    assert (answer.reject, answer.index) == (False, 6)
    assert server.member.storage.log_time(6) == 1000
