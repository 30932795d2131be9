"""A data directory of format 2, as releases before segments have written it, becomes one of format 3.

Format 2 has the same records in one LevelDB database, ``leveldb/``. An upgrade is part of the first start of a release
that writes format 3:

1. The database is opened as that release would have opened it: its files, LevelDB, whose it is.
2. What is left of an upgrade that was cut short is removed. Not before: a floor of format 2 that was put back beside
   the segments of an upgraded directory, whose database is gone, is no reason to touch them.
3. Every record is checked as that release would have checked it, the logs against the floor, and is written to a row of
   segments, as it is; but for the identity, which says the format.
4. The floor is written anew, in format 3. This one step decides: before it the directory is one of format 2, whole, and
   ``segments/`` is nothing; behind it one of format 3, and ``leveldb/`` is nothing.
5. The start goes on with the segments, and reads them as any start does. Once its boot is durable it removes
   ``leveldb/``, and so does any later start that finds it.

So the directory needs room for all of the log twice, and two segments more, until 5 is done. Where that is not free
nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath

from raftpy.contracts.database import Database, DatabaseEngine
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import StorageDamaged, StorageFailed, StorageLocked
from raftpy.contracts.executor import Executor
from raftpy.contracts.files import Files
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import FLOOR_FORMAT, Floor
from raftpy.storage.leveldb.lock import DirectoryLock, leveldb_unused
from raftpy.storage.leveldb.ownership import FORMER, SEGMENTS
from raftpy.storage.leveldb.row import SegmentRow, room_of
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.startup import Identity, Reader, pack_identity
from raftpy.storage.leveldb.wal import check_manifest, check_write_ahead

BATCH_SIZE = 1 << 20
"""Bytes of records that are written together."""
WRITE_BUFFER = 4 << 20
"""Of the former database, in bytes."""


def upgrade(
    files: Files,
    engine: DatabaseEngine,
    executor: Executor,
    entropy: Entropy,
    directory: PurePath,
    floor: Floor,
    node_id: int,
    segment_size: int,
    given_up: Sequence[object],
) -> Floor:
    """Upgrades the data directory of node ``node_id``, whose ``floor`` has format 2, and returns its new floor.

    Nobody else has the directory open. ``given_up`` is not empty any more once it is to end, with ``StorageFailed``.
    Raises ``StorageDamaged`` for what a start of the former release would have refused, ``WrongIdentity``,
    ``StorageLocked``, ``OSError``.
    """
    former, row_path = directory / FORMER, directory / SEGMENTS
    if floor.boot:
        database = _open_former(files, engine, directory)
        try:
            reader = Reader(engine, database, former, given_up)
            identity = reader.identity(keys.FORMER)
            if identity is None:
                raise reader.damaged(keys.IDENTITY, "it is missing")
            identity.check(node_id, directory)
            if files.is_directory(row_path):
                files.remove_tree(row_path)
            _check_room(files, directory, segment_size)
            try:
                files.make_directory(row_path)
                row = SegmentRow(
                    row_path,
                    create=True,
                    files=files,
                    engine=engine,
                    executor=executor,
                    entropy=entropy,
                    segment_size=segment_size,
                    given_up=given_up,
                )
                try:
                    _copy(reader, engine, row, identity, floor, former)
                finally:
                    row.close()
            except BaseException:
                with suppress(OSError):  # whose room may be what is missing; else the next start does it
                    files.remove_tree(row_path)
                raise
        finally:
            database.close()
        files.sync_directory(directory)
    # Else no start has got as far as sending anything, and what is there was promised to nobody.
    floor = replace(floor, format=FLOOR_FORMAT)
    floor.write(files, directory)
    return floor


def remove_former(files: Files, directory: PurePath) -> None:
    """Removes the database of a directory that was upgraded, if it is still there. Raises ``OSError``."""
    if files.is_directory(directory / FORMER):
        files.remove_tree(directory / FORMER)
        files.sync_directory(directory)


def _open_former(files: Files, engine: DatabaseEngine, directory: PurePath) -> Database:
    """The database of format 2, when its files are as its release has left them."""
    former = directory / FORMER
    if not files.exists(former / "CURRENT"):
        raise StorageDamaged("its file CURRENT is missing", str(former))
    with leveldb_unused(files, former, directory):
        check_manifest(files, former)
        check_write_ahead(files, former)
    try:
        database = engine.open(former, create=False, write_buffer_size=WRITE_BUFFER)
    except engine.Error as error:
        if engine.is_locked(error):
            raise StorageLocked(directory) from error
        if engine.is_damage(error):
            raise StorageDamaged(engine.text(error), str(former)) from error
        raise StorageFailed(f"opening the store {directory} failed: {engine.text(error)}") from error
    try:
        # LevelDB has replaced write-ahead files by tables: until their names are durable a power failure may bring
        # back the files without what this process has read from memory alone (docs/design-storage.md).
        files.sync_directory(former)
    except BaseException:
        database.close()
        raise
    return database


def _check_room(files: Files, directory: PurePath, segment_size: int) -> None:
    """``StorageFailed`` where there is no room for the copy."""
    needed = 2 * room_of(segment_size)
    for name in files.names(directory / FORMER):
        file = files.open(directory / FORMER / name, "read")
        try:
            needed += file.size()
        finally:
            file.close()
    file = files.open(directory / DirectoryLock.FILE, "read")
    try:
        free = file.free_space()
    finally:
        file.close()
    if free < needed:
        raise StorageFailed(
            f"{directory} has format 2, and to upgrade it takes {needed} bytes of free space, of which {free} are "
            "there: make room, or use the release that wrote it"
        )


def _copy(
    reader: Reader, engine: DatabaseEngine, row: SegmentRow, identity: Identity, floor: Floor, former: PurePath
) -> None:
    """Checks all records and writes them to the row."""
    batch = row.write_batch(sync=True)
    size = 0

    def copy(key: bytes, value: bytes) -> None:
        nonlocal size
        batch.put(key, value)
        size += len(value)
        if size >= BATCH_SIZE:
            write()

    def write() -> None:
        nonlocal size
        try:
            batch.write()
        except engine.Error as error:
            raise StorageFailed(f"upgrading {former.parent} failed: {engine.text(error)}") from error
        batch.clear()
        size = 0

    copy(keys.IDENTITY, seal(keys.IDENTITY, pack_identity(identity)))
    reader.pins()
    copy(keys.PINS, reader.value(keys.PINS))
    for group in sorted({0, *floor.groups, *reader.groups()}):
        log = reader.log(group, reader.head(group))
        floor.check(identity.store_id, group, log.head, str(former))
        reader.check_end(group, log)
        for key in (keys.bootstrap_key(group), keys.head_key(group)):
            reader.require(key)
            copy(key, reader.value(key))
        for first in log.index.firsts:
            reader.check_wanted()
            key = keys.entry_key(group, first)
            copy(key, reader.value(key))
    write()
