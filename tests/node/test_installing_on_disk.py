"""A follower behind the log comes back by a snapshot, over UDP and on LevelDB."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from raftpy import Config, Node
from raftpy.replicated import kv_commands as commands
from raftpy.replicated.kv import KeyValueStore
from raftpy.storage import LevelDBStorage
from tests.node.harness import _free_addresses

PATIENCE_S = 60.0


class Three:
    """Three nodes with key-value stores, each in a directory of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.addresses = _free_addresses(3)
        self.nodes: dict[int, Node] = {}
        self.stores: dict[int, KeyValueStore] = {}

    async def start(self, node_id: int) -> Node:
        self.stores[node_id] = KeyValueStore()
        config = Config(
            id=node_id,
            cluster=self.addresses,
            data_dir=str(self.path / str(node_id)),
            election_ms=(600, 1200),
            heartbeat_ms=100,
            trailing_bytes=0,
        )
        self.nodes[node_id] = Node(config, self.stores[node_id], storage=LevelDBStorage(self.path / str(node_id)))
        await self.nodes[node_id].start()
        return self.nodes[node_id]

    async def stop(self, node_id: int) -> None:
        await self.nodes.pop(node_id).stop()

    async def leader(self) -> Node:
        node = next(iter(self.nodes.values()))
        return self.nodes[await node.wait_for_leader()]

    async def put(self, first: int, count: int) -> None:
        leader = await self.leader()
        await leader.propose_many([commands.put(b"key %d" % i, b"%d" % i * 100) for i in range(first, first + count)])

    async def until(self, holds: Callable[[], object]) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while not holds():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)


def state(store: KeyValueStore) -> bytes:
    view = store.capture()
    try:
        return b"".join(view.write())
    finally:
        view.close()


async def fall_behind(three: Three, lost: int) -> None:
    """The others go on without it, until their logs begin behind its own."""
    last = three.nodes[lost].status().last_index
    await three.stop(lost)
    for number in range(3):
        await three.put(1000 * number, 300)
        for node in three.nodes.values():
            await node.read_index()
            await node.snapshot()
    await three.until(lambda: all(node.status().first_index > last + 1 for node in three.nodes.values()))


def test_a_follower_that_was_down_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        three = Three(tmp_path)
        for node_id in (1, 2, 3):
            await three.start(node_id)
        await three.put(0, 10)
        leader = await three.leader()
        lost = next(node_id for node_id in (1, 2, 3) if node_id != leader.config.id)
        await fall_behind(three, lost)
        node = await three.start(lost)
        leader = await three.leader()
        await three.until(lambda: node.status().applied_index == leader.status().applied_index)
        assert node.status().snapshot_index == node.status().first_index - 1 > 0
        assert state(three.stores[lost]) == state(three.stores[leader.config.id])
        # It goes on, and a restart begins there.
        await three.put(5000, 10)
        await three.stop(lost)
        node = await three.start(lost)
        leader = await three.leader()
        await three.put(6000, 10)
        await three.until(lambda: node.status().applied_index == leader.status().applied_index)
        assert state(three.stores[lost]) == state(three.stores[leader.config.id])
        for node_id in list(three.nodes):
            assert three.nodes[node_id].failed is None
            await three.stop(node_id)

    asyncio.run(main())
