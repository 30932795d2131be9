"""How long nothing can be written after kill -9 of the leader, with the default timeouts.

The clock runs from the kill to the first command that a survivor acknowledges, tried again every few milliseconds on
both of them.
"""

from __future__ import annotations

import time

from benchmarks.cluster import RaftpyCluster

SETTLE_S = 1.0  # heartbeats and acknowledgements at rest before the kill


def measure() -> float:
    """One round: the outage in milliseconds."""
    with RaftpyCluster() as cluster:
        leader = cluster.leader()
        leader.tell("sequential", size=16, count=20)
        time.sleep(SETTLE_S)
        leader.process.kill()
        killed = time.perf_counter()
        leader.kill()
        survivors = [member for member in cluster.members.values() if member is not leader]
        del cluster.members[leader.id]
        while time.perf_counter() - killed < 30:
            for survivor in survivors:
                if survivor.tell("attempt")["done"]:
                    return (time.perf_counter() - killed) * 1000
        raise RuntimeError("no survivor took a command within 30 s")
