"""Reads that do not touch the log (thesis 6.4), and leadership handed over (thesis 3.10), on real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from raftcore import Message, MessageType
from raftcore.wire.codec import decode_message, frames
from raftcore.wire.codec import messages as decoded
from raftpy import Node, NotLeader, Stopped, Timeout
from raftpy.contracts.storage import AppendBatch
from tests.node.harness import Cluster, Recorder, play
from tests.node.loop import run


def messages(datagram: bytes) -> list[Message]:
    return [decode_message(kind, bytes(body)) for _, kind, body in frames(datagram) if kind < 128]


def test_a_read_on_the_leader_sees_every_acknowledged_command(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        for number in range(5):
            index = await cluster.propose(leader, b"%d" % number)
            assert await cluster.nodes[leader].read_index() >= index
            assert b"%d" % number in cluster.machines[leader].commands

    play("memory", 3, seed, scenario)


def test_a_read_on_a_follower_sees_every_acknowledged_command(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        follower = next(i for i in cluster.ids if i != leader)
        for number in range(5):
            index = await cluster.propose(leader, b"%d" % number)
            asked_at = cluster.clock.monotonic()
            assert await cluster.nodes[follower].read_index() >= index
            assert cluster.clock.monotonic() - asked_at < 0.002, "as soon as the index was applied"
            assert b"%d" % number in cluster.machines[follower].commands

    play("memory", 3, seed, scenario)


def test_reads_leave_nothing_in_the_log(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"x")
        last = cluster.nodes[leader].status().last_index
        await asyncio.gather(*[node.read_index() for node in cluster.nodes.values() for _ in range(100)])
        assert cluster.nodes[leader].status().last_index == last

    play("memory", 3, seed, scenario)


def test_a_leader_that_is_cut_off_confirms_no_read(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        old, term = await cluster.single_leader()
        cluster.disconnect(old)
        await cluster.until(lambda: any(t > term for t in cluster.leaders()), "another leader")
        new, _ = await cluster.single_leader()
        await cluster.propose(new, b"written elsewhere")
        with pytest.raises(Timeout):
            await cluster.nodes[old].read_index(timeout=1.0)
        cluster.reconnect(old)
        await cluster.nodes[old].read_index()
        assert b"written elsewhere" in cluster.machines[old].commands

    play("memory", 3, seed, scenario)


def test_a_read_outlives_the_leader_it_was_put_to(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"x")
        follower = next(i for i in cluster.ids if i != leader)
        read = asyncio.create_task(cluster.nodes[follower].read_index(timeout=None))
        await cluster.crash(leader)
        await read
        assert b"x" in cluster.machines[follower].commands

    play("memory", 3, seed, scenario)


def test_reads_hold_in_an_unreliable_network(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        for number in range(20):
            leader, _ = await cluster.single_leader()
            command = b"%d" % number
            try:
                await cluster.propose(leader, command, timeout=2.0)
            except (NotLeader, Timeout):
                continue
            reader = cluster.random.choice(list(cluster.ids))
            await cluster.nodes[reader].read_index(timeout=None)
            assert command in cluster.machines[reader].commands, f"seed {cluster.seed}"

    play("memory-unreliable", 3, seed, scenario)


def test_a_single_node_reads_alone(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        index = await cluster.propose(1, b"x")
        assert await cluster.nodes[1].read_index() >= index

    play("memory", 1, seed, scenario)


def test_stopping_ends_the_waits(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.isolate(leader)
        node = cluster.nodes[leader]
        read = asyncio.create_task(node.read_index(timeout=None))
        await cluster.sleep_ms(20)
        await node.stop()
        with pytest.raises(Stopped):
            await read
        with pytest.raises(Stopped):
            node.require_leader()

    play("memory", 3, seed, scenario)


def test_a_cancelled_read_leaves_nothing_behind(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader]
        cluster.isolate(leader)
        reads = [asyncio.create_task(node.read_index(timeout=None)) for _ in range(10)]
        await cluster.sleep_ms(5)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        for other in cluster.ids:
            cluster.reconnect(other)
        await cluster.single_leader()
        await cluster.until(lambda: node._group is not None and not node._group.reads.waiting, "nothing waits")

    play("memory", 3, seed, scenario)


def test_a_node_that_has_stopped_reads_nothing(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader]
        await node.stop()
        with pytest.raises(Stopped):
            await node.read_index(timeout=None)

    play("memory", 3, seed, scenario)


@pytest.mark.parametrize("timeout", [0.015, 0.123])
def test_a_timeout_between_two_wakings_ends_in_time(timeout: float, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.isolate(leader)
        clock = asyncio.get_running_loop()
        began = clock.time()
        with pytest.raises(Timeout, match=f"within {timeout} s"):
            await cluster.nodes[leader].read_index(timeout=timeout)
        assert timeout - 0.0001 <= clock.time() - began <= timeout + 0.011

    play("memory", 3, seed, scenario)


def test_a_leader_that_becomes_known_is_asked_at_once(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader % 3 + 1]
        cluster.disconnect(node.config.id)
        await cluster.until(lambda: node.status().leader is None, "the leader is not heard any more")
        read = asyncio.create_task(node.read_index(timeout=None))
        await cluster.sleep_ms(20)
        cluster.reconnect(node.config.id)
        await node.wait_for_leader()
        clock = asyncio.get_running_loop()
        known = clock.time()
        await read
        assert clock.time() - known < 0.001  # there and back, and the leader's question to a quorum

    play("memory", 3, seed, scenario)


def test_a_confirmed_read_goes_on_as_soon_as_its_index_is_applied(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        follower = leader % 3 + 1
        node = cluster.nodes[follower]
        deaf = True

        def answers_only(from_id: int, to_id: int, datagram: bytes) -> bool:
            answer = [message.type for message in messages(datagram)] == [MessageType.MsgReadIndexResp]
            cut = deaf and (from_id, to_id) == (leader, follower) and not answer
            return cluster.spy.watch(from_id, to_id, datagram) and not cut

        cluster.network.filter = answers_only
        index = await cluster.propose(leader, b"x")
        read = node.read_index()
        await cluster.sleep_ms(20)
        assert not read.done()
        assert node.status().applied_index < index
        deaf = False
        await cluster.until(lambda: node.status().applied_index >= index, "applied")
        assert read.done()
        assert await read >= index

    play("memory", 3, seed, scenario)


def test_a_read_that_the_state_machine_asks_for_is_not_forgotten(seed: int) -> None:
    class Asking(Recorder):
        node: Node | None = None

        def apply(self, index: int, command: bytes) -> int:
            if self.node is not None:
                self.asked_at = asyncio.get_running_loop().time()
                self.read = self.node.read_index()
            return super().apply(index, command)

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        follower = leader % 3 + 1
        machine = cluster.machines[follower]
        machine.node = cluster.nodes[follower]
        await cluster.propose(leader, b"x")
        await cluster.until(lambda: machine.commands, "applied")
        loop = asyncio.get_running_loop()
        answered: list[float] = []
        machine.read.add_done_callback(lambda _: answered.append(loop.time()))
        await machine.read
        await asyncio.sleep(0)
        assert answered[0] - machine.asked_at < 0.006

    play("memory", 3, seed, scenario, machine=Asking)


def test_reads_go_on_while_their_tasks_make_further_ones(seed: int) -> None:
    """Every task that a pass resumes asks again at once, on each kind of node, one that is alone included."""

    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        done = dict.fromkeys(cluster.ids, 0)

        async def client(node_id: int) -> None:
            for _ in range(50):
                await cluster.nodes[node_id].read_index()
                done[node_id] += 1

        await asyncio.gather(*[client(node_id) for node_id in cluster.ids for _ in range(8)])
        assert done == dict.fromkeys(cluster.ids, 400)

    for size in (1, 3):
        play("memory", size, seed, scenario)


def test_a_sequence_of_reads_costs_no_turn_of_the_loop(seed: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        call_soon = loop.call_soon
        askers: list[object] = []  # whose methods were to be called at the loop's next turn

        def counting(callback: Callable[..., Any], *arguments: Any, **options: Any) -> asyncio.Handle:
            askers.append(getattr(callback, "__self__", None))
            return call_soon(callback, *arguments, **options)

        loop.call_soon = counting  # type: ignore[method-assign,assignment]
        async with Cluster("memory", 3, seed) as cluster:
            leader, _ = await cluster.single_leader()
            node = cluster.nodes[leader]
            await node.read_index()
            assert node._running.passes in askers
            askers.clear()
            for _ in range(20):
                await node.read_index()
            # The first one's: the others are asked for inside the pass that answers the one before.
            assert askers.count(node._running.passes) <= 1

    run(main())


def test_an_answer_does_not_wait_for_the_write_of_the_same_pass(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader]
        await cluster.propose(leader, b"x")
        order: list[str] = []
        transport, storage = node._host.transport, node._host.storage
        receive, submit = transport.receive, storage.submit

        def confirms(datagram: bytes) -> bool:
            return any(m.type == MessageType.MsgHeartbeatResp and m.context for m in messages(datagram))

        def hear(limit: int) -> list[bytes]:
            datagrams = receive(limit)
            if "heard" not in order and any(confirms(datagram) for datagram in datagrams):
                order.append("heard")
                node.propose(b"y")
            return datagrams

        def write(batch: AppendBatch) -> bool:
            order.append("write")
            return submit(batch)

        transport.receive = hear  # type: ignore[method-assign]
        storage.submit = write  # type: ignore[method-assign]
        await node.read_index()
        order.append("read")
        await cluster.sleep_ms(20)
        assert order[order.index("heard") :][:3] == ["heard", "read", "write"]

    play("memory", 3, seed, scenario)


def test_only_a_leader_passes_for_one(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.nodes[leader].require_leader()
        follower = next(i for i in cluster.ids if i != leader)
        with pytest.raises(NotLeader) as caught:
            cluster.nodes[follower].require_leader()
        assert caught.value.leader_id == leader

    play("memory", 3, seed, scenario)


def test_leadership_is_handed_over_without_an_outage(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        target = next(i for i in cluster.ids if i != leader)
        began = cluster.clock.monotonic()
        await cluster.nodes[leader].transfer_leadership(target)
        assert cluster.clock.monotonic() - began < 0.1
        new, new_term = await cluster.single_leader()
        assert (new, new_term) == (target, term + 1)
        await cluster.propose(target, b"x", timeout=1.0)

    play("memory", 3, seed, scenario)


def test_any_node_can_ask_for_the_transfer(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        first, second = (i for i in cluster.ids if i != leader)
        await cluster.nodes[first].transfer_leadership(second)
        assert (await cluster.single_leader())[0] == second

    play("memory", 3, seed, scenario)


def test_a_transfer_to_a_dead_node_times_out_and_the_leader_goes_on(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        dead = next(i for i in cluster.ids if i != leader)
        await cluster.crash(dead)
        with pytest.raises(Timeout):
            await cluster.nodes[leader].transfer_leadership(dead, timeout=0.5)
        await cluster.sleep_ms(300)
        assert (await cluster.single_leader())[0] == leader
        await cluster.propose(leader, b"x", timeout=2.0)

    play("memory", 3, seed, scenario)


def test_a_transfer_to_nobody_is_refused(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        with pytest.raises(ValueError, match="1, 2, 3, not to 9"):
            await cluster.nodes[leader].transfer_leadership(9)

    play("memory", 3, seed, scenario)


def test_a_stopped_node_hands_nothing_over_whoever_led_last(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        follower = next(i for i in cluster.ids if i != leader)
        node = cluster.nodes.pop(follower)
        await node.transfer_leadership(leader)
        await node.stop()
        for to in (leader, follower):
            with pytest.raises(Stopped):
                await node.transfer_leadership(to)

    play("memory", 3, seed, scenario)


def test_an_answer_to_a_question_of_an_earlier_incarnation_is_none(seed: int) -> None:
    """The leader still has the question that a follower put before it crashed. Its answer comes when the follower has
    put another one: it speaks of an index from before what that one must see."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        follower, other = (node_id for node_id in cluster.ids if node_id != leader)
        await cluster.propose(leader, b"first")
        await cluster.committed(b"first", 3)
        await cluster.sleep_ms(50)
        phase = 1

        def passes(sender: int, to: int, datagram: bytes) -> bool:
            kinds = {message.type for _, message in decoded(datagram)}
            if MessageType.MsgHeartbeatResp in kinds and to == leader and phase < 4:
                return False  # nobody confirms the round
            if phase == 1 and sender == leader:
                return False
            if phase >= 3 and (sender, to) == (leader, follower):
                return MessageType.MsgReadIndexResp in kinds
            return True

        cluster.network.filter = passes
        forgotten = cluster.nodes[follower].read_index(timeout=None)
        await cluster.sleep_ms(3)
        await cluster.crash(follower)
        phase = 2
        await cluster.restart(follower)
        node = cluster.nodes[follower]

        def follows() -> bool:
            status = node.status()
            return status.leader == leader and status.applied_index >= cluster.nodes[leader].status().commit_index

        await cluster.until(follows, "following again")
        phase = 3
        await cluster.propose(leader, b"x")
        phase = 4
        try:
            await node.read_index(timeout=1.0)
        except Timeout:
            pass  # it may: what the leader says does not come through
        else:
            assert b"x" in cluster.machines[follower].commands
        forgotten.cancel()
        cluster.network.filter = None

    play("memory", 3, seed, scenario)
