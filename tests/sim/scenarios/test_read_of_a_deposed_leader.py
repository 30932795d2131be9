"""A leader that was cut off, and has not noticed that another was elected, answers no read (thesis 6.4).

Seen in consul, issue 54, from a report by Jepsen's author: reads went by what the leader took itself for; and in
d-engine, issue 381: the read was answered before the round that should have confirmed the leader.
"""

from __future__ import annotations

import pytest

from tests.sim.scenarios.stage import stage

CAUGHT = ("read-quorum-less-one",)


@pytest.mark.parametrize("check_quorum", [True, False])
def test_a_leader_in_the_minority_does_not_answer(check_quorum: bool) -> None:
    with stage(5, check_quorum=check_quorum) as world:
        world.written(1, "a", "old")
        world.split(1, 2)  # node 2 goes on answering it
        early = world.read(1, "a", timeout=2.0)
        world.elect(3, known_to=[4, 5])
        world.written(3, "a", "new")
        late = world.read(1, "a", timeout=0.5)
        world.until(lambda: late.ended, "the late read ends")
        assert not late.answered
        # The cluster is whole again: whatever becomes of the early one, it must not see what was there before.
        world.join()
        world.until(lambda: early.ended, "the early read ends")
        assert early.value in (None, "new")
        world.finish(a="new")
