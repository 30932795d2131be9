"""Waiting inside a pass for what is about to come: when it is done, and that nobody else has to wait for it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable

import pytest

from raftpy import Config, Node
from raftpy.runtime.linger import Linger
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Cluster, Recorder, play
from tests.node.loop import VirtualClock, run


class Pair:
    """Two sockets, one of them under the running loop's reader."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.setblocking(False)
        self.read: list[bytes] = []

    def __enter__(self) -> Pair:
        asyncio.get_running_loop().add_reader(self.near, lambda: self.read.append(self.near.recv(64)))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.near)
        self.near.close()
        self.far.close()


def test_it_ends_as_soon_as_something_can_be_read_and_leaves_it_to_the_loop() -> None:
    async def main() -> None:
        linger = Linger(asyncio.get_running_loop())
        assert linger.possible
        with Pair() as pair:
            pair.far.send(b"x")
            assert linger.wait()
            assert pair.read == []
            assert linger.wait()  # it is still there
            linger.found(True)
            await asyncio.sleep(0.001)
            assert pair.read == [b"x"]

    asyncio.run(main())


def test_it_ends_after_a_millisecond() -> None:
    async def main() -> None:
        linger = Linger(asyncio.get_running_loop())
        began = time.monotonic()
        assert not linger.wait()
        assert time.monotonic() - began >= 0.0009

    asyncio.run(main())


def test_it_waits_less_often_while_nothing_comes() -> None:
    async def main() -> None:
        linger = Linger(asyncio.get_running_loop())

        def waited() -> bool:
            before = linger.passing
            began = time.monotonic()
            assert not linger.wait()
            assert before or time.monotonic() - began >= 0.0009
            return not before

        # The number of times passed over between two that are not.
        passed = [0]
        for _ in range(400):
            if waited():
                passed.append(0)
            else:
                passed[-1] += 1
        assert passed[:8] == [0, 1, 3, 7, 15, 31, 63, 63]
        linger.found(True)
        assert waited()  # at once again

    asyncio.run(main())


def test_what_came_for_somebody_else_counts_as_nothing() -> None:
    async def main() -> None:
        linger = Linger(asyncio.get_running_loop())
        with Pair() as pair:
            pair.far.send(b"x")
            assert linger.wait()
            linger.found(False)
            assert not linger.wait()
            assert linger.wait()

    asyncio.run(main())


def test_nobody_waits_while_the_loop_has_something_to_do() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        linger = Linger(loop)
        with Pair() as pair:
            pair.far.send(b"x")
            loop.call_soon(lambda: None)
            assert not linger.wait()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            pair.far.send(b"y")
            assert linger.wait()

    asyncio.run(main())


def test_a_loop_that_cannot_be_waited_for_is_not() -> None:
    async def virtual() -> None:
        assert not Linger(asyncio.get_running_loop()).possible

    class Foreign:
        """As uvloop's: with none of asyncio's own business."""

    class Half:
        _ready: deque[object] = deque()
        _selector = object()

    run(virtual())
    for loop in (Foreign(), Half()):
        linger = Linger(loop)  # type: ignore[arg-type]
        assert not linger.possible
        assert not linger.wait()


@pytest.mark.parametrize("kind", ["udp"])
def test_commands_one_after_the_other_leave_the_loop_its_turns(kind: str, seed: int) -> None:
    """Three nodes on one loop: whoever waits sees at once that it is the others who are wanted."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"first")
        began = time.monotonic()
        turns = 0

        async def ticking() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.002)
                turns += 1

        ticker = asyncio.create_task(ticking())
        for number in range(200):
            await cluster.propose(leader, b"%d" % number)
        ticker.cancel()
        took = time.monotonic() - began
        assert turns >= took / 0.002 / 8

    play(kind, 3, seed, scenario)


class Asked:
    """Stands in the place of a node's Linger: says that something has come, so many times."""

    def __init__(self, comes: int = 0) -> None:
        self.comes = comes
        self.waits = 0
        self.told: list[bool] = []

    def wait(self) -> bool:
        self.waits += 1
        self.comes -= 1
        return self.comes >= 0

    def found(self, something: bool) -> None:
        self.told.append(something)


class AskedClock(VirtualClock):
    """A clock on which every node waits with an ``Asked``; they stand in the order of their nodes' starts."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[], Asked] = Asked) -> None:
        super().__init__(loop)
        self.make = make
        self.asked: list[Asked] = []

    def lingering(self) -> Asked:
        self.asked.append(self.make())
        return self.asked[-1]


def play_asked(
    seed: int, scenario: Callable[[Cluster, dict[int, Asked]], Awaitable[None]], make: Callable[[], Asked] = Asked
) -> None:
    """A scenario on three nodes that wait with an ``Asked`` each."""

    async def main() -> None:
        clock = AskedClock(asyncio.get_running_loop(), make)
        async with Cluster("memory", 3, seed, clock=clock) as cluster:
            await scenario(cluster, dict(zip(cluster.ids, clock.asked, strict=True)))

    run(main())


def test_it_is_asked_where_an_answer_is_expected_and_only_there(seed: int) -> None:
    async def scenario(cluster: Cluster, asked: dict[int, Asked]) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.sleep_ms(100)
        for each in asked.values():
            each.waits = 0
        await cluster.sleep_ms(500)  # heartbeats: nobody waits for anything
        assert [each.waits for each in asked.values()] == [0, 0, 0]
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 3)
        # The leader for the followers' answers, they for what it does with them.
        assert all(each.waits for each in asked.values())
        await cluster.sleep_ms(100)
        before = asked[leader].waits
        await cluster.nodes[leader].read_index()
        assert asked[leader].waits > before

    play_asked(seed, scenario)


def test_a_single_node_expects_nobodys_answer() -> None:
    async def main() -> None:
        clock = AskedClock(asyncio.get_running_loop())
        transport = MemoryTransport(MemoryNetwork(clock))
        config = Config(id=1, cluster={1: "127.0.0.1:7101"})
        async with Node(config, Recorder(), transport=transport, clock=clock) as node:
            await node.wait_for_leader()
            asked = clock.asked[0]
            asked.waits = 0
            await node.propose(b"x")
            await asyncio.sleep(0.2)
            assert asked.waits == 0

    run(main())


async def cut_off(cluster: Cluster, asked: dict[int, Asked]) -> tuple[Node, Asked]:
    """A leader that is cut off, and whose Asked says from now on that something has come."""
    leader, _ = await cluster.single_leader()
    cluster.isolate(leader)
    await cluster.sleep_ms(20)
    each = asked[leader]
    each.comes, each.waits, each.told = 1000, 0, []
    return cluster.nodes[leader], each


def test_what_a_pass_waited_for_is_taken_by_it(seed: int) -> None:
    """Also in the last of its rounds, after which nothing would be."""

    async def scenario(cluster: Cluster, asked: dict[int, Asked]) -> None:
        node, each = await cut_off(cluster, asked)
        node._host.transport.receive = lambda limit=64: [bytes(80)]  # type: ignore[method-assign]
        node.propose(b"x")
        node._running.passes.run()
        assert each.waits > 10
        assert each.told == [True] * each.waits
        del node._host.transport.receive  # type: ignore[method-assign]

    play_asked(seed, scenario)


def test_a_pass_waits_no_more_once_it_is_two_milliseconds_old(seed: int) -> None:
    class Slow(Asked):
        def wait(self) -> bool:
            if self.comes > 0:
                asyncio.get_running_loop()._selector.now += 0.0005  # type: ignore[attr-defined]
            return super().wait()

    async def scenario(cluster: Cluster, asked: dict[int, Asked]) -> None:
        node, each = await cut_off(cluster, asked)
        node._host.transport.receive = lambda limit=64: [bytes(80)]  # type: ignore[method-assign]
        node.propose(b"x")
        node._running.passes.run()
        assert 4 <= each.waits <= 6
        del node._host.transport.receive  # type: ignore[method-assign]

    play_asked(seed, scenario, Slow)


def test_a_pass_ends_when_what_came_is_for_somebody_else(seed: int) -> None:
    async def scenario(cluster: Cluster, asked: dict[int, Asked]) -> None:
        node, each = await cut_off(cluster, asked)
        node.propose(b"x")
        await cluster.sleep_ms(1)
        assert 1 <= each.waits <= 2  # one pass, and one more when the write has completed
        assert each.told == [False] * each.waits

    play_asked(seed, scenario)
