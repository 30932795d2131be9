"""Worlds whose members come and go: which they are, what comes of it, and that a mistake there is seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from raftcore.values.message import ConfState
from raftpy.contracts.types import RemovedMember
from raftpy.members.table import MemberTable
from raftpy.sim import member_calls
from raftpy.sim.member_calls import HARMS
from raftpy.sim.outcome import Broken
from raftpy.sim.plan import MemberLoad, Plan
from raftpy.sim.run import Run, run
from raftpy.sim.sometimes import MEMBERS
from raftpy.sim.swarm import draw_plan


def plans(count: int) -> list[Plan]:
    """The first so many whose members come and go."""
    found: list[Plan] = []
    seed = 1
    while len(found) < count:
        plan = draw_plan(seed)
        if plan.members.asked_s:
            found.append(plan)
        seed += 1
    return found


def test_few_worlds_have_it_and_the_others_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [draw_plan(seed) for seed in range(600)]
    monkeypatch.setattr(member_calls, "SHARE", 0.0)
    found = [plan for plan in drawn if plan != draw_plan(plan.seed)]
    assert 0.04 < len(found) / len(drawn) < 0.1
    for plan in found:
        without = draw_plan(plan.seed)
        assert without.members == MemberLoad()
        assert not HARMS & {fault.kind for fault in plan.faults}
        assert replace(plan, members=MemberLoad(), groups=without.groups, faults=(), load=without.load) == replace(
            without, faults=()
        )


def test_all_of_it_is_reached_in_a_few_worlds() -> None:
    reached: Counter[str] = Counter()
    for plan in plans(25):
        outcome = run(plan)
        assert outcome.failure is None, f"seed {plan.seed}: {outcome.failure}"
        reached.update(outcome.reached)
    assert [name for name in MEMBERS if not reached[name]] == []


@pytest.mark.parametrize(
    ("removed", "voters", "text"),
    [
        ({}, [1, 2], "somebody was told that it is so of node 3, removed by entry 9, and node 1 has None"),
        ({3: 8}, [1, 2], "removed by entry 9, and node 1 has 8"),
        ({3: 9, 4: 5}, [1, 2, 4], r"counts \[4\], removed, as members"),
    ],
)
def test_a_removal_that_does_not_stay_is_seen(removed: dict[int, int], voters: list[int], text: str) -> None:
    calls = Run(Plan(seed=1, members=MemberLoad(asked_s=1.0, spares=1))).members
    calls._note(calls._gone, 3, 9)
    table = MemberTable(removed={node: RemovedMember(index) for node, index in removed.items()})
    group = SimpleNamespace(table=table, raw=SimpleNamespace(conf_state=ConfState(voters)))
    life: Any = SimpleNamespace(groups={0: group}, process=SimpleNamespace(node=1))
    with pytest.raises(Broken, match=text):
        calls.check([life])


def test_nobody_is_removed_twice() -> None:
    world = Run(Plan(seed=1, members=MemberLoad(asked_s=1.0, spares=1)))
    world.members._note(world.members._ended, 3, 9)
    world.members._note(world.members._ended, 3, 9)
    world.checks.look_again()
    world.members._note(world.members._ended, 3, 10)
    with pytest.raises(Broken, match="node 3 was removed by entries 9 and 10"):
        world.checks.look_again()
