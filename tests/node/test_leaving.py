"""A leader that stops hands over first (thesis 3.10): nobody waits an election timeout for its successor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from aiohttp import web

from raftcore.wire.codec import frames
from raftpy import ApplyFailed, Config, Conflict, Node, NotLeader
from raftpy.cli.serving import _close
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.runtime.driver import Driver
from raftpy.runtime.snapshot_source import Asked
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Cluster, Recorder, play
from tests.node.loop import VirtualClock, run

BOUND = 0.150
"""The shortest election timeout: what handing over may take, as documented."""
SOON = 0.030
"""What it takes on a network of a fraction of a millisecond; below any election timeout by far."""


def stopping(kind: str, size: int, seed: int, scenario: Callable[[Cluster, int], Awaitable[None]], **more: Any) -> None:
    """Plays ``scenario(cluster, leader)`` once there is a leader that all follow."""

    async def main(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].propose(b"first")
        await scenario(cluster, leader)

    play(kind, size, seed, main, **more)


async def seconds(cluster: Cluster, call: Awaitable[Any]) -> float:
    begun = cluster.clock.monotonic()
    await call
    return cluster.clock.monotonic() - begun


@pytest.mark.parametrize("size", [2, 3, 5])
def test_another_leads_when_stop_returns(size: int, seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(leader)
        assert await seconds(cluster, node.stop()) < SOON
        assert node.failed is None
        heirs = [i for i, other in cluster.nodes.items() if other.status().role == "leader"]
        assert len(heirs) == 1
        if size > 2:  # of two, the other one has no majority alone
            assert await cluster.nodes[heirs[0]].propose(b"next") > 0

    stopping("memory", size, seed, scenario)


@pytest.mark.parametrize("size", [3, 5])
def test_whoever_proposes_meanwhile_learns_what_became_of_it(size: int, seed: int) -> None:
    """A result, or NotLeader for what was never appended; nobody is left in doubt. All that was answered is there."""

    async def scenario(cluster: Cluster, leader: int) -> None:
        outcomes: dict[bytes, object] = {}
        node = cluster.nodes[leader]

        async def write(name: int) -> None:
            for number in range(10_000):
                command = b"%d %d" % (name, number)
                try:
                    outcomes[command] = await node.propose(command)
                except NotLeader as error:
                    outcomes[command] = error
                    return

        writers = [asyncio.ensure_future(write(name)) for name in range(20)]
        await cluster.sleep_ms(20)
        assert await node.hand_over()
        await asyncio.gather(*writers)
        answered = [command for command, outcome in outcomes.items() if isinstance(outcome, int)]
        refused = [command for command, outcome in outcomes.items() if isinstance(outcome, NotLeader)]
        assert len(answered) > 100
        assert len(refused) == 20
        heir, _ = await cluster.single_leader()
        assert heir != leader
        await cluster.propose(heir, b"last", 10)
        await cluster.until(lambda: len(cluster.holders(b"last")) == size, "the last command everywhere")
        for command in answered:
            assert len(cluster.holders(command)) == size
        for command in refused:
            assert cluster.holders(command) == []

    stopping("memory", size, seed, scenario)


def test_proposals_and_stop_at_the_same_moment(seed: int) -> None:
    """What was handed in before the stop is committed, and its callers hear the result."""

    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(leader)
        before = [node.propose(b"before %d" % number) for number in range(50)]
        ending = asyncio.ensure_future(node.stop())
        await cluster.sleep_ms(0.1)
        after = node.propose(b"after")
        assert sorted([await proposal for proposal in before]) == [proposal.index for proposal in before]
        with pytest.raises(NotLeader):
            await after
        await ending

    stopping("memory", 3, seed, scenario)


def test_not_to_one_that_gets_its_state_from_a_snapshot(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would ignore it. So its rank does not help it; and where it is the only other one, nothing is tried."""

    async def scenario(cluster: Cluster, leader: int) -> None:
        best, other = [i for i in cluster.ids if i != leader]
        lacking = {best}
        await cluster.nodes[leader].set_priority(leader, 2)
        await cluster.nodes[leader].set_priority(best, 1)

        def asked(self: Driver, node_id: int, group: int) -> Asked | None:
            at_s = cluster.clock.monotonic() - (2 if node_id in lacking else 3)
            return Asked(SnapshotRef(group, 9, 1), at_s, looked=True, snapshot=None)

        monkeypatch.setattr(Driver, "asked", asked)
        lacking.add(other)
        assert await seconds(cluster, cluster.nodes[leader].hand_over()) == 0
        assert cluster.nodes[leader].status().role == "leader"
        lacking.discard(other)
        await cluster.sleep_ms(50)  # until it is known to hold all that is committed
        assert await cluster.nodes[leader].hand_over()
        assert cluster.nodes[leader].status().leader == other

    stopping("memory", 3, seed, scenario)


def test_alone_it_stops_at_once(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(leader)
        assert not await node.hand_over()
        assert await node.propose(b"x") > 0
        assert await seconds(cluster, node.stop()) == 0

    stopping("memory", 1, seed, scenario)


def test_a_follower_stops_at_once_and_says_that_another_leads(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(next(i for i in cluster.ids if i != leader))
        assert await node.hand_over()
        assert await seconds(cluster, node.stop()) == 0
        assert (await cluster.single_leader())[0] == leader

    stopping("memory", 3, seed, scenario)


def test_cut_off_it_tries_for_the_bound_and_goes_on_or_stops(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        cluster.isolate(leader)
        node = cluster.nodes.pop(leader)
        took = await seconds(cluster, node.hand_over())
        assert took <= BOUND + 0.001
        took = await seconds(cluster, node.stop())
        assert took <= BOUND + 0.001

    stopping("memory", 3, seed, scenario, check_quorum=False)


def test_after_an_attempt_in_vain_it_takes_proposals_again(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        cluster.isolate(leader)
        assert not await cluster.nodes[leader].hand_over()
        proposal = cluster.propose(leader, b"later", 10)
        for node_id in cluster.ids:
            cluster.reconnect(node_id)
        await cluster.sleep_ms(200)  # the core gives a transfer an election timeout, and refuses proposals for so long
        again, _ = await cluster.single_leader()
        try:
            await proposal
        except NotLeader:
            await cluster.propose(again, b"later", 10)
        await cluster.committed(b"later", 3)

    stopping("memory", 3, seed, scenario, check_quorum=False)


def test_to_one_that_is_caught_up(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        behind, other = (i for i in cluster.ids if i != leader)
        cluster.disconnect(behind)
        await cluster.propose(leader, b"x", 10)
        await cluster.nodes.pop(leader).stop()
        assert cluster.nodes[other].status().role == "leader"

    stopping("memory", 3, seed, scenario)


def test_the_preferred_one_takes_over(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        preferred = max(i for i in cluster.ids if i != leader)
        await cluster.nodes[leader].set_priority(leader, 3)
        await cluster.nodes[leader].set_priority(preferred, 2)
        await cluster.sleep_ms(20)  # until it is known to have all of that, too
        await cluster.nodes.pop(leader).stop()
        assert cluster.nodes[preferred].status().role == "leader"

    stopping("memory", 5, seed, scenario)


def test_the_preferred_one_gets_leadership_back_no_more_while_it_is_stopping(seed: int) -> None:
    """``raftpy serve`` gives the requests under way a moment, which ends before its successor gives way to it again."""

    async def scenario(cluster: Cluster, leader: int) -> None:
        await cluster.nodes[leader].set_priority(leader, 9)
        await cluster.sleep_ms(1000)
        assert (await cluster.single_leader())[0] == leader
        node = cluster.nodes.pop(leader)
        ended: list[float] = []

        class Busy:
            """Its requests take longer than there is time for."""

            async def cleanup(self) -> None:
                await asyncio.sleep(5)

        async def close() -> None:
            await _close(cast(web.ServerRunner, Busy()), node)

        async def watch() -> None:
            while node.status().role != "stopped":
                roles.append(node.status().role)
                await cluster.sleep_ms(1)
            ended.append(cluster.clock.monotonic())

        roles: list[str] = []
        begun = cluster.clock.monotonic()
        await asyncio.gather(close(), watch())
        led = roles.count("leader")
        assert 0 < led <= 1000 * SOON
        assert roles[led:] == ["follower"] * (len(roles) - led)
        assert BOUND <= ended[0] - begun <= 1.5 * BOUND + 0.01, "they have had their moment"
        await cluster.single_leader()

    stopping("memory", 3, seed, scenario)


def test_who_hands_nothing_over_gives_requests_a_whole_second(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(next(i for i in cluster.ids if i != leader))

        class Busy:
            async def cleanup(self) -> None:
                await asyncio.sleep(0.9)
                assert node.status().role == "follower"

        assert await seconds(cluster, _close(cast(web.ServerRunner, Busy()), node)) == pytest.approx(0.9)

    stopping("memory", 3, seed, scenario)


def told_to_be_quarantined(cluster: Cluster, node_id: int, leader: int) -> Callable[[], bool]:
    """The node's peers are told that it is quarantined, and it hears nothing of Raft any more. Known to the leader?"""
    cluster.nodes[node_id]._host.transport.quarantine(Conflict(5, 2, leader, 6, 6))
    watch = cluster.network.filter
    assert watch is not None
    cluster.network.filter = lambda from_id, to_id, datagram: (
        watch(from_id, to_id, datagram)
        and not (to_id == node_id and any(kind < 128 for _, kind, _ in frames(datagram)))
    )
    return lambda: any(m.id == node_id and m.quarantine for m in cluster.nodes[leader].status().members)


def test_a_quarantined_peer_is_passed_by(seed: int) -> None:
    """It can be reached, and would have been the first choice; it would let the whole bound pass."""

    async def scenario(cluster: Cluster, leader: int) -> None:
        driver = cluster.nodes[leader]._group
        assert driver is not None
        raw = driver.raw
        await cluster.until(lambda: len(raw.successors()) == 2, "both are caught up")
        first, other = raw.successors()
        await cluster.until(told_to_be_quarantined(cluster, first, leader), "the leader hears of it")
        assert (raw.successors()[0], driver.transport.reachable(first)) == (first, True)
        assert await seconds(cluster, cluster.nodes.pop(leader).stop()) < SOON
        assert cluster.nodes[other].status().role == "leader"

    stopping("memory", 3, seed, scenario)


def test_with_nobody_but_a_quarantined_peer_it_stops_at_once(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        other = 3 - leader
        await cluster.until(told_to_be_quarantined(cluster, other, leader), "the leader hears of it")
        assert await seconds(cluster, cluster.nodes.pop(leader).stop()) == 0

    stopping("memory", 2, seed, scenario)


def test_stop_during_stop_and_a_stop_that_is_cancelled(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(leader)
        first, second = asyncio.ensure_future(node.stop()), asyncio.ensure_future(node.stop())
        await cluster.sleep_ms(0.1)
        assert not first.done()
        first.cancel()
        await second
        assert first.cancelled()
        assert any(other.status().role == "leader" for other in cluster.nodes.values())
        await node.stop()

    stopping("memory", 3, seed, scenario)


def test_a_stop_that_all_have_cancelled_ends_all_the_same(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(leader)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(node.stop(), 0.0001)
        await cluster.sleep_ms(1000 * SOON)
        assert cluster.disks[leader]._holder is None
        assert any(other.status().role == "leader" for other in cluster.nodes.values())

    stopping("memory", 3, seed, scenario)


def test_the_end_of_the_loop_closes_the_store_of_a_stop_under_way(seed: int) -> None:
    """As when a program is interrupted twice: tasks are cancelled, and nothing may stay open."""
    kept: list[Cluster] = []

    async def scenario(cluster: Cluster, leader: int) -> None:
        kept.append(cluster)
        node = cluster.nodes.pop(leader)
        cluster.network.disconnect(leader)
        ending = asyncio.ensure_future(node.stop())
        await asyncio.sleep(0)
        ending.cancel()

    stopping("memory", 3, seed, scenario)
    assert all(disk._holder is None for disk in kept[0].disks.values())


def test_the_end_of_the_loop_in_the_turn_in_which_stop_begins() -> None:
    """What the stop has set going is cancelled before its first step. The store closes, and a second stop returns."""
    disk = MemoryDisk()
    seen: list[str] = []
    tasks: list[asyncio.Future[None]] = []

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        transport = MemoryTransport(MemoryNetwork(clock))
        config = Config(id=1, cluster={1: "127.0.0.1:7101"})
        node = Node(config, Recorder(), storage=MemoryStore(disk), transport=transport, clock=clock)
        await node.start()
        await node.wait_for_leader()
        assert disk._holder is not None

        async def stop_twice() -> None:
            try:
                await node.stop()
            except asyncio.CancelledError:
                seen.append("cancelled")
                await asyncio.wait_for(node.stop(), 1)
                seen.append("stopped")

        tasks.append(asyncio.ensure_future(stop_twice()))

    run(main())
    assert seen == ["cancelled", "stopped"]
    assert disk._holder is None


def test_a_node_that_failed_hands_nothing_over(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        node = cluster.nodes.pop(leader)
        assert node._host.driver is not None
        node._host.driver.fail(ApplyFailed(7))
        assert await seconds(cluster, node.stop()) == 0
        assert all(other.status().role == "follower" for other in cluster.nodes.values())
        await cluster.sleep_ms(1000 * SOON)
        assert all(other.status().leader == leader for other in cluster.nodes.values())  # until their time is up

    stopping("memory", 3, seed, scenario)


def test_a_failure_meanwhile_ends_it(seed: int) -> None:
    async def scenario(cluster: Cluster, leader: int) -> None:
        cluster.isolate(leader)
        node = cluster.nodes.pop(leader)
        ending = asyncio.ensure_future(node.stop())
        await cluster.sleep_ms(5)
        assert node._host.driver is not None
        node._host.driver.fail(ApplyFailed(7))
        await ending
        assert isinstance(node.failed, ApplyFailed)
        with pytest.raises(ApplyFailed):
            await node.propose(b"x")
        await node.stop()

    stopping("memory", 3, seed, scenario, check_quorum=False)


@pytest.mark.parametrize("kind", ["udp", "memory-unreliable"])
def test_on_other_networks(kind: str, seed: int) -> None:
    """Where a datagram may be lost the attempt may be in vain; then they elect one, as ever."""

    async def scenario(cluster: Cluster, leader: int) -> None:
        took = await seconds(cluster, cluster.nodes.pop(leader).stop())
        assert took < 5
        heir, _ = await cluster.single_leader()
        assert heir != leader

    stopping(kind, 3, seed, scenario)
