"""python -m benchmarks.budget [--size BYTES] [--count N] [--concurrency N] [--seconds S] [--folder DIRECTORY]

Where the time of a durable commit goes in the leader's process: three members in three processes on loopback, each with
its LevelDB, and timers round the parts of the leader's node. Printed as Markdown: once for one command at a time, once
with many in flight. The parts add up to the wall-clock time: of the fifth of the commands in the middle by their time,
one at a time; of the whole work, in flight. The core is called in C, where no timer is; its time shows in what a pass
took after each part (benchmarks/traced.py). Each row of a part that is called holds the time of its timers too; the
last lines say what those make in all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cluster import Cluster
from benchmarks.traced import PASS

PARTS = {
    "select": "asleep in the selector: the followers, the network, other processes",
    "linger": "the same, inside a pass",
    "storage.submit": "the write to LevelDB, synced",
    "transport.receive": "taking datagrams from the socket, and their checks",
    "transport.send": "messages that no datagram was open for",
    "transport.flush": "datagrams to the socket",
    "apply": "the state machine",
    "propose": "Node.propose, to the point where it waits",
    PASS: "the pass before any of these: its timers, ticks of the core",
    f"{PASS} after transport.receive": "after datagrams: the core takes them in, what it decides is put into datagrams",
    f"{PASS} after apply": "after applying: callers go on, their proposals are appended, and put into datagrams",
    f"{PASS} after propose": "after a caller's proposal, the same",
    f"{PASS} after transport.flush": "after sending: what is to be written is gathered",
    f"{PASS} after transport.send": "after such a message",
    f"{PASS} after storage.submit": "after the write: what hung on it, put into datagrams",
    f"{PASS} after linger": "after waiting inside a pass",
}
ATTEMPTS = 5
OUTSIDE = "the event loop, and callers outside a pass"


def table(figures: dict[str, Any]) -> list[str]:
    """The lines of one table: for each part calls and microseconds a command, and its share of the time."""
    spent, calls, elapsed = figures["spent"], figures["calls"], figures["elapsed"]
    commands = calls["propose"]
    rows = [(text, calls.get(part, 0), spent.get(part, 0)) for part, text in PARTS.items()]
    rows.append((OUTSIDE, 0, elapsed - sum(spent.values())))
    lines = ["| part | calls | us | share |", "|---|---:|---:|---:|"]
    for text, number, took in rows:
        if took:
            called = f"{number / commands:.3g}" if number else ""
            lines.append(f"| {text} | {called} | {took / commands / 1000:.2f} | {took / elapsed:.1%} |")
    lines.append(f"| all | | {elapsed / commands / 1000:.2f} | |")
    timers = sum(calls.values()) * figures["timer"]
    lines += ["", f"{commands:,} commands. Timers: about {timers / commands / 1000:.2f} us of each command's time."]
    return lines


def ask(cluster: Cluster, **options: float) -> dict[str, Any]:
    """The figures of one work from the member that leads; begun anew when leadership is lost under way."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return cluster.leader().tell("budget", **options)
        except RuntimeError as error:
            if not left:
                raise
            print(f"once more: {error}", file=sys.stderr)
    raise AssertionError


def measure(options: argparse.Namespace) -> list[str]:
    """Both works, on a cluster of their own."""

    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        line = [sys.executable, "-m", "benchmarks.traced", "--id", str(node_id)]
        return [*line, "--cluster", cluster, "--data", str(data)]

    lines: list[str] = []
    with Cluster(launch, options.folder) as cluster:
        figures = ask(cluster, size=options.size, count=options.count)
        lines += [f"One command of {options.size} B at a time:", "", *table(figures)]
        lines[-1] += f" Without them: p50 {figures['bare']['p50_us']} us; with them {figures['timed']['p50_us']} us."
        crowd = {"concurrency": options.concurrency, "seconds": options.seconds, "size": options.size}
        figures = ask(cluster, **crowd)
        lines += ["", f"{options.concurrency:,} commands of {options.size} B in flight:", "", *table(figures)]
        lines[-1] += (
            f" Without them: {figures['bare']['rate']:,.0f} a second; with them {figures['timed']['rate']:,.0f}."
        )
    return lines


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description="Where a commit's time goes.")
    parser.add_argument("--size", type=int, default=16, help="bytes of a command")
    parser.add_argument("--count", type=int, default=2000, help="commands, one at a time")
    parser.add_argument("--concurrency", type=int, default=1024, help="commands in flight")
    parser.add_argument("--seconds", type=float, default=3.0, help="with many in flight")
    parser.add_argument("--folder", type=Path, help="where the stores go; a temporary directory without it")
    print("\n".join(measure(parser.parse_args(words))))


if __name__ == "__main__":
    main()
