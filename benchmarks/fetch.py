"""A snapshot from one node to another over loopback, beside the same bytes over a plain TCP stream.

    python -m benchmarks.fetch [--mib 1024] [--datagram BYTES ...] [--rounds N] [--one-by-one] [--dir DIR]
        [--json FILE]

Two processes, each with a socket and a store of snapshots on disk, and nothing else. Rows, by bytes of a datagram:
`fetch` is MiB a second from the first request until the snapshot is checked and durable; `tcp` is asyncio's streams,
from a file into a file, synced at the end, nothing checked; `ratio` is the one by the other, round by round. Beside
them how much each process has grown (`rss`), and for how long at most the loop of either was held (`held`), in CPU time
of its thread, as a busy machine takes it away for as long as it likes: between two looks, half a millisecond apart, so
of one turn, or of several where the machine was busy. With `--one-by-one` each datagram costs a system call at either
end, as where the system does not take and give several at once (UDP_SEGMENT and UDP_GRO).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePath
from random import Random
from typing import Any

from benchmarks.rows import Row, summary, write_json
from benchmarks.transport import free_port
from raftpy.contracts.clock import SystemClock
from raftpy.contracts.errors import Stopped
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.contracts.typed import TypeHeader
from raftpy.contracts.types import LocalIdentity
from raftpy.runtime.fetching import Fetching
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.files import SystemFiles
from raftpy.system.threads import Threads
from raftpy.transport import UdpTransport
from raftpy.transport.exchange.address import parse_address

MIB = 1 << 20
REF = SnapshotRef(0, 1, 1)
PIECE = 256 << 10
"""Bytes that the TCP stream is given, and read, at a time."""
LOOK_S = 0.0005


def rss() -> int:
    """Bytes that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Watch:
    """How much the process has grown at most, and for how long its loop was held at most, since ``begin``."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.first = self.most = rss()
        self.held_s = 0.0

    async def run(self) -> None:
        looked_s = 0.0
        while True:
            before_s = time.thread_time()
            await asyncio.sleep(LOOK_S)
            self.held_s = max(self.held_s, time.thread_time() - before_s)
            now_s = time.perf_counter()
            if now_s > looked_s + 0.02:
                looked_s = now_s
                self.most = max(self.most, rss())

    def figures(self) -> dict[str, float]:
        return {"rss": (self.most - self.first) / MIB, "held": self.held_s * 1e3}


class End:
    """One of the two nodes."""

    def __init__(self, node_id: int, members: dict[int, str], directory: Path, datagram: int) -> None:
        self.store = SnapshotStore(SystemFolder(SystemFiles(), PurePath(directory)))
        self.store.load()
        self.transport = UdpTransport(max_datagram=datagram)
        self.transport.start(LocalIdentity(node_id, node_id, 1 << 32, 1, members), self._wake)
        self.fetching = Fetching(node_id, self.transport, self.store, SystemClock(), Threads())
        self.fetching.start()

    def _wake(self) -> None:
        self.transport.receive()

    def close(self) -> None:
        self.transport.close()
        self.fetching.stop(Stopped)
        self.fetching.end()


async def lines() -> asyncio.StreamReader:
    """What the other process says."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def give(members: dict[int, str], directory: Path, datagram: int, tcp_port: int) -> None:
    """The process that has the snapshot: answers each line with what it has become since the last."""
    end = End(1, members, directory, datagram)
    (path,) = directory.iterdir()

    async def stream(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with path.open("rb") as file, contextlib.suppress(ConnectionError):  # the reader may have enough
            while data := await asyncio.to_thread(file.read, PIECE):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(stream, parse_address(members[1]).host, tcp_port)
    watch = Watch()
    watching = asyncio.ensure_future(watch.run())
    asked = await lines()
    print("ready", flush=True)
    while await asked.readline():
        print(json.dumps(watch.figures()), flush=True)
        watch.begin()
    watching.cancel()
    server.close()
    end.close()


def make(directory: Path, mib: int) -> int:
    """A snapshot; its bytes."""
    store = SnapshotStore(SystemFolder(SystemFiles(), PurePath(directory)))
    store.load()
    writer = store.begin(REF)
    writer.section(TypeHeader("machine", 1))
    for number in range(mib):
        writer.write(Random(number).randbytes(MIB))
    return writer.commit().size


async def take_stream(host: str, port: int, path: Path) -> None:
    """What ``give`` streams, into a file."""
    reader, writer = await asyncio.open_connection(host, port)
    with path.open("wb") as file:
        while data := await reader.read(PIECE):
            await asyncio.to_thread(file.write, data)
        await asyncio.to_thread(lambda: (file.flush(), os.fsync(file.fileno())))
    writer.close()
    path.unlink()


async def timed(work: Callable[[], Awaitable[object]], watch: Watch) -> tuple[float, dict[str, float]]:
    watch.begin()
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start, watch.figures()


async def measure(root: Path, datagram: int, rounds: int, size: int) -> list[Row]:
    members = {1: f"127.0.0.1:{free_port()}", 2: f"127.0.0.1:{free_port()}"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    how = [] if UdpTransport.runs else ["--one-by-one"]
    giver = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.fetch", "--give", str(root / "from"), json.dumps(members), str(datagram),
        str(port), *how, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert giver.stdin is not None
    assert giver.stdout is not None
    await giver.stdout.readline()

    async def theirs() -> dict[str, float]:
        assert giver.stdin is not None
        assert giver.stdout is not None
        giver.stdin.write(b"\n")
        figures: dict[str, float] = json.loads(await giver.stdout.readline())
        return figures

    end = End(2, members, root / "to", datagram)
    watch = Watch()
    watching = asyncio.ensure_future(watch.run())
    while not end.transport.reachable(1):
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        await theirs()
        fetch_s, mine = await timed(lambda: end.fetching.fetch(1, REF), watch)
        other = await theirs()
        list(end.store.retain(0, 0))
        tcp_s, _ = await timed(lambda: take_stream("127.0.0.1", port, root / "stream"), watch)
        figures: dict[str, float] = {
            "fetch": size / MIB / fetch_s, "tcp": size / MIB / tcp_s, "ratio": tcp_s / fetch_s,
            "rss of the receiver": mine["rss"], "rss of the source": other["rss"],
            "held at the receiver": mine["held"], "held at the source": other["held"],
        }  # fmt: skip
        for name, value in figures.items():
            found.setdefault(name, []).append({"value": value})
    watching.cancel()
    giver.stdin.close()
    await giver.wait()
    end.close()
    units = {"fetch": "MiB/s", "tcp": "MiB/s", "ratio": "of tcp", "rss": "MiB", "held": "ms"}
    return [
        summary("raftpy.fetch", f"{name}, {datagram} B", each, units[name.split()[0]]) for name, each in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="A snapshot from node to node, beside plain TCP.")
    parser.add_argument("--mib", type=int, default=1024, help="size of the snapshot")
    parser.add_argument("--datagram", type=int, nargs="+", default=[60_000, 1_200], help="bytes of a datagram")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-by-one", action="store_true", help="a system call for each datagram")
    parser.add_argument("--dir", type=Path, help="where the files are made; a folder of the system's by default")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--give", nargs=4, help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    UdpTransport.runs = not given.one_by_one
    if given.give:
        directory, members, datagram, port = given.give
        table = {int(node_id): address for node_id, address in json.loads(members).items()}
        asyncio.run(give(table, Path(directory), int(datagram), int(port)))
        return
    root = Path(tempfile.mkdtemp(dir=given.dir))
    try:
        size = make(root / "from", given.mib)
        rows = [row for datagram in given.datagram for row in asyncio.run(measure(root, datagram, given.rounds, size))]
    finally:
        shutil.rmtree(root)
    for row in rows:
        print(f"{row.work:<32} {row.value:>9.2f} {row.unit}")
    if given.json is not None:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
