"""The finders: commands that end with 1 when they have seen something wrong, and what to show of what they print."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.seeded_bugs.bug import Bug
from tests.seeded_bugs.workshop import Done

SCHEDULES = 200  # of the differential test
SCHEDULES_APART = 100_000  # between the first schedules of two seeds
# What the explorer covers for one bug: small scopes that are done in a second or two, one for each concern.
SCOPES = (
    "--log 1 --heartbeats 1",
    "--terms 3 --log 1",
    "--log 2",
    "--log 1 --crashes 1",
    "--log 0 --terms 1 --prevote",
    "--nodes 2 --log 1 --prevote",
    "--nodes 4 --log 0 --terms 1",
    "--scope membership --log 1",
    "--scope transfer --log 0",
    "--scope witness --log 0",
)

# How the line begins in which a finder says what it saw.
SIGNS = {
    "tables": re.compile("FAILED |ERROR "),
    "model": re.compile("seed [0-9]+, step"),
    "explorer": re.compile("[A-Z][0-9]+: "),
}


@dataclass(frozen=True)
class Finder:
    """One command. It has found something if it ends with 1, or is ended by a signal of its own doing.

    Attributes:
        group: "tables", "model" or "explorer".
        label: for reports.
        arguments: to Python.
        limit: seconds after which it is ended; it has found nothing then.
    """

    group: str
    label: str
    arguments: tuple[str, ...]
    limit: float

    def found(self, done: Done) -> bool:
        return done.status is not None and (done.status == 1 or done.status < 0)

    def failed(self, done: Done) -> bool:
        """Could it not do its work at all (nothing collected, wrong usage)?"""
        return done.status is not None and done.status > 1

    def evidence(self, done: Done) -> str:
        """One line of what it saw."""
        if done.status is not None and done.status < 0:
            return f"ended by signal {-done.status}"
        lines = [line.strip() for line in done.output.splitlines() if line.strip()]
        said = [line for line in lines if SIGNS[self.group].match(line)] or lines
        return said[0].removeprefix("FAILED ") if said else "nothing printed"


def pytest(label: str, *paths: str, seed: int, limit: float) -> Finder:
    options = ("-x", "-q", "-p", "no:cacheprovider", "-p", "tests.seeded_bugs.quick", "--seed", str(seed))
    return Finder("tables", label, ("-m", "pytest", *options, *paths), limit)


def differential(seed: int) -> Finder:
    """Core against model; what it finds it does not make shorter."""
    first = str(seed * SCHEDULES_APART)
    arguments = ("-m", "tests.model", "--seeds", str(SCHEDULES), "--seed", first, "--shrink", "0")
    return Finder("model", "core against model", arguments, 180)


def explorer(scope: str) -> Finder:
    """Every state of a small cluster."""
    return Finder("explorer", f"explorer {scope}", ("-m", "tests.explore", "--quiet", *scope.split()), 60)


def finders(bug: Bug | None, seed: int) -> list[Finder]:
    """All finders, those of a group together, cheap ones first. For a bug: the test file near it before all others."""
    found = []
    if bug is not None and bug.near:
        found.append(pytest(bug.near, bug.near, seed=seed, limit=120))
    found += [
        Finder("tables", "transcripts", ("-m", "tests.interaction", "tests/interaction/transcripts"), 60),
        pytest("paper, core", "tests/paper", "tests/core", seed=seed, limit=240),
        pytest("unit", "tests/unit", seed=seed, limit=300),
        pytest("fuzz", "tests/fuzz", seed=seed, limit=240),
        differential(seed),
        *(explorer(scope) for scope in SCOPES),
    ]
    return found
