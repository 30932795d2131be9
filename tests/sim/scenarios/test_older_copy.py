"""An older copy of a directory, put back: its start is not believed by those who have heard later ones.

Seen in cockroachdb/docs, issue 269: a node that is restored from a backup goes back in time, and may vote twice or deny
what it has acknowledged. docs/design-storage.md: not noticed by the node itself; "peers that heard the later boots drop
what the older incarnation says, and tell it so".
"""

from __future__ import annotations

import pytest

from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import stage

CAUGHT = (
    Bug(
        name="forked-life-believed",
        breaks="two incarnations under one counter are a copied directory: the first heard stays (rules.py, rule 3)",
        file="raftpy/transport/identity/rules.py",
        old="        if counter == known_counter:\n            return Verdict.FORKED_BOOT\n",
        new="",
    ),
    Bug(
        name="older-life-believed",
        breaks="a boot's counter only grows: an older one is not brought back (rules.py, rule 2)",
        file="raftpy/transport/identity/rules.py",
        old="        if counter < known_counter:\n            return Verdict.STALE_BOOT\n",
        new="",
    ),
)


@pytest.mark.parametrize("starts", [1, 2, 3])
def test_it_does_not_elect_who_lacks_what_it_had_acknowledged(starts: int) -> None:
    with stage() as world:
        world.kill(2)
        copy = world.member(2).disk.copy()
        for number in range(1, starts + 1):
            world.start(2)
            world.until(lambda: world.up(2) and world.raw(2).leader == 1, "node 2 follows")
            world.quiet()
            if number < starts:
                world.kill(2)
        world.cut_off(3)
        world.written(1, "a", "1")
        world.kill(2)
        world.distrust(2).restore(copy)
        world.kill(1)
        world.join()
        world.start(2)
        for _ in range(20):
            world.pass_(0.1)
            assert not world.leads(2)
            assert not world.leads(3)

        world.start(1)
        world.elect(1, known_to=[3])
        world.kill(2)
        world.member(2).lost = True
        world.finish(a="1")
