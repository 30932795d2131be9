"""Simulated clients say no more of an operation than they were told."""

from __future__ import annotations

import pytest

from raftpy.contracts.errors import NotLeader
from raftpy.runtime.group import Group
from raftpy.runtime.group_calls import GroupCalls
from raftpy.sim.clients import WRITE
from raftpy.sim.plan import Load, Plan
from raftpy.sim.run import Run
from raftpy.sim.run import run as run_plan


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


def test_a_node_that_sends_a_client_on_to_itself_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Group, "not_leader", lambda self: NotLeader(self.config.id, None, None))
    failure = run_plan(Plan(seed=1, duration_s=0.5)).failure
    assert failure is not None
    assert failure.check == "nothing escapes"
    assert "sent on to the node it asked" in failure.text
