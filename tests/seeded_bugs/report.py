"""What a run of seeded bugs prints: a line as each bug is done, and a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.seeded_bugs.bug import GROUPS, Bug
from tests.seeded_bugs.runner import Outcome

COLOURS = {"found": "green", "survived": "red", "missed": "red", "error": "yellow"}
ABSENT = "–"


def say(console: Console, outcome: Outcome, number: int, count: int) -> None:
    """One line for a bug that is done, and more when something is amiss."""
    colour = COLOURS[outcome.verdict]
    console.print(f"{number:3}/{count} [{colour}]{outcome.verdict:8}[/] {outcome.bug.name}", highlight=False)
    for group, find in outcome.found.items():
        console.print(f"          {group}: {escape(find.evidence)}", highlight=False, overflow="ellipsis", no_wrap=True)
    if outcome.verdict == "survived":
        console.print(f"          breaks: {escape(outcome.bug.breaks)}; asked: {', '.join(outcome.asked)}")
    if outcome.fault is not None:
        console.print(f"          {escape(outcome.fault)}", highlight=False)
    for group in outcome.blind if outcome.verdict == "missed" else ():
        console.print(f"          {group} used to find this, and did not")


def table(outcomes: Iterable[Outcome]) -> Table:
    """A row for each bug, in the order of the list."""
    out = Table("bug", "verdict", *GROUPS, "build", title="seeded bugs: found by, seconds")
    for outcome in outcomes:
        cells = [f"{outcome.found[g].seconds:.1f}" if g in outcome.found else ABSENT for g in GROUPS]
        colour = COLOURS[outcome.verdict]
        out.add_row(outcome.bug.name, f"[{colour}]{outcome.verdict}[/]", *cells, f"{outcome.build_seconds:.1f}")
    return out


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table of docs/testing.md, from a run with --all-finders."""
    return "\n".join([*head(), *(row(outcome.bug, outcome) for outcome in outcomes)])


def head() -> list[str]:
    return [f"| bug | breaks | {' | '.join(GROUPS)} |", "|---" * (2 + len(GROUPS)) + "|"]


def row(bug: Bug, outcome: Outcome) -> str:
    cells = [f"{outcome.found[g].seconds:.1f} s" if g in outcome.found else ABSENT for g in GROUPS]
    return f"| {bug.name} | {bug.breaks} | {' | '.join(cells)} |"
