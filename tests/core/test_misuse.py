"""What a driver may not do, or a store may not say: refused with the value in the text, and nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from raftcore import (
    ConfChange,
    ConfChangeType,
    Config,
    ConfState,
    HardState,
    InitialState,
    Message,
    MessageType,
    RawNode,
    StateType,
)
from raftcore.base.errors import ConfigError, ProposalDropped
from raftcore.testing.memory_storage import MemoryStorage
from tests.core.network import Network

CHANGE = ConfChange(ConfChangeType.AddNode, 4)
START = InitialState(conf_state=ConfState(voters=(1,)))


@pytest.mark.parametrize(
    ("initial", "applied", "text"),
    [
        (replace(START, snapshot_index=5, last_index=4), 0, "last_index 4 lies before snapshot_index 5"),
        (replace(START, hard_state=HardState(1, 0, 3), last_index=2), 0, "commit 3 lies beyond the last index 2"),
        (replace(START, hard_state=HardState(1, 0, 3), last_index=9), 10, "applied 10 lies beyond the last index 9"),
    ],
)
def test_a_start_that_contradicts_itself(initial: InitialState, applied: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        RawNode(Config(id=1, applied=applied), initial, MemoryStorage())


def test_commands_of_any_iterable_but_at_least_one() -> None:
    group = Network(1)
    group.campaign(1)
    raw = group[1].raw

    def some() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    assert raw.propose(some()) == 2  # type: ignore[arg-type]
    group.settle()
    assert [command for _, _, command in group[1].applied] == [b"a", b"b"]
    before = raw.fingerprint()
    with pytest.raises(ValueError, match="commands must hold at least one command, not none"):
        raw.propose([])
    with pytest.raises(TypeError):
        raw.propose([b"a", None])  # type: ignore[list-item]
    assert raw.fingerprint() == before


@pytest.mark.parametrize("propose", ["propose", "propose_conf_change"])
def test_a_follower_that_does_not_forward(propose: str) -> None:
    group = Network(3, disable_proposal_forwarding=True)
    given: Any = CHANGE if propose == "propose_conf_change" else [b"a"]
    with pytest.raises(ProposalDropped) as caught:
        getattr(group[2].raw, propose)(given)
    assert caught.value.reason == "no_leader"
    group.campaign(1)
    with pytest.raises(ProposalDropped) as caught:
        getattr(group[2].raw, propose)(given)
    assert caught.value.reason == "not_leader"
    with pytest.raises(ProposalDropped) as caught:
        group[2].raw.step(Message(type=MessageType.MsgProp, from_=3, to=2, entries=forwarded()))
    assert caught.value.reason == "not_leader"
    group.settle()
    assert group[1].raw.last_index == 1


def forwarded() -> Any:
    group = Network(3)
    group.campaign(1)
    group[2].raw.propose([b"a"])
    group.collect(group[2])
    return group.of_type(MessageType.MsgProp)[0].entries


def test_a_forwarded_proposal_of_nothing() -> None:
    group = Network(3)
    group.campaign(1)
    with pytest.raises(ProposalDropped) as caught:
        group[1].raw.step(Message(type=MessageType.MsgProp, from_=2, to=1))
    assert caught.value.reason == "empty"
    assert group[1].raw.last_index == 1


def test_a_change_is_one_of_two_kinds() -> None:
    group = Network(1)
    group.campaign(1)
    with pytest.raises(TypeError, match="change must be a ConfChange or a ConfChangeV2, not str"):
        group[1].raw.propose_conf_change("add 4")  # type: ignore[arg-type]


def test_a_change_to_a_configuration_that_is_not_the_current_one() -> None:
    group = Network(1)
    group.campaign(1)
    refused = group[1].raw.propose_conf_change(CHANGE, expected_conf_index=7)
    assert refused.refused == "the configuration is that of index 0, not 7"
    group.settle()
    assert group[1].conf_state.voters == (1,)


def test_advance_without_a_ready_and_twice_ready_without_advance() -> None:
    raw = RawNode(Config(id=1), START, MemoryStorage())
    with pytest.raises(ConfigError, match="advance\\(\\) needs a Ready taken before it"):
        raw.advance()
    raw.ready()
    with pytest.raises(ConfigError, match="ready\\(\\) was called twice"):
        raw.ready()
    raw.advance()
    with pytest.raises(ConfigError, match="advance\\(\\) needs a Ready"):
        raw.advance()


def test_a_clone_between_ready_and_advance_goes_on_by_itself() -> None:
    raw = RawNode(Config(id=1), START, MemoryStorage())
    raw.campaign()
    raw.ready()
    copy = raw.clone()
    assert copy.fingerprint() == raw.fingerprint()
    copy.advance()
    assert copy.fingerprint() != raw.fingerprint()
    raw.advance()
    assert copy.fingerprint() == raw.fingerprint()


def test_who_leads_or_stands_can_step_down_and_who_follows_stays_one() -> None:
    group = Network(3)
    group[2].raw.step_down()
    assert (group[2].raw.state, group[2].raw.term) == (StateType.StateFollower, 0)
    group.campaign(1)
    group[2].raw.step_down()
    assert group[2].raw.leader == 1, "a follower goes on following"
    group[1].raw.step_down()
    assert (group[1].raw.state, group[1].raw.term, group[1].raw.leader) == (StateType.StateFollower, 1, 0)
    group.isolate(3)
    group[3].raw.campaign()
    group[3].raw.step_down()
    assert (group[3].raw.state, group[3].raw.term) == (StateType.StateFollower, 2)
    group.heal()
    group.settle()
    assert group[3].role == StateType.StateFollower, "votes of an election that was given up count no more"


def test_the_read_of_a_follower_without_a_leader_is_not_taken() -> None:
    group = Network(3)
    assert group[2].raw.read_index(b"name") is False
    group.campaign(1)
    assert group[2].raw.read_index(b"name") is True
    group.settle()
    assert group[2].reads == [(1, b"name")]


def test_more_members_than_a_leader_keeps_in_place() -> None:
    """Beyond a small number the members are found by their id in a dictionary (raftcore.membership.tracker)."""
    group = Network(range(10, 110, 3))
    group.campaign(10)
    assert group.leader == 10
    index = group.propose(10, b"a")
    assert all(member.raw.last_index == index for member in group.members.values())
    assert group[10].raw.commit_index == index
    cut = list(group.members)[1:18]
    for node_id in cut:
        group.isolate(node_id)
    group.propose(10, b"b")
    assert group[10].raw.commit_index == index, "17 of 34 are no majority"
    group.heal()
    group.tick_all(2)
    assert group[10].raw.commit_index == index + 1
