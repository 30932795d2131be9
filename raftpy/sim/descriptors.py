"""Processes that have no descriptor left: the fault, and the worlds that have it.

Whatever such a process opens fails with EMFILE, as under RLIMIT_NOFILE, unless it has closed something before; what it
has open goes on. A node that runs must not end by that: see docs/design-storage.md, "What the system lacks".
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from raftpy.sim.cluster import Cluster, Life
from raftpy.sim.disk.files import NO_LIMIT
from raftpy.sim.plan import Fault, Plan

SHARE = 1 / 6
"""Of the worlds, but for those whose state machines have files of their own, and may end with them."""
MOST = 4
"""How often in one world."""
LONGEST_S = 1.5
"""How long it lasts at most."""


def no_descriptors(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` can open no more files than it has open now, for ``value`` seconds."""
    life = cluster.members[fault.node].life
    if life is None:
        return
    files: Any = life.storage._files
    what = life, "descriptors"
    if not cluster.lasting[what]:
        files.limit = len(files.opened)
    cluster.lasting[what] += 1
    cluster.world.after(fault.value, _over, cluster, life)


def give_back(life: Life) -> None:
    """Its process may open as many files as it likes."""
    files: Any = life.storage._files
    files.limit = NO_LIMIT


def _over(cluster: Cluster, life: Life) -> None:
    what = life, "descriptors"
    cluster.lasting[what] -= 1
    if not cluster.lasting[what]:
        give_back(life)


def with_few_descriptors(plan: Plan, source: Random, room: int) -> Plan:
    """The plan, and in some worlds processes that have no descriptor left for a while, ``room`` times at most. The dice
    are its own, so that they move nothing else."""
    if source.random() >= SHARE or plan.snapshots.machine == "disk":
        return plan
    found = [
        Fault(
            at_s=round(source.uniform(0.1, 0.9) * plan.duration_s, 5),
            kind="no_descriptors",
            node=source.randint(1, plan.nodes),
            value=round(source.uniform(0.05, LONGEST_S), 4),
        )
        for _ in range(max(0, min(room, source.randint(1, MOST))))
    ]
    return replace(plan, faults=tuple(sorted((*plan.faults, *found), key=lambda fault: fault.at_s)))
