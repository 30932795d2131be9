"""One host of the measured ones, a process of its own with many groups: what benchmarks/groups.py starts.

{"do": "elected"}                              -> {"leaders": n}, groups that it leads, once every group has a leader
{"do": "commit", "in_flight": n, "seconds": s} -> {"commits": n, "seconds": s}: proposed to the groups that it leads
{"do": "usage"}                                -> {"cpu_s": ..., "syncs": ...}, so far
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from typing import Any

from benchmarks.counter import Counter
from raftpy import Config, RaftError
from raftpy.config import parse_cluster
from raftpy.contracts.storage import AppendBatch
from raftpy.runtime.host import Host
from raftpy.storage.leveldb.store import LevelDBStorage


class CountedStorage(LevelDBStorage):
    """LevelDB that counts its synced writes."""

    syncs = 0

    def submit(self, batch: AppendBatch) -> bool:
        """See ``Storage.submit``; what needs no sync rides in a later write."""
        self.syncs += any(append.must_sync for _, appends in batch for append in appends)
        return super().submit(batch)


async def elected(host: Host, count: int) -> dict[str, Any]:
    """Waits until each group has a leader, as far as this host knows."""
    calls = [host.group(group_id) for group_id in range(count)]
    await asyncio.gather(*(group.wait_for_leader(120.0) for group in calls))
    return {"leaders": sum(group.status().role == "leader" for group in calls)}


async def commit(host: Host, count: int, in_flight: int, seconds: float) -> dict[str, Any]:
    """Keeps ``in_flight`` commands of 16 bytes under way, dealt round to the groups that this host leads."""
    led = [group_id for group_id in range(count) if host.group(group_id).status().role == "leader"]
    commits, began = 0, time.perf_counter()

    async def propose(group_id: int) -> None:
        nonlocal commits
        group = host.group(group_id)
        while time.perf_counter() - began < seconds:
            try:
                await group.propose(b"sixteen bytes, 1")
                commits += 1
            except RaftError:
                return  # it leads that group no more

    if led:
        await asyncio.gather(*(propose(led[number % len(led)]) for number in range(in_flight)))
    return {"commits": commits, "seconds": time.perf_counter() - began}


async def main() -> None:
    """Starts the host, says so, and carries out what comes on standard input until it ends."""
    parser = argparse.ArgumentParser(description="a host that benchmarks.groups starts")
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--data", required=True, help="directory of the store")
    parser.add_argument("--groups", type=int, required=True)
    options = parser.parse_args()
    count: int = options.groups
    storage = CountedStorage(options.data)
    config = Config(id=options.id, cluster=parse_cluster(options.cluster), data_dir=options.data)
    reader = asyncio.StreamReader()
    async with Host(config, {group_id: Counter() for group_id in range(count)}, storage=storage) as host:
        print(json.dumps({"started": options.id}), flush=True)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            order: dict[str, Any] = json.loads(line)
            match order["do"]:
                case "elected":
                    said = await elected(host, count)
                case "commit":
                    said = await commit(host, count, order["in_flight"], order["seconds"])
                case _:
                    used = resource.getrusage(resource.RUSAGE_SELF)
                    said = {"cpu_s": used.ru_utime + used.ru_stime, "syncs": storage.syncs}
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
