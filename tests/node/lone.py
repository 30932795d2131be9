"""A cluster of one on virtual time, for what a node does by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from raftpy import Config, Node
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.loop import VirtualClock
from tests.node.steps import LoopSteps
from tests.node.words import Words


class Lone:
    """A cluster of one on virtual time, whose disk outlives it. ``machine`` makes the state machine of each life."""

    def __init__(self, machine: Callable[[], Any] = Words) -> None:
        self.disk = MemoryDisk()
        self.make = machine
        self.machine: Any = None
        self.steps = LoopSteps()
        self.node: Node
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.settings: dict[str, Any] = {}

    async def start(self) -> Node:
        self.machine = self.make()
        self.steps = LoopSteps()
        self.node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101"}, seed=1, **self.settings),
            self.machine,
            storage=MemoryStore(self.disk),
            transport=MemoryTransport(MemoryNetwork(self.clock, 1)),
            clock=self.clock,
            executor=self.steps,
        )
        await self.node.start()
        await self.node.wait_for_leader()
        await self.node.read_index()
        return self.node

    async def stop(self) -> None:
        await self.node.stop()

    async def restart(self) -> Node:
        """After a crash: what was durable is there, and nothing else."""
        self.disk.crash()
        driver = self.node._host.driver
        assert driver is not None
        driver._shut()
        return await self.start()

    async def propose(self, *words: bytes) -> list[int]:
        return [await self.node.propose(word) for word in words]

    @property
    def files(self) -> list[str]:
        return sorted(self.disk.snapshots.held)

    @property
    def log(self) -> tuple[int, int]:
        """First and last index in the store."""
        index = self.disk.groups[0].index
        return index.prev + 1, index.last
