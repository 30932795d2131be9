"""Clocks that run wrong, or jump, cost time and never the truth of a read.

Seen in tikv, issue 964, and in etcd, issue 6005: a leader judged its lease by ticks, and answered with old data once
its clock was slower than the others'. A node reads by asking a majority (thesis 6.4), whatever clocks say; a lease is
an option of the core, whose bound is in ``test_lease.py``.
"""

from __future__ import annotations

import pytest

from raftpy.sim import faults
from raftpy.sim.plan import Fault
from tests.sim.scenarios.stage import stage

CAUGHT = ("read-quorum-less-one",)


def test_a_leader_whose_clock_is_slow() -> None:
    with stage(5, rates={1: 0.2}, heartbeat_ms=20) as world:
        world.written(1, "a", "old")
        world.split(1, 2)  # node 2 goes on answering it
        world.elect(3, known_to=[4, 5])
        world.written(3, "a", "new")
        assert world.leads(1), "by its own clock it has not missed anybody yet"
        read = world.read(1, "a", timeout=0.2)
        world.until(lambda: read.ended, "the read ends")
        assert not read.answered
        world.finish(a="new")


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0, 3.0, -3.0])
def test_the_date_of_the_leader_jumps(jump_s: float) -> None:
    with stage() as world:
        world.written(1, "a", "1")
        term = world.raw(1).term
        faults.inflict(world.cluster, Fault(at_s=0.0, kind="wall_clock", node=1, value=jump_s))
        world.written(1, "a", "2")
        world.pass_(1.0)
        assert (world.leads(1), world.raw(1).term) == (True, term)
        world.restart(1)
        world.finish(a="2")
