"""Any mixture of writes, restarts and crashes leaves both stores with what the plain model says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from raftcore.values.message import Message
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import Recovered
from raftpy.storage import LevelDBStorage, MemoryDisk, MemoryStore
from tests.storage.support import EVERYTHING, OWNER, Model, abandon, append, commit_only, entries, joined


class StoreMachine(RuleBasedStateMachine):
    """One store against the model. The subclasses say how to make it and how it dies."""

    def new(self) -> Storage:
        raise NotImplementedError

    def crash(self) -> None:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.model = Model()
        self.durable_commit = 0
        self.pins: dict[int, int] = {}
        self.boots = 0
        self.term = 1
        self.open()

    def open(self) -> None:
        self.store = self.new()
        self.check_open(self.store.open(OWNER))

    def check_open(self, recovered: Recovered) -> None:
        self.boots += 1
        assert recovered.boot >> 32 == self.boots
        assert recovered.pins == self.pins
        self.model.check(self.store, recovered)

    def submit(self, *appends: Message) -> None:
        assert self.store.submit([(0, appends)])
        self.model.submit(appends)
        if any(message.must_sync for message in appends):
            self.durable_commit = self.model.hard_state[2]
        self.model.check(self.store)

    def run_from(self, data: st.DataObject, last: int) -> Message:
        """Entries that follow or replace, in one block or two, with or without a hard state."""
        first = data.draw(st.integers(max(1, last - 7), last + 1), "first")
        if first <= last:
            self.term += 1
        made = entries(first, data.draw(st.integers(1, 6), "count"), self.term)
        if data.draw(st.booleans(), "two blocks"):
            self.term += 1
            made = joined(made, entries(made.last + 1, 2, self.term))
        term, vote, _ = self.model.hard_state
        return append(made, term=self.term, vote=vote) if data.draw(st.booleans(), "hard state") else append(made)

    @rule(data=st.data(), count=st.integers(1, 4))
    def append(self, data: st.DataObject, count: int) -> None:
        appends: list[Message] = []
        last = len(self.model.log)
        for _ in range(count):
            appends.append(self.run_from(data, last))
            made = appends[-1].entries
            assert made is not None
            last = made.last
        self.submit(*appends)

    @rule(vote=st.integers(0, 3))
    def vote(self, vote: int) -> None:
        self.term += 1
        self.submit(append(term=self.term, vote=vote))

    @precondition(lambda self: self.model.log and self.model.hard_state[0])
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        term, vote, _ = self.model.hard_state
        self.submit(commit_only(term, vote, data.draw(st.integers(0, len(self.model.log)), "commit")))

    @rule(node_id=st.integers(2, 4))
    def pin(self, node_id: int) -> None:
        self.store.pin(node_id, node_id * 11)
        self.pins[node_id] = node_id * 11

    @precondition(lambda self: self.model.log)
    @rule(data=st.data(), max_bytes=st.integers(0, 400))
    def read(self, data: st.DataObject, max_bytes: int) -> None:
        lo = data.draw(st.integers(1, len(self.model.log)), "lo")
        hi = data.draw(st.integers(lo + 1, len(self.model.log) + 1), "hi")
        read = self.store.group(0).entries(lo, hi, max_bytes)
        assert [(entry.term, entry.data) for entry in read] == self.model.log[lo - 1 : lo - 1 + read.count]
        assert len(read.data) <= max_bytes or read.count == 1
        if lo + read.count < hi:
            assert len(self.store.group(0).entries(lo, lo + read.count + 1, EVERYTHING).data) > max_bytes

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.durable_commit = self.model.hard_state[2]  # a clean close writes it
        self.open()

    @rule()
    def crash_and_restart(self) -> None:
        self.crash()
        term, vote, _ = self.model.hard_state
        self.model.hard_state = (term, vote, self.durable_commit)
        self.open()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


class MemoryMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()

    def new(self) -> Storage:
        return MemoryStore(self.disk)

    def crash(self) -> None:
        self.disk.crash()


class LevelDBMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.work = Path(tempfile.mkdtemp(prefix="raftpy-test-", dir=memory if memory.is_dir() else None))

    def new(self) -> Storage:
        return LevelDBStorage(self.work / "node1", write_buffer_size=64 << 10)

    def crash(self) -> None:
        abandon(self.store)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.work)


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=100, stateful_step_count=30)
TestLevelDB = LevelDBMachine.TestCase
TestLevelDB.settings = settings(max_examples=50, stateful_step_count=30)
