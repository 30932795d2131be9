"""Nothing of a node's state is forgotten: every field that a .pxd declares is cloned, counts in the fingerprint, and is
in the protocol state, or is left out for a reason that stands here. A new field fails until that is decided."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import raftcore
from raftcore import Config, ConfState, InitialState, RawNode
from raftcore.testing.exploration import protocol_state
from raftcore.testing.memory_storage import MemoryStorage

SOURCES = Path(raftcore.__file__).parent

Reader = tuple[str, str, str]
"""File, function in it, and how that function names the object whose fields it reads."""


@dataclass(frozen=True)
class Kind:
    """One class of the state, and what reads its fields; no readers: it is made anew, or shared, as a whole."""

    name: str
    module: str
    clone: tuple[Reader, ...]
    fingerprint: tuple[Reader, ...]
    protocol: tuple[Reader, ...]


EXPLORATION = "testing/exploration"

KINDS = (
    Kind(
        "Raft",
        "algorithm/state",
        (("check/clone", "clone_raft", "r"),),
        (("check/clone", "fingerprint_raft", "r"), ("check/clone", "suspected", "r")),
        ((EXPLORATION, "protocol_state", "r"), (EXPLORATION, "read_state", "r"), (EXPLORATION, "suspicion_state", "r")),
    ),
    Kind(
        "ReadOnly",
        "algorithm/state",
        (("check/clone", "clone_reads", "reads"),),
        (("check/clone", "fingerprint_raft", "r.reads"),),
        ((EXPLORATION, "read_state", "r.reads"),),
    ),
    Kind(
        "Tracker",
        "membership/tracker",
        (("membership/tracker", "clone", "self"),),
        (("check/clone", "fingerprint_raft", "r.tracker"),),
        ((EXPLORATION, "protocol_state", "r.tracker"), (EXPLORATION, "progress_states", "r.tracker")),
    ),
    Kind(
        "TrackerConfig",
        "membership/tracker",
        (),
        (("membership/tracker", "_values", "self"),),
        ((EXPLORATION, "protocol_state", "config"),),
    ),
    Kind(
        "Progress",
        "membership/progress",
        (("membership/progress", "Progress.clone", "self"),),
        (("check/clone", "fingerprint_raft", "pr"),),
        ((EXPLORATION, "progress_states", "pr"), (EXPLORATION, "protocol_state", "pr")),
    ),
    Kind(
        "Inflights",
        "membership/progress",
        (("membership/progress", "Inflights.clone", "self"),),
        (("membership/progress", "messages", "self"),),
        (("membership/progress", "messages", "self"),),
    ),
    Kind(
        "LogEntries",
        "log/log_entries",
        (("log/log_entries", "_share", "source"), ("log/log", "clone", "self")),
        (("log/log", "fingerprint", "self"),),
        ((EXPLORATION, "log_state", "log"),),
    ),
    Kind(
        "RaftLog",
        "log/log",
        (("log/log", "clone", "self"),),
        (("log/log", "fingerprint", "self"),),
        ((EXPLORATION, "log_state", "log"),),
    ),
    Kind(
        "Unstable",
        "log/unstable",
        (("log/unstable", "clone", "self"),),
        (("log/log", "fingerprint", "self.unstable"),),
        ((EXPLORATION, "log_state", "log.unstable"),),
    ),
    Kind(
        "RawNode",
        "api/raw_node",
        (("api/raw_node", "clone", "self"),),
        (("api/raw_node", "fingerprint", "self"),),
        (),
    ),
)

SETTINGS = "a setting, the same for all that are compared"
CLOCK = "a clock or a timer: time is an event of its own there"
LEASE = "with a lease there is no protocol state (ConfigError)"
SHOWN = "only shown in the status; decides nothing"
MADE = "made from the configuration and the progress by install"
ONE_LEADER = "only asked where one term has had two leaders, and no disk forgets in what is explored"
AT_HAND = "stores in memory have all at hand, so that nobody waits in what is explored"
IN_ENTRIES = "what it holds is read entry by entry"

LEFT_OUT: dict[str, dict[str, dict[str, str]]] = {
    "clone": {
        "Tracker": dict.fromkeys(("few", "ids", "progress", "incoming", "outgoing"), MADE),
        "LogEntries": {"_cache": "slices made lately: only a matter of speed"},
    },
    "fingerprint": {
        "Raft": {"options": SETTINGS, "heard_leader_ms": SHOWN},
        "Tracker": {
            **dict.fromkeys(("few", "ids", "progress", "incoming", "outgoing"), MADE),
            **dict.fromkeys(("max_inflight", "max_inflight_bytes"), SETTINGS),
        },
        "Progress": {"heard_ms": SHOWN},
        "Inflights": {
            "size": SETTINGS,
            "max_bytes": SETTINGS,
            "bytes": "the sum over the messages",
        },
        "LogEntries": {
            "storage": "a view of what is durable",
            "_terms": "term_runs() gives them",
            "_times": "in the blocks of the entries",
            "_changes": "in the blocks of the entries",
            "_cache": "slices made lately: only a matter of speed",
            "_pieces": "in how many writes entries are handed out: the log is the same",
        },
        "RaftLog": dict.fromkeys(("max_applying_bytes", "window_max_bytes", "window_max_entries"), SETTINGS),
        "RawNode": {"refused": "counters, that decide nothing"},
    },
    "protocol": {
        "Raft": {
            **dict.fromkeys(("heartbeat_elapsed", "heartbeat_pause", "heartbeat_last", "heartbeat_round"), CLOCK),
            **dict.fromkeys(("contact_elapsed", "randomized_timeout", "random_state"), CLOCK),
            **dict.fromkeys(("election_wait", "vote_ticks", "write_ticks"), CLOCK),
            **dict.fromkeys(("now_ms", "heard_leader_ms"), CLOCK),
            **dict.fromkeys(("round_times", "lease_until", "lease_given_up"), LEASE),
            "is_learner": "follows from the configuration",
            "acknowledged": ONE_LEADER,
            "message_size": SETTINGS,
            "far": SETTINGS,
            "offers": "the driver's, and not held back in what is explored",
        },
        "Tracker": {
            **dict.fromkeys(("few", "ids", "progress", "incoming", "outgoing"), MADE),
            **dict.fromkeys(("max_inflight", "max_inflight_bytes"), SETTINGS),
        },
        "Progress": {
            **dict.fromkeys(("heard_ms", "takeover_pause"), CLOCK),
            "takeover_tries": "how long that pause is to be the next time",
            "is_learner": "follows from the configuration",
            "awaits_entries": AT_HAND,
            "spare": AT_HAND,
        },
        "Inflights": {"size": SETTINGS, "max_bytes": SETTINGS, "bytes": "the sum over the messages"},
        "LogEntries": {
            "storage": "a view of what is durable",
            "_last": IN_ENTRIES,
            "_last_time": CLOCK,
            "_window": IN_ENTRIES,
            "_terms": IN_ENTRIES,
            "_times": CLOCK,
            "_changes": IN_ENTRIES,
            "_cache": "slices made lately: only a matter of speed",
            "_pieces": "in how many writes entries are handed out: the log is the same",
        },
        "RaftLog": {
            **dict.fromkeys(("max_applying_bytes", "window_max_bytes", "window_max_entries"), SETTINGS),
            "applying_bytes": "follows from what is applied and what is handed out",
            "applying_paused": "follows from what is applied and what is handed out",
            "awaits_entries": AT_HAND,
            "awaits_state": "only where snapshots are held back, or a node is started without a state",
        },
        "Unstable": {"snapshot_in_progress": "the Ready is taken: then it is on its way"},
    },
}


# What a clone takes from a field of another name.
TAKEN_FROM = {("capacity", "count"): "its ring has room for just what is in it"}


def fields(kind: Kind) -> set[str]:
    """Every field that the class's .pxd declares. A line that is neither a field nor a method fails."""
    text = (SOURCES / f"{kind.module}.pxd").read_text()
    body = re.search(rf"^cdef class {kind.name}\b[^\n]*:\n((?:(?: {{4}}[^\n]*)?\n)+)", text, re.MULTILINE)
    assert body is not None, kind.name
    found = set()
    for line in re.sub(r" *#.*", "", re.sub(r"\([^)]*\)", "()", body[1])).splitlines():
        if not line.strip() or "(" in line:
            continue
        field = re.fullmatch(r"    cdef (?:readonly |public )?\w+(?:\[\w+\])?[ *]+(\w+)(?:\[\w+\])?", line)
        assert field is not None, f"{kind.module}.pxd: one field a line, not {line!r}"
        found.add(field[1])
    assert found, kind.name
    return found


def function(module: str, name: str) -> str:
    """A function's text, without comments; "Class.method" where several classes of a module have one of that name."""
    text = (SOURCES / f"{module}.pyx").read_text()
    if "." in name:
        owner, name = name.split(".")
        (text,) = re.findall(rf"^cdef class {owner}\b[^\n]*:\n(?:(?: {{4}}[^\n]*)?\n)+", text, re.MULTILINE)
    lines = text.splitlines()
    head = re.compile(rf"( *)(?:cdef|cpdef|def)\b[^\n=]*\b{name}\(")
    (start,) = [at for at, line in enumerate(lines) if head.match(line)]
    indent = len(lines[start]) - len(lines[start].lstrip())
    body = [lines[start]]
    for line in lines[start + 1 :]:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        body.append(line.split("  #")[0])
    return "\n".join(body)


def read(readers: tuple[Reader, ...]) -> set[str]:
    """The fields that these functions read."""
    return {
        field
        for module, name, variable in readers
        for field in re.findall(rf"(?<![\w.]){re.escape(variable)}\.(\w+)", function(module, name))
    }


CASES = [
    pytest.param(kind, what, id=f"{what}-{kind.name}")
    for what in ("clone", "fingerprint", "protocol")
    for kind in KINDS
    if getattr(kind, what)
]


@pytest.mark.parametrize(("kind", "what"), CASES)
def test_every_field_is_in_it_or_left_out_for_a_reason(kind: Kind, what: str) -> None:
    there = read(getattr(kind, what))
    left_out = set(LEFT_OUT[what].get(kind.name, {}))
    assert sorted(fields(kind) - there - left_out) == []
    assert sorted(left_out - fields(kind)) == [], "left out, but there is no such field"


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_is_left_out_is_of_a_class_that_is_looked_at(what: str) -> None:
    assert set(LEFT_OUT[what]) <= {kind.name for kind in KINDS if getattr(kind, what)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.clone], ids=lambda kind: kind.name)
def test_a_clone_puts_each_field_where_it_was(kind: Kind) -> None:
    for module, name, variable in kind.clone:
        text = function(module, name)
        copied = re.findall(rf"\bcopy\.(\w+) = (?:\w+\()?{re.escape(variable)}\.(\w+)", text)
        copied += re.findall(rf"&copy\.(\w+), &{re.escape(variable)}\.(\w+)", text)
        assert [pair for pair in copied if pair[0] != pair[1] and pair not in TAKEN_FROM] == []


def test_every_class_of_the_core_that_changes_is_looked_at() -> None:
    """A class that is cloned, and so has state of its own, is in the list above."""
    cloned = set()
    for path in SOURCES.rglob("*.pxd"):
        for body in re.finditer(r"^cdef class (\w+)[^\n]*:\n((?:(?: {4}[^\n]*)?\n)+)", path.read_text(), re.MULTILINE):
            if re.search(r"\bclone\(", body[2]):
                cloned.add(body[1])
    assert cloned <= {kind.name for kind in KINDS}


def node() -> RawNode:
    config = Config(id=1, async_storage_writes=True)
    return RawNode(config, InitialState(conf_state=ConfState(voters=(1, 2, 3))), MemoryStorage())


def test_what_the_node_was_told_of_the_members_is_state() -> None:
    one, other = node(), node()
    assert (one.fingerprint(), protocol_state(one)) == (other.fingerprint(), protocol_state(other))
    for told in ({"witnesses": (3,)}, {"priorities": {2: 1}}, {"priorities": {3: 1}}, {"priorities": {2: 2}}):
        before, state = one.fingerprint(), protocol_state(one)
        one.set_members(**told)
        assert one.fingerprint() != before, told
        assert protocol_state(one) != state, told
        copy = one.clone()
        assert (copy.fingerprint(), protocol_state(copy)) == (one.fingerprint(), protocol_state(one))
        other.set_members(**told)
        assert (one.fingerprint(), protocol_state(one)) == (other.fingerprint(), protocol_state(other))


def test_the_members_change_names_with_the_others() -> None:
    one = node()
    one.set_members(witnesses=(3,), priorities={2: 1})
    renamed = protocol_state(one, {1: 3, 2: 1, 3: 2})
    assert (renamed.witnesses, renamed.priorities) == ((2,), ((1, 1),))
