"""One measured figure, as it is printed and written to JSON; and how latencies become percentiles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Row:
    """A system doing a work: the medians over all rounds, and the rounds themselves. None: does not apply."""

    system: str
    work: str
    p50_us: float | None = None
    p99_us: float | None = None
    p99_9_us: float | None = None
    p99_99_us: float | None = None
    """Of fewer than ten thousand times it is the longest."""
    rate: float | None = None
    """Commands, entries or reads a second."""
    ns_per_entry: float | None = None
    cpu_us_per_op: float | None = None
    """CPU time of all processes together, in microseconds for each command."""
    leader_cpu_us_per_op: float | None = None
    """The same of the leader's process alone, in which the load is made, too."""
    value: float | None = None
    unit: str | None = None
    """``value`` is in this unit: ms of outage or restart, round trips, percent of a core."""
    rounds: list[dict[str, float]] = field(default_factory=list)


FIGURES = (
    "p50_us",
    "p99_us",
    "p99_9_us",
    "p99_99_us",
    "rate",
    "ns_per_entry",
    "cpu_us_per_op",
    "leader_cpu_us_per_op",
    "value",
)

PARTS = (("p50_us", 0.5), ("p99_us", 0.99), ("p99_9_us", 0.999), ("p99_99_us", 0.9999))
"""The percentiles that are kept of latencies, and the part of the times that lies below each."""


def median(values: Iterable[float]) -> float:
    """The middle one; the mean of the two in the middle of an even number."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing")
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99, p99.9 and p99.99 in microseconds, and how many a second one after the other makes."""
    ordered = sorted(seconds)
    return {
        **{name: round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1e6, 1) for name, part in PARTS},
        "rate": round(len(ordered) / sum(ordered), 1),
    }


def summary(system: str, work: str, rounds: list[dict[str, float]], unit: str | None = None) -> Row:
    """The row of several rounds: each figure's median."""
    row = Row(system, work, unit=unit, rounds=rounds)
    for figure in FIGURES:
        values = [each[figure] for each in rounds if figure in each]
        if values:
            setattr(row, figure, round(median(values), 3))
    return row


def write_json(path: Path, rows: Iterable[Row]) -> None:
    """A list of rows, in the form the comparison and the tests read."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
