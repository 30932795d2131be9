"""What a check comes to."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum

from raftpy.sim.linearizability.history import Operation


class Verdict(Enum):
    """What is known of a history."""

    LINEARIZABLE = "linearizable"
    """There is an order that explains every answer."""
    VIOLATION = "violation"
    """There is none."""
    UNDECIDED = "undecided"
    """The search was given up."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Why there is no order, for one key."""

    key: Hashable
    """The key whose operations have no order."""
    operations: tuple[Operation, ...] = field(repr=False)
    """All of that key's operations that had been called when ``blocked`` returned."""
    prefix: tuple[Operation, ...] = field(repr=False)
    """The order that explains most: every answer before that of ``blocked``."""
    blocked: Operation
    """The operation whose answer cannot be explained, neither by this order nor by any other."""
    text: str = field(repr=False)
    """The same for a reader."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Result:
    """What a check came to."""

    verdict: Verdict
    """What is known of the history."""
    violation: Violation | None
    """With VIOLATION: of the first key that has one."""
    steps: int
    """Operations put in place during the search, those taken back included: the same in every run."""

    def __bool__(self) -> bool:
        """Whether the history is linearizable for certain."""
        return self.verdict is Verdict.LINEARIZABLE
