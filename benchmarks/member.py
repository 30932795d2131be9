"""One member of the measured cluster, a process of its own; told what to do line by line on standard input.

{"do": "leader"}                     -> {"leader": id}, once there is one
{"do": "sequential", ...}            -> the figures of that work (benchmarks/load.py), or {"error": "..."}
{"do": "fill", ...}                  -> {"operations": n}, once that many commands are committed
{"do": "attempt"}                    -> {"done": true or false}: one command, given up when refused
{"do": "wait_applied", "count": n}   -> {"applied": ...}, once n commands have been applied here
{"do": "read"}                       -> {"index": ...}, once a linearizable read could be answered here
{"do": "usage"}                      -> {"cpu_s": ..., "applied": ..., "anonymous_mib": ...}
{"do": "stop"}                       -> ends

The peers' programs in benchmarks/peers understand the same orders, but for "read".
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
from typing import Any

from benchmarks.counter import BatchCounter, Counter
from benchmarks.load import WORKS
from raftpy import Config, Node, NotLeader, RaftError, Timeout
from raftpy.config import parse_cluster


async def serve(node: Node, machine: Counter) -> None:
    """Carries out what comes on standard input until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order: dict[str, Any] = json.loads(line)
        what = order.pop("do")
        if what == "stop":
            return
        print(json.dumps(await answer(node, machine, what, order)), flush=True)


async def answer(node: Node, machine: Counter, what: str, order: dict[str, Any]) -> dict[str, Any]:
    """What one order gives."""
    if what == "leader":
        return {"leader": await node.wait_for_leader(30.0)}
    if what == "attempt":
        try:
            await node.propose(b"attempt", timeout=0.5)
        except NotLeader:
            await asyncio.sleep(0.001)
            return {"done": False}
        except Timeout:
            return {"done": False}
        return {"done": True}
    if what == "wait_applied":
        while machine.count < order["count"]:
            await asyncio.sleep(0.001)
        return {"applied": machine.count}
    if what == "read":
        return {"index": await node.read_index(timeout=None)}
    if what == "usage":
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu_s": used.ru_utime + used.ru_stime,
            "applied": machine.count,
            "anonymous_mib": anonymous_kib() / 1024,
        }
    try:
        return dict(await WORKS[what](node, order))
    except RaftError as error:
        return {"error": f"{type(error).__name__}: {error}"}


def anonymous_kib() -> int:
    """Resident memory of this process that is no file's: LevelDB maps its tables, which the kernel takes back."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


async def main() -> None:
    """Starts the node that the arguments describe, says so, and serves."""
    parser = argparse.ArgumentParser(description="a member of the cluster that benchmarks.cluster starts")
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--data", help="directory of the store; in memory without it")
    parser.add_argument("--batch-apply", action="store_true")
    parser.add_argument("--far", action="store_true", help="heartbeats and elections for round trips of 100 ms")
    parser.add_argument("--catch-up-rate", type=int, help="Config.catch_up_rate, 0 for None; as it is unless set")
    options = parser.parse_args()
    machine = BatchCounter() if options.batch_apply else Counter()
    more: dict[str, Any] = {"heartbeat_ms": 100, "election_ms": (1000, 2000)} if options.far else {}
    if options.catch_up_rate is not None:
        more["catch_up_rate"] = options.catch_up_rate or None
    config = Config(id=options.id, cluster=parse_cluster(options.cluster), data_dir=options.data, **more)
    async with Node(config, machine) as node:
        print(json.dumps({"started": options.id}), flush=True)
        await serve(node, machine)


if __name__ == "__main__":
    asyncio.run(main())
