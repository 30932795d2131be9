"""What the tests of the stores share: appends in short form, and the two stores behind one handle."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import pytest

from raftcore.base.errors import Compacted
from raftcore.base.types import LOCAL_APPEND_THREAD, EntryKind, MessageType
from raftcore.values.message import Entries, Entry, HardState, Message, Snapshot
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.storage import LevelDBStorage, MemoryDisk, MemoryStore
from raftpy.storage.leveldb.row import SEGMENT_SIZE, SegmentRow
from raftpy.system.files import SystemFiles

MEMBERS = {1: "127.0.0.1:7101", 2: "127.0.0.1:7102", 3: "127.0.0.1:7103"}
OWNER = StoreOwner(1, MEMBERS)
EVERYTHING = 2**64 - 1
FILES = SystemFiles()
SMALLEST_BUFFER = 64 << 10
"""LevelDB takes no smaller write buffer."""
OPENED: list[Storage] = []
"""Every store that a Disk has made; conftest.py closes them after each test."""


def payload(index: int, term: int) -> bytes:
    """A payload that tells where it belongs; its length varies with the index."""
    return f"{term}/{index}".encode() + b"." * (index % 7)


def entries(first: int, count: int, term: int, time_ms: int = 0, kind: int = EntryKind.EntryNormal) -> Entries:
    made = [Entry(term, index, kind, payload(index, term)) for index in range(first, first + count)]
    return Entries.build(made, time_ms)


def joined(*parts: Entries) -> Entries:
    """Consecutive entries as one run of several blocks."""
    return Entries.decode(b"".join(part.data for part in parts))


def append(
    run: Entries | None = None,
    term: int = 0,
    vote: int = 0,
    commit: int = 0,
    must_sync: bool = True,
    snapshot: Snapshot | None = None,
) -> Message:
    """A MsgStorageAppend: the hard state when any part of it is given, a snapshot, and entries."""
    return Message(
        MessageType.MsgStorageAppend,
        to=LOCAL_APPEND_THREAD,
        term=term,
        vote=vote,
        commit=commit,
        must_sync=must_sync,
        entries=run,
        snapshot=snapshot,
    )


def commit_only(term: int, vote: int, commit: int) -> Message:
    return append(None, term, vote, commit, must_sync=False)


def submit(store: Storage, appends: Sequence[Message], group: int = 0) -> bool:
    """One submit of one group."""
    return store.submit([(group, appends)])


def abandon(store: Storage) -> None:
    """Leaves a LevelDB store's files as kill -9 would: LevelDB itself writes nothing when it is closed."""
    assert isinstance(store, LevelDBStorage)
    store._state = "closed"
    if store._row is not None:
        store._row._trouble = StorageFailed("killed")  # nothing is done any more beside the writes
    store._release()


def next_is_made(store: LevelDBStorage | SegmentRow | None) -> None:
    """Waits for the thread that makes segments beforehand: LevelDB's files come and go meanwhile, and with less time
    than it takes the segment in use grows, and there are few."""
    row = store._row if isinstance(store, LevelDBStorage) else store
    until = time.monotonic() + 20
    while row is not None and row._next is None:
        assert time.monotonic() < until, "no next segment"
        time.sleep(0.0005)


class Drawn:
    """An ``Entropy`` that draws what it was given, byte for byte, over and over."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = cycle(drawn)

    def bytes(self, count: int) -> bytes:
        return bytes(islice(self._drawn, count))

    def u64(self) -> int:
        return int.from_bytes(self.bytes(8), "little")


@dataclass
class Disk:
    """Opens stores of one kind on one disk, again and again."""

    kind: str
    path: Path
    memory: MemoryDisk = field(default_factory=MemoryDisk)
    segment_size: int = SEGMENT_SIZE

    def new(self) -> Storage:
        store: Storage
        if self.kind == "memory":
            store = MemoryStore(self.memory)
        else:
            store = LevelDBStorage(self.path, segment_size=self.segment_size)
        OPENED.append(store)
        return store

    def open(self, identity: StoreOwner = OWNER) -> tuple[Storage, Recovered]:
        store = self.new()
        return store, store.open(identity)

    def reopen(self, store: Storage, identity: StoreOwner = OWNER) -> tuple[Storage, Recovered]:
        store.close()
        return self.open(identity)


@dataclass
class Model:
    """The plain truth about what a store has been told: a list of (term, payload), also of the ``compacted`` first
    ones, which of them change the configuration, and the hard state."""

    log: list[tuple[int, bytes]] = field(default_factory=list)
    hard_state: tuple[int, int, int] = (0, 0, 0)
    compacted: int = 0
    conf_changes: list[int] = field(default_factory=list)

    def submit(self, appends: Sequence[Message]) -> None:
        for message in appends:
            if message.term or message.vote or message.commit:
                self.hard_state = (message.term, message.vote, message.commit)
            if message.snapshot is not None:
                self.compacted = message.snapshot.index
                self.log = [(message.snapshot.term, b"")] * self.compacted  # of which only the last one's term is known
                self.conf_changes = []
            if message.entries is not None:
                del self.log[message.entries.first - 1 :]
                self.log += [(entry.term, entry.data) for entry in message.entries]
                kept = [index for index in self.conf_changes if index < message.entries.first]
                self.conf_changes = kept + [entry.index for entry in message.entries if entry.kind in (1, 2)]

    def check(self, store: Storage, recovered: Recovered | None = None, group: int = 0) -> None:
        """The store gives back exactly this log; a newly opened one also the hard state and the log's shape."""
        compacted, last = self.compacted, len(self.log)
        if last > compacted:
            read = store.group(group).entries(compacted + 1, last + 1, EVERYTHING)
            assert [(entry.term, entry.data) for entry in read] == self.log[compacted:]
            assert [entry.index for entry in read] == list(range(compacted + 1, last + 1))
        for lo in range(max(1, compacted - 5), compacted + 1):
            with pytest.raises(Compacted):
                store.group(group).entries(lo, last + 1, EVERYTHING)
        if recovered is None:
            return
        state = recovered.groups[group]
        term, vote, commit = self.hard_state
        assert state.hard_state == HardState(term, vote, max(commit, compacted))
        assert state.last_index == last
        assert state.snapshot_index == compacted
        assert state.snapshot_term == (self.log[compacted - 1][0] if compacted else 0)
        runs: list[tuple[int, int]] = []
        for index, (term, _) in enumerate(self.log[compacted:], compacted + 1):
            if not runs or runs[-1][1] != term:
                runs.append((index, term))
        assert state.term_runs == tuple(runs)
        assert state.conf_changes == tuple(index for index in self.conf_changes if index > compacted)
