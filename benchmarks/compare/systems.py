"""The systems that are compared: how each is started, and what it is asked to do for a work."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import core
from benchmarks.cluster import Cluster, Launch, RaftpyCluster
from benchmarks.compare import build
from benchmarks.compare.works import WORKS, Lengths
from benchmarks.outage import outage_ms
from benchmarks.restart import fill, restart_ms

Figures = dict[str, float]
Taken = Iterator[tuple[str, Figures]]

SIZES = {"16": 16, "256": 256, "1k": 1024}
COMMAND_S = 120.0
QUIET_GROUPS = ("quiet", "failover", "restart", "restart-single")
"""Where the peers run with raftpy's heartbeat and election times; under load they get longer ones."""


@dataclass(frozen=True)
class System:
    """Something that can be measured."""

    name: str
    title: str
    works: tuple[str, ...]
    start: Callable[[str, Path], AbstractContextManager[Cluster]] | None = None
    """A running cluster for a group of works, its data below the folder."""
    command: Callable[[str, Lengths, Path], list[str]] | None = None
    """A program that does a work by itself and prints its figures as a line of JSON."""
    alone: tuple[str, ...] = ()
    """The works that ``command`` is for."""
    missing: Callable[[], str | None] = lambda: None
    """Why it cannot be measured here; None when it can."""
    prepare: Callable[[], None] = lambda: None
    """Builds what has to be built; RuntimeError when that fails."""

    def measure(self, group: str, works: Sequence[str], lengths: Lengths, folder: Path) -> Taken:
        """One session: the works of a group, one after the other. RuntimeError when something fails."""
        for work in works:
            if work in self.alone:
                assert self.command is not None
                yield work, run_command(self.command(work, lengths, folder))
        left = [work for work in works if work not in self.alone]
        if left:
            assert self.start is not None
            with self.start(group, folder) as cluster:
                for work in left:
                    for figures in on_cluster(cluster, work, lengths):
                        yield work, figures


def run_command(command: list[str]) -> Figures:
    """The figures that a program prints as its last line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{Path(command[0]).name} took more than {COMMAND_S:.0f} s") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{Path(command[0]).name} ended with status {done.returncode}: {said[-1]}")
    return parse_figures(done.stdout)


def parse_figures(output: str) -> Figures:
    """Reads the last line as an object of numbers; RuntimeError when it is none."""
    lines = output.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise RuntimeError(f"expected a line of JSON with figures, got {lines[-1] if lines else 'nothing'!r}")
    if "error" in said:
        raise RuntimeError(str(said["error"]))
    wrong = {name: value for name, value in said.items() if type(value) not in (int, float)}
    if wrong:
        raise RuntimeError(f"expected numbers only, got {wrong}")
    return said


def on_cluster(cluster: Cluster, work: str, lengths: Lengths) -> Iterator[Figures]:
    """What a work on a running cluster gives: one set of figures, or one for each outage or restart."""
    if work.startswith("seq"):
        yield cluster.run("sequential", size=SIZES[work.removeprefix("seq")], count=lengths.count)
    elif work.startswith("inflight"):
        size = SIZES[work.removeprefix("inflight")]
        yield cluster.run("in_flight", size=size, concurrency=1024, seconds=lengths.seconds)
    elif work == "batch16":
        yield cluster.run("batches", size=16, batch=1000, calls=4, seconds=lengths.seconds)
    elif work in ("read1", "read1k"):
        cluster.leader().tell("sequential", size=16, count=1)  # a leader reads once it has committed in its own term
        yield cluster.run("reads", concurrency=1 if work == "read1" else 1024, seconds=lengths.reading_s)
    elif work == "idle":
        yield {"value": idle_percent(cluster, lengths.idle_s)}
    elif work == "failover":
        for _ in range(lengths.failovers):
            yield {"value": round(outage_ms(cluster), 1)}
    else:
        fill(cluster, lengths.entries, 0 if work.endswith("-single") else 1000)
        for _ in range(lengths.restarts):
            yield {"value": round(restart_ms(cluster, lengths.entries), 1)}


def idle_percent(cluster: Cluster, seconds: float) -> float:
    """Percent of a core that a node of a cluster without load uses."""
    cluster.leader()
    time.sleep(0.5)
    began, before = time.monotonic(), cluster.cpu_seconds()
    time.sleep(seconds)
    used, elapsed = cluster.cpu_seconds() - before, time.monotonic() - began
    return round(100 * used / elapsed / len(cluster.members), 3)


# --- The floor and raftpy ---------------------------------------------------------------------------------------


def floor_command(work: str, lengths: Lengths, folder: Path) -> list[str]:
    line = [sys.executable, "-m", "benchmarks.floor"]
    if work == "read1":
        return [*line, "--count", str(10 * lengths.count)]
    size = SIZES[work.removeprefix("seq")]
    return [*line, "--size", str(size), "--count", str(lengths.count), "--folder", str(folder)]


def core_entries(work: str, lengths: Lengths) -> tuple[str, str]:
    """Batch and entries of a core work, as arguments."""
    batch = int(work.removeprefix("core"))
    return str(batch), str(int(core.ENTRIES[batch] * lengths.core_part))


def raftpy_command(work: str, lengths: Lengths, folder: Path) -> list[str]:
    if work.startswith("core"):
        return [sys.executable, "-m", "benchmarks.core", *core_entries(work, lengths)]
    return [sys.executable, "-m", "benchmarks.backtrack", work.removeprefix("backtrack")]


def start_raftpy(group: str, folder: Path) -> Cluster:
    return RaftpyCluster(folder, batch_apply=group == "batch")


def start_in_memory(group: str, folder: Path) -> Cluster:
    return RaftpyCluster(folder, durable=False, batch_apply=group == "batch")


# --- The peers --------------------------------------------------------------------------------------------------


def start_go(name: str) -> Callable[[str, Path], Cluster]:
    """Clusters of a Go peer's program."""

    def start(group: str, folder: Path) -> Cluster:
        def launch(node_id: int, cluster: str, data: Path) -> list[str]:
            quick = ["-quick"] if group in QUIET_GROUPS else []
            return [str(build.program(name)), "-id", str(node_id), "-cluster", cluster, "-data", str(data), *quick]

        return Cluster(launch, folder, tcp=True)

    return start


def etcd_core_command(work: str, lengths: Lengths, folder: Path) -> list[str]:
    batch, entries = core_entries(work, lengths)
    return [str(build.program("etcdraft")), "core", "-batch", batch, "-entries", entries]


def raft_rs_command(work: str, lengths: Lengths, folder: Path) -> list[str]:
    program = str(build.program("raftrs"))
    if work.startswith("core"):
        return [program, "core", *core_entries(work, lengths)]
    return [program, "backtrack", work.removeprefix("backtrack")]


def start_pysyncobj(group: str, folder: Path) -> Cluster:
    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        line = [sys.executable, "-m", "benchmarks.peers.pysyncobj_member", "--id", str(node_id)]
        return [*line, "--cluster", cluster, "--data", str(data), *(["--batch"] if group == "load" else [])]

    start: Launch = launch
    return Cluster(start, folder, tcp=True)


def pysyncobj_missing() -> str | None:
    if importlib.util.find_spec("pysyncobj") is None:
        return "not installed: it comes with the extra `compare`"
    return None


def of(*groups: str) -> tuple[str, ...]:
    """All works of these groups."""
    return tuple(work.name for work in WORKS.values() if work.group in groups)


PEER_WORKS = of("latency", "load", "quiet", "failover", "restart")


def systems() -> dict[str, System]:
    """All of them by name, in the order of the tables."""
    go, rust = build.missing("go"), build.missing("cargo")
    found = (
        System(
            "floor", "floor: UDP and LevelDB in Python, no Raft", (*of("latency"), "read1"),
            command=floor_command, alone=(*of("latency"), "read1"),
        ),
        System(
            "raftpy", "raftpy", tuple(WORKS),
            start=start_raftpy, command=raftpy_command, alone=of("core", "backtrack"),
        ),
        System(
            "raftpy-memory", "raftpy, in memory", of("latency", "load", "batch"), start=start_in_memory
        ),
        System(
            "hashicorp-wal", "hashicorp/raft + raft-wal", PEER_WORKS,
            start=start_go("hashicorp"), missing=lambda: go, prepare=lambda: build.build("hashicorp"),
        ),
        System(
            "etcd-raft", "etcd/raft 3.6 + etcd's WAL", (*PEER_WORKS, *of("batch", "core")),
            start=start_go("etcdraft"), command=etcd_core_command, alone=of("core"),
            missing=lambda: go, prepare=lambda: build.build("etcdraft"),
        ),
        System(
            "dragonboat-tan", "dragonboat 4 + tan", PEER_WORKS,
            start=start_go("dragonboat"), missing=lambda: go, prepare=lambda: build.build("dragonboat"),
        ),
        System(
            "raft-rs", "raft-rs 0.7, core alone", of("core", "backtrack"),
            command=raft_rs_command, alone=of("core", "backtrack"),
            missing=lambda: rust, prepare=lambda: build.build("raftrs"),
        ),
        System(
            "pysyncobj", "PySyncObj, not synced", ("seq16", "seq1k", "inflight16"),
            start=start_pysyncobj, missing=pysyncobj_missing,
        ),
    )  # fmt: skip
    return {system.name: system for system in found}
