"""Nodes that have snapshots and nothing else, on a network in memory and virtual time: for the tests of fetching."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from raftpy.contracts.clock import TimerHandle
from raftpy.contracts.errors import Stopped
from raftpy.contracts.executor import Executor
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef
from raftpy.runtime.fetching import Fetching
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.transport import MemoryNetwork, MemoryTransport, Unreliable
from raftpy.transport.datagram.memory import RELIABLE
from tests.node.loop import VirtualClock, run
from tests.node.steps import LoopSteps
from tests.storage.snapshots import MACHINE, MEMBERS, Place, raw, write
from tests.transport.support import identity

SIZE = 3_000_000
"""Bytes of a snapshot, about: more than a window."""


class OrderedClock(VirtualClock):
    """What is due at the same time is called in the order of asking, which asyncio does not promise: so a network of
    one delay does not reorder datagrams, and nothing is taken for lost that was not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._asked = itertools.count()

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        return super().call_later(delay_s + next(self._asked) * 1e-12, callback)


class Giver:
    """One node: its disk, and its present life."""

    def __init__(self, world: FetchWorld, node_id: int) -> None:
        self.world = world
        self.node_id = node_id
        self.place = Place("memory", Path("unused"))
        self.lives = 0
        self.start()

    def start(self, rate: int | None = None) -> None:
        """The first life, or the next."""
        self.lives += 1
        world = self.world
        self.store: SnapshotStore = self.place.store()
        self.transport = MemoryTransport(world.network, max_datagram=world.max_datagram)
        self.transport.start(identity(self.node_id, self.lives), self._wake)
        self.steps = LoopSteps()
        executor: Executor = self.steps
        self.fetching = Fetching(self.node_id, self.transport, self.store, world.clock, executor, rate)
        self.fetching.start()

    def _wake(self) -> None:
        self.transport.receive()
        self.transport.flush()

    def stop(self) -> None:
        """In order."""
        self.transport.close()
        self.fetching.stop(Stopped)
        self.fetching.end()

    def kill(self) -> None:
        """Without a word, and without closing anything; what it has under way goes nowhere."""
        self.transport.close()
        self.place.memory = self.place.memory.after_crash()
        self.fetching.stop(Stopped)

    def write(self, ref: SnapshotRef, size: int = SIZE, seed: int = 1) -> SnapshotFile:
        return write(self.store, ref, [(MEMBERS, b"some"), (MACHINE, Random(seed).randbytes(size))])

    def bytes_of(self, ref: SnapshotRef) -> bytes:
        return raw(self.store, ref)


class FetchWorld:
    """Three nodes."""

    def __init__(self, seed: int = 0, unreliable: Unreliable = RELIABLE, max_datagram: int = 1200) -> None:
        self.clock = OrderedClock(asyncio.get_running_loop())
        self.network = MemoryNetwork(self.clock, seed, unreliable)
        self.max_datagram = max_datagram
        self.nodes = {node_id: Giver(self, node_id) for node_id in (1, 2, 3)}

    async def meet(self) -> None:
        """They have heard each other's hellos."""
        await asyncio.sleep(2.0)

    def stop(self) -> None:
        for node in self.nodes.values():
            node.stop()


def play(scenario: Callable[[FetchWorld], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        world = FetchWorld(**settings)  # type: ignore[arg-type]
        await world.meet()
        await scenario(world)
        world.stop()
        for _ in range(5):
            await asyncio.sleep(0)

    run(main())
