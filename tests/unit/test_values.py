"""What the core's values promise as Python objects: equality, hashes, copies by pickle, what they print and refuse."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from raftcore import ConfState, Entry, EntryKind, HardState, Message, MessageType, Ready, Snapshot, SoftState
from raftcore.log.log import RaftLog
from raftcore.membership.progress import Inflights, Progress
from raftcore.membership.tracker import TrackerConfig
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.values.entries import Entries
from raftcore.wire.codec import Header
from tests.core.network import Network

MEMBERS = ConfState(voters=(1, 2, 3), voters_outgoing=(1, 2), learners=(5,), learners_next=(4,), auto_leave=True)

# A value, and others of its kind that differ in one field each.
DIFFERENT: list[tuple[Any, list[Any]]] = [
    (HardState(3, 2, 7), [HardState(4, 2, 7), HardState(3, 1, 7), HardState(3, 2, 8)]),
    (
        MEMBERS,
        [
            ConfState((1, 2), (1, 2), (5,), (4,), True),
            ConfState((1, 2, 3), (1,), (5,), (4,), True),
            ConfState((1, 2, 3), (1, 2), (6,), (4,), True),
            ConfState((1, 2, 3), (1, 2), (5,), (), True),
            ConfState((1, 2, 3), (1, 2), (5,), (4,), False),
        ],
    ),
    (
        Snapshot(9, 2, MEMBERS, 4, 50),
        [
            Snapshot(8, 2, MEMBERS, 4, 50),
            Snapshot(9, 3, MEMBERS, 4, 50),
            Snapshot(9, 2, ConfState((1,)), 4, 50),
            Snapshot(9, 2, MEMBERS, 5, 50),
            Snapshot(9, 2, MEMBERS, 4, 51),
        ],
    ),
    (Entry(2, 3, 0, b"a"), [Entry(1, 3, 0, b"a"), Entry(2, 4, 0, b"a"), Entry(2, 3, 3, b"a"), Entry(2, 3, 0, b"b")]),
]


@pytest.mark.parametrize(("value", "others"), DIFFERENT, ids=lambda value: type(value).__name__)
def test_equal_by_all_fields(value: Any, others: list[Any]) -> None:
    copy = pickle.loads(pickle.dumps(value))
    assert copy is not value
    assert copy == value
    assert hash(copy) == hash(value)
    for other in others:
        assert other != value
        assert hash(other) != hash(value)


@pytest.mark.parametrize(
    "value",
    [
        *(value for value, _ in DIFFERENT),
        Message(type=MessageType.MsgApp),
        Header(1, 2, 3),
        TrackerConfig(voters=(1,)),
        SoftState.__new__(SoftState),
    ],
    ids=lambda value: type(value).__name__,
)
def test_of_another_kind_is_not_equal(value: Any) -> None:
    """The other operand is asked too: a test's own double may be equal to it."""

    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert value != "another kind"
    assert value != None  # noqa: E711
    assert value == Anything()


def test_a_soft_state_is_leader_and_role() -> None:
    group = Network(3)
    first = group[1].raw.ready().soft_state
    assert first is None, "nobody leads, and it follows: as it was told"
    group = Network(3)
    group[1].raw.campaign()
    standing = group[1].raw.ready().soft_state
    again = Network(3)
    again[1].raw.campaign()
    same = again[1].raw.ready().soft_state
    again[2].raw.campaign()
    assert standing is not None
    assert same is not None
    assert (standing == same, hash(standing) == hash(same)) == (True, True)
    group.settle()
    group[1].raw.step_down()
    assert group[1].raw.ready().soft_state != standing


def test_a_ready_is_true_if_it_brings_anything() -> None:
    group = Network(1)
    raw = group[1].raw
    empty = raw.ready()
    assert isinstance(empty, Ready)
    assert not empty
    assert "soft_state=None" in repr(empty)
    raw.campaign()
    seen = []
    while raw.has_ready():
        ready = raw.ready()
        assert ready
        seen.append(ready)
        for message in ready.messages:
            for response in message.responses or ():
                raw.step(response)
    assert any(ready.soft_state is not None for ready in seen)
    assert any(ready.soft_state is None and ready.messages for ready in seen)


def test_each_id_is_a_member_once() -> None:
    with pytest.raises(ValueError, match=r"voters \[1, 1\]: each id must be above 0 and appear once"):
        ConfState(voters=(1, 1))
    with pytest.raises(ValueError, match=r"learners \[0\]: each id must be above 0"):
        ConfState(learners=(0,))


@pytest.mark.parametrize("kind", [-1, len(MessageType)])
def test_a_message_has_a_type(kind: int) -> None:
    with pytest.raises(ValueError, match=rf"type must be a MessageType \(0 to {len(MessageType) - 1}\), got {kind}"):
        Message(type=kind)


def test_a_message_prints_what_it_holds() -> None:
    assert repr(Message(type=MessageType.MsgBeat)) == "Message(MsgBeat)"
    text = repr(Message(type=MessageType.MsgApp, term=3, to=2, from_=1, context=b""))
    assert text.startswith("Message(MsgApp")
    assert "term=3" in text
    assert "context=b''" in text, "an empty context is one"
    assert "index" not in text


@pytest.mark.parametrize("kind", [-1, max(EntryKind) + 1])
def test_an_entry_has_a_kind(kind: int) -> None:
    with pytest.raises(ValueError, match=rf"kind must be an EntryKind \(0 to {int(max(EntryKind))}\), got {kind}"):
        Entry(1, 1, kind)


def test_no_entries_are_none_to_decode() -> None:
    with pytest.raises(Exception, match="block"):
        Entries.decode(b"")


def test_a_command_is_bytes() -> None:
    storage = MemoryStorage()
    log = RaftLog(storage)
    with pytest.raises(TypeError):
        log.append_commands([b"a", None], 1, EntryKind.EntryNormal, 0)
    assert log.last_index() == 0


def test_what_a_leader_keeps_of_a_follower_prints_itself() -> None:
    window = Inflights(4, 100)
    window.add(7, 30)
    assert repr(window) == "Inflights(size=4, max_bytes=100, messages=[(7, 30)])"
    assert repr(TrackerConfig(voters=(2, 1), learners=(3,))).startswith("<TrackerConfig ")
    progress = Progress(2, match=4, next=5)
    assert repr(progress) == f"<Progress of 2: {progress.describe()}>"
