"""All machines lose power while the cluster is being founded, at any moment of it: it is founded after all.

Seen in raft-engine, issue 344, and in etcd, issue 3591: what a node had left when it was cut short could not be opened
again.
"""

from __future__ import annotations

import pytest

from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import stage

CAUGHT = (
    Bug(
        name="segment-not-named-at-the-founding",
        breaks="a floor tells of a boot only once the name of the segment that has it is durable",
        file="raftpy/storage/leveldb/segment.py",
        old="    files.sync_directory(row)\n",
        new="",
    ),
)


@pytest.mark.parametrize("moment", range(40))
def test_at_any_moment(moment: int) -> None:
    with stage(leader=None, seed=moment) as world:
        world.pass_(moment * 0.0005)
        for node in (1, 2, 3):
            world.kill(node, "power")
        for node in (1, 2, 3):
            world.start(node)
        world.written(world.anybody(), "a", "1")
        world.finish(a="1")


@pytest.mark.parametrize("operations", range(1, 40))
def test_between_any_two_operations_of_a_disk(operations: int) -> None:
    with stage(leader=None, seed=operations) as world:
        for node in (1, 2, 3):
            world.member(node).die_at = operations
            world.member(node).down_s = 0.05 * node
        world.pass_(0.3)
        world.written(world.anybody(), "a", "1")
        world.finish(a="1")
