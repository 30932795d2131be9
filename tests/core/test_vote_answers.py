"""Answers to vote requests, on the side of who asked: only answers to the question that is open count (thesis 9.6)."""

from __future__ import annotations

from raftcore import MessageType, StateType
from tests.core.server import Server, of

VOTERS = (1, 2, 3, 4, 5)


def candidate() -> Server:
    """A candidate of term 2 that has won its pre-vote with 2 and 3; its vote is not won yet."""
    server = Server([1], term=1, voters=VOTERS, pre_vote=True)
    server.campaign()
    assert server.member.role == StateType.StatePreCandidate
    for peer in (2, 3):
        server.step(MessageType.MsgPreVoteResp, 2, peer)
    assert (server.member.role, server.raw.term) == (StateType.StateCandidate, 2)
    return server


def test_late_answers_to_the_pre_vote_are_no_votes() -> None:
    server = candidate()
    for peer in (4, 5, 2, 3):
        server.step(MessageType.MsgPreVoteResp, 2, peer)
        assert server.member.role == StateType.StateCandidate
    # Nor do they stand in the way of the real ones: who promised nothing may still promise to another.
    server.step(MessageType.MsgVoteResp, 2, 4, reject=True)
    server.step(MessageType.MsgVoteResp, 2, 2)
    assert server.member.role == StateType.StateCandidate
    server.step(MessageType.MsgVoteResp, 2, 3)
    assert server.member.role == StateType.StateLeader


def test_late_refusals_of_the_pre_vote_are_no_refusals() -> None:
    server = candidate()
    for peer in (4, 5, 2):
        server.step(MessageType.MsgPreVoteResp, 2, peer, reject=True)
    assert server.member.role == StateType.StateCandidate
    for peer in (4, 5):
        server.step(MessageType.MsgVoteResp, 2, peer)
    assert server.member.role == StateType.StateLeader


def test_late_votes_are_no_answers_to_the_next_pre_vote() -> None:
    server = candidate()
    asked = of(MessageType.MsgPreVote, server.campaign())
    assert {message.term for message in asked} == {3}
    for peer in (2, 3, 4, 5):
        server.step(MessageType.MsgVoteResp, 2, peer)
        assert (server.member.role, server.raw.term) == (StateType.StatePreCandidate, 2)
    for peer in (2, 3):
        server.step(MessageType.MsgPreVoteResp, 3, peer)
    assert (server.member.role, server.raw.term) == (StateType.StateCandidate, 3)
