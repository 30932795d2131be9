"""The key-value store with many keys: what a snapshot, a start from it and the first listing behind that cost.

    python -m benchmarks.key_value                                 # ten million keys of 16 bytes, by themselves
    python -m benchmarks.key_value --keys 1000000 --value 1024     # a gigabyte of one-kilobyte values
    python -m benchmarks.key_value --node                          # in a node: commits while a snapshot is taken

By itself: keys are put in an order that is none, in batches of 64 commands, as a node applies them. Then, while a
snapshot is written into a file beside it, others get new values: how long a batch takes, and how much more memory there
is. At last a store is restored from that file in a thread, while a thread beside it looks how long it is kept waiting.
Puts, listings and captures are counted in the processor's time, so that a busy machine does not show; batches by the
clock.

In a node: a cluster of one with LevelDB, 64 proposals under way, first by themselves, then as long as a snapshot takes.
Its figures are the disk's, too. Ten million keys need 4 GB of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from random import Random
from threading import Event, Thread
from time import perf_counter, sleep, thread_time

from raftpy import Config, Node
from raftpy.contracts.snapshots import SnapshotRef, complete
from raftpy.contracts.state_machine import StateView
from raftpy.contracts.typed import TypeHeader
from raftpy.replicated import kv_commands
from raftpy.replicated.kv import KeyValueStore
from raftpy.runtime.restoring import StateReader
from raftpy.storage.snapshots.choosing import newest_whole
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.files import SystemFiles

BATCH = 64
IN_FLIGHT = 64
SLICE_S = 0.001
STATE = TypeHeader("state", 1)
REF = SnapshotRef(0, 1, 1)
STEP = 7_368_787
"""A prime that divides no number of keys in use: its multiples visit each of them once, far from one another."""


def key(number: int) -> bytes:
    """One of the keys."""
    return b"key-%012d" % number


def resident() -> float:
    """Megabytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def percentile(times: list[float], part: float) -> float:
    """Of ``times``; 0 for none."""
    return sorted(times)[min(len(times) - 1, int(part * len(times)))] if times else 0.0


def say(name: str, value: float, unit: str) -> None:
    """A line of the report."""
    print(f"{name:<58}{value:>12,.2f} {unit}", flush=True)


def fill(store: KeyValueStore, keys: int, value: bytes) -> float:
    """Puts all keys; seconds of this thread's processor time."""
    took, index = 0.0, 0
    while index < keys:
        commands = [kv_commands.put(key(n * STEP % keys), value) for n in range(index, min(index + BATCH, keys))]
        began = thread_time()
        store.apply_batch(index + 1, commands)
        took += thread_time() - began
        index += len(commands)
    return took


def listings(store: KeyValueStore, keys: int, source: Random) -> list[float]:
    """Milliseconds of this thread's processor time that each of some listings of 1,000 keys takes."""
    times = []
    for _ in range(20):
        after = key(source.randrange(keys))
        began = thread_time()
        store.scan(b"key-", 1000, after)
        times.append((thread_time() - began) * 1000)
    return times


class Overwriting:
    """Puts keys that are there already, batch by batch, and takes the time."""

    def __init__(self, store: KeyValueStore, keys: int, value: bytes, source: Random) -> None:
        self._store = store
        self._keys = keys
        self._value = value
        self._source = source

    def batch(self) -> float:
        """Milliseconds of one batch. Then a moment for others, as a node waits for its disk."""
        commands = [kv_commands.put(key(self._source.randrange(self._keys)), self._value) for _ in range(BATCH)]
        began = perf_counter()
        self._store.apply_batch(self._store.applied_index + 1, commands)
        took = (perf_counter() - began) * 1000
        sleep(0.0005)
        return took


def written(store: SnapshotStore, view: StateView, between: Callable[[], object]) -> float:
    """Writes the view as a node does, in a thread or in slices, with ``between`` again and again meanwhile; seconds."""
    began = perf_counter()
    writer = store.begin(REF)
    writer.section(STATE)

    def write(chunks: Iterator[bytes]) -> None:
        for chunk in chunks:
            writer.write(chunk)

    chunks: Iterator[bytes] = view.write()  # type: ignore[assignment]
    if getattr(view, "writes_in_thread", False):
        _beside(lambda: write(chunks), between)
    else:
        while part := _slice(chunks):
            _beside(lambda part=part: write(iter(part)), between)  # type: ignore[misc]
    _beside(writer.commit, between)
    view.close()
    return perf_counter() - began


def _slice(chunks: Iterator[bytes]) -> list[bytes]:
    part, until = [], perf_counter() + SLICE_S
    for chunk in chunks:
        part.append(chunk)
        if perf_counter() >= until:
            break
    return part


def _beside(call: Callable[[], object], between: Callable[[], object]) -> None:
    thread = Thread(target=call)
    thread.start()
    while True:
        between()
        if not thread.is_alive():
            return


def longest_wait(until: Event) -> list[float]:
    """Milliseconds by which a thread that wants to run each millisecond comes late, at most."""
    longest = [0.0]

    def look() -> None:
        while not until.is_set():
            began = perf_counter()
            sleep(0.001)
            longest[0] = max(longest[0], (perf_counter() - began) * 1000 - 1)

    Thread(target=look).start()
    return longest


def alone(keys: int, value: bytes, directory: Path) -> None:
    """The state machine by itself."""
    source, store = Random(1), KeyValueStore()
    empty = resident()
    say("put, a new key", fill(store, keys, value) / keys * 1e9, "ns")
    say("memory", resident() - empty, "MB")
    times = listings(store, keys, source)
    say("first listing of 1,000 keys", times[0], "ms")
    say("the longest of 20", max(times), "ms")
    captures = []
    for _ in range(5):
        began = thread_time()
        view = store.capture()
        captures.append((thread_time() - began) * 1000)
        view.close()
    say("capture, the longest of 5", max(captures), "ms")
    files = SnapshotStore(SystemFolder(SystemFiles(), PurePath(directory)))
    files.load()
    captured(store, files, Overwriting(store, keys, value, source), empty)
    del store
    restored(files, keys, source)


def captured(store: KeyValueStore, files: SnapshotStore, overwriting: Overwriting, empty: float) -> None:
    """A snapshot, with puts meanwhile; ``empty``: memory of a process without keys."""
    quiet = [overwriting.batch() for _ in range(4000)]
    beside: list[float] = []
    memory = [resident()]

    def between() -> None:
        beside.append(overwriting.batch())
        if len(beside) % 50 == 0:
            memory.append(resident())

    seconds = written(files, store.capture(), between)
    say("snapshot, written in", seconds, "s")
    for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)):
        say(f"a batch of {BATCH} puts, by itself: {name}", percentile(quiet, part), "ms")
        say(f"  meanwhile: {name}", percentile(beside, part), "ms")
    say("puts meanwhile", len(beside) * BATCH, "")
    say("memory meanwhile, of that before", (max(memory) - empty) / (memory[0] - empty), "times")


def restored(files: SnapshotStore, keys: int, source: Random) -> None:
    """A start from the snapshot."""
    store, done = KeyValueStore(), Event()
    found = complete(newest_whole(files, 0, {STATE.name: 1}, print))
    assert found is not None
    reader = files.open(found.file.ref)
    longest = longest_wait(done)

    def restore() -> None:
        for header, chunks in reader.sections({STATE.name: 1}):
            store.restore(StateReader(header.version, found.sections[-1][1], chunks, lambda: False))

    began = perf_counter()
    _beside(restore, lambda: sleep(0.005))
    seconds = perf_counter() - began
    done.set()
    reader.close()
    say("restored in", seconds, "s")
    say("another thread waits meanwhile, at most", longest[0], "ms")
    times = listings(store, keys, source)
    say("first listing behind it", times[0], "ms")
    say("the longest of 20", max(times), "ms")


async def in_node(keys: int, value: bytes, directory: Path) -> None:
    """Commits while a snapshot is taken."""
    source, store = Random(1), KeyValueStore()
    fill(store, keys, value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{port.getsockname()[1]}"
    config = Config(id=1, cluster={1: address}, data_dir=directory, snapshot_bytes=1 << 40)
    async with Node(config, store) as node:
        await node.wait_for_leader()
        quiet = await _commits(node, keys, value, source, asyncio.sleep(8))
        before = resident()
        began = perf_counter()
        beside = await _commits(node, keys, value, source, node.snapshot())
        say("a snapshot, taken in", perf_counter() - began, "s")
        say("memory behind it, of that before", resident() / before, "times")
        for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            was, now = percentile(quiet, part), percentile(beside, part)
            say(f"commit, {IN_FLIGHT} in flight, by itself: {name}", was, "ms")
            say(f"  while the snapshot is taken: {name}", now, "ms")
            say("  times", now / was, "")
        say("commits a second, by itself", len(quiet) / 8, "")
        say("  while the snapshot is taken", len(beside) / (perf_counter() - began), "")


async def _commits(
    node: Node, keys: int, value: bytes, source: Random, until: asyncio.Future[int] | object
) -> list[float]:
    """Milliseconds of each commit until the other is done."""
    ends = asyncio.ensure_future(until)  # type: ignore[call-overload]
    times: list[float] = []

    async def client() -> None:
        while not ends.done():
            began = perf_counter()
            await node.propose(kv_commands.put(key(source.randrange(keys)), value), timeout=None)
            times.append((perf_counter() - began) * 1000)

    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    await ends
    return times


def main() -> int:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--value", type=int, default=16, metavar="BYTES")
    parser.add_argument("--node", action="store_true", help="in a node, with commits")
    options = parser.parse_args()
    value = Random(2).randbytes(options.value)
    with tempfile.TemporaryDirectory() as directory:
        if options.node:
            asyncio.run(in_node(options.keys, value, Path(directory)))
        else:
            alone(options.keys, value, Path(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
