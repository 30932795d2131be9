"""The core alone, timed by pytest-benchmark: three cores in one process, datagrams between them, 16 B entries."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.backtrack import Server, elected, log_of, until_match
from benchmarks.core import SIZE, Cores


@pytest.mark.parametrize("batch", [1, 10, 100, 1000])
def test_commit(benchmark: Any, batch: int) -> None:
    """A batch proposed, committed and applied on all three."""
    benchmark.group = "core: a batch committed and applied on three"
    cores = Cores()
    benchmark.extra_info["entries"] = batch
    benchmark.pedantic(cores.commit, args=([bytes(SIZE)] * batch,), rounds=max(100, 20_000 // batch), warmup_rounds=20)


@pytest.mark.parametrize("runs", [0, 70], ids=["plain", "runs of terms"])
def test_backtrack(benchmark: Any, runs: int) -> None:
    """A leader finds the last entry it shares with a follower, behind 100 differing terms."""
    benchmark.group = "core: backtracking over 100 differing terms"

    def two() -> tuple[tuple[Server, Server], dict[str, Any]]:
        leader = elected(log_of([3 + 2 * at for at in range(100)], 40_000), runs)
        return (leader, Server(2, log_of([2 + 2 * at for at in range(100)], 40_000), runs)), {}

    trips = benchmark.pedantic(until_match, setup=two, rounds=10)
    benchmark.extra_info["round trips"] = trips
