"""Configuration changes: against plain sets, from bytes, and refused where they must be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftcore.base.errors import ConfChangeError, DecodeError
from raftcore.base.types import UNLIMITED
from raftcore.membership.confchange import (
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    TransitionAuto,
    TransitionJointExplicit,
    TransitionJointImplicit,
    as_changes,
    describe,
    enter_joint,
    leave_joint,
    parse,
    restore,
    simple,
)
from raftcore.membership.tracker import Tracker, TrackerConfig
from raftcore.values.message import ConfState
from tests.model.confchange import Configuration, Refused

changes = st.lists(st.tuples(st.sampled_from("vlru"), st.integers(0, 6)), max_size=5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("simple"), st.just(False), changes),
        st.tuples(st.just("enter"), st.booleans(), changes),
        st.tuples(st.just("leave"), st.just(False), st.just([])),
    ),
    max_size=12,
)
ids = st.integers(0, 2**64 - 3)
single = st.builds(ConfChange, st.sampled_from(ConfChangeType), ids)
v1 = st.builds(ConfChange, st.sampled_from(ConfChangeType), ids, st.binary(max_size=30))
v2 = st.builds(
    ConfChangeV2, st.lists(single, max_size=6), st.sampled_from(ConfChangeTransition), st.binary(max_size=30)
)


def started(text: str) -> Tracker:
    """Voter 1, and the changes made to that."""
    tracker = Tracker()
    tracker.install(*simple(tracker, 0, parse("v1")))
    tracker.install(*enter_joint(tracker, 0, False, parse(text)))
    tracker.install(*leave_joint(tracker, 0))
    return tracker


@settings(max_examples=300)
@given(steps)
def test_every_sequence_of_changes_is_that_of_the_model(
    sequence: list[tuple[str, bool, list[tuple[str, int]]]],
) -> None:
    tracker, expected = Tracker(), Configuration()
    for last_index, (kind, auto_leave, wanted) in enumerate(sequence):
        given_changes = parse(" ".join(f"{letter}{id}" for letter, id in wanted))
        before = (tracker.config, tracker.describe_progress())
        refused = refusal = None
        try:
            if kind == "simple":
                expected = expected.simple(wanted, last_index)
            elif kind == "enter":
                expected = expected.enter_joint(auto_leave, wanted, last_index)
            else:
                expected = expected.leave_joint(last_index)
        except Refused as error:
            refused = str(error)
        try:
            if kind == "simple":
                made = simple(tracker, last_index, given_changes)
            elif kind == "enter":
                made = enter_joint(tracker, last_index, auto_leave, given_changes)
            else:
                made = leave_joint(tracker, last_index)
        except ConfChangeError as error:
            refusal = str(error)
        assert refusal == refused
        assert (tracker.config, tracker.describe_progress()) == before, "only install changes a tracker"
        if refused is None:
            tracker.install(*made)
        check(tracker, expected)


def check(tracker: Tracker, expected: Configuration) -> None:
    assert tracker.config == TrackerConfig(
        expected.voters, expected.outgoing, expected.learners, expected.learners_next, expected.auto_leave
    )
    assert {id: member.next for id, member in tracker.progress.items()} == expected.next
    for id, member in tracker.progress.items():
        assert member.is_learner == (id in expected.learners)
        assert member.recent_active, "a newcomer must not cost the leader its quorum"
    assert not set(tracker.config.learners) & set(tracker.voter_ids())
    assert set(tracker.config.learners_next) <= set(tracker.config.voters_outgoing)
    again = Tracker()
    again.install(*restore(again, 7, tracker.conf_state()))
    assert again.config == tracker.config, "what is stored leads back to the same configuration"
    assert all(member.next == 7 for member in again.progress.values())
    assert [(id, member.is_learner) for id, member in sorted(again.progress.items())] == [
        (id, member.is_learner) for id, member in sorted(tracker.progress.items())
    ]


def test_what_is_known_of_a_member_survives_a_change() -> None:
    tracker = started("v2 v3")
    tracker.progress[2].maybe_update(40)
    tracker.progress[2].become_replicate()
    tracker.progress[2].sent_entries(2, 99)
    tracker.progress[2].conf_index = 11
    tracker.install(*enter_joint(tracker, 50, True, parse("l2 v4")))
    member = tracker.progress[2]
    assert (member.match, member.next, member.inflights.messages(), member.conf_index) == (40, 43, [(42, 99)], 11)
    tracker.install(*leave_joint(tracker, 51))
    assert tracker.progress[2].describe() == "StateReplicate match=40 next=43 learner inflight=1"
    assert tracker.progress[4].next == 50


def test_a_node_that_left_and_came_back_starts_over() -> None:
    tracker = started("v2 v3")
    tracker.progress[3].maybe_update(40)
    tracker.install(*simple(tracker, 50, parse("r3 v3")))
    assert (tracker.progress[3].match, tracker.progress[3].next) == (0, 50)


def test_new_members_have_the_limits_of_the_tracker() -> None:
    tracker = Tracker(5, 700)
    _, progress = simple(tracker, 3, parse("v1 l2"))
    for member in progress.values():
        assert (member.inflights.size, member.inflights.max_bytes, member.conf_index) == (5, 700, UNLIMITED)


def test_changes_may_come_as_either_kind() -> None:
    tracker = Tracker()
    for change in (ConfChange(ConfChangeType.AddNode, 1), ConfChangeV2((ConfChange(ConfChangeType.AddNode, 1),))):
        assert simple(tracker, 0, change)[0].voters == (1,)
        assert [one.node_id for one in as_changes(change)] == [1]


def test_a_change_of_an_unknown_kind_is_refused() -> None:
    class Odd:
        type, node_id = 9, 1

    with pytest.raises(ConfChangeError, match="unexpected conf type 9"):
        simple(Tracker(), 0, [Odd()])


@pytest.mark.parametrize(
    "state",
    [
        ConfState(voters=(1, 2), learners=(2,)),
        ConfState(voters=(1,), auto_leave=True),
        ConfState(voters=(1,), learners_next=(2,)),
        ConfState(voters=(1,), voters_outgoing=(2,), learners=(2,)),
        ConfState(voters=(1,), voters_outgoing=(2,), learners_next=(3,)),
        ConfState(learners=(1,)),
        ConfState(voters_outgoing=(1,)),
    ],
)
def test_a_stored_configuration_that_cannot_be_is_refused(state: ConfState) -> None:
    with pytest.raises(ConfChangeError):
        restore(Tracker(), 1, state)


def test_restoring_nobody_gives_nobody() -> None:
    config, progress = restore(started("v2"), 1, ConfState())
    assert (config, progress) == (TrackerConfig(), {})


def test_restoring_takes_the_limits_but_not_the_members() -> None:
    config, progress = restore(started("v2 v3"), 9, ConfState(voters=(4,), learners=(5,)))
    assert config == TrackerConfig((4,), (), (5,))
    assert sorted(progress) == [4, 5]


def test_a_thousand_members_are_restored_quickly() -> None:
    voters = tuple(range(1, 1001))
    config, progress = restore(Tracker(), 1, ConfState(voters=voters, voters_outgoing=voters[500:]))
    assert config.voters == voters
    assert len(progress) == 1000


# The bytes


@given(v1)
def test_one_change_survives_its_bytes(change: ConfChange) -> None:
    assert ConfChange.decode(change.encode()) == change


@given(v2)
def test_many_changes_survive_their_bytes(change: ConfChangeV2) -> None:
    assert ConfChangeV2.decode(change.encode()) == change
    assert (change.encode() == b"") == (change == ConfChangeV2())


@given(st.one_of(st.binary(max_size=60), v1.map(ConfChange.encode), v2.map(ConfChangeV2.encode)), st.data())
def test_any_bytes_are_a_change_or_an_error(data: bytes, more: st.DataObject) -> None:
    mangled = bytearray(data)
    if mangled:
        for position in more.draw(st.lists(st.integers(0, len(mangled) - 1), max_size=3)):
            mangled[position] = more.draw(st.integers(0, 255))
    for kind in (ConfChange, ConfChangeV2):
        try:
            change = kind.decode(mangled)
        except DecodeError:
            continue
        assert change.encode() == bytes(mangled), "one value has one byte form"


def test_the_bytes_themselves() -> None:
    assert ConfChange(ConfChangeType.AddLearner, 0x0102, b"xy").encode() == b"\x03\x02\x01" + bytes(6) + b"xy"
    assert ConfChangeV2().encode() == b""
    one = ConfChange(ConfChangeType.RemoveNode, 5)
    expected = b"\x02" + b"\x01\x00\x00\x00" + b"\x01\x05" + bytes(7) + b"!"
    assert ConfChangeV2((one,), TransitionJointExplicit, b"!").encode() == expected


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (ConfChange, b"", "of 0 bytes: it has at least 9"),
        (ConfChange, b"\x00" * 8, "of 8 bytes: it has at least 9"),
        (ConfChange, b"\x04" + b"\x00" * 8, "type 4: it must be one of 0 to 3"),
        (ConfChangeV2, b"\x00", "of 1 bytes: it has none, or at least 5"),
        (ConfChangeV2, b"\x03" + b"\x00" * 4, "transition 3: it must be one of 0 to 2"),
        (ConfChangeV2, b"\x00\x02\x00\x00\x00" + b"\x00" * 17, "2 changes in 22 bytes: that takes 23"),
        (ConfChangeV2, b"\x00\xff\xff\xff\xff", "4294967295 changes in 5 bytes"),
        (ConfChangeV2, b"\x00" * 5, "empty configuration change that is not empty bytes"),
        (ConfChangeV2, b"\x00\x01\x00\x00\x00\x09" + b"\x00" * 8, "type 9: it must be one of 0 to 3"),
    ],
)
def test_bytes_that_are_no_change(kind: type[ConfChange] | type[ConfChangeV2], data: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        kind.decode(data)


# What a change says


def test_how_a_change_is_carried_out() -> None:
    one, two = tuple(parse("v1")), tuple(parse("v1 v2"))
    for transition, several, expected in [
        (TransitionAuto, one, (False, False)),
        (TransitionAuto, two, (True, True)),
        (TransitionAuto, (), (False, False)),
        (TransitionJointImplicit, one, (True, True)),
        (TransitionJointImplicit, two, (True, True)),
        (TransitionJointExplicit, one, (False, True)),
        (TransitionJointExplicit, two, (False, True)),
    ]:
        assert ConfChangeV2(several, transition).enter_joint() == expected


def test_leaving_a_joint_configuration() -> None:
    assert ConfChangeV2().leave_joint()
    assert ConfChangeV2(context=b"why").leave_joint()
    assert not ConfChangeV2(tuple(parse("v1"))).leave_joint()
    assert not ConfChangeV2((), TransitionJointExplicit).leave_joint()


def test_one_change_as_the_other_kind() -> None:
    assert ConfChange(ConfChangeType.AddNode, 3, b"c").as_v2() == ConfChangeV2(tuple(parse("v3")), context=b"c")
    both = ConfChangeV2(tuple(parse("v3 l4")))
    assert both.as_v2() is both


def test_words() -> None:
    text = "v1 l22 r333 u18446744073709551613"
    assert describe(parse(text)) == text
    assert parse("  v1   l2 ") == parse("v1 l2")
    assert parse("") == []


@pytest.mark.parametrize("text", ["x1", "v", "1", "v-1", "v1,l2", "vv1", "v1x", "v²", "v18446744073709551614"])
def test_words_that_are_none(text: str) -> None:
    with pytest.raises(ConfChangeError, match="must be"):
        parse(text)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ConfChangeError, match=r"configuration change type 7: it must be one of \[0, 1, 2, 3\]"):
        ConfChange(7, 1)
    with pytest.raises(ConfChangeError, match="node id -1: it must be between 0 and 18446744073709551613"):
        ConfChange(ConfChangeType.AddNode, -1)
    with pytest.raises(ConfChangeError, match=r"configuration change transition 3: it must be one of \[0, 1, 2\]"):
        ConfChangeV2((), 3)
    with pytest.raises(ConfChangeError, match="context b'x' of v1: only the whole ConfChangeV2 can have one"):
        ConfChangeV2((ConfChange(ConfChangeType.AddNode, 1, b"x"),))
