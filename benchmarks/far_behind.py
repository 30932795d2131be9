"""``python -m benchmarks.far_behind``: commits of the others while one follower catches up from the leader's disk.

Three processes over UDP and LevelDB. One is killed, the others commit ``--entries`` commands; then a few clients at the
leader commit one command at a time each: for a while in quiet, and until the one that was killed has caught up, in
rounds of some seconds. Printed are the median and the 99th percentile of both, the longest that a timer of a
millisecond came late at the leader, which is how long its loop was held at most (or its process had no processor), and
the most processor time that its loop's thread used before one came: with collections of garbage, without them, and in
one of them. The clients are four tasks of the leader's process: what they allocate is little beside the node's.

A virtual machine's processor time has in it what its host does meanwhile, and what the kernel does for others. So the
same is watched in a loop without any node: four tasks that only compute for as long as a commit does.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path

from benchmarks.cluster import Cluster, RaftpyCluster
from benchmarks.load import Watch

SIZE = 100
BATCH = 1000
ROUND_S = 3.0
CLIENTS = 4
PAUSE_MS = 2.0
COMPUTED_S = 0.0002


def paced(cluster: Cluster) -> dict[str, float]:
    """One round of the clients at the leader."""
    return cluster.leader().tell("paced", size=SIZE, clients=CLIENTS, pause_ms=PAUSE_MS, seconds=ROUND_S)


def measure(entries: int, folder: Path | None, rate: int | None) -> None:
    """Prints all of it."""
    with RaftpyCluster(folder, batch_apply=True, catch_up_rate=rate) as cluster:
        leader = cluster.leader()
        behind = next(member for member in cluster.members.values() if member is not leader)
        cluster.kill(behind)
        began = time.perf_counter()
        leader.tell("fill", size=SIZE, count=entries, batch=BATCH)
        print(f"{entries:,} entries of {SIZE} B in {time.perf_counter() - began:.1f} s", flush=True)
        say_held("no node", [asyncio.run(compute()) for _ in range(5)])
        say("quiet", [paced(cluster) for _ in range(5)])
        before = leader.tell("usage")["anonymous_mib"]
        again = cluster.launch(behind.id)
        again.read()
        began = time.perf_counter()
        during, most = [], 0.0
        while again.tell("usage")["applied"] < entries:
            during.append(paced(cluster))
            most = max(most, leader.tell("usage")["anonymous_mib"])
        took = time.perf_counter() - began
        say("catching up", during)
        print(f"caught up in {took:.1f} s, {entries / took:,.0f} entries a second")
        print(f"the leader's memory, mapped files left out: {before:.0f} MiB before, {most:.0f} MiB at most")


async def compute() -> dict[str, float]:
    """One round of a loop that has no node."""
    watch, clock = Watch(), time.perf_counter
    until = clock() + ROUND_S

    async def client() -> None:
        while clock() < until:
            worked_until = time.thread_time() + COMPUTED_S
            while time.thread_time() < worked_until:
                pass
            await asyncio.sleep(PAUSE_MS / 1000)

    await asyncio.gather(watch.run(until), *(client() for _ in range(CLIENTS)))
    return watch.figures()


def say(what: str, rounds: list[dict[str, float]]) -> None:
    """A line: medians over the rounds, and the worst of the holds."""
    p50 = statistics.median(one["p50_us"] for one in rounds)
    p99 = [one["p99_us"] for one in rounds]
    print(
        f"{what}: p50 {p50:,.0f} us, p99 {statistics.median(p99):,.0f} us ({min(p99):,.0f} to {max(p99):,.0f} in "
        f"{len(rounds)} rounds)",
        flush=True,
    )
    say_held(what, rounds)


def say_held(what: str, rounds: list[dict[str, float]]) -> None:
    """A line: how long the loop was held."""
    held, worked, besides, collected = (
        max(one[name] for one in rounds) for name in ("held_ms", "worked_ms", "besides_ms", "collected_ms")
    )
    each = ", ".join(f"{one['besides_ms']:.1f}" for one in rounds)
    print(
        f"{what}: loop held {held:.1f} ms at most; processor time {worked:.1f} ms, without collections "
        f"{besides:.1f} ms (by rounds {each}), the longest collection {collected:.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=10_000_000, help="that the follower lacks (%(default)s)")
    parser.add_argument("--dir", type=Path, help="where the data goes; a directory for temporary files otherwise")
    parser.add_argument("--rate", type=int, help="Config.catch_up_rate, 0 for None; as it is unless set")
    options = parser.parse_args()
    measure(options.entries, options.dir, options.rate)
