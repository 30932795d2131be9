"""A snapshot crosses a path of 1,500 bytes that loses, repeats and reorders, or is slow, between nodes in processes of
their own; and so does a command of nearly 16 MiB.

``RAFTPY_TRANSFER_MB=200`` makes the transfer as large as that; so much takes minutes on a path that loses one packet in
twenty, where any sender that is fair to TCP gets no more than a few megabytes a second.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.chaos.nodes import all_alike, fill, level, put, snapshot, status
from tests.network.far_nodes import Far, leader_of
from tests.network.relay import RelayedNetwork

MEGABYTES = int(os.environ.get("RAFTPY_TRANSFER_MB", "3"))
PATIENCE_S = 20.0 + 2.0 * MEGABYTES
LONGEST_PUT_S = 2.0
"""For a small value meanwhile: what is lost of it is sent again after a heartbeat or two."""
BAD = {"delay": 0.002, "loss": 0.05, "duplicate": 0.02, "reorder": 0.02}
SLOW = {"delay": 0.002, "rate": 12_500_000, "queue": 625_000}
"""100 Mbit/s, with a queue of 50 ms."""


@pytest.mark.needs_namespaces
@pytest.mark.timeout(int(60 + 2 * PATIENCE_S))
@pytest.mark.parametrize("conditions", [BAD, SLOW], ids=["bad", "slow"])
def test_a_snapshot_crosses_it_while_commands_go_on(tmp_path: Path, seed: int, conditions: dict[str, float]) -> None:
    # With a loss like this three heartbeats in a row are missing once in a few minutes: elections wait for more.
    options = ["--trailing-bytes", "0", "--election-ms", "500-1000"]
    with RelayedNetwork("a", "b", "c", mtu=1500, seed=seed) as network:
        cluster = Far(tmp_path, network, options)
        for node_id in cluster.ids:
            cluster.start(node_id)
        leader = leader_of(cluster, cluster.ids)
        lost = next(node_id for node_id in cluster.ids if node_id != leader)
        others = [node_id for node_id in cluster.ids if node_id != lost]
        holds = level(cluster)
        cluster.kill(lost)
        values = {"first": b"value"}
        put(cluster, "first", b"value")
        values |= fill(cluster, seed, MEGABYTES, 1_000_000)
        level(cluster, others, patience=PATIENCE_S)
        for number in range(2):
            put(cluster, f"then{number}", b"value")
            values[f"then{number}"] = b"value"
            level(cluster, others)
            for node_id in others:
                assert snapshot(cluster, node_id).status == 200
        assert all(status(cluster, node_id)["first_index"] > holds + 1 for node_id in others)
        leader = leader_of(cluster, others)
        term = status(cluster, leader)["term"]
        network.conditions(**conditions)
        cluster.start(lost)
        begun = time.monotonic()
        slowest = 0.0
        number = 0
        while status(cluster, lost).get("snapshot_index", 0) == 0:
            assert time.monotonic() < begun + PATIENCE_S, status(cluster, lost).get("incoming_snapshot")
            number += 1
            asked = time.monotonic()
            put(cluster, f"meanwhile{number}", b"value")
            slowest = max(slowest, time.monotonic() - asked)
            values[f"meanwhile{number}"] = b"value"
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        print(f"{MEGABYTES} MB in {seconds:.1f} s; of {number} puts the slowest took {slowest:.3f} s")
        assert slowest < LONGEST_PUT_S
        assert status(cluster, leader)["term"] == term, "an election"
        network.conditions()
        all_alike(cluster, values, patience=PATIENCE_S)
        cluster.stop()


@pytest.mark.needs_namespaces
@pytest.mark.timeout(120)
def test_no_election_starts_while_a_large_command_crosses_a_slow_path(tmp_path: Path, seed: int) -> None:
    """It keeps the leader's link of 100 Mbit/s busy for more than two seconds, where elections come after one."""
    options = ["--election-ms", "500-1000"]
    large = random.Random(seed).randbytes(15 << 20)
    with RelayedNetwork("a", "b", "c", mtu=1500, seed=seed) as network:
        cluster = Far(tmp_path, network, options)
        for node_id in cluster.ids:
            cluster.start(node_id)
        leader = leader_of(cluster, cluster.ids)
        put(cluster, "first", b"value")
        leader = leader_of(cluster, cluster.ids)
        term = status(cluster, leader)["term"]
        for host in cluster.hosts.values():
            host.link.rate("100mbit")
        begun = time.monotonic()
        put(cluster, "large", large)
        level(cluster, patience=60.0)
        assert time.monotonic() - begun > 2.0, "two copies of it, through one link"
        assert status(cluster, leader)["term"] == term, "an election"
        all_alike(cluster, {"first": b"value", "large": large})
        cluster.stop()
