"""``python -m tests.seeded_bugs``: does each known mistake still make a test fail?

Exit status: 0 every bug was found; 1 one survived, or a finder that is on record as finding it did not; 2 a patch does
not apply, does not build, or breaks even a trivial cluster, or a finder complains of the tree without any bug.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from tests.seeded_bugs.bug import GROUPS, Bug, PatchError, named
from tests.seeded_bugs.bugs import BUGS
from tests.seeded_bugs.finders import Finder, finders
from tests.seeded_bugs.report import markdown, say, table
from tests.seeded_bugs.runner import Outcome, Runner
from tests.seeded_bugs.workshop import check_built

STATUS = {"found": 0, "survived": 1, "missed": 1, "error": 2}


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m tests.seeded_bugs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("--list", action="store_true", help="print the bugs and what they break, and stop")
    out.add_argument("--only", metavar="NAME,...", help="these bugs")
    out.add_argument("--sample", metavar="N", type=int, help="N bugs, drawn by the seed")
    out.add_argument(
        "--seed", type=int, default=1, help="for the sample and for the finders' random choices (%(default)s)"
    )
    out.add_argument("--finder", choices=GROUPS, action="append", help="ask only these groups of finders")
    out.add_argument(
        "--all-finders", action="store_true", help="ask every group about every bug, not until one finds it"
    )
    out.add_argument("--jobs", type=int, default=2, help="copies of the tree to work in at a time (%(default)s)")
    out.add_argument("--json", metavar="FILE", type=Path, help="write the outcomes to FILE")
    out.add_argument("--markdown", metavar="FILE", type=Path, help="write the outcomes as a table to FILE")
    return out


def chosen(options: argparse.Namespace, bugs: Sequence[Bug]) -> list[Bug]:
    """The bugs that the options name. ValueError for a name that is not in the list, or a sample of none."""
    out = named(options.only, bugs)
    if options.sample is not None:
        if not 1 <= options.sample <= len(out):
            raise ValueError(f"--sample must be 1 to {len(out)}, got {options.sample}")
        drawn = set(random.Random(options.seed).sample(sorted(bug.name for bug in out), options.sample))
        out = [bug for bug in out if bug.name in drawn]
    if options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}")
    return out


Choose = Callable[[Bug, int], list[Finder]]


def run(options: argparse.Namespace, bugs: Sequence[Bug], console: Console, choose: Choose) -> list[Outcome]:
    """All outcomes, in the order of the list."""
    outcomes = {}
    with tempfile.TemporaryDirectory(prefix="seeded-bugs-") as folder:
        runner = Runner(
            Path(folder) / "trees",
            seed=options.seed,
            jobs=min(options.jobs, len(bugs)),
            groups=options.finder or GROUPS,
            every=options.all_finders,
            choose=choose,
        )
        for number, outcome in enumerate(runner.run(bugs), 1):
            outcomes[outcome.bug.name] = outcome
            say(console, outcome, number, len(bugs))
            if options.json is not None:  # each time: a long run that is ended early has not been for nothing
                done = [outcomes[bug.name].as_json() for bug in bugs if bug.name in outcomes]
                options.json.write_text(json.dumps(done, indent=1) + "\n")
    return [outcomes[bug.name] for bug in bugs]


def main(arguments: Sequence[str] | None = None, all_bugs: Sequence[Bug] = BUGS, choose: Choose = finders) -> int:
    """Runs the command, over another list of bugs or with other finders if given; its exit status."""
    options = parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160, soft_wrap=False)
    try:
        bugs = chosen(options, all_bugs)
        if options.list:
            for bug in bugs:
                print(f"{bug.name}: {bug.breaks} [{bug.file}; {', '.join(bug.found_by)}]")
            return 0
        check_built()
    except (ValueError, PatchError) as error:
        print(error, file=sys.stderr)
        return 2
    begun = time.monotonic()
    console.print(f"{len(bugs)} of {len(all_bugs)} bugs, seed {options.seed}", highlight=False)
    outcomes = run(options, bugs, console, choose)
    if options.markdown is not None:
        options.markdown.write_text(markdown(outcomes) + "\n")
    console.print(table(outcomes))
    counts = {word: sum(outcome.verdict == word for outcome in outcomes) for word in STATUS}
    summary = ", ".join(f"{count} {word}" for word, count in counts.items())
    console.print(f"{summary}; {time.monotonic() - begun:.0f} s", highlight=False)
    return max(STATUS[outcome.verdict] for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
