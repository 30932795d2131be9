"""The check of a whole history, key by key.

Operations on different keys have nothing to do with one another, so a history is linearizable exactly if what was done
to each key is (Herlihy and Wing, "Linearizability", 1990, section 3.1: locality). That makes many short searches out of
a long one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from raftpy.sim.linearizability.explain import explain
from raftpy.sim.linearizability.history import Operation
from raftpy.sim.linearizability.models import Register
from raftpy.sim.linearizability.result import Result, Verdict
from raftpy.sim.linearizability.search import search

BUDGET = 2_000_000
"""Operations that the search may put in place for one key."""


def by_key(history: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
    """Each key's operations, in the order given. Raises ValueError for one that returned before it was called."""
    keys: dict[Hashable, list[Operation]] = {}
    for operation in history:
        if operation.returned is not None and operation.returned < operation.call:
            raise ValueError(f"returned before it was called: {operation}")
        keys.setdefault(operation.key, []).append(operation)
    return keys


def check(history: Iterable[Operation], initial: Any = None, budget: int = BUDGET) -> Result:
    """Whether the history of a key-value store is linearizable.

    ``initial`` is the value of every key at first, None when the keys are not there. The search for each key is given
    up after ``budget`` steps; whether it is, hangs on the history alone, never on the machine. Stops at the first key
    with a violation. Raises ValueError for an operation that returned before it was called.
    """
    model = Register(initial)
    steps = 0
    verdict = Verdict.LINEARIZABLE
    for key, operations in by_key(history).items():
        found = search(model, operations, budget)
        steps += found.steps
        if found.ordered is None:
            verdict = Verdict.UNDECIDED
        elif not found.ordered:
            return Result(Verdict.VIOLATION, explain(model, key, operations, found), steps)
    return Result(verdict, None, steps)
