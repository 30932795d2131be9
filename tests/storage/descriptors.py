"""A process that has no descriptor left, for real, and a store on a simulated disk that opens no file for a while."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from random import Random

from raftpy.contracts.files import OpenMode
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk, DiskFile, DiskFiles
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from tests.storage.late import LateExecutor
from tests.storage.support import EVERYTHING, OWNER, append, entries, submit


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Whatever this process opens meanwhile fails with EMFILE; what is open stays so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class RefusingFiles(DiskFiles):
    """A simulated disk on which opening a file fails with ``number``, where that is not 0, for the next ``times``,
    behind ``before`` such openings each that succeed."""

    number = 0
    before = 0
    times = 1 << 30
    mode: OpenMode = "read"
    refused = 0
    succeeded = 0

    def open(self, path: PurePath, mode: OpenMode) -> DiskFile:
        if self.number and mode == self.mode and self.times:
            self.succeeded += 1
            if self.succeeded <= self.before:
                return super().open(path, mode)
            self.succeeded = 0
            self.times -= 1
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number), str(path))
        return super().open(path, mode)


LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What passes."""
SEGMENT = 3000
"""Bytes of a segment: a few batches."""


class Refusing:
    """A store of small segments on a simulated disk; what is beside the writes is done when a test says so."""

    def __init__(self) -> None:
        self.disk = Disk(Random(1))
        self.files = RefusingFiles(self.disk)
        self.executor = LateExecutor()
        self.store = self.open()
        self.last = 0

    def open(self) -> LevelDBStorage:
        store = LevelDBStorage(
            "/node",
            mode="inline",
            segment_size=SEGMENT,
            files=self.files,
            database=SimulatedEngine(self.files),
            executor=self.executor,
            entropy=SeededEntropy(Random(2)),
        )
        self.recovered = store.open(OWNER)
        return store

    def write(self, batches: int, term: int = 1) -> None:
        """Of ten entries each."""
        for _ in range(batches):
            submit(self.store, [append(entries(self.last + 1, 10, term), term=term)])
            self.last += 10
            self.executor.run()

    def read(self, lo: int = 1) -> list[int]:
        return [entry.index for entry in self.store.group(0).entries(lo, self.last + 1, EVERYTHING)]

    def again(self) -> None:
        """Its process is killed, and the next one opens."""
        self.disk.kill()
        self.files = RefusingFiles(self.disk)
        self.executor = LateExecutor()
        self.store = self.open()
