"""Runs whose exceptions are failures as well: a seed that breaks the simulator itself is reported like any other."""

from __future__ import annotations

from collections.abc import Callable

from raftpy.sim.outcome import Failure, Outcome


def guarded(run: Callable[[], Outcome]) -> Outcome:
    """What comes of a run. An exception that it lets through is a failure, too; of such a run no events are known."""
    try:
        return run()
    except Exception as error:
        return Outcome(Failure.by(error, 0.0), "", 0)
