"""What a pass gives to the parts and in which order: transports that lend no builders, writes that complete late."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from raftcore import Message
from raftpy import Config, Node
from raftpy.contracts.storage import AppendBatch
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Recorder
from tests.node.loop import VirtualClock, run

ADDRESSES = {i: f"127.0.0.1:{7100 + i}" for i in (1, 2, 3)}


class PlainTransport:
    """What the ``Transport`` protocol names, and nothing more."""

    NAMES = (
        "start", "receive", "flush", "change_peers", "on_unreachable", "on_heard", "heard", "pin", "reachable",
        "oversized", "refused_by", "http_address", "max_datagram", "max_command", "stats", "close",
    )  # fmt: skip

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport
        self.sent = 0

    def __getattr__(self, name: str) -> Any:
        if name not in self.NAMES:
            raise AttributeError(name)
        return getattr(self._transport, name)

    def send(self, message: Message, group: int = 0) -> None:
        self.sent += 1
        self._transport.send(message, group)


class LateStore(MemoryStore):
    """Reports every other write only ``LATE_S`` after it is durable; the ones between are reported at once."""

    LATE_S = 0.004

    def __init__(self, disk: MemoryDisk, clock: VirtualClock) -> None:
        super().__init__(disk)
        self.later = clock.call_later
        self.number = 0
        self.reports: list[int] = []
        self.overtook = 0
        """Writes reported at once while an earlier one was not reported yet."""

    def submit(self, batch: AppendBatch) -> bool:
        assert super().submit(batch)
        self.number += 1
        if self.number % 2:
            number = self.number
            self.reports.append(number)
            self.later(self.LATE_S, lambda: self.report(number, batch))
            return False
        self.overtook += bool(self.reports)
        return True

    def report(self, number: int, appends: Sequence[Message]) -> None:
        assert self.reports.pop(0) == number
        assert self._callback is not None
        self._callback(appends)


async def cluster(network: MemoryNetwork, clock: VirtualClock, parts: dict[int, tuple[Any, Any]]) -> dict[int, Node]:
    nodes = {
        i: Node(Config(id=i, cluster=ADDRESSES, seed=7), Recorder(), storage=store, transport=transport, clock=clock)
        for i, (store, transport) in parts.items()
    }
    for node in nodes.values():
        await node.start()
    return nodes


def test_a_transport_that_lends_no_builders_is_given_each_message(seed: int) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        network = MemoryNetwork(clock, seed)
        transports = {i: PlainTransport(MemoryTransport(network)) for i in ADDRESSES}
        parts = {i: (MemoryStore(MemoryDisk()), transport) for i, transport in transports.items()}
        nodes = await cluster(network, clock, parts)
        leader = nodes[await nodes[1].wait_for_leader()]
        sent = transports[leader.config.id].sent
        assert sent > 0
        assert [await leader.propose(b"%d" % number) for number in range(20)]
        assert await leader.read_index() > 0
        assert transports[leader.config.id].sent >= sent + 2 * 20
        for node in nodes.values():
            await node.stop()
            assert node.failed is None

    run(main())


def test_writes_are_reported_to_the_core_in_the_order_in_which_they_were_asked_for(seed: int) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        network = MemoryNetwork(clock, seed)
        stores = {i: LateStore(MemoryDisk(), clock) for i in ADDRESSES}
        parts = {i: (store, MemoryTransport(network)) for i, store in stores.items()}
        nodes = await cluster(network, clock, parts)
        leader = nodes[await nodes[1].wait_for_leader()]

        async def some(name: bytes) -> list[int]:
            return [await leader.propose(name + b"%d" % number) for number in range(40)]

        results = await asyncio.gather(*[some(b"%d/" % worker) for worker in range(8)])
        assert len({index for result in results for index in result}) == 320
        assert all(store.overtook for store in stores.values())
        for node in nodes.values():
            await node.stop()
            assert node.failed is None

    run(main())


def test_what_an_earlier_report_is_waited_for_is_not_done_before_it() -> None:
    """A follower whose second write is done at once acknowledges neither before the first is reported."""

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        network = MemoryNetwork(clock, 1)
        store = LateStore(MemoryDisk(), clock)
        transport = MemoryTransport(network)
        config = Config(id=1, cluster={1: ADDRESSES[1]})
        async with Node(config, Recorder(), storage=store, transport=transport, clock=clock) as node:
            await node.wait_for_leader()
            await node.propose(b"settle")
            if store.number % 2:
                await node.propose(b"even")
            first = asyncio.create_task(_awaited(node, b"first"))
            await asyncio.sleep(LateStore.LATE_S / 4)
            second = asyncio.create_task(_awaited(node, b"second"))
            await asyncio.sleep(LateStore.LATE_S / 4)
            assert store.overtook
            assert not first.done()
            assert not second.done()
            assert await first + 1 == await second

    run(main())


async def _awaited(node: Node, command: bytes) -> int:
    result: int = await node.propose(command)
    return result
