"""The pass: what it shares, in which order it works, and what it does with time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from raftcore import MessageType
from raftcore.values.changes import ConfChange, ConfChangeTransition, ConfChangeType, ConfChangeV2
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, decode_message, frames
from raftpy import Config, Node, Timeout
from raftpy.contracts.storage import AppendBatch, Storage
from raftpy.runtime.passes import Ticks
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Cluster, Recorder, play
from tests.node.loop import VirtualClock, run

ADDRESSES = {i: f"127.0.0.1:{7100 + i}" for i in (1, 2, 3)}


def kinds(datagram: bytes) -> list[MessageType]:
    return [MessageType(decode_message(kind, bytes(body)).type) for _, kind, body in frames(datagram) if kind < 128]


async def trio(
    seed: int, machine: Callable[[], Any] = Recorder, storage: Callable[[], Storage] | None = None
) -> tuple[MemoryNetwork, VirtualClock, dict[int, Node]]:
    clock = VirtualClock(asyncio.get_running_loop())
    network = MemoryNetwork(clock, seed)
    nodes = {
        i: Node(
            Config(id=i, cluster=ADDRESSES, seed=seed),
            machine(),
            storage=storage() if storage else MemoryStore(MemoryDisk()),
            transport=MemoryTransport(network),
            clock=clock,
        )
        for i in ADDRESSES
    }
    for node in nodes.values():
        await node.start()
    return network, clock, nodes


def test_a_commit_notice_and_the_next_append_share_a_datagram(seed: int) -> None:
    async def main() -> None:
        network, _, nodes = await trio(seed)
        leader = nodes[await nodes[1].wait_for_leader()]
        await leader.propose(b"first")
        sent: list[tuple[int, list[MessageType]]] = []

        def watch(from_id: int, to_id: int, datagram: bytes) -> bool:
            sent.append((from_id, kinds(datagram)))
            return True

        network.filter = watch
        await leader.propose(b"second")
        await leader.propose(b"third")
        from_leader = [found for from_id, found in sent if from_id == leader.config.id]
        # The first answer to an append commits it and brings the next proposal: both in one datagram to each follower.
        assert [MessageType.MsgApp, MessageType.MsgApp] in from_leader
        per_command = len(from_leader) / 2
        assert per_command <= 4  # two followers: an append with the notice before it, and one more notice each
        for node in nodes.values():
            await node.stop()

    run(main())


def test_followers_have_the_entries_before_the_leader_writes_them(seed: int) -> None:
    class Watching(MemoryStore):
        submits: list[tuple[str, int]] = []

        def submit(self, batch: AppendBatch) -> bool:
            if any(append.entries is not None for _, appends in batch for append in appends):
                events.append("write")
            return super().submit(batch)

    events: list[str] = []

    async def main() -> None:
        network, _, nodes = await trio(seed, storage=lambda: Watching(MemoryDisk()))
        leader_id = await nodes[1].wait_for_leader()
        await nodes[leader_id].propose(b"x")
        await asyncio.sleep(0.5)
        events.clear()

        def watch(from_id: int, to_id: int, datagram: bytes) -> bool:
            if from_id == leader_id and MessageType.MsgApp in kinds(datagram):
                events.append("send")
            return True

        network.filter = watch
        await nodes[leader_id].propose(b"y")
        assert events[:3] == ["send", "send", "write"]
        for node in nodes.values():
            await node.stop()

    run(main())


def test_all_that_is_proposed_in_one_turn_is_one_append_and_one_write(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.sleep_ms(60)
        submits: list[int] = []
        store = cluster.nodes[leader]._host.storage
        submit = store.submit

        def count(batch: AppendBatch) -> bool:
            submits.extend(len(a.entries) for _, appends in batch for a in appends if a.entries is not None)
            return submit(batch)

        cluster.nodes[leader]._host.storage.submit = count  # type: ignore[method-assign]
        results = await asyncio.gather(*[cluster.propose(leader, b"%d" % i) for i in range(1000)])
        assert submits == [1000]
        assert results == list(range(results[0], results[0] + 1000))

    play("memory", 3, seed, scenario)


def test_a_sequence_of_proposals_costs_no_turn_of_the_loop_on_a_single_node() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        config = Config(id=1, cluster={1: "127.0.0.1:7101"})
        transport = MemoryTransport(MemoryNetwork(clock))
        async with Node(config, Recorder(), transport=transport, clock=clock) as node:
            await node.wait_for_leader()
            turns = 0

            def turn() -> None:
                nonlocal turns
                turns += 1
                asyncio.get_running_loop().call_soon(turn)

            turn()
            for _ in range(160):
                await node.propose(b"x")
            assert turns < 160 / 4  # a pass makes several rounds before the loop gets its turn

    run(main())


def test_the_loop_gets_its_turns_under_load() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        config = Config(id=1, cluster={1: "127.0.0.1:7101"})
        transport = MemoryTransport(MemoryNetwork(clock))
        async with Node(config, Recorder(), transport=transport, clock=clock) as node:
            await node.wait_for_leader()

            async def worker() -> None:
                while not enough.is_set():
                    await node.propose(b"x")

            enough = asyncio.Event()
            workers = [asyncio.create_task(worker()) for _ in range(3)]
            for _ in range(20):
                await asyncio.sleep(0)  # would never come back
            enough.set()
            await asyncio.gather(*workers)

    run(main())


def test_a_long_apply_leaves_heartbeats_their_time(seed: int) -> None:
    class Slow(Recorder):
        """Takes 2 ms of virtual time for each command."""

        def apply(self, index: int, command: bytes) -> int:
            selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
            selector.now += 0.002
            return super().apply(index, command)

    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        results = await cluster.nodes[leader].propose_many([b"x%d" % i for i in range(1000)], timeout=None)
        assert len(results) == 1000
        await cluster.committed(b"x999", 3)
        assert await cluster.single_leader() == (leader, term)  # two seconds of applying have deposed nobody

    play("memory", 3, seed, scenario, machine=Slow)


@pytest.mark.parametrize("stalled", ["leader", "follower"])
def test_a_stalled_process_starts_no_election_for_the_time_it_slept(stalled: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        victim = leader if stalled == "leader" else leader % 3 + 1
        # All of the victim's callbacks are held back for 120 ms, below the others' timeouts, with two heartbeats lost.
        cluster.nodes[victim]._host.driver.ticks.origin -= 3.0  # its clock says that it slept for three seconds
        cluster.network.filter = lambda from_id, to_id, datagram: to_id != victim
        await cluster.sleep_ms(80)
        cluster.network.filter = cluster.spy.watch
        await cluster.sleep_ms(300)
        assert await cluster.single_leader() == (leader, term)

    play("memory", 3, seed, scenario)


def test_what_was_said_during_a_stall_is_heard_before_the_ticks(seed: int) -> None:
    """A follower is about to miss its leader. Then comes a timer that is late by far, and 300 datagrams wait, the
    leader's heartbeat last."""

    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        node = cluster.nodes[leader % 3 + 1]
        driver, transport = node._running, node._host.transport
        receive, heartbeats = transport.receive, [b""]

        def remembering(limit: int) -> list[bytes]:
            datagrams = receive(limit)
            heartbeats[1:] = datagrams
            return datagrams

        transport.receive = remembering  # type: ignore[method-assign]
        whole = 0  # its election timeout, in ticks
        for _ in range(200):
            await cluster.sleep_ms(1)
            whole = max(whole, driver.raw.ticks_until_due())
        heartbeat = heartbeats[-1]
        assert MessageType.MsgHeartbeat in kinds(heartbeat)
        transport.receive = lambda limit: []  # type: ignore[method-assign,misc,assignment]

        def is_about_to() -> bool:
            driver.passes.run()  # at each tick: by itself it would sleep through some, and might miss its leader
            return driver.raw.ticks_until_due() == node.config.quiet_heartbeat_ticks

        await cluster.until(is_about_to, "it is about to miss its leader")
        quiet = driver.raw.ticks_until_due() - 1  # as many of the ticks as nothing is due in may pass before
        waiting = [heartbeat[:DATAGRAM_HEADER_SIZE]] * 299 + [heartbeat]

        def take(limit: int) -> list[bytes]:
            taken = waiting[:limit]
            del waiting[:limit]
            return taken

        transport.receive = take  # type: ignore[method-assign]
        asyncio.get_running_loop()._selector.now += 3.0  # type: ignore[attr-defined]
        await cluster.sleep_ms(1)
        assert waiting == []
        assert (node.status().role, node.status().leader, node.status().term) == ("follower", leader, term)
        assert driver.raw.ticks_until_due() == whole - (node.config.quiet_heartbeat_ticks - quiet)
        transport.receive = receive  # type: ignore[method-assign]

    play("memory", 3, seed, scenario)


def test_passes_do_not_multiply_while_there_is_something_to_apply(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        passes = cluster.nodes[leader]._running.passes
        transport = cluster.nodes[leader]._host.transport
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        receive = transport.receive

        def asking(limit: int) -> list[bytes]:
            passes.run()  # inside a pass: asks for another
            return []

        passes.schedule()
        transport.receive = asking  # type: ignore[method-assign]
        passes.run()
        passes.run()
        assert passes.wanted
        assert len([handle for handle in ready if "Passes" in repr(handle)]) == 1
        transport.receive = receive  # type: ignore[method-assign]

    play("memory", 3, seed, scenario)


@pytest.mark.parametrize("late_s", [0.0, 0.0004, 0.0099])
def test_time_is_kept_over_small_delays(late_s: float) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        total = calls = 0

        def wake() -> None:
            nonlocal total, calls
            asyncio.get_running_loop()._selector.now += late_s  # type: ignore[attr-defined]
            calls += 1
            total += ticks.take(clock.monotonic())
            ticks.plan(5, math.inf)

        ticks = Ticks(clock, 0.01, 5, wake)
        ticks.plan(5, math.inf)
        await asyncio.sleep(10)
        ticks.stop()
        assert 995 <= total <= 1001
        assert calls <= 201

    run(main())


def test_a_node_at_rest_sleeps_a_heartbeat_interval_at_a_time(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await cluster.sleep_ms(500)
        passes = dict.fromkeys(cluster.ids, 0)
        for i in cluster.ids:
            transport = cluster.nodes[i]._host.transport

            def counting(limit: int, i: int = i, receive: Any = transport.receive) -> list[bytes]:
                passes[i] += 1  # each pass looks at the socket, once or more often
                received: list[bytes] = receive(limit)
                return received

            transport.receive = counting  # type: ignore[method-assign]
        await cluster.sleep_ms(5000)
        # In 100 heartbeat intervals: each node's own timer, and a datagram or two.
        assert all(count <= 320 for count in passes.values()), passes

    play("memory", 3, seed, scenario)


def test_a_timeout_between_two_wakings_ends_in_time(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.isolate(leader)
        clock = asyncio.get_running_loop()
        began = clock.time()
        with pytest.raises(Timeout):
            await cluster.nodes[leader].propose(b"x", timeout=0.015)
        assert 0.0149 <= clock.time() - began <= 0.026

    play("memory", 3, seed, scenario)


@pytest.mark.parametrize("behind", range(3, 13))
def test_a_pass_leaves_nothing_that_the_core_has_decided(behind: int, seed: int) -> None:
    """Applying makes the core decide: here to leave a joint configuration, behind slow commands."""

    class Slow(Recorder):
        def apply(self, index: int, command: bytes) -> int:
            asyncio.get_running_loop()._selector.now += 0.0011  # type: ignore[attr-defined]
            return super().apply(index, command)

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].propose_many([b"x"] * 64)  # from here on it looks at the clock after each command
        await cluster.sleep_ms(500)
        driver = cluster.nodes[leader]._running
        left = []
        receive = driver.transport.receive

        def look() -> None:
            left.append(driver.raw.has_ready())

        def receive_and_look(limit: int) -> list[bytes]:
            asyncio.get_running_loop().call_soon(look)  # when this pass has ended, and before the next one
            return receive(limit)

        driver.transport.receive = receive_and_look  # type: ignore[method-assign]
        change = ConfChangeV2(
            (ConfChange(ConfChangeType.UpdateNode, leader),), transition=ConfChangeTransition.TransitionJointImplicit
        )
        assert driver.raw.propose_conf_change(change).refused is None
        await cluster.nodes[leader].propose_many([b"x"] * behind)
        await cluster.sleep_ms(200)
        assert not driver.raw.conf_state.voters_outgoing
        assert left
        assert not any(left)

    play("memory", 3, seed, scenario, machine=Slow)


def test_unreachable_peers_are_reported_to_the_core(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"x")
        await cluster.committed(b"x", 3)
        follower = leader % 3 + 1
        driver = cluster.nodes[leader]._running
        state = lambda: driver.raw.status().progress[follower].state  # noqa: E731
        assert state() == "StateReplicate"
        cluster.disconnect(follower)
        cluster.nodes[leader]._host.driver._on_unreachable(follower)
        await cluster.sleep_ms(15)
        assert state() == "StateProbe"

    play("memory", 3, seed, scenario)


def test_two_runs_with_one_seed_are_the_same_run(seed: int) -> None:
    histories: list[list[tuple[int, int, bytes]]] = []

    async def scenario(cluster: Cluster) -> None:
        history: list[tuple[int, int, bytes]] = []
        histories.append(history)

        def note(from_id: int, to_id: int, datagram: bytes) -> bool:
            history.append((from_id, to_id, datagram))
            return cluster.spy.watch(from_id, to_id, datagram)

        cluster.network.filter = note
        leader, _ = await cluster.single_leader()
        await asyncio.gather(*[cluster.propose(leader, b"%d" % i) for i in range(20)], return_exceptions=True)
        await cluster.crash(leader)
        await cluster.single_leader()
        await cluster.restart(leader)
        await cluster.single_leader()

    for _ in range(2):
        play("memory-unreliable", 3, seed, scenario)
    assert len(histories[0]) > 30
    assert histories[0] == histories[1]
