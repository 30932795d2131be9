"""Durable commits on three processes over loopback UDP, beside the floor measured in the same minutes.

    python -m benchmarks.commit [--rounds 3] [--json FILE]

Sequential commits of 16 B and 1 KB (p50, p99), commits a second with 1,024 commands in flight, and the length of the
outage after kill -9 of the leader. Floor and raftpy take turns; the figures are medians over the rounds. The machine's
speed drifts, so the ratio to the floor is what counts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import floor, outage
from benchmarks.cluster import RaftpyCluster
from benchmarks.rows import Row, summary, write_json

SIZES = {"seq16": 16, "seq1k": 1024}


def measure(rounds: int, count: int, seconds: float) -> list[Row]:
    """All rows; progress goes to standard error."""
    taken: dict[tuple[str, str], list[dict[str, float]]] = {}

    def note(system: str, work: str, figures: dict[str, float]) -> None:
        taken.setdefault((system, work), []).append(figures)
        print(f"  {system:8} {work:11} {figures}", file=sys.stderr, flush=True)

    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
        for work, size in SIZES.items():
            note("floor", work, floor.measure(size, count))
            with RaftpyCluster() as cluster:
                note("raftpy", work, cluster.run("sequential", size=size, count=count))
        with RaftpyCluster() as cluster:
            note("raftpy", "inflight16", cluster.run("in_flight", size=16, concurrency=1024, seconds=seconds))
        note("raftpy", "failover", {"value": round(outage.measure(), 1)})
    return [
        summary(system, work, figures, "ms" if work == "failover" else None)
        for (system, work), figures in taken.items()
    ]


def report(rows: list[Row]) -> str:
    """The rows as a table, with the ratios to the floor."""
    floors = {row.work: row for row in rows if row.system == "floor"}
    lines = [f"{'system':8} {'work':11} {'p50 us':>9} {'p99 us':>9} {'a second':>11} {'cpu us':>8}  against the floor"]
    for row in rows:
        if row.unit:
            lines.append(f"{row.system:8} {row.work:11} {row.value:9.0f} {row.unit}")
            continue
        beside = floors.get(row.work)
        ratio = ""
        if row.system != "floor" and beside is not None and beside.p50_us and beside.p99_us:
            assert row.p50_us is not None
            assert row.p99_us is not None
            ratio = f"p50 {row.p50_us / beside.p50_us:.2f}, p99 {row.p99_us / beside.p99_us:.2f} times"
        cpu = "" if row.cpu_us_per_op is None else f"{row.cpu_us_per_op:.1f}"
        lines.append(
            f"{row.system:8} {row.work:11} {row.p50_us:9.0f} {row.p99_us:9.0f} {row.rate:11.0f} {cpu:>8}  {ratio}"
        )
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commit", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--count", type=int, default=1500, help="sequential commits a round (default 1,500)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds a round with 1,024 in flight (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    rows = measure(options.rounds, options.count, options.seconds)
    print(report(rows))
    if options.json is not None:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
