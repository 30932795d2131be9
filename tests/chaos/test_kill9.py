"""kill -9 at random moments of a real three-process cluster under writes: nothing acknowledged is lost.

Each node runs with another PYTHONHASHSEED, so a replica that let the order of a set or a dict decide anything would
end up different from the others. At the end all three are read by themselves and compared: keys, versions, values.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from raftpy import __version__
from raftpy.cli.addresses import Address
from raftpy.cli.demo_check import check_replica, listing_of, status_of, values_of, wait_until_level
from raftpy.cli.demo_cluster import DemoCluster
from raftpy.cli.demo_http import Connection
from raftpy.cli.demo_writer import Writer
from tests.chaos.churn import Churn
from tests.stalls import without_stalls

ROUNDS = 20
PREFIX = "kept/"
PROGRESS_TIMEOUT = 30.0
"""Seconds in which a cluster whose nodes all run must acknowledge a write again."""


class Killer:
    """Kills and restarts nodes, each choice from the seed; ``story`` is what it did."""

    def __init__(self, cluster: DemoCluster, writer: Writer, seed: int) -> None:
        self._cluster = cluster
        self._writer = writer
        self._random = random.Random(seed)
        self.story: list[str] = []

    async def round(self) -> None:
        """One round: writes flow, some nodes die at the same moment, and come back one after the other."""
        await self._progress()
        choose = self._random
        await asyncio.sleep(choose.uniform(0, 0.6))
        victims = await self._victims()
        for node_id in victims:
            self._cluster.kill(node_id)
        await asyncio.sleep(choose.uniform(0, 0.5))
        for node_id in victims:
            self._cluster.start(node_id)
            if choose.random() < 0.2:  # once more while it recovers
                await asyncio.sleep(choose.uniform(0, 0.8))
                self._cluster.kill(node_id)
                self._cluster.start(node_id)
                self.story.append(f"{node_id} again")

    async def _victims(self) -> list[int]:
        ids = self._cluster.ids
        kind = self._random.choices(["leader", "follower", "two", "all"], [9, 4, 3, 4])[0]
        leader = await self._leader()
        if kind == "leader":
            victims = [leader]
        elif kind == "follower":
            victims = [self._random.choice([node_id for node_id in ids if node_id != leader])]
        else:
            victims = self._random.sample(ids, 2 if kind == "two" else 3)
        self.story.append(f"{kind} {victims}, leader {leader}")
        return victims

    async def _leader(self) -> int:
        """The leader as far as the nodes say, else any node."""
        for node_id in self._cluster.ids:
            connection = Connection(self._cluster.http[node_id])
            status = await status_of(connection)
            connection.close()
            if status is not None and status["leader"] is not None:
                leader: int = status["leader"]
                return leader
        return self._random.choice(self._cluster.ids)

    async def _progress(self) -> None:
        """Until another write has been acknowledged: a cluster that stood still would lose nothing either."""
        before = len(self._writer.acknowledged)
        deadline = time.monotonic() + PROGRESS_TIMEOUT
        while len(self._writer.acknowledged) == before:
            self._cluster.check_alive(self._cluster.ids)
            assert time.monotonic() < deadline, f"no write acknowledged in {PROGRESS_TIMEOUT} s; {self.story}"
            await asyncio.sleep(0.02)


async def whole_content(address: Address) -> dict[str, tuple[int, bytes | None]]:
    """Everything one replica holds, by itself: key to (version, value)."""
    connection = Connection(address)
    try:
        listing = await listing_of(connection, "")
        values = await values_of(connection, list(listing))
        return {key: (version, values[key]) for key, (version, _) in listing.items()}
    finally:
        connection.close()


async def run_rounds(cluster: DemoCluster, seed: int) -> tuple[Writer, Churn, list[str]]:
    """The cluster, the writers and the killer together; returns when all nodes run again and nobody writes."""
    addresses = list(cluster.http.values())
    writer = Writer(addresses, prefix=PREFIX, rate=250)
    churn = Churn(addresses, seed, "churn/")
    killer = Killer(cluster, writer, seed)
    writing = asyncio.ensure_future(writer.run())
    churning = asyncio.ensure_future(churn.run())
    try:
        for _ in range(ROUNDS):
            await killer.round()
        await killer._progress()
        writer.stop()
        await writing
    finally:
        churning.cancel()
        writing.cancel()
        await asyncio.gather(churning, writing, return_exceptions=True)
    return writer, churn, killer.story


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    cluster = DemoCluster(
        directory=tmp_path, environments={i: {"PYTHONHASHSEED": str((seed + i) % 2**32)} for i in (1, 2, 3)}
    )
    try:
        for node_id in cluster.ids:
            cluster.start(node_id)
        writer, churn, story = asyncio.run(run_rounds(cluster, seed))
        asyncio.run(check_all(cluster, writer))
    finally:
        cluster.stop()
    print(f"{len(writer.acknowledged)} acknowledged, {len(writer.unknown)} unknown, churn {churn.counts}; {story}")
    assert len(story) >= ROUNDS
    # The test has tested something: every kind of outcome came up.
    assert len(writer.acknowledged) > 100
    assert {200, 412} <= churn.counts.keys()
    for node_id in cluster.ids:
        # Leaders and peers come and go, and it is said of each; nothing is warned of, and nothing has failed.
        log = without_stalls(cluster.log_path(node_id).read_text())
        expected = (f"raftpy {__version__}: ", "raftpy serve: info: ")
        assert [line for line in log.splitlines() if not line.startswith(expected)] == []


async def check_all(cluster: DemoCluster, writer: Writer) -> None:
    """Every acknowledged write on every replica; unknown ones as written or not at all; replicas equal."""
    addresses = list(cluster.http.values())
    newest = max(version for version, _ in writer.acknowledged.values())
    await wait_until_level(addresses, newest, timeout=30)
    for address in addresses:
        replica = await check_replica(address, writer.acknowledged, PREFIX)
        assert replica.missing == []
    contents = [await whole_content(address) for address in addresses]
    assert contents[0] == contents[1] == contents[2]
    kept = {key: value for key, (_, value) in contents[0].items() if key.startswith(PREFIX)}
    written = {key: value for key, (_, value) in writer.acknowledged.items()} | writer.unknown
    assert {key: value for key, value in kept.items() if written.get(key) != value} == {}
