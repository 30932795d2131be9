"""``python -m tests.seeded_bugs.worlds``: does the simulator find each known mistake of the driver and the store?

Exit status: 0 every bug was found; 1 one survived; 2 a patch does not apply or does not build, the simulator broke, or
the world that shows a bug fails without it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.seeded_bugs.bug import Patch, PatchError, named
from tests.seeded_bugs.workshop import check_built
from tests.seeded_bugs.worlds.bugs import BUGS
from tests.seeded_bugs.worlds.runner import Outcome, Searcher

SEEDS = 2_000
STATUS = {"found": 0, "survived": 1, "error": 2}


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m tests.seeded_bugs.worlds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("--list", action="store_true", help="print the bugs and what they break, and stop")
    out.add_argument("--only", metavar="NAME,...", help="these bugs")
    out.add_argument("--seeds", metavar="N", type=int, default=SEEDS, help="worlds for each bug (%(default)s)")
    out.add_argument("--json", metavar="FILE", type=Path, help="write the outcomes to FILE")
    out.add_argument("--markdown", metavar="FILE", type=Path, help="write the outcomes as a table to FILE")
    return out


def chosen(options: argparse.Namespace, bugs: Sequence[Patch]) -> list[Patch]:
    """The bugs that the options name. ValueError for a name that is not in the list, or no seeds."""
    if options.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {options.seeds}")
    return named(options.only, bugs)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table of docs/testing.md."""
    rows = [
        f"| {one.bug.name} | {one.bug.breaks} | {one.bug.file} | {one.check or '–'} | {one.seed or '–'} "
        f"| {one.seconds:.0f} s |"
        for one in outcomes
    ]
    head = "| bug | breaks | where | found by the check | worlds | time |"
    return "\n".join([head, "|---" * 6 + "|", *rows])


def main(arguments: Sequence[str] | None = None, all_bugs: Sequence[Patch] = BUGS) -> int:
    """Runs the command, over another list of bugs if given; its exit status."""
    options = parser().parse_args(arguments)
    try:
        bugs = chosen(options, all_bugs)
        if options.list:
            for bug in bugs:
                print(f"{bug.name}: {bug.breaks} [{bug.file}]")
            return 0
        check_built()
    except (ValueError, PatchError) as error:
        print(error, file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="seeded-bugs-") as folder:
        for outcome in Searcher(Path(folder), options.seeds).run(bugs):
            outcomes.append(outcome)
            print(said(outcome), flush=True)
            if options.json is not None:  # each time: a long run that is ended early has not been for nothing
                options.json.write_text(json.dumps([one.as_json() for one in outcomes], indent=1) + "\n")
    if options.markdown is not None:
        options.markdown.write_text(markdown(outcomes) + "\n")
    counts = {word: sum(one.verdict == word for one in outcomes) for word in STATUS}
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return max(STATUS[one.verdict] for one in outcomes)


def said(outcome: Outcome) -> str:
    """One line for a bug that is done: the bug, the check, how many seeds it took."""
    if outcome.fault is not None:
        return f"error    {outcome.bug.name}: {outcome.fault}"
    if not outcome.seed:
        return f"survived {outcome.bug.name}: breaks: {outcome.bug.breaks}; {outcome.seconds:.0f} s"
    how = f"{outcome.check}, {outcome.seed} seeds, {outcome.seconds:.0f} s"
    return f"found    {outcome.bug.name}: {how}: {outcome.text}"


if __name__ == "__main__":
    sys.exit(main())
