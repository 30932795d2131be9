"""python -m benchmarks.guard [--update] [--parent]

Counts the instructions of the core's benchmarks, and of a message's way through the transport, and compares them with
the baseline for this environment, or, where there is none, with those of the parent commit, counted in the same run.
Status 1 when one grew by more than 3 %, 3 when nothing could be compared, with the reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.guard import parent
from benchmarks.guard.baseline import FILE, LIMIT, Change, Counts, compare, environment, find, load, save
from benchmarks.guard.callgrind import ROOT, CannotCount, count

GREW, NOTHING_TO_COMPARE = 1, 3


def before(where: dict[str, str], ask_parent: bool) -> tuple[str, Counts]:
    """What to compare with, and its counts. CannotCount when there is nothing."""
    if not ask_parent and (counts := find(where)) is not None:
        return f"the baseline in {FILE.relative_to(ROOT)}", counts
    if not ask_parent:
        print(f"no baseline for this environment: {where}", flush=True)
        for known in load():
            differs = [f"{name} {value}" for name, value in known["environment"].items() if where.get(name) != value]
            print(f"  one that is there has {', '.join(differs)}")
    commit = parent.revision()
    print(f"building and counting {commit[:12]}", flush=True)
    with parent.built(commit) as packages:
        return f"commit {commit[:12]}", count(packages)


def report(changes: Sequence[Change]) -> None:
    """A line for each work."""
    for change in changes:
        old = "-" if change.before is None else f"{change.before:,}"
        new = "-" if change.now is None else f"{change.now:,}"
        part = "" if change.part is None else f"{change.part:+.2%}"
        print(f"{change.name:30} {old:>14} {new:>14} {part:>9}{'  <-- grew' if change.too_much else ''}".rstrip())


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__.splitlines()[2])
    parser.add_argument("--update", action="store_true", help="keep the counts as the baseline of this environment")
    parser.add_argument("--parent", action="store_true", help="compare with the parent commit in any case")
    options = parser.parse_args(words)
    try:
        now = count()
        where = environment()
        if options.update:
            save(where, now)
            print(f"{len(now)} counts kept in {FILE.relative_to(ROOT)} for {where}")
            return 0
        source, old = before(where, options.parent)
    except CannotCount as error:
        print(f"NOT GUARDED: instructions were not compared: {error}", file=sys.stderr)
        return NOTHING_TO_COMPARE
    changes = compare(old, now)
    print(f"instructions, beside {source}:")
    report(changes)
    grown = [change.name for change in changes if change.too_much]
    if grown:
        print(
            f"{', '.join(grown)}: more than {LIMIT} % more instructions than before, or not counted any more. "
            "If that is meant: python -m benchmarks.guard --update, and say why in the commit.",
            file=sys.stderr,
        )
        return GREW
    print(f"nothing grew by more than {LIMIT} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
