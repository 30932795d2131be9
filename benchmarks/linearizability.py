"""python -m benchmarks.linearizability [--seconds S] [--all]

How long a check for linearizability takes: on the published histories that porcupine is tested with
(tests/sim/data/porcupine), beside porcupine where Go is installed, and on histories as the simulator makes them. Each
figure is the fastest of the checks that fit into S seconds, at least three. A violation's time has its explanation in
it; porcupine gives none. Printed as Markdown; --all has a row for each of Jepsen's logs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from benchmarks.compare import build
from raftpy.sim.linearizability import ANY, Kind, Operation, Result, check
from tests.sim import published
from tests.sim.histories import Shape, make

PROGRAM = "porcupine"
READS_AND_CHANGES = (Kind.READ, Kind.READ, Kind.WRITE, Kind.SWAP)
MADE = {
    "10 keys, 5 clients": Shape(2000, 5, 10, kinds=READS_AND_CHANGES),
    "the same, with versions": Shape(2000, 5, 10, kinds=READS_AND_CHANGES, versions=True),
    "the same, a fifth of unknown outcome": Shape(2000, 5, 10, kinds=READS_AND_CHANGES, versions=True, unknown=0.2),
    "the same, four values": Shape(2000, 5, 10, 4, kinds=READS_AND_CHANGES),
    "1 key, 50 clients": Shape(2000, 50, 1, kinds=READS_AND_CHANGES),
}
"""Histories of 2,000 operations."""


def fastest(work: Callable[[], Result], seconds: float) -> tuple[float, Result]:
    """Microseconds of the fastest of several calls, and what the last one gave."""
    best, calls, begun = float("inf"), 0, time.perf_counter()
    while True:
        at = time.perf_counter()
        result = work()
        now = time.perf_counter()
        best, calls = min(best, now - at), calls + 1
        if calls >= 3 and now - begun >= seconds:
            return best * 1e6, result


def lines(operations: Sequence[Operation]) -> str:
    """The operations as the program in benchmarks/peers/porcupine reads them."""
    return "".join(json.dumps(line(each)) + "\n" for each in operations)


def line(operation: Operation) -> dict[str, Any]:
    """One of them."""
    asked, output = operation.input, operation.output
    found: dict[str, Any] = {"client": operation.client, "key": str(operation.key), "kind": asked.kind.name.lower()}
    found |= {"call": operation.call, "value": asked.value}
    if asked.expected is not ANY:
        found["expected"] = asked.expected
    if output is not None:
        found |= {"return": operation.returned, "done": output.done}
        if output.value is not ANY:
            found["seen"] = output.value
    return found


def by_porcupine(name: str, seconds: float) -> float:
    """Microseconds that porcupine takes for a published history. RuntimeError if it fails, or is wrong."""
    model = "kv" if name in published.KV else "register"
    done = subprocess.run(
        [str(build.program(PROGRAM)), "-model", model, "-seconds", str(seconds)],
        input=lines(published.operations(name)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"porcupine failed: {done.stderr[:500]}")
    answer = json.loads(done.stdout)
    if answer["linearizable"] is not published.HISTORIES[name]:
        raise RuntimeError(f"porcupine takes {name} for {answer}")
    return float(answer["us"])


def by_us(name: str, seconds: float) -> float:
    """Microseconds that we take. RuntimeError if we are wrong."""
    operations, initial = published.operations(name), published.initial(name)
    took, result = fastest(lambda: check(operations, initial), seconds)
    if bool(result) is not published.HISTORIES[name]:
        raise RuntimeError(f"{name} is taken for {result.verdict}")
    return took


def row(name: str, operations: int, ours: float, theirs: float | None) -> str:
    """One line of the table."""
    beside = f"{theirs:,.0f} | {theirs / ours:.1f}" if theirs is not None else "|"
    return f"| {name} | {operations:,} | {ours:,.0f} | {beside} |"


def table(seconds: float, peer: bool, every: bool) -> list[str]:
    """The published histories."""
    found = ["| history | operations | us | porcupine, us | ratio |", "|---|---:|---:|---:|---:|"]
    took: dict[str, tuple[float, float | None]] = {}
    for name in published.HISTORIES:
        took[name] = by_us(name, seconds), by_porcupine(name, seconds) if peer else None
        if every or name in published.KV:
            found.append(row(name, len(published.operations(name)), *took[name]))
    for text, verdict in (("linearizable", True), ("with a violation", False)):
        names = [name for name in published.JEPSEN if published.HISTORIES[name] is verdict]
        operations = sum(len(published.operations(name)) for name in names)
        ours, theirs = sum(took[name][0] for name in names), sum(took[name][1] or 0.0 for name in names)
        found.append(row(f"jepsen, the {len(names)} {text}", operations, ours, theirs if peer else None))
        slowest = max(names, key=lambda name: took[name][0])
        found.append(row(f"the slowest of them, {slowest}", len(published.operations(slowest)), *took[slowest]))
    return found


def made(seconds: float) -> list[str]:
    """Histories made from a true execution."""
    found = ["| 2,000 operations | us | steps |", "|---|---:|---:|"]
    for name, shape in MADE.items():
        history = sorted(make(Random(1), shape), key=lambda each: each.call)
        took, result = fastest(lambda history=history: check(history), seconds)  # type: ignore[misc]
        if not result:
            raise RuntimeError(f"a true history is taken for {result.verdict}")
        found.append(f"| {name} | {took:,.0f} | {result.steps:,} |")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linearizability", description=__doc__.splitlines()[2])
    parser.add_argument("--seconds", type=float, default=0.1, help="for each history and checker (default: 0.1)")
    parser.add_argument("--all", action="store_true", help="a row for each of Jepsen's logs")
    options = parser.parse_args(arguments)
    absent = build.missing("go")
    if absent is None:
        build.build(PROGRAM)
    else:
        print(f"porcupine could not be run: {absent}", file=sys.stderr)
    print("\n".join([*table(options.seconds, absent is None, options.all), "", *made(options.seconds)]))


if __name__ == "__main__":
    main()
