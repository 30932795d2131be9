"""A few cores over storages in memory, for programs: every piece of work waits until the program has it done.

Both forms of a driver: with ``async_storage_writes`` the writes and the applies of one node are two queues, each worked
off in its order, and nothing says which goes first; in the plain form a Ready is written, applied and sent in one step,
and advance() comes later. A crash forgets what was not written, and what the state machine applied behind its snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raftcore import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeV2,
    Config,
    ConfState,
    Entries,
    EntryKind,
    HardState,
    InitialState,
    Message,
    RawNode,
    Snapshot,
)
from raftcore.base.errors import Compacted, ConfChangeError, DecodeError, SnapshotOutOfDate, Unavailable
from raftcore.testing.memory_storage import MemoryStorage

FLYING = 200  # messages that wait; the oldest are lost
OLDER = 2  # snapshots that a node has beside its newest


class Peer:
    """One core and its storage."""

    def __init__(self, cluster: Cluster, node_id: int, conf_state: ConfState, options: Mapping[str, Any]) -> None:
        self.cluster = cluster
        self.id = node_id
        self.options = dict(options)
        self.bootstrap = conf_state
        self.storage = MemoryStorage()
        self.older: list[Snapshot] = []  # that are kept beside the newest
        self.start()

    def start(self) -> None:
        """Begins (again) from what the storage holds."""
        kept = self.storage.initial_state()
        snapshot = self.storage.snapshot()
        hard = kept.hard_state
        applied = max(snapshot.index, kept.snapshot_index)
        initial = InitialState(
            # A snapshot is of applied, hence committed entries, whether or not the commit index was written since.
            hard_state=HardState(hard.term, hard.vote, max(hard.commit, applied)),
            conf_state=snapshot.conf_state if snapshot.index else self.bootstrap,
            conf_index=snapshot.conf_index,
            snapshot_index=kept.snapshot_index,
            snapshot_term=kept.snapshot_term,
            last_index=kept.last_index,
            term_runs=kept.term_runs,
            last_time_ms=kept.last_time_ms,
        )
        config = Config(id=self.id, applied=applied, trace=self.cluster.trace, **self.options)
        self.raw = RawNode(config, initial, self.storage)
        self.raw.set_members(self.options.get("witnesses", ()), self.options.get("priorities"))
        self.applied = applied
        self.conf_state = initial.conf_state
        self.conf_index = initial.conf_index
        self.writes: list[Message] = []
        self.applies: list[Message] = []
        self.taken = False  # plain form: a Ready is written, applied and sent, advance() is due
        self.restored = 0  # index of the newest snapshot taken over: nothing up to there is applied any more

    def collect(self) -> None:
        """Takes what the core wants done."""
        while self.raw.has_ready() and not self.taken:
            ready = self.raw.ready()
            if not self.options["async_storage_writes"]:
                self._write(ready.hard_state, ready.snapshot, ready.entries)
                self._apply(ready.committed_entries)
                self.taken = True
            for message in ready.messages:
                if message.to == LOCAL_APPEND_THREAD:
                    self.writes.append(message)
                    self.restored = message.snapshot.index if message.snapshot is not None else self.restored
                elif message.to == LOCAL_APPLY_THREAD:
                    self.applies.append(message)
                else:
                    self.cluster.fly(message)

    def write(self) -> None:
        """The oldest write becomes durable; its responses go out. Plain form: advance()."""
        if self.writes:
            message = self.writes.pop(0)
            hard = None
            if message.term or message.vote or message.commit:
                hard = HardState(message.term, message.vote, message.commit)
            self._write(hard, message.snapshot, message.entries)
            self._respond(message)
        elif self.taken:
            self.taken = False
            self.raw.advance()

    def apply(self) -> None:
        """The oldest committed entries are applied."""
        if self.applies:
            message = self.applies.pop(0)
            self._apply(message.entries)
            self._respond(message)

    def compact(self, keep: int) -> None:
        """A snapshot of what is applied; the log before its last ``keep`` applied entries goes."""
        newest = self.storage.snapshot()
        try:
            self.storage.create_snapshot(self.applied, self.conf_state, self.conf_index)
            self.older = [*self.older, newest][-OLDER:] if newest.index else self.older
            self.raw.compact(self.applied - min(keep, self.applied))
            self.storage.compact(self.raw.first_index - 1)
        except (Compacted, Unavailable, SnapshotOutOfDate):
            pass  # nothing new is applied, or it is not written yet

    def _write(self, hard: HardState | None, snapshot: Snapshot | None, entries: Entries | None) -> None:
        if hard is not None:
            self.storage.set_hard_state(hard)
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
            self.applied = snapshot.index
            self.conf_state, self.conf_index = snapshot.conf_state, snapshot.conf_index
        if entries is not None:
            self.storage.append(entries)

    def _apply(self, entries: Entries | None) -> None:
        for entry in entries or ():
            if entry.index <= max(self.applied, self.restored):
                continue  # a snapshot came in between
            assert entry.index == self.applied + 1, f"entry {entry.index} to apply after {self.applied}"
            self.applied = entry.index
            if entry.kind not in (EntryKind.EntryConfChange, EntryKind.EntryConfChangeV2):
                continue
            try:
                kind = ConfChange if entry.kind == EntryKind.EntryConfChange else ConfChangeV2
                self.conf_state = self.raw.apply_conf_change(kind.decode(entry.data), entry.index)
                self.conf_index = entry.index
            except (ConfChangeError, DecodeError):
                pass  # one that does not fit does nothing, the same on every node

    def _respond(self, message: Message) -> None:
        for response in message.responses or ():
            if response.to == self.id:
                self.raw.step(response)
            else:
                self.cluster.fly(response)


class Cluster:
    """Peers 1 to ``count`` and the messages between them. ``trace`` is called as raftcore.Config says."""

    def __init__(self, count: int, learners: Sequence[int], options: Sequence[Mapping[str, Any]], trace: Any) -> None:
        ids = range(1, count + 1)
        self.trace = trace
        self.flying: list[Message] = []
        self.now_ms = 1000
        conf_state = ConfState(voters=[i for i in ids if i not in learners], learners=learners)
        self.peers = [Peer(self, i, conf_state, options[i - 1]) for i in ids]

    def fly(self, message: Message) -> None:
        self.flying.append(message)
        del self.flying[:-FLYING]
