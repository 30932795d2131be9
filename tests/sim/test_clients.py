"""Simulated clients say no more of an operation than they were told."""

from __future__ import annotations

import pytest

from raftpy.runtime.group_calls import GroupCalls
from raftpy.sim.clients import WRITE
from raftpy.sim.plan import Load, Plan
from raftpy.sim.run import Run


def test_an_error_that_no_call_may_raise_leaves_the_outcome_unknown_and_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Calls(GroupCalls):
        async def propose(self, command: bytes, **options: object) -> object:  # type: ignore[override]
            await super().propose(command, timeout=1.0)
            raise LookupError("in the middle of it")

    monkeypatch.setattr("raftpy.runtime.host.GroupCalls", Calls)
    run = Run(Plan(seed=1, nodes=1, duration_s=0.5, load=Load(clients=1, writes=1.0, swaps=0.0)))
    outcome = run.run()
    assert outcome.failure is not None
    assert outcome.failure.check == "nothing escapes"
    assert "in the middle of it" in outcome.failure.text
    written = [operation for operation in run.clients.history if operation.kind == WRITE and operation.index == 0]
    assert written
    assert not written[-1].refused
    assert written[-1].answered_s is None
