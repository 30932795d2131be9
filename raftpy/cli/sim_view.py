"""What ``raftpy sim`` prints: on a terminal one line that changes, elsewhere a line now and then; totals at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from raftpy.cli.live import LiveView
from raftpy.sim.outcome import Failure, Outcome
from raftpy.sim.plan import Plan
from raftpy.sim.totals import Totals

QUIET_S = 5.0
"""Seconds between two progress lines when the output is no terminal."""
MOST_SEEDS = 10
"""Of a check that are listed."""
MOST_LINES = 12
"""Of a failure's text that are shown while the search goes on."""


class View(LiveView):
    """The progress of a search over ``count`` seeds; used as a context manager."""

    def __init__(self, count: int) -> None:
        super().__init__(refresh_per_second=4)
        self._count = count
        self._failures = 0
        self._shown = time.monotonic()

    def show(self, totals: Totals) -> None:
        """Called often, with the totals so far."""
        for found in totals.found[self._failures :]:
            self.line(f"seed {found.seed} fails: {told(found.failure)}")
        self._failures = len(totals.found)
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(self._progress(totals)))
        elif time.monotonic() - self._shown >= QUIET_S:
            self._shown = time.monotonic()
            self.line(self._progress(totals))

    def _progress(self, totals: Totals) -> str:
        left = ""
        if 0 < totals.seeds < self._count:
            left = f", {_duration(totals.elapsed_s * (self._count / totals.seeds - 1))} left"
        failures = f", {len(totals.found)} failures" if totals.found else ""
        return f"{totals.seeds:,} of {self._count:,} seeds{failures}, {_speed(totals)}{left}"


class Shrinking:
    """The progress of a shrinking: a line now and then."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def show(self, plan: Plan, runs: int) -> None:
        """Called with each smaller plan."""
        if time.monotonic() - self._shown >= QUIET_S:
            self._shown = time.monotonic()
            print(f"  after {_many(runs, 'run')}: {describe(plan)}", flush=True)


def told(failure: Failure) -> str:
    """A failure in a few lines."""
    lines = failure.text.splitlines()
    more = [f"  .. and {len(lines) - MOST_LINES} lines more"] if len(lines) > MOST_LINES else []
    shown = [f"  {line}" for line in lines[:MOST_LINES]]
    return "\n".join([f"{failure.check}, at {failure.time_s:.6f} s", *shown, *more])


def print_totals(totals: Totals, count: int, jobs: int) -> None:
    """The end of a search."""
    if totals.interrupted:
        print(f"interrupted: {totals.seeds:,} of {count:,} seeds are done")
    print(
        f"{_many(totals.seeds, 'seed')}, {_many(totals.runs, 'run')}, {_many(totals.events, 'event')}, "
        f"{totals.virtual_s:,.1f} virtual seconds in {totals.elapsed_s:,.1f} s with {_many(jobs, 'job')}: "
        f"{_speed(totals)}; {totals.events / (totals.worked_s or 1):,.0f} events in a second of processor time"
    )
    never = totals.never_reached()
    print(f"reached: {len(totals.reached) - len(never):,} of {len(totals.reached):,} rare branches")
    if never:
        print(f"never reached{' by so many seeds' if totals.blind_to() else ''}: {', '.join(never)}")
    if not totals.found:
        print("no failures")
        return
    print(f"failures: {len(totals.found):,}")
    for check, seeds in totals.by_check().items():
        more = f" and {len(seeds) - MOST_SEEDS:,} more" if len(seeds) > MOST_SEEDS else ""
        print(f"  {check}: {len(seeds):,} (seeds {_list(seeds[:MOST_SEEDS])}{more})")
        print(f"    raftpy sim replay {seeds[0]}")


def print_outcome(plan: Plan, outcome: Outcome) -> None:
    """One run."""
    print(f"plan: {describe(plan)}")
    print(f"run: {_many(outcome.events, 'event')}, {outcome.virtual_s:.3f} virtual seconds, hash {outcome.hash}")
    reached = {name: times for name, times in outcome.reached.items() if times}
    if reached:
        print("reached:")
        for name, times in sorted(reached.items()):
            print(f"  {times:7,}  {name}")
    if outcome.failure is None:
        print("no failure")
    else:
        text = "\n".join(f"  {line}" for line in outcome.failure.text.splitlines())
        print(f"FAILED: {outcome.failure.check}, at {outcome.failure.time_s:.6f} s\n{text}".rstrip())


def print_events(outcome: Outcome, start: float | None, end: float | None) -> None:
    """A line for each event. Raises ``ValueError`` if there is none in that time."""
    from raftpy.sim.drawing.picture import picture

    drawn = picture(outcome.trace or [], start=start, end=end, most=sys.maxsize)
    for moment, node, kind, text, _ in drawn["events"]:
        who = f"node {node}" if node else "world"
        print(f"{moment:11.6f}  {who:7}  {drawn['kinds'][kind]:8}  {' / '.join(text.splitlines())}")


def describe(plan: Plan) -> str:
    """A plan in a line."""
    return (
        f"{_many(plan.nodes, 'node')}, {_many(plan.groups, 'group')}, {_many(plan.load.clients, 'client')}, "
        f"{_many(len(plan.faults), 'fault')}, {plan.duration_s:g} s (seed {plan.seed})"
    )


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _speed(totals: Totals) -> str:
    if not totals.elapsed_s:
        return "0 events a second"
    return (
        f"{totals.events / totals.elapsed_s:,.0f} events a second, "
        f"{totals.virtual_s / totals.elapsed_s:,.0f} times as fast as time"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
