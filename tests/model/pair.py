"""One node twice: the core and the model, given the same inputs, compared after every call."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import raftcore
from raftcore import ConfChange, ConfChangeV2, Config, ConfState, EntryKind, InitialState, RawNode, Snapshot
from raftcore.base.errors import (
    LogTemporarilyUnavailable,
    ProposalDropped,
    RaftError,
    SnapshotTemporarilyUnavailable,
)
from tests.model.log import Item, encode
from tests.model.node import ModelNode
from tests.model.node_log import fitting
from tests.model.state import ModelStorage
from tests.model.values import HardState, Message, Placed, Ready, Rejected, Start, plain_message, plain_ready


class Difference(Exception):
    """Core and model do not agree. what: of the answer or of the state; core, model: both, in a printable form."""

    def __init__(self, node_id: int, what: str, core: Any, model: Any) -> None:
        super().__init__(f"node {node_id}: {what}")
        self.node_id, self.what, self.core, self.model = node_id, what, core, model


@dataclass
class Flight:
    """A message on its way, as each side knows it. What both sides sent was compared and is the same."""

    core: raftcore.Message
    model: Message

    @property
    def to(self) -> int:
        return self.core.to

    def describe(self) -> str:
        return repr(self.core)


@dataclass
class Store(ModelStorage):
    """What is written, for both: entry before + 1 + i is items[i]."""

    hard: HardState = HardState()
    durable: HardState = HardState()
    """As hard, without what may be lost because nobody asked for it to be durable."""
    before: int = 0
    before_term: int = 0
    before_time: int = 0
    items: list[Item] = field(default_factory=list)
    newest: Snapshot = field(default_factory=Snapshot)
    older: list[Snapshot] = field(default_factory=list)
    available: bool = True
    entries_at_hand: bool = True
    in_time: bool = True
    """Also what nobody waits for."""

    @property
    def last(self) -> int:
        return self.before + len(self.items)

    def term(self, index: int) -> int:
        return self.before_term if index == self.before else self.items[index - self.before - 1].term

    def time(self, index: int) -> int:
        return self.before_time if index == self.before else self.items[index - self.before - 1].time

    def snapshot(self) -> Snapshot:
        if not self.available:
            raise Rejected("SnapshotTemporarilyUnavailable")
        return self.newest

    def at_hand(self, *, urgent: bool) -> bool:
        return self.entries_at_hand and (urgent or self.in_time)

    def write(self, hard: HardState | None, snapshot: Snapshot | None, entries: Sequence[Placed], sync: bool) -> None:
        self.hard = hard or self.hard
        if sync or snapshot is not None:
            self.durable = self.hard
        if snapshot is not None:
            self.before, self.before_term, self.before_time = snapshot.index, snapshot.term, snapshot.time_ms
            self.items, self.newest, self.older = [], snapshot, []
        if entries:
            assert self.before < entries[0].index <= self.last + 1, "entries leave a gap in the store"
            self.items[entries[0].index - self.before - 1 :] = [entry.item for entry in entries]

    def compact(self, index: int) -> None:
        self.before_term, self.before_time = self.term(index), self.time(index)
        del self.items[: index - self.before]
        self.before = index


class CoreView:
    """The store as the core sees it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def entries(self, lo: int, hi: int, max_bytes: int) -> raftcore.Entries:
        at = self.store.before + 1
        return encode(lo, fitting(self.store.items[lo - at : hi - at], max_bytes, 1))

    def entries_at_hand(self, lo: int, hi: int, max_bytes: int, urgent: bool) -> raftcore.Entries:
        if not self.store.at_hand(urgent=urgent):
            raise LogTemporarilyUnavailable
        return self.entries(lo, hi, max_bytes)

    def snapshot(self) -> Snapshot:
        if not self.store.available:
            raise SnapshotTemporarilyUnavailable
        return self.store.newest


@dataclass
class Application:
    """A state machine: how far it is, and its configuration."""

    index: int = 0
    conf_state: ConfState = field(default_factory=ConfState)
    conf_index: int = 0

    def take(self, snapshot: Snapshot) -> None:
        self.index, self.conf_state, self.conf_index = snapshot.index, snapshot.conf_state, snapshot.conf_index

    def snapshot(self, term: int, time: int) -> Snapshot:
        return Snapshot(self.index, term, self.conf_state, self.conf_index, time)


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """What a call gave, or the kind of error that it raised."""
    try:
        return "gave", call()
    except ProposalDropped as error:
        return "raised", f"ProposalDropped: {error.reason}"
    except Rejected as error:
        return "raised", error.kind
    except RaftError as error:
        return "raised", type(error).__name__
    except Exception as error:  # the model's own, or a core's InvariantViolation: in any case something to be found
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "failed", f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})"


class Pair:
    """A node in both forms with its store, its queues of storage work and its state machine."""

    def __init__(self, settings: dict[str, Any], boot: ConfState, node_id: int, keep_application: bool) -> None:
        self.id = node_id
        self.settings = settings
        self.boot = boot
        self.keep_application = keep_application
        self.store = Store()
        self.application = Application(conf_state=boot)
        self.life = 0
        self.calls = 0
        self.last_call = ""
        self.start()

    def start(self) -> None:
        """From what is durable. The state machine either kept its state, or begins from the newest snapshot."""
        store = self.store
        if not self.keep_application:
            self.application = Application(conf_state=self.boot)
            if store.newest.index:
                self.application.take(store.newest)
        app = self.application
        hard = store.durable._replace(commit=max(store.durable.commit, app.index))
        store.hard = store.durable = hard
        self.life += 1
        self.appends: deque[tuple[raftcore.Message, Message]] = deque()
        self.applies: deque[tuple[raftcore.Message, Message]] = deque()
        self.out: tuple[raftcore.Ready, Ready] | None = None
        config = Config(id=self.id, applied=app.index, **{**self.settings, "seed": self.settings["seed"] + self.life})
        runs: list[tuple[int, int]] = []
        for index, item in enumerate(store.items, store.before + 1):
            if not runs or runs[-1][1] != item.term:
                runs.append((index, item.term))
        initial = InitialState(
            raftcore.HardState(*hard), app.conf_state, app.conf_index, store.before, store.before_term, store.last,
            tuple(runs), store.time(store.last),
        )  # fmt: skip
        start = Start(
            hard, app.conf_state, app.conf_index, store.before, store.before_term, store.items, store.time(store.last)
        )
        self.core = RawNode(config, initial, CoreView(store))
        self.model = ModelNode(config, start, store)
        self.compare("after its start")

    # Calls on both sides

    def both(self, name: str, *arguments: Any) -> tuple[str, Any]:
        """Calls the method of this name on both sides."""
        return self.each(name, arguments, arguments)

    def each(self, name: str, core_arguments: Sequence[Any], model_arguments: Sequence[Any]) -> tuple[str, Any]:
        self.calls += 1
        self.last_call = name
        core = outcome(lambda: getattr(self.core, name)(*core_arguments))
        model = outcome(lambda: getattr(self.model, name)(*model_arguments))
        if name == "propose_conf_change" and core[0] == "gave":
            core = "gave", (core[1].index, core[1].refused)
        if core != model or core[0] == "failed":
            raise Difference(self.id, f"what {name}() gives", core, model)
        self.compare(f"after {name}()")
        return core

    def step(self, flight: Flight) -> tuple[str, Any]:
        return self.each("step", (flight.core,), (flight.model,))

    def ready(self) -> tuple[raftcore.Ready, Ready]:
        """The next Ready of both, which are the same."""
        self.calls += 1
        core_kind, core = outcome(self.core.ready)
        model_kind, model = outcome(self.model.ready)
        if core_kind == model_kind == "gave":
            given, expected = plain_ready(core), model.plain()
            if given != expected:
                parts = [name for name in given if given[name] != expected[name]]
                raise Difference(
                    self.id, f"{', '.join(parts)} of the Ready",
                    {name: given[name] for name in parts}, {name: expected[name] for name in parts},
                )  # fmt: skip
        elif (core_kind, core) != (model_kind, model) or core_kind == "failed":
            raise Difference(self.id, "what ready() gives", core, model)
        self.compare("after ready()")
        self.compare_log()
        return core, model

    # Comparison

    def compare(self, when: str) -> None:
        core, model = self.core, self.model
        log = model.log
        have = (
            core.term, core.vote, core.state, core.leader, core.commit_index, core.applied_index, core.first_index,
            core.last_index, core.last_term, core.conf_index, core.has_ready(), core.ticks_until_due(), core.progress(),
        )  # fmt: skip
        want = (
            model.term, model.vote, int(model.role), model.leader, log.committed, log.applied, log.snapshot_index + 1,
            log.last, log.last_term(), model.conf_index, model.has_ready(), model.ticks_until_due(),
            [(member.id, str(member)) for member in model.members()],
        )  # fmt: skip
        if have != want:
            names = (
                "term", "vote", "role", "leader", "commit index", "applied index", "first index", "last index",
                "last term", "conf index", "has_ready()", "ticks_until_due()", "progress",
            )  # fmt: skip
            parts = [i for i in range(len(names)) if have[i] != want[i]]
            raise Difference(
                self.id, f"{', '.join(names[i] for i in parts)} {when}",
                {names[i]: have[i] for i in parts}, {names[i]: want[i] for i in parts},
            )  # fmt: skip

    def compare_log(self) -> None:
        """What takes longer to look at: the terms of the whole log, the configuration, the status."""
        core, model, log = self.core, self.model, self.model.log
        around = range(max(0, log.snapshot_index - 1), log.last + 2)
        terms = [core.term_at(index) for index in around]
        expected = [log.term(index) for index in around]
        if terms != expected:
            raise Difference(self.id, "terms of the log", terms, expected)
        status = core.status()
        have = (
            status.conf_state, status.transferee, status.in_sync, status.has_quorum, status.heard_quorum_ms,
            status.now_ms,
            [(p.id, p.behind, p.heard_ms, p.paused_because, p.conf_index) for p in status.progress.values()],
        )  # fmt: skip
        want = model.picture()
        if have != want:
            raise Difference(self.id, "status()", have, want)

    # Storage work

    def apply(self, entries: Sequence[Placed]) -> None:
        """What the state machine does with committed entries; those that a snapshot has covered since are left out."""
        app = self.application
        for entry in entries:
            if entry.index <= app.index:
                continue
            assert entry.index == app.index + 1, f"entry {entry.index} applied after {app.index}"
            app.index = entry.index
            if entry.kind in (EntryKind.EntryConfChange, EntryKind.EntryConfChangeV2):
                kind = ConfChange if entry.kind == EntryKind.EntryConfChange else ConfChangeV2
                result, value = self.both("apply_conf_change", kind.decode(entry.data), entry.index)
                if result == "gave":
                    app.conf_state, app.conf_index = value, entry.index

    def write(self, hard: HardState | None, ready: Ready | Message, sync: bool) -> None:
        self.store.write(hard, ready.snapshot, ready.entries, sync)
        if ready.snapshot is not None:
            self.application.take(ready.snapshot)

    def check_message(self, core: raftcore.Message, model: Message) -> None:
        """For what is sent later than its Ready was compared: it must not have changed since."""
        if plain_message(core) != model.plain():
            raise Difference(self.id, "a message that waited", plain_message(core), model.plain())
