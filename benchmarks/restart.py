"""python -m benchmarks.restart [--work log,served,state] [--system NAME,..] [--rounds N] [--folder D] [--json FILE]

How long a killed node needs to be back: from the start of its process until it has applied all that was committed when
it was killed, which is what a linearizable read waits for; of raftpy, until the first such read is answered, which it
is asked for as soon as it is up. One node of three; the others go on, so there is a leader that tells it what is
committed.

    log      after --seconds of full load of 100 B commands. No snapshot: the whole log is read and applied again
    served   likewise with what `raftpy serve` is by default, the key-value store with its snapshots (raftpy alone): the
             commands put one of --load-keys keys
    state    with a key-value state of --keys keys with values of --value bytes in a snapshot, and --behind commands
             behind that

Each system is filled once for a work; then a follower is killed, and started again, --rounds times. A member runs from
compiled modules, as pip installs them, also where PYTHONDONTWRITEBYTECODE is set.
"""

from __future__ import annotations

import argparse
import compileall
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cluster import Cluster, Launch
from benchmarks.compare import build
from benchmarks.rows import Row, summary, write_json
from raftpy import Config

SIZE = 16
BATCH = 1000
LOAD_SIZE = 100
CONCURRENCY = 1024
ROOT = Path(__file__).parents[1]
DEFAULTS = {"snapshot_bytes": Config(id=1, cluster={1: "127.0.0.1:1"}).snapshot_bytes}
"""In place of what the member has for the state that is built."""
PROGRAMS = {"etcd-raft": "etcdraft", "hashicorp-wal": "hashicorp"}
SYSTEMS = ("raftpy", *PROGRAMS)
WORKS = ("log", "served", "state")
PUT_OVERHEAD = 19
"""Bytes of a command that puts a value under one of the load's keys, beside the value."""


def fill(cluster: Cluster, entries: int, batch: int = BATCH) -> None:
    """Commits ``entries`` commands of 16 B and waits until all members have applied them; ``batch`` 0: one by one."""
    cluster.leader().tell("fill", size=SIZE, count=entries, batch=batch)
    for member in cluster.members.values():
        member.tell("wait_applied", count=entries)


def restart_ms(cluster: Cluster, entries: int, *, read: bool = False) -> float:
    """kill -9 of a follower; from its next start to all ``entries`` applied, in milliseconds. ``read``: to the first
    linearizable read, by which they are."""
    leader = cluster.leader()
    follower = next(member for member in cluster.members.values() if member is not leader)
    cluster.kill(follower)
    began = time.perf_counter()
    again = cluster.launch(follower.id)
    if read:
        again.order("read")
    again.order("wait_applied", count=entries)
    again.read()  # it is up
    again.read()
    took_ms = (time.perf_counter() - began) * 1000
    if read:
        again.read()
        late_ms = (time.perf_counter() - began) * 1000 - took_ms
        if late_ms > 50.0:
            raise RuntimeError(f"a read was answered {late_ms:.0f} ms before all that was committed was applied")
    return took_ms


def launch_of(system: str, work: str) -> Launch:
    """How a member of a system is started for a work."""

    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        if system == "raftpy":
            module = "benchmarks.member" if work == "log" else "benchmarks.state_member"
            line = [sys.executable, "-m", module]
            options = {"log": ["--batch-apply"], "served": ["--settings", json.dumps(DEFAULTS)], "state": []}[work]
            return [*line, "--id", str(node_id), "--cluster", cluster, "--data", str(data), *options]
        line = [str(build.program(PROGRAMS[system])), "-id", str(node_id), "-cluster", cluster, "-data", str(data)]
        return [*line, "-quick", *(["-state"] if work == "state" else [])]

    return launch


def load(cluster: Cluster, system: str, seconds: float) -> None:
    """Full load: 1,024 commands in flight."""
    figures = cluster.leader().tell("in_flight", size=LOAD_SIZE, concurrency=CONCURRENCY, seconds=seconds)
    print(f"{system}: {figures['operations']:,.0f} commands of {LOAD_SIZE} B in {seconds:.0f} s", flush=True)


def load_served(cluster: Cluster, seconds: float, keys: int) -> None:
    """The same load of puts."""
    size = LOAD_SIZE - PUT_OVERHEAD
    leader = cluster.leader()
    leader.tell("write", size=size, keys=keys, in_flight=CONCURRENCY, seconds=seconds)
    log = leader.tell("log")
    print(
        f"raftpy: {log['applied']:,} commands of {LOAD_SIZE} B in {seconds:.0f} s; the leader's newest snapshot is at "
        f"{log['snapshot']:,}, and its log begins at {log['first']:,}",
        flush=True,
    )


def put(cluster: Cluster, count: int, options: argparse.Namespace) -> None:
    """Commits so many puts, whoever leads."""
    done = 0
    while done < count:
        order = {"count": count - done, "keys": options.keys, "size": options.value}
        done += int(cluster.leader().tell("put", first=done, **order)["operations"])


def build_state(cluster: Cluster, system: str, options: argparse.Namespace) -> None:
    """The state, a snapshot of it on every member, and what comes behind."""
    began = time.perf_counter()
    put(cluster, options.keys, options)
    count = cluster.leader().tell("usage")["applied"]
    for member in cluster.members.values():
        member.tell("wait_applied", count=count)
        member.tell("snapshot")
    put(cluster, options.behind, options)
    print(f"{system}: {options.keys:,} keys and a snapshot in {time.perf_counter() - began:.1f} s", flush=True)


def measure(system: str, work: str, options: argparse.Namespace) -> Row:
    """A system doing a work, in milliseconds."""
    with Cluster(launch_of(system, work), options.folder, tcp=system != "raftpy") as cluster:
        if work == "log":
            load(cluster, system, options.seconds)
        elif work == "served":
            load_served(cluster, options.seconds, options.load_keys)
        else:
            build_state(cluster, system, options)
        count = cluster.leader().tell("usage")["applied"]
        for member in cluster.members.values():
            member.tell("wait_applied", count=count)
        read = system == "raftpy"
        rounds = [{"value": round(restart_ms(cluster, count, read=read), 1)} for _ in range(options.rounds)]
    return summary(system, f"restart, {work}", rounds, "ms")


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default=",".join(WORKS), help="(%(default)s)")
    parser.add_argument("--system", default=",".join(SYSTEMS), help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="restarts of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of full load (%(default)s)")
    parser.add_argument("--load-keys", type=int, default=100_000, help="of the served load (%(default)s)")
    parser.add_argument("--keys", type=int, default=1_000_000, help="in the state (%(default)s)")
    parser.add_argument("--value", type=int, default=1000, help="bytes of a value (%(default)s)")
    parser.add_argument("--behind", type=int, default=100_000, help="commands behind the snapshot (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the data goes; a directory for temporary files otherwise")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(words)
    for system in options.system.split(","):
        if system in PROGRAMS:
            build.build(PROGRAMS[system])
    for folder in ("raftcore", "raftpy", "benchmarks"):
        compileall.compile_dir(ROOT / folder, quiet=1)
    rows = [
        measure(system, work, options)
        for work in options.work.split(",")
        for system in options.system.split(",")
        if system == "raftpy" or work != "served"
    ]
    for row in rows:
        values = [each["value"] for each in row.rounds]
        print(f"{row.work:<16} {row.system:<14} {row.value:>9,.0f} ms   ({min(values):,.0f} to {max(values):,.0f})")
    if options.json is not None:
        write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
