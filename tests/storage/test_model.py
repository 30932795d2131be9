"""Any mixture of writes, restarts and crashes leaves both stores with what the plain model says, group by group."""

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
from tests.storage.script import GROUPS, OWNER_OF_GROUPS
from tests.storage.support import EVERYTHING, Model, abandon, append, commit_only, entries, joined

GROUP = st.sampled_from(list(GROUPS))


class StoreMachine(RuleBasedStateMachine):
    """One store against the model. The subclasses say how to make it and how it dies."""

    def new(self) -> Storage:
        raise NotImplementedError

    def crash(self) -> None:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.models = {group: Model() for group in GROUPS}
        self.durable_commits = dict.fromkeys(GROUPS, 0)
        self.compacting = dict.fromkeys(GROUPS, 0)  # what was asked for, and may still wait for a batch
        self.pins: dict[int, int] = {}
        self.boots = 0
        self.term = 1
        self.open()

    def open(self) -> None:
        self.store = self.new()
        self.check_open(self.store.open(OWNER_OF_GROUPS))

    def check_open(self, recovered: Recovered) -> None:
        self.boots += 1
        assert recovered.boot >> 32 == self.boots
        assert recovered.pins == self.pins
        for group, model in self.models.items():
            model.check(self.store, recovered, group)

    def submit(self, *batch: tuple[int, list[Message]]) -> None:
        assert self.store.submit(batch)
        written: set[int] = set()
        for group, appends in batch:
            self.models[group].submit(appends)
            model = self.models[group]
            if any(message.must_sync for message in appends) or self.compacting[group] > model.compacted:
                written.add(group)
                model.compacted = self.compacting[group]
        for group, model in self.models.items():
            if group in written:
                self.durable_commits[group] = model.hard_state[2]
            model.check(self.store, None, group)

    def run_from(self, data: st.DataObject, group: int, last: int) -> Message:
        """Entries that follow or replace, in one block or two, with or without a hard state. What is committed nobody
        replaces (paper 5.4, Leader Completeness and Log Matching)."""
        kept = max(self.compacting[group], self.models[group].hard_state[2])
        first = data.draw(st.integers(max(kept + 1, last - 7), last + 1), "first")
        if first <= last:
            self.term += 1
        made = entries(first, data.draw(st.integers(1, 6), "count"), self.term)
        if data.draw(st.booleans(), "two blocks"):
            self.term += 1
            made = joined(made, entries(made.last + 1, 2, self.term))
        term, vote, _ = self.models[group].hard_state
        return append(made, term=self.term, vote=vote) if data.draw(st.booleans(), "hard state") else append(made)

    @rule(data=st.data(), groups=st.lists(GROUP, min_size=1, max_size=4), count=st.integers(1, 3))
    def append(self, data: st.DataObject, groups: list[int], count: int) -> None:
        """To several groups at once, and now and then to one of them twice in the same batch."""
        batch: list[tuple[int, list[Message]]] = []
        last = {group: len(model.log) for group, model in self.models.items()}
        for group in groups:
            appends: list[Message] = []
            for _ in range(count):
                appends.append(self.run_from(data, group, last[group]))
                made = appends[-1].entries
                assert made is not None
                last[group] = made.last
            batch.append((group, appends))
        self.submit(*batch)

    @rule(group=GROUP, vote=st.integers(0, 3))
    def vote(self, group: int, vote: int) -> None:
        self.term += 1
        self.submit((group, [append(term=self.term, vote=vote)]))

    @precondition(lambda self: self.committing())
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(self.committing()), "group")
        model = self.models[group]
        term, vote, _ = model.hard_state
        self.submit((group, [commit_only(term, vote, data.draw(st.integers(0, len(model.log)), "commit"))]))

    def committing(self) -> list[int]:
        """The groups that have something to commit."""
        return [group for group, model in self.models.items() if model.log and model.hard_state[0]]

    @precondition(lambda self: any(model.log for model in self.models.values()))
    @rule(data=st.data(), at_once=st.booleans())
    def compact(self, data: st.DataObject, at_once: bool) -> None:
        """Written by itself, or with what comes next."""
        group = data.draw(st.sampled_from([group for group, model in self.models.items() if model.log]), "group")
        index = data.draw(st.integers(0, len(self.models[group].log)), "index")
        self.store.group(group).compact(index)
        self.compacting[group] = max(self.compacting[group], index)
        if at_once:
            self.submit((group, []))

    @rule(node_id=st.integers(2, 4))
    def pin(self, node_id: int) -> None:
        self.store.pin(node_id, node_id * 11)
        self.pins[node_id] = node_id * 11

    @precondition(lambda self: self.readable())
    @rule(data=st.data(), max_bytes=st.integers(0, 400))
    def read(self, data: st.DataObject, max_bytes: int) -> None:
        group = data.draw(st.sampled_from(self.readable()), "group")
        model = self.models[group]
        lo = data.draw(st.integers(model.compacted + 1, len(model.log)), "lo")
        hi = data.draw(st.integers(lo + 1, len(model.log) + 1), "hi")
        log = self.store.group(group)
        read = log.entries(lo, hi, max_bytes)
        assert [(entry.term, entry.data) for entry in read] == model.log[lo - 1 : lo - 1 + read.count]
        assert len(read.data) <= max_bytes or read.count == 1
        if lo + read.count < hi:
            assert len(log.entries(lo, lo + read.count + 1, EVERYTHING).data) > max_bytes

    def readable(self) -> list[int]:
        """The groups that have entries which are not compacted."""
        return [group for group, model in self.models.items() if len(model.log) > model.compacted]

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.durable_commits = {group: model.hard_state[2] for group, model in self.models.items()}  # written by it
        self.compacting = {group: model.compacted for group, model in self.models.items()}
        self.open()

    @rule()
    def crash_and_restart(self) -> None:
        self.crash()
        for group, model in self.models.items():
            term, vote, _ = model.hard_state
            model.hard_state = (term, vote, self.durable_commits[group])
        self.compacting = {group: model.compacted for group, model in self.models.items()}
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

    def new(self) -> LevelDBStorage:
        return LevelDBStorage(self.work / "node1", segment_size=64 << 10)

    def crash(self) -> None:
        abandon(self.store)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.work)


class SegmentsMachine(LevelDBMachine):
    """With segments of which each holds a few batches."""

    def new(self) -> LevelDBStorage:
        return LevelDBStorage(self.work / "node1", segment_size=2000)


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=100, stateful_step_count=30)
TestSegments = SegmentsMachine.TestCase
TestSegments.settings = settings(max_examples=50, stateful_step_count=30)
TestLevelDB = LevelDBMachine.TestCase
TestLevelDB.settings = settings(max_examples=50, stateful_step_count=30)
