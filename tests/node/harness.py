"""A cluster of real nodes in one event loop: started, cut off, crashed and restarted one by one.

Four ways to run the same scenario, as the text's RAFT_UNRELIABLE_RPC has it and once more on real sockets:

    memory, memory-unreliable     MemoryNetwork on virtual time: exact, and as fast as the callbacks
    udp, udp-unreliable           loopback sockets on real time

Each node keeps what is durable on a MemoryDisk that outlives its crashes. Everything random comes from the test's seed.
On the memory network every datagram that leaves is checked by a spy (see spy.py): nothing is promised before it is
durable, in any scenario.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from raftpy import Config, Node, Unreliable
from raftpy.contracts.clock import Clock, SystemClock
from raftpy.contracts.transport import Transport
from raftpy.runtime.pending_proposals import Proposal
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from raftpy.transport.datagram.udp import UdpTransport
from raftpy.transport.exchange.exchange import DatagramIO
from tests.node.loop import VirtualClock, run
from tests.node.spy import Spy
from tests.node.steps import LoopSteps

PLAIN = {"pre_vote": False, "check_quorum": False}
"""The algorithm as the text has it: whoever comes back with a higher term forces an election."""
KINDS = ("memory", "memory-unreliable", "udp", "udp-unreliable")
UNRELIABLE = Unreliable()
RELIABLE = Unreliable(delay_ms=(0.05, 0.2), long_delay_rate=0, drop_rate=0)
WRITE_SECONDS = 0.0002
PATIENCE = 20.0
"""Seconds for what must happen at last; with one datagram in ten lost an election may take several."""


class Recorder:
    """The state machine: remembers what it was told."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.indexes: list[int] = []

    def apply(self, index: int, command: bytes) -> int:
        self.indexes.append(index)
        self.commands.append(command)
        return index


class CuttableIO:
    """A socket's ``DatagramIO``, as long as its transport is not off."""

    def __init__(self, io: DatagramIO | None, transport: CuttableUdp) -> None:
        assert io is not None
        self.io = io
        self.transport = transport

    def read(self, limit: int) -> list[bytes]:
        datagrams = self.io.read(limit)
        if self.io.may_have_error:
            self.transport._read_errors()
        return [] if self.transport.off else datagrams

    def write(self, datagram: bytes, address: bytes) -> int:
        return 0 if self.transport.off else self.io.write(datagram, address)


class CuttableUdp(UdpTransport):
    """UDP that loses everything to and from this node while it is off."""

    off = False

    def _open(self) -> None:
        super()._open()
        self._io = CuttableIO(self._io, self)  # type: ignore[assignment]


class Cluster:
    """``size`` nodes with ids from 1. Made inside the event loop it runs on."""

    def __init__(
        self,
        kind: str,
        size: int,
        seed: int,
        *,
        machine: Callable[[], Any] = Recorder,
        clock: Clock | None = None,
        store: type[MemoryStore] = MemoryStore,
        **settings: Any,
    ) -> None:
        self.settings = settings  # of every node's Config, beyond the defaults
        self.write_seconds = dict.fromkeys(range(1, size + 1), WRITE_SECONDS)  # of each node's disk, from its start on
        self.http: dict[int, str] = {}  # addresses at which nodes say they serve, from their next start on
        loop = asyncio.get_running_loop()
        self.kind = kind
        self.ids: Sequence[int] = range(1, size + 1)
        self.random = random.Random(seed)
        self.seed = seed
        self.machine = machine
        self.store = store
        self.clock = clock or (VirtualClock(loop) if kind.startswith("memory") else SystemClock(loop))
        self.unreliable = kind.endswith("-unreliable")
        self.network = MemoryNetwork(self.clock, seed, UNRELIABLE if self.unreliable else RELIABLE)
        on_udp = kind.startswith("udp")
        self.addresses = _free_addresses(size) if on_udp else {i: f"127.0.0.1:{7100 + i}" for i in self.ids}
        self.first = dict(self.addresses)  # the members that the cluster begins with
        self.udp: dict[int, str] = {}  # the nodes' own addresses, where they are none of these or have moved
        self.contacts: dict[int, str] = {}  # whom all nodes know of beside them, from their next start on
        self.disks = {i: MemoryDisk(f"disk {i}", entropy=SeededEntropy(self.random)) for i in self.ids}
        self.spy = Spy(self.disks)
        self.network.filter = self.spy.watch
        self.nodes: dict[int, Node] = {}
        self.machines: dict[int, Any] = {}
        self.off: set[int] = set()

    # --- Life and death -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Cluster:
        for node_id in self.ids:
            await self.start(node_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        failures = {i: node.failed for i, node in self.nodes.items() if node.failed is not None}
        for node in self.nodes.values():
            await node.stop()
        assert failures == {}
        assert self.spy.broken == [], f"seed {self.seed}"

    async def start(self, node_id: int) -> Node:
        """Starts the node on its disk, with an empty state machine."""
        self.machines[node_id] = self.machine()
        transport: Transport
        limit = self.settings.get("max_datagram")
        if self.kind.startswith("memory"):
            transport = MemoryTransport(self.network, max_datagram=limit)
        else:
            unreliable = UNRELIABLE if self.unreliable else None
            transport = CuttableUdp(clock=self.clock, max_datagram=limit, unreliable=unreliable)
            transport.off = node_id in self.off
        node = Node(
            Config(
                id=node_id,
                cluster=self.first,
                udp=self.udp.get(node_id),
                contacts=self.contacts,
                seed=self.seed % 2**64,
                http=self.http.get(node_id),
                **self.settings,
            ),
            self.machines[node_id],
            storage=self.store(self.disks[node_id], self.clock, self.write_seconds[node_id]),
            transport=transport,
            clock=self.clock,
            executor=LoopSteps() if self.kind.startswith("memory") else None,
        )
        await node.start()
        self.nodes[node_id] = node
        return node

    async def join(self, node_id: int) -> Node:
        """Starts one more node, on an empty disk, that no cluster has been told of."""
        address = _free_addresses(1)[1] if self.kind.startswith("udp") else f"127.0.0.1:{7100 + node_id}"
        self.addresses[node_id] = self.udp[node_id] = address
        self.write_seconds[node_id] = WRITE_SECONDS
        self.disks[node_id] = MemoryDisk(f"disk {node_id}", entropy=SeededEntropy(self.random))
        self.spy.disks[node_id] = self.disks[node_id]
        self.ids = sorted({*self.ids, node_id})
        return await self.start(node_id)

    async def crash(self, node_id: int) -> None:
        """The node is gone at this instant, and with it what was not yet durable."""
        self.disks[node_id].crash()
        driver = self.nodes.pop(node_id)._host.driver
        assert driver is not None
        await asyncio.sleep(0)  # never inside a pass, which may have resumed this task
        driver._shut()  # not stop: who crashes hands nothing over

    async def restart(self, node_id: int) -> None:
        await self.start(node_id)

    def disconnect(self, node_id: int) -> None:
        self.off.add(node_id)
        self.network.disconnect(node_id)
        self._tell_transport(node_id)

    def isolate(self, node_id: int) -> None:
        """Disconnects everybody else, so that this node's own clients still reach it and nobody answers it."""
        for other in self.ids:
            if other != node_id:
                self.disconnect(other)

    def reconnect(self, node_id: int) -> None:
        self.off.discard(node_id)
        self.network.reconnect(node_id)
        self._tell_transport(node_id)

    def _tell_transport(self, node_id: int) -> None:
        transport = self.nodes[node_id]._host.transport if node_id in self.nodes else None
        if isinstance(transport, CuttableUdp):
            transport.off = node_id in self.off

    # --- Waiting and looking ------------------------------------------------------------------------------------

    async def sleep_ms(self, milliseconds: float) -> None:
        await asyncio.sleep(milliseconds / 1000)

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Waits until ``holds()`` is true, and gives it back."""
        deadline = self.clock.monotonic() + PATIENCE
        while not (value := holds()):
            assert self.clock.monotonic() < deadline, f"{what}: not within {PATIENCE} s; seed {self.seed}"
            await self.sleep_ms(5)
        return value

    @property
    def connected(self) -> list[int]:
        return [i for i in self.nodes if i not in self.off]

    def leaders(self) -> dict[int, int]:
        """Connected nodes that think they lead: term to id. Two in one term must never be."""
        leaders: dict[int, int] = {}
        for node_id in self.connected:
            status = self.nodes[node_id].status()
            if status.role == "leader":
                assert status.term not in leaders, f"two leaders in term {status.term}; seed {self.seed}"
                leaders[status.term] = node_id
        return leaders

    def _agreed(self) -> tuple[int, int] | None:
        leaders = self.leaders()
        if not leaders:
            return None
        term = max(leaders)
        states = [self.nodes[i].status() for i in self.connected]
        return (leaders[term], term) if all((s.term, s.leader) == (term, leaders[term]) for s in states) else None

    async def single_leader(self) -> tuple[int, int]:
        """(id, term) of the one leader that all connected nodes follow."""
        result: tuple[int, int] = await self.until(self._agreed, "one leader for all that are connected")
        return result

    def no_leader(self) -> None:
        assert self.leaders() == {}

    def propose(self, node_id: int, command: bytes, timeout: float | None = None) -> Proposal:
        return self.nodes[node_id].propose(command, timeout=timeout)

    def holders(self, command: bytes) -> list[int]:
        """Which connected nodes have applied the command; wherever it is, it is at the same index, and once."""
        places: dict[int, int] = {}
        for node_id in self.connected:
            machine = self.machines[node_id]
            assert machine.commands.count(command) <= 1
            if command in machine.commands:
                places[node_id] = machine.indexes[machine.commands.index(command)]
        assert len(set(places.values())) <= 1, f"{command!r} is at several indexes: {places}; seed {self.seed}"
        return sorted(places)

    async def committed(self, command: bytes, count: int) -> None:
        """Waits until exactly ``count`` connected nodes have applied the command."""
        await self.until(lambda: len(self.holders(command)) >= count, f"{command!r} on {count} nodes")
        assert len(self.holders(command)) == count
        self.same_order()

    def not_committed(self, command: bytes) -> None:
        assert self.holders(command) == []

    def same_order(self) -> None:
        """What the nodes have applied agrees as far as each has come (Figure 3, State Machine Safety)."""
        histories = sorted((list(zip(m.indexes, m.commands, strict=True)) for m in self.machines.values()), key=len)
        for shorter, longer in zip(histories, histories[1:], strict=False):
            assert longer[: len(shorter)] == shorter, f"{self.spy.broken}; seed {self.seed}"


def play(kind: str, size: int, seed: int, scenario: Callable[[Cluster], Awaitable[None]], **more: Any) -> None:
    """Runs a scenario on a fresh cluster."""

    async def main() -> None:
        async with Cluster(kind, size, seed, **more) as cluster:
            await scenario(cluster)
            cluster.same_order()

    if kind.startswith("memory"):
        run(main())
    else:
        asyncio.run(main())


def _free_addresses(count: int) -> dict[int, str]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for udp in sockets:
            udp.bind(("127.0.0.1", 0))
        return {i: f"127.0.0.1:{udp.getsockname()[1]}" for i, udp in enumerate(sockets, 1)}
    finally:
        for udp in sockets:
            udp.close()
