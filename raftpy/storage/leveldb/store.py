"""The durable store: LevelDB, trusted only as far as it earns (decision 6).

A data directory holds::

    lock        who has it open                  (lock.py)
    floor       what the store held at its start (floor.py)
    segments/   the records (keys.py), in a row of LevelDB databases (row.py)
    snapshots/  what stands for the beginning of a log, once there is a snapshot (raftpy/storage/snapshots)

One ``submit`` is one synced batch, whatever the number of its groups. Of each group it has the entries as block
records, the deletion of what they replace, and the head with term, vote, commit and the log's ends, behind the last
record (group_log.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import PurePath
from typing import TypeVar

from raftcore.base.conflict import Conflict
from raftcore.base.errors import RaftError
from raftcore.values.storage_view import InitialState
from raftpy.contracts.database import DatabaseEngine
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import (
    SnapshotFailed,
    StorageDamaged,
    StorageFailed,
    UnknownGroup,
    WrongIdentity,
)
from raftpy.contracts.executor import Executor
from raftpy.contracts.files import Files
from raftpy.contracts.storage import AppendBatch, Reread, Written
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.storage.identity import (
    boot_after,
    initial_state,
    named_groups,
    new_store_id,
    reported_groups,
    resolve_cluster_id,
)
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import FLOOR_FORMAT, Floor, GroupFloor
from raftpy.storage.leveldb.group_log import LevelDBGroupLog
from raftpy.storage.leveldb.head import Head
from raftpy.storage.leveldb.lock import DirectoryLock, leveldb_unused
from raftpy.storage.leveldb.ownership import FORMER, SEGMENTS, UNWRITTEN, check_ours
from raftpy.storage.leveldb.row import SEGMENT_SIZE, RowBatch, SegmentRow, room_of
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.segment import name_of, segments
from raftpy.storage.leveldb.spare import Spare
from raftpy.storage.leveldb.startup import Identity, Reader, found, found_group, pack_pins
from raftpy.storage.leveldb.upgrade import remove_former, upgrade
from raftpy.storage.leveldb.writer import Mode, Writer
from raftpy.storage.records import by_group, compacts, needs_writing
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.entropy import SystemEntropy
from raftpy.system.files import SystemFiles
from raftpy.system.forking import call_in_child
from raftpy.system.leveldb import LevelDB
from raftpy.system.threads import Threads

_T = TypeVar("_T")

SNAPSHOTS = "snapshots"
"""The directory of snapshots, in the data directory."""

RESERVED_SEGMENTS = 2
"""So many segments of the log find room on the disk, whatever snapshots would take: the one in use and the next."""

MAY_BE_OPEN = 3
"""How many of the newest segments a process that has the store open may have open in LevelDB."""


class LevelDBStorage:
    """A ``Storage`` in the directory ``path``, which is made when missing; one with other files in it is refused.

    ``mode``: where a batch is synced: "inline", in the call of ``submit``; "thread", beside the loop; or "auto", in the
    call as long as recent syncs were short, which ``timer`` tells in seconds. ``segment_size``: bytes that are
    written to a segment before the next one is begun. ``files``, ``database``, ``executor`` and ``entropy`` are the
    file system, the engine of the database, what writes beside the loop, and the source of ids; None: the operating
    system's, LevelDB, the process's threads, the system's. A handle is opened once.
    """

    opens_in_thread = True
    """See ``Storage``: opening reads the whole log."""
    closes_in_thread = True
    """See ``Storage``: closing waits for the sync under way, and syncs twice itself."""
    reads_in_thread = True
    """See ``Storage``: what has left the memory is read from the disk."""

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        mode: Mode = "auto",
        segment_size: int = SEGMENT_SIZE,
        files: Files | None = None,
        database: DatabaseEngine | None = None,
        executor: Executor | None = None,
        entropy: Entropy | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path = PurePath(path)
        self._row_path = self.path / SEGMENTS
        self._segment_size = segment_size
        self._files: Files = files or SystemFiles()
        reserve = RESERVED_SEGMENTS * room_of(segment_size)
        self.snapshots = SnapshotStore(SystemFolder(self._files, self.path / SNAPSHOTS), reserve=reserve)
        self._engine: DatabaseEngine = database or LevelDB()
        self._executor: Executor = executor or Threads()
        self._entropy: Entropy = entropy or SystemEntropy()
        self._state = "new"
        self._given_up: list[bool] = []  # not empty: closed in the loop's thread before another has opened it
        self._failure: StorageFailed | None = None
        self._lock: DirectoryLock | None = None
        self._row: SegmentRow | None = None
        self._spare: Spare | None = None
        self._batch: RowBatch
        self._reader: Reader
        self._identity: Identity
        self._boot = 0
        self._groups: dict[int, LevelDBGroupLog] = {}  # all that the store knows
        self._pins: dict[int, int] = {}
        self._floor: Floor  # as it was last written
        self._writer = Writer(self._write, mode, self._executor, timer, self._needs_writing)

    # --- opening and closing

    def open(self, identity: StoreOwner) -> Recovered:
        """See ``Storage.open``. Nothing is written before the directory is known to be this node's."""
        named = named_groups(identity)
        if self._state != "new":
            raise StorageFailed(f"the store {self.path} was opened before: make a new LevelDBStorage to open it again")
        if self._given_up:
            self._state = "closed"
            raise StorageFailed(f"the store {self.path} was closed before it was opened")
        self._state = "opening"
        call_in_child(self._in_child)
        try:
            check_ours(self._files, self.path)
            make_directory(self._files, self.path)
            self._lock = DirectoryLock(self._files, self.path, identity.node_id)
            recovered = self._open(identity, named)
        except BaseException as error:
            self._state = "closed"
            self._release()
            if isinstance(error, OSError):
                raise StorageFailed(f"opening the store {self.path} failed: {error}") from error
            raise
        self._state = "open"
        return recovered

    def _open(self, identity: StoreOwner, named: dict[int, tuple[int, ...]]) -> Recovered:
        floor = self._find_floor(identity.node_id)
        self._spare = Spare(self._files, self.path / Floor.FILE)
        self._row = row = self._open_row(first=floor.boot == 0)
        if floor.boot == 0:
            # The name of the row's directory, before a floor that tells of a boot asks for it.
            self._files.sync_directory(self.path)
        self._batch = row.write_batch(sync=True)
        self._reader = reader = Reader(self._engine, row, self._row_path, self._given_up, row.seen)
        known = reader.identity()
        if known is None and floor.boot == 0:
            known = Identity(identity.node_id, floor.store_id)
            found(self._batch, known.node_id, known.store_id, resolve_cluster_id(identity), dict(identity.cluster))
            self._commit_batch()
        elif known is None:
            raise reader.damaged(keys.IDENTITY, "it is missing")
        known.check(identity.node_id, self.path)
        self._identity = known
        cluster_id, members = reader.members()
        self._pins = reader.pins()
        states = {0: self._open_group(0, members, reader.head(0), floor)}
        for group in sorted({*floor.groups, *reader.groups(), *named} - {0}):
            voters = reader.voters(group, cluster_id)
            if voters is not None:
                states[group] = self._open_group(group, voters, reader.head(group), floor)
            elif group in floor.groups or group not in named:
                raise reader.damaged(keys.bootstrap_key(group), "it is missing")
            else:
                found_group(self._batch, group, cluster_id, named[group])
                states[group] = self._open_group(group, named[group], Head(), None)
        row.started()
        self._load_snapshots()
        row.make_durable()
        self._begin_boot()
        remove_former(self._files, self.path)
        return Recovered(
            store_id=known.store_id,
            boot=self._boot,
            cluster_id=cluster_id,
            groups=reported_groups(states, named),
            members=members,
            pins=dict(self._pins),
        )

    def _load_snapshots(self) -> None:
        files, place = self._files, self.path / SNAPSHOTS
        # Where there is none yet it will be made here.
        if files.disk_of(place if files.is_directory(place) else self.path) != files.disk_of(self._row_path):
            self.snapshots.room.reserve = 0
        try:
            self.snapshots.load()
        except SnapshotFailed as error:
            raise StorageFailed(str(error)) from error

    def _open_group(self, group: int, voters: Iterable[int], head: Head, floor: Floor | None) -> InitialState:
        """Checks a group's records, and the newest head of it against the floor; None for one founded just now.

        ``head`` is the one under its own key.
        """
        log = self._reader.log(group, head)
        head = log.head
        if floor is not None:
            floor.check(self._identity.store_id, group, head, str(self._row_path))
            if group and head.boot != self._groups[0].head.boot:
                boots = f"boot {head.boot}, and group 0 has {self._groups[0].head.boot}"
                raise self._reader.damaged(keys.head_key(group), f"it has {boots}: each start writes all of them")
        self._reader.check_end(group, log)
        assert self._row is not None
        conflict = floor.groups.get(group, GroupFloor()).conflict if floor is not None else None
        self._groups[group] = LevelDBGroupLog(
            group,
            log,
            conflict,
            self._reader,
            self._executor.lock(),
            self._check,
            self._fail,
            self._keep_conflict,
            self._surely,
            self._row.many,
        )
        return initial_state(
            head.hard_state,
            voters,
            log.index,
            log.term_runs,
            log.last_time_ms,
            conflict,
            head.prev_term,
            log.conf_changes,
        )

    def _find_floor(self, node_id: int) -> Floor:
        """The floor, a new one at a first start; ``StorageDamaged`` when floor and segments do not go together. A
        directory of format 2 is upgraded."""
        files = self._files
        floor = Floor.read(files, self.path)
        if floor is not None and floor.format != FLOOR_FORMAT:
            floor = upgrade(
                files,
                self._engine,
                self._executor,
                self._entropy,
                self.path,
                floor,
                node_id,
                self._segment_size,
                self._given_up,
            )
        found = segments(files, self._row_path)
        if floor is None:
            former = self.path / FORMER
            if found or (files.is_directory(former) and set(files.names(former)) - UNWRITTEN):
                where = str(self.path / Floor.FILE)
                raise StorageDamaged("it is missing, and what it tells of is not", where)
            floor = Floor(new_store_id(self._entropy))
            floor.write(files, self.path)
        for number in found[-MAY_BE_OPEN:]:
            with leveldb_unused(files, self._row_path / name_of(number), self.path):
                pass
        return floor

    def _open_row(self, first: bool) -> SegmentRow:
        """``first``: no start has got as far as sending anything, so what is there was promised to nobody."""
        if first:
            self._files.make_directory(self._row_path)
        try:
            return self._try_to_open(first)
        except StorageDamaged:
            if not first:
                raise
        # A power failure in the middle of the very first start.
        self._files.remove_tree(self._row_path)
        self._files.make_directory(self._row_path)
        return self._try_to_open(first)

    def _try_to_open(self, first: bool) -> SegmentRow:
        return SegmentRow(
            self._row_path,
            create=first,
            files=self._files,
            engine=self._engine,
            executor=self._executor,
            entropy=self._entropy,
            segment_size=self._segment_size,
            given_up=self._given_up,
        )

    def _begin_boot(self) -> None:
        """Makes the new boot durable, with what was founded, first here and then in the floor: see floor.py for why in
        this order."""
        self._boot = boot_after(self._groups[0].head.boot, self._entropy)
        for log in self._groups.values():
            log.begin_boot(self._boot, self._batch)
        self._commit_batch()
        self._write_floor(closed=False)

    def _write_floor(self, closed: bool) -> None:
        groups = {group: log.floor() for group, log in self._groups.items()}
        self._floor = Floor(self._identity.store_id, self._boot, closed, groups)
        self._surely(lambda: self._floor.write(self._files, self.path))

    def close(self) -> None:
        """See ``Storage.close``. A clean close leaves an exact floor, so that any later loss is noticed."""
        if self._state in ("new", "opening"):
            self._given_up.append(True)
        if self._state != "open":
            return
        self._state = "closed"
        self._writer.close()
        try:
            if self._failure is None:
                for log in self._groups.values():
                    log.head.closed = 1
                    log.put_head(self._batch)
                self._commit_batch()
            self._close_row()  # before the floor, which may need the room that is set aside
            if self._failure is None:
                self._write_floor(closed=True)
        except (StorageFailed, OSError):
            pass  # the floor of the start still holds, and nothing unsynced was reported durable
        finally:
            self._release()

    def _in_child(self) -> None:
        """This is a forked child: the store stays with the parent, whose files copies of its handles would write."""
        self._state = "closed"
        self._failure = StorageFailed(f"the store {self.path} was opened by the process that forked this one")
        if self._row is not None:
            self._row.leave()
        if self._spare is not None:
            self._spare.close()
        self._lock = None  # which has let go by itself

    def _close_row(self) -> None:
        row, self._row = self._row, None
        if row is not None:
            row.close()

    def _release(self) -> None:
        self._close_row()
        if self._spare is not None:
            self._spare.close()
            self._spare = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def reread(self) -> Iterator[Reread]:
        """See ``RereadStorage``: the segments that are closed. Raises ``StorageFailed``."""
        row = self._row
        if row is None:
            return
        try:
            for size, damage in row.reread():
                yield Reread(size, damage)
        except OSError as error:
            raise StorageFailed(f"reading back the store {self.path} failed: {error}") from error

    def written(self) -> Written:
        """See ``MeasuredStorage``."""
        return Written(
            sum(group.commands for group in tuple(self._groups.values())),
            0 if self._row is None else self._row.appended,
            self.snapshots.written,
        )

    def damage(self) -> Sequence[RaftError]:
        """See ``RereadStorage``: segments that are to be emptied, and cannot be read."""
        return () if self._row is None else self._row.damage()

    # --- writing

    def set_completion(
        self,
        callback: Callable[[AppendBatch], None],
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        self._writer.bind(callback, on_failure)

    def submit(self, batch: AppendBatch) -> bool:
        self._check()
        return self._writer.submit(batch)

    def _needs_writing(self, batch: AppendBatch) -> bool:
        """Whether anything of it, or of what waits for a batch of these groups, has to be written now."""
        return needs_writing(batch) or compacts(batch, self._groups)

    def _write(self, batch: AppendBatch) -> bool:
        """One synced batch for all of it; False when there was nothing to write. In the writer's thread."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        try:
            staged: list[LevelDBGroupLog] = []
            for group, appends in by_group(batch):
                log = self._groups.get(group)
                if log is None:
                    raise StorageFailed(f"appends for group {group}, which the store {self.path} does not know")
                if log.stage(appends, self._batch):
                    staged.append(log)
            if not staged:
                return False
            self._commit_batch()
            for log in staged:
                log.written()
            return True
        except BaseException as error:
            # Also for what is no storage error: the batch may be half built, and must never be written.
            raise self._fail(error) from error

    def _commit_batch(self) -> None:
        """Writes the batch, synced, and empties it."""
        try:
            self._batch.write()
        except (self._engine.Error, OSError) as error:
            raise StorageFailed(f"writing to the store {self.path} failed: {self._said(error)}") from error
        self._batch.clear()

    def pin(self, node_id: int, store_id: int, *, replace: bool = False) -> None:
        if self._failure is not None or self._state != "open" or self._row is None:
            raise self._refusal()
        known = self._pins.get(node_id)
        if known == store_id:
            return
        if known is not None and not replace:
            raise WrongIdentity(
                f"node {node_id} has been known with store {known:016x}, and now comes with store {store_id:016x}"
            )
        pins = {**self._pins, node_id: store_id}
        try:
            self._row.put(keys.PINS, seal(keys.PINS, pack_pins(pins)), sync=True)
        except (self._engine.Error, OSError, StorageFailed) as error:
            raise self._fail(error) from error
        self._pins = pins

    def _keep_conflict(self, group: int, conflict: Conflict) -> None:
        self._floor.groups[group].conflict = conflict
        try:
            # Of this start: what has been written since may not be durable yet.
            self._surely(lambda: self._floor.write(self._files, self.path))
        except OSError as error:
            raise self._fail(error) from error

    def _surely(self, call: Callable[[], _T]) -> _T:
        """What cannot wait: made with the spare descriptor where there is no other."""
        return call() if self._spare is None else self._spare.use(call)

    def _fail(self, error: BaseException) -> StorageFailed:
        """The handle is dead from here on."""
        if self._failure is None:
            if isinstance(error, StorageFailed):
                self._failure = error
            else:
                self._failure = StorageFailed(f"writing to the store {self.path} failed: {self._said(error)}")
        return self._failure

    def _said(self, error: BaseException) -> str:
        return str(error) if isinstance(error, OSError) else self._engine.text(error)

    def _refusal(self) -> StorageFailed:
        if self._failure is not None:
            return self._failure.with_traceback(None)
        return StorageFailed(f"the store {self.path} is not open")

    def _check(self) -> None:
        if self._failure is not None or self._state != "open":
            raise self._refusal()

    def group(self, group_id: int) -> LevelDBGroupLog:
        self._check()
        log = self._groups.get(group_id)
        if log is None:
            raise UnknownGroup(group_id)
        return log


def make_directory(files: Files, path: PurePath) -> None:
    """Makes ``path`` and what is missing above it, durable by name."""
    missing = [path, *path.parents]
    missing = missing[: next((i for i, parent in enumerate(missing) if files.is_directory(parent)), len(missing))]
    for directory in reversed(missing):
        files.make_directory(directory)
        files.sync_directory(directory.parent)
    if not missing and not files.exists(path / Floor.FILE):
        # Made by somebody else, or by a start that ended before it got here.
        files.sync_directory(files.real_path(path).parent)
