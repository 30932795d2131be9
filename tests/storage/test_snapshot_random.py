"""Random lives of snapshots on a simulated disk that fails at any time, beside the plain truth about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from random import Random

import pytest

from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.snapshots import SnapshotReceiver, SnapshotRef, SnapshotWriter, complete
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, PowerFailure
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.memory import MemoryFolder
from raftpy.storage.snapshots.names import whole_name
from raftpy.storage.snapshots.store import SnapshotStore
from tests.storage.snapshots import SMALL, Section, contents, raw, sample, write

NODE = PurePath("/data")
GROUPS = (0, 1, 2**64 - 1)
GOOD = DiskFaults(out_of_order=0.5)
BAD = DiskFaults(write_error=0.03, sync_error=0.03, no_space=0.02, out_of_order=0.5)


def sections_of(ref: SnapshotRef) -> list[Section]:
    return sample(ref.index + ref.group % 97)


class World:
    """One node's snapshots through many lives. ``promised``: made and not deleted since, as far as was told."""

    def __init__(self, source: Random) -> None:
        self.source = source
        self.disk = Disk(source)
        files = self.disk.files()
        files.make_directory(NODE)
        files.sync_directory(NODE.parent)
        self.promised: set[SnapshotRef] = set()
        self.possible: set[SnapshotRef] = set()
        """Begun, or deleted as far as was told: may be there after a crash."""
        self.harmed: set[SnapshotRef] = set()
        self.next_index = dict.fromkeys(GROUPS, 1)
        other = SnapshotStore(MemoryFolder(), max_body=SMALL)
        other.load()
        self.other = other
        self.begin_life()

    def begin_life(self) -> None:
        self.disk.faults = GOOD
        self.disk.on_step = None
        folder = SystemFolder(self.disk.files(), NODE / "snapshots")
        self.store = SnapshotStore(folder, max_body=SMALL, sync_bytes=self.source.choice([1, 150, 10_000]))
        self.store.load()
        found = {ref for group in GROUPS for ref in self.store.refs(group)}
        assert self.promised <= found
        assert found <= self.promised | self.possible
        self.promised = found
        for ref in found:
            self.check(ref)
            self.next_index[ref.group] = max(self.next_index[ref.group], ref.index + 1)
        self.writers: dict[int, SnapshotWriter] = {}
        self.receivers: dict[int, SnapshotReceiver] = {}
        self.disk.faults = BAD if self.source.random() < 0.5 else GOOD

    def check(self, ref: SnapshotRef) -> None:
        """It is whole, or known to be harmed and refused."""
        if ref in self.harmed:
            with pytest.raises(SnapshotDamaged):
                complete(self.store.verify(ref))
        else:
            complete(self.store.verify(ref))
            assert contents(self.store, ref) == sections_of(ref)

    def new_ref(self, group: int) -> SnapshotRef:
        index = self.next_index[group] + self.source.randrange(3)
        self.next_index[group] = index + 1
        ref = SnapshotRef(group, index, 1)
        self.possible.add(ref)
        receiver = self.receivers.get(group)
        return self.new_ref(group) if receiver is not None and receiver.file.ref == ref else ref

    # --- what may happen

    def write_one(self) -> None:
        group = self.source.choice(GROUPS)
        if group not in self.writers:
            ref = self.new_ref(group)
            self.promised.add(write(self.store, ref, sections_of(ref)).ref)

    def begin_one(self) -> None:
        group = self.source.choice(GROUPS)
        if group not in self.writers:
            self.writers[group] = writer = self.store.begin(self.new_ref(group))
            for header, data in sections_of(writer.ref):
                writer.section(header)
                writer.write(data)

    def end_one(self) -> None:
        if self.writers:
            writer = self.writers.pop(self.source.choice(sorted(self.writers)))
            if self.source.random() < 0.3:
                writer.abort()
            else:
                self.promised.add(writer.commit().ref)

    def receive(self) -> None:
        group = self.source.choice(GROUPS)
        receiver = self.receivers.pop(group, None)
        if receiver is None:
            busy = self.writers.get(group)
            ref = self.new_ref(group) if self.source.random() < 0.5 else SnapshotRef(group, self.next_index[group], 1)
            self.possible.add(ref)
            if busy is not None and busy.ref == ref:
                return
            if ref not in self.other.refs(group):
                write(self.other, ref, sections_of(ref))
            reader = self.other.open(ref)
            receiver = complete(self.store.receive(reader.file))
            reader.close()
        data = raw(self.other, receiver.file.ref)
        receiver.write(data[receiver.position : receiver.position + self.source.randrange(400)])
        fate = self.source.random()
        if receiver.position == receiver.file.size:
            self.promised.add(complete(receiver.finish()).ref)
            self.next_index[group] = max(self.next_index[group], receiver.file.ref.index + 1)
        elif fate < 0.2:
            receiver.abort()
        elif fate < 0.5:
            receiver.close()
        else:
            self.receivers[group] = receiver

    def retain(self) -> None:
        group, count = self.source.choice(GROUPS), self.source.choice([1, 2, 2, 2, 3])
        before = self.store.refs(group)
        try:
            cut = complete(self.store.retain(group, count))
        finally:
            gone = set(before) - set(self.store.refs(group))
            self.promised -= gone
            self.possible |= gone
        whole = [ref for ref in before if ref not in self.harmed]
        assert cut == (whole[count - 1] if len(whole) >= count else None)
        assert self.store.refs(group) == tuple(ref for ref in before if cut is None or ref >= cut)

    def harm(self) -> None:
        there = sorted(self.promised - self.harmed)
        if there:
            ref = self.source.choice(there)
            path = NODE / "snapshots" / whole_name(ref)
            self.disk.flip_bit(path)
            self.harmed.add(ref)
            with pytest.raises(SnapshotDamaged):
                complete(self.store.verify(ref))

    def look(self) -> None:
        for ref in self.promised:
            self.check(ref)

    def end_life(self) -> None:
        """At once, or in the place of some step that is still to come."""
        if self.source.random() < 0.5:
            self.fail()
            return
        at = self.disk.steps + self.source.randrange(30)

        def on_step(operation: str) -> None:
            if self.disk.steps >= at:
                raise PowerFailure

        self.disk.on_step = on_step

    def fail(self) -> None:
        if self.source.random() < 0.5:
            self.disk.kill()
        else:
            self.disk.power_failure()
        self.begin_life()


@pytest.mark.parametrize("run", range(12))
def test_random_lives(seed: int, run: int) -> None:
    source = Random(seed + run)
    world = World(source)
    weights: dict[Callable[[], None], int] = {
        world.write_one: 6,
        world.begin_one: 3,
        world.end_one: 4,
        world.receive: 12,
        world.retain: 6,
        world.harm: 1,
        world.look: 2,
        world.end_life: 2,
    }
    errors = 0
    for happens in source.choices(list(weights), list(weights.values()), k=400):
        try:
            happens()
        except PowerFailure:
            world.fail()
        except SnapshotDamaged:
            raise
        except SnapshotFailed:
            refused, errors = world.disk.errors - errors, world.disk.errors
            assert refused > 0
        world.writers = {group: writer for group, writer in world.writers.items() if group in world.store._writing}
    world.fail()
    world.look()
