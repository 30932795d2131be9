"""Messages, entries and Readys of the model, and the plain tuples in which model and core are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import raftcore
from raftcore import ConfState, Entries, Snapshot
from tests.model.log import Item

Plain = tuple[Any, ...]


class Rejected(Exception):
    """The model refuses a call; kind is the name of the core's exception (and, behind a colon, its reason)."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Placed(NamedTuple):
    """An entry with its place in the log."""

    index: int
    term: int
    kind: int
    data: bytes
    time: int

    @property
    def item(self) -> Item:
        return Item(self.term, self.kind, self.data, self.time)


def placed(first: int, items: Sequence[Item]) -> tuple[Placed, ...]:
    return tuple(Placed(first + i, *item) for i, item in enumerate(items))


def payload_bytes(entries: Sequence[Placed]) -> int:
    return sum(len(entry.data) for entry in entries)


@dataclass(slots=True)
class Message:
    """As raftcore.Message, entries as a tuple (empty for none)."""

    type: int
    to: int = 0
    from_: int = 0
    term: int = 0
    log_term: int = 0
    index: int = 0
    commit: int = 0
    vote: int = 0
    reject: bool = False
    reject_hint: int = 0
    conf_index: int = 0
    must_sync: bool = False
    entries: tuple[Placed, ...] = ()
    snapshot: Snapshot | None = None
    context: bytes | None = None
    responses: tuple[Message, ...] = ()

    def plain(self) -> Plain:
        return (
            int(self.type), self.to, self.from_, self.term, self.log_term, self.index, self.commit, self.vote,
            self.reject, self.reject_hint, self.conf_index, self.must_sync, self.entries, self.snapshot, self.context,
            tuple(response.plain() for response in self.responses),
        )  # fmt: skip


class HardState(NamedTuple):
    term: int = 0
    vote: int = 0
    commit: int = 0


@dataclass
class Ready:
    """As raftcore.Ready, entries as tuples (empty for none)."""

    soft_state: tuple[int, int] | None = None
    hard_state: HardState | None = None
    read_states: list[tuple[int, bytes]] = field(default_factory=list)
    entries: tuple[Placed, ...] = ()
    snapshot: Snapshot | None = None
    committed: tuple[Placed, ...] = ()
    messages: list[Message] = field(default_factory=list)
    must_sync: bool = False

    def plain(self) -> dict[str, Any]:
        return {
            "soft state": self.soft_state,
            "hard state": None if self.hard_state is None else tuple(self.hard_state),
            "read states": self.read_states,
            "entries": self.entries,
            "snapshot": self.snapshot,
            "committed entries": self.committed,
            "messages": [message.plain() for message in self.messages],
            "must sync": self.must_sync,
        }


@dataclass
class Suspicion:
    """A leader that has contradicted what is committed here, and in how many rounds."""

    leader: int
    index: int
    term: int
    rounds: int = 1
    heartbeat: bool = False
    """Heard since the last round was counted."""
    ticks: int = 0
    """Since then."""


@dataclass
class Start:
    """What a node finds in its storage; items are the log behind the snapshot index."""

    hard_state: HardState = HardState()
    conf_state: ConfState = field(default_factory=ConfState)
    conf_index: int = 0
    snapshot_index: int = 0
    snapshot_term: int = 0
    items: list[Item] = field(default_factory=list)
    last_time: int = 0


# The same of what the core gives


def plain_entries(entries: Entries | None) -> tuple[Placed, ...]:
    if entries is None:
        return ()
    found: list[Placed] = []
    for first, count, term, kind, time in entries.runs():
        found += [
            Placed(first + i, term, kind, entries.payload(len(found) + i), time) for i in range(count)
        ]  # fmt: skip
    return tuple(found)


def plain_message(message: raftcore.Message) -> Plain:
    return (
        message.type, message.to, message.from_, message.term, message.log_term, message.index, message.commit,
        message.vote, message.reject, message.reject_hint, message.conf_index, message.must_sync,
        plain_entries(message.entries), message.snapshot, message.context,
        tuple(plain_message(response) for response in message.responses or ()),
    )  # fmt: skip


def plain_ready(ready: raftcore.Ready) -> dict[str, Any]:
    soft, hard = ready.soft_state, ready.hard_state
    return {
        "soft state": None if soft is None else (soft.lead, soft.state),
        "hard state": None if hard is None else (hard.term, hard.vote, hard.commit),
        "read states": ready.read_states,
        "entries": plain_entries(ready.entries),
        "snapshot": ready.snapshot,
        "committed entries": plain_entries(ready.committed_entries),
        "messages": [plain_message(message) for message in ready.messages],
        "must sync": ready.must_sync,
    }
