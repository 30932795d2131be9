"""Runs whose exceptions are failures as well: a seed that breaks the simulator itself is reported like any other."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from raftpy.sim.outcome import Failure, Outcome

EXCEPTION = "exception"
"""The check that fails when a run lets an exception through; its text ends with the traceback."""


def guarded(run: Callable[[], Outcome]) -> Outcome:
    """What comes of a run. Exceptions are failures of the check ``exception``; of such a run no events are known."""
    try:
        return run()
    except Exception as error:
        text = f"{type(error).__name__}: {error}\n" + "".join(traceback.format_exception(error))
        return Outcome(Failure(f"{EXCEPTION}: {type(error).__name__}", text, 0.0), "", 0)
