"""A leader that its disk holds up is replaced, and says nothing old when it goes on.

Seen in etcd, issue 13527: a leader whose writes hung neither stepped down nor served; in camunda, issue 11665, and
redpanda, pull request 30817, nodes that were held up like that disturbed the elections of the others.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.scenarios.stage import STEADY_DISK, stage

CAUGHT = ()
"""The mistakes that would make it answer with old data are those of ``test_read_of_a_deposed_leader.py``."""


@pytest.mark.parametrize("mode", ["inline", "auto"])
@pytest.mark.parametrize("pre_vote", [True, False])
def test_the_loop_of_the_leader_waits_for_its_disk(mode: str, pre_vote: bool) -> None:
    with stage(write_mode=mode, pre_vote=pre_vote) as world:
        world.written(1, "a", "old")
        world.member(1).disk.faults = replace(STEADY_DISK, stall=1.0, stall_s=(3.0, 3.0))
        late = world.write(1, "b", "1", timeout=None)
        world.pass_(0.01)
        read = world.read(1, "a", timeout=None)
        world.member(1).disk.faults = STEADY_DISK
        world.until(lambda: world.leads(2) or world.leads(3), "another leader")
        other = world.anybody()
        assert other != 1
        world.written(other, "a", "new")
        term = world.raw(other).term
        assert not late.ended
        assert not read.ended

        world.until(lambda: read.ended, "the read is answered")
        assert read.value == "new"
        world.pass_(0.5)
        assert world.raw(other).term == term, "it disturbs nobody when it goes on"
        world.finish(a="new")
