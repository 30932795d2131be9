"""Figure 2: what the receivers of RequestVote and AppendEntries do, step by step."""

from __future__ import annotations

import pytest

from raftcore import MessageType
from tests.core.server import Server, of


def test_figure_2_request_vote_1_a_lower_term_gets_no_vote() -> None:
    server = Server(term=5)
    assert not [m for m in server.vote(4, 9, 4) if not m.reject]
    assert (server.raw.term, server.raw.vote) == (5, 0)


@pytest.mark.parametrize(("voted_for", "granted"), [(0, True), (2, True), (3, False)])
def test_figure_2_request_vote_2_only_the_first_candidate_of_a_term_is_voted_for(voted_for: int, granted: bool) -> None:
    server = Server(term=5, vote=voted_for)
    (answer,) = server.vote(5, 0, 0, from_=2)
    assert (answer.type, answer.reject, answer.term) == (MessageType.MsgVoteResp, not granted, 5)
    assert server.raw.vote == (2 if granted else voted_for)


@pytest.mark.parametrize(
    ("index", "log_term", "granted"),
    [(3, 2, True), (4, 2, True), (1, 3, True), (2, 2, False), (9, 1, False), (0, 0, False)],
)
def test_figure_2_request_vote_2_only_a_log_at_least_as_up_to_date_is_voted_for(
    index: int, log_term: int, granted: bool
) -> None:
    server = Server([1, 1, 2], term=3)
    (answer,) = server.vote(4, index, log_term)
    assert answer.reject is not granted
    assert server.raw.vote == (2 if granted else 0)


@pytest.mark.parametrize("check_quorum", [False, True])
def test_figure_2_append_entries_1_a_lower_term_is_not_accepted(check_quorum: bool) -> None:
    server = Server([1], term=5, check_quorum=check_quorum)
    sent = server.append(4, 1, 1, [4], commit=2)
    assert server.terms == [1]
    assert server.raw.commit_index == 0
    # With check-quorum the sender is told the newer term; without, its next message to a newer leader's voter does it.
    assert [(m.term, m.index) for m in sent] == ([(5, 0)] if check_quorum else [])


@pytest.mark.parametrize(("index", "log_term"), [(4, 2), (5, 2), (3, 1), (2, 2)])
def test_figure_2_append_entries_2_without_the_entry_before_it_is_rejected(index: int, log_term: int) -> None:
    server = Server([1, 1, 2], term=3)
    (answer,) = server.append(3, index, log_term, [3], commit=0)
    assert (answer.reject, answer.index) == (True, index)
    assert server.terms == [1, 1, 2]


def test_figure_2_append_entries_3_an_entry_of_another_term_goes_with_all_that_follow_it() -> None:
    server = Server([1, 1, 2, 2, 2], term=3)
    (answer,) = server.append(3, 2, 1, [3])
    assert (answer.reject, answer.index) == (False, 3)
    assert server.terms == [1, 1, 3]


def test_figure_2_append_entries_3_without_a_conflict_nothing_goes() -> None:
    """A delayed, shorter message must not cut off what later ones brought."""
    server = Server([1, 1, 2, 2, 2], term=3)
    (answer,) = server.append(3, 1, 1, [1, 2])
    assert (answer.reject, answer.index) == (False, 3)
    assert server.terms == [1, 1, 2, 2, 2]


def test_figure_2_append_entries_3_an_old_one_is_answered_with_what_is_known_to_match_and_no_more() -> None:
    """What follows the commit index may be another leader's: it must not be acknowledged to this one."""
    server = Server([1, 1, 1, 2, 2], term=3, commit=2)
    (answer,) = server.append(3, 1, 1, [1])
    assert (answer.reject, answer.index) == (False, 2)
    (answer,) = server.append(3, 1, 1)
    assert (answer.reject, answer.index) == (False, 1)
    assert server.terms == [1, 1, 1, 2, 2]


def test_figure_2_append_entries_4_only_what_is_not_there_yet_is_appended() -> None:
    server = Server([1, 1, 2], term=3)
    (answer,) = server.append(3, 1, 1, [1, 2, 3, 3])
    assert (answer.reject, answer.index) == (False, 5)
    assert server.terms == [1, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("leader_commit", "terms", "commit"),
    [
        (1, [3, 3], 1),
        (4, [3, 3], 4),
        (5, [3, 3], 5),
        (9, [3, 3], 5),  # no further than the last new entry
        (9, [], 3),  # the log behind the checked entry may differ from the leader's
    ],
)
def test_figure_2_append_entries_5_commit_index_follows_the_leaders_up_to_the_last_new_entry(
    leader_commit: int, terms: list[int], commit: int
) -> None:
    server = Server([1, 1, 1, 1 if not terms else 3], term=3)
    server.append(3, 3, 1, terms, commit=leader_commit)
    assert server.raw.commit_index == commit


def test_figure_2_append_entries_5_commit_index_never_goes_back() -> None:
    server = Server([1, 1, 1], term=3, commit=2)
    server.append(3, 3, 1, commit=1)
    server.step(MessageType.MsgHeartbeat, 3, commit=1)
    assert server.raw.commit_index == 2


def test_figure_2_append_entries_repeated_answers_the_same() -> None:
    server = Server([1, 1, 2], term=3)
    first = server.append(3, 1, 1, [3, 3], commit=2)
    again = server.append(3, 1, 1, [3, 3], commit=2)
    assert of(MessageType.MsgAppResp, first)[0].index == 3
    assert not again[0].reject
    assert server.terms == [1, 3, 3]
