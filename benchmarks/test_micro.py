"""Parts of the core and the store, timed by pytest-benchmark: ``pytest benchmarks --benchmark-only``.

A figure is that of a few operations; their number is in the group's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.micro import MICRO, Micro, entries
from raftcore.base.types import LOCAL_APPEND_THREAD, MessageType
from raftcore.values.message import Message
from raftpy.contracts.storage import AppendBatch
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage


@pytest.mark.benchmark(max_time=0.5)
@pytest.mark.parametrize("micro", MICRO, ids=lambda micro: micro.name)
def test_part(benchmark: Any, micro: Micro) -> None:
    work = micro.make()
    benchmark.group = f"{micro.name.partition('[')[0]}, {micro.times} times"
    benchmark.extra_info["operations"] = micro.times
    benchmark(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LevelDBStorage]:
    opened = LevelDBStorage(tmp_path / "store", mode="inline")
    opened.open(StoreOwner(1, {1: "127.0.0.1:7101"}))
    yield opened
    opened.close()


@pytest.mark.parametrize("count", [1, 100, 1000])
def test_store_write(benchmark: Any, store: LevelDBStorage, count: int) -> None:
    """One synced write of ``count`` new entries."""
    benchmark.group = "store write, synced"
    first = 1

    def submitted() -> tuple[tuple[AppendBatch], dict[str, Any]]:
        nonlocal first
        run = entries(first, [1] * count)
        first += count
        message = Message(MessageType.MsgStorageAppend, to=LOCAL_APPEND_THREAD, must_sync=True, entries=run, term=1)
        return ([(0, [message])],), {}

    benchmark.pedantic(store.submit, setup=submitted, rounds=150, warmup_rounds=10)
