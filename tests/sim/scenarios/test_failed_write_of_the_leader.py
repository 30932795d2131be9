"""A leader that cannot write an entry it has sent out leads no further in that term.

Seen in canonical/raft, issue 320: the leader took the entry back and put another under the same index and term; the
follower that had the first took the second for the same.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.scenarios.stage import STEADY_DISK, stage
from tests.sim.scenarios.test_full_disk import CAUGHT as CAUGHT  # noqa: PLC0414 (the same mistake, with the leader)


@pytest.mark.parametrize("mode", ["inline", "thread"])
@pytest.mark.parametrize("fault", ["write_error", "sync_error", "no_space"])
def test_it_stops_and_the_entry_is_the_same_everywhere_or_nowhere(mode: str, fault: str) -> None:
    with stage(write_mode=mode) as world:
        term = world.raw(1).term
        life = world.life(1)
        world.member(1).disk.faults = replace(STEADY_DISK, **{fault: 1.0})
        world.write(1, "a", "first")
        world.until(lambda: world.member(1).life is not life, "node 1 stops by itself")
        world.member(1).disk.faults = STEADY_DISK
        assert world.raw(world.anybody()).term > term
        world.settle()
        leader = world.anybody()
        kept = world.value(leader, "a")
        world.written(leader, "b", "second")
        world.finish(a=kept, b="second")
