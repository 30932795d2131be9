"""``python -m tests.covered lines|branches``: what the core's tests reach of the core.

Builds the core in a copy of the tree and runs the core's tests there (not the slow ones), always with the same seed.
Exit status: 0 the figure is at or above its floor, and each line that is not reached is in uncovered.toml with its
reason; 1 it is below, or the list is wrong; 2 the build or a test failed, so that there is no figure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.covered import branches, traced
from tests.covered.copy import TESTS, Copy, Failed
from tests.covered.place import complaints, read

FLOORS = {"lines": 98.0, "branches": 95.0}  # percent


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m tests.covered", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("what", choices=sorted(FLOORS, reverse=True))
    out.add_argument("--jobs", type=int, default=2, help="groups of tests that run at a time (%(default)s)")
    out.add_argument("--keep", metavar="FOLDER", type=Path, help="work in FOLDER, a new one, and leave it there")
    return out


def measure_lines(folder: Path, jobs: int) -> int:
    copy = Copy(folder, "RAFTPY_LINETRACE")
    settings = traced.write_settings(folder)
    copy.build()
    copy.test(TESTS, jobs, ("-m", "coverage", "run", "--rcfile", str(settings), "-m"))
    return report_lines(folder)


def report_lines(folder: Path) -> int:
    """Prints the lines reached, file by file, and those that are not."""
    total, missed = traced.measure(folder)
    for file, count in total.items():
        here = [place for place in missed if place.file == file]
        print(f"{file:30} {count - len(here):5} of {count:5}")
        for place in here:
            print(f"{'':8}{place.number:4}: {place.text}")
    wrong = complaints(missed, read())
    for line in wrong:
        print(line)
    return verdict("lines", sum(total.values()) - len(missed), sum(total.values())) or bool(wrong)


def measure_branches(folder: Path, jobs: int) -> int:
    copy = Copy(folder, "RAFTPY_COVERAGE")
    copy.build()
    copy.test(TESTS, jobs)
    return report_branches(folder)


def report_branches(folder: Path) -> int:
    """Prints the outcomes seen, file by file, and those that are not."""
    outcomes = branches.measure(folder)
    for file in sorted({outcome.file for outcome in outcomes}):
        here = [outcome for outcome in outcomes if outcome.file == file]
        print(f"{file:30} {sum(outcome.count > 0 for outcome in here):5} of {len(here):5}")
        for outcome in here:
            if not outcome.count:
                print(f"{'':8}{outcome.number:4}: {outcome.what}: {outcome.text}")
    return verdict("branches", sum(outcome.count > 0 for outcome in outcomes), len(outcomes))


def verdict(what: str, reached: int, of: int) -> int:
    """Prints the figure; 1 if it is below its floor."""
    percent = 100 * reached / of
    below = percent < FLOORS[what]
    print(f"{what}: {reached} of {of} reached, {percent:.2f} %; {'BELOW' if below else 'at least'} {FLOORS[what]} %")
    return int(below)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    measure = {"lines": measure_lines, "branches": measure_branches}[options.what]
    try:
        if options.keep is not None:
            return measure(options.keep.resolve(), options.jobs)
        with tempfile.TemporaryDirectory(prefix="covered-") as folder:
            return measure(Path(folder) / "tree", options.jobs)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
