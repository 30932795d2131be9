"""Rows as text: figures with their ranges, and ratios between systems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from benchmarks.compare.works import WORKS
from benchmarks.rows import Row

ABSENT = "-"


def number(value: float | None) -> str:
    """Three significant digits at least, thousands separated; "-" for nothing."""
    if value is None:
        return ABSENT
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def headline(row: Row) -> float | None:
    """The figure that stands for the row's work."""
    value: float | None = getattr(row, WORKS[row.work].figure)
    return value


def spread(row: Row) -> tuple[float, float] | None:
    """The smallest and the largest headline figure of the rounds."""
    values = [each[WORKS[row.work].figure] for each in row.rounds if WORKS[row.work].figure in each]
    return (min(values), max(values)) if values else None


def ratio(row: Row, other: Row | None) -> float | None:
    """The row's headline figure over the other's; None where one is missing or 0."""
    mine, theirs = headline(row), headline(other) if other is not None else None
    return mine / theirs if mine is not None and theirs else None


def by_key(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """Rows by system and work."""
    return {(row.system, row.work): row for row in rows}


def matrix(
    rows: Sequence[Row], systems: Sequence[str], works: Sequence[str], failed: Mapping[tuple[str, str], str]
) -> list[list[str]]:
    """Head and lines of the overview: works down, systems across. "-" where a system does not do a work, "failed"
    where it did not come through."""
    found = by_key(rows)
    lines = [["", *systems]]
    for name in works:
        work = WORKS[name]
        cells = []
        for system in systems:
            row = found.get((system, name))
            if row is not None:
                cells.append(number(headline(row)))
            else:
                cells.append("failed" if (system, work.group) in failed else ABSENT)
        lines.append([f"{name}, {work.unit}", *cells])
    return lines


DETAIL_HEAD = [
    "work",
    "system",
    "median",
    "range",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "p99.99 us",
    "CPU us",
    "leader CPU us",
    "to the floor",
    "raftpy to it",
]


def details(rows: Sequence[Row]) -> list[list[str]]:
    """A line for each row: median and range of its figure, the percentiles, CPU for each operation, of all three and of
    the leader, and two ratios of that figure: to the floor, and raftpy's to this system's."""
    found = by_key(rows)
    lines = []
    for row in rows:
        low_high = spread(row)
        ours = found.get(("raftpy", row.work))
        to_floor = ratio(row, found.get(("floor", row.work))) if row.system != "floor" else None
        beside = ratio(ours, row) if ours is not None and row.system not in ("raftpy", "floor") else None
        lines.append(
            [
                row.work,
                row.system,
                number(headline(row)),
                f"{number(low_high[0])} to {number(low_high[1])}" if low_high else ABSENT,
                number(row.p50_us),
                number(row.p99_us),
                number(row.p99_9_us),
                number(row.p99_99_us),
                number(row.cpu_us_per_op),
                number(row.leader_cpu_us_per_op),
                ABSENT if to_floor is None else f"{to_floor:.2f}",
                ABSENT if beside is None else f"{beside:.2f}",
            ]
        )
    return lines


def rich_table(title: str, head: Sequence[str], lines: Iterable[Sequence[str]], words: int) -> Table:
    """A table for the terminal; the first ``words`` columns hold words, the others figures."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place < words else "right", no_wrap=place < words)
    for line in lines:
        table.add_row(*line)
    return table


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]], words: int) -> str:
    """The same for a document."""
    rule = ["---" if place < words else "---:" for place in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(head), rule, *map(list, lines)])
