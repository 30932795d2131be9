"""``python -m tests.seeded_bugs.worlds.search FIRST LAST``: the first seed of these whose world fails a check.

What it has found is printed as one line of JSON: ``seed`` (0: none), ``check``, ``text`` and the ``hash`` of that
world's events. Exit status 0: all worlds ran clean; 10: one failed; 11: the simulator itself broke.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

import raftpy
from raftpy.sim.run import run
from raftpy.sim.swarm import draw_plan

CLEAN, FOUND, BROKEN = 0, 10, 11
BEGUN = "seed "
"""Begins the line that is printed before each world: a bug in C may end the process, and then the last such line says
in which."""
LONGEST_TEXT = 300


def search(first: int, last: int) -> int:
    """Runs the worlds of the seeds ``first`` to ``last``; the exit status."""
    seed = first
    try:
        for seed in range(first, last + 1):
            print(f"{BEGUN}{seed}", flush=True)
            outcome = run(draw_plan(seed))
            if outcome.failure is not None:
                failure = outcome.failure
                say(seed, failure.check, failure.text, outcome.hash)
                return FOUND
    except Exception:
        say(seed, "the simulator itself", traceback.format_exc(limit=-6), "")
        return BROKEN
    say(0, "", "", "")
    return CLEAN


def say(seed: int, check: str, text: str, digest: str) -> None:
    print(json.dumps({"seed": seed, "check": check, "text": " ".join(text.split())[:LONGEST_TEXT], "hash": digest}))


def main() -> None:
    here = Path.cwd()
    if not Path(raftpy.__file__).is_relative_to(here):
        raise SystemExit(f"raftpy was imported from {raftpy.__file__}, not from {here}")
    first, last = map(int, sys.argv[1:])
    sys.exit(search(first, last))


if __name__ == "__main__":
    main()
