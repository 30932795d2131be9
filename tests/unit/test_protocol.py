"""The protocol state: what explorations join schedules by."""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import Config, ConfState, InitialState, RawNode, StateType
from raftcore.base.errors import ConfigError
from raftcore.testing.exploration import protocol_state, set_elapsed
from raftcore.testing.memory_storage import MemoryStorage


def node(**options: Any) -> RawNode:
    config = Config(id=1, election_tick=10, heartbeat_tick=2, async_storage_writes=True, **options)
    return RawNode(config, InitialState(conf_state=ConfState(voters=(1, 2, 3))), MemoryStorage())


def test_a_clone_has_the_same_and_another_does_not() -> None:
    one = node()
    copy = one.clone()
    assert protocol_state(copy) == protocol_state(one)
    copy.campaign()
    while copy.has_ready():
        copy.ready()
    assert protocol_state(copy) != protocol_state(one)
    assert protocol_state(copy).role == StateType.StateCandidate


def test_time_alone_is_no_part_of_it_until_an_election_timeout_has_passed() -> None:
    one = node()
    before = protocol_state(one)
    set_elapsed(one, 9)
    assert protocol_state(one) == before
    set_elapsed(one, 10)
    assert protocol_state(one) == before._replace(timeout_passed=True)


def test_names_can_be_changed() -> None:
    one = node()
    one.campaign()
    while one.has_ready():
        one.ready()
    renamed = protocol_state(one, {1: 3, 2: 1, 3: 2})
    assert (renamed.id, renamed.vote, renamed.voters) == (3, 3, (1, 2, 3))


def test_what_waits_to_be_sent_is_refused() -> None:
    one = node()
    one.campaign()
    with pytest.raises(ConfigError, match="take the Ready first"):
        protocol_state(one)


def test_a_lease_makes_the_clock_count_and_is_refused() -> None:
    with pytest.raises(ConfigError, match="lease_ms must be 0, not 50"):
        protocol_state(node(check_quorum=True, read_only="lease", lease_ms=50))


@pytest.mark.parametrize(("election", "heartbeat"), [(-1, 0), (0, -1), (0, 2)])
def test_ticks_that_cannot_be_are_refused(election: int, heartbeat: int) -> None:
    with pytest.raises(ConfigError, match="elapsed ticks must be at least 0, and below 2"):
        set_elapsed(node(), election, heartbeat)
