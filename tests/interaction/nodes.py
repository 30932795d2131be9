"""One node of a transcript: the core under test, a storage in memory and what is known of its state machine.

After each applied entry a snapshot is recorded, and the newest one recorded is what the storage hands out. No
transcript shows what is in one, so the state machine keeps no state but its place in the log and the configuration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from raftcore import RawNode
from raftcore.base.config import Config
from raftcore.base.errors import RaftError
from raftcore.base.types import EntryKind
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.values.message import Entries, Entry, HardState, Message, Snapshot
from tests.interaction.describe import conf_change


class RecordingStorage(MemoryStorage):
    """A MemoryStorage whose snapshot is the newest one its state machine recorded."""

    def __init__(self, newest: Callable[[], Snapshot]) -> None:
        super().__init__()
        self._newest = newest

    def snapshot(self) -> Snapshot:
        return self._newest()


class Node:
    """A RawNode with what drives it. Storage work waits in ``append_work`` and ``apply_work`` when it is async."""

    def __init__(self, config: Config, start: Snapshot) -> None:
        self.config = config
        self.history = [start]
        self.append_work: deque[Message] = deque()
        self.apply_work: deque[Message] = deque()
        self.storage = RecordingStorage(lambda: self.history[-1])
        if start != Snapshot():
            self.storage.apply_snapshot(start)
        self.raw = RawNode(config, self.storage.initial_state(), self.storage)

    @property
    def id(self) -> int:
        return self.config.id

    def store(self, hard_state: HardState | None, entries: Entries | None, snapshot: Snapshot | None) -> None:
        """What the append thread does: hard state, then the snapshot or the entries."""
        if hard_state is not None and hard_state != HardState():
            self.storage.set_hard_state(hard_state)
        if snapshot is not None and snapshot.index:
            if entries is not None:
                raise RaftError("can't apply snapshot and entries at the same time")
            self.storage.apply_snapshot(snapshot)
        elif entries is not None:
            self.storage.append(entries)

    def apply(self, entries: Entries | None) -> None:
        """What the apply thread does: each entry changes the state, and each state is recorded."""
        for entry in entries or ():
            self.history.append(self._applied(entry))

    def _applied(self, entry: Entry) -> Snapshot:
        before = self.history[-1]
        conf_state, conf_index = before.conf_state, before.conf_index
        if entry.kind in (EntryKind.EntryConfChange, EntryKind.EntryConfChangeV2):
            conf_state, conf_index = self.raw.apply_conf_change(conf_change(entry), entry.index), entry.index
        return Snapshot(entry.index, entry.term, conf_state, conf_index)

    def tick(self, times: int) -> None:
        for _ in range(times):
            self.raw.tick()

    def compact(self, index: int) -> None:
        """Drop the log up to ``index``, in the storage and in the core's memory."""
        self.storage.compact(index)
        self.raw.compact(index)
