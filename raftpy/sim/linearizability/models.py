"""What a store may answer: sequential specifications, one operation at a time."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar

from raftpy.sim.linearizability.history import ANY, Input, Kind, Output

State = TypeVar("State")


class Model(Protocol[State]):
    """A sequential specification. States can be hashed, and are never changed in place."""

    def initial(self) -> State:
        """The state before the first operation."""
        ...

    def step(self, state: State, asked: Input, output: Output | None) -> State | None:
        """The state after the operation, or None if it cannot give this output in ``state``. Without an output: the
        state after the operation if it changes anything, else None."""
        ...


class Cell(NamedTuple):
    """The state of a register."""

    value: Any
    """None: the key is not there."""
    version: int
    """The version of the last change; negative: not known, but greater than ``-version - 1``. A key that is not there
    has no version: then only what it must exceed is known."""


def floor_of(cell: Cell) -> int:
    """The next version is greater than this."""
    return cell.version if cell.version >= 0 else -cell.version - 1


_NOTHING_TOLD = Output(done=None)


class Register:
    """One key: read, write, compare-and-swap, delete and append.

    A version that nobody was told is left open until somebody sees it: such a cell stands for all versions above its
    floor. Of an operation that was not done because of its condition on such a version, and was told nothing of it,
    nothing is remembered: the check is a little weaker there, never stricter.
    """

    def __init__(self, initial: Any = None) -> None:
        self._initial = Cell(initial, -1)

    def initial(self) -> Cell:
        """The cell before the first operation."""
        return self._initial

    def step(self, state: Cell, asked: Input, output: Output | None) -> Cell | None:
        """See ``Model.step``."""
        kind = asked.kind
        if output is None:
            changed = None if kind is Kind.READ else _change(state, asked, None)
            return None if changed == state else changed
        if kind is Kind.READ:
            return _look(state, output.value, output.version)
        if output.done is not False:
            changed = _change(state, asked, output.version if output.done else None)
            if changed is not None or output.done:
                return changed
        return _refuse(state, asked, _NOTHING_TOLD if output.done is None else output)


def _look(cell: Cell, value: Any, version: int | None) -> Cell | None:
    """The cell in which value and version, as far as told, are what is found; None if they are not."""
    if value is not ANY and value != cell.value:
        return None
    if version is None:
        return cell
    if cell.value is None:
        return cell if version == 0 else None
    if cell.version >= 0:
        return cell if version == cell.version else None
    return Cell(cell.value, version) if version > floor_of(cell) else None


def _change(cell: Cell, asked: Input, version: int | None) -> Cell | None:
    """The cell after a change that was carried out; None if its condition does not hold or its version is too low."""
    value: Any = asked.value
    if asked.kind in (Kind.SWAP, Kind.DELETE):
        if asked.version is not None and cell.value is None:
            return None
        held = _look(cell, asked.expected, asked.version)
        if held is None or (asked.kind is Kind.DELETE and held.value is None):
            return None
        cell = held
        if asked.kind is Kind.DELETE:
            value = None
    elif asked.kind is Kind.APPEND and cell.value is not None:
        value = cell.value + value
    floor = floor_of(cell)
    if version is None:
        return Cell(value, -floor - 1)
    if version <= floor:
        return None
    return Cell(value, version if value is not None else -version - 1)


def _refuse(cell: Cell, asked: Input, output: Output) -> Cell | None:
    """The cell after a SWAP or DELETE that was not done; None if it must have been done."""
    found = _look(cell, output.value, output.version)
    if found is None or (found.value is None and (asked.version is not None or asked.kind is Kind.DELETE)):
        return found
    if asked.expected is not ANY and asked.expected != found.value:
        return found
    return found if asked.version is not None and asked.version != found.version else None
