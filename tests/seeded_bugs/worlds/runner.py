"""Puts bugs in, one at a time, and searches for a world that shows each."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.seeded_bugs.bug import Patch, PatchError
from tests.seeded_bugs.workshop import Workshop, tail
from tests.seeded_bugs.worlds.search import BEGUN, CLEAN, FOUND

SECONDS_A_SEED = 5.0
"""On average, and at the most: a search that takes longer goes round in circles."""
DEADLY = frozenset(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))
"""How a search ends that a bug in C has killed."""
LEAST_SECONDS = 300.0


@dataclass
class Outcome:
    """What became of one bug.

    Attributes:
        seed: of the first world that shows it; 0: none does.
        check: the check that failed there, and ``text``, what it said.
        seconds: what the search took, and ``build_seconds``, what came before it.
        fault: why nothing could be said about this bug; None in a sound list.
    """

    bug: Patch
    seed: int = 0
    check: str = ""
    text: str = ""
    seconds: float = 0.0
    build_seconds: float = 0.0
    fault: str | None = None

    @property
    def verdict(self) -> str:
        if self.fault is not None:
            return "error"
        return "found" if self.seed else "survived"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.bug.name,
            "file": self.bug.file,
            "verdict": self.verdict,
            "seed": self.seed,
            "check": self.check,
            "text": self.text,
            "seconds": round(self.seconds, 1),
            "build_seconds": round(self.build_seconds, 1),
            "fault": self.fault,
        }


class Searcher:
    """Searches worlds in a copy of the tree made in ``folder``; the seeds from 1 to ``seeds``, for each bug."""

    def __init__(self, folder: Path, seeds: int) -> None:
        self.seeds = seeds
        self.clean = Workshop(folder / "clean")
        self.bench = Workshop(folder / "bench")

    def run(self, bugs: Sequence[Patch]) -> Iterator[Outcome]:
        """Outcomes, in the order of the list."""
        for bug in bugs:
            yield self.try_one(bug)

    def try_one(self, bug: Patch) -> Outcome:
        """Puts one bug in, searches, takes it out."""
        outcome = Outcome(bug)
        try:
            with self.bench.seeded(bug) as outcome.build_seconds:
                self._search(outcome)
            if outcome.seed:
                self._believe(outcome)
        except PatchError as error:
            outcome.fault = str(error)
        return outcome

    def _search(self, outcome: Outcome) -> None:
        limit = max(LEAST_SECONDS, self.seeds * SECONDS_A_SEED)
        done = self.bench.run(["-m", "tests.seeded_bugs.worlds.search", "1", str(self.seeds)], limit)
        outcome.seconds = done.seconds
        begun = [line for line in done.output.splitlines() if line.startswith(BEGUN)]
        if done.status in DEADLY and begun:
            outcome.seed = int(begun[-1].removeprefix(BEGUN))
            outcome.check, outcome.text = "the process lives", f"it died by signal {-done.status}"
            return
        if done.status not in (CLEAN, FOUND):
            raise PatchError(f"{outcome.bug.name}: the search ended with {done.status}:\n{tail(done.output)}")
        seen = json.loads(done.output.splitlines()[-1])
        outcome.seed, outcome.check, outcome.text = seen["seed"], seen["check"], seen["text"]

    def _believe(self, outcome: Outcome) -> None:
        """A world proves something only if it runs clean without the bug."""
        seed = str(outcome.seed)
        done = self.clean.run(["-m", "tests.seeded_bugs.worlds.search", seed, seed], LEAST_SECONDS)
        if done.status != CLEAN:
            raise PatchError(f"the world of seed {seed} fails without any bug:\n{tail(done.output)}")
