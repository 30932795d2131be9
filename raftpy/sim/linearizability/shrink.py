"""A violation with as few operations as it needs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from raftpy.sim.linearizability.checker import BUDGET, by_key, check
from raftpy.sim.linearizability.explain import begun, in_order_of_return, is_known
from raftpy.sim.linearizability.history import ANY, Kind, Operation
from raftpy.sim.linearizability.registers import search_register


def shrink(history: Iterable[Operation], initial: Any = None, budget: int = BUDGET) -> list[Operation]:
    """A violation within this one: operations of one key, none of which can be left out.

    A value keeps who wrote it as long as it keeps who saw it: else every violation would shrink to a value that nobody
    wrote. Appends are kept. Raises ValueError if the history has no violation, as far as the budget goes.
    """
    smaller = list(history)
    while True:
        fewer = _shrunk(smaller, initial, budget)
        if len(fewer) == len(smaller):
            return fewer
        smaller = fewer


def _shrunk(history: list[Operation], initial: Any, budget: int) -> list[Operation]:
    """One round, for the answer that is to blame now."""
    violation = check(history, initial, budget).violation
    if violation is None:
        raise ValueError("the history has no violation")
    operations = by_key(history)[violation.key]
    returns = in_order_of_return(operations)
    until = next(place for place, index in enumerate(returns, 1) if operations[index] is violation.blocked)
    smaller = [then for _, then in begun(operations, returns[:until])]
    orphans = _found(smaller) - _made(smaller, initial)
    again = True
    while again:
        again = False
        for left_out in list(_parts(smaller)):
            fewer = [each for each in smaller if each not in left_out]
            if len(fewer) == len(smaller) or _found(fewer) - _made(fewer, initial) - orphans:
                continue
            if search_register(fewer, initial, budget).ordered is False:
                smaller, again = fewer, True
    return smaller


def _parts(operations: list[Operation]) -> Iterator[list[Operation]]:
    """What to try to leave out: everything about a value at once, then one operation at a time."""
    values: dict[Hashable, list[Operation]] = {}
    for each in operations:
        for value in {_makes(each), _finds(each)} - {ANY, None}:
            values.setdefault(value, []).append(each)
    if not any(each.input.kind is Kind.APPEND for each in operations):
        yield from values.values()
    for each in reversed(operations):
        if each.input.kind is not Kind.APPEND:
            yield [each]


def _found(operations: Iterable[Operation]) -> set[Hashable]:
    """The values that somebody found."""
    if any(each.input.kind is Kind.APPEND for each in operations):
        return set()
    return {_finds(each) for each in operations} - {ANY}


def _made(operations: Iterable[Operation], initial: Any) -> set[Hashable]:
    """The values that may have been there."""
    return {initial, *(_makes(each) for each in operations)}


def _finds(operation: Operation) -> Hashable:
    """The value that an operation found, as far as its answer says; else ANY."""
    kind, output = operation.input.kind, operation.output
    if output is None or not is_known(operation) or kind in (Kind.WRITE, Kind.APPEND) or output.done is None:
        return ANY
    found: Hashable = operation.input.expected if kind is not Kind.READ and output.done else output.value
    return found


def _makes(operation: Operation) -> Hashable:
    """The value that an operation may have brought about; else ANY."""
    kind, output = operation.input.kind, operation.output
    if kind in (Kind.READ, Kind.APPEND) or (output is not None and output.done is False):
        return ANY
    made: Hashable = None if kind is Kind.DELETE else operation.input.value
    return made
