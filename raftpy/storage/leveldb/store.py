"""The durable store: LevelDB, trusted only as far as it earns (decision 6).

A data directory holds::

    lock      who has it open                  (lock.py)
    floor     what the store held at its start (floor.py)
    leveldb/  the records                      (keys.py)

One ``submit`` is one synced batch: the entries as block records, the deletion of what they replace, and the head with
term, vote, commit and the log's ends, behind the last record.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from os import PathLike, urandom
from pathlib import PurePath

from raftcore.base.conflict import Conflict
from raftcore.values.message import Entries, Message, Snapshot
from raftpy.contracts.errors import StorageDamaged, StorageFailed, StorageLocked, WrongIdentity
from raftpy.contracts.files import Files
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.storage.identity import boot_after, initial_state, new_store_id, resolve_cluster_id
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import Floor, GroupFloor
from raftpy.storage.leveldb.head import Head
from raftpy.storage.leveldb.keeping import keep_for_ever
from raftpy.storage.leveldb.lock import DirectoryLock, leveldb_unused
from raftpy.storage.leveldb.ownership import DATABASE, UNWRITTEN, check_ours
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.startup import Identity, Log, Reader, found, pack_pins
from raftpy.storage.leveldb.wal import Ahead, check_manifest, check_write_ahead, cut_off_ahead
from raftpy.storage.leveldb.writer import Mode, Writer
from raftpy.storage.records import Index, Plan, gather
from raftpy.system import leveldb as compat
from raftpy.system.files import SystemFiles
from raftpy.system.forking import call_in_child
from raftpy.system.leveldb import Batch, Database

WRITE_BUFFER_SIZE = 16 << 20
"""Bytes of writes that LevelDB keeps in memory and in one write-ahead file before it makes a table of them.

More means fewer stalls under load (longest 1% of syncs a third shorter with 16 MiB than with LevelDB's own 4), and a
longer replay after kill -9 (a tenth of a second at most).
"""

RECORD_OVERHEAD = 160
"""About how many bytes a record takes in the write-ahead file beside its block."""
SPACE_BEYOND = 64 << 10
"""What a write-ahead file may get longer than the write buffer: the last batch, and what stands around the records."""


class LevelDBStorage:
    """A ``Storage`` in the directory ``path``, which is made when missing; one with other files in it is refused.

    ``group``: whose log; a directory belongs to the group it was made for. ``mode``: "inline", "thread", or "auto" to
    go by how long recent syncs took. ``random(n)`` gives n random bytes for ids, ``files`` is the file system
    (None: the operating system's). A handle is opened once.
    """

    opens_in_thread = True
    """See ``Storage``: opening reads the whole log."""

    def __init__(
        self,
        path: str | PathLike[str],
        group: int = 0,
        *,
        mode: Mode = "auto",
        write_buffer_size: int = WRITE_BUFFER_SIZE,
        random: Callable[[int], bytes] = urandom,
        files: Files | None = None,
    ) -> None:
        if not 0 <= group <= keys.MAX_GROUP:
            raise ValueError(f"group must be 0 to {keys.MAX_GROUP}, got {group}")
        self.path = PurePath(path)
        self.group = group
        self._database_path = self.path / DATABASE
        self._write_buffer_size = write_buffer_size
        self._random = random
        self._files = files or SystemFiles()
        self._state = "new"
        self._given_up: list[bool] = []  # not empty: closed in the loop's thread while another opens
        self._failure: StorageFailed | None = None
        self._lock: DirectoryLock | None = None
        self._database: Database | None = None
        self._batch: Batch
        self._ahead: Ahead
        self._reader: Reader
        self._identity: Identity
        self._head = Head()
        self._head_key = keys.head_key(group)
        self._pins: dict[int, int] = {}
        self._floor: Floor  # as it was last written
        self._conflict: Conflict | None = None
        # Guards the index and the two below against the writer's thread; never held during a write.
        self._mutex = threading.Lock()
        self._index = Index()
        self._cut_through: int | None = None  # record that the batch under way makes shorter
        self._writer = Writer(self._write, mode)

    # --- opening and closing

    def open(self, identity: StoreOwner) -> Recovered:
        """See ``Storage.open``. Nothing is written before the directory is known to be this node's."""
        if self._state != "new":
            raise StorageFailed(f"the store {self.path} was opened before: make a new LevelDBStorage to open it again")
        self._state = "opening"
        call_in_child(self._in_child)
        try:
            check_ours(self._files, self.path)
            make_directory(self._files, self.path)
            self._lock = DirectoryLock(self._files, self.path, identity.node_id)
            recovered = self._open(identity)
        except BaseException as error:
            self._state = "closed"
            self._release()
            if isinstance(error, OSError):
                raise StorageFailed(f"opening the store {self.path} failed: {error}") from error
            raise
        self._state = "open"
        return recovered

    def _open(self, identity: StoreOwner) -> Recovered:
        floor = self._find_floor()
        self._database = self._open_database(first=floor.boot == 0)
        self._batch = self._database.write_batch(sync=True)
        self._reader = reader = Reader(self._database, self._database_path, self._given_up)
        known = reader.identity()
        if known is None and floor.boot == 0:
            known = Identity(identity.node_id, floor.store_id)
            cluster_id = resolve_cluster_id(identity)
            found(self._batch, known.node_id, known.store_id, self.group, cluster_id, dict(identity.cluster), Head())
            self._commit_batch()
        elif known is None:
            raise reader.damaged(keys.IDENTITY, "it is missing")
        self._check_owner(known, identity, floor)
        self._identity = known
        cluster_id, members = reader.bootstrap(self.group)
        self._pins = reader.pins()
        log = reader.log(self.group, reader.head(self.group))
        head = log.head
        floor.check(known.store_id, self.group, head, str(self._database_path))
        reader.check_end(self.group, log)
        self._index = log.index
        self._conflict = floor.groups.get(self.group, GroupFloor()).conflict
        self._begin_boot(head)
        self._ahead = Ahead(self._files, self._database_path, self._write_buffer_size + SPACE_BEYOND)
        return self._recovered(cluster_id, members, log)

    def _find_floor(self) -> Floor:
        """The floor, a new one at a first start; ``StorageDamaged`` when floor and database do not go together."""
        files = self._files
        floor = Floor.read(files, self.path)
        names = set(files.names(self._database_path)) if files.is_directory(self._database_path) else set()
        if floor is None:
            if names - UNWRITTEN:
                where = str(self.path / Floor.FILE)
                raise StorageDamaged("it is missing, and the database beside it is not empty", where)
            floor = Floor(new_store_id(self._random))
            floor.write(files, self.path)
        elif floor.boot and "CURRENT" not in names:
            raise StorageDamaged("its file CURRENT is missing", str(self._database_path))
        if floor.boot:
            with leveldb_unused(files, self._database_path):
                check_manifest(files, self._database_path)
                check_write_ahead(files, self._database_path)
        return floor

    def _open_database(self, first: bool) -> Database:
        try:
            return self._try_to_open(first)
        except compat.Error as error:
            if compat.is_locked(error):
                raise StorageLocked(self.path) from error
            if compat.is_damage(error):
                raise StorageDamaged(compat.text(error), str(self._database_path)) from error
            raise StorageFailed(f"opening the store {self.path} failed: {compat.text(error)}") from error

    def _try_to_open(self, first: bool) -> Database:
        """``first``: no start has got as far as sending anything, so what is there was promised to nobody."""
        try:
            return compat.open_database(self._database_path, create=first, write_buffer_size=self._write_buffer_size)
        except compat.Error as error:
            if not first or compat.is_locked(error) or not compat.is_damage(error):
                raise
        # A power failure in the middle of the very first start.
        self._files.remove_tree(self._database_path)
        return compat.open_database(self._database_path, create=True, write_buffer_size=self._write_buffer_size)

    def _check_owner(self, known: Identity, identity: StoreOwner, floor: Floor) -> None:
        if known.node_id != identity.node_id:
            owner = known.node_id
            raise WrongIdentity(f"the store {self.path} belongs to node {owner}, not to node {identity.node_id}")
        if floor.boot and self.group not in floor.groups:
            groups = ", ".join(str(group) for group in floor.groups)
            raise WrongIdentity(f"the store {self.path} belongs to group {groups}, not to group {self.group}")

    def _begin_boot(self, head: Head) -> None:
        """Makes the new boot durable, first here and then in the floor: see floor.py for why in this order."""
        head.boot = boot_after(head.boot, self._random)
        head.cut = 0
        head.closed = 0
        self._head = head
        self._put_head()
        self._commit_batch()
        self._write_floor(closed=False)

    def _write_floor(self, closed: bool) -> None:
        head = self._head
        groups = {self.group: GroupFloor.of(head, self._conflict)}
        self._floor = Floor(self._identity.store_id, head.boot, closed, groups)
        self._floor.write(self._files, self.path)

    def _recovered(self, cluster_id: int, members: dict[int, str], log: Log) -> Recovered:
        head = self._head
        return Recovered(
            store_id=self._identity.store_id,
            boot=head.boot,
            cluster_id=cluster_id,
            initial_state=initial_state(
                head.hard_state, members, head.last_index, log.term_runs, log.last_time_ms, self._conflict
            ),
            members=members,
            pins=dict(self._pins),
        )

    def close(self) -> None:
        """See ``Storage.close``. A clean close leaves an exact floor, so that any later loss is noticed."""
        if self._state == "opening":
            self._given_up.append(True)
        if self._state != "open":
            return
        self._state = "closed"
        self._writer.close()
        try:
            if self._failure is None:
                self._head.closed = 1
                self._put_head()
                self._commit_batch()
            self._close_database()
            cut_off_ahead(self._files, self._database_path)  # before the floor, which may need the room
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
        if self._database is not None:
            keep_for_ever(self._database)  # closing it would write what the copy of LevelDB still holds
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.leave()

    def _close_database(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _release(self) -> None:
        self._close_database()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- writing

    def set_completion(
        self,
        callback: Callable[[Sequence[Message]], None],
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        self._writer.bind(callback, on_failure)

    def submit(self, appends: Sequence[Message]) -> bool:
        if self._failure is not None or self._state != "open":
            raise self._refusal()
        return self._writer.submit(appends)

    def _write(self, appends: Sequence[Message]) -> bool:
        """One synced batch for all of them; False when there was nothing to write. In the writer's thread."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        try:
            return self._write_plan(Plan(appends, self._index.prev, self._index.last))
        except BaseException as error:
            # Also for what is no storage error: the batch may be half built, and must never be written.
            raise self._fail(error) from error

    def _write_plan(self, plan: Plan) -> bool:
        head = self._head
        newest = plan.newest
        if newest is not None:
            head.term, head.vote, head.commit = newest.term, newest.vote, newest.commit
        if not plan.must_write:
            return False
        if plan.cut:
            self._put_cut(plan.cut)
        if plan.staged:
            records = self._put_entries(plan.staged)
            self._commit_batch()
            self._ahead.wrote(sum(len(entries.data) for entries in plan.staged) + RECORD_OVERHEAD * len(records))
            with self._mutex:
                self._index.firsts.extend(records)
                self._index.last = head.last_index
                self._cut_through = None
        else:
            self._put_head()
            self._commit_batch()
        return True

    def _put_entries(self, staged: list[Entries]) -> list[int]:
        """Puts consecutive entries into the batch, a record for each block, with the head behind the last one."""
        batch, group, head = self._batch, self.group, self._head
        head.number += 1
        head.last_index, head.last_term = staged[-1].last, staged[-1].last_term
        blocks: list[tuple[int, bytes | memoryview]] = []
        for entries in staged:
            if entries.blocks == 1:
                blocks.append((entries.first, entries.data))
            else:
                blocks += [(first, block) for first, _, _, _, _, block in entries.iter_blocks()]
        last = blocks.pop()
        for first, block in blocks:
            key = keys.entry_key(group, first)
            batch.put(key, seal(key, block))
        key = keys.entry_key(group, last[0])
        batch.put(key, seal(key, last[1], head.pack()))
        return [first for first, _ in blocks] + [last[0]]

    def _put_head(self) -> None:
        """Puts the head under its own key into the batch."""
        self._head.number += 1
        self._batch.put(self._head_key, seal(self._head_key, self._head.pack()))

    def _put_cut(self, index: int) -> None:
        """Deletes what the log holds from ``index`` on, in the batch and, for readers, at once."""
        doomed, through = self._index.cut(index)
        for first in doomed:
            self._batch.delete(keys.entry_key(self.group, first))
        if through is not None:
            shorter = self._reader.record(self.group, through).slice(through, index)
            key = keys.entry_key(self.group, through)
            self._batch.put(key, seal(key, shorter.data))
        with self._mutex:
            self._cut_through = through
            self._index.truncate(index)
        head = self._head
        head.cut = min(head.cut or index, index)

    def _commit_batch(self) -> None:
        """Writes the batch, synced, and empties it."""
        try:
            self._batch.write()
        except compat.Error as error:
            raise StorageFailed(f"writing to the store {self.path} failed: {compat.text(error)}") from error
        self._batch.clear()

    def pin(self, node_id: int, store_id: int, *, replace: bool = False) -> None:
        if self._failure is not None or self._state != "open" or self._database is None:
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
            self._database.put(keys.PINS, seal(keys.PINS, pack_pins(pins)), sync=True)
        except compat.Error as error:
            raise self._fail(error) from error
        self._pins = pins

    def quarantine(self, conflict: Conflict) -> None:
        if self._failure is not None or self._state != "open":
            raise self._refusal()
        self._conflict = self._floor.groups[self.group].conflict = conflict
        try:
            # Of this start: what has been written since may not be durable yet.
            self._floor.write(self._files, self.path)
        except OSError as error:
            raise self._fail(error) from error

    def _fail(self, error: BaseException) -> StorageFailed:
        """The handle is dead from here on."""
        if self._failure is None:
            if isinstance(error, StorageFailed):
                self._failure = error
            else:
                self._failure = StorageFailed(f"writing to the store {self.path} failed: {compat.text(error)}")
        return self._failure

    def _refusal(self) -> StorageFailed:
        if self._failure is not None:
            return self._failure.with_traceback(None)
        return StorageFailed(f"the store {self.path} is not open")

    # --- reading

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        if self._failure is not None or self._state != "open":
            raise self._refusal()
        try:
            with self._mutex:
                return gather(self._index, lo, hi, max_bytes, self._read)
        except StorageFailed as error:
            raise self._fail(error) from error

    def _read(self, first: int, last: int) -> Entries:
        entries = self._reader.record(self.group, first)
        if entries.last == last:
            return entries
        if entries.last > last and first == self._cut_through:
            return entries.slice(first, last + 1)
        raise self._reader.damaged(keys.entry_key(self.group, first), f"it ends at {entries.last} instead of {last}")

    def snapshot(self) -> Snapshot:
        if self._failure is not None or self._state != "open":
            raise self._refusal()
        return Snapshot()


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
