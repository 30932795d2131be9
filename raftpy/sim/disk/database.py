"""A database on a simulated disk: ``raftpy.contracts.database`` as LevelDB carries it out, in LevelDB's own files.

Each of LevelDB's operations on files that matters to a crash is made here, in LevelDB's order (its db/db_impl.cc and
db/version_set.cc): a batch goes to the write-ahead file, which is synced; at ``write_buffer_size`` a new file is begun,
and what was in the one before becomes a table a little later; an opening makes a table of every write-ahead file it
finds, and a new manifest. What is on the disk is therefore what LevelDB would find there, and the other way round
(tests/sim/disk/test_leveldb.py opens each with the other).

What LevelDB does in a thread of its own is done here in the call of some later write, drawn from the disk's source.
Tables are merged into one of level 1, where LevelDB would make several and go deeper.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePath
from typing import TypeAlias

from raftpy.sim.disk.files import DiskFile, DiskFiles
from raftpy.sim.disk.leveldb import batches, tables
from raftpy.sim.disk.leveldb.manifest import COMPARATOR, Edit, TableFile, Version
from raftpy.sim.disk.leveldb.records import fragments, read_records
from raftpy.sim.disk.leveldb.tables import Table
from raftpy.sim.disk.leveldb.varints import Malformed

Write: TypeAlias = tuple[bytes, bytes | None]
"""Key and value; None: it is deleted."""
Entry: TypeAlias = tuple[bytes, int, bytes | None]
"""Key, sequence number of the write, and its value; None where it deletes."""
Unreadable: TypeAlias = tuple[bytes, Malformed]
"""Of something that does not hold: the key before it, b"" for none, and what is wrong."""

SMALLEST_WRITE_BUFFER = 64 << 10
"""Bytes; LevelDB takes no smaller one."""
MERGE_AT = 4
"""Tables of level 0 that are merged."""
ENTRY_OVERHEAD = 32
"""About how many bytes a write takes in memory beside its key and value."""


class SimulatedDatabaseError(Exception):
    """As LevelDB says it: "Corruption: ...", "NotFound: ...", "IO error: ..." or "Invalid argument: ..."."""


def _io_error(path: object, error: OSError) -> SimulatedDatabaseError:
    kind = "NotFound" if error.errno == errno.ENOENT else "IO error"
    return SimulatedDatabaseError(f"{kind}: {path}: {error.strerror}")


def _malformed(path: object, error: Malformed) -> SimulatedDatabaseError:
    said = f"IO error: {path}" if str(error) == "Invalid argument" else "Corruption"
    return SimulatedDatabaseError(f"{said}: {error}")


class _Log:
    """A file of records that is being written."""

    def __init__(self, files: DiskFiles, path: PurePath) -> None:
        self.path = path
        self._file: DiskFile = files.open(path, "rewrite")
        self._end = 0

    def add(self, record: bytes) -> None:
        for fragment in fragments(record, self._end):
            self._end += len(fragment)
            self._file.write(fragment)

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class _Memory:
    """Writes that are in no table yet, and the write-ahead file that has them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.newest: dict[bytes, bytes | None] = {}
        self.size = 0

    def add(self, sequence: int, writes: Sequence[Write]) -> None:
        for key, value in writes:
            self.entries.append((key, sequence, value))
            self.newest[key] = value
            self.size += len(key) + len(value or b"") + ENTRY_OVERHEAD
            sequence += 1


class SimulatedBatch:
    """A ``Batch`` of a :class:`SimulatedDatabase`."""

    def __init__(self, database: SimulatedDatabase, sync: bool) -> None:
        self._database = database
        self._sync = sync
        self._writes: list[Write] = []

    def put(self, key: bytes, value: bytes) -> None:
        self._writes.append((key, bytes(value)))

    def delete(self, key: bytes) -> None:
        self._writes.append((key, None))

    def write(self) -> None:
        self._database.commit(self._writes, self._sync)

    def clear(self) -> None:
        self._writes.clear()


class SimulatedDatabase:
    """A ``Database``. ``look``: see :class:`SimulatedEngine`."""

    def __init__(
        self,
        files: DiskFiles,
        path: PurePath,
        create: bool,
        write_buffer_size: int,
        look: Callable[[], None] | None = None,
        writers: AbstractContextManager[object] | None = None,
    ) -> None:
        self._look = look
        self._writers: AbstractContextManager[object] = nullcontext() if writers is None else writers
        self._files = files
        self._path = path
        self._buffer = max(write_buffer_size, SMALLEST_WRITE_BUFFER)
        # Of a sync, or of what LevelDB does in its thread: nothing is written after it.
        self._error: SimulatedDatabaseError | None = None
        self._memory = _Memory()
        self._full: _Memory | None = None  # which is becoming a table
        self._pending: Callable[[], None] | None = None  # what LevelDB's thread has to do
        self._delay = 0  # writes until it has done it
        self._tables: dict[int, Table] = {}
        self._manifest: _Log | None = None
        self._log: _Log | None = None
        self._lock: DiskFile | None = None
        self._claim: tuple[int, Hashable] = (files.pid, None)
        self._make_directory()
        self._take_lock()
        try:
            self._recover(create)
        except BaseException:
            self.close()
            raise

    # --- Database

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None:
        self._check_open()
        for memory in (self._memory, self._full):
            if memory is not None and key in memory.newest:
                return memory.newest[key]
        for file in reversed(self._version.tables):
            if file.smallest[:-8] <= key <= file.largest[:-8]:
                try:
                    entry = self._table(file).get(key)
                except Malformed as error:
                    raise _malformed(self._table_path(file.number), error) from None
                if entry is not None:
                    return entry[2]
        return None

    def put(self, key: bytes, value: bytes, *, sync: bool) -> None:
        self.commit([(key, bytes(value))], sync)

    def write_batch(self, *, sync: bool) -> SimulatedBatch:
        return SimulatedBatch(self, sync)

    def iterator(
        self, *, start: bytes, stop: bytes, verify_checksums: bool, fill_cache: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        found: dict[bytes, bytes | None] = {}
        unreadable: list[Unreadable] = []
        level, before = 0, b""
        for file in self._version.tables:
            if file.level != level:
                level, before = file.level, b""
            elif not level:
                before = b""  # the tables of level 0 are read side by side, those of another one after the other
            if level and file.largest[:-8] < start:
                continue
            try:
                entries, failure = self._table(file).entries_from(start, before)
            except Malformed as error:
                entries, failure = [], (before, error)
            before = entries[-1][0] if entries else before
            found.update({key: value for key, _, value in reversed(entries)})
            if failure is not None:
                unreadable.append(failure)
        for memory in (self._full, self._memory):
            if memory is not None:
                found.update({key: value for key, value in memory.newest.items() if key >= start})
        pairs = [(key, value) for key, value in sorted(found.items()) if value is not None]
        return self._iterate(pairs, stop, min(unreadable, key=_first, default=None))

    def _iterate(
        self, pairs: list[tuple[bytes, bytes]], stop: bytes, unreadable: Unreadable | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """An iterator passes by what it cannot read, and its binding says so at the next key. Where none follows, it
        ends as quietly as any."""
        for key, value in pairs:
            if unreadable is not None and key > unreadable[0]:
                raise _malformed(self._path, unreadable[1])
            if key >= stop:
                return
            yield key, value

    def close(self) -> None:
        for file in (self._log, self._manifest, self._lock):
            if file is not None:
                file.close()
        if self._lock is not None:
            self._files.disk.databases.discard(self._claim)
        self._log = self._manifest = self._lock = None

    # --- writing

    def commit(self, writes: list[Write], sync: bool) -> None:
        """Writes them as one batch; another thread that has come before goes first."""
        with self._writers:
            self._commit(writes, sync)

    def _commit(self, writes: list[Write], sync: bool) -> None:
        self._check_open()
        assert self._log is not None
        self._make_room()
        sequence = self._sequence + 1
        try:
            self._log.add(batches.pack(sequence, writes))
        except OSError as error:
            raise _io_error(self._log.path, error) from error
        if sync:
            try:
                self._log.sync()
            except OSError as error:
                self._error = _io_error(self._log.path, error)
                raise self._error from error
        self._memory.add(sequence, writes)
        self._sequence += len(writes)

    def _make_room(self) -> None:
        """Begins a new write-ahead file once the memory is full; raises what has gone wrong in LevelDB's thread."""
        if self._pending is not None:
            self._delay -= 1
            if self._delay < 0 or self._memory.size > self._buffer:
                self._work()
        if self._error is not None:
            raise self._error
        if self._memory.size <= self._buffer:
            return
        try:
            number = self._new_number()
            log = _Log(self._files, self._path / f"{number:06}.log")
        except OSError as error:
            raise _io_error(self._path, error) from error
        assert self._log is not None
        self._log.close()
        self._log, self._log_number = log, number
        self._full, self._memory = self._memory, _Memory()
        self._have_done(self._finish_full)

    def _finish_full(self) -> None:
        """What LevelDB does in its thread: makes the full memory a table, and merges tables."""
        assert self._full is not None
        edit = Edit(log_number=self._log_number)
        self._write_table(self._full.entries, edit)
        self._apply(edit)
        self._full = None
        self._remove_obsolete()
        self._merge()

    def _have_done(self, work: Callable[[], None]) -> None:
        """LevelDB's thread will do it, sooner or later."""
        self._pending = work
        self._delay = self._files.disk.source.randrange(4)

    def _work(self) -> None:
        """What LevelDB's thread has to do is done. Whatever fails there fails every later write."""
        work, self._pending = self._pending, None
        if work is not None:
            self._try(work)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            self._error = _io_error(self._path, error)
        except Malformed as error:
            self._error = _malformed(self._path, error)
        except SimulatedDatabaseError as error:
            self._error = error

    def _merge(self) -> None:
        """All tables into one, once there are many of level 0."""
        merged = self._version.tables
        if sum(table.level == 0 for table in merged) < MERGE_AT:
            return
        newest: dict[bytes, Entry] = {}
        for file in merged:
            entries, unreadable = self._table(file).entries_from(b"")
            if unreadable is not None:
                raise _malformed(self._table_path(file.number), unreadable[1])
            newest.update({entry[0]: entry for entry in reversed(entries)})
        edit = Edit(deleted=[(file.level, file.number) for file in merged])
        self._write_table([entry for entry in newest.values() if entry[2] is not None], edit, level=1)
        self._apply(edit)
        self._remove_obsolete()

    def _write_table(self, entries: list[Entry], edit: Edit, level: int = 0) -> None:
        """Makes a synced file of them, which ``edit`` adds. Raises ``OSError``, with nothing left behind."""
        number = self._new_number()
        if not entries:
            return
        entries = sorted(entries, key=lambda entry: (entry[0], -entry[1]))
        data = tables.build(entries)
        path = self._table_path(number)
        file = self._files.open(path, "rewrite")
        try:
            for start in range(0, len(data), 1 << 16):  # as its buffer is emptied
                file.write(data[start : start + (1 << 16)])
            file.sync()
        except OSError:
            file.close()
            self._files.remove(path)
            raise
        file.close()
        smallest, largest = tables.internal_key(entries[0]), tables.internal_key(entries[-1])
        edit.added.append(TableFile(level, number, len(data), smallest, largest))

    def _apply(self, edit: Edit) -> None:
        """Makes the edit durable in the manifest, in a new one at first."""
        files = self._files
        if edit.log_number is None:
            edit.log_number = self._version.log_number
        edit.prev_log_number, edit.next_file, edit.last_sequence = 0, self._next, self._sequence
        new = self._manifest is None
        if self._manifest is None:
            path = self._path / f"MANIFEST-{self._manifest_number:06}"
            self._manifest = _Log(files, path)
            snapshot = Edit(comparator=COMPARATOR, added=self._version.tables)
        try:
            if new:
                self._manifest.add(snapshot.pack())
            self._manifest.add(edit.pack())
            files.sync_directory(self._path)
            self._manifest.sync()
            if new:
                self._set_current(self._manifest_number)
        except OSError:
            if new:
                self._manifest.close()
                files.remove(self._manifest.path)
                self._manifest = None
            raise
        self._version.apply(edit)

    def _set_current(self, number: int) -> None:
        files, temporary = self._files, self._path / f"{number:06}.dbtmp"
        file = files.open(temporary, "rewrite")
        try:
            file.write(f"MANIFEST-{number:06}\n".encode())
            file.sync()
        finally:
            file.close()
        files.replace(temporary, self._path / "CURRENT")

    def _remove_obsolete(self) -> None:
        """Files that nothing leads to any more."""
        live = {table.number for table in self._version.tables}
        oldest = self._version.log_number or 0
        for name in sorted(self._files.names(self._path)):
            stem, _, kind = name.partition(".")
            if name.startswith("MANIFEST-"):
                keep = int(name.removeprefix("MANIFEST-")) >= self._manifest_number
            elif not stem.isdigit():
                continue
            elif kind == "log":
                keep = int(stem) >= oldest
            else:
                keep = kind not in ("ldb", "dbtmp") or int(stem) in live
            if not keep:
                self._tables.pop(int(stem) if stem.isdigit() else -1, None)
                self._files.remove(self._path / name)

    # --- opening

    def _make_directory(self) -> None:
        """With LevelDB's own log of events, without which it does, too."""
        files, path = self._files, self._path
        try:
            files.make_directory(path)
            files.keep_order(path)
            if files.exists(path / "LOG"):
                files.replace(path / "LOG", path / "LOG.old")
            files.open(path / "LOG", "rewrite").close()
        except OSError:
            pass

    def _take_lock(self) -> None:
        files, path = self._files, self._path / "LOCK"
        try:
            lock = files.open(path, "share")
            claim = (files.pid, files.identity(self._path))
        except OSError as error:
            raise _io_error(path, error) from error
        if claim in files.disk.databases:  # whose lock would go with this handle
            raise SimulatedDatabaseError(f"IO error: lock {path}: already held by process")
        if not lock.lock_for_process():
            lock.close()
            raise SimulatedDatabaseError(f"IO error: lock {path}: Resource temporarily unavailable")
        files.disk.databases.add(claim)
        self._claim, self._lock = claim, lock

    def _recover(self, create: bool) -> None:
        files, path = self._files, self._path
        try:
            if not files.exists(path / "CURRENT"):
                if not create:
                    text = f"Invalid argument: {path}: does not exist (create_if_missing is false)"
                    raise SimulatedDatabaseError(text)
                self._make()
            self._read_manifest()
            edit = Edit()
            self._read_logs(edit)
            self._log_number = self._new_number()
            self._log = _Log(files, path / f"{self._log_number:06}.log")
            edit.log_number = self._log_number
            self._apply(edit)
        except OSError as error:
            raise _io_error(path, error) from error
        self._try(self._remove_obsolete)
        self._have_done(self._merge)

    def _make(self) -> None:
        """An empty database; its manifest is not synced, as nothing was promised yet."""
        if self._look is not None:
            self._look()
        manifest = _Log(self._files, self._path / "MANIFEST-000001")
        try:
            manifest.add(Edit(comparator=COMPARATOR, log_number=0, next_file=2, last_sequence=0).pack())
        finally:
            manifest.close()
        self._set_current(1)

    def _read_manifest(self) -> None:
        files, path = self._files, self._path
        current = files.read(path / "CURRENT")
        if not current.endswith(b"\n"):
            raise SimulatedDatabaseError("Corruption: CURRENT file does not end with newline")
        name = current[:-1].decode("latin-1")
        if not files.exists(path / name):
            raise SimulatedDatabaseError(f"Corruption: CURRENT points to a non-existent file: {path / name}")
        records, error = read_records(files.read(path / name))
        self._version = version = Version()
        try:
            for record in records:
                edit = Edit.unpack(record)
                if edit.comparator not in (None, COMPARATOR):
                    raise SimulatedDatabaseError("Invalid argument: another comparator")
                version.apply(edit)
        except Malformed as malformed:
            error = error or f"VersionEdit: {malformed}"
        for what, number in (
            ("nextfile", version.next_file),
            ("lognumber", version.log_number),
            ("last-sequence-number", version.last_sequence),
        ):
            if number is None:
                error = error or f"no meta-{what} entry in descriptor"
        if error is not None:
            raise SimulatedDatabaseError(f"Corruption: {error}")
        assert version.next_file is not None
        assert version.last_sequence is not None
        self._manifest_number = version.next_file
        self._next = version.next_file + 1
        self._use_number(version.log_number or 0)
        self._sequence = version.last_sequence

    def _read_logs(self, edit: Edit) -> None:
        """Makes tables of what is in the write-ahead files."""
        files, path = self._files, self._path
        names = files.names(path)
        missing = [table.number for table in self._version.tables if f"{table.number:06}.ldb" not in names]
        if missing:
            text = f"{len(missing)} missing files; e.g.: {self._table_path(missing[0])}"
            raise SimulatedDatabaseError(f"Corruption: {text}")
        numbers = sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdigit())
        for number in numbers:
            if number < (self._version.log_number or 0):
                continue
            records, error = read_records(files.read(path / f"{number:06}.log"))
            memory = _Memory()
            for record in records:
                try:
                    sequence, writes = batches.unpack(record)
                except Malformed as malformed:
                    error = error or str(malformed)
                    break
                memory.add(sequence, writes)
                self._sequence = max(self._sequence, sequence + len(writes) - 1)
                if memory.size > self._buffer:
                    self._write_table(memory.entries, edit)
                    memory = _Memory()
            if error is not None:
                raise SimulatedDatabaseError(f"Corruption: {error}")
            if memory.entries:
                self._write_table(memory.entries, edit)
            self._use_number(number)

    # --- numbers and tables

    def _new_number(self) -> int:
        number = self._next
        self._next += 1
        return number

    def _use_number(self, number: int) -> None:
        self._next = max(self._next, number + 1)

    def _table_path(self, number: int) -> PurePath:
        return self._path / f"{number:06}.ldb"

    def _table(self, file: TableFile) -> Table:
        found = self._tables.get(file.number)
        if found is None:
            path = self._table_path(file.number)
            try:
                data = self._files.read(path)
            except OSError as error:
                raise _io_error(path, error) from error
            found = self._tables[file.number] = Table(data, file.size)
        return found

    def _check_open(self) -> None:
        if self._log is None:
            raise RuntimeError("Database is closed")


def _first(unreadable: Unreadable) -> bytes:
    return unreadable[0]


class SimulatedEngine:
    """A ``DatabaseEngine`` on ``files``. ``lock`` makes a lock between the threads that write to a database."""

    Error: type[Exception] = SimulatedDatabaseError

    def __init__(self, files: DiskFiles, lock: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._files = files
        self._lock = lock
        self.look: Callable[[], None] | None = None
        """Told of each new database."""

    def open(self, path: PurePath, *, create: bool, write_buffer_size: int) -> SimulatedDatabase:
        return SimulatedDatabase(self._files, path, create, write_buffer_size, self.look, self._lock())

    def text(self, error: BaseException) -> str:
        return str(error) if isinstance(error, SimulatedDatabaseError) else f"{type(error).__name__}: {error}"

    def is_locked(self, error: Exception) -> bool:
        said = self.text(error)
        return "lock " in said and ("temporarily unavailable" in said or "already held" in said)

    def is_damage(self, error: Exception) -> bool:
        said = self.text(error)
        return said.startswith(("Corruption", "NotFound")) or "nvalid argument" in said
