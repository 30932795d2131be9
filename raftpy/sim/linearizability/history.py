"""A history: what clients asked of a store, when, and what they were told.

Times are numbers that never go back: positions in a recording (``Recorder``) or seconds. One operation comes before
another if it returned before the other was called; operations that share a moment count as concurrent.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum
from typing import Any, Final, NamedTuple


class _Any:
    """The type of ``ANY``."""

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = _Any()
"""Stands for a value that was not asked for, or not told."""


class Kind(IntEnum):
    """What a client asked for."""

    READ = 0
    """The value of the key, and its version."""
    WRITE = 1
    """Sets the value, whatever was there."""
    SWAP = 2
    """Sets the value if what is there is as expected (compare-and-swap)."""
    DELETE = 3
    """Removes the key if it is there, and is as expected."""
    APPEND = 4
    """Puts the value behind the one that is there; a key that is not there counts as empty."""


class Input(NamedTuple):
    """What was asked. Values are bytes, str, int or anything else that can be hashed; None: the key is not there."""

    kind: Kind
    """What to do."""
    value: Any = None
    """What to write or append."""
    expected: Any = ANY
    """The condition of SWAP and DELETE on the value."""
    version: int | None = None
    """Their condition on the version; it holds for no key that is not there."""


class Output(NamedTuple):
    """What was answered. An operation that is certain not to have happened has none: it is left out of the history."""

    done: bool | None = True
    """Whether the condition of SWAP or DELETE held (a DELETE's also asks that the key is there); None: not told."""
    value: Any = ANY
    """What a READ saw, or what a SWAP or DELETE that was not done found."""
    version: int | None = None
    """Done: the version that the operation gave the key (a DELETE's: its place among the versions). A READ's, and that
    of an operation not done: the version that it found, 0 when the key was not there. None: not told.

    Each change of a key has a greater version than the changes before it, as a log index has."""


class Operation(NamedTuple):
    """One request of one client."""

    client: int
    """Who asked; only for a reader."""
    key: Hashable
    """What it was about."""
    call: float
    """When it was asked."""
    returned: float | None
    """When the answer came; None: it never did, so it happened at some time from ``call`` on, or not at all."""
    input: Input
    """What was asked."""
    output: Output | None
    """None: the outcome is not known."""


class Recorder:
    """Writes a history down as it happens. Positions in the recording stand for times: also what happens within one
    moment of a simulation has an order."""

    def __init__(self) -> None:
        self._position = 0
        self._called: list[tuple[int, Hashable, int, Input]] = []
        self._returned: list[tuple[int, Output] | None] = []

    def call(self, client: int, key: Hashable, asked: Input) -> int:
        """A client asks; gives the number under which to report the answer."""
        self._position += 1
        self._called.append((client, key, self._position, asked))
        self._returned.append(None)
        return len(self._called) - 1

    def answer(self, number: int, output: Output) -> None:
        """The answer came. An operation that fails without an outcome is never answered."""
        self._position += 1
        self._returned[number] = (self._position, output)

    def refuse(self, number: int) -> None:
        """The operation is certain not to have happened: as if it had never been asked, which no history can refute."""
        self._returned[number] = (0, _REFUSED)

    def operations(self) -> list[Operation]:
        """The history so far, in the order of the calls."""
        made = []
        for (client, key, call, asked), answer in zip(self._called, self._returned, strict=True):
            if answer is None:
                made.append(Operation(client, key, call, None, asked, None))
            elif answer[1] is not _REFUSED:
                made.append(Operation(client, key, call, answer[0], asked, answer[1]))
        return made


_REFUSED = Output(done=False)
