"""Where a data directory keeps its records: the one place in which tests know it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from raftpy.contracts.files import Files
from raftpy.storage.leveldb.ownership import SEGMENTS
from raftpy.storage.leveldb.row import SegmentRow
from raftpy.storage.leveldb.sealing import seal
from raftpy.storage.leveldb.segment import LOWEST_KEY, SUCCESSOR_KEY, SegmentFile, name_of, segments
from raftpy.storage.leveldb.wal import write_ahead_files
from raftpy.storage.leveldb.wal_batches import Batches
from raftpy.storage.leveldb.wal_records import survey
from raftpy.system.entropy import SystemEntropy
from raftpy.system.files import SystemFiles
from raftpy.system.leveldb import LevelDB
from raftpy.system.threads import Threads

FILES = SystemFiles()
RECORDS = SEGMENTS
"""The directory in a data directory in which all records are."""
HOLD_NOTHING = frozenset({"lock", "LOCK", "LOG", "LOG.old"})
"""Names of files that hold nothing."""
NOT_READ = frozenset({"CURRENT", "MANIFEST-000002"})
"""Names of LevelDB's own files in a segment: nothing reads them again, whatever becomes of them."""


def records(path: Path) -> Path:
    """Where the records of the data directory ``path`` are."""
    return path / RECORDS


def in_use(path: PurePath, files: Files = FILES) -> list[int]:
    """The numbers of the segments of a data directory that were written to, ascending; nobody writes there now."""
    row = path / RECORDS
    return [number for number in segments(files, row) if SegmentFile(files, row, number).is_in_use]


def closed(path: PurePath, files: Files = FILES) -> list[int]:
    """The numbers of the segments of a data directory that a start reads and nothing is written to any more."""
    *older, newest = in_use(path, files)
    lowest = SegmentFile(files, path / RECORDS, newest).marks()[LOWEST_KEY]
    return [number for number in older if number >= lowest]


def needed(path: PurePath, files: Files = FILES) -> list[int]:
    """The numbers of the segments that a start asks for: those in use, and the one that is named as the next."""
    used = in_use(path, files)
    successor = SegmentFile(files, path / RECORDS, used[-1]).marks().get(SUCCESSOR_KEY, 0)
    return used + ([successor] if successor > used[-1] else [])


def holds_nothing(path: PurePath, file: PurePath, files: Files = FILES) -> bool:
    """Whether nothing that is read is in a file of the data directory; ``file`` is relative to it."""
    if file.name in HOLD_NOTHING or (file.parts[0] == RECORDS and file.name in NOT_READ):
        return True
    return file.parts[0] == RECORDS and int(file.parts[1]) not in needed(path, files)


def file_of(path: PurePath, number: int, files: Files = FILES) -> Path:
    """The file of a segment that counts."""
    (file,) = write_ahead_files(files, path / RECORDS / name_of(number))
    return Path(file)


def newest_file(path: Path) -> Path:
    """The file that was written to last."""
    return file_of(path, in_use(path)[-1])


def batch_ends(data: bytes) -> list[int]:
    """Where each batch ends in a write-ahead file that holds ``data``, the header's first, in bytes."""
    batches = Batches(data, survey(data)[1])
    return [batches.end for _ in batches]


def log_files(path: Path) -> list[Path]:
    """The files of all segments, oldest first; also while the directory is open."""
    row = records(path)
    found: list[PurePath] = []
    for number in segments(FILES, row):
        found += write_ahead_files(FILES, row / name_of(number))
    return [Path(file) for file in found]


@contextmanager
def open_records(path: Path) -> Iterator[SegmentRow]:
    """What holds the records, behind the store's back."""
    row = SegmentRow(
        records(path),
        create=False,
        files=FILES,
        engine=LevelDB(),
        executor=Threads(),
        entropy=SystemEntropy(),
    )
    try:
        yield row
    finally:
        row.close()


def rewrite(path: Path, *changes: tuple[bytes, bytes | None]) -> None:
    """Changes records behind the store's back: (key, body sealed anew, or None to delete)."""
    write_raw(path, *((key, None if body is None else seal(key, body)) for key, body in changes))


def write_raw(path: Path, *changes: tuple[bytes, bytes | None]) -> None:
    """The same, with values as they are."""
    with open_records(path) as row:
        batch = row.write_batch(sync=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.write()
