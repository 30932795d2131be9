"""Figure 2: persistent state, and the rules for all servers, followers and candidates."""

from __future__ import annotations

import pytest

from raftcore import MessageType, StateType
from tests.core.network import ELECTION_TICK
from tests.core.server import Server, of


def test_figure_2_persistent_state_term_and_vote_outlive_a_crash_and_bind_afterwards() -> None:
    server = Server(term=1)
    assert not server.vote(2, 0, 0, from_=3)[0].reject
    server.net.crash(1)
    assert (server.raw.term, server.raw.vote) == (2, 3)
    assert server.vote(2, 0, 0, from_=2)[0].reject


def test_figure_2_persistent_state_the_log_outlives_a_crash() -> None:
    server = Server([1], term=1)
    server.append(2, 1, 1, [2, 2])
    server.net.crash(1)
    assert server.terms == [1, 2, 2]


def test_figure_2_persistent_state_is_written_before_an_answer_goes_out() -> None:
    server = Server(term=1)
    server.net.writes_held.add(1)
    assert server.vote(2, 0, 0) == []
    assert server.append(2, 0, 0, [2]) == []
    before = len(server.net.sent)
    server.net.write(server.member)
    kinds = [message.type for message in server.net.sent[before:]]
    assert kinds == [MessageType.MsgVoteResp, MessageType.MsgAppResp]


def test_figure_2_all_servers_apply_what_lies_between_applied_and_commit_index_in_order() -> None:
    server = Server([1, 1, 1], term=1)
    assert server.member.applied == []
    server.append(1, 3, 1, commit=2)
    assert server.member.applied == [(1, 1, b"1/1"), (2, 1, b"1/2")]
    server.append(1, 3, 1, commit=3)
    assert server.member.applied[2:] == [(3, 1, b"1/3")]


@pytest.mark.parametrize("role", ["follower", "candidate", "leader"])
@pytest.mark.parametrize(
    "kind", [MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgVote, MessageType.MsgAppResp,
             MessageType.MsgHeartbeatResp, MessageType.MsgVoteResp]
)  # fmt: skip
def test_figure_2_all_servers_a_higher_term_in_any_message_makes_a_follower_of_that_term(
    role: str, kind: MessageType
) -> None:
    server = Server([1], term=1)
    if role != "follower":
        server.campaign()
    if role == "leader":
        server.lead()
    term = server.raw.term
    fields = {"index": 1, "log_term": 1} if kind in (MessageType.MsgApp, MessageType.MsgVote) else {}
    server.step(kind, term + 3, **fields)
    assert server.raw.term == term + 3
    assert server.member.role == StateType.StateFollower


def test_figure_2_followers_answer_candidates_and_leaders() -> None:
    server = Server(term=1)
    assert [m.to for m in of(MessageType.MsgVoteResp, server.vote(2, 0, 0, from_=3))] == [3]
    assert [m.to for m in of(MessageType.MsgAppResp, server.append(2, 0, 0, [2], from_=3))] == [3]


def test_figure_2_followers_become_candidates_when_the_election_timeout_passes_in_silence() -> None:
    server = Server()
    server.tick(ELECTION_TICK - 1)
    assert server.member.role == StateType.StateFollower
    server.tick(ELECTION_TICK)
    assert server.member.role == StateType.StateCandidate


def test_figure_2_followers_hearing_the_leader_do_not_become_candidates() -> None:
    server = Server(term=1)
    for _ in range(5):
        server.tick(ELECTION_TICK - 1)
        server.step(MessageType.MsgHeartbeat, 1)
    assert server.member.role == StateType.StateFollower


def test_figure_2_followers_that_grant_a_vote_wait_anew() -> None:
    server = Server(term=1)
    server.tick(ELECTION_TICK - 1)
    server.vote(2, 0, 0)
    server.tick(ELECTION_TICK - 1)
    assert server.member.role == StateType.StateFollower


@pytest.mark.parametrize("term", [2, 3])
def test_figure_2_followers_that_refuse_a_vote_do_not_wait_anew(term: int) -> None:
    server = Server([1, 1], term=2)
    server.raw.set_randomized_election_timeout(ELECTION_TICK)
    server.tick(ELECTION_TICK - 1)
    assert server.vote(term, 1, 1)[0].reject
    server.tick(1)
    assert server.member.role == StateType.StateCandidate


def test_figure_2_candidates_begin_with_a_new_term_their_own_vote_and_requests_to_all() -> None:
    server = Server([1, 2], term=4, voters=(1, 2, 3, 4, 5))
    sent = of(MessageType.MsgVote, server.campaign())
    assert (server.raw.term, server.raw.vote) == (5, 1)
    assert [(m.to, m.term, m.index, m.log_term) for m in sent] == [(to, 5, 2, 2) for to in (2, 3, 4, 5)]


def test_figure_2_candidates_reset_the_election_timer() -> None:
    server = Server()
    server.tick(ELECTION_TICK - 1)
    server.campaign()
    server.tick(ELECTION_TICK - 1)
    assert server.raw.term == 1


@pytest.mark.parametrize(("members", "needed"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)])
def test_figure_2_candidates_with_the_votes_of_a_majority_become_leader(members: int, needed: int) -> None:
    server = Server(voters=range(1, members + 1))
    server.campaign()
    for peer in server.peers[:needed]:
        assert server.member.role == StateType.StateCandidate
        server.step(MessageType.MsgVoteResp, 1, peer)
    assert server.member.role == StateType.StateLeader


@pytest.mark.parametrize("kind", [MessageType.MsgApp, MessageType.MsgHeartbeat])
def test_figure_2_candidates_hearing_the_new_leader_become_followers(kind: MessageType) -> None:
    server = Server()
    server.campaign()
    server.step(kind, 1, 3)
    assert (server.member.role, server.raw.leader) == (StateType.StateFollower, 3)


def test_figure_2_candidates_whose_timeout_passes_start_a_new_election() -> None:
    server = Server()
    server.campaign()
    server.tick(2 * ELECTION_TICK)
    assert server.raw.term >= 2
    assert server.member.role == StateType.StateCandidate
