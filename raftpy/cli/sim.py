"""``raftpy sim``: whole clusters in a simulated world, thousands of them; each from a seed, which brings it back."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from raftpy.cli.errors import CommandFailed, help_without_command, reason

if TYPE_CHECKING:  # the simulator is not needed to print the help, and by no other command
    from raftpy.sim.outcome import Failure, Outcome
    from raftpy.sim.plan import Plan
    from raftpy.sim.totals import Found

DEFAULT_SEEDS = range(100)

EPILOG = """\b
Examples:
  raftpy sim run --seeds 0:1000 --jobs 4
  raftpy sim run --seeds 0:1000 --shrink --out found
  raftpy sim replay 17
  raftpy sim draw 17 --out seed-17.html --from 1.2 --to 1.9
  raftpy sim shrink 17 --out tests/sim/found
"""


@click.group(epilog=EPILOG, invoke_without_command=True)
@click.pass_context
def sim(ctx: click.Context) -> None:
    """Run clusters in a simulated world, with faults, and check everything that Raft promises."""
    help_without_command(ctx)


# --- Options that several commands have ---------------------------------------------------------------------------


def _seeds(_: click.Context, __: click.Parameter, text: str | None) -> range:
    if text is None:
        return DEFAULT_SEEDS
    match = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise click.UsageError(f"--seeds is {text!r}: allowed is A:B, the seeds from A to B - 1, such as 0:1000")
    return range(int(match[1]), int(match[2]))


def _seed(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise click.UsageError(f"SEED is {text!r}: allowed is a whole number from 0 on, of at most 18 digits")
    return int(text)


seed_argument = click.argument("seed", required=False, callback=_seed)
plan_option = click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A plan to run in place of a seed's: JSON, or a test that shrink has written.",
)
from_option = click.option("--from", "start", type=click.FloatRange(0), help="Virtual seconds; from the beginning.")
to_option = click.option("--to", "end", type=click.FloatRange(0), help="Virtual seconds; up to the end.")
runs_option = click.option(
    "--runs", type=click.IntRange(2), default=400, show_default=True, help="Runs that one shrinking may take."
)


def _check_range(start: float | None, end: float | None) -> None:
    if start is not None and end is not None and start >= end:
        raise click.UsageError(f"--to is {end:g}: allowed is a time behind --from, which is {start:g}")


def _plan(seed: int | None, plan_file: Path | None) -> Plan:
    """The plan that a command was given, one way or the other."""
    if (seed is None) == (plan_file is None):
        raise click.UsageError("give a SEED or --plan FILE, one of the two")
    if plan_file is None:
        from raftpy.sim.swarm import draw_plan

        assert seed is not None
        return draw_plan(seed)
    from raftpy.sim.faults import unfit
    from raftpy.sim.written import read_plan

    try:
        plan = read_plan(plan_file.read_text())
    except OSError as error:
        raise CommandFailed(f"cannot read {plan_file}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"--plan is {plan_file}: it is not UTF-8") from None
    except ValueError as error:
        raise click.UsageError(f"--plan is {plan_file}: {error}") from None
    if (why := unfit(plan)) is not None:
        raise click.UsageError(f"--plan is {plan_file}: {why}")
    return plan


def _title(seed: int | None, plan_file: Path | None) -> str:
    return f"seed {seed}" if seed is not None else str(plan_file)


def _run(plan: Plan, record: bool = False) -> Outcome:
    from raftpy.sim.guarded import guarded
    from raftpy.sim.run import run

    return guarded(lambda: run(plan, record))


def _folder(path: Path) -> None:
    """Makes the folder for what is written, before long work is done in vain."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"cannot make the folder {path}: {reason(error)}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {reason(error)}") from None


# --- Commands -----------------------------------------------------------------------------------------------------


@sim.command(short_help="Run many seeds, each twice.")
@click.option("--seeds", metavar="A:B", callback=_seeds, help="The seeds from A to B - 1.  [default: 0:100]")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Seeds at a time.  [default: as many as processors]")
@click.option("--once", is_flag=True, help="Run each seed once, without comparing it with its replay.")
@click.option(
    "--limit",
    type=click.FloatRange(0, min_open=True),
    default=300.0,
    show_default=True,
    help="Real seconds that one run may take.",
)
@click.option("--shrink", "shrinks", is_flag=True, help="Shrink each failure, and write a test for it into --out.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The folder for those tests.")
@runs_option
def run(seeds: range, jobs: int | None, once: bool, limit: float, shrinks: bool, out: Path | None, runs: int) -> int:
    """Run many seeds, each twice: two runs of a seed must not differ in any event.

    Ends with totals, and with exit status 1 if any seed has failed, or if 2,000 seeds or more have left out a rare
    branch that they must reach. Ctrl-C ends it early, with the totals so far.
    """
    from raftpy.cli.sim_view import View, print_totals
    from raftpy.sim.search import search

    if shrinks and out is None:
        raise click.UsageError("--shrink needs --out, the folder for the tests that it writes")
    if out is not None and not shrinks:
        raise click.UsageError(f"--out is {str(out)!r}: it is for the tests that --shrink writes, which is not given")
    if out is not None:
        _folder(out)
    jobs = min(jobs or os.cpu_count() or 1, len(seeds))
    with View(len(seeds)) as view:
        totals = search(seeds, jobs, once=once, limit_s=limit, tell=view.show)
    print_totals(totals, len(seeds), jobs)
    if out is not None and not totals.interrupted:
        for found in totals.found:
            if not _shrink_found(found, out, runs):
                break
    return 1 if totals.found or totals.interrupted or totals.blind_to() else 0


@sim.command
@seed_argument
@plan_option
@click.option("--events", is_flag=True, help="Print every event, a line each.")
@from_option
@to_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan there, as JSON.")
def replay(
    seed: int | None, plan_file: Path | None, events: bool, start: float | None, end: float | None, out: Path | None
) -> int:
    """Run one seed again, and say what came of it. Exit status 1 if it fails."""
    from raftpy.cli.sim_view import print_events, print_outcome

    _check_range(start, end)
    if not events and (start is not None or end is not None):
        raise click.UsageError("--from and --to choose events: they need --events")
    plan = _plan(seed, plan_file)
    if out is not None:
        _write(out, plan.to_json() + "\n")
    outcome = _run(plan, record=events)
    if events:
        try:
            print_events(outcome, start, end)
        except ValueError as error:
            raise CommandFailed(str(error)) from None
    print_outcome(plan, outcome)
    return 0 if outcome.failure is None else 1


@sim.command(short_help="Draw one run as a space-time diagram.")
@seed_argument
@plan_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The HTML file.")
@from_option
@to_option
def draw(seed: int | None, plan_file: Path | None, out: Path, start: float | None, end: float | None) -> None:
    """Draw one run as a space-time diagram: a page that any browser opens."""
    from raftpy.sim.drawing.page import page

    _check_range(start, end)
    outcome = _run(_plan(seed, plan_file), record=True)
    if outcome.trace is None:
        text = outcome.failure.text if outcome.failure is not None else "nothing was recorded"
        raise CommandFailed(f"there is nothing to draw, the run broke off: {text.splitlines()[0]}")
    try:
        text = page(outcome.trace, outcome.failure, title=_title(seed, plan_file), start=start, end=end)
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    _write(out, text)
    click.echo(f"{out}: {outcome.events:,} events, {outcome.virtual_s:.3f} virtual seconds{_failed(outcome.failure)}")


def _failed(failure: Failure | None) -> str:
    return "" if failure is None else f"; failed at {failure.time_s:.6f} s: {failure.check}"


@sim.command
@seed_argument
@plan_option
@click.option("--check", help="The check that has to fail.  [default: the one that does]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="here",
    help="The folder for the test.",
)
@runs_option
def shrink(seed: int | None, plan_file: Path | None, check: str | None, out: Path, runs: int) -> None:
    """Make a failing plan smaller, and write a test that holds it. Exit status 1 if it does not fail.

    Ctrl-C ends it early, and what is the smallest by then is written.
    """
    plan = _plan(seed, plan_file)
    _folder(out)
    from raftpy.sim.shrink import NoFailure

    try:
        _shrink(plan, check, out, runs, seed, _title(seed, plan_file))
    except NoFailure as error:
        raise CommandFailed(str(error)) from None


def _shrink_found(found: Found, out: Path, runs: int) -> bool:
    """Shrinks what a search has found; False: somebody wants to wait no longer."""
    from raftpy.sim.shrink import NoFailure
    from raftpy.sim.swarm import draw_plan
    from raftpy.sim.totals import NOT_REPLAYED
    from raftpy.sim.worker_process import DIED, ENDLESS

    title, check = f"seed {found.seed}", found.failure.check
    if check in (NOT_REPLAYED, DIED, ENDLESS):
        click.echo(f"{title}: not shrunk: {check!r} is no failure of one run in this process")
        return True
    try:
        return _shrink(draw_plan(found.seed), check, out, runs, found.seed, title)
    except NoFailure as error:
        click.echo(f"{title}: not shrunk: {error}")
        return True


def _shrink(plan: Plan, check: str | None, out: Path, runs: int, seed: int | None, title: str) -> bool:
    """Shrinks and writes; False: somebody has ended it early. Raises ``NoFailure``."""
    from raftpy.cli.sim_view import Shrinking, describe
    from raftpy.sim.shrink import shrink as shrunk
    from raftpy.sim.written import written

    click.echo(f"{title}: shrinking {describe(plan)}")
    small = shrunk(plan, _run, check=check, most_runs=runs, tell=Shrinking().show)
    ending = (
        "" if small.complete else ", by which time it was interrupted" if small.interrupted else ", the most allowed"
    )
    origin = f"{title}, shrunk in {small.runs} runs{ending}"
    name, text = written(small.plan, small.failure, origin=origin, seed=seed)
    _write(out / name, text)
    click.echo(f"{title}: {describe(small.plan)} still fails by {small.failure.check!r}: {out / name}")
    return not small.interrupted
