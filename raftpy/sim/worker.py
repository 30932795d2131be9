"""A process that runs seeds: ``python -m raftpy.sim.worker RUN DRAW``.

It reads a seed a line, and answers each with a line of JSON. RUN and DRAW are ``module:function``: what runs a plan,
and what draws it from a seed. The search starts such processes: see worker_process.py, which reads the answers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

from raftpy.sim.guarded import guarded


def named(name: str) -> Any:
    """The object of ``module:name``."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def answer(seed: int, run: Any, draw: Any) -> str:
    """The line that says what came of a seed."""
    began = time.process_time()
    outcome = guarded(lambda: run(draw(seed)))
    failure = outcome.failure
    return json.dumps(
        {
            "seed": seed,
            "failure": None if failure is None else [failure.check, failure.text, failure.time_s],
            "hash": outcome.hash,
            "events": outcome.events,
            "virtual_s": outcome.virtual_s,
            "reached": outcome.reached,
            "seconds": time.process_time() - began,
        }
    )


def main() -> None:
    """Until nobody asks any more."""
    # What a world prints by mistake must not stand among the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        run, draw = named(sys.argv[1]), named(sys.argv[2])
        for line in sys.stdin:
            print(answer(int(line), run, draw), file=answers, flush=True)


if __name__ == "__main__":
    main()
