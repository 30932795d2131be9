"""A real cluster, three processes on loopback, timed by pytest-benchmark from this process.

One figure is one order to the leader's process, which makes the load: divide by the commands in it. What the commands
themselves took (p50, p99, rate) is in the extra info, and beside other systems in ``python -m benchmarks.compare``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.cluster import RaftpyCluster

ROUNDS = 5
COMMANDS = 200


@pytest.fixture(scope="module", params=[True, False], ids=["durable", "memory"])
def cluster(request: pytest.FixtureRequest) -> Iterator[RaftpyCluster]:
    with RaftpyCluster(durable=request.param) as running:
        yield running


def note(benchmark: Any, figures: list[dict[str, float]]) -> None:
    """The medians of what the load itself measured."""
    for name in figures[0]:
        benchmark.extra_info[name] = sorted(each[name] for each in figures)[len(figures) // 2]


@pytest.mark.parametrize("size", [16, 1024])
def test_latency(benchmark: Any, cluster: RaftpyCluster, size: int) -> None:
    """COMMANDS commands, one after the other."""
    benchmark.group = f"cluster: {COMMANDS} commands one at a time"
    figures: list[dict[str, float]] = []
    leader = cluster.leader()
    benchmark.pedantic(
        lambda: figures.append(leader.tell("sequential", size=size, count=COMMANDS)), rounds=ROUNDS, warmup_rounds=1
    )
    note(benchmark, figures)


@pytest.mark.parametrize("batch", [0, 1000], ids=["single", "batches"])
def test_throughput(benchmark: Any, cluster: RaftpyCluster, batch: int) -> None:
    """50,000 commands of 16 B from 1,024 tasks, or in batches of 1,000."""
    benchmark.group = "cluster: 50,000 commands of 16 B"
    leader = cluster.leader()
    benchmark.pedantic(lambda: leader.tell("fill", size=16, count=50_000, batch=batch), rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["rate"] = round(50_000 / benchmark.stats.stats.median)
