"""Paths between nodes that take less than they did: the fault, and the worlds that have it.

Elsewhere a simulated path takes datagrams of any size, and no node asks how large they may be. In these worlds each
finds it out (``Options.path_sizes``), clients write what needs large datagrams, and paths become narrower without a
word to anybody, some of them wider again: a black hole, RFC 8899, 4.5.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from raftcore.wire.path_size import BASE_SIZE, LARGEST_SIZE
from raftpy.sim.cluster import Cluster
from raftpy.sim.plan import Fault, Plan

SHARE = 1 / 30
"""Of the worlds."""
LONGER_S = (2.0, 5.0)
"""By so many seconds they last longer: a size that does not pass takes three seconds to be given up."""
FOUND_S = 6.0
"""Within so many seconds a path that has become narrower is spoken to in datagrams that it takes: each second it is
looked whether large ones leave that nobody acknowledges, three probes of a second each ask then, and the base is tried
anew."""
NARROW = (BASE_SIZE, 1232, 1452, 1472, 3_000, 8_952)
"""Bytes behind the UDP header that are left: the base passes any path that IPv6 allows."""
LARGE_BYTES = (2_000, 5_000, 30_000, 150_000)
"""Of a large value: some are in a datagram of their own, some in fragments."""
LARGE_MEAN_BYTES = 2_000
"""What large values add to the mean of all, at most."""
SIZES = (2_000, 10_000, 100_000)
"""Bytes of the commands that are written once paths have become narrower in the end."""
MOST_CHANGES = 3
"""Of the paths, in one world."""


def narrow_path(cluster: Cluster, fault: Fault) -> None:
    """From now on the path from ``node`` to ``other`` takes datagrams of ``value`` bytes at most, also when all is
    healed; larger ones vanish, and nobody is told. With ``other`` 0, the paths from ``node`` to all others."""
    for other in cluster.ids if fault.other == 0 else (fault.other,):
        if other != fault.node:
            cluster.network.paths[fault.node, other] = int(fault.value)


def narrow_all(cluster: Cluster, source: Random) -> None:
    """All paths become as narrow as ``source`` draws, each for itself."""
    for node in cluster.ids:
        for other in cluster.ids:
            if other != node:
                narrow_path(cluster, Fault(at_s=0.0, kind="", node=node, other=other, value=source.choice(NARROW)))


def with_paths(plan: Plan, source: Random) -> Plan:
    """The plan, and in a few worlds paths that change, a few times, one way or both: there is room for
    them, as these worlds last longer. The dice are its own, so that they move nothing else."""
    if source.random() >= SHARE or plan.nodes == 1:
        return plan
    duration_s = round(plan.duration_s + source.uniform(*LONGER_S), 3)
    size = source.choice(LARGE_BYTES)
    found = []
    for _ in range(source.randint(1, MOST_CHANGES)):
        node = source.randint(1, plan.nodes)
        other = source.choice((0, *(other for other in range(1, plan.nodes + 1) if other != node)))
        at_s = round(source.uniform(0.2, 1.0) * duration_s, 5)
        narrow = Fault(at_s=at_s, kind="narrow_path", node=node, other=other, value=float(source.choice(NARROW)))
        if source.random() < 0.3:
            narrow = replace(narrow, value=float(LARGEST_SIZE))  # wider than one before it, perhaps
        found.append(narrow)
        if other and source.random() < 0.5:
            found.append(replace(narrow, node=other, other=node))
    return replace(
        plan,
        duration_s=duration_s,
        options=replace(plan.options, path_sizes=True, max_datagram=source.choice((4_000, 9_000, LARGEST_SIZE))),
        load=replace(plan.load, large=round(min(0.5, LARGE_MEAN_BYTES / size), 4), large_bytes=size),
        faults=tuple(sorted((*plan.faults, *found), key=lambda fault: fault.at_s)),
    )
