"""How long a killed node needs to be back: from the start of its process until it has applied all that was committed.

One node of three; the others go on, so there is a leader that tells it what is committed. No snapshot: the whole log is
read and applied again.
"""

from __future__ import annotations

import time

from benchmarks.cluster import Cluster

SIZE = 16
BATCH = 1000


def fill(cluster: Cluster, entries: int, batch: int = BATCH) -> None:
    """Commits ``entries`` commands of 16 B and waits until all members have applied them; ``batch`` 0: one by one."""
    cluster.leader().tell("fill", size=SIZE, count=entries, batch=batch)
    for member in cluster.members.values():
        member.tell("wait_applied", count=entries)


def restart_ms(cluster: Cluster, entries: int) -> float:
    """kill -9 of a follower; from its next start to all ``entries`` applied, in milliseconds."""
    leader = cluster.leader()
    follower = next(member for member in cluster.members.values() if member is not leader)
    cluster.kill(follower)
    began = time.perf_counter()
    again = cluster.launch(follower.id)
    again.order("wait_applied", count=entries)
    again.read()  # it is up
    again.read()
    return (time.perf_counter() - began) * 1000
