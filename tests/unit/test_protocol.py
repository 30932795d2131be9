"""The protocol state: what explorations join schedules by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import raftcore
from raftcore import Config, ConfState, InitialState, RawNode, StateType
from raftcore.errors import ConfigError
from raftcore.memory_storage import MemoryStorage
from raftcore.protocol import protocol_state, set_elapsed

SOURCES = Path(raftcore.__file__).parent

# Fields that are no part of the protocol state, and why.
CLOCKS = {"election_elapsed", "heartbeat_elapsed", "contact_elapsed", "randomized_timeout", "random_state", "now_ms",
          "heard_leader_ms", "heard_ms"}  # fmt: skip
LEASES = {"round_times", "lease_until", "lease_given_up"}  # with a lease there is no protocol state
TAKEN = {"messages", "after_append", "waiting", "read_states"}  # empty once the Ready is taken, or ConfigError
BY_CONFIGURATION = {"is_learner"}
OPTIONS = {
    "election_timeout", "heartbeat_timeout", "max_size_per_msg", "max_uncommitted_size", "check_quorum", "pre_vote",
    "ignore_forget_leader", "disable_proposal_forwarding", "disable_conf_change_validation", "step_down_on_removal",
    "conf_change_after_own_commit", "promises", "lease_ms", "witnesses", "max_reject_runs", "priorities",
    "trace",
}  # fmt: skip


def node(**options: Any) -> RawNode:
    config = Config(id=1, election_tick=10, heartbeat_tick=2, async_storage_writes=True, **options)
    return RawNode(config, InitialState(conf_state=ConfState(voters=(1, 2, 3))), MemoryStorage())


def fields(name: str) -> set[str]:
    """Every field that a class's .pxd declares."""
    text = (SOURCES / f"{name}.pxd").read_text()
    declared = re.findall(r"^    cdef (?:readonly |public )?\w+ (\w+)(?: +#.*)?$", text, re.MULTILINE)
    assert declared
    return set(declared)


@pytest.mark.parametrize(("name", "variable"), [("state", "r"), ("progress", "pr")])
def test_every_field_is_in_it_or_left_out_for_a_reason(name: str, variable: str) -> None:
    used = set(re.findall(rf"\b{variable}\.(\w+)", (SOURCES / "protocol.pyx").read_text()))
    left_out = CLOCKS | LEASES | TAKEN | BY_CONFIGURATION | OPTIONS
    assert fields(name) - used - left_out == set()


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
