"""What must be durable before it counts or leaves, and what need not (Figure 2; thesis 3.8, 10.2.1)."""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import Message, MessageType, StateType
from tests.core.server import Server, of


def held(server: Server) -> list[Message]:
    """The storage work that the server has asked for since its disk came to a halt."""
    return server.member.appends


def stopped(*terms: int, **state: Any) -> Server:
    """A server whose disk does nothing until it is asked to."""
    server = Server(terms, **state)
    server.net.writes_held.add(1)
    return server


def test_a_vote_in_the_term_it_is_already_in_is_synced_and_leaves_after_that() -> None:
    server = stopped(term=5)
    assert server.vote(5, 0, 0) == []
    (write,) = held(server)
    assert (write.term, write.vote, write.must_sync) == (5, 2, True)
    assert [(m.to, m.type, m.reject) for m in write.responses or []] == [(2, MessageType.MsgVoteResp, False)]


def test_a_term_is_synced_also_without_a_vote() -> None:
    server = stopped(1, 1, term=1)
    server.vote(7, 1, 1)
    (write,) = held(server)
    assert (write.term, write.vote, write.must_sync) == (7, 0, True)


def test_entries_are_synced_and_acknowledged_after_that() -> None:
    server = stopped(1, term=1)
    assert of(MessageType.MsgAppResp, server.append(1, 1, 1, [1, 1])) == []
    (write,) = held(server)
    assert write.must_sync
    assert [(m.to, m.index) for m in write.responses or [] if m.type == MessageType.MsgAppResp] == [(2, 3)]


def test_a_commit_index_alone_need_not_be_synced() -> None:
    server = stopped(1, 1, term=1)
    server.step(MessageType.MsgHeartbeat, 1, commit=2)
    (write,) = held(server)
    assert (write.term, write.commit, write.must_sync) == (1, 2, False)


def test_a_candidate_asks_for_votes_once_its_term_is_durable() -> None:
    """Elected by the others alone it would lead a term that a crash makes it forget, and stand in it again."""
    server = stopped(1, term=1)
    assert of(MessageType.MsgVote, server.campaign()) == []
    (write,) = held(server)
    assert (write.term, write.vote, write.must_sync) == (2, 1, True)
    asked = [m.to for m in write.responses or [] if m.type == MessageType.MsgVote]
    assert asked == [2, 3]


def test_a_pre_vote_promises_nothing_and_is_asked_for_at_once() -> None:
    server = stopped(1, term=1, pre_vote=True)
    assert [m.to for m in of(MessageType.MsgPreVote, server.campaign())] == [2, 3]


def test_votes_before_the_write_as_etcd_does() -> None:
    server = stopped(1, term=1, votes_before_write=True)
    assert [m.to for m in of(MessageType.MsgVote, server.campaign())] == [2, 3]


@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_candidate_counts_its_own_vote_once_that_is_durable(pre_vote: bool) -> None:
    """With one vote of another and its own it has two of three; its own may still be lost in a crash."""
    server = Server([1], term=1, pre_vote=pre_vote)
    if pre_vote:
        server.campaign()
    server.net.writes_held.add(1)
    if pre_vote:
        server.step(MessageType.MsgPreVoteResp, 2, 2)
    else:
        server.campaign()
    assert (server.member.role, server.raw.term, server.raw.vote) == (StateType.StateCandidate, 2, 1)
    server.step(MessageType.MsgVoteResp, 2, 2)
    assert server.member.role == StateType.StateCandidate
    server.does(lambda: server.net.write(server.member))
    assert server.member.role == StateType.StateLeader


def test_a_leader_counts_its_own_entries_once_they_are_durable() -> None:
    server = Server([1], term=1)
    server.lead()
    server.net.writes_held.add(1)
    last = server.raw.propose([b"x"])
    server.net.collect(server.member)
    server.acknowledge(2, last)
    assert server.raw.commit_index == last - 1
    server.does(lambda: server.net.write(server.member))
    assert server.raw.commit_index == last
