"""A failing plan becomes a smaller one that fails by the same check, and a test file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.outcome import Failure, Outcome
from raftpy.sim.plan import Fault, Load, NetworkFaults, Options, Plan
from raftpy.sim.run import run
from raftpy.sim.shrink import NAMES_OTHER, NoFailure, Run, shrink
from raftpy.sim.swarm import FAULTS, draw_plan
from raftpy.sim.written import read_plan, written


def plan_with(*kinds: str, **values: object) -> Plan:
    faults = tuple(Fault(at_s=0.1234567 * at, kind=kind, node=at % 5 + 1) for at, kind in enumerate(kinds, 1))
    return replace(Plan(seed=7, nodes=5, groups=3, duration_s=8.0, faults=faults), **values)  # type: ignore[arg-type]


def failing(condition: object, check: str = "durable", time_s: float = 0.5) -> Run:
    """A run that fails by the check if ``condition(plan)``."""

    def run(plan: Plan) -> Outcome:
        failure = Failure(check, "it broke", time_s) if condition(plan) else None  # type: ignore[operator]
        return Outcome(failure, "0", 1)

    return run


def kinds(plan: Plan) -> list[str]:
    return [fault.kind for fault in plan.faults]


def test_only_the_faults_that_it_needs_are_left() -> None:
    needed = {"power", "cut"}
    big = plan_with(*"abcdefgh", "power", *"ijklm", "cut", *"nop")
    shrunk = shrink(big, failing(lambda plan: needed <= set(kinds(plan))), most_runs=1000)
    assert kinds(shrunk.plan) == ["power", "cut"]
    assert shrunk.complete
    assert shrunk.failure == Failure("durable", "it broke", 0.5)


def test_all_that_is_of_no_use_becomes_usual() -> None:
    big = plan_with(
        "a",
        options=Options(tick_ms=20, pre_vote=False, max_datagram=600),
        network=NetworkFaults(loss=0.3, flipped=0.1, held=0.2),
        disk=DiskFaults(sync_error=0.1, no_space=0.2),
        load=Load(clients=8, burst=4, cancelled=0.3, think_s=0.001),
        interleaved=True,
    )
    shrunk = shrink(big, failing(lambda plan: True))
    assert shrunk.plan == Plan(
        seed=7, nodes=1, duration_s=shrunk.plan.duration_s, load=Load(clients=1), faults=(), settle_s=big.settle_s
    )
    assert shrunk.plan.duration_s <= 0.505


def test_what_it_needs_stays() -> None:
    def breaks(plan: Plan) -> bool:
        return (
            plan.nodes >= 3
            and plan.network.loss > 0.2
            and plan.disk.sync_error > 0
            and plan.options.max_datagram == 600
            and plan.load.clients >= 4
            and plan.load.burst == 4
            and plan.duration_s > 1.3
        )

    big = plan_with(
        *"abc",
        options=Options(tick_ms=20, max_datagram=600),
        network=NetworkFaults(loss=0.3, flipped=0.1),
        disk=DiskFaults(sync_error=0.1, no_space=0.2),
        load=Load(clients=8, burst=4, cancelled=0.3),
    )
    plan = shrink(big, failing(breaks, time_s=7.0), most_runs=1000).plan
    assert (plan.nodes, plan.groups, plan.faults) == (3, 1, ())
    assert plan.network == NetworkFaults(loss=0.3)
    assert plan.disk == DiskFaults(sync_error=0.1)
    assert plan.options == Options(max_datagram=600)
    assert plan.load == Load(clients=4, burst=4)
    assert 1.3 < plan.duration_s < 2.7


def test_another_failure_is_not_taken_for_it() -> None:
    def other(plan: Plan) -> Outcome:
        check = "durable" if "power" in kinds(plan) else "linearizable"
        return Outcome(Failure(check, "", 0.5), "0", 1)

    assert kinds(shrink(plan_with("a", "power", "b"), other).plan) == ["power"]


def test_a_plan_that_cannot_be_run_is_not_taken() -> None:
    def fragile(plan: Plan) -> Outcome:
        if plan.nodes < 3:
            raise ValueError("no such world")
        return Outcome(Failure("durable", "", 0.5), "0", 1)

    assert shrink(plan_with("a"), fragile).plan.nodes == 3


def test_fewer_nodes_take_the_faults_of_the_others_along() -> None:
    faults = (
        Fault(at_s=0.1, kind="cut", node=1, other=5, value=0.1),
        Fault(at_s=0.1, kind="kill", node=5),
        Fault(at_s=0.1, kind="kill_in_write", node=2, other=30, value=0.1),
    )
    big = replace(plan_with(), faults=faults)
    needed = failing(lambda plan: "kill_in_write" in kinds(plan) and plan.nodes >= 2)
    plan = shrink(big, needed).plan
    assert plan.faults == faults[2:]
    assert plan.nodes == 2


def test_what_befalls_a_node_that_is_gone_may_befall_another() -> None:
    faults = (Fault(at_s=0.1, kind="kill", node=5), Fault(at_s=0.1, kind="cut", node=4, other=3, value=0.1))
    needed = failing(lambda plan: kinds(plan) == ["kill", "cut"] and plan.nodes >= 2)
    plan = shrink(replace(plan_with(), faults=faults), needed).plan
    assert plan.nodes == 2
    assert [(fault.node, fault.other) for fault in plan.faults] == [(1, 0), (2, 1)]


def test_each_kind_whose_other_is_a_node_is_known_so_that_none_is_left_that_is_gone() -> None:
    drawn: dict[tuple[str, int], set[int]] = defaultdict(set)
    for plan in map(draw_plan, range(1500)):
        for fault in plan.faults:
            drawn[fault.kind, plan.nodes].add(fault.other)
    all_kinds = (*FAULTS, "narrow_path")
    naming = {kind for kind in all_kinds if [max(drawn[kind, nodes], default=0) for nodes in (3, 5)] == [3, 5]}
    assert naming == NAMES_OTHER
    assert "transfer_by" in naming


def test_a_smaller_cluster_is_tried_with_other_dice() -> None:
    plan = shrink(plan_with(), failing(lambda plan: plan.nodes == 5 or plan.seed == 9)).plan
    assert (plan.nodes, plan.seed) == (1, 9)


def test_times_become_round() -> None:
    [fault] = shrink(plan_with("power"), failing(lambda plan: plan.faults and plan.faults[0].at_s > 0.11)).plan.faults
    assert fault.at_s == 0.12


def test_it_does_the_same_again_and_in_so_many_runs() -> None:
    asked: list[list[str]] = [[], []]
    for log in asked:

        def run(plan: Plan, log: list[str] = log) -> Outcome:
            log.append(plan.to_json())
            return failing(lambda plan: {"c", "q"} <= set(kinds(plan)))(plan)

        shrunk = shrink(plan_with(*"abcdefghijklmnopqrst"), run, most_runs=30)
        assert (shrunk.runs, shrunk.complete) == (30, False)
        assert len(shrunk.plan.faults) < 20
        assert len(log) == len(set(log)) == 30
    assert asked[0] == asked[1]


def test_an_interrupt_ends_it_with_the_smallest_plan_so_far() -> None:
    def tell(plan: Plan, runs: int) -> None:
        if len(plan.faults) < 5:
            raise KeyboardInterrupt

    shrunk = shrink(plan_with(*"abcdefghij"), failing(lambda plan: "c" in kinds(plan)), tell=tell)
    assert (shrunk.complete, shrunk.interrupted) == (False, True)
    assert 1 <= len(shrunk.plan.faults) < 5


def test_each_smaller_plan_is_told() -> None:
    told: list[tuple[int, int]] = []
    shrunk = shrink(
        plan_with(*"abcd"),
        failing(lambda plan: "c" in kinds(plan)),
        tell=lambda plan, runs: told.append((len(plan.faults), runs)),
    )
    assert told[-1][0] == 1
    assert [runs for _, runs in told] == sorted({runs for _, runs in told})
    assert told[-1][1] <= shrunk.runs


def test_what_does_not_fail_is_refused() -> None:
    with pytest.raises(NoFailure, match="does not fail: there is nothing to shrink"):
        shrink(plan_with(), failing(lambda plan: False))
    with pytest.raises(NoFailure, match="fails by durable and not by linearizable"):
        shrink(plan_with(), failing(lambda plan: True), check="linearizable")


def test_a_real_world_is_shrunk() -> None:
    """A check that does not hold for sure: that no node is ever killed."""

    def killed(plan: Plan) -> Outcome:
        outcome = run(plan, record=True)
        crashes = [event for event in outcome.trace or () if event.kind == "crash"]
        failure = Failure("nobody dies", "", crashes[0].time) if crashes else None
        return replace(outcome, failure=failure)

    seed = next(seed for seed in range(100) if {"power", "isolate"} <= set(kinds(draw_plan(seed))))
    plan = shrink(draw_plan(seed), killed, most_runs=150).plan
    assert (plan.nodes, len(plan.faults), plan.network) == (1, 1, NetworkFaults())


# --- The test file ------------------------------------------------------------------------------------------------


HOSTILE = "'''\"\"\" \\ {x} \n\u2028\x00\r'; raise SystemExit(3)\n# é"


@pytest.mark.parametrize("text", ["entry 7 is gone", HOSTILE, "x" * 10_000, ""])
def test_the_file_runs_and_holds_the_plan(text: str) -> None:
    plan = replace(draw_plan(3), faults=(Fault(at_s=0.1, kind=text[:50]),))
    name, code = written(plan, Failure(text[:50], text, 0.25), origin=f"seed 3 {text}", seed=3)
    assert read_plan(code) == plan
    scope: dict[str, object] = {}
    exec(compile(code, name, "exec"), scope)
    assert scope["CHECK"] == text[:50]
    assert f"raftpy sim replay --plan {name}" in str(scope["__doc__"])
    assert name.startswith("test_seed_3_")
    assert callable(scope[name.removesuffix(".py")])
    assert max(len(line) for line in code.splitlines() if not line.startswith("#")) < 200


def test_pytest_runs_it_as_it_stands(tmp_path: Path) -> None:
    """Without the bug it passes; with it, here replicas without any time to become alike, it fails and says so."""
    good = Plan(seed=1, duration_s=0.3)
    bad = replace(good, nodes=3, duration_s=0.01, settle_s=0.0)
    failure = run(bad).failure
    assert failure is not None
    for plan, status in ((good, 0), (bad, 1)):
        name, code = written(plan, failure, origin="seed 1", seed=1)
        (tmp_path / name).write_text(code)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / name)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == status, done.stdout
        assert (failure.text in done.stdout) == bool(status)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "Expecting"),
        ("[]", "without a PLAN"),
        ("x = 1\n", "without a PLAN"),
        ("def", "neither"),
        ("PLAN = 7", "without a PLAN"),
        ('{"seed": 1, "colour": 2}', "colour"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        read_plan(text)
