"""Majority arithmetic against a model that counts the slow way, and its laws."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.types import UNLIMITED
from raftcore.membership.quorum import VoteResult, committed_index, vote_result
from tests.model import quorum as model

indexes = st.lists(st.integers(0, 2**64 - 2) | st.integers(0, 5), max_size=40)
votes = st.lists(st.sampled_from([True, False, None]), max_size=40)


@given(indexes, indexes)
def test_committed_index_is_that_of_the_model(incoming: list[int], outgoing: list[int]) -> None:
    assert committed_index(incoming, outgoing) == model.joint_committed(incoming, outgoing)


@given(votes, votes)
def test_vote_result_is_that_of_the_model(incoming: list[bool | None], outgoing: list[bool | None]) -> None:
    assert vote_result(incoming, outgoing).name == model.joint_vote(incoming, outgoing)


def test_every_vote_of_up_to_five_members() -> None:
    for count in range(6):
        for cast in itertools.product([True, False, None], repeat=count):
            assert vote_result(cast).name == model.vote(cast), cast


@given(indexes, indexes)
def test_joining_with_nobody_or_oneself_or_swapping_changes_nothing(one: list[int], other: list[int]) -> None:
    assert committed_index(one, []) == committed_index([], one) == committed_index(one, one) == committed_index(one)
    assert committed_index(one, other) == committed_index(other, one)


@given(votes, votes)
def test_the_same_laws_for_votes(one: list[bool | None], other: list[bool | None]) -> None:
    assert vote_result(one, []) == vote_result([], one) == vote_result(one, one) == vote_result(one)
    assert vote_result(one, other) == vote_result(other, one)


@given(st.permutations([3, 3, 5, 7, 11, 2**64 - 2]))
def test_the_order_of_members_does_not_matter(matched: list[int]) -> None:
    assert committed_index(matched) == 5, "four of six have 5 or more"


def test_more_members_than_are_sorted_in_place() -> None:
    """16 is where the sort changes its method; thousands of members must work too."""
    for count in (15, 16, 17, 18, 1000, 5001):
        matched = [(position * 7919) % count for position in range(count)]
        assert committed_index(matched) == model.committed(matched)
        for apart in (2**31, 2**32, 2**51):  # differences that no int holds
            far = [apart * index for index in matched]
            assert committed_index(far) == model.committed(far)
        cast = [position % 3 != 0 for position in range(count)]
        assert vote_result(cast) == VoteResult.VoteWon
        assert vote_result([not vote for vote in cast]) == VoteResult.VoteLost


def test_without_members() -> None:
    assert committed_index([]) == UNLIMITED
    assert vote_result([]) == VoteResult.VoteWon
