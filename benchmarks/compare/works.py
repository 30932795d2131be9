"""The works that are compared, and how long one session of each takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that every system is asked to do."""

    name: str
    group: str
    """Works of a group run one after the other in one session of a system, before the next system's turn."""
    title: str
    figure: str
    """The field of a row that stands for the work in tables, charts and ratios."""
    unit: str
    """Of that figure."""
    more_is_better: bool = False


WORKS = {
    work.name: work
    for work in (
        Work("seq16", "latency", "one command at a time, 16 B", "p50_us", "us"),
        Work("seq1k", "latency", "one command at a time, 1 KB", "p50_us", "us"),
        Work("inflight16", "load", "1,024 commands in flight, 16 B", "rate", "a second", True),
        Work("inflight256", "load", "1,024 commands in flight, 256 B", "rate", "a second", True),
        Work("inflight1k", "load", "1,024 commands in flight, 1 KB", "rate", "a second", True),
        Work("batch16", "batch", "batches of 1,000 x 16 B, four in flight", "rate", "a second", True),
        Work("core1", "core", "core alone, one entry at a time", "ns_per_entry", "ns"),
        Work("core10", "core", "core alone, batches of 10", "ns_per_entry", "ns"),
        Work("core100", "core", "core alone, batches of 100", "ns_per_entry", "ns"),
        Work("core1000", "core", "core alone, batches of 1,000", "ns_per_entry", "ns"),
        Work("backtrack1", "backtrack", "conflict, 1 differing term", "value", "round trips"),
        Work("backtrack100", "backtrack", "conflict, 100 differing terms", "value", "round trips"),
        Work("backtrack10000", "backtrack", "conflict, 10,000 differing terms", "value", "round trips"),
        Work("restart1m", "restart", "restart with 1,000,000 entries", "value", "ms"),
        Work("restart1m-single", "restart-single", "the same, written one by one", "value", "ms"),
        Work("failover", "failover", "outage after kill -9 of the leader", "value", "ms"),
        Work("idle", "quiet", "a quiet cluster, a node", "value", "percent of a core"),
        Work("read1", "quiet", "linearizable read, one at a time", "p50_us", "us"),
        Work("read1k", "quiet", "linearizable reads, 1,024 in flight", "rate", "a second", True),
    )
}

GROUPS = tuple(dict.fromkeys(work.group for work in WORKS.values()))

RARE = {"restart": 2, "restart-single": 2, "backtrack": 3}
"""Groups that take long, and in how many rounds of a full run they take part."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much one session of a work does."""

    rounds: int = 5
    count: int = 1000
    """Sequential commands."""
    seconds: float = 1.5
    """Of load, for each size; reads take two thirds of it."""
    failovers: int = 6
    restarts: int = 3
    entries: int = 1_000_000
    """In the log before a restart."""
    idle_s: float = 2.0
    core_part: float = 0.5
    """Of the entries that benchmarks.core takes by itself."""

    @property
    def reading_s(self) -> float:
        """Seconds of reads."""
        return self.seconds * 2 / 3

    def takes_part(self, group: str, number: int) -> bool:
        """Whether a group runs in round ``number``, counted from 1."""
        return number <= RARE.get(group, self.rounds)


FULL = Lengths()
QUICK = Lengths(rounds=3, count=500, seconds=1.0, failovers=2, restarts=1, idle_s=1.5, core_part=0.25)


def takes_s(group: str, works: int, lengths: Lengths) -> float:
    """About how many seconds one session of ``works`` works of a group takes a system on a quiet machine, start and end
    included; for the estimate that is printed at the start."""
    match group:
        case "latency":
            return 1.7 + works * lengths.count * 0.9e-3
        case "load" | "batch":
            return 1.7 + works * lengths.seconds * 1.3
        case "core":
            return works * (0.2 + 0.8 * lengths.core_part)
        case "backtrack":
            return works * 2.5
        case "restart" | "restart-single":
            return 1.5 + lengths.entries * (4e-6 + 2e-6 * lengths.restarts)
        case "failover":
            return 1.5 + lengths.failovers * 1.3
        case _:
            return 1.5 + lengths.idle_s + works * lengths.reading_s * 1.3
