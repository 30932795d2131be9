"""What a configuration-change entry says, and its byte form.

Two kinds, as in etcd/raft: :class:`ConfChange` is one change; :class:`ConfChangeV2` is any number of them, carried out
through a joint configuration (thesis 4.3) when it asks for that or when they are more than one. An empty
``ConfChangeV2`` leaves a joint configuration.

Byte form, all numbers little endian. It is the payload of an entry, so its length is known from outside.

    ConfChange     u8 type | u64 node id | context: the rest
    ConfChangeV2   nothing at all for ConfChangeV2(); else
                   u8 transition | u32 count | count times (u8 type | u64 node id) | context: the rest

There is exactly one byte form of a value: what decodes encodes to the same bytes again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from raftcore.base.errors import ConfChangeError, DecodeError
from raftcore.base.types import LARGEST_ID

_Enum = TypeVar("_Enum", bound=IntEnum)
_ONE = struct.Struct("<BQ")
_HEAD = struct.Struct("<BI")


class ConfChangeType(IntEnum):
    """What is done to a node (thesis 4; etcd/raft's numbers, under names of our own)."""

    AddNode = 0
    """Make it a voter."""
    RemoveNode = 1
    """Take it out, voter or learner. A node that is no member: nothing."""
    UpdateNode = 2
    """Nothing: it carries a context through the log."""
    AddLearner = 3
    """Make it a learner, which has the log and no vote (thesis 4.2.1)."""


class ConfChangeTransition(IntEnum):
    """How a :class:`ConfChangeV2` is carried out."""

    TransitionAuto = 0
    """One change at once, more through a joint configuration that is left by itself."""
    TransitionJointImplicit = 1
    """Through a joint configuration that is left by itself."""
    TransitionJointExplicit = 2
    """Through a joint configuration that stays until an empty ConfChangeV2 is applied."""


TransitionAuto = ConfChangeTransition.TransitionAuto
TransitionJointImplicit = ConfChangeTransition.TransitionJointImplicit
TransitionJointExplicit = ConfChangeTransition.TransitionJointExplicit

_LETTERS = {
    ConfChangeType.AddNode: "v",
    ConfChangeType.AddLearner: "l",
    ConfChangeType.RemoveNode: "r",
    ConfChangeType.UpdateNode: "u",
}
_TYPES = {letter: type_ for type_, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class ConfChange:
    """One change (thesis 4.1). Node id 0 stands for nobody: such a change is carried through and does nothing.

    Raises ConfChangeError when it is made with a type that does not exist, or a node id that is not 0 to 2**64 - 3.
    """

    type: ConfChangeType = ConfChangeType.AddNode
    """What is done."""
    node_id: int = 0
    """To whom."""
    context: bytes = b""
    """Whatever the proposer wants to tell those who apply it. In a ConfChangeV2 only the whole has one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", _checked(ConfChangeType, self.type, "configuration change type"))
        object.__setattr__(self, "context", bytes(self.context))
        if not 0 <= self.node_id <= LARGEST_ID:
            raise ConfChangeError(f"node id {self.node_id}: it must be between 0 and {LARGEST_ID}")

    def as_v2(self) -> ConfChangeV2:
        """The same change as a ConfChangeV2."""
        return ConfChangeV2((ConfChange(self.type, self.node_id),), TransitionAuto, self.context)

    def encode(self) -> bytes:
        """The byte form above."""
        return _ONE.pack(self.type, self.node_id) + self.context

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> ConfChange:
        """The change in ``data``, all of it; DecodeError when these bytes are none."""
        view = memoryview(data)
        if len(view) < _ONE.size:
            raise DecodeError(f"configuration change of {len(view)} bytes: it has at least {_ONE.size}")
        return cls(*_decode_one(view, 0), bytes(view[_ONE.size :]))


@dataclass(frozen=True, slots=True)
class ConfChangeV2:
    """Any number of changes that take effect together (thesis 4.3). Without any, it leaves a joint configuration.

    Raises ConfChangeError when it is made with a transition that does not exist, or a change with a context of its own.
    """

    changes: tuple[ConfChange, ...] = ()
    """In the order in which they are carried out."""
    transition: ConfChangeTransition = TransitionAuto
    """Through a joint configuration or not; see there."""
    context: bytes = b""
    """Whatever the proposer wants to tell those who apply it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", tuple(self.changes))
        object.__setattr__(self, "context", bytes(self.context))
        object.__setattr__(
            self, "transition", _checked(ConfChangeTransition, self.transition, "configuration change transition")
        )
        for change in self.changes:
            if change.context:
                raise ConfChangeError(
                    f"context {change.context!r} of {describe([change])}: only the whole ConfChangeV2 can have one"
                )

    def as_v2(self) -> ConfChangeV2:
        """Itself, so that both kinds can be treated alike."""
        return self

    def enter_joint(self) -> tuple[bool, bool]:
        """(leave the joint configuration by itself?, go through a joint configuration at all?)."""
        joint = self.transition != TransitionAuto or len(self.changes) > 1
        return joint and self.transition != TransitionJointExplicit, joint

    def leave_joint(self) -> bool:
        """True when this leaves a joint configuration: nothing is asked for (a context may come along)."""
        return self.transition == TransitionAuto and not self.changes

    def encode(self) -> bytes:
        """The byte form above."""
        if self.leave_joint() and not self.context:
            return b""
        changes = b"".join(_ONE.pack(change.type, change.node_id) for change in self.changes)
        return _HEAD.pack(self.transition, len(self.changes)) + changes + self.context

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> ConfChangeV2:
        """The changes in ``data``, all of it; DecodeError when these bytes are none."""
        view = memoryview(data)
        if not view:
            return cls()
        if len(view) < _HEAD.size:
            raise DecodeError(f"configuration change of {len(view)} bytes: it has none, or at least {_HEAD.size}")
        transition, count = _HEAD.unpack_from(view, 0)
        end = _HEAD.size + count * _ONE.size
        if transition > TransitionJointExplicit:
            raise DecodeError(f"configuration change transition {transition}: it must be one of 0 to 2")
        if end > len(view):
            raise DecodeError(f"configuration change with {count} changes in {len(view)} bytes: that takes {end}")
        if len(view) == _HEAD.size and transition == TransitionAuto:
            raise DecodeError("empty configuration change that is not empty bytes")
        changes = (ConfChange(*_decode_one(view, at)) for at in range(_HEAD.size, end, _ONE.size))
        return cls(tuple(changes), ConfChangeTransition(transition), bytes(view[end:]))


def parse(text: str) -> list[ConfChange]:
    """``v1 l2 r3 u4``: make 1 a voter, 2 a learner, remove 3, update 4. ConfChangeError for anything else."""
    changes = []
    for word in text.split():
        digits = word[1:]
        if word[0] not in _TYPES or not (digits.isascii() and digits.isdigit()):
            raise ConfChangeError(f"configuration change {word!r}: it must be v, l, r or u and a node id")
        changes.append(ConfChange(_TYPES[word[0]], int(digits)))
    return changes


def describe(changes: Iterable[ConfChange]) -> str:
    """The inverse of :func:`parse`."""
    return " ".join(f"{_LETTERS[change.type]}{change.node_id}" for change in changes)


def as_changes(value: ConfChange | ConfChangeV2 | Sequence[ConfChange]) -> Sequence[ConfChange]:
    """The single changes of either kind."""
    if isinstance(value, ConfChange):
        return (value,)
    return value.changes if isinstance(value, ConfChangeV2) else value


def _decode_one(view: memoryview, at: int) -> tuple[ConfChangeType, int]:
    type_, node_id = _ONE.unpack_from(view, at)
    if type_ > ConfChangeType.AddLearner:
        raise DecodeError(f"configuration change type {type_}: it must be one of 0 to 3")
    if node_id > LARGEST_ID:
        raise DecodeError(f"node id {node_id}: at most {LARGEST_ID} is allowed")
    return ConfChangeType(type_), node_id


def _checked(kind: type[_Enum], value: int, name: str) -> _Enum:
    try:
        return kind(value)
    except ValueError:
        raise ConfChangeError(f"{name} {value!r}: it must be one of {[int(member) for member in kind]}") from None


@dataclass(frozen=True, slots=True)
class ProposedChange:
    """What became of a proposed configuration change: appended at ``index``, or refused for a reason.

    A refused change leaves an empty entry at ``index`` (as in etcd/raft) and changes nothing else.
    """

    index: int
    """Of the entry in this leader's log; 0 when a follower has passed the change on to its leader, and knows no more of
    it."""
    refused: str | None = None
    """Why, as one sentence for people; None when the change itself was appended, or passed on."""
