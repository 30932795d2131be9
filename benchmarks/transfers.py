"""What a large transfer does to a cluster, in network namespaces: does an election start, and how long do others wait?

The works `slow` and `bad` of benchmarks.network. Three nodes, each on a host of its own; one was away while the others
put values of 1 MB, took snapshots, and cut their logs. Then it comes back, and is brought the snapshot, while small
values are put one after the other.

`slow`: every link has 100 Mbit/s, by the kernel's token bucket; in the middle a command of nearly 16 MiB, the largest
that the defaults allow, is put as well. Elections come after the default's 150 to 300 ms of silence.
`bad`: a packet has 1,500 bytes; 5 % are lost, 2 % come twice and 2 % out of their order, in either direction. Elections
come after 0.5 to 1 s: with a loss like this three heartbeats in a row are missing once in a few minutes.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.rows import Row, summary
from tests.chaos.nodes import ask, fill, level, put, snapshot, status
from tests.network.far_nodes import Far, leader_of
from tests.network.relay import RelayedNetwork

LARGE = (16 << 20) - 1024
BAD = {"delay": 0.002, "loss": 0.05, "duplicate": 0.02, "reorder": 0.02}
OPTIONS = ["--trailing-bytes", "0"]
PATIENT = ["--election-ms", "500-1000"]
PATIENCE_S = 900.0


def transfer(
    root: Path, megabytes: int, hamper: Callable[[RelayedNetwork, Far], None], large: int, options: Sequence[str] = ()
) -> dict[str, float]:
    """How long the snapshot took, how many terms began meanwhile, the slowest small put, and what came per second."""
    with RelayedNetwork("a", "b", "c", mtu=1500) as network:
        cluster = Far(root, network, [*OPTIONS, *options])
        for node_id in cluster.ids:
            cluster.start(node_id)
        leader = leader_of(cluster, list(cluster.ids))
        lost = next(node_id for node_id in cluster.ids if node_id != leader)
        others = [node_id for node_id in cluster.ids if node_id != lost]
        put(cluster, "first", b"value")
        cluster.kill(lost)
        fill(cluster, 1, megabytes, 1_000_000)
        for number in range(2):
            put(cluster, f"then{number}", b"value")
            level(cluster, others, patience=PATIENCE_S)
            for node_id in others:
                if snapshot(cluster, node_id).status != 200:
                    raise RuntimeError(f"node {node_id} takes no snapshot")
        leader = leader_of(cluster, others)
        term = status(cluster, leader)["term"]
        hamper(network, cluster)
        cluster.start(lost)
        begun = time.monotonic()
        slowest, number = 0.0, 0
        value = random.Random(2).randbytes(large)
        beside = threading.Thread(target=ask, args=(cluster, leader, "PUT", "/v1/kv/large", value, PATIENCE_S))
        while status(cluster, lost).get("snapshot_index", 0) == 0:
            if time.monotonic() > begun + PATIENCE_S:
                raise RuntimeError(f"the snapshot has not come: {status(cluster, lost).get('incoming_snapshot')}")
            number += 1
            asked = time.monotonic()
            put(cluster, f"meanwhile{number}", b"value", without=lost)
            slowest = max(slowest, time.monotonic() - asked)
            if large and number == 20:
                beside.start()
            time.sleep(0.05)
        took_s = time.monotonic() - begun
        if beside.ident is not None:
            beside.join()
        elections = status(cluster, leader_of(cluster, others))["term"] - term
        cluster.stop()
    return {"took": took_s, "rate": megabytes / took_s, "elections": elections, "slowest put": 1e3 * slowest}


def rows(name: str, figures: dict[str, float]) -> Iterator[Row]:
    units = {"took": "s", "rate": "MB/s", "elections": "terms", "slowest put": "ms"}
    for each, value in figures.items():
        yield summary("raftpy.network", f"{name}, {each}", [{"value": float(value)}], units[each])


def slow(root: Path, options: argparse.Namespace, round_trip_ms: int) -> Iterator[Row]:
    """1 GB by default, and a large command, over 100 Mbit/s."""

    def hamper(_: RelayedNetwork, cluster: Far) -> None:
        for host in cluster.hosts.values():
            host.link.rate("100mbit")

    yield from rows("slow", transfer(root, options.megabytes or 1000, hamper, LARGE))


def bad(root: Path, options: argparse.Namespace, round_trip_ms: int) -> Iterator[Row]:
    """200 MB by default, over a path that loses, repeats and reorders."""

    def hamper(network: RelayedNetwork, _: Far) -> None:
        network.conditions(**{**BAD, "delay": round_trip_ms / 2000})

    yield from rows("bad", transfer(root, options.megabytes or 200, hamper, 0, PATIENT))
