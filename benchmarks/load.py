"""The works that run inside the leader's process: each gives the figures of one round."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine

from benchmarks.rows import percentiles
from raftpy import Node

Work = Callable[[Node, dict[str, float]], Coroutine[None, None, dict[str, float]]]

WARM_UP = 100


async def sequential(node: Node, options: dict[str, float]) -> dict[str, float]:
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
    return {**percentiles(taken), "operations": count}


async def in_flight(node: Node, options: dict[str, float]) -> dict[str, float]:
    """``concurrency`` tasks, each awaiting one command at a time, for ``seconds``."""
    size, concurrency, seconds = int(options["size"]), int(options["concurrency"]), options["seconds"]
    command = os.urandom(size)
    taken: list[float] = []
    done = 0
    clock = time.perf_counter

    async def client(until: float, sampled: bool) -> None:
        nonlocal done
        while (began := clock()) < until:
            await node.propose(command, timeout=30.0)
            done += 1
            if sampled:
                taken.append(clock() - began)

    async def crowd(until: float) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(concurrency):
                group.create_task(client(until, number % 64 == 0))

    await crowd(clock() + min(0.5, seconds / 4))
    taken.clear()
    done = 0
    began = clock()
    await crowd(began + seconds)
    elapsed = clock() - began
    figures = percentiles(taken)
    return {**figures, "rate": round(done / elapsed, 1), "operations": done}


async def batches(node: Node, options: dict[str, float]) -> dict[str, float]:
    """``propose_many`` of ``batch`` commands, ``calls`` calls in flight, for ``seconds``; the rate counts entries."""
    size, batch, calls = int(options["size"]), int(options["batch"]), int(options["calls"])
    commands = [os.urandom(size) for _ in range(batch)]
    clock = time.perf_counter
    taken: list[float] = []

    async def client(until: float) -> None:
        while (began := clock()) < until:
            await node.propose_many(commands, timeout=30.0)
            taken.append(clock() - began)

    async def crowd(until: float) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(calls):
                group.create_task(client(until))

    await crowd(clock() + min(0.5, options["seconds"] / 4))
    taken.clear()
    began = clock()
    await crowd(began + options["seconds"])
    elapsed = clock() - began
    entries = len(taken) * batch
    return {**percentiles(taken), "rate": round(entries / elapsed, 1), "operations": entries}


WORKS: dict[str, Work] = {"sequential": sequential, "in_flight": in_flight, "batches": batches}
