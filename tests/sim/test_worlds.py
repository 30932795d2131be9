"""Worlds run clean, and run the same again.

More of them: ``raftpy sim run --seeds A:B``. A seed that fails here is replayed by ``raftpy sim replay SEED``.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from raftpy.sim.cluster import Cluster
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import DiskFile
from raftpy.sim.executor import LONGEST_WAKE_UP_S
from raftpy.sim.plan import Fault, Load, Plan
from raftpy.sim.process import Process
from raftpy.sim.run import ALL_COLLECTED_EVERY, collected_at_the_end, run
from raftpy.sim.swarm import draw_plan
from raftpy.sim.world import World
from raftpy.storage.leveldb import lock

SEEDS = range(1, 41)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_world_runs_clean(seed: int) -> None:
    outcome = run(draw_plan(seed))
    assert outcome.failure is None, f"seed {seed}: {outcome.failure}"
    assert outcome.events > 0


def test_a_plan_runs_the_same_again_in_another_process_with_another_hash_seed() -> None:
    code = "import sys; from raftpy.sim.run import run; from raftpy.sim.swarm import draw_plan\n"
    code += "print([run(draw_plan(seed)).hash for seed in range(1, 6)])"
    hashes = set()
    for hash_seed in ("1", "2", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        hashes.add(done.stdout)
    assert len(hashes) == 1, hashes


def test_a_world_asks_for_no_function_whose_last_bit_differs_between_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*numbers: float) -> float:
        raise AssertionError(f"asked for a function of {numbers} from the machine's own library")

    for name in ("_log", "_exp", "_cos", "_sin", "_acos", "_lgamma"):
        if hasattr(random, name):
            monkeypatch.setattr(random, name, refuse)
    outcome = run(replace(draw_plan(3), duration_s=0.3))
    assert outcome.failure is None, outcome.failure


def test_another_seed_is_another_run() -> None:
    assert run(Plan(seed=1, duration_s=0.3)).hash != run(Plan(seed=2, duration_s=0.3)).hash


def test_most_worlds_are_well_enough_for_a_leader() -> None:
    plans = [draw_plan(seed) for seed in range(300)]
    fast = 0
    for plan in plans:
        election_s = plan.options.election_ms / 1000
        fast += plan.network.delay_s[1] <= election_s / 10 and plan.disk.sync_s[0] <= election_s / 20
        assert len(plan.faults) <= 6 * plan.duration_s + 1
    assert 0.85 < fast / len(plans) < 1.0


def test_worlds_differ_in_all_that_they_may_differ_in() -> None:
    plans = [draw_plan(seed) for seed in range(600)]

    def drawn(value: Callable[[Plan], object]) -> set[object]:
        return {value(plan) for plan in plans}

    for name, most in {"loss": 0.3, "duplication": 0.5, "late": 0.2, "flipped": 0.05, "held": 0.02}.items():
        rates = [getattr(plan.network, name) for plan in plans]
        assert 0.5 < sum(rate == 0.0 for rate in rates) / len(rates) < 0.85, name
        assert 0.93 * most < max(rates) <= most, name
    for name in ("slow", "stall", "write_error", "sync_error", "no_space", "out_of_order"):
        assert 0.0 < sum(getattr(plan.disk, name) > 0 for plan in plans) / len(plans) < 0.4, name
    assert all(plan.network.delay_s[0] < plan.network.delay_s[1] for plan in plans)
    assert drawn(lambda plan: plan.nodes) == {1, 2, 3, 4, 5}
    assert drawn(lambda plan: plan.groups) == {1, 2, 3, 5}
    assert drawn(lambda plan: plan.options.write_mode) == {"auto", "inline", "thread"}
    assert drawn(lambda plan: (plan.options.pre_vote, plan.options.check_quorum)) == set(
        product((True, False), repeat=2)
    )
    assert drawn(lambda plan: plan.network.buffer_bytes) == {1_500, 4_000, 1 << 20}
    assert drawn(lambda plan: (plan.load.feed, plan.watched)) == set(product((True, False), repeat=2))
    assert drawn(lambda plan: plan.load.clients) == set(range(1, 9))
    for name, share in {"last_blackout": 0.25, "one_by_one": 0.2}.items():
        assert abs(sum(getattr(plan, name) for plan in plans) / len(plans) - share) < 0.06, name
    for name in ("stale_reads", "follower_reads", "cancelled", "patient", "apply_s"):
        assert {getattr(plan.load, name) > 0 for plan in plans} == {False, True}, name


def test_a_plan_comes_back_from_its_text() -> None:
    for seed in range(50):
        plan = draw_plan(seed)
        assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[]", "no plan"),
        ('{"seed": 1, "colour": 3}', "'colour'"),
        ("{}", "seed"),
        ("{", "Expecting"),
        ('{"seed": 1.5}', "seed is 1.5: allowed is a whole number"),
        ('{"seed": 1, "watched": 1}', "watched is 1: allowed is true or false"),
        ('{"seed": 1, "duration_s": true}', "duration_s is True: allowed is a number"),
        ('{"seed": 1, "network": {"delay_s": [0.1]}}', "delay_s is .0.1.: allowed is a list of two"),
        ('{"seed": 1, "network": {"delay_s": [0.1, "x"]}}', "delay_s is 'x': allowed is a number"),
        ('{"seed": 1, "faults": [{"at_s": 0.1, "kind": 7}]}', "kind is 7: allowed is a text"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Plan.from_json(text)


def test_writes_that_were_acknowledged_are_there_after_all_machines_lost_power() -> None:
    faults = tuple(Fault(at_s=at, kind="blackout", value=0.3) for at in (0.5, 1.0, 1.5))
    outcome = run(Plan(seed=7, duration_s=2.0, faults=faults, load=Load(clients=5, think_s=0.005)), record=True)
    assert outcome.failure is None, outcome.failure
    assert outcome.trace is not None
    assert sum(event.kind == "crash" for event in outcome.trace) >= 6


def test_in_the_end_all_machines_may_lose_power(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(seed=7, duration_s=0.5, load=Load(clients=5, think_s=0.005), last_blackout=True)
    outcome = run(plan, record=True)
    assert outcome.failure is None, outcome.failure
    assert outcome.trace is not None
    crashes = [event for event in outcome.trace if event.kind == "crash"]
    assert [(event.node, event.detail, event.time) for event in crashes] == [
        (node, ("power",), crashes[0].time) for node in (1, 2, 3)
    ]
    assert max(event.time for event in outcome.trace if event.kind == "invoke") < crashes[0].time
    assert outcome.reached["all power was lost at the end"] == 1
    monkeypatch.setattr(DiskFile, "sync", lambda self: None)
    lost = run(plan).failure
    assert lost is not None
    assert run(replace(plan, last_blackout=False)).failure is None, "without it nobody would ever know"


def test_a_state_machine_may_take_one_command_at_a_time() -> None:
    plan = Plan(seed=7, duration_s=0.5, load=Load(think_s=0.005, burst=5))
    for one_by_one in (True, False):
        outcome = run(replace(plan, one_by_one=one_by_one))
        assert outcome.failure is None, outcome.failure
        assert (outcome.reached["commands were applied one by one"] > 0) is one_by_one


@pytest.mark.parametrize("kind", ["kill", "power", "broken_disk", "kill_in_start"])
def test_a_process_that_is_gone_leaves_nothing_in_the_memory_of_the_others(kind: str) -> None:
    held = dict(lock._held)
    fault = Fault(at_s=0.4, kind=kind, node=1, other=20, value=0.2)
    outcome = run(Plan(seed=7, duration_s=0.8, faults=(fault,), load=Load(clients=5, think_s=0.005)), record=True)
    assert outcome.failure is None, outcome.failure
    assert outcome.trace is not None
    assert {"crash", "failed"} & {event.kind for event in outcome.trace}
    assert lock._held == held


def test_a_process_may_die_at_each_call_of_its_loop_in_its_first_start_and_after_it() -> None:
    before = after = 0
    for calls in range(1, 30):
        fault = Fault(at_s=0.0, kind="kill_in_turn", node=1, other=calls, value=0.01)
        outcome = run(Plan(seed=calls, nodes=1, duration_s=0.3, faults=(fault,)), record=True)
        assert outcome.failure is None, outcome.failure
        assert outcome.trace is not None
        kinds = [event.kind for event in outcome.trace if event.kind in ("start", "crash")]
        before += kinds == ["crash", "start"]
        after += kinds == ["start", "crash", "start"]
    assert before
    assert after
    assert before + after == 29


def test_a_crash_may_come_before_a_thread_has_written_what_it_was_given() -> None:
    cluster = Cluster(World(1), Plan(seed=1, disk=DiskFaults(sync_s=(0.02, 0.03))), lambda name: None)
    waits = [cluster._wake_up_s(cluster._threads, cluster.members[1].disk) for _ in range(1000)]
    assert sum(wait <= LONGEST_WAKE_UP_S for wait in waits) > 800
    assert max(waits) > 0.01


def test_the_loop_of_a_process_is_the_running_one_in_its_steps_and_nowhere_else() -> None:
    world = World(seed=1)
    processes = [Process(world, node) for node in (1, 2)]
    seen: list[tuple[str, object]] = []

    def see(where: str) -> None:
        seen.append((where, asyncio._get_running_loop()))

    def done() -> bool:
        see("done")
        return False

    for process in processes:
        process.loop.call_soon(see, "step")
        process.loop.call_later(1.0, see, "timer")
    world.at(0.25, see, "call of the world")
    world.run(0.5)
    see("between")
    world.run(2.0, done)
    see("behind")
    one, other = (process.loop for process in processes)
    assert seen == [
        ("step", one),
        ("step", other),
        ("call of the world", None),
        ("between", None),
        ("timer", one),
        ("done", None),
        ("timer", other),
        ("done", None),
        ("done", None),
        ("behind", None),
    ]


def test_no_loop_is_the_running_one_once_a_world_has_failed() -> None:
    world = World(seed=1)
    process = Process(world, 1)
    process.loop.call_soon(lambda: process.loop.call_soon(sys.exit))
    with pytest.raises(SystemExit):
        world.run(1.0)
    assert asyncio._get_running_loop() is None


class _Ring:
    def __init__(self) -> None:
        self.itself = self


def test_a_world_is_collected_when_it_is_over_and_what_was_garbage_before_it_now_and_then() -> None:
    gc.unfreeze()  # what a test of the command line may have frozen, which runs servers in this process
    enabled = gc.isenabled()
    before = weakref.ref(_Ring())
    assert before() is not None
    for _ in range(ALL_COLLECTED_EVERY):
        with collected_at_the_end():
            within = weakref.ref(_Ring())
            assert not gc.isenabled()
            assert within() is not None
        assert within() is None
    assert before() is None
    assert gc.isenabled() == enabled
    assert gc.get_freeze_count() == 0


def test_a_world_leaves_frozen_what_somebody_else_has_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collected_at_the_end():
            within = weakref.ref(_Ring())
        assert within() is None
        assert frozen <= gc.get_freeze_count()
    finally:
        gc.unfreeze()
