"""The store in memory: the same contract, over a MemoryDisk that outlives it.

For tests and the simulator: what a store has reported durable is on its disk and survives ``crash()``; what was
still under way is not, unless the test says so. With a clock, writes complete after a delay, as on a real disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftcore.base.conflict import Conflict
from raftcore.base.errors import Unavailable
from raftcore.values.message import Entries, HardState, Message, Snapshot
from raftcore.values.storage_view import InitialState
from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import StorageDamaged, StorageFailed, StorageLocked, UnknownGroup, WrongIdentity
from raftpy.contracts.storage import AppendBatch
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.storage.identity import (
    boot_after,
    initial_state,
    named_groups,
    new_store_id,
    reported_groups,
    resolve_cluster_id,
)
from raftpy.storage.records import (
    CONF_CHANGE_KINDS,
    Index,
    Plan,
    by_group,
    compacts,
    gather,
    needs_writing,
    placeholder,
)
from raftpy.storage.snapshots.memory import MemoryFolder
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.entropy import SystemEntropy
from raftpy.system.forking import process_id


class MemoryGroup:
    """One group's part of a :class:`MemoryDisk`: what is durable of it. Tests may read it, and change the first two."""

    def __init__(self, voters: tuple[int, ...] = ()) -> None:
        self.hard_state = HardState()
        self.conflict: Conflict | None = None
        self.voters = voters
        self.index = Index()
        self.prev_term = 0  # of the last entry that was compacted
        self.held: HardState | None = None  # a commit index that waits, not durable, to ride in the next batch
        self.compact_to = 0  # likewise, what is up to here is to go
        self._records: dict[int, Entries] = {}

    def plan(self, appends: Sequence[Message]) -> Plan:
        """What these appends have to do here."""
        return Plan(appends, self.index.prev, self.index.last)

    def hold(self, plan: Plan) -> None:
        """Keeps the plan's hard state in mind until something is written."""
        newest = plan.newest
        if newest is not None:
            self.held = HardState(newest.term, newest.vote, newest.commit)

    def carry_out(self, plan: Plan) -> None:
        """Writes what is held, and the plan's entries."""
        index = self.index
        self.hard_state = self.held or self.hard_state
        if plan.snapshot is not None:
            self._install(plan.snapshot)
        if plan.cut:
            doomed, through = index.cut(plan.cut)
            for first in doomed:
                del self._records[first]
            if through is not None:
                self._records[through] = self._records[through].slice(through, plan.cut)
            index.truncate(plan.cut)
        if self.compacting:
            self._compact(self.compact_to)
        for entries in plan.staged:
            self._records[entries.first] = entries
            index.firsts.append(entries.first)
            index.last = entries.last

    @property
    def compacting(self) -> bool:
        """Whether a compaction waits for a batch to be written with."""
        return self.compact_to > self.index.prev

    def _install(self, snapshot: Snapshot) -> None:
        self._records = {snapshot.index: placeholder(snapshot)}
        self.index.install(snapshot.index)
        self.prev_term = snapshot.term

    def _compact(self, to: int) -> None:
        index = self.index
        if to > index.last:
            raise StorageFailed(f"compacted up to {to}, and entries are replaced from {index.last + 1} on")
        self.prev_term = self._records[index.span(index.position(to))[0]].slice(to, to + 1).first_term
        for first in index.compact(to):
            del self._records[first]

    def forget_held(self) -> None:
        """What waits for a batch is gone with the store that it was given to."""
        self.held = None
        self.compact_to = 0

    def write_held_commit(self) -> None:
        """Writes what is held, at a clean close."""
        if self.held is not None:
            self.hard_state = self.held
            self.held = None

    def read(self, lo: int, hi: int, max_bytes: int) -> Entries:
        """See ``GroupLog.entries``."""
        records = self._records
        return gather(self.index, lo, hi, max_bytes, lambda first, _last: records[first])

    def initial_state(self) -> InitialState:
        """Where the group's core starts from."""
        runs: list[tuple[int, int]] = []
        changes: list[int] = []
        time_ms = 0
        begins = self.index.prev + 1
        for first in self.index.firsts:
            for run_first, count, term, kind, time_ms in self._records[first].runs():  # noqa: B007
                if run_first + count > begins and (not runs or runs[-1][1] != term):
                    runs.append((max(run_first, begins), term))
                if kind in CONF_CHANGE_KINDS:
                    changes += range(max(run_first, begins), run_first + count)
        kept, conflict = self.hard_state, self.conflict
        state = HardState(kept.term, kept.vote, max(kept.commit, self.index.prev))
        return initial_state(state, self.voters, self.index, runs, time_ms, conflict, self.prev_term, changes)


class MemoryDisk:
    """What is durable, in ``groups`` by group id, plus the faults a test can put in.

    ``fault``: when set, the next write of any store on this disk fails with this text and its handle is dead.
    ``damaged``: when set, opening raises ``StorageDamaged`` with this text. ``snapshots`` has the files of snapshots.
    """

    def __init__(self, name: str = "memory", entropy: Entropy | None = None) -> None:
        self.name = name
        self.fault: str | None = None
        self.damaged: str | None = None
        self._entropy: Entropy = entropy or SystemEntropy()
        self._holder: MemoryStore | None = None
        self._erase()

    def _erase(self) -> None:
        self.node_id = 0
        self.store_id = 0
        self.boot = 0
        self.cluster_id = 0
        self.members: dict[int, str] = {}
        self.pins: dict[int, int] = {}
        self.groups = {0: MemoryGroup()}
        self.snapshots = MemoryFolder(f"{self.name}/snapshots", lambda: self.fault)

    def crash(self, surviving: int = 0) -> None:
        """The machine loses power: the store on this disk is gone, and with it what was not durable yet.

        ``surviving``: how many of the submits that were under way had reached the disk all the same, in order.
        """
        if self._holder is not None:
            self._holder._die(surviving)
            self._holder = None
        for group in self.groups.values():
            group.forget_held()
        self.snapshots = self.snapshots.after_crash()

    def erase(self) -> None:
        """The disk is replaced by an empty one. Raises ``StorageLocked`` while a store is open on it."""
        if self._holder is not None:
            raise StorageLocked(self.name, process_id(), "this process", self.node_id)
        self._erase()

    def _write(self, batch: AppendBatch) -> None:
        planned: list[tuple[MemoryGroup, Plan]] = []
        for group_id, appends in by_group(batch):
            group = self.groups.get(group_id)
            if group is None:
                raise StorageFailed(f"appends for group {group_id}, which the store {self.name} does not know")
            planned.append((group, group.plan(appends)))
        due = [(group, plan) for group, plan in planned if plan.must_write or group.compacting]
        if due and self.fault is not None:
            raise StorageFailed(f"writing to {self.name} failed: {self.fault}")
        for group, plan in planned:
            group.hold(plan)
        for group, plan in due:
            group.carry_out(plan)

    def _needs_writing(self, batch: AppendBatch) -> bool:
        """Whether anything of it, or of what waits for a batch of these groups, has to be written now."""
        return needs_writing(batch) or compacts(batch, self.groups)

    def _write_held_commits(self) -> None:
        """A clean close writes the commit indexes that were held back."""
        if self.fault is None:
            for group in self.groups.values():
                group.write_held_commit()


class MemoryGroupLog:
    """A ``GroupLog`` of an open :class:`MemoryStore`; ``check`` raises once that is not open, or has failed."""

    def __init__(self, group: MemoryGroup, check: Callable[[], None]) -> None:
        self._group = group
        self._check = check

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        self._check()
        return self._group.read(lo, hi, max_bytes)

    def snapshot(self) -> Snapshot:
        self._check()
        return Snapshot()

    def compact(self, index: int) -> None:
        self._check()
        if index > self._group.index.last:
            raise Unavailable
        self._group.compact_to = max(self._group.compact_to, index)

    def quarantine(self, conflict: Conflict) -> None:
        self._check()
        self._group.conflict = conflict


class MemoryStore:
    """A ``Storage`` on a :class:`MemoryDisk`.

    ``clock`` and ``delay_s``: when both are given, ``submit`` returns False and completes that much later; what is
    submitted meanwhile is written together, in the next batch.
    """

    def __init__(self, disk: MemoryDisk, clock: Clock | None = None, delay_s: float = 0.0) -> None:
        self._disk = disk
        self._clock = clock if delay_s > 0 else None
        self._delay_s = delay_s
        self._state = "new"
        self._failure: StorageFailed | None = None
        self._callback: Callable[[AppendBatch], None] | None = None
        self._on_failure: Callable[[StorageFailed], None] | None = None
        self._waiting: list[AppendBatch] = []
        self._writing: list[AppendBatch] = []
        self.snapshots = SnapshotStore(disk.snapshots)

    def open(self, identity: StoreOwner) -> Recovered:
        disk = self._disk
        named = named_groups(identity)
        if self._state != "new":
            raise StorageFailed(f"the store {disk.name} was opened before: make a new one to open it again")
        if disk._holder is not None:
            raise StorageLocked(disk.name, process_id(), "this process", disk.node_id)
        if disk.damaged is not None:
            raise StorageDamaged(disk.damaged, disk.name)
        if disk.store_id and disk.node_id != identity.node_id:
            raise WrongIdentity(f"the store {disk.name} belongs to node {disk.node_id}, not to node {identity.node_id}")
        if not disk.store_id:
            disk.node_id = identity.node_id
            disk.store_id = new_store_id(disk._entropy)
            disk.cluster_id = resolve_cluster_id(identity)
            disk.members = dict(identity.cluster)
            disk.groups[0].voters = tuple(sorted(disk.members))
        for group, voters in named.items():
            disk.groups.setdefault(group, MemoryGroup(voters))
        states = {group: disk.groups[group].initial_state() for group in sorted(disk.groups)}
        self.snapshots = SnapshotStore(disk.snapshots)  # of the disk as it is now
        self.snapshots.load()
        disk.boot = boot_after(disk.boot, disk._entropy)
        disk._holder = self
        for log in disk.groups.values():
            log.compact_to = 0  # of a store before, which was closed
        self._state = "open"
        return Recovered(
            store_id=disk.store_id,
            boot=disk.boot,
            cluster_id=disk.cluster_id,
            groups=reported_groups(states, named),
            members=dict(disk.members),
            pins=dict(disk.pins),
        )

    def set_completion(
        self,
        callback: Callable[[AppendBatch], None],
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        self._callback = callback
        self._on_failure = on_failure

    def submit(self, batch: AppendBatch) -> bool:
        self._check()
        if self._clock is None or self._callback is None:
            self._write([batch])
            return True
        if not self._writing:
            if not self._disk._needs_writing(batch):
                self._write([batch])
                return True
            self._begin([batch])
        else:
            self._waiting.append(batch)
        return False

    def group(self, group_id: int) -> MemoryGroupLog:
        self._check()
        group = self._disk.groups.get(group_id)
        if group is None:
            raise UnknownGroup(group_id)
        return MemoryGroupLog(group, self._check)

    def pin(self, node_id: int, store_id: int, *, replace: bool = False) -> None:
        self._check()
        if replace:
            self._disk.pins[node_id] = store_id
        known = self._disk.pins.setdefault(node_id, store_id)
        if known != store_id:
            raise WrongIdentity(
                f"node {node_id} has been known with store {known:016x}, and now comes with store {store_id:016x}"
            )

    def close(self) -> None:
        if self._state != "open":
            self._state = "closed"
            return
        if self._failure is None:
            under_way = self._writing + self._waiting
            self._writing, self._waiting = [], []
            try:
                self._write(under_way)
                self._disk._write_held_commits()
            except StorageFailed:
                pass  # close has nobody to tell; nothing of it was reported durable
        self._state = "closed"
        if self._disk._holder is self:
            self._disk._holder = None

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._state != "open":
            raise StorageFailed(f"the store {self._disk.name} is not open")

    def _write(self, submits: list[AppendBatch]) -> None:
        try:
            self._disk._write([part for batch in submits for part in batch])
        except StorageFailed as error:
            self._failure = error
            raise

    def _begin(self, submits: list[AppendBatch]) -> None:
        assert self._clock is not None
        self._writing = submits
        self._clock.call_later(self._delay_s, self._finish)

    def _finish(self) -> None:
        if self._state != "open" or self._failure is not None:
            return
        done = self._writing
        self._writing = []
        try:
            self._write(done)
        except StorageFailed as error:
            if self._on_failure is not None:
                self._on_failure(error)
            return
        # The next batch starts before anyone is told: what the callbacks submit waits for the one after it.
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._begin(waiting)
        assert self._callback is not None
        for batch in done:
            if self._state != "open":
                return
            self._callback(batch)

    def _die(self, surviving: int) -> None:
        under_way = self._writing + self._waiting
        self._writing, self._waiting = [], []
        if self._failure is None:
            for batch in under_way[:surviving]:
                self._disk._write(batch)
        self._failure = StorageFailed(f"the store {self._disk.name} has crashed")
