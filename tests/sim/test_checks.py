"""Checks of a simulated world that notice what is broken on purpose, where no seeded bug does the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftpy.runtime import opening
from raftpy.sim import faults, linearizability
from raftpy.sim.plan import Fault, Plan
from raftpy.sim.run import run
from raftpy.storage.leveldb.store import LevelDBStorage


def test_a_stop_that_leaves_the_store_open_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LevelDBStorage, "close", lambda self: None)
    failure = run(Plan(seed=1, nodes=1, duration_s=0.1)).failure
    assert failure is not None
    assert failure.check == "nothing left behind"
    assert "still open" in failure.text


def test_a_history_that_takes_too_long_to_judge_is_not_taken_for_a_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftpy.sim.ending.check", lambda history: linearizability.check(history, budget=1))
    failure = run(Plan(seed=1, nodes=1, duration_s=0.5)).failure
    assert failure is not None
    assert failure.check == "a history that can be judged"


def test_a_start_that_fails_and_leaves_a_timer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_host(*parts: Any) -> opening.Opened:
        timer = asyncio.get_running_loop().call_later(60.0, print)
        opened = await opening.open_host(*parts)
        timer.cancel()
        return opened

    monkeypatch.setattr("raftpy.runtime.host.open_host", open_host)
    full = Fault(at_s=0.0, kind="full_disk", node=1, value=0.2)
    failure = run(Plan(seed=1, nodes=1, duration_s=0.5, faults=(full,))).failure
    assert failure is not None
    assert failure.check == "nothing left behind"


def test_a_simulator_that_breaks_shows_what_has_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setitem(faults.FAULTS, "kill", broken)
    plan = Plan(seed=1, nodes=1, duration_s=0.5, faults=(Fault(at_s=0.25, kind="kill", node=1),))
    first, again = run(plan, record=True), run(plan)
    assert first.failure is not None
    assert (first.failure.check, first.failure.time_s) == ("exception: ZeroDivisionError", 0.25)
    assert "planted" in first.failure.text
    assert first.trace is not None
    assert [event.kind for event in first.trace if event.time == 0.25] == ["fault"]
    assert (first.hash, first.events) == (again.hash, again.events)
