"""The tracker: who is in it, what they have together, how they vote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import InvariantViolation
from raftcore.base.types import UNLIMITED
from raftcore.membership.progress import Progress
from raftcore.membership.quorum import VoteResult
from raftcore.membership.tracker import Tracker, TrackerConfig
from raftcore.values.message import ConfState
from tests.model import quorum as model

halves = st.frozensets(st.integers(1, 12), max_size=9)


def tracker(
    voters: frozenset[int] | set[int],
    outgoing: frozenset[int] | set[int] = frozenset(),
    learners: set[int] | frozenset[int] = frozenset(),
) -> Tracker:
    made = Tracker()
    members = {id: Progress(id, is_learner=id in learners) for id in {*voters, *outgoing, *learners}}
    made.install(TrackerConfig(voters, outgoing, learners), members)
    return made


@given(halves, halves, st.data())
def test_committed_is_that_of_the_model(
    incoming: frozenset[int], outgoing: frozenset[int], data: st.DataObject
) -> None:
    made = tracker(incoming, outgoing, {13, 14})
    for member in made.progress.values():
        member.maybe_update(data.draw(st.integers(0, 6)))
    match = {id: member.match for id, member in made.progress.items()}
    expected = model.joint_committed([match[id] for id in incoming], [match[id] for id in outgoing])
    assert made.committed() == expected, "learners count for nothing"


@given(halves, halves, st.dictionaries(st.integers(1, 15), st.booleans()))
def test_the_count_of_votes_is_that_of_the_model(
    incoming: frozenset[int], outgoing: frozenset[int], votes: dict[int, bool]
) -> None:
    learners = {13, 14}
    made = tracker(incoming, outgoing, learners)
    for id, granted in votes.items():
        made.record_vote(id, granted)
    granted, rejected, result = made.tally_votes()
    voters = incoming | outgoing
    assert granted == sum(votes.get(id) is True for id in voters)
    assert rejected == sum(votes.get(id) is False for id in voters)
    expected = model.joint_vote([votes.get(id) for id in incoming], [votes.get(id) for id in outgoing])
    assert result.name == expected


@given(halves, halves, st.frozensets(st.integers(1, 15)))
def test_quorums(incoming: frozenset[int], outgoing: frozenset[int], ids: frozenset[int]) -> None:
    made = tracker(incoming, outgoing, {13})
    expected = model.is_won([id in ids for id in incoming]) and model.is_won([id in ids for id in outgoing])
    assert made.has_quorum(ids) == expected
    for id, member in made.progress.items():
        member.recent_active = id in ids
    assert made.quorum_active() == expected
    for far in made.progress:
        for id, member in made.progress.items():
            member.match = 8 if id == far else 9
        near = ids - {far}
        expected = model.is_won([id in near for id in incoming]) and model.is_won([id in near for id in outgoing])
        assert made.quorum_active_from(10) == expected
        assert made.quorum_active_from(9) == made.quorum_active()


@pytest.mark.parametrize("count", [63, 64, 65, 200, 1001])
def test_any_number_of_voters(count: int) -> None:
    """64 members of a half are counted without allocating; more must count as well."""
    made = tracker(set(range(1, count + 1)))
    for member in made.progress.values():
        member.maybe_update(member.id)
        made.record_vote(member.id, member.id <= count // 2 + 1)
    assert made.committed() == count - count // 2
    assert made.tally_votes()[2] == VoteResult.VoteWon
    assert not made.has_quorum(range(1, count // 2 + 1))


def test_without_voters_everything_is_decided() -> None:
    made = Tracker()
    assert made.committed() == UNLIMITED
    assert made.tally_votes() == (0, 0, VoteResult.VoteWon)
    assert made.has_quorum([])


def test_the_first_answer_of_a_voter_counts() -> None:
    made = tracker({1, 2, 3})
    made.record_vote(1, False)
    made.record_vote(1, True)
    assert made.votes == {1: False}
    made.reset_votes()
    assert made.votes == {}
    made.record_vote(1, True)
    assert made.tally_votes() == (1, 0, VoteResult.VotePending)


def test_singleton_and_joint() -> None:
    assert tracker({1}).is_singleton()
    assert tracker({1}, learners={2}).is_singleton()
    assert not tracker({1, 2}).is_singleton()
    assert not tracker({1}, {1}).is_singleton()
    assert tracker({1}, {1}).is_joint()
    assert not tracker({1}).is_joint()
    assert tracker({3, 1}, {2, 3}).voter_ids() == (1, 2, 3)


@pytest.mark.parametrize(
    ("config", "members", "fault"),
    [
        (TrackerConfig({1, 2}), {1: False}, "every member has progress, and nobody else"),
        (TrackerConfig({1}), {1: False, 2: False}, "every member has progress, and nobody else"),
        (TrackerConfig({1}, (), {2}), {1: False}, "every member has progress, and nobody else"),
        (TrackerConfig({1}, {2}), {1: False}, "every member has progress, and nobody else"),
        (TrackerConfig({1, 2}, (), {2}), {1: False, 2: True}, "nobody is voter and learner at once"),
        (TrackerConfig({1}, {2}, {2}), {1: False, 2: True}, "nobody is voter and learner at once"),
        (TrackerConfig({1, 2}, {1}, (), {2}), {1: False, 2: False}, "only outgoing voters wait to become learners"),
        (TrackerConfig({1}, auto_leave=True), {1: False}, "only a joint configuration is left"),
        (TrackerConfig({1}, (), {2}), {1: False, 2: False}, "the progress of 2 is that of 2, learner: False"),
        (TrackerConfig({1}), {1: True}, "the progress of 1 is that of 1, learner: True"),
    ],
)
def test_progress_and_configuration_must_fit_each_other(
    config: TrackerConfig, members: dict[int, bool], fault: str
) -> None:
    made = tracker({1, 2})
    with pytest.raises(InvariantViolation, match=fault):
        made.install(config, {id: Progress(id, is_learner=is_learner) for id, is_learner in members.items()})
    assert made.config == TrackerConfig({1, 2}), "a refused configuration changes nothing"
    assert sorted(made.progress) == [1, 2]


def test_progress_stands_under_its_own_id() -> None:
    with pytest.raises(InvariantViolation, match="the progress of 1 is that of 2"):
        Tracker().install(TrackerConfig({1}), {1: Progress(2)})


def test_a_node_that_is_not_a_member_has_no_progress() -> None:
    assert tracker({1, 2}).get(3) is None
    assert tracker({1, 2}).get(2).id == 2


def test_members_are_visited_in_the_order_of_their_ids() -> None:
    made = tracker({5, 1}, {3}, {2, 4})
    assert [line.partition(":")[0] for line in made.describe_progress()] == ["1", "2", "3", "4", "5"]


def test_a_clone_shares_nothing() -> None:
    made = tracker({1, 2, 3}, learners={4})
    made.record_vote(1, True)
    clone = made.clone()
    made.progress[2].maybe_update(9)
    made.record_vote(2, True)
    made.install(TrackerConfig({1}), {1: Progress(1)})
    assert clone.config == TrackerConfig({1, 2, 3}, (), {4})
    assert clone.votes == {1: True}
    assert [clone.progress[id].match for id in (1, 2, 3, 4)] == [0, 0, 0, 0]
    clone.progress[1].maybe_update(5)
    clone.progress[2].maybe_update(5)
    assert clone.committed() == 5, "the clone counts its own members"


def test_the_configuration_as_it_is_stored_and_printed() -> None:
    config = TrackerConfig([3, 1, 2], [1], [4], [5], True)
    assert config.describe() == "voters=(1 2 3)&&(1) learners=(4) learners_next=(5) autoleave"
    assert TrackerConfig().describe() == "voters=()"
    assert config == TrackerConfig((1, 2, 3), (1,), (4,), (5,), True)
    assert config != TrackerConfig((1, 2, 3), (1,), (4,), (5,), False)
    assert len({config, TrackerConfig([2, 1, 3], [1], [4], [5], True)}) == 1
    made = tracker({2, 1}, {3}, {4})
    assert made.conf_state() == ConfState((1, 2), (3,), (4,), (), False)
