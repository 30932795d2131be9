"""A database over a simulated disk, in the form that ``raftpy.contracts.database`` asks for.

All of it is one write-ahead file, in LevelDB's form, and nothing is ever made a table of.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import PurePath

from raftcore.wire.codec import crc32c
from raftpy.contracts.files import File
from raftpy.sim.disk.files import DiskFiles
from raftpy.storage.leveldb.wal_records import BLOCK, WHOLE, survey

HEADER = struct.Struct("<IHB")
OPERATION = struct.Struct("<BII")
PUT, DELETE = 1, 2
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
MANIFEST, LOG = "MANIFEST-000001", "000003.log"

Operations = list[tuple[int, bytes, bytes]]


class SimulatedDatabaseError(Exception):
    """As the database's engine raises it; ``kind``: "locked", "damaged", or "io" where the disk has failed."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class SimulatedBatch:
    """A ``Batch`` of a :class:`SimulatedDatabase`."""

    def __init__(self, database: SimulatedDatabase) -> None:
        self._database = database
        self._operations: Operations = []

    def put(self, key: bytes, value: bytes) -> None:
        self._operations.append((PUT, key, value))

    def delete(self, key: bytes) -> None:
        self._operations.append((DELETE, key, b""))

    def write(self) -> None:
        self._database.commit(self._operations)

    def clear(self) -> None:
        self._operations = []


class SimulatedDatabase:
    """A ``Database``. Every write is synced."""

    def __init__(self, files: DiskFiles, path: PurePath) -> None:
        self._records: dict[bytes, bytes] = {}
        self._keys: list[bytes] | None = None
        self._lock = files.open(path / "LOCK", "share")
        if not self._lock.lock_for_process():
            self._lock.close()
            raise SimulatedDatabaseError("locked", f"{path} is locked")
        try:
            self._log: File | None = files.open(path / LOG, "change")
            data = files.read(path / LOG)
        except OSError:
            self._lock.close()
            raise
        verdict, end = survey(data)
        if verdict != WHOLE:
            self._lock.close()
            raise SimulatedDatabaseError("damaged", f"{verdict} at {end}")
        for operations in batches(data[:end]):
            self._apply(operations)
        self._end = end

    def commit(self, operations: Operations) -> None:
        """Writes them and syncs."""
        if self._log is None:
            raise SimulatedDatabaseError("io", "closed")
        body = b"".join(OPERATION.pack(kind, len(key), len(value)) + key + value for kind, key, value in operations)
        record = fragments(body, self._end)
        try:
            self._log.write_at(record, self._end)
            self._log.sync()
        except OSError as error:
            raise SimulatedDatabaseError("io", f"IO error: {error}") from error
        self._end += len(record)
        self._apply(operations)

    def _apply(self, operations: Operations) -> None:
        self._keys = None
        for kind, key, value in operations:
            if kind == PUT:
                self._records[key] = value
            else:
                self._records.pop(key, None)

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None:
        return self._records.get(key)

    def put(self, key: bytes, value: bytes, *, sync: bool) -> None:
        assert sync
        self.commit([(PUT, key, value)])

    def write_batch(self, *, sync: bool) -> SimulatedBatch:
        assert sync
        return SimulatedBatch(self)

    def iterator(
        self, *, start: bytes, stop: bytes, verify_checksums: bool, fill_cache: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        if self._keys is None:
            self._keys = sorted(self._records)
        keys = self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, stop)]
        return iter([(key, self._records[key]) for key in keys])

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._lock.close()
            self._log = None


class SimulatedEngine:
    """A ``DatabaseEngine`` over ``files``."""

    Error = SimulatedDatabaseError

    def __init__(self, files: DiskFiles) -> None:
        self._files = files

    def open(self, path: PurePath, *, create: bool, write_buffer_size: int) -> SimulatedDatabase:
        files = self._files
        try:
            if create and not files.exists(path / "CURRENT"):
                self._make(path)
            return SimulatedDatabase(files, path)
        except OSError as error:
            kind = "damaged" if isinstance(error, FileNotFoundError) else "io"
            raise SimulatedDatabaseError(kind, f"IO error: {error}") from error

    def _make(self, path: PurePath) -> None:
        files = self._files
        files.make_directory(path)
        for name, data in ((MANIFEST, b""), (LOG, b""), ("000001.dbtmp", MANIFEST.encode() + b"\n")):
            file = files.open(path / name, "rewrite")
            file.write(data)
            file.sync()
            file.close()
        files.sync_directory(path)
        files.replace(path / "000001.dbtmp", path / "CURRENT")
        files.sync_directory(path)

    def text(self, error: BaseException) -> str:
        return str(error) if isinstance(error, SimulatedDatabaseError) else f"{type(error).__name__}: {error}"

    def is_locked(self, error: Exception) -> bool:
        return isinstance(error, SimulatedDatabaseError) and error.kind == "locked"

    def is_damage(self, error: Exception) -> bool:
        return isinstance(error, SimulatedDatabaseError) and error.kind == "damaged"


def fragments(body: bytes, at: int) -> bytes:
    """A record of LevelDB's log format, which begins at byte ``at`` of its file."""
    out = bytearray()
    first = True
    while first or body:
        left = BLOCK - (at + len(out)) % BLOCK
        if left < HEADER.size:
            out += bytes(left)
            continue
        part, body = body[: left - HEADER.size], body[left - HEADER.size :]
        kind = (FULL if first else LAST) if not body else (FIRST if first else MIDDLE)
        crc = crc32c(bytes([kind]) + part)
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        out += HEADER.pack(masked, len(part), kind) + part
        first = False
    return bytes(out)


def batches(data: bytes) -> Iterator[Operations]:
    """What whole records hold."""
    at, body = 0, b""
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:
            at += left
            continue
        _, size, kind = HEADER.unpack_from(data, at)
        body += data[at + HEADER.size : at + HEADER.size + size]
        at += HEADER.size + size
        if kind in (FULL, LAST):
            yield operations(body)
            body = b""


def operations(body: bytes) -> Operations:
    """What one record holds."""
    found: Operations = []
    at = 0
    while at < len(body):
        kind, key, value = OPERATION.unpack_from(body, at)
        at += OPERATION.size
        found.append((kind, body[at : at + key], body[at + key : at + key + value]))
        at += key + value
    return found
