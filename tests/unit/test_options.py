"""The options: made once from the settings, the same for ever, and each setting is one or has another place."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

import raftcore
from raftcore import Config, MessageType
from raftcore.base.options import Options
from raftcore.base.types import message_words

SOURCES = Path(raftcore.__file__).parent

# Settings that are no option, and where they go.
ELSEWHERE = {
    "id": "a field of Raft",
    "read_only": "lease_ms is above 0 exactly for a lease",
    "seed": "the first state of the random numbers",
    "applied": "where the log begins to be applied",
    "witnesses": "state: set_members changes them",
    "priorities": "state: set_members changes them",
    "max_inflight_msgs": "a bound of each member's window",
    "max_inflight_bytes": "a bound of each member's window",
    "max_committed_size_per_ready": "a bound of the log",
    "max_window_bytes": "a bound of the log",
    "max_window_entries": "a bound of the log",
}


def trace(event: str, fields: Any) -> None:
    """Takes what is traced, and drops it."""


# Setting -> another value than its default (and what it needs besides), the option, and the option's value then.
SETTINGS: dict[str, tuple[dict[str, Any], str, object]] = {
    "election_tick": ({"election_tick": 11}, "election_timeout", 11),
    "heartbeat_tick": ({"heartbeat_tick": 3}, "heartbeat_timeout", 3),
    "quiet_heartbeat_tick": ({"quiet_heartbeat_tick": 3}, "quiet_heartbeat_timeout", 3),
    "max_size_per_msg": ({"max_size_per_msg": 4096}, "max_size_per_msg", 4096),
    "max_uncommitted_size": ({"max_uncommitted_size": 99}, "max_uncommitted_size", 99),
    "async_storage_writes": ({"async_storage_writes": True}, "async_storage_writes", True),
    "pre_vote": ({"pre_vote": True}, "pre_vote", True),
    "check_quorum": ({"check_quorum": True}, "check_quorum", True),
    "ignore_forget_leader": ({"ignore_forget_leader": True}, "ignore_forget_leader", True),
    "lease_ms": ({"lease_ms": 70, "read_only": "lease", "check_quorum": True}, "lease_ms", 70),
    "disable_proposal_forwarding": ({"disable_proposal_forwarding": True}, "disable_proposal_forwarding", True),
    "disable_conf_change_validation": (
        {"disable_conf_change_validation": True},
        "disable_conf_change_validation",
        True,
    ),
    "step_down_on_removal": ({"step_down_on_removal": True}, "step_down_on_removal", True),
    "conf_change_after_own_commit": ({"conf_change_after_own_commit": True}, "conf_change_after_own_commit", True),
    "max_reject_runs": ({"max_reject_runs": 8}, "max_reject_runs", 8),
    "trace": ({"trace": trace}, "trace", trace),
    "votes_before_write": (
        {"votes_before_write": True},
        "promises",
        sum(1 << type for type in MessageType if "promise" in message_words(type) and type != MessageType.MsgVote),
    ),
}


def names() -> list[str]:
    """Every option that there is."""
    return sorted(name for name in dir(Options) if not name.startswith("_"))


def test_every_setting_is_an_option_or_has_another_place() -> None:
    assert {field.name for field in dataclasses.fields(Config)} == set(SETTINGS) | set(ELSEWHERE)
    assert {name for _, name, _ in SETTINGS.values()} == set(names())


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_option_has_the_value_of_its_setting(setting: str) -> None:
    given, name, value = SETTINGS[setting]
    assert getattr(Options(Config(id=1)), name) != value
    assert getattr(Options(Config(id=1, **given)), name) == value


def test_what_waits_for_the_disk_is_what_the_table_of_types_calls_a_promise() -> None:
    promises = {type for type in MessageType if "promise" in message_words(type)}
    assert {type for type in MessageType if Options(Config(id=1)).promises >> type & 1} == promises


@pytest.mark.parametrize("name", names())
def test_an_option_never_changes(name: str) -> None:
    options = Options(Config(id=1))
    with pytest.raises(AttributeError):
        setattr(options, name, getattr(options, name))
    options.__init__(Config(id=1, election_tick=99, trace=trace))  # type: ignore[misc]
    assert [getattr(options, name) for name in names()] == [getattr(Options(Config(id=1)), name) for name in names()]


def test_nothing_in_c_writes_to_one() -> None:
    write = re.compile(r"\boptions\.\w+ *(?:[-+*/|&]?=)(?!=)")
    sources = [*SOURCES.rglob("*.pyx"), *SOURCES.rglob("*.pxd")]
    assert SOURCES / "algorithm" / "state.pyx" in sources
    assert [path.name for path in sources if write.search(path.read_text())] == []
