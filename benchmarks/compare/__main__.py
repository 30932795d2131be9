"""python -m benchmarks.compare [--quick] [--work NAME,..] [--system NAME,..] [--json FILE]

Measures raftpy, the floor and the peers in alternating rounds and prints tables: medians; all figures, with their
percentiles, processor time and ratios; and what raftpy means to reach, beside what the run says. A full run (no
--quick, no selection) also writes docs/benchmarks.md and its charts. Peers are built on demand where their toolchain is
there.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.compare import charts, machine
from benchmarks.compare.aims import AIM_HEAD, aim_lines, aims
from benchmarks.compare.document import document
from benchmarks.compare.runner import Outcome, Session, estimate_s, prepare, run, schedule
from benchmarks.compare.systems import System, systems
from benchmarks.compare.table import DETAIL_HEAD, details, matrix, rich_table
from benchmarks.compare.works import FULL, QUICK, WORKS, Lengths
from benchmarks.rows import write_json

WIDTH = 170
"""Characters in a line of a report that goes to a file."""
LEGEND = """\
median and range: of the work's own figure over the rounds, in the unit above; p50 to p99.99: microseconds
CPU us: of all three processes, for a command; leader CPU us: of the leader's alone, which makes the load too
the last two: that figure, times the floor's; and raftpy's, times this system's"""
DOCS = Path(__file__).parents[2] / "docs"


def chosen(text: str | None, known: Sequence[str], kind: str) -> list[str]:
    """The names in a comma list, all of them without one; SystemExit for one that is not known."""
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise SystemExit(f"unknown {kind} {name!r}: known are {', '.join(known)}")
    if not names:
        raise SystemExit(f"no {kind} given: known are {', '.join(known)}")
    return [name for name in known if name in names]


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description="raftpy beside its peers, in alternating rounds"
    )
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    parser.add_argument("--work", metavar="NAME,..", help=f"only these: {', '.join(WORKS)}")
    parser.add_argument("--system", metavar="NAME,..", help=f"only these: {', '.join(systems())}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--rounds", type=int, help="alternating rounds (default 5, with --quick 3)")
    parser.add_argument("--seconds", type=float, help="seconds of load a round for each size (default 1.5)")
    parser.add_argument("--count", type=int, help="sequential commands a round (default 1,000)")
    parser.add_argument("--folder", type=Path, default=Path("peers-data"), help="where the data goes (peers-data)")
    parser.add_argument("--document", action="store_true", help="write docs/benchmarks.md and charts in any case")
    options = parser.parse_args(words)
    for name in ("rounds", "seconds", "count"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} must be above 0, not {value}")
    return options


def lengths_of(options: argparse.Namespace) -> Lengths:
    """How much a run does."""
    lengths = QUICK if options.quick else FULL
    given = {name: value for name in ("rounds", "seconds", "count") if (value := getattr(options, name)) is not None}
    return replace(lengths, **given)


def carry_out(sessions: list[Session], lengths: Lengths, folder: Path, console: Console) -> Outcome:
    """Runs the sessions, with a bar on a terminal and a line for each in any case."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(sessions))

        def begins(session: Session) -> None:
            progress.update(task, description=f"round {session.number}: {session.system.name} {session.group}")

        def ends(session: Session, said: str) -> None:
            progress.console.print(f"{session.number} {session.system.name:15} {said}", highlight=False, markup=False)
            progress.advance(task)

        return run(sessions, lengths, folder, begins, ends)


def report(outcome: Outcome, names: Sequence[str], works: Sequence[str], console: Console) -> None:
    """Prints the overview, all figures, and the aims as far as the run says whether they are met."""
    rows = outcome.rows()
    overview = matrix(rows, [name for name in names if name not in outcome.missing], works, outcome.failed)
    console.print(rich_table("Medians", overview[0], overview[1:], 1))
    console.print()
    console.print(rich_table("All figures", DETAIL_HEAD, details(rows), 2))
    console.print(LEGEND, highlight=False, markup=False)
    if measured := [aim for aim in aims(rows) if aim.met is not None]:
        console.print()
        console.print(rich_table("Aims", AIM_HEAD, aim_lines(measured), 3))
    for name, reason in outcome.missing.items():
        console.print(f"{name}: {reason}", markup=False)
    for (name, group), why in outcome.failed.items():
        console.print(f"{name} failed at {group}: {why}", markup=False)


def write_document(
    outcome: Outcome, known: dict[str, System], lengths: Lengths, records: dict[str, dict[str, str]]
) -> None:
    """docs/benchmarks.md and the charts."""
    drawn = charts.draw(outcome.rows(), DOCS) if charts.missing() is None else []
    DOCS.joinpath("benchmarks.md").write_text(document(outcome, known, lengths, records, drawn), encoding="utf-8")


def remove_if_empty(folder: Path) -> None:
    """Each session removes its own data; a folder that held something else stays."""
    try:
        folder.rmdir()
    except OSError:
        pass


def end(number: int, _frame: object) -> None:
    """An order to end takes the way of an exception, so that every process is ended on the way; once is enough."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0 when nothing failed."""
    options = arguments(words)
    console, progress = Console(), Console(stderr=True)
    if not console.is_terminal:
        console = Console(width=WIDTH)
    known = systems()
    names = chosen(options.system, list(known), "system")
    works = chosen(options.work, list(WORKS), "work")
    lengths = lengths_of(options)
    full = not options.quick and options.work is None and options.system is None
    writes = full or options.document
    if writes and (reason := charts.missing()):
        progress.print(f"no charts: {reason}", markup=False)
    signal.signal(signal.SIGTERM, end)
    picked = {name: known[name] for name in names}
    ready, missing = prepare(picked, lambda text: progress.print(text, highlight=False, markup=False))
    sessions = schedule(ready, works, lengths)
    if not sessions:
        raise SystemExit("nothing to measure: no system of the selection does a work of it here")
    minutes = estimate_s(sessions, lengths) / 60
    progress.print(f"{len(sessions)} sessions, about {minutes:.1f} minutes on a quiet machine")
    options.folder.mkdir(parents=True, exist_ok=True)
    records = {"Machine": machine.machine(options.folder), "Versions": machine.versions(list(picked))}
    try:
        outcome = carry_out(sessions, lengths, options.folder, progress)
        outcome.missing = missing
        report(outcome, names, works, console)
        if options.json is not None:
            write_json(options.json, outcome.rows())
        if writes:
            write_document(outcome, picked, lengths, records)
    finally:
        remove_if_empty(options.folder)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
