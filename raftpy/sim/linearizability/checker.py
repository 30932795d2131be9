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
from raftpy.sim.linearizability.registers import search_register
from raftpy.sim.linearizability.result import Result, Verdict

BUDGET = 2_000_000
"""Operations that the search may put in place for one key."""


def by_key(history: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
    """Each key's operations, in the order given.

    An answer that does not say whether a condition on the version held is as good as none, and is taken for none.
    Raises ValueError for an operation that returned before it was called.
    """
    keys: dict[Hashable, list[Operation]] = {}
    for operation in history:
        _, key, call, returned, asked, output = operation
        if returned is not None and returned < call:
            raise ValueError(f"returned before it was called: {operation}")
        if asked[3] is not None and output is not None and output[0] is None:
            taken = operation._replace(returned=None, output=None)
        else:
            taken = operation
        if key in keys:
            keys[key].append(taken)
        else:
            keys[key] = [taken]
    return keys


def check(history: Iterable[Operation], initial: Any = None, budget: int = BUDGET) -> Result:
    """Whether the history of a key-value store is linearizable.

    ``initial`` is the value of every key at first, None when the keys are not there. The search for each key is given
    up after ``budget`` steps; whether it is, hangs on the history alone, never on the machine. Stops at the first key
    with a violation. Raises ValueError for an operation that returned before it was called.
    """
    steps = 0
    verdict = Verdict.LINEARIZABLE
    for key, operations in by_key(history).items():
        found = search_register(operations, initial, budget)
        steps += found.steps
        if found.ordered is None:
            verdict = Verdict.UNDECIDED
        elif not found.ordered:
            return Result(Verdict.VIOLATION, explain(key, operations, initial, budget), steps)
    return Result(verdict, None, steps)
