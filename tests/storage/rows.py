"""Rows of segments on a simulated disk and on the system's, and what is written to them in tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from random import Random

from raftcore.base.types import EntryKind
from raftcore.values.message import Entries, Entry
from raftpy.contracts.executor import Executor
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk, DiskFiles
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.row import SegmentRow
from raftpy.storage.leveldb.sealing import seal
from raftpy.system.entropy import SystemEntropy
from raftpy.system.files import SystemFiles
from raftpy.system.leveldb import LevelDB
from raftpy.system.threads import Threads
from tests.storage.late import LateExecutor

ROW = PurePath("/row")
SIZE = 20_000
"""Bytes of a segment."""
END = b"\xff"


class Simulated:
    """Rows on a simulated disk."""

    def __init__(self, seed: int = 1) -> None:
        self.disk = Disk(Random(seed))
        self.executor = LateExecutor()
        files = self.disk.files()
        files.make_directory(ROW)
        files.sync_directory(ROW.parent)

    @property
    def files(self) -> DiskFiles:
        return self.disk.files()

    def open(self, *, create: bool = False, size: int = SIZE) -> SegmentRow:
        files = self.disk.files()
        self.executor = LateExecutor()
        return SegmentRow(
            ROW,
            create=create,
            files=files,
            engine=SimulatedEngine(files),
            executor=self.executor,
            entropy=SeededEntropy(Random(7)),
            segment_size=size,
        )


def open_real(path: Path, *, create: bool = False, size: int = SIZE, executor: Executor | None = None) -> SegmentRow:
    """A row on the system's files and LevelDB; what it does beside the writes is done in threads unless given."""
    return SegmentRow(
        path,
        create=create,
        files=SystemFiles(),
        engine=LevelDB(),
        executor=executor or Threads(),
        entropy=SystemEntropy(),
        segment_size=size,
    )


def record(group: int, first: int, size: int = 300) -> tuple[bytes, bytes]:
    """A record of a log as a store writes it, with a block of about ``size`` bytes that has one entry."""
    key = keys.entry_key(group, first)
    payload = Random(first + group * 1000).randbytes(max(1, size - 44))
    return key, seal(key, Entries.build([Entry(1, first, EntryKind.EntryNormal, payload)]).data)


def scan(row: SegmentRow) -> dict[bytes, bytes]:
    return dict(row.iterator(start=b"", stop=END, verify_checksums=True, fill_cache=False))


def write_busily(place: Simulated, row: SegmentRow, numbers: range, also: Callable[[], object] | None = None) -> None:
    """Group 0 writes a record a batch and needs the last twenty; ``also`` is called between two of them."""
    for first in numbers:
        batch = row.write_batch(sync=True)
        batch.put(*record(0, first))
        if first > 20:
            batch.forget_before(keys.entry_key(0, first - 19))
        batch.write()
        place.executor.run()
        if also is not None:
            also()
