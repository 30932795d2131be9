"""Snapshots as files, timed by pytest-benchmark: ``pytest benchmarks/test_snapshots.py --benchmark-only``.

64 MiB of a state machine's bytes each, in chunks of 1 MiB; beside them what the disk and the checksum alone take for as
much. ``MiB_s`` of a row says the same as a rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from random import Random
from typing import Any

import pytest

from raftcore.base.crc import crc32c
from raftpy.contracts.snapshots import SnapshotFile, SnapshotReader, SnapshotRef, complete
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.snapshots.blocks import MAX_BODY
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.store import SYNC_BYTES, SnapshotStore
from raftpy.system.files import SystemFiles

MIB = 1 << 20
SIZE = 64
CHUNK = Random(1).randbytes(MIB)
MACHINE = TypeHeader("machine", 1)
REF = SnapshotRef(0, 1, 1)
ROUNDS = 5


def new_store(path: Path) -> SnapshotStore:
    store = SnapshotStore(SystemFolder(SystemFiles(), PurePath(path)))
    store.load()
    return store


def write(store: SnapshotStore, ref: SnapshotRef = REF) -> SnapshotFile:
    writer = store.begin(ref)
    writer.section(MACHINE)
    for _ in range(SIZE):
        writer.write(CHUNK)
    return writer.commit()


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return new_store(tmp_path / "snapshots")


@pytest.fixture
def reader(store: SnapshotStore) -> Iterator[SnapshotReader]:
    write(store)
    opened = store.open(REF)
    yield opened
    opened.close()


def measure(benchmark: Any, group: str, work: Callable[[], object], after: Callable[[], object] | None = None) -> None:
    benchmark.group = f"snapshot of {SIZE} MiB, {group}"

    def setup() -> None:
        if after is not None:
            after()

    benchmark.pedantic(work, setup=setup, rounds=ROUNDS, warmup_rounds=1)
    if benchmark.stats is not None:  # None: --benchmark-disable
        benchmark.extra_info["MiB_s"] = round(SIZE / benchmark.stats.stats.min)


class TestWritten:
    def test_snapshot(self, benchmark: Any, store: SnapshotStore) -> None:
        measure(benchmark, "written", lambda: write(store), lambda: complete(store.retain(0, 0)))

    @pytest.mark.parametrize("every", [SYNC_BYTES, SIZE * MIB], ids=["sync-8-MiB", "sync-once"])
    def test_file_alone(self, benchmark: Any, tmp_path: Path, every: int) -> None:
        """As many bytes in as many writes, to a new file."""
        files, path = SystemFiles(), PurePath(tmp_path / "file")
        block = CHUNK[:MAX_BODY]

        def work() -> None:
            file = files.open(path, "rewrite")
            for written in range(MAX_BODY, SIZE * MIB + 1, MAX_BODY):
                file.write(block)
                if written % every == 0:
                    file.sync()
            file.close()

        measure(benchmark, "written", work, lambda: files.exists(path) and files.remove(path))

    def test_received(self, benchmark: Any, reader: SnapshotReader, tmp_path: Path) -> None:
        """From file to file in ranges of 64 KiB, and read back."""
        other = new_store(tmp_path / "other")

        def work() -> None:
            receiver = complete(other.receive(reader.file))
            while receiver.position < reader.file.size:
                receiver.write(reader.read_range(receiver.position, 64 << 10))
            complete(receiver.finish())

        measure(benchmark, "written", work, lambda: complete(other.retain(0, 0)))


class TestRead:
    def test_verified(self, benchmark: Any, store: SnapshotStore, reader: SnapshotReader) -> None:
        measure(benchmark, "read", lambda: complete(store.verify(REF)))

    def test_given_out(self, benchmark: Any, reader: SnapshotReader) -> None:
        measure(benchmark, "read", lambda: [len(chunk) for _, chunks in reader.sections() for chunk in chunks])

    def test_file_alone(self, benchmark: Any, reader: SnapshotReader) -> None:
        size = reader.file.size
        measure(benchmark, "read", lambda: [reader.read_range(at, MAX_BODY) for at in range(0, size, MAX_BODY)])

    def test_checksum_alone(self, benchmark: Any) -> None:
        block = CHUNK[:MAX_BODY]
        measure(benchmark, "read", lambda: [crc32c(block) for _ in range(SIZE * MIB // MAX_BODY)])
