"""What loss, distance and a TCP stream beside it cost, in network namespaces: for root, on Linux.

    python -m benchmarks.network [--work NAMES] [--mib 48] [--rounds 3] [--datagram 1200] [--json FILE]

Figures are ratios of what was measured in turns, or at the same time, on this machine:

`loss`, by round trip: a snapshot is fetched over 100 Mbit/s, without loss and with 1 % of the packets lost; `kept` is
the second rate by the first. Beside it the same of a TCP stream of the kernel's.
`fair`, by round trip: a snapshot is fetched and a TCP stream read at the same time, over a bottleneck of 50 Mbit/s
whose queue holds 50 ms; `share` is what the snapshot gets of what both get, once both are under way.
`far`: three nodes, 100 ms of round trip and 1 % of loss between any two; commands of 1 KB in flight, raftpy's rate by
that of etcd/raft over TCP, both with elections after a second or more. It needs Go, and is left out without it.

Not taken unless named, as they take minutes (benchmarks/transfers.py): `slow`, a snapshot of 1 GB and a large command
over 100 Mbit/s, and `bad`, one of 200 MB over loss, repetition and reordering (`--megabytes`). Does an election start?

TCP is the kernel's, CUBIC by default (`--tcp bbr`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.cluster import Cluster
from benchmarks.compare import build
from benchmarks.fetch import MIB, REF, End, lines, make
from benchmarks.rows import Row, summary, write_json
from benchmarks.transfers import bad, slow
from tests.network.namespaces import Host, Network, command, unavailable
from tests.network.relay import RelayedNetwork

UDP_PORT, TCP_PORT = 7100, 7200
LOSS_MBIT, FAIR_MBIT = 100, 50
QUEUE_S = 0.05
SETTLE_S, SHARED_S = 4.0, 12.0
"""Until both streams are under way, and for how long they are watched then."""
FAR_S = 15.0
CONCURRENCY = 1024


# --- In the namespace of the receiver --------------------------------------------------------------------------------


async def read_for_ever(host: str, counted: list[int]) -> None:
    """Reads the TCP stream over and over; ``counted`` has its bytes."""
    while True:
        reader, writer = await asyncio.open_connection(host, TCP_PORT)
        while data := await reader.read(256 << 10):
            counted[0] += len(data)
        writer.close()


async def shared(end: End, host: str) -> dict[str, float]:
    """Both at a time; bytes a second of each, and the share of the snapshot."""
    counted = [0]
    stream = asyncio.ensure_future(read_for_ever(host, counted))
    fetching = asyncio.ensure_future(end.fetching.fetch(1, REF))

    def at() -> tuple[int, int]:
        progress = end.fetching.progress(0)
        if progress is None:
            raise RuntimeError("the snapshot has come whole too early: give it more --mib")
        return progress.position, counted[0]

    await asyncio.sleep(SETTLE_S)
    snapshot, tcp = at()
    await asyncio.sleep(SHARED_S)
    snapshot, tcp = (now - before for now, before in zip(at(), (snapshot, tcp), strict=True))
    stream.cancel()
    fetching.cancel()
    await asyncio.wait([stream, fetching])
    rates = {"fetch": snapshot / SHARED_S / MIB, "tcp": tcp / SHARED_S / MIB}
    return {**rates, "share": snapshot / (snapshot + tcp)}


async def take(members: dict[int, str], directory: Path, datagram: int) -> None:
    """The process that fetches: each line orders one measurement."""
    end = End(2, members, directory, datagram)
    host = members[1].split(":")[0]
    while not end.transport.reachable(1):
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    orders = await lines()
    print(json.dumps({}), flush=True)
    while order := (await orders.readline()).decode().strip():
        began = time.perf_counter()
        if order == "fetch":
            file = await end.fetching.fetch(1, REF)
            figures = {"fetch": file.size / MIB / (time.perf_counter() - began)}
            list(end.store.retain(0, 0))
        elif order == "tcp":
            counted = [0]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(read_for_ever(host, counted), SHARED_S)
            figures = {"tcp": counted[0] / SHARED_S / MIB}
        else:
            figures = await shared(end, host)
            await asyncio.sleep(1.0)
        print(json.dumps(figures), flush=True)
    end.close()


# --- Outside ---------------------------------------------------------------------------------------------------------


class Pair:
    """Two hosts and the processes in them: the one has a snapshot, the other is told what to take."""

    def __init__(self, network: Network, root: Path, options: argparse.Namespace) -> None:
        giver, taker = network["a"], network["b"]
        members = json.dumps({1: f"{giver.address}:{UDP_PORT}", 2: f"{taker.address}:{UDP_PORT}"})
        give = ("benchmarks.fetch", "--give", str(root / "from"), members, str(options.datagram), str(TCP_PORT))
        self._give = self._start(giver, *give)
        assert self._give.stdout is not None
        self._give.stdout.readline()
        self._take = self._start(
            taker, "benchmarks.network", "--take", str(root / "to"), members, str(options.datagram)
        )
        self._read()

    @staticmethod
    def _start(host: Host, module: str, *words: str) -> subprocess.Popen[bytes]:
        return host.start(sys.executable, "-m", module, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _read(self) -> dict[str, float]:
        assert self._take.stdout is not None
        line = self._take.stdout.readline()
        if not line:
            raise RuntimeError("the process that fetches has ended")
        figures: dict[str, float] = json.loads(line)
        return figures

    def ask(self, order: str) -> dict[str, float]:
        """Has something measured; its figures."""
        assert self._take.stdin is not None
        self._take.stdin.write(order.encode() + b"\n")
        self._take.stdin.flush()
        return self._read()


class Way:
    """What holds between the hosts: a round trip in milliseconds, and megabits a second, with a queue of 50 ms."""

    def __init__(self, network: RelayedNetwork, round_trip_ms: int, megabits: int = 0) -> None:
        self._network = network
        rate = megabits * 125_000
        self._holds = {"delay": round_trip_ms / 2000, "rate": rate, "queue": rate * QUEUE_S}
        self.lose(0.0)

    def lose(self, part: float) -> None:
        """That part of the packets is lost from now on, in either direction."""
        self._network.conditions(**self._holds, loss=part)


@contextlib.contextmanager
def network_of(names: str, tcp: str) -> Iterator[RelayedNetwork]:
    """Hosts whose TCP has that congestion control."""
    with RelayedNetwork(*names) as network:
        for host in network.hosts.values():
            route = command("ip", "-n", host.namespace, "route", "show", "default").split()
            command("ip", "-n", host.namespace, "route", "change", *route, "congctl", tcp)
        yield network


def loss(root: Path, options: argparse.Namespace, round_trip_ms: int) -> Iterator[Row]:
    """What is kept of the rate with 1 % of loss."""
    found: dict[str, list[dict[str, float]]] = {}
    with network_of("ab", options.tcp) as network:
        way = Way(network, round_trip_ms, LOSS_MBIT)
        pair = Pair(network, root, options)
        for _ in range(options.rounds):
            for kind in ("fetch", "tcp"):
                rates = []
                for part in (0.0, 0.01):
                    way.lose(part)
                    rates.append(pair.ask(kind)[kind])
                found.setdefault(kind, []).append({"value": rates[0]})
                found.setdefault(f"{kind}, loss", []).append({"value": rates[1]})
                found.setdefault(f"{kind} kept", []).append({"value": rates[1] / rates[0]})
    for name, each in found.items():
        yield summary("raftpy.network", f"loss {round_trip_ms} ms, {name}", each, "" if "kept" in name else "MiB/s")


def fair(root: Path, options: argparse.Namespace, round_trip_ms: int) -> Iterator[Row]:
    """How a bottleneck is shared with one TCP stream."""
    found: dict[str, list[dict[str, float]]] = {}
    with network_of("ab", options.tcp) as network:
        Way(network, round_trip_ms, FAIR_MBIT)
        pair = Pair(network, root, options)
        for _ in range(options.rounds):
            for name, value in pair.ask("both").items():
                found.setdefault(name, []).append({"value": value})
    for name, each in found.items():
        unit = "of both" if name == "share" else "MiB/s"
        yield summary("raftpy.network", f"fair {round_trip_ms} ms, {name}", each, unit)


def far(root: Path, options: argparse.Namespace, round_trip_ms: int) -> Iterator[Row]:
    """1 KB in flight over a long and lossy path, beside etcd/raft."""
    if (why := build.missing("go")) is not None:
        print(f"far: etcd/raft cannot be built: {why}", file=sys.stderr)
        return
    build.build("etcdraft")
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        rates = {}
        for name, launch in (("raftpy", raftpy_member), ("etcd-raft", etcd_member)):
            with network_of("abc", options.tcp) as network:
                way = Way(network, round_trip_ms)
                hosts = [network[host] for host in "abc"]

                def start(node_id: int, cluster: str, data: Path) -> list[str]:
                    inside = ["ip", "netns", "exec", hosts[node_id - 1].namespace]  # noqa: B023
                    return [*inside, *launch(node_id, cluster, data)]  # noqa: B023

                addresses = [host.address for host in hosts]
                with Cluster(start, root, tcp=name == "etcd-raft", hosts=addresses) as cluster:
                    cluster.leader()
                    time.sleep(SETTLE_S)
                    way.lose(0.01)
                    figures = cluster.run("in_flight", size=1024, concurrency=CONCURRENCY, seconds=FAR_S)
            rates[name] = figures["rate"]
            found.setdefault(f"{name}, rate", []).append({"value": figures["rate"]})
            found.setdefault(f"{name}, p50", []).append({"value": figures["p50_us"] / 1000})
            found.setdefault(f"{name}, p99", []).append({"value": figures["p99_us"] / 1000})
        found.setdefault("ratio", []).append({"value": rates["raftpy"] / rates["etcd-raft"]})
    for name, each in found.items():
        unit = "of etcd/raft" if name == "ratio" else "a second" if "rate" in name else "ms"
        yield summary("raftpy.network", f"far {round_trip_ms} ms, {name}", each, unit)


def raftpy_member(node_id: int, cluster: str, data: Path) -> list[str]:
    line = [sys.executable, "-m", "benchmarks.member", "--far", "--id", str(node_id)]
    return [*line, "--cluster", cluster, "--data", str(data)]


def etcd_member(node_id: int, cluster: str, data: Path) -> list[str]:
    return [str(build.program("etcdraft")), "-id", str(node_id), "-cluster", cluster, "-data", str(data)]


WORKS: dict[str, tuple[Callable[[Path, argparse.Namespace, int], Iterator[Row]], tuple[int, ...]]] = {
    "loss": (loss, (1, 20, 100)),
    "fair": (fair, (1, 20, 50)),
    "far": (far, (100,)),
    "slow": (slow, (0,)),
    "bad": (bad, (4,)),
}
"""By name: what is measured, and at which round trips in milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description="What loss, distance and a TCP stream cost, in network namespaces.")
    parser.add_argument("--work", default="loss,fair,far", help="names, as above, with commas")
    parser.add_argument("--ms", type=int, nargs="+", help="round trips in milliseconds")
    parser.add_argument("--mib", type=int, default=48, help="size of the snapshot")
    parser.add_argument("--megabytes", type=int, help="of the values in the snapshot of slow and bad")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tcp", default="cubic", help="the congestion control of TCP: cubic, reno or bbr")
    parser.add_argument("--datagram", type=int, default=1_200, help="bytes of a datagram")
    parser.add_argument("--dir", type=Path, help="where the files are made; a folder of the system's by default")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--take", nargs=3, help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.take:
        directory, members, datagram = given.take
        table = {int(node_id): address for node_id, address in json.loads(members).items()}
        asyncio.run(take(table, Path(directory), int(datagram)))
        return
    if (why := unavailable()) is not None:
        raise SystemExit(f"network namespaces cannot be made here: {why}")
    rows = []
    for work in given.work.split(","):
        measure, round_trips = WORKS[work]
        for round_trip_ms in given.ms or round_trips:
            root = Path(tempfile.mkdtemp(dir=given.dir))
            try:
                if work in ("loss", "fair"):
                    make(root / "from", given.mib if work == "loss" else max(given.mib, 256))
                    os.mkdir(root / "to")
                for row in measure(root, given, round_trip_ms):
                    rows.append(row)
                    print(f"{row.work:<32} {row.value:>9.2f} {row.unit}", flush=True)
            finally:
                shutil.rmtree(root)
    if given.json is not None:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
