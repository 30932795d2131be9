"""What a datagram says, in words for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from raftcore.base.errors import DecodeError
from raftcore.base.types import MessageType
from raftcore.values.message import Message
from raftcore.wire.codec import FRAME_TRANSPORT, frames, messages, parse_header

LONGEST_PAYLOAD = 40
"""Bytes of a command that are shown."""
MOST_ENTRIES = 8
"""Entries of a message that are shown one by one."""

TRANSPORT = {FRAME_TRANSPORT: "Hello", FRAME_TRANSPORT + 1: "Refusal"}
BROKEN = "Broken"
"""Type of a frame, or a whole datagram, that nobody can decode."""
OTHER = "Transport"
"""Type of a frame of the transport that has no other name."""


class Said(NamedTuple):
    """One frame of a datagram."""

    type: str
    """Name of the message's type, without its Msg."""
    group: int
    """0 for what is about no group."""
    label: str
    """A few characters, to stand at an arrow."""
    text: str
    """All of it, on one line or several."""


def describe(datagram: bytes) -> list[Said]:
    """Every frame of a datagram. Never raises: what cannot be decoded is said to be so."""
    try:
        header = parse_header(datagram)
    except DecodeError as error:
        return [Said(BROKEN, 0, "broken", f"no datagram: {error}")]
    found = [*_of_transport(datagram), *_of_core(datagram)]
    if not found:
        return [Said(OTHER, 0, "empty", f"a header alone, from boot {header.from_boot}")]
    return found


def _of_transport(datagram: bytes) -> Iterator[Said]:
    try:
        for kind, group, body in frames(datagram):
            if kind >= FRAME_TRANSPORT:
                name = TRANSPORT.get(kind, OTHER)
                yield Said(name, group, name.lower(), f"{name}: {len(body)} bytes, {bytes(body[:LONGEST_PAYLOAD])!r}")
    except DecodeError:
        return  # the core's reader says what is wrong


def _of_core(datagram: bytes) -> Iterator[Said]:
    try:
        for group, message in messages(datagram):
            if isinstance(message, DecodeError):
                yield Said(BROKEN, group, "broken", f"a frame that cannot be decoded: {message}")
            else:
                name = MessageType(message.type).name.removeprefix("Msg")
                yield Said(name, group, _label(name, message), _text(name, message))
    except DecodeError as error:
        yield Said(BROKEN, 0, "broken", f"not all of it can be decoded: {error}")


def _label(name: str, message: Message) -> str:
    entries = message.entries
    if name == "App":
        if entries is None:
            return f"App {message.index}"
        return f"App {entries.first}" if entries.count == 1 else f"App {entries.first}..{entries.last}"
    if name == "AppResp":
        return f"no {message.index}" if message.reject else f"ok {message.index}"
    if name in ("Vote", "PreVote"):
        return f"{name} t{message.term}"
    if name in ("VoteResp", "PreVoteResp"):
        return "no" if message.reject else "yes"
    if name == "Snap" and message.snapshot is not None:
        return f"Snap {message.snapshot.index}"
    return name


def _text(name: str, message: Message) -> str:
    parts = [f"term {message.term}"] if message.term else []
    if name == "App":
        parts.append(f"behind entry {message.index} of term {message.log_term}, committed up to {message.commit}")
    elif name == "AppResp":
        parts.append(
            f"refused: entry {message.index} does not match; its own hint is entry {message.reject_hint} of term "
            f"{message.log_term}"
            if message.reject
            else f"has everything up to entry {message.index}"
        )
    elif name in ("Vote", "PreVote"):
        parts.append(f"the candidate's last entry is {message.index} of term {message.log_term}")
    elif name in ("VoteResp", "PreVoteResp"):
        parts.append("refused" if message.reject else "granted")
    elif name == "Snap" and message.snapshot is not None:
        parts.append(f"up to entry {message.snapshot.index} of term {message.snapshot.term}")
    elif name == "Heartbeat":
        parts.append(f"committed up to {message.commit}")
    elif message.index or message.commit:
        parts.append(f"index {message.index}, commit {message.commit}")
    if message.reject and not name.endswith("Resp"):
        parts.append("rejected")
    if message.context:
        parts.append(f"context {_bytes(message.context)}")
    lines = [f"{name}: {'; '.join(parts)}" if parts else name, *_entries(message)]
    return "\n".join(lines)


def _entries(message: Message) -> Iterator[str]:
    if message.entries is None:
        return
    for entry in message.entries[:MOST_ENTRIES]:
        kind = ("", "configuration change ", "configuration change ", "no-op ")[entry.kind & 3]
        yield f"  entry {entry.index} of term {entry.term}: {kind}{_bytes(entry.data) if entry.data else ''}".rstrip()
    if (more := message.entries.count - MOST_ENTRIES) > 0:
        yield f"  and {more} more, up to entry {message.entries.last}"


def _bytes(data: bytes) -> str:
    shown = repr(data[:LONGEST_PAYLOAD])[1:]
    return shown if len(data) <= LONGEST_PAYLOAD else f"{shown}.. ({len(data)} bytes)"
