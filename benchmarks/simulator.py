"""How much faster than time simulated clusters run: three nodes, in one process, with clients and all checks.

    python -m benchmarks.simulator [--rounds 3] [--profile]

single      200 commands a second, each proposed by itself
bursts      200 commands a second, in bursts of 1 to 10
larger      200 commands a second, in bursts of 1 to 40
idle        no clients: heartbeats, and what keeps time

Processor time is measured, so that what else the machine does counts little; of the rounds the median. ``--profile``
shows the functions in which the time of "bursts" goes (cProfile, which makes Python's part look larger than it is).
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time

from raftpy.sim.plan import Load, Plan
from raftpy.sim.run import Run, collected_at_the_end

LOADS = {
    "single": Load(clients=10, keys=10, think_s=0.049, writes=0.9, swaps=0.05),
    "bursts": Load(clients=20, keys=10, think_s=0.53, burst=10, writes=0.9, swaps=0.05),
    "larger": Load(clients=10, keys=40, think_s=0.95, burst=40, writes=0.9, swaps=0.05),
    "idle": Load(clients=0),
}
VIRTUAL_S = 30.0


def measure(name: str) -> tuple[float, float, float]:
    """(virtual seconds in one of processor time, commands in a virtual second, events in a second of processor time)"""
    begin = time.process_time()
    with collected_at_the_end():
        run = Run(Plan(seed=1, duration_s=VIRTUAL_S, load=LOADS[name]))
        outcome = run.run()
        commands = len(run.clients.history)
        del run
    took = time.process_time() - begin
    if outcome.failure is not None:
        raise SystemExit(f"{name}: {outcome.failure}")
    return outcome.virtual_s / took, commands / VIRTUAL_S, outcome.events / took


def profile() -> None:
    """Where the time goes."""
    profiler = cProfile.Profile()
    profiler.enable()
    measure("bursts")
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="How much faster than time simulated clusters run.")
    parser.add_argument("--rounds", type=int, default=3, help="of each load; the median is shown")
    parser.add_argument("--profile", action="store_true", help="show where the time goes instead")
    options = parser.parse_args()
    if options.profile:
        profile()
        return
    for name in LOADS:
        rounds = [measure(name) for _ in range(max(options.rounds, 1))]
        speed, commands, events = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:8} {commands:5.0f} commands/s  {speed:6.0f} times as fast as time  {events:9,.0f} events/s")


if __name__ == "__main__":
    main()
