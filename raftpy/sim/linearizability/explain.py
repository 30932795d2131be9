"""A violation in words: the earliest answer that nothing explains, and an order that explains all answers before it.

What begins a linearizable history is linearizable too (the definition asks only for an order of what returned so far).
So of a history that is not, one return after another can be left out, each operation that has not returned by then
being of unknown outcome, until it is: the last one left out is to blame. Halving finds it in few searches.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from raftpy.sim.linearizability.history import ANY, Kind, Operation
from raftpy.sim.linearizability.models import Cell, Register
from raftpy.sim.linearizability.registers import search_register
from raftpy.sim.linearizability.result import Violation

LAST = 8
"""So many operations of the order are shown, from its end."""


def explain(key: Hashable, operations: Sequence[Operation], initial: Any, budget: int) -> Violation:
    """Why the operations of a key have no order; they are known to have none. ``budget`` is that of each search."""
    returns = in_order_of_return(operations)
    few, many = 0, len(returns)  # with this many answers there is an order, as far as the budget goes, or there is none
    while many - few > 1:
        middle = (few + many) // 2
        if search_register([at for _, at in begun(operations, returns[:middle])], initial, budget).ordered is False:
            many = middle
        else:
            few = middle
    blamed = operations[returns[many - 1]]
    pairs = begun(operations, returns[: many - 1], blamed)
    found = search_register([at for _, at in pairs], initial, budget)
    order = [pairs[index] for index in found.longest]
    called = tuple(whole for whole, _ in pairs)
    prefix = tuple(whole for whole, _ in order)
    return Violation(key, called, prefix, blamed, _text(key, order, initial, blamed, called))


def in_order_of_return(operations: Sequence[Operation]) -> list[int]:
    """Indices of the operations whose outcome is known."""
    known = [(each.returned, index) for index, each in enumerate(operations) if is_known(each)]
    return [index for _, index in sorted(known)]


def is_known(operation: Operation) -> bool:
    """Whether the outcome of an operation is known."""
    return operation.returned is not None and operation.output is not None


def begun(
    operations: Sequence[Operation], returned: Sequence[int], until: Operation | None = None
) -> list[tuple[Operation, Operation]]:
    """The operations called before the last of these had returned, or before ``until`` had: each as it is, and as it
    was when only these had returned."""
    last = until if until is not None else operations[returned[-1]]
    known = set(returned)
    return [
        (each, each if index in known else each._replace(returned=None, output=None))
        for index, each in enumerate(operations)
        if last.returned is not None and each.call <= last.returned
    ]


def describe(operation: Operation) -> str:
    """One operation in one line: who, when, what and the answer."""
    end = "never returned" if operation.returned is None else f"{operation.returned:g}"
    return f"client {operation.client} [{operation.call:g} .. {end}] {_asked(operation)} -> {_answered(operation)}"


def _asked(operation: Operation) -> str:
    kind, value, expected, version = operation.input
    conditions = [] if expected is ANY else [f"value is {_value(expected)}"]
    if version is not None:
        conditions.append(f"version is {version}")
    condition = f" if {' and '.join(conditions)}" if conditions else ""
    if kind in (Kind.READ, Kind.DELETE):
        return kind.name.lower() + condition
    return f"{kind.name.lower()} {_value(value)}{condition}"


def _answered(operation: Operation) -> str:
    output = operation.output
    if output is None:
        return "outcome not known"
    told = []
    if operation.input.kind is not Kind.READ:
        told.append({True: "done", False: "not done", None: "returned"}[output.done])
    if output.value is not ANY:
        told.append(_value(output.value))
    if output.version is not None:
        told.append(f"version {output.version}")
    return ", ".join(told) if told else "anything"


def _value(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _cell(cell: Cell) -> str:
    if cell.value is None:
        return "nothing"
    return f"{cell.value!r}, version {cell.version}" if cell.version >= 0 else repr(cell.value)


def _text(
    key: Hashable,
    order: Sequence[tuple[Operation, Operation]],
    initial: Any,
    blamed: Operation,
    called: Sequence[Operation],
) -> str:
    model = Register(initial)
    cell = model.initial()
    lines = [f"key {key!r} is not linearizable: no order explains all answers up to that of"]
    lines.append(f"    {describe(blamed)}")
    lines.append(f"All answers before it are explained by this order ({len(order)} of {len(called)} operations):")
    if len(order) > LAST:
        lines.append(f"    ({len(order) - LAST} operations)")
    for place, (whole, then) in enumerate(order):
        cell = model.step(cell, then.input, then.output) or cell
        if place >= len(order) - LAST:
            lines.append(f"    {describe(whole)}   leaves {_cell(cell)}")
    placed = [whole for whole, _ in order]
    left = [each for each in called if each is not blamed and each not in placed]
    if left:
        lines.append("Called before that answer, and not in the order:")
        lines.extend(f"    {describe(each)}" for each in left[:LAST])
        if len(left) > LAST:
            lines.append(f"    ({len(left) - LAST} more)")
    return "\n".join(lines)
