"""One member of the soaked cluster: a key-value store in a process of its own, told what to do like
benchmarks/member.py.

{"do": "leader"}    -> {"leader": id}, once there is one
{"do": "write", "seconds": s, "size": bytes, "keys": n, "in_flight": n}    -> p50_us, p99_us, ..., rate
{"do": "log"}       -> {"first": ..., "snapshot": ..., "last": ..., "applied": ..., all indexes,
                        "commands": ..., "log_written": ..., "snapshots_written": ...}, bytes since it was started
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.rows import percentiles
from raftpy import Config, Node, NotLeader, RaftError, Timeout
from raftpy.config import parse_cluster
from raftpy.replicated import kv_commands
from raftpy.replicated.kv import KeyValueStore


async def write(node: Node, order: dict[str, Any]) -> dict[str, float]:
    """Puts of ``size`` bytes under one of ``keys`` keys, so many in flight, for so long; behind each its client pauses
    for ``pause_ms``, where that is given. The latencies are of all writes; a change of leader ends it early."""
    pause_s = order.get("pause_ms", 0) / 1000
    value, keys, clock = os.urandom(int(order["size"])), int(order["keys"]), time.perf_counter
    taken: list[float] = []
    began = clock()
    until = began + order["seconds"]

    async def client(number: int) -> None:
        source = random.Random(f"{began} {number}")
        while (asked := clock()) < until:
            key = b"%016d" % source.randrange(keys)
            try:
                await node.propose(kv_commands.put(key, value), timeout=60.0)
            except (NotLeader, Timeout):  # also: it led, and does no more
                return
            taken.append(clock() - asked)
            if pause_s:
                await asyncio.sleep(pause_s)

    async with asyncio.TaskGroup() as group:
        for number in range(int(order["in_flight"])):
            group.create_task(client(number))
    if not taken:
        return {"rate": 0.0}
    return {**percentiles(taken), "rate": round(len(taken) / (clock() - began), 1)}


async def answer(node: Node, order: dict[str, Any]) -> dict[str, Any]:
    """What one order gives."""
    try:
        match order["do"]:
            case "leader":
                return {"leader": await node.wait_for_leader(30.0)}
            case "write":
                return dict(await write(node, order))
            case "log":
                status = node.status()
                assert status.written is not None
                return {
                    "commands": status.written.commands,
                    "log_written": status.written.log,
                    "snapshots_written": status.written.snapshots,
                    "first": status.first_index,
                    "snapshot": status.snapshot_index,
                    "last": status.last_index,
                    "applied": status.applied_index,
                }
            case other:
                return {"error": f"no such order: {other!r}"}
    except RaftError as error:
        return {"error": f"{type(error).__name__}: {error}"}


async def serve(by: str, answer: Callable[[Node, dict[str, Any]], Awaitable[dict[str, Any]]], **settings: Any) -> None:
    """Starts the node that the arguments describe, says so, and carries out what comes on standard input.

    ``by``: what starts it; ``settings`` of its Config, beside those of the arguments.
    """
    parser = argparse.ArgumentParser(description=f"a member of the cluster that {by} starts")
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--settings", default="{}", help="more of Config, as JSON")
    options = parser.parse_args()
    settings |= json.loads(options.settings)
    config = Config(id=options.id, cluster=parse_cluster(options.cluster), data_dir=options.data, **settings)
    reader = asyncio.StreamReader()
    async with Node(config, KeyValueStore()) as node:
        print(json.dumps({"started": options.id}), flush=True)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            print(json.dumps(await answer(node, json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(serve("benchmarks.soak", answer))
