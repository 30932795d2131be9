"""The plain search for an order, for any model and in plain Python.

Wing and Gong, "Testing and Verifying Concurrent Objects" (1993): walk along the list of calls and returns; a call that
comes before the first return may happen next, so it is lifted out of the list together with its return and the walk
begins anew; at a return, nothing more can happen before it, so the last operation is put back and the walk goes on
behind its call. Lowe, "Testing for Linearizability" (2017): the same operations with the same state are not tried
twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from raftpy.sim.linearizability.history import Operation
from raftpy.sim.linearizability.models import Model

State = TypeVar("State")


class Found(NamedTuple):
    """Where a search ended."""

    ordered: bool | None
    """Whether there is an order; None: the search was given up."""
    longest: list[int]
    """The order, or the one that got farthest, as indices of operations."""
    blocked: int
    """Index of the operation that could not return behind ``longest``; -1 unless there is no order."""
    steps: int
    """Operations lifted."""


class _Entry:
    """A call or a return, in a doubly linked list."""

    __slots__ = ("after", "before", "index", "matching")

    def __init__(self, index: int) -> None:
        self.index = index
        self.before: _Entry = self
        self.after: _Entry | None = None
        self.matching: _Entry | None = None
        """A call's return, None if it never came; of a return itself."""


def search(model: Model[State], operations: Sequence[Operation], budget: int) -> Found:
    """Looks for an order of the operations that the model allows and that keeps to their times.

    Gives up after ``budget`` operations put in place.
    """
    returns, head = _entries(operations)
    state = model.initial()
    taken, waiting, steps = 0, returns, 0
    trail: list[tuple[_Entry, State]] = []
    longest: list[int] = []
    farthest, blocked = float("-inf"), -1
    seen = {(taken, state)}
    entry = head.after
    while waiting:
        if entry is not None and entry.matching is not entry:
            operation = operations[entry.index]
            unknown = entry.matching is None
            after = model.step(state, operation.input, None if unknown else operation.output)
            mark = (taken | 1 << entry.index, after)
            if after is not None and mark not in seen:
                seen.add((mark[0], after))
                if steps == budget:
                    return Found(None, longest, -1, steps)
                steps += 1
                trail.append((entry, state))
                taken, state = mark[0], after
                waiting -= not unknown
                _lift(entry)
                entry = head.after
            else:
                entry = entry.after
            continue
        # A return, or the end behind calls that never return: nothing more can happen here.
        if entry is not None and _position(operations[entry.index]) > farthest:
            farthest, blocked = _position(operations[entry.index]), entry.index
            longest = [each.index for each, _ in trail]
        if not trail:
            return Found(False, longest, blocked, steps)
        undone, state = trail.pop()
        taken ^= 1 << undone.index
        waiting += undone.matching is not None
        _unlift(undone)
        entry = undone.after
    return Found(True, [each.index for each, _ in trail], -1, steps)


def _position(operation: Operation) -> float:
    assert operation.returned is not None
    return operation.returned


def _entries(operations: Sequence[Operation]) -> tuple[int, _Entry]:
    """How many operations return, and the list: calls before returns of the same moment."""
    moments: list[tuple[float, int, int]] = []
    for index, operation in enumerate(operations):
        moments.append((operation.call, 0, index))
        if operation.returned is not None:
            moments.append((operation.returned, 1, index))
    moments.sort()
    calls: dict[int, _Entry] = {}
    head = last = _Entry(-1)
    for _, is_return, index in moments:
        entry = _Entry(index)
        if is_return:
            entry.matching = entry
            calls[index].matching = entry
        else:
            calls[index] = entry
        last.after, entry.before, last = entry, last, entry
    return len(moments) - len(operations), head


def _lift(call: _Entry) -> None:
    """Takes a call and its return out of the list."""
    for entry in (call, call.matching):
        if entry is not None:
            entry.before.after = entry.after
            if entry.after is not None:
                entry.after.before = entry.before


def _unlift(call: _Entry) -> None:
    """Puts back what was lifted last."""
    for entry in (call.matching, call):
        if entry is not None:
            entry.before.after = entry
            if entry.after is not None:
                entry.after.before = entry
