"""``python -m tests.model --seeds N [--seed S] [--steps M]``: core against model; exit status 1 on a difference."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
from collections.abc import Sequence

from tests.model.check import check, shrink
from tests.model.report import replay_command, report

STUCK = 60.0  # seconds for one schedule, after which the process ends with a stack: something loops


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 no difference, 1 one was found, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many schedules (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed; the others count on (default 0)")
    parser.add_argument("--steps", type=int, default=600, help="steps of each schedule (default 600)")
    parser.add_argument("--only", help="carry out only these steps, as a shrunk schedule lists them: 3,17,22")
    parser.add_argument(
        "--shrink", type=float, default=10.0, help="seconds to look for a shorter schedule (default 10)"
    )
    options = parser.parse_args(arguments)
    if options.seeds < 1 or options.steps < 1:
        parser.error("--seeds and --steps must be at least 1")
    only = [int(number) for number in options.only.split(",")] if options.only else None
    if only and not 0 <= min(only) <= max(only) < options.steps:
        parser.error(f"--only must name steps from 0 to {options.steps - 1}")
    began, steps, calls = time.monotonic(), 0, 0
    found = None
    for seed in range(options.seed, options.seed + options.seeds):
        faulthandler.dump_traceback_later(STUCK, exit=True, file=sys.__stderr__)
        result = check(seed, options.steps, only)
        steps, calls = steps + len(result.numbers), calls + result.calls
        if result.what is not None:
            found = result
            break
    faulthandler.cancel_dump_traceback_later()
    if found is not None:
        print(report(found, options.steps))
        print(f"replay: {replay_command(found, options.steps, shrunk=only is not None)}", flush=True)
        if only is None and options.shrink > 0:
            shorter = shrink(found, options.steps, options.shrink)
            print(f"\nthe shortest schedule found, {len(shorter.numbers)} steps:\n{report(shorter, options.steps)}")
            print(f"replay: {replay_command(shorter, options.steps, shrunk=True)}")
    seconds = time.monotonic() - began
    ran = (found.cluster.seed if found else seed) - options.seed + 1
    print(f"{ran} seeds, {steps} steps, {calls} calls compared, {int(found is not None)} differences, {seconds:.1f} s")
    return 1 if found is not None else 0


if __name__ == "__main__":
    sys.exit(main())
