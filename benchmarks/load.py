"""The works that run inside the leader's process: each gives the figures of one round.

``operations`` of a work are all that it has done, those of its warm-up too: what processor time is divided by.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from benchmarks.rows import percentiles
from raftpy import Node

Options = dict[str, float]
Figures = dict[str, float]
Work = Callable[[Node, Options], Coroutine[None, None, Figures]]

WARM_UP = 100
LONGEST_WARM_UP_S = 0.5
SAMPLED = 16
"""Every how manieth client of a crowd is timed."""
FILLERS = 1024


async def sequential(node: Node, options: Options) -> Figures:
    """One command after the other; ``size`` in bytes, ``count`` of them."""
    size, count = int(options["size"]), int(options["count"])
    command = os.urandom(size)
    for _ in range(WARM_UP):
        await node.propose(command)
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        await node.propose(command)
        taken.append(time.perf_counter() - began)
    return {**percentiles(taken), "operations": WARM_UP + count}


async def in_flight(node: Node, options: Options) -> Figures:
    """``concurrency`` tasks, each awaiting one command of ``size`` bytes at a time, for ``seconds``."""
    call = partial(node.propose, os.urandom(int(options["size"])), timeout=30.0)
    return await _crowd(call, int(options["concurrency"]), options["seconds"])


async def batches(node: Node, options: Options) -> Figures:
    """``propose_many`` of ``batch`` commands, ``calls`` calls in flight, for ``seconds``; the rate counts entries."""
    size, batch = int(options["size"]), int(options["batch"])
    call = partial(node.propose_many, [os.urandom(size) for _ in range(batch)], timeout=30.0)
    return await _crowd(call, int(options["calls"]), options["seconds"], batch)


async def reads(node: Node, options: Options) -> Figures:
    """Linearizable reads: ``concurrency`` tasks, each awaiting one read index at a time, for ``seconds``."""
    return await _crowd(partial(node.read_index, timeout=30.0), int(options["concurrency"]), options["seconds"])


class Watch:
    """How long a loop is held, while :meth:`run` is a task of it: by the wall clock, by the processor time that its
    thread used before a timer of a millisecond came, which a machine with other work has little part in, and by the
    collections of garbage among that."""

    def __init__(self) -> None:
        self._held_s = self._worked_s = self._besides_s = self._longest_s = 0.0
        self._began_s = self._collected_s = 0.0

    def _collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = time.thread_time()
            return
        took_s = time.thread_time() - self._began_s
        self._longest_s = max(self._longest_s, took_s)
        self._collected_s += took_s

    async def run(self, until: float) -> None:
        """Until that reading of ``time.perf_counter``."""
        clock = time.perf_counter
        gc.callbacks.append(self._collection)
        try:
            while (began := clock()) < until:
                worked_before, self._collected_s = time.thread_time(), 0.0
                await asyncio.sleep(0.001)
                worked_s = time.thread_time() - worked_before
                self._held_s = max(self._held_s, clock() - began - 0.001)
                self._worked_s = max(self._worked_s, worked_s)
                self._besides_s = max(self._besides_s, worked_s - self._collected_s)
        finally:
            gc.callbacks.remove(self._collection)

    def figures(self) -> Figures:
        """Milliseconds, the most of each: ``held_ms`` by which the timer came late; ``worked_ms`` of processor time,
        and ``besides_ms`` without collections; ``collected_ms`` of one collection."""
        figures = {
            "held_ms": self._held_s,
            "worked_ms": self._worked_s,
            "besides_ms": self._besides_s,
            "collected_ms": self._longest_s,
        }
        return {name: round(seconds * 1000, 2) for name, seconds in figures.items()}


async def paced(node: Node, options: Options) -> Figures:
    """``clients`` tasks, each one command of ``size`` bytes after the other with a pause of ``pause_ms`` between, for
    ``seconds``; with the figures of a Watch."""
    size, pause_s = int(options["size"]), options["pause_ms"] / 1000
    command, clock = os.urandom(size), time.perf_counter
    until = clock() + options["seconds"]
    taken: list[float] = []
    watch = Watch()

    async def client() -> None:
        while (began := clock()) < until:
            await node.propose(command, timeout=30.0)
            taken.append(clock() - began)
            await asyncio.sleep(pause_s)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch.run(until))
        for _ in range(int(options["clients"])):
            group.create_task(client())
    return {**percentiles(taken), **watch.figures(), "operations": len(taken)}


async def fill(node: Node, options: Options) -> Figures:
    """Commits ``count`` commands of ``size`` bytes: in calls of ``batch``, four at a time, or with 0 one by one from
    1,024 tasks."""
    size, count, batch = int(options["size"]), int(options["count"]), int(options["batch"])
    command = os.urandom(size)
    commands = [command] * batch
    left = count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= batch or 1
            if batch:
                await node.propose_many(commands, timeout=60.0)
            else:
                await node.propose(command, timeout=60.0)

    async with asyncio.TaskGroup() as group:
        for _ in range(4 if batch else FILLERS):
            group.create_task(client())
    return {"operations": count}


async def _crowd(call: Callable[[], Awaitable[object]], clients: int, seconds: float, each: int = 1) -> Figures:
    """``clients`` tasks that await one call after the other, for a warm-up and then ``seconds``; a call does ``each``
    operations."""
    taken: list[float] = []
    done = 0
    clock = time.perf_counter

    async def client(until: float, sampled: bool) -> None:
        nonlocal done
        while (began := clock()) < until:
            await call()
            done += 1
            if sampled:
                taken.append(clock() - began)

    async def phase(until: float) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(client(until, number % SAMPLED == 0))

    await phase(clock() + min(LONGEST_WARM_UP_S, seconds / 4))
    taken.clear()
    warmed, done = done, 0
    began = clock()
    await phase(began + seconds)
    elapsed = clock() - began
    return {**percentiles(taken), "rate": round(done * each / elapsed, 1), "operations": (warmed + done) * each}


WORKS: dict[str, Work] = {
    "sequential": sequential,
    "in_flight": in_flight,
    "batches": batches,
    "reads": reads,
    "fill": fill,
    "paced": paced,
}
