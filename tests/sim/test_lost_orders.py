"""Orders to stand that come to nothing: the fault, the worlds that have it, and what must hold in the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from raftcore import MessageType, StateType
from raftpy.sim import lost_orders, member_calls, swarm
from raftpy.sim.faults import inflict
from raftpy.sim.lost_orders import THE_ORDER, THE_VOTES, passed_over
from raftpy.sim.plan import Fault
from raftpy.sim.run import run
from raftpy.sim.swarm import draw_plan
from tests.sim.scenarios.stage import stage

ELECTION_S = 0.15


@pytest.mark.parametrize("what", [THE_ORDER, THE_VOTES])
def test_nobody_comes_to_lead_by_order_as_long_as_it_lasts(what: int) -> None:
    with stage() as world:
        inflict(world.cluster, Fault(at_s=0.0, kind="lost_order", other=what, value=4 * ELECTION_S))
        orders = world.keep(MessageType.MsgTimeoutNow, copies=True)
        inflict(world.cluster, Fault(at_s=0.0, kind="priority", other=2, value=5.0))
        world.until(lambda: bool(orders.kept), "it is told to stand")
        assert world.reached["an order to stand came to nothing"] == (what == THE_ORDER)
        world.pass_(0.01)
        assert world.reached["an order to stand came to nothing"] >= 1
        assert not world.leads(2)
        world.settle()
        assert world.leads(2), "whoever is preferred leads in the end"
        world.run._finish()


def test_a_leader_tries_again_and_again_until_it_is_heard() -> None:
    with stage() as world:
        inflict(world.cluster, Fault(at_s=0.0, kind="lost_order", other=THE_ORDER, value=40 * ELECTION_S))
        inflict(world.cluster, Fault(at_s=0.0, kind="priority", other=2, value=5.0))
        world.pass_(39 * ELECTION_S)
        assert world.leads(1)
        assert 2 <= world.reached["an order to stand came to nothing"] <= 3, "about 2, 12 and 32 election timeouts"
        world.settle()
        assert world.leads(2)
        world.run._finish()


def life(node: int, state: StateType, priorities: dict[int, int], voters: list[int], awaits_state: bool = False) -> Any:
    raw = SimpleNamespace(state=state, awaits_state=awaits_state, conf_state=SimpleNamespace(voters=voters))
    driver = SimpleNamespace(priority=lambda node: priorities.get(node, 0))
    return SimpleNamespace(
        process=SimpleNamespace(node=node),
        groups={0: SimpleNamespace(raw=raw)},
        host=SimpleNamespace(driver=driver),
    )


@pytest.mark.parametrize(
    ("priorities", "voters", "awaits_state", "found"),
    [
        ({}, [1, 2], False, None),
        ({1: 3, 2: 3}, [1, 2], False, None),
        ({1: 3, 2: 4}, [1, 2], False, "node 2 with priority 4, not node 1 with 3"),
        ({2: 1}, [1, 2], True, None),
        ({2: 1}, [1], False, None),
    ],
)
def test_who_is_passed_over(
    priorities: dict[int, int], voters: list[int], awaits_state: bool, found: str | None
) -> None:
    leader = life(1, StateType.StateLeader, priorities, voters)
    other = life(2, StateType.StateFollower, {}, voters, awaits_state)
    assert passed_over([other, leader], 0) == found


def test_nobody_leads() -> None:
    assert passed_over([life(1, StateType.StateFollower, {}, [1])], 0) == "somebody"


def test_a_few_worlds_have_them_and_it_moves_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_calls, "SHARE", 0.0)
    plans = [draw_plan(seed) for seed in range(2001, 4001)]
    brought = [plan for plan in plans if any(fault.kind == "lost_order" for fault in plan.faults)]
    assert 25 <= len(brought) <= 75
    monkeypatch.setattr(lost_orders, "SHARE", 0.0)
    for plan in brought:
        without = swarm.draw_plan(plan.seed)
        assert plan.faults[: len(without.faults)] == without.faults
        assert plan.duration_s > without.duration_s
    tried = [run(plan) for plan in sorted(brought, key=lambda plan: plan.duration_s)[:6]]
    assert [outcome.failure for outcome in tried] == [None] * len(tried)
    assert sum(outcome.reached["an order to stand came to nothing"] > 0 for outcome in tried) >= 1
