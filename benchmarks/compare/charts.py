"""The figures as SVG charts. Needs matplotlib (the extra ``compare``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare.table import by_key, headline, spread
from benchmarks.rows import Row

COLOURS = {
    "floor": "#bbbbbb",
    "raftpy": "#1f6feb",
    "raftpy-memory": "#9ec5fe",
    "hashicorp-wal": "#6f42c1",
    "etcd-raft": "#2da44e",
    "dragonboat-tan": "#bf8700",
    "raft-rs": "#cf222e",
    "pysyncobj": "#57606a",
}

CHARTS = (
    ("latency", "One durable command at a time", "p50, microseconds", ("seq16", "seq1k"), False),
    ("throughput", "1,024 commands in flight", "a second", ("inflight16", "inflight256", "inflight1k"), False),
    ("core", "The core alone", "ns an entry", ("core1", "core10", "core100", "core1000"), True),
    ("recovery", "Back after a kill -9", "ms", ("failover", "restart1m"), True),
)
"""File, title, axis, works, and whether the axis is logarithmic."""


def missing() -> str | None:
    """Why charts cannot be drawn here; None when they can."""
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed: it comes with the extra `compare`"
    return None


def draw(rows: Sequence[Row], folder: Path) -> list[str]:
    """Writes ``benchmarks-NAME.svg`` for each chart that has figures; gives the names."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same figures make the same file: no date, no random ids; text stays text.
    mpl.rcParams.update({"svg.hashsalt": "raftpy", "svg.fonttype": "none", "font.size": 9})
    names = []
    for name, title, axis, works, logarithmic in CHARTS:
        mine = [row for row in rows if row.work in works]
        if mine:
            file = f"benchmarks-{name}.svg"
            _bars(mine, title, axis, works, logarithmic).savefig(folder / file, metadata={"Date": None})
            names.append(file)
    return names


def _bars(rows: Sequence[Row], title: str, axis: str, works: Sequence[str], logarithmic: bool) -> Any:
    """Groups of bars, one group a work, with the range over the rounds as whiskers."""
    from matplotlib.figure import Figure

    found = by_key(rows)
    there = {row.system for row in rows}
    systems = [name for name in COLOURS if name in there]
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(systems)
    for place, system in enumerate(systems):
        shown = [(at, row) for at, work in enumerate(works) if (row := found.get((system, work))) is not None]
        heights = [headline(row) or 0.0 for _, row in shown]
        ranges = [spread(row) or (height, height) for (_, row), height in zip(shown, heights, strict=True)]
        axes.bar(
            [at - 0.4 + width * (place + 0.5) for at, _ in shown],
            heights,
            width * 0.92,
            label=system,
            color=COLOURS[system],
            yerr=[
                [max(0.0, height - low) for height, (low, _) in zip(heights, ranges, strict=True)],
                [max(0.0, high - height) for height, (_, high) in zip(heights, ranges, strict=True)],
            ],
            error_kw={"elinewidth": 0.7, "ecolor": "#333333"},
        )
    axes.set_xticks(range(len(works)), works)
    axes.set_title(title, loc="left")
    axes.set_ylabel(axis)
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure
