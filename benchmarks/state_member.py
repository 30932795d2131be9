"""A member with a key-value state, a process of its own, told what to do as benchmarks/member.py is.

{"do": "leader"}                                         -> {"leader": id}, once there is one
{"do": "put", "count": n, "keys": k, "size": bytes}      -> {"operations": n}, once so many puts are committed, one key
                                                            after the other from "first" on; fewer when it led no more
{"do": "write", "seconds": s, ...}                       -> figures of puts in flight (benchmarks/soak/member.py)
{"do": "snapshot"}                                       -> {"index": ...}, once one is durable
{"do": "begin_snapshot"}, then {"do": "ended"}           -> {"began": 1}, and {"ended": whether that one is durable}
{"do": "wait_applied", "count": i}                       -> {"applied": ...}, once the entry at i has been applied here
{"do": "read"}                                           -> {"index": ...}, once a linearizable read could be answered
                                                            here
{"do": "usage"}                                          -> {"cpu_s": ..., "applied": index}
{"do": "log"}                                            -> {"first": ..., "snapshot": ..., "last": ..., "applied": ...}
"""

from __future__ import annotations

import asyncio
import os
import resource
from typing import Any

from benchmarks.soak.member import answer as answer_of_soak
from benchmarks.soak.member import serve
from raftpy import Node, NotLeader, RaftError, Timeout
from raftpy.replicated import kv_commands

BATCH = 500
CALLS = 4
UNDER_WAY: list[asyncio.Future[int]] = []
"""The snapshots that were begun, the newest last."""


async def put(node: Node, order: dict[str, Any]) -> dict[str, float]:
    """Puts of ``size`` bytes under one of ``keys`` keys after the other, ``count`` of them, in batches; how many, from
    the first on, are committed when that ended or leadership had gone elsewhere."""
    first, count, keys, value = (
        int(order.get("first", 0)),
        int(order["count"]),
        int(order["keys"]),
        os.urandom(int(order["size"])),
    )
    begins = iter(range(first, first + count, BATCH))
    missed = [first + count]

    async def client() -> None:
        for begin in begins:
            numbers = range(begin, min(begin + BATCH, first + count))
            commands = [kv_commands.put(b"%016d" % (number % keys), value) for number in numbers]
            try:
                await node.propose_many(commands, timeout=60.0)
            except (NotLeader, Timeout):
                missed.append(begin)
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLS):
            group.create_task(client())
    return {"operations": min(missed) - first}


async def answer(node: Node, order: dict[str, Any]) -> dict[str, Any]:
    """What one order gives."""
    try:
        match order["do"]:
            case "put":
                return dict(await put(node, order))
            case "snapshot":
                return {"index": await node.snapshot()}
            case "begin_snapshot":
                UNDER_WAY.append(asyncio.ensure_future(node.snapshot()))
                return {"began": 1}
            case "ended":
                if UNDER_WAY[-1].done():
                    UNDER_WAY[-1].result()
                return {"ended": UNDER_WAY[-1].done()}
            case "wait_applied":
                while node.status().applied_index < order["count"]:
                    await asyncio.sleep(0.001)
                return {"applied": node.status().applied_index}
            case "read":
                return {"index": await node.read_index(timeout=None)}
            case "usage":
                used = resource.getrusage(resource.RUSAGE_SELF)
                return {"cpu_s": used.ru_utime + used.ru_stime, "applied": node.status().applied_index}
    except RaftError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return await answer_of_soak(node, order)


if __name__ == "__main__":
    # Snapshots are taken when they are asked for.
    asyncio.run(serve("benchmarks.restart", answer, snapshot_bytes=1 << 40))
