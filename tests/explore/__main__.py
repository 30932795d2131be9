"""Explores every state of a small cluster of real cores, breadth first.

``python -m tests.explore --nodes 3 --terms 2 --log 2 [--crashes 1] [--prevote]`` prints states, transitions and time.
Exit status: 0 every state within the bounds was seen and no rule is broken; 1 a rule is broken, and the shortest way
there is printed (in steps that change a node); 2 incomplete, or wrong usage. What the bounds mean, and the scopes:
docs/testing.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.explore import report
from tests.explore.scope import ANY, PRESETS, Scope
from tests.explore.search import Outgrown, Search


def count_or_any(text: str) -> int:
    return ANY if text == "any" else int(text)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tests.explore", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--scope", choices=sorted(PRESETS), default="replication", help="where the options begin")
    numbers = {
        "nodes": "nodes in the cluster",
        "terms": "elections go up to this term",
        "log": "a leader whose log has this many entries takes no more commands",
        "crashes": "crashes in all",
        "waiting": "writes that wait at one node, with --async-writes",
        "transfers": "leadership transfers in all",
        "reads": "reads by read index in all",
        "inflight": "appends on their way to one follower",
        "reject-runs": "runs of terms that a rejection lists",
    }
    for name, text in numbers.items():
        made.add_argument(f"--{name}", type=int, help=text)
    made.add_argument("--heartbeats", type=count_or_any, help='rounds of heartbeats in all, or "any"')
    flags = {
        "prevote": "pre-vote",
        "free-pre-votes": "pre-votes may arrive in every state (more than can happen, in fewer states)",
        "check-quorum": "check-quorum",
        "async-writes": "a write is an event of its own",
        "unreachable": "the transport may report nodes as unreachable",
        "witness": "the last node is a witness",
        "priority": "the first node is preferred as leader",
    }
    for name, text in flags.items():
        made.add_argument(f"--{name}", action="store_true", default=None, help=text)
    made.add_argument("--change", choices=("add", "remove"), help="one configuration change, of the last node")
    made.add_argument("--max-seconds", type=float, help="stop after this time, with exit status 2")
    made.add_argument("--keep-all", action="store_true", help="leave no message out of a state (slow; for comparison)")
    made.add_argument("--quiet", action="store_true", help="no lines of progress on standard error")
    return made


def scope_of(options: argparse.Namespace) -> Scope:
    """The preset, and what the command line says otherwise. ValueError for a scope that makes no sense."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    for name in ("scope", "max_seconds", "keep_all", "quiet"):
        given.pop(name, None)
    if "prevote" in given:
        given["pre_vote"] = given.pop("prevote")
    return Scope(**{**PRESETS[options.scope], **given})


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        scope = scope_of(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    show = None if options.quiet else report.progress
    search = Search(scope, drop=not options.keep_all)
    try:
        result = search.run(options.max_seconds, show)
    except Outgrown as wrong:
        print(f"{wrong}\nAgain, with every message kept in every state:", flush=True)
        search = Search(scope, drop=False)
        result = search.run(options.max_seconds, show)
    print(report.summary(scope, result))
    if result.broken is not None:
        print(result.broken)
        print("\n".join(report.story(search, result)))
        if scope.free_pre_votes:
            print("A pre-vote here may come from nowhere: --prevote without --free-pre-votes says if it is real.")
        return 1
    return 0 if result.complete else 2


if __name__ == "__main__":
    sys.exit(main())
