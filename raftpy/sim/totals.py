"""What has come of many seeds, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from raftpy.sim.outcome import Failure

NOT_REPLAYED = "not replayed"
"""The check that fails when a seed's second run is not like its first."""

ENOUGH_SEEDS = 2_000
"""So many reach each rare branch that is counted; fewer may not."""


@dataclass(frozen=True, slots=True)
class Found:
    """A failure, and the seed that leads to it."""

    seed: int
    """Of ``draw_plan``."""
    failure: Failure
    """What did not hold."""


@dataclass(slots=True)
class Totals:
    """Of a search, as far as it has come."""

    seeds: int = 0
    """Seeds that are done."""
    runs: int = 0
    """Worlds that were run: as many, or twice as many."""
    events: int = 0
    """Of all runs."""
    virtual_s: float = 0.0
    """Virtual seconds of all runs."""
    worked_s: float = 0.0
    """Seconds of processors that they took."""
    elapsed_s: float = 0.0
    """Seconds since the search began."""
    found: list[Found] = field(default_factory=list)
    """All failures, in the order in which they were found."""
    reached: Counter[str] = field(default_factory=Counter)
    """How often each rare branch was reached, in each seed's first run; 0 is one that never was."""
    interrupted: bool = False
    """Somebody has ended the search early."""

    def count_reached(self, reached: Mapping[str, int]) -> None:
        """Adds one run's counters. One that is 0 is remembered as well."""
        for name, times in reached.items():
            self.reached[name] += times

    def by_check(self) -> dict[str, list[int]]:
        """Failures by their check: the seeds of each, in order. The most frequent first."""
        found: dict[str, list[int]] = {}
        for each in self.found:
            found.setdefault(each.failure.check, []).append(each.seed)
        return {
            check: sorted(seeds) for check, seeds in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
        }

    def never_reached(self) -> list[str]:
        """Names of what no run has reached."""
        return sorted(name for name, times in self.reached.items() if not times)

    def blind_to(self) -> list[str]:
        """Of these, what so many seeds must have reached: a search that never gets there proves nothing of it."""
        return self.never_reached() if self.seeds >= ENOUGH_SEEDS else []
