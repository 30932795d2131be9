"""How long nothing can be written after kill -9 of the leader; heartbeats every 50 ms, elections after 150 to 300.

The clock runs from the kill to the first command that a survivor acknowledges, tried again every few milliseconds on
both of them.
"""

from __future__ import annotations

import random
import time

from benchmarks.cluster import Cluster, RaftpyCluster

SETTLE_S = 0.5
"""Heartbeats and acknowledgements at rest before the kill; a heartbeat more or less by chance comes on top."""
LIMIT_S = 30.0


def outage_ms(cluster: Cluster) -> float:
    """One round on a running cluster: kills the leader, gives the outage in milliseconds, and starts it again."""
    leader = cluster.leader()
    leader.tell("sequential", size=16, count=20)
    time.sleep(SETTLE_S + random.uniform(0.0, 0.1))
    began = time.perf_counter()
    cluster.kill(leader)
    survivors = list(cluster.members.values())
    while not any(survivor.tell("attempt")["done"] for survivor in survivors):
        if time.perf_counter() - began > LIMIT_S:
            raise RuntimeError(f"no survivor took a command within {LIMIT_S:.0f} s")
    taken = (time.perf_counter() - began) * 1000
    cluster.launch(leader.id).read()
    return taken


def measure(rounds: int = 1) -> list[float]:
    """Outages of raftpy in milliseconds."""
    with RaftpyCluster() as cluster:
        return [outage_ms(cluster) for _ in range(rounds)]
