"""A soak as an SVG chart. Needs matplotlib (the extra ``compare``)."""

from __future__ import annotations

from pathlib import Path

from benchmarks.soak.record import FIGURES, Record


def draw(record: Record, file: Path) -> None:
    """One panel for each figure, over the minutes of the run."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "raftpy", "svg.fonttype": "none", "font.size": 9})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 12), layout="constrained")
    panels = figure.subplots(len(FIGURES), sharex=True)
    for axes, (name, of) in zip(panels, FIGURES.items(), strict=True):
        shown = [(sample.at_s / 60, value) for sample in record.samples if (value := of(sample)) is not None]
        axes.plot([at for at, _ in shown], [value for _, value in shown], color="#1f6feb", linewidth=1)
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_title(
        f"{record.compactions()} cuts of a log, {record.installs} members brought up by a snapshot", loc="left"
    )
    panels[-1].set_xlabel("minutes")
    figure.savefig(file, metadata={"Date": None})
