"""What nobody waits for gives way: which threads of a node do, and that they do so (``Executor.background``)."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raftpy import Config, Node
from raftpy.contracts.executor import Thread, Worker
from raftpy.replicated import kv_commands
from raftpy.replicated.kv import KeyValueStore
from raftpy.system import threads
from raftpy.system.threads import BACKGROUND_NICENESS, BackgroundThreads, Threads
from tests.node.harness import _free_addresses

GENTLEST = 19


def niceness() -> int:
    """Of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def given_way() -> int:
    """That of a thread in the background which this one starts."""
    return min(niceness() + BACKGROUND_NICENESS, GENTLEST) if sys.platform == "linux" else niceness()


def test_a_thread_in_the_background_is_nicer_than_the_others() -> None:
    seen: list[int] = []
    own = niceness()
    Threads().start("usual", lambda: seen.append(niceness())).join()
    Threads().background().start("background", lambda: seen.append(niceness())).join()
    Threads().background().background().start("the same", lambda: seen.append(niceness())).join()
    assert seen == [own, given_way(), given_way()]
    assert niceness() == own


def test_so_is_a_worker() -> None:
    seen: list[int] = []

    def work(items: list[int]) -> bool:
        seen.append(niceness())
        return True

    for executor in (Threads(), Threads().background()):
        worker: Worker[int] = executor.worker("work", work)
        worker.put(1)
        worker.close()
    assert seen == [niceness(), given_way()]


def test_where_the_system_refuses_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError("no such call in here")

    monkeypatch.setattr(threads.os, "setpriority", refused)
    done: list[int] = []
    Threads().background().start("background", lambda: done.append(1)).join()
    assert done == [1]


def test_a_worker_that_waits_holds_nothing_of_what_it_has_done() -> None:
    class Item:
        """Something large."""

    done = threading.Event()

    def work(items: list[Item]) -> bool:
        done.set()
        return True

    worker: Worker[Item] = Threads().worker("work", work)
    item = Item()
    gone = threading.Event()
    weakref.finalize(item, gone.set)
    worker.put(item)
    assert done.wait(60)
    del item
    assert gone.wait(60)
    worker.close()


def test_who_rests_takes_no_time_of_a_processor() -> None:
    began_s, used_s = time.monotonic(), time.thread_time()
    Threads().background().rest(0.05)
    assert time.monotonic() - began_s >= 0.05
    assert time.thread_time() - used_s < 0.05


class Noted(Threads):
    """The process's threads; by name, which were started in the background and which were not."""

    def __init__(self) -> None:
        self.usual: set[str] = set()
        self.given_way: set[str] = set()

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        self.usual.add(name)
        return super().start(name, run)

    def worker(self, name: str, work: Callable[[list[Any]], bool]) -> Worker[Any]:
        self.usual.add(name)
        return super().worker(name, work)

    def background(self) -> BackgroundThreads:
        return NotedBackground(self.given_way)


class NotedBackground(BackgroundThreads):
    def __init__(self, names: set[str]) -> None:
        self._names = names

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        self._names.add(name)
        return super().start(name, run)

    def worker(self, name: str, work: Callable[[list[Any]], bool]) -> Worker[Any]:
        self._names.add(name)
        return super().worker(name, work)


def test_what_a_node_waits_for_keeps_its_place_and_what_it_does_beside_gives_way(tmp_path: Path) -> None:
    noted = Noted()

    async def main() -> None:
        config = Config(id=1, cluster=_free_addresses(1), data_dir=tmp_path)
        async with Node(config, KeyValueStore(), executor=noted) as node:
            await node.wait_for_leader(20)
            await node.propose(kv_commands.put(b"key", b"value"), timeout=20)
            await node.snapshot()

    asyncio.run(main())
    assert noted.given_way == {"raftpy segments", "raftpy reading 1", "raftpy reading 1 beside", "raftpy snapshot 1"}
    assert noted.usual == {"raftpy opening 1", "raftpy storage", "raftpy closing 1"}
