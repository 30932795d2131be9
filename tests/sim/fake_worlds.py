"""Worlds that behave as their seed says, for tests of the search: most are well, some are not."""

from __future__ import annotations

import os
import signal
import sys
import time

from raftpy.sim.outcome import Failure, Outcome
from raftpy.sim.plan import Plan

FAILS, DIFFERS, DIES, RAISES, HANGS, CRASHES, FAILS_SOMETIMES, DRAWS_NOTHING, PRINTS = range(101, 110)


def draw(seed: int) -> Plan:
    if seed == DRAWS_NOTHING:
        raise LookupError("no such plan")
    return Plan(seed=seed)


def run(plan: Plan) -> Outcome:
    """10 events in 0.5 virtual seconds."""
    failure = None
    digest = f"hash of {plan.seed}"
    if plan.seed == FAILS:
        failure = Failure("durable", "entry 7 is gone", 0.25)
    elif plan.seed == DIFFERS:
        digest += str(hash("this text"))
    elif plan.seed == FAILS_SOMETIMES and os.environ["PYTHONHASHSEED"] != "1":
        failure = Failure("durable", "entry 7 is gone", 0.25)
    elif plan.seed == DIES:
        print("these are my last words", file=sys.stderr, flush=True)
        os._exit(3)
    elif plan.seed == RAISES:
        raise KeyError("a bug")
    elif plan.seed == CRASHES:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif plan.seed == HANGS:
        time.sleep(600)
    elif plan.seed == PRINTS:
        print("a line of its own")
        os.write(1, b"and another\n")
    return Outcome(failure, digest, 10, {"a": 1, f"seed {plan.seed}": 1, "never": 0}, 0.5)


def slow(plan: Plan) -> Outcome:
    """Takes a real while."""
    time.sleep(0.05)
    return run(plan)
