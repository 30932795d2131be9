"""Processes that have no descriptor left: what fails then, which worlds have it, and the check that can fail."""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import replace
from pathlib import PurePath
from random import Random

import pytest

from raftpy.sim import descriptors, member_calls
from raftpy.sim.disk.files import Disk
from raftpy.sim.faults import DATA, inflict
from raftpy.sim.plan import Fault, Load, Options, Plan
from raftpy.sim.run import run
from raftpy.sim.swarm import MOST_FAULTS, draw_plan
from raftpy.storage.leveldb import group_log, row
from tests.sim.scenarios.stage import stage

READ_LATER = "the log could not be read for want of descriptors"
NOT_MADE = "the next segment could not be made"
KIND = "no_descriptors"


def test_what_is_open_stays_open_and_one_is_opened_for_one_that_is_closed() -> None:
    disk = Disk(Random(1))
    files = disk.files()
    one = files.open(PurePath("/one"), "rewrite")
    files.limit = 1
    for mode in ("read", "change", "share", "rewrite"):
        with pytest.raises(OSError, match="Too many open files") as refused:
            files.open(PurePath("/one"), mode)  # type: ignore[arg-type]
        assert refused.value.errno == errno.EMFILE
    assert disk.lacked == 4
    assert disk.errors == 0
    one.write(b"it goes on")
    one.close()
    assert files.open(PurePath("/one"), "read").read_at(20, 0) == b"it goes on"
    assert disk.files().open(PurePath("/one"), "read"), "another process"


def test_the_fault_lasts_for_a_time_and_the_node_goes_on() -> None:
    with stage(segment_size=1 << 12) as world:
        world.written(1, "a", "1")
        disk = world.member(2).disk
        life = world.life(2)
        for _ in range(2):  # which overlap
            inflict(world.cluster, Fault(at_s=0.0, kind=KIND, node=2, value=0.3))
            world.pass_(0.1)
        for number in range(10):
            world.written(1, f"n{number}", "x" * 2000)
        with pytest.raises(OSError, match="Too many open files"):
            life.storage._files.open(DATA / "floor", "read")
        assert disk.lacked > 0
        world.pass_(0.4)
        life.storage._files.open(DATA / "floor", "read").close()
        assert world.life(2) is life
        world.finish()


def test_few_worlds_have_it_and_the_others_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_calls, "SHARE", 0.0)
    plans = [draw_plan(seed) for seed in range(1, 601)]
    monkeypatch.setattr(descriptors, "SHARE", 0.0)
    brought = []
    for plan in plans:
        without = draw_plan(plan.seed)
        assert not [fault for fault in without.faults if fault.kind == KIND]
        if plan == without:
            continue
        brought.append(plan)
        more = [fault for fault in plan.faults if fault not in without.faults]
        assert {fault.kind for fault in more} == {KIND}
        assert replace(plan, faults=without.faults) == without
        assert [fault for fault in plan.faults if fault not in more] == list(without.faults)
        assert len(plan.faults) <= MOST_FAULTS * plan.duration_s + 1
        assert plan.snapshots.machine != "disk"
    assert 40 <= len(brought) <= 110


def busy(seed: int) -> Plan:
    """Much is written to small segments, nothing stays in memory, and followers lag now and then."""
    faults = []
    for turn in range(4):
        at_s, value = round(0.4 + 0.5 * turn, 2), 0.25 if turn else 1.2
        faults += [
            Fault(at_s=at_s, kind="isolate", node=1 + turn % 3, value=0.2),
            *(Fault(at_s=round(at_s + 0.15, 2), kind=KIND, node=node, value=value) for node in (1, 2, 3)),
        ]
    return Plan(
        seed=seed,
        duration_s=2.5,
        options=Options(segment_size=1 << 12, log_cache_bytes=0),
        load=Load(clients=4, think_s=0.005, value_bytes=380),
        faults=tuple(faults),
    )


def test_what_it_lacked_a_node_does_later() -> None:
    reached: Counter[str] = Counter()
    for seed in range(1, 5):
        outcome = run(busy(seed))
        assert outcome.failure is None
        assert outcome.reached["a node stopped by itself"] == 0
        reached.update(outcome.reached)
    assert reached[READ_LATER] > 0
    assert reached[NOT_MADE] > 0


@pytest.mark.parametrize("module", [group_log, row])
def test_a_node_that_ends_by_it_is_found(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes what passes for a failure, of a read or of the closing of a segment."""
    monkeypatch.setattr(module, "is_passing", lambda error: False)
    failures = [run(busy(seed)).failure for seed in range(1, 5)]
    assert "a reason to stop" in [failure.check for failure in failures if failure is not None]
