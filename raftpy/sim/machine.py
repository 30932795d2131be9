"""The state machines of a simulated node: the shipped key-value store, and a note of what was applied.

Machine, BatchMachine                 give out no state
MemoryMachine, BatchMemoryMachine     give it out and take it back
DiskMachine, BatchDiskMachine         keep it on the disk of their node as well (durable_state.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from raftcore.wire.codec import crc32c
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.executor import Executor
from raftpy.contracts.files import Files
from raftpy.contracts.state_machine import SavedState, StateView
from raftpy.replicated.kv import KeyValueStore, Outcome
from raftpy.sim.durable_state import DurableState
from raftpy.sim.plan import Plan, SnapshotLoad
from raftpy.sim.process import Process

PIECES = 4
"""In so many pieces, or one more, a small view is written."""


class Machine:
    """One replica in one life of a node."""

    def __init__(self) -> None:
        self.store = KeyValueStore()
        self.on_applied: Callable[[int, Sequence[bytes]], object] = _nothing
        """Told of each batch: first index, commands."""

    def apply(self, index: int, command: bytes) -> Any:
        """See ``StateMachine.apply``."""
        self.on_applied(index, [command])
        return self.store.apply(index, command)

    def fingerprint(self) -> int:
        """Equal for equal states."""
        text = bytearray()
        for item in self.store.scan(limit=1 << 30)[0]:
            stored = self.store.get(item.key)
            assert stored is not None
            text += b"%d %d %d " % (item.version, len(item.key), len(stored.value)) + item.key + stored.value
        return crc32c(bytes(text))


class BatchMachine(Machine):
    """One that takes many commands at once."""

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Outcome]:
        """See ``BatchStateMachine.apply_batch``."""
        commands = list(commands)
        self.on_applied(first_index, commands)
        return self.store.apply_batch(first_index, commands)


class MemoryMachine(Machine):
    """One that gives out its state and takes it back. ``load`` says how, ``process`` is whose time it takes."""

    state_version = KeyValueStore.state_version
    """See ``InMemoryStateMachine``."""

    def __init__(self, load: SnapshotLoad, process: Process) -> None:
        super().__init__()
        self.process = process
        self._load = load
        self.restored = False
        """It has the state of a snapshot, and what came after."""
        self.on_restoring: Callable[[], object] = _nothing
        """Told before the state of a snapshot is taken over."""
        self.on_restored: Callable[[], object] = _nothing
        """Told once the state of a snapshot was taken over."""

    def capture(self) -> StateView:
        """See ``InMemoryStateMachine``."""
        return View(self.store.capture(), self._load, self.process)

    def restore(self, saved: SavedState) -> None:
        """See ``InMemoryStateMachine``."""
        self.on_restoring()
        self.store.restore(saved)
        self.restored = True
        self.on_restored()


class BatchMemoryMachine(MemoryMachine, BatchMachine):
    """The same, which takes many commands at once."""


class DiskMachine(MemoryMachine):
    """One that keeps its state in ``state`` too: whenever it is asked to sync, and now and then by itself, in a thread
    of ``executor`` and by the draws of ``source``."""

    def __init__(
        self, load: SnapshotLoad, process: Process, state: DurableState, executor: Executor, source: Random
    ) -> None:
        super().__init__(load, process)
        self.state = state
        self._executor = executor
        self._source = source
        self._saving = False
        if state.index:
            self.store.restore(_Saved(state.data))

    def apply(self, index: int, command: bytes) -> Any:
        """See ``StateMachine.apply``."""
        result = super().apply(index, command)
        self.maybe_save()
        return result

    def maybe_save(self) -> None:
        """Some commands were applied: now and then it saves what there is."""
        if not self._saving and self._source.random() < self._load.saved:
            self._saving = True
            index, data = self.store.applied_index, self._bytes()
            self._executor.start("machine", lambda: self._save(index, data))

    def _save(self, index: int, data: bytes) -> None:
        try:
            self.state.save(index, data)
        except OSError:
            pass  # another time: what was durable is
        finally:
            self._saving = False

    def _bytes(self) -> bytes:
        return written_state(self.store)

    def applied_index(self) -> int:
        """See ``OnDiskStateMachine``."""
        return self.store.applied_index

    def sync(self) -> int:
        """See ``OnDiskStateMachine``. Raises ``OSError`` as its disk does."""
        return self.state.save(self.store.applied_index, self._bytes())

    def restore(self, saved: SavedState) -> None:
        """See ``OnDiskStateMachine``. Raises ``StorageFailed`` where its disk fails."""
        self.on_restoring()
        try:
            self.state.clear()
            self.store.restore(saved)
            self.state.save(self.store.applied_index, self._bytes())
        except OSError as error:
            raise StorageFailed(f"a state machine could not be restored: {error}") from error
        self.restored = True
        self.on_restored()


class BatchDiskMachine(DiskMachine, BatchMachine):
    """The same, which takes many commands at once."""

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Outcome]:
        """See ``BatchStateMachine.apply_batch``."""
        results = super().apply_batch(first_index, commands)
        self.maybe_save()
        return results


class View:
    """A ``StateView`` that gives the bytes of another one in pieces, each of which takes its time."""

    def __init__(self, view: StateView, load: SnapshotLoad, process: Process) -> None:
        self.writes_in_thread = load.in_thread
        """See ``StateView``."""
        self._view = view
        self._piece_s = load.piece_s
        self._process = process

    def write(self) -> Iterator[bytes]:
        """See ``StateView``."""
        for chunk in self._view.write():
            step = max(1, len(chunk) // PIECES)
            for at in range(0, len(chunk), step):
                self._process.spent += self._piece_s
                yield bytes(chunk[at : at + step])

    def close(self) -> None:
        """See ``StateView``."""
        self._view.close()


class _Saved:
    """A ``SavedState`` of bytes."""

    version = KeyValueStore.state_version

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data
        self._at = 0

    def read(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]


def new_machine(plan: Plan, group: int, process: Process, files: Files, executor: Executor, source: Random) -> Machine:
    """The state machine of a group in one life of a node. ``source``: for when one on disk saves its state."""
    load, one_by_one = plan.snapshots, plan.one_by_one
    if load.machine == "none":
        return Machine() if one_by_one else BatchMachine()
    if load.machine == "memory":
        return MemoryMachine(load, process) if one_by_one else BatchMemoryMachine(load, process)
    state = DurableState(files, group, executor.lock)
    return (DiskMachine if one_by_one else BatchDiskMachine)(load, process, state, executor, source)


def written_state(store: KeyValueStore) -> bytes:
    """All that a view of the store writes."""
    view = store.capture()
    try:
        return b"".join(view.write())
    finally:
        view.close()


def _nothing(*arguments: object) -> None:
    """Nobody looks."""
