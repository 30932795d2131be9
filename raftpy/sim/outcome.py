"""What has come of a simulated world."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field

from raftpy.sim.trace import Event

EXCEPTION = "exception"
"""How the name of the check begins that fails when a run lets an exception through."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that did not hold."""

    check: str
    """Its name: two failures of one check are the same failure, to the shrinker and in the totals."""
    text: str
    """What was seen."""
    time_s: float
    """When, in virtual seconds."""

    @classmethod
    def by(cls, error: Exception, time_s: float) -> Failure:
        """An exception that nobody took care of, with its traceback."""
        text = f"{type(error).__name__}: {error}\n" + "".join(traceback.format_exception(error))
        return cls(f"{EXCEPTION}: {type(error).__name__}", text, time_s)


class Broken(AssertionError):
    """Something did not hold that must."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check
        self.text = text

    def failure(self, time_s: float) -> Failure:
        """As the outcome of a run says it."""
        return Failure(self.check, self.text, time_s)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one run of one plan."""

    failure: Failure | None
    """None: everything held."""
    hash: str
    """Of all events: another run of the same plan has the same."""
    events: int
    """How many there were."""
    reached: dict[str, int] = field(default_factory=dict)
    """Of each rare branch that is counted ("sometimes"), how often it was reached; 0 too."""
    virtual_s: float = 0.0
    """How long it took, in virtual seconds."""
    trace: list[Event] | None = None
    """All events, if they were recorded."""
