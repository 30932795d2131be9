"""Vote and pre-vote requests in every role and state, by the rules of paper 5.2, 5.4.1, 6 and thesis 9.6."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import pytest

from raftcore import MessageType, StateType
from tests.core.server import Server

TERM = 5
ROLES = {
    "follower": StateType.StateFollower,
    "pre-candidate": StateType.StatePreCandidate,
    "candidate": StateType.StateCandidate,
    "leader": StateType.StateLeader,
}
ASKS = 2  # the candidate


class Case(NamedTuple):
    """One request at one server."""

    role: str
    vote: int  # whom the server has voted for in TERM: nobody, the candidate, another
    leader_known: bool
    check_quorum: bool
    pre: bool
    term: int
    log: str  # the candidate's, compared with the server's


def cases(role: str, pre: bool) -> list[Case]:
    votes = (0, ASKS, 3) if role in ("follower", "pre-candidate") else (1,)
    known = {"follower": (False, True), "leader": (True,)}.get(role, (False,))
    every = product(votes, known, (False, True), (TERM - 1, TERM, TERM + 1, TERM + 4), ("older", "equal", "newer"))
    return [Case(role, vote, lead, quorum, pre, term, log) for vote, lead, quorum, term, log in every]


def in_role(case: Case) -> Server:
    by_itself = case.role in ("candidate", "leader")
    server = Server(
        [1, 2],
        term=TERM - 1 if by_itself else TERM,
        vote=0 if by_itself else case.vote,
        check_quorum=case.check_quorum,
        pre_vote=case.role == "pre-candidate",
    )
    if case.role == "leader":
        server.lead()
    elif case.role != "follower":
        server.campaign()
    elif case.leader_known:
        server.step(MessageType.MsgHeartbeat, TERM, 3)
    assert server.member.role == ROLES[case.role]
    assert (server.raw.term, server.raw.vote) == (TERM, case.vote)
    assert (server.raw.leader != 0) is case.leader_known
    return server


class Outcome(NamedTuple):
    """The answer (None: none) as (granted, its term), and the server's term, vote and role afterwards."""

    answer: tuple[bool, int] | None
    term: int
    vote: int
    role: str


def expected(case: Case) -> Outcome:
    as_it_was = Outcome(None, TERM, case.vote, case.role)
    complete = case.log != "older"
    if case.term < TERM:
        # A pre-candidate of a former term is told the term, so that it gets on; other requests are ignored.
        return as_it_was._replace(answer=(False, TERM)) if case.pre else as_it_was
    if case.term == TERM:
        granted = complete and (case.vote == ASKS or (case.vote == 0 and not case.leader_known))
        return as_it_was._replace(answer=(granted, TERM), vote=ASKS if granted and not case.pre else case.vote)
    if case.check_quorum and case.leader_known:
        return as_it_was  # a leader is alive: not even the term moves (paper 6)
    if case.pre:
        return as_it_was._replace(answer=(complete, case.term if complete else TERM))
    return Outcome((complete, case.term), case.term, ASKS if complete else 0, "follower")


def ask(server: Server, case: Case) -> Outcome:
    last, last_term = server.raw.last_index, server.raw.last_term
    index, log_term = {"older": (last - 1, last_term), "equal": (last, last_term), "newer": (last + 1, last_term)}[
        case.log
    ]
    kind = MessageType.MsgPreVote if case.pre else MessageType.MsgVote
    answers = server.step(kind, case.term, ASKS, index=index, log_term=log_term)
    assert len(answers) <= 1
    answer_kind = MessageType.MsgPreVoteResp if case.pre else MessageType.MsgVoteResp
    assert all((m.to, m.type) == (ASKS, answer_kind) for m in answers)
    answer = (not answers[0].reject, answers[0].term) if answers else None
    role = next(name for name, state in ROLES.items() if state == server.member.role)
    return Outcome(answer, server.raw.term, server.raw.vote, role)


@pytest.mark.parametrize("pre", [False, True], ids=["vote", "pre-vote"])
@pytest.mark.parametrize("role", ROLES)
def test_every_state_of_a_role(role: str, pre: bool) -> None:
    for case in cases(role, pre):
        assert ask(in_role(case), case) == expected(case), case


@pytest.mark.parametrize(
    ("index", "log_term", "granted"),
    [(9, 1, False), (1, 3, True), (2, 2, True), (1, 2, False), (3, 2, True), (0, 0, False)],
)
@pytest.mark.parametrize("pre", [False, True])
def test_the_last_term_comes_before_the_length(index: int, log_term: int, granted: bool, pre: bool) -> None:
    server = Server([1, 2], term=TERM)
    kind = MessageType.MsgPreVote if pre else MessageType.MsgVote
    (answer,) = server.step(kind, TERM + 1, index=index, log_term=log_term)
    assert answer.reject is not granted


def test_any_number_of_pre_votes_may_be_given() -> None:
    server = Server([1], term=TERM)
    for asks in (2, 3, 2):
        (answer,) = server.step(MessageType.MsgPreVote, TERM + 1, asks, index=1, log_term=1)
        assert (answer.reject, answer.term) == (False, TERM + 1)
    assert (server.raw.term, server.raw.vote) == (TERM, 0)


def test_a_request_of_a_leadership_transfer_is_answered_while_a_leader_is_alive() -> None:
    server = Server([1], term=TERM, check_quorum=True)
    server.step(MessageType.MsgHeartbeat, TERM, 3)
    assert server.vote(TERM + 1, 1, 1) == []
    (answer,) = server.vote(TERM + 1, 1, 1, context=b"CampaignTransfer")
    assert not answer.reject


def test_once_the_leader_is_silent_for_an_election_timeout_votes_are_given_again() -> None:
    server = Server([1], term=TERM, check_quorum=True)
    server.step(MessageType.MsgHeartbeat, TERM, 3)
    server.raw.set_randomized_election_timeout(15)
    server.tick(9)
    assert server.vote(TERM + 1, 1, 1) == []
    server.tick(1)
    assert not server.vote(TERM + 1, 1, 1)[0].reject


def test_a_learner_votes_when_asked() -> None:
    """The candidate may know a newer configuration in which this node is a voter."""
    server = Server([1], term=TERM, voters=(2, 3), learners=(1,))
    assert not server.vote(TERM + 1, 1, 1)[0].reject
