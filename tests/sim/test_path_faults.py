"""Paths that become narrower: what the network loses then, which worlds have it, and the check that can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftcore.wire.path_size import BASE_SIZE, LARGEST_SIZE, PathSize
from raftpy.sim import descriptors, member_calls, path_faults
from raftpy.sim.faults import inflict
from raftpy.sim.network import Network
from raftpy.sim.path_faults import NARROW, narrow_all
from raftpy.sim.plan import Fault, Load, Options, Plan
from raftpy.sim.run import Run, run
from raftpy.sim.swarm import MOST_FAULTS, draw_plan
from raftpy.sim.world import World
from tests.sim.test_network import Host

QUIET = Plan(
    seed=1,
    duration_s=3.0,
    options=Options(path_sizes=True),
    load=Load(clients=2, think_s=0.05, large=0.3, large_bytes=2_000),
)
"""A world in which nothing goes wrong until its paths become narrower in the end."""
SAID = "large commands got through paths that had just become narrower"


def test_a_narrow_path_loses_what_is_larger_and_only_that_way() -> None:
    network = Network(World(7))
    reached: list[str] = []
    network.reached = reached.append
    there, back = Host(network, 2), Host(network, 1)
    network.paths[1, 2] = 1_300
    for size in (1_300, 1_301):
        assert network.carry(1, 2, bytes(size), 0.0)
        assert network.carry(2, 1, bytes(size), 0.0)
    network.world.run(1.0)
    assert [len(datagram) for _, datagram in there.heard] == [1_300]
    assert sorted(len(datagram) for _, datagram in back.heard) == [1_300, 1_301]
    assert (network.lost, reached) == (1, ["a datagram was too large for its path"])
    network.heal(0.001)
    assert network.paths == {(1, 2): 1_300}, "a narrow path is no fault of a network"


def test_the_fault_befalls_one_path_or_all_from_a_node() -> None:
    cluster = Run(replace(QUIET, nodes=3)).cluster
    inflict(cluster, Fault(at_s=0.0, kind="narrow_path", node=2, other=3, value=1_452.0))
    assert cluster.network.paths == {(2, 3): 1_452}
    inflict(cluster, Fault(at_s=0.0, kind="narrow_path", node=2, value=float(LARGEST_SIZE)))
    assert cluster.network.paths == {(2, 1): LARGEST_SIZE, (2, 3): LARGEST_SIZE}
    narrow_all(cluster, cluster.world.source("paths"))
    assert len(cluster.network.paths) == 6
    assert set(cluster.network.paths.values()) <= set(NARROW)
    assert min(NARROW) == BASE_SIZE, "less than the base is found out by nobody"


def test_few_worlds_have_it_and_the_others_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_calls, "SHARE", 0.0)
    monkeypatch.setattr(descriptors, "SHARE", 0.0)  # its times go by how long a world lasts
    plans = [draw_plan(seed) for seed in range(1, 2001)]
    monkeypatch.setattr(path_faults, "SHARE", 0.0)
    brought = []
    for plan in plans:
        without = draw_plan(plan.seed)
        assert not without.options.path_sizes
        if plan == without:
            continue
        brought.append(plan)
        more = [fault for fault in plan.faults if fault not in without.faults]
        assert {fault.kind for fault in more} == {"narrow_path"}
        assert all(1 <= fault.node <= plan.nodes and fault.other != fault.node for fault in more)
        assert [fault for fault in plan.faults if fault not in more] == list(without.faults)
        assert plan.duration_s >= without.duration_s + 2.0
        assert len(plan.faults) <= MOST_FAULTS * plan.duration_s + 1
    assert 35 <= len(brought) <= 100
    reached = [run(plan).reached for plan in brought[:6]]
    assert sum(each["a path was found to have become narrower"] > 0 for each in reached) >= 4
    assert sum(each["a path was found to take larger datagrams"] > 0 for each in reached) >= 4
    assert sum(each[SAID] > 0 for each in reached) >= 4


def test_large_commands_get_through() -> None:
    outcome = run(QUIET)
    assert outcome.failure is None
    assert outcome.reached[SAID] == 1
    assert outcome.reached["a path was found to have become narrower"] >= 1


@pytest.mark.parametrize(("rule", "largest"), [("confirm", 60_000), ("lost", 1_800)])
def test_a_node_that_does_not_see_a_black_hole_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, largest: int
) -> None:
    plan = replace(QUIET, options=replace(QUIET.options, max_datagram=largest))  # 1,800: all that is large is cut
    assert run(plan).failure is None
    monkeypatch.setattr(PathSize, rule, lambda *_: False)
    failure = run(plan).failure
    assert failure is not None
    assert failure.check == "large commands get through"


def test_a_world_without_it_asks_nobody_for_sizes() -> None:
    outcome = run(replace(QUIET, options=Options()))
    assert outcome.failure is None
    assert outcome.reached["a path was found to take larger datagrams"] == outcome.reached[SAID] == 0
