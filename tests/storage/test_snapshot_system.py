"""Snapshots on the operating system: processes that are killed, a disk that is full, and how much memory they take."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.snapshots import SnapshotFile, complete
from tests.storage.snapshots import MACHINE, Place, contents, ref, write

SCRIPT = """
import sys
from pathlib import Path
from raftpy.contracts.snapshots import complete
from tests.storage.snapshots import MACHINE, Place, ref

store = Place("system", Path(sys.argv[1]), sync_bytes=100_000).store()
index = store.refs(0)[0].index if store.refs(0) else 0
while True:
    index += 1
    writer = store.begin(ref(index))
    writer.section(MACHINE)
    for piece in range(8):
        writer.write(bytes([index % 251]) * 50_000)
    writer.commit()
    print(index, flush=True)
    complete(store.retain(0))
"""
"""Writes one snapshot after the other, and says when each is there."""


def test_kill_9(tmp_path: Path, seed: int) -> None:
    source, place = Random(seed), Place("system", tmp_path / "snapshots")
    newest = 0
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(place.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(source.random() * 0.1)
        process.kill()
        rest, errors = process.communicate()
        assert errors == b"", errors.decode()
        said += rest.splitlines(keepends=True)
        told = [int(line) for line in said if line.endswith(b"\n")]
        assert told[0] > newest
        store = place.store()
        newest = store.refs(0)[0].index
        assert told[-1] <= newest <= told[-1] + 1
        assert len(store.refs(0)) <= 3
        for each in store.refs(0):
            assert contents(store, each) == [(MACHINE, bytes([each.index % 251]) * 400_000)]
        assert len(place.names()) == len(store.refs(0))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.needs_root
def test_a_full_disk_costs_the_new_snapshot_and_gives_its_room_back(small_disk: Path) -> None:
    place = Place("system", small_disk / "snapshots")
    store = place.store()
    write(store, ref(1), [(MACHINE, bytes(1_000_000))])
    for index in (2, 3):
        with pytest.raises(SnapshotFailed, match=rf"0-{index}-1\.writing: writing it failed: No space left on device"):
            write(store, ref(index), [(MACHINE, bytes(1_500_000))])
        assert place.names() == ["0-1-1.snapshot"]
    with pytest.raises(SnapshotFailed, match=r"the disk lacks \d+ bytes for the 1500000 of it"):
        complete(store.receive(SnapshotFile(ref(9), 1_500_000, bytes(16))))
    write(store, ref(4), [(MACHINE, bytes(500_000))])
    assert place.store().refs(0) == (ref(4), ref(1))
    assert contents(store, ref(1)) == [(MACHINE, bytes(1_000_000))]


def peak(work: Callable[[], object]) -> int:
    """The most bytes of Python's memory that were taken at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_snapshot_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    store = Place("system", tmp_path / "one").store()
    other = Place("system", tmp_path / "other").store()
    chunk = Random(1).randbytes(100_000)

    def written() -> None:
        writer = store.begin(ref(1))
        writer.section(MACHINE)
        for _ in range(200):
            writer.write(chunk)
        writer.commit()

    def given_out() -> None:
        reader = store.open(ref(1))
        assert sum(len(chunk) for _, chunks in reader.sections() for chunk in chunks) == 20_000_000
        reader.close()

    def received() -> None:
        reader = store.open(ref(1))
        receiver = complete(other.receive(reader.file))
        while receiver.position < reader.file.size:
            receiver.write(reader.read_range(receiver.position, 64 << 10))
        complete(receiver.finish())
        reader.close()

    for work in (written, lambda: complete(store.verify(ref(1))), given_out, received):
        assert peak(work) < 1_500_000
