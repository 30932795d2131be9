"""A violation in words."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from raftpy.sim.linearizability.history import ANY, Kind, Operation
from raftpy.sim.linearizability.models import Cell, Register
from raftpy.sim.linearizability.result import Violation
from raftpy.sim.linearizability.search import Found

LAST = 8
"""So many operations of the order are shown, from its end."""


def explain(model: Register, key: Hashable, operations: Sequence[Operation], found: Found) -> Violation:
    """The violation that a search ended with."""
    blocked = operations[found.blocked]
    prefix = _lean(model, [operations[index] for index in found.longest])
    called = tuple(each for each in operations if blocked.returned is not None and each.call <= blocked.returned)
    return Violation(key, called, prefix, blocked, _text(model, key, prefix, blocked, called))


def _lean(model: Register, prefix: list[Operation]) -> tuple[Operation, ...]:
    """The order without those operations of unknown outcome that it does not need."""
    for place in reversed(range(len(prefix))):
        if prefix[place].output is None:
            shorter = prefix[:place] + prefix[place + 1 :]
            if _follows(model, shorter):
                prefix = shorter
    return tuple(prefix)


def _follows(model: Register, order: Sequence[Operation]) -> bool:
    cell = model.initial()
    for operation in order:
        after = model.step(cell, operation.input, operation.output)
        if after is None:
            return False
        cell = after
    return True


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
    model: Register, key: Hashable, prefix: Sequence[Operation], blocked: Operation, called: Sequence[Operation]
) -> str:
    cell = model.initial()
    lines = [f"key {key!r} is not linearizable: no order explains all answers up to that of"]
    lines.append(f"    {describe(blocked)}")
    lines.append(f"The order that explains most of them has {len(prefix)} of {len(called)} operations:")
    if len(prefix) > LAST:
        lines.append(f"    ({len(prefix) - LAST} operations)")
    for place, operation in enumerate(prefix):
        cell = model.step(cell, operation.input, operation.output) or cell
        if place >= len(prefix) - LAST:
            lines.append(f"    {describe(operation)}   leaves {_cell(cell)}")
    left = [each for each in called if each not in prefix and each is not blocked]
    if left:
        lines.append("Not in it, and called before that answer:")
        lines.extend(f"    {describe(each)}" for each in left[:LAST])
        if len(left) > LAST:
            lines.append(f"    ({len(left) - LAST} more)")
    return "\n".join(lines)
