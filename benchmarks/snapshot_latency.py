"""python -m benchmarks.snapshot_latency [--keys N] [--value B] [--turns N] [--folder D] [--json FILE]

How long commits take while a snapshot of a large state is taken by the leader, and while one is sent to a follower,
beside quiet, in alternating turns of one run. Three processes over UDP and LevelDB with a key-value state.

The load is --clients clients at the leader, each one put at a time with a pause of --pause-ms between, in rounds of a
second. Before a snapshot is sent, a follower is killed, and the log of the others goes on until it begins behind the
end of the follower's; it counts from the follower's start until it has applied what was committed by then. Printed are
the medians of the rounds, and their ratio to the quiet rounds of the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cluster import Cluster, MemberProcess
from benchmarks.restart import put
from benchmarks.rows import Row, summary, write_json

ROUND_S = 1.0
QUIET_ROUNDS = 5
BEHIND_S = 120.0
SETTINGS = {"trailing_bytes": 0}
"""Of the log nothing stays behind the snapshots, so that a follower that was down soon needs one."""

Rounds = dict[str, list[dict[str, float]]]


def member(node_id: int, cluster: str, data: Path) -> list[str]:
    """The command of a member."""
    line = [sys.executable, "-m", "benchmarks.state_member", "--id", str(node_id), "--cluster", cluster]
    return [*line, "--data", str(data), "--settings", json.dumps(SETTINGS)]


def one_round(cluster: Cluster, options: argparse.Namespace) -> dict[str, float]:
    """A second of the load."""
    load = {"size": options.value, "keys": options.keys, "in_flight": options.clients, "pause_ms": options.pause_ms}
    return cluster.leader().tell("write", seconds=ROUND_S, **load)


def until(ended: Callable[[], bool], cluster: Cluster, options: argparse.Namespace) -> list[dict[str, float]]:
    """Rounds until it is over; the last one, which is in part behind the end, counts."""
    rounds = [one_round(cluster, options)]
    while not ended():
        rounds.append(one_round(cluster, options))
    return rounds


def taken(cluster: Cluster, options: argparse.Namespace) -> list[dict[str, float]]:
    """The leader takes a snapshot."""
    leader = cluster.leader()
    leader.tell("begin_snapshot")
    return until(lambda: bool(leader.tell("ended")["ended"]), cluster, options)


def put_behind(cluster: Cluster, options: argparse.Namespace) -> MemberProcess:
    """Kills a follower, and has the others' logs begin behind the end of its; the new process, not started yet."""
    leader = cluster.leader()
    victim = next(one for one in cluster.members.values() if one is not leader)
    last = victim.tell("log")["last"]
    cluster.kill(victim)
    give_up = time.monotonic() + BEHIND_S
    while leader.tell("log")["first"] <= last + 1:
        if time.monotonic() > give_up:
            raise RuntimeError(f"the leader's log does not begin behind {last} within {BEHIND_S:.0f} s")
        put(cluster, 1000, options)
        leader.tell("snapshot")
    return cluster.launch(victim.id)


def sent(cluster: Cluster, options: argparse.Namespace) -> list[dict[str, float]]:
    """A follower is brought up by a snapshot."""
    again = put_behind(cluster, options)
    again.read()
    target = cluster.leader().tell("log")["last"]
    return until(lambda: again.tell("log")["applied"] >= target, cluster, options)


def measure(options: argparse.Namespace) -> Rounds:
    """All rounds by what went on meanwhile."""
    rounds: Rounds = {"quiet": [], "taken": [], "sent": []}
    with Cluster(member, options.folder) as cluster:
        put(cluster, options.keys, options)
        cluster.leader().tell("snapshot")
        one_round(cluster, options)
        for _ in range(options.turns):
            for name, work in (("taken", taken), ("sent", sent)):
                rounds["quiet"] += [one_round(cluster, options) for _ in range(QUIET_ROUNDS)]
                rounds[name] += work(cluster, options)
    return rounds


def report(rounds: Rounds) -> list[Row]:
    """Prints the medians and the ratios; the rows."""
    rows = [summary("raftpy", f"commits, {name}", each) for name, each in rounds.items()]
    quiet = rows[0]
    for row in rows:
        line = f"{row.work:<16}{len(row.rounds):>4} rounds"
        for figure in ("p50_us", "p99_us", "p99_9_us"):
            value, beside = getattr(row, figure), getattr(quiet, figure)
            line += f"   {figure[:-3].replace('_', '.')} {value:>9,.0f} us ({value / beside:.2f} times)"
        print(line)
    return rows


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--value", type=int, default=1000, help="bytes of a value (%(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--pause-ms", type=float, default=2.0, help="(%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="of quiet, taken, quiet, sent (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the data goes; a directory for temporary files otherwise")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(words)
    rows = report(measure(options))
    if options.json is not None:
        write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
