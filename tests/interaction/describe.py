"""The printed forms of transcripts: entries, messages, snapshots, Readys; those of etcd/raft, letter for letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from raftcore.base.errors import DecodeError
from raftcore.base.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, EntryKind, MessageType, StateType
from raftcore.membership.confchange import ConfChange, ConfChangeV2, describe
from raftcore.values.message import ConfState, Entry, HardState, Message, Snapshot

_ESCAPES = {'"': '\\"', "\\": "\\\\"} | dict(
    zip("\a\b\f\n\r\t\v", (f"\\{letter}" for letter in "abfnrtv"), strict=True)
)


def quote(data: bytes) -> str:
    """Bytes between double quotes, as Go's %q prints them."""
    return '"' + "".join(map(_quoted, data.decode("utf-8", "surrogateescape"))) + '"'


def _quoted(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as surrogateescape hands it on
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def describe_entry(entry: Entry, *, proposed: bool = False) -> str:
    """``1/4 EntryNormal "x"``, ``1/4 EntryConfChangeV2 v2 l3``: term, index, kind, content.

    proposed: on its way to the leader, which gives term and index; it is printed with ``0/0``.
    """
    kind = EntryKind.EntryNormal if entry.kind == EntryKind.EntryNoop else EntryKind(entry.kind)
    if kind == EntryKind.EntryNormal:
        content = quote(entry.data)
    else:
        try:
            content = describe(conf_change(entry).as_v2().changes)
        except DecodeError as error:
            content = str(error)
    place = "0/0" if proposed else f"{entry.term}/{entry.index}"
    return f"{place} {kind.name} {content}".rstrip()


def conf_change(entry: Entry) -> ConfChange | ConfChangeV2:
    """The configuration change that an entry of either kind carries; DecodeError when it carries none."""
    return (ConfChange if entry.kind == EntryKind.EntryConfChange else ConfChangeV2).decode(entry.data)


def describe_target(node_id: int) -> str:
    """A node id (hexadecimal, as etcd/raft prints it), or the name of a local thread."""
    names = {0: "None", LOCAL_APPEND_THREAD: "AppendThread", LOCAL_APPLY_THREAD: "ApplyThread"}
    return names.get(node_id) or f"{node_id:x}"


def describe_message(message: Message, *, responses: bool = True, indent: str = "") -> str:
    """One message; several lines when it has several entries, a snapshot or responses."""
    return "\n".join(_message_lines(message, responses, indent))


def _message_lines(message: Message, responses: bool, indent: str) -> Iterator[str]:
    text = (
        f"{indent}{describe_target(message.from_)}->{describe_target(message.to)} {MessageType(message.type).name} "
        f"Term:{message.term} Log:{message.log_term}/{message.index}"
    )
    if message.reject:
        text += f" Rejected (Hint: {message.reject_hint})"
    if message.commit:
        text += f" Commit:{message.commit}"
    if message.vote:
        text += f" Vote:{message.vote}"
    proposed = message.type == MessageType.MsgProp
    if message.entries is not None and len(message.entries) == 1:
        text += f" Entries:[{describe_entry(message.entries[0], proposed=proposed)}]"
    elif message.entries is not None:
        yield text + " Entries:["
        for entry in message.entries:
            yield f"{indent}  {describe_entry(entry, proposed=proposed)}"
        text = f"{indent}]"
    if message.snapshot is not None and message.snapshot.index:
        yield text
        text = f"{indent}  Snapshot: {describe_snapshot(message.snapshot)}"
    if responses and message.responses:
        yield text + " Responses:["
        for response in message.responses:
            yield from _message_lines(response, responses, indent + "  ")
        text = f"{indent}]"
    yield text


def describe_conf_state(state: ConfState) -> str:
    """``Voters:[1 2] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false``."""
    return (
        f"Voters:{_ids(state.voters)} VotersOutgoing:{_ids(state.voters_outgoing)} Learners:{_ids(state.learners)} "
        f"LearnersNext:{_ids(state.learners_next)} AutoLeave:{_bool(state.auto_leave)}"
    )


def describe_snapshot(snapshot: Snapshot) -> str:
    """Index, term and configuration; the data is not printed."""
    return f"Index:{snapshot.index} Term:{snapshot.term} ConfState:{describe_conf_state(snapshot.conf_state)}"


def describe_hard_state(state: HardState) -> str:
    """``Term:1 Vote:1 Commit:3``, the vote only when there is one."""
    return f"Term:{state.term}" + (f" Vote:{state.vote}" if state.vote else "") + f" Commit:{state.commit}"


def describe_ready(ready: Any) -> str:
    """Everything a Ready holds, in the order of its fields."""
    lines: list[str] = []
    if ready.soft_state is not None:
        lines.append(f"Lead:{ready.soft_state.lead} State:{StateType(ready.soft_state.state).name}")
    if ready.hard_state is not None and ready.hard_state != HardState():
        lines.append(f"HardState {describe_hard_state(ready.hard_state)}")
    if ready.read_states:
        states = (f"{{{index} [{' '.join(map(str, context))}]}}" for index, context in ready.read_states)
        lines.append(f"ReadStates [{' '.join(states)}]")
    if ready.entries is not None:
        lines += ["Entries:", *map(describe_entry, ready.entries)]
    if ready.snapshot is not None and ready.snapshot.index:
        lines.append(f"Snapshot {describe_snapshot(ready.snapshot)}")
    if ready.committed_entries is not None:
        lines += ["CommittedEntries:", *map(describe_entry, ready.committed_entries)]
    if ready.messages:
        lines += ["Messages:", *map(describe_message, ready.messages)]
    if not lines:
        return "<empty Ready>"
    return "\n".join([f"Ready MustSync={_bool(ready.must_sync)}:", *lines])


def _ids(ids: Iterable[int]) -> str:
    return f"[{' '.join(map(str, ids))}]"


def _bool(value: bool) -> str:
    return "true" if value else "false"
