"""What must hold of the snapshots of a simulated cluster, looked at where they are made, kept, and started from.

    one state at each index    the bytes of a snapshot are those of a machine that was given the log up to there, and
                               the same on every node, with configuration, log time and member table
    durable when it says so    what a node has reported is there after any crash, unless its disk was harmed
    the log reaches it         it is cut only where the newest two are whole and durable, not beyond the older of them,
                               and not beyond what a machine on disk has synced
    a state within the log     a machine that is restored while its node runs gets that of an entry that its log has
    the newest whole one       a node starts without a state only where none that is whole reaches its log
    applied is committed       so a start counts what its machine has applied, and what a snapshot of its log has
    nothing left behind        of one that a crash cut off, or that failed, no file is there after a start

Files are read as they are on the disk, past the store and its own memory of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any, Protocol

from raftcore.wire.codec import crc32c
from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.files import Data
from raftpy.contracts.snapshots import (
    KEPT,
    CheckedSnapshot,
    SnapshotFile,
    SnapshotReader,
    SnapshotReceiver,
    SnapshotRef,
    SnapshotWriter,
    Steps,
    complete,
)
from raftpy.contracts.typed import TypeHeader
from raftpy.replicated.kv import KeyValueStore
from raftpy.runtime.sections import STATE
from raftpy.sim import faults
from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.sim.data_directory import DIRECTORY
from raftpy.sim.disk.contents import Contents
from raftpy.sim.disk.directory import Directory
from raftpy.sim.disk.files import Disk
from raftpy.sim.forged import of_another_state
from raftpy.sim.machine import DiskMachine, MemoryMachine, written_state
from raftpy.storage.leveldb.store import SNAPSHOTS
from raftpy.storage.snapshots.checking import check_all
from raftpy.storage.snapshots.names import is_writing, receiving_file, whole_name, whole_ref
from raftpy.storage.snapshots.reader import Sections
from raftpy.storage.snapshots.store import SnapshotStore

FOLDER = PurePath(DIRECTORY, SNAPSHOTS)


class Commands(Protocol):
    """The history of a group (``glance.GroupHistory``), as far as it is needed here."""

    @property
    def commands(self) -> dict[int, bytes]:
        """Index to the command that was applied there."""
        ...


class Reference:
    """A state machine that is given the commands of a group as the log has them, and never starts again."""

    def __init__(self, history: Commands) -> None:
        self._history = history
        self._store, self._at = KeyValueStore(), 0
        self._states: dict[int, int] = {}

    def checksum(self, index: int) -> int:
        """Of the bytes of its state after the entry at ``index``."""
        if index not in self._states:
            if index < self._at:
                self._store, self._at = KeyValueStore(), 0
            commands = self._history.commands
            for at in sorted(at for at in commands if self._at < at <= index):
                self._store.apply(at, commands[at])
            self._at = index
            self._states[index] = crc32c(written_state(self._store))
        return self._states[index]


class SnapshotChecks:
    """Of one cluster, whose groups have these histories."""

    def __init__(self, cluster: Cluster, histories: list[Any]) -> None:
        self._cluster = cluster
        self._references = [Reference(history) for history in histories]
        self._files: dict[tuple[int, int], SnapshotFile] = {}  # (group, index): as it was first taken
        self._reported: dict[tuple[int, int], int] = {}  # (node, group): the newest that it has reported
        cluster.watch_snapshots = self.watch
        cluster.on_restoring = self.restoring
        cluster.on_restored = self.restored
        cluster.on_snapshot = self.reported

    def watch(self, member: Member, life: Life) -> None:
        """A life of a node begins: whatever it does to its snapshots is seen here."""
        storage: Any = life.storage
        storage.snapshots._max_body = self._cluster.plan.snapshots.block_bytes or storage.snapshots._max_body
        storage.snapshots = WatchedSnapshots(self, member, life, storage.snapshots)
        for group, machine in life.machines.items():
            if isinstance(machine, DiskMachine) and machine.store.applied_index:
                self.restored(life, group)

    def _found(self, check: str, life: Life, text: str) -> None:
        self._cluster.found(check, f"node {life.process.node}: {text}")

    # --- One that is made ---------------------------------------------------------------------------------------

    def begins(self, member: Member, life: Life, ref: SnapshotRef) -> None:
        """A snapshot is begun: the faults that were to come then come."""
        if not self._cluster.healed:
            self._befall(member, life)
        self._cluster.world.event(member.node, "snapshot", "begins", ref.index, ref.group)

    def _befall(self, member: Member, life: Life) -> None:
        if member.die_in_snapshot_at is not None:
            member.die_at, member.die_in_snapshot_at = member.die_in_snapshot_at, None
            self._cluster.reached("a process was to die while it wrote a snapshot")
        if member.failing_snapshot and not life.snapshot_fails:
            life.snapshot_fails, member.failing_snapshot = member.failing_snapshot, ""
            faults.bad_for_snapshot(self._cluster, member.node, life.snapshot_fails, True)

    def ended(self, life: Life) -> None:
        """One has been made, or has failed, or its process has ended."""
        if life.snapshot_fails:
            faults.bad_for_snapshot(self._cluster, life.process.node, life.snapshot_fails, False)
            life.snapshot_fails = ""

    def fails(self, life: Life, error: SnapshotFailed) -> None:
        """It could not be made."""
        text = str(error)
        if "No space left" in text:
            self._cluster.reached("no room for a snapshot")
        elif "Input/output" in text:
            self._cluster.reached("a snapshot failed with its disk")
        self.ended(life)

    def committed(self, member: Member, life: Life, file: SnapshotFile, begun_at: int) -> None:
        """The node takes it for durable: so it is, and it is what it must be."""
        ref, group = file.ref, file.ref.group
        self.ended(life)
        self._cluster.world.event(member.node, "snapshot", "made", ref.index, group)
        if life.applied.get(group, 0) > begun_at:
            self._cluster.reached("commands were applied while a snapshot was written")
        whole = durable(member.disk, group)
        if ref not in whole or whole[ref].file != file:
            self._found("snapshots are durable", life, f"that of {ref} was committed, and is not there, durably")
            return
        if not member.trusted:
            return
        first = self._files.setdefault((group, ref.index), file)
        if first != file:
            self._found(
                "one state at each index", life, f"its snapshot of {ref} is another one than that of {first.ref}"
            )
        if state_of(member.disk, ref) != self._references[group].checksum(ref.index):
            self._found("one state at each index", life, f"its snapshot of {ref} is not the state of the log there")

    def reported(self, life: Life, group: int, index: int) -> None:
        """``Node.snapshot`` has returned."""
        disk = self._cluster.members[life.process.node].disk
        newest = max((ref.index for ref in durable(disk, group)), default=0)
        if newest < index:
            self._found("snapshots are durable", life, f"said that one of {index} is there: the newest is of {newest}")
        key = life.process.node, group
        self._reported[key] = max(self._reported.get(key, 0), index)

    def retained(self, member: Member, life: Life, group: int, there: int, oldest: SnapshotRef | None) -> None:
        """Of ``there`` snapshots some were deleted, and the log may be cut behind ``oldest``; None: not at all."""
        if oldest is None:
            if there >= KEPT:
                self._cluster.reached("a cut was refused, the oldest snapshot was damaged")
            return
        names = [ref for ref in map(whole_ref, _names(member.disk)) if ref is not None and ref.group == group]
        kept = [ref for ref in sorted(durable(member.disk, group), reverse=True) if ref >= oldest]
        if len(kept) < _needed(member) or kept[-1] != oldest or min(names) < oldest:
            what = f"of {sorted(names)} those of {[ref.index for ref in kept]} are whole"
            self._found("the newest are kept", life, f"the log may be cut behind {oldest}, and {what}")
        if there > len(names):
            self._cluster.reached("an old snapshot was deleted")

    # --- From node to node --------------------------------------------------------------------------------------

    def receives(self, member: Member, life: Life, file: SnapshotFile, position: int) -> None:
        """It begins to receive a snapshot, or goes on behind ``position``."""
        self._cluster.world.event(member.node, "snapshot", "comes", file.ref.index, file.ref.group)
        if position:
            self._cluster.reached("a snapshot was received from where it had stopped")
            if position < file.size:
                self._cluster.reached("a snapshot was received from the middle on")
            if self._newest_offered(file.ref.group) > file.ref.index:
                self._cluster.reached("a snapshot was gone on with, though its leader had a newer one")
        if member.die_in_fetch_at is not None and not self._cluster.healed:
            member.die_at, member.die_in_fetch_at = member.die_in_fetch_at, None
            self._cluster.reached("a process was to die while it received a snapshot")

    def has_come(self, member: Member, file: SnapshotFile, position: int) -> None:
        """So much of a snapshot is there."""
        half_way = member.die_half_way_at
        if half_way is None or self._cluster.healed or position >= file.size or 100 * position < half_way * file.size:
            return
        member.die_at, member.die_half_way_at = 1, None
        self._cluster.reached("a process was to die half way through a snapshot that it received")

    def _newest_offered(self, group: int) -> int:
        leader = self._cluster.leader(group)
        life = None if leader is None else self._cluster.members[leader].life
        newest = None if life is None else life.groups[group].view.newest
        return 0 if newest is None else newest.index

    def received(self, member: Member, life: Life, file: SnapshotFile) -> None:
        """All of it is here, durably."""
        self._cluster.reached("a snapshot was received")
        self.committed(member, life, file, life.applied.get(file.ref.group, 0))

    def gives(self, member: Member, data: bytes) -> bytes:
        """It gives these bytes of a snapshot to another node, or others."""
        cluster = self._cluster
        if cluster.healed or not data:
            return data
        if member.die_giving_at is not None:
            count, member.die_giving_at = member.die_giving_at, None
            cluster.reached("a process was to die while it gave a snapshot to another")
            cluster.crash_in_calls(member.node, count, member.down_s)
        if member.wrong_chunks:
            member.wrong_chunks -= 1
            cluster.reached("a snapshot came with a bit turned over")
            at = len(data) // 2
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        return data

    def gives_another(self, member: Member) -> bool:
        """Whether what it gives from here on is another snapshot than it says."""
        if not member.other_bytes or self._cluster.healed:
            return False
        member.other_bytes = False
        self._cluster.reached("a snapshot came with other bytes of the same size")
        return True

    # --- A start ------------------------------------------------------------------------------------------------

    def begins_to_load(self, member: Member, life: Life) -> None:
        """A store is about to look for what is there."""
        if any(is_writing(name) for name in _names(member.disk)):
            self._cluster.reached("a snapshot was abandoned by a crash")
        if not member.trusted or member.disk.harm:
            return
        for (node, group), index in self._reported.items():
            newest = max((ref.index for ref in durable(member.disk, group)), default=0)
            if node == member.node and newest < index:
                self._found("snapshots are durable", life, f"one of {index} was there, and the newest is of {newest}")

    def loaded(self, member: Member, life: Life) -> None:
        """A store has found what is there."""
        names = _names(member.disk)
        begun = [file.ref.group for file in map(receiving_file, names) if file is not None]
        left = [name for name in names if is_writing(name)]
        if left or len(set(begun)) < len(begun):
            self._found("nothing of a snapshot is left", life, f"after its start there is {sorted(names)}")

    def restoring(self, member: Member, life: Life) -> None:
        """A machine is about to take over the state of a snapshot."""
        if life.started and member.die_in_restore_at is not None and not self._cluster.healed:
            count, member.die_in_restore_at = member.die_in_restore_at, None
            self._cluster.reached("a process was to die while its machine was restored")
            if self._cluster.plan.snapshots.machine == "disk":
                member.die_at = count
            else:
                self._cluster.crash_in_calls(member.node, count, member.down_s)

    def restored(self, life: Life, group: int) -> None:
        """A machine has a state that it was not given command by command."""
        if life.started:
            self._cluster.reached("a follower was brought up by a snapshot")
            if group:
                self._cluster.reached("a group behind the first was brought up by a snapshot")
        machine = life.machines[group]
        index = life.applied[group] = machine.store.applied_index
        if life.started and index > life.groups[group].raw.last_index:
            self._found("a state within the log", life, f"gets the state of {index}, and its log ends before that")
        if not self._cluster.members[life.process.node].trusted:
            return
        if crc32c(written_state(machine.store)) != self._references[group].checksum(index):
            self._found(
                "one state at each index", life, f"begins group {group} with another state than that of {index}"
            )

    def started(self, life: Life) -> None:
        """A node has started."""
        reached = self._cluster.reached
        driver: Any = life.host.driver
        driver.fetching._chunk_bytes = self._cluster.plan.snapshots.chunk_bytes or driver.fetching._chunk_bytes
        for group, running in life.groups.items():
            began, machine = running.snapshots.newest, life.machines[group]
            if not isinstance(machine, MemoryMachine):
                continue
            self._look_at_the_beginning(life, group)
            if began:
                reached("a node started from a snapshot")
                if any(ref.group == group and ref.index > began for ref in life.damaged_snapshots):
                    reached("an older snapshot was used")
            if isinstance(machine, DiskMachine) and not machine.restored:
                if machine.store.applied_index > began > 0:
                    reached("a machine on disk was ahead of the snapshot")
                elif began:
                    reached("a machine on disk stood at its snapshot")
            elif isinstance(machine, DiskMachine) and machine.state.index:
                reached("a machine on disk was restored from a snapshot")

    def _look_at_the_beginning(self, life: Life, group: int) -> None:
        # What the system lacked the descriptors to read says nothing.
        member, running = self._cluster.members[life.process.node], life.groups[group]
        if not member.trusted or member.disk.lacked > life.lacked_before:
            return
        raw = running.raw
        reached = [ref for ref in durable(member.disk, group) if raw.first_index - 1 <= ref.index <= raw.last_index]
        whole = [ref.index for ref in reached if raw.term_at(ref.index) == ref.term]
        if whole and running.lacks_state:
            self._found("the newest whole one", life, f"starts without a state, and has whole ones of {whole}")
        known = max([life.applied.get(group, 0), *whole])
        if raw.commit_index < known:
            text = f"starts with commit index {raw.commit_index}, and {known} was applied"
            self._found("applied is committed", life, text)

    # --- The log ------------------------------------------------------------------------------------------------

    def cut(self, member: Member, life: Life, group: int, begins: int, first_look: bool) -> None:
        """The durable log begins behind entry ``begins`` now. ``first_look``: as a start has found it."""
        self._cluster.world.event(member.node, "cut", begins, group)
        self._cluster.reached("a log was cut")
        if not member.trusted or (first_look and member.disk.harm):
            return
        kept = [ref for ref in durable(member.disk, group) if ref.index >= begins]
        if begins in (ref.index for ref in kept) and (first_look or life.groups[group].applying.applied < begins):
            return  # it has come from another node, in place of the log
        if len(kept) < _needed(member):
            at = [ref.index for ref in kept]
            self._found("the log reaches a snapshot", life, f"cut at {begins}, and whole and durable are those of {at}")
        machine = life.machines[group]
        if isinstance(machine, DiskMachine) and not first_look and machine.state.durable < begins:
            synced = machine.state.durable
            self._found("the log reaches the machine", life, f"cut at {begins}, and its machine has synced {synced}")


def unrest(member: Member, life: Life, group: int) -> str | None:
    """What is still kept of a snapshot, though nothing happens any more; None: nothing."""
    snapshots: Any = life.groups[group].snapshots
    if life.groups[group].installing.offer is not None:
        return "a snapshot of another node is on its way"
    if life.groups[group].lacks_state:
        return "it has no state"
    assert life.host.driver is not None
    if life.host.driver.fetching._under_way:
        return "a snapshot is being fetched"
    if snapshots._busy() or snapshots._writer is not None or snapshots._view is not None:
        return "a snapshot is under way"
    if life.groups[group].installing.offer is not None:
        return "a snapshot that takes the place of the log"
    if member.disk.errors == life.errors_before and any(is_writing(name) for name in _names(member.disk)):
        return "a file that a snapshot was written to"
    return None


# --- As it is on the disk -----------------------------------------------------------------------------------------


def _needed(member: Member) -> int:
    """How many whole ones stand for the beginning of a log: of those kept only the oldest was read back, so a newer one
    that was harmed at rest may not be known as that yet."""
    return 1 if member.disk.harm else KEPT


def _names(disk: Disk) -> list[str]:
    folder = disk.find(FOLDER)
    return list(folder.names) if isinstance(folder, Directory) else []


def durable(disk: Disk, group: int) -> dict[SnapshotRef, CheckedSnapshot]:
    """The snapshots of a group that are whole, and would be after a power failure."""
    folder = disk.find(FOLDER)
    found: dict[SnapshotRef, CheckedSnapshot] = {}
    if not isinstance(folder, Directory):
        return found
    unsure = {name for change in folder.unsynced for name, _, _ in change.names}
    for name in folder.names:
        ref = whole_ref(name)
        if ref is not None and ref.group == group and name not in unsure:
            source = _Bytes(disk, ref)
            if not source.contents.unsynced and not source.contents.doubtful:
                try:
                    found[ref] = complete(check_all(source, ref))
                except SnapshotDamaged:
                    pass
    return found


def state_of(disk: Disk, ref: SnapshotRef) -> int | None:
    """Checksum of the machine's bytes in a snapshot."""
    sections = Sections(_Bytes(disk, ref), ref)
    while (header := sections.next()) is not None:
        if header.name == STATE:
            return crc32c(b"".join(sections.chunks()))
    return None


class _Bytes:
    """A file of a disk, as what blocks are read from."""

    def __init__(self, disk: Disk, ref: SnapshotRef) -> None:
        self.path = str(FOLDER / whole_name(ref))
        self.contents: Contents = disk.contents(FOLDER / whole_name(ref))

    def read_at(self, size: int, offset: int) -> bytes:
        return self.contents.read(offset, size)

    def size(self) -> int:
        return self.contents.size


# --- Between a node and its snapshots -----------------------------------------------------------------------------


class WatchedSnapshots:
    """The ``Snapshots`` of one life of a node, and what is done with them is told to the checks."""

    def __init__(self, checks: SnapshotChecks, member: Member, life: Life, snapshots: SnapshotStore) -> None:
        self._checks, self._member, self._life, self._snapshots = checks, member, life, snapshots

    def load(self, *, read_only: bool = False) -> None:
        """See ``SnapshotStore``."""
        self._checks.begins_to_load(self._member, self._life)
        self._snapshots.load(read_only=read_only)
        self._checks.loaded(self._member, self._life)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._snapshots, name)  # what nobody needs to hear of

    def begin(self, ref: SnapshotRef) -> SnapshotWriter:
        """See ``Snapshots``. Raises ``SnapshotFailed``."""
        applied = self._life.applied.get(ref.group, 0)
        self._checks.begins(self._member, self._life, ref)
        try:
            writer = self._snapshots.begin(ref)
        except SnapshotFailed as error:
            self._checks.fails(self._life, error)
            raise
        return WatchedWriter(self._checks, self._member, self._life, writer, applied)

    def open(self, ref: SnapshotRef) -> WatchedReader:
        """See ``Snapshots``."""
        return WatchedReader(self._checks, self._member, self._snapshots, self._snapshots.open(ref))

    def receive(self, offered: SnapshotFile) -> Steps[WatchedReceiver]:
        """See ``Snapshots``."""
        receiver = yield from self._snapshots.receive(offered)
        self._checks.receives(self._member, self._life, offered, receiver.position)
        return WatchedReceiver(self._checks, self._member, self._life, receiver)

    def verify(self, ref: SnapshotRef, known: Mapping[str, int] | None = None) -> Steps[CheckedSnapshot]:
        """See ``Snapshots``. Raises ``SnapshotDamaged``."""
        try:
            return (yield from self._snapshots.verify(ref, known))
        except SnapshotDamaged:
            self._life.damaged_snapshots.append(ref)
            raise

    def retain(self, group: int, *which: int) -> Steps[SnapshotRef | None]:
        """See ``Snapshots``."""
        there = len(self._snapshots.refs(group))
        oldest = yield from self._snapshots.retain(group, *which)
        self._checks.retained(self._member, self._life, group, there, oldest)
        return oldest


class WatchedReader:
    """A ``SnapshotReader``."""

    def __init__(
        self, checks: SnapshotChecks, member: Member, snapshots: SnapshotStore, reader: SnapshotReader
    ) -> None:
        self._checks, self._member, self._snapshots, self._reader = checks, member, snapshots, reader
        self._other = b""  # bytes that are given in place of its own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def read_range(self, offset: int, size: int) -> bytes:
        """See ``SnapshotReader``."""
        data = self._reader.read_range(offset, size)
        if data and self._checks.gives_another(self._member):
            with suppress(SnapshotDamaged):
                self._other = of_another_state(self._snapshots, self._reader.file.ref)
        return self._checks.gives(self._member, self._other[offset : offset + size] or data)


class WatchedReceiver:
    """A ``SnapshotReceiver``."""

    def __init__(self, checks: SnapshotChecks, member: Member, life: Life, receiver: SnapshotReceiver) -> None:
        self._checks, self._member, self._life, self._receiver = checks, member, life, receiver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receiver, name)

    def write(self, data: Data) -> None:
        """See ``SnapshotReceiver``."""
        self._receiver.write(data)
        self._checks.has_come(self._member, self._receiver.file, self._receiver.position)

    def finish(self) -> Steps[SnapshotFile]:
        """See ``SnapshotReceiver``."""
        file = yield from self._receiver.finish()
        self._checks.received(self._member, self._life, file)
        return file


class WatchedWriter:
    """A ``SnapshotWriter``; ``begun_at`` is what was applied when it was made."""

    def __init__(
        self, checks: SnapshotChecks, member: Member, life: Life, writer: SnapshotWriter, begun_at: int
    ) -> None:
        self.ref = writer.ref
        """See ``SnapshotWriter``."""
        self._checks, self._member, self._life = checks, member, life
        self._writer, self._begun_at = writer, begun_at

    def section(self, header: TypeHeader) -> None:
        """See ``SnapshotWriter``."""
        with _Told(self._checks, self._life):
            self._writer.section(header)

    def write(self, data: Data) -> None:
        """See ``SnapshotWriter``."""
        with _Told(self._checks, self._life):
            self._writer.write(data)

    def commit(self) -> SnapshotFile:
        """See ``SnapshotWriter``."""
        with _Told(self._checks, self._life):
            file = self._writer.commit()
        self._checks.committed(self._member, self._life, file, self._begun_at)
        return file

    def abort(self) -> None:
        """See ``SnapshotWriter``."""
        self._writer.abort()


class _Told:
    """The checks hear of what a snapshot failed with."""

    def __init__(self, checks: SnapshotChecks, life: Life) -> None:
        self._checks, self._life = checks, life

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SnapshotFailed):
            self._checks.fails(self._life, error)
