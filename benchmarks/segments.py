"""python -m benchmarks.segments [--changes N] [--size BYTES] [--batch BYTES] [--folder DIRECTORY]

Writes to the store of a node, batch by batch, each synced before the next one begins, until its log has gone on to a
new segment so often (docs/design-storage.md, "A row of segments"): how long batches take, the longest of them being
those with a change. Beside them the same bytes appended to a plain file with room set aside, and synced: what the disk
takes by itself. The two take turns, a segment's worth each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from benchmarks.rows import percentiles
from raftcore.base.types import LOCAL_APPEND_THREAD, EntryKind, MessageType
from raftcore.values.message import Entries, Entry, Message
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.row import SEGMENT_SIZE

OWNER = StoreOwner(1, {1: "127.0.0.1:7101"})


class Store:
    """A store, and how much of its log there is."""

    def __init__(self, folder: Path, size: int, count: int) -> None:
        self._count, self._payload = count, bytes(size)
        self._store = LevelDBStorage(folder, mode="inline")
        self._store.open(OWNER)
        self._last = 0

    def made(self) -> Callable[[], None]:
        """The next batch; the call writes it."""
        indexes = range(self._last + 1, self._last + 1 + self._count)
        run = Entries.build([Entry(1, index, EntryKind.EntryNormal, self._payload) for index in indexes], 0)
        self._last += self._count
        append = Message(MessageType.MsgStorageAppend, to=LOCAL_APPEND_THREAD, term=1, must_sync=True, entries=run)
        return lambda: self._write(append)

    def _write(self, append: Message) -> None:
        if not self._store.submit([(0, [append])]):
            raise AssertionError("a store that writes inline has written when it returns")

    def changes(self) -> int:
        """How often it has gone on to another segment."""
        row = self._store._row
        return row._newest.number - 1 if row is not None and self._last else 0

    def close(self) -> None:
        """Lets go of the directory."""
        self._store.close()


class Plain:
    """Files of a segment's size, one behind the other."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self._folder, self._data, self._number, self._at = folder, os.urandom(size), 0, 0
        self._file = self._next()

    def _next(self) -> int:
        self._number += 1
        file = os.open(self._folder / str(self._number), os.O_RDWR | os.O_CREAT)
        os.posix_fallocate(file, 0, SEGMENT_SIZE)
        os.fsync(file)
        return file

    def made(self) -> Callable[[], None]:
        """The next batch."""
        if self._at + len(self._data) > SEGMENT_SIZE:
            os.close(self._file)
            self._file, self._at = self._next(), 0
        return self._write

    def _write(self) -> None:
        os.pwrite(self._file, self._data, self._at)
        os.fdatasync(self._file)
        self._at += len(self._data)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def times_of(made: Callable[[], Callable[[], None]], batches: int) -> list[float]:
    """Seconds of each of so many writes; making a batch does not count."""
    found = []
    for _ in range(batches):
        write = made()
        began = time.perf_counter()
        write()
        found.append(time.perf_counter() - began)
    return found


def table(taken: dict[str, list[float]]) -> list[str]:
    """A line for each way of writing."""
    lines = ["| | batches | p50, us | p99, us | p99.9, us | p99.99, us | longest, us |"]
    lines.append("|---|" + "---:|" * 6)
    for name, times in taken.items():
        figures = percentiles(times)
        shown = [*(figures[part] for part in ("p50_us", "p99_us", "p99_9_us", "p99_99_us")), max(times) * 1e6]
        lines.append(f"| {name} | {len(times):,} | " + " | ".join(f"{value:,.0f}" for value in shown) + " |")
    return lines


def measure(folder: Path, changes: int, size: int, batch: int) -> tuple[int, dict[str, list[float]]]:
    """How often the segment has changed, and the seconds of each write."""
    count = max(1, batch // size)
    turn = max(1, SEGMENT_SIZE // batch)
    store, plain = Store(folder / "store", size, count), Plain(folder / "plain", count * size)
    taken: dict[str, list[list[float]]] = {"the store": [], "a plain file": []}
    try:
        while store.changes() < changes:
            taken["the store"].append(times_of(store.made, turn))
            taken["a plain file"].append(times_of(plain.made, turn))
        changed = store.changes()
    finally:
        store.close()
        plain.close()
    return changed, {name: list(chain(*each)) for name, each in taken.items()}


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segments", description="What changes of segment cost")
    parser.add_argument("--changes", type=int, default=100, help="of segment, at least (100)")
    parser.add_argument("--size", type=int, default=256, help="bytes of an entry (256)")
    parser.add_argument("--batch", type=int, default=65536, help="bytes of entries in a batch (65,536)")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the system's temporary one without it")
    options = parser.parse_args(words)
    for name in ("changes", "size", "batch"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be above 0, not {getattr(options, name)}")
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="raftpy-segments-", dir=options.folder))
    try:
        changed, taken = measure(folder, options.changes, options.size, options.batch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    count = max(1, options.batch // options.size)
    print(f"{changed} changes of segment; batches of {count} entries of {options.size} B")
    print("\n".join(table(taken)))


if __name__ == "__main__":
    main()
