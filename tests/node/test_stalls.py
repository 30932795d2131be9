"""A blocked event loop says so: the leadership it may cost must not go without a word."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from raftpy import Config, Node
from raftpy.contracts.clock import Clock
from raftpy.runtime import driver
from raftpy.runtime.group import Group
from raftpy.runtime.passes import Ticks
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Cluster, Recorder, _free_addresses, play
from tests.node.loop import VirtualClock, run

BLOCKED = re.compile(r"node (\d+): the loop was blocked for (\d+) ms or more(, heartbeat late)?")


def warnings(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    """(node, milliseconds) of each warning there is."""
    found = []
    for record in caplog.records:
        if (match := BLOCKED.match(record.getMessage())) is not None:
            assert record.levelno == logging.WARNING
            found.append((int(match[1]), int(match[2])))
    return found


def heartbeat_late(caplog: pytest.LogCaptureFixture) -> list[int]:
    """The nodes that say that their heartbeats were late."""
    found = [BLOCKED.match(record.getMessage()) for record in caplog.records]
    return [int(match[1]) for match in found if match is not None and match[3]]


def block(seconds: float) -> None:
    """As code that keeps a loop on virtual time for so long."""
    loop: Any = asyncio.get_running_loop()
    loop._selector.now += seconds


def alone() -> Node:
    clock = VirtualClock(asyncio.get_running_loop())
    return Node(
        Config(id=1, cluster={1: "127.0.0.1:7101"}),
        Recorder(),
        storage=MemoryStore(MemoryDisk()),
        transport=MemoryTransport(MemoryNetwork(clock)),
        clock=clock,
    )


def test_a_leader_whose_loop_was_blocked_warns(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with alone() as node:
            await node.wait_for_leader()
            await asyncio.sleep(1)
            assert warnings(caplog) == []
            block(0.2)
            await asyncio.sleep(0.1)
            ((node_id, blocked_ms),) = warnings(caplog)
            assert (node_id, heartbeat_late(caplog)) == (1, [1])
            assert 130 <= blocked_ms <= 200  # the timer may have been due a quiet leader's pause after the block began

    run(main())


def test_a_real_loop_and_real_sleep(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node(Config(id=1, cluster=_free_addresses(1)), Recorder()) as node:
            await node.wait_for_leader()
            caplog.clear()  # a busy machine may have blocked it, too
            time.sleep(0.5)  # noqa: ASYNC251 - that is what is tested
            await asyncio.sleep(0.1)
            assert [blocked for _, blocked in warnings(caplog) if blocked >= 400] != []

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["memory", "udp"])
def test_every_node_of_the_loop_says_so(kind: str, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Also where datagrams have come in meanwhile, which a node looks at before its timer.

    Only a leader owes heartbeats.
    """

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        caplog.clear()
        if kind == "udp":
            time.sleep(0.4)  # noqa: ASYNC251
        else:
            block(0.4)
        await cluster.sleep_ms(60)
        assert sorted(node_id for node_id, blocked in warnings(caplog) if blocked >= 200) == [1, 2, 3]
        assert heartbeat_late(caplog) == [leader]

    play(kind, 3, seed, scenario)


def test_a_leader_that_the_stall_has_cost_the_leadership(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """It hears of its successor before it sees that it was late; the heartbeats were its own to send."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        driver = cluster.nodes[leader]._group
        assert driver is not None
        await cluster.sleep_ms(60)  # its timer has been set as a leader's
        block(0.3)
        driver.raw.step_down()
        await cluster.sleep_ms(60)
        assert heartbeat_late(caplog) == [leader]

    play("memory", 3, seed, scenario)


def test_at_most_one_warning_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with alone() as node:
            await node.wait_for_leader()
            for blocked in (0.2, 0.3, 1.0, 0.3, 0.2):
                block(blocked)
                await asyncio.sleep(0.5)
            assert len(warnings(caplog)) == 1
            await asyncio.sleep(10)
            block(0.2)
            await asyncio.sleep(0.5)
            assert len(warnings(caplog)) == 2
            told = re.search(r"\(4 more since the last warning, up to (\d+) ms\)", caplog.messages[-1])
            assert told is not None
            assert 930 <= int(told[1]) <= 1000

    run(main())


def test_what_is_no_stall_is_not_warned_about(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Ten minutes of rest and of work, and blocks that cost nothing: with one of 75 ms a leader is silent for 145."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.sleep_ms(300_000)
        for number in range(200):
            await cluster.propose(leader, b"%d" % number, 10)
            await cluster.sleep_ms(number)
            block(0.075)
            await cluster.sleep_ms(100)
        assert warnings(caplog) == []

    play("memory", 3, seed, scenario)


def test_a_follower_at_rest_wakes_up_for_heartbeats_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each puts off its timer, which would be due a moment later or before; a leader's timer sends them."""
    woken: list[object] = []

    def counting(clock: Clock, length_s: float, heartbeat: int, wake: Callable[[], object]) -> Ticks:
        def ring() -> None:
            woken.append(wake.__self__)  # type: ignore[attr-defined]
            wake()

        return Ticks(clock, length_s, heartbeat, ring)

    monkeypatch.setattr(driver, "Ticks", counting)

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.sleep_ms(1000)
        woken.clear()
        await cluster.sleep_ms(5000)
        by_node = Counter(
            node_id for passes in woken for node_id, node in cluster.nodes.items() if node._running.passes is passes
        )
        assert 68 <= by_node.pop(leader) <= 75
        assert sum(by_node.values()) <= 4

    play("memory", 3, seed, scenario)


def test_a_follower_at_rest_still_looks_round(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a snapshot is due is looked at once a second, whether a timer or a heartbeat wakes the node."""
    looked: Counter[int] = Counter()
    look = Group.look_at_snapshots

    def counting(group: Group) -> None:
        looked[group.host.config.id] += 1
        look(group)

    monkeypatch.setattr(Group, "look_at_snapshots", counting)

    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        looked.clear()
        await cluster.sleep_ms(10_000)
        assert all(8 <= looked[node_id] <= 11 for node_id in (1, 2, 3))

    play("memory", 3, seed, scenario)
