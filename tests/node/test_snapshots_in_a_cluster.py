"""Snapshots of several nodes: what a member may still need stays in the log, and the member table comes back."""

from __future__ import annotations

import asyncio

from tests.node.harness import Cluster, play
from tests.node.test_commits import commit
from tests.node.words import LastWord, Words


async def snapshots(cluster: Cluster, count: int = 2) -> None:
    for number in range(count):
        await commit(cluster, b"word %d of %d" % (number, cluster.random.randrange(2**32)))
        for node_id in cluster.connected:
            await cluster.nodes[node_id].snapshot()
    await cluster.sleep_ms(50)


def test_a_leader_cuts_what_all_hold_and_everybody_starts_from_snapshots(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await snapshots(cluster)
        first = {i: node.status().first_index for i, node in cluster.nodes.items()}
        assert first[leader] > 1
        assert all(first[i] == 1 for i in cluster.ids if i != leader), "who does not lead does not know who needs what"
        words = cluster.machines[leader].commands
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        for node_id in cluster.ids:
            await cluster.restart(node_id)
            assert cluster.machines[node_id].restored
        await commit(cluster, b"afterwards")
        for node_id in cluster.ids:
            assert cluster.machines[node_id].commands == [*words, b"afterwards"]
            assert len(cluster.machines[node_id].given) < len(words)

    play("memory", 3, seed, scenario, machine=Words)


def test_what_a_member_still_needs_is_not_cut_and_it_catches_up(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await commit(cluster, b"before")
        cluster.disconnect(lost)
        holds = cluster.nodes[lost].status().last_index
        await snapshots(cluster, 3)
        await asyncio.sleep(5)
        for node_id in cluster.connected:
            assert cluster.nodes[node_id].status().first_index <= holds + 1
        cluster.reconnect(lost)
        await cluster.single_leader()
        await commit(cluster, b"after")
        assert cluster.machines[lost].commands == cluster.machines[leader].commands
        # And what was kept for it goes, without anybody asking.
        leader, _ = await cluster.single_leader()
        await snapshots(cluster)
        await cluster.until(lambda: cluster.nodes[leader].status().first_index > holds, "the log is cut")

    play("memory", 3, seed, scenario, machine=Words)


def test_the_member_table_comes_back_from_the_snapshot(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].set_priority(leader, 9)
        await cluster.nodes[leader].set_max_command(5000)
        await snapshots(cluster)
        table = cluster.nodes[leader]._running.table
        assert table is not None
        conf_index = cluster.nodes[leader]._running.raw.conf_index
        assert conf_index
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        for node_id in cluster.ids:
            node = await cluster.start(node_id)
            assert node._running.table == table, "before anything was heard or applied"
            assert node.max_command == 5000
            assert node._running.raw.conf_index == conf_index
            assert next(m for m in node.status().members if m.id == leader).priority == 9
        assert (await cluster.single_leader())[0] in cluster.ids

    play("memory", 3, seed, scenario, machine=Words)


def test_a_quarter_of_what_is_free_stays_for_others_at_most(seed: int) -> None:
    """Who does not lead keeps as much of the log as it may: of two followers that differ in their disks alone, the one
    with little space keeps the fourth part of it, and the other all."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        little, much = (i for i in cluster.ids if i != leader)
        disk = cluster.disks[little].snapshots
        disk.capacity = 20_000
        for number in range(20):
            await commit(cluster, b"%d" % number + bytes(1000))
            await asyncio.sleep(1.1)
            if number % 2:
                for node_id in (little, much):
                    await cluster.nodes[node_id].snapshot()
        await cluster.sleep_ms(50)
        free = disk.free_space()
        assert 12_000 < free < 20_000
        status = cluster.nodes[little].status()
        oldest = min(ref.index for ref in cluster.nodes[little]._running.snapshots._snapshots.refs(0))
        behind = 1000 * (oldest - status.first_index)
        assert free // 4 - 2500 < behind < free // 4 + 1500
        assert cluster.nodes[much].status().first_index == 1

    play("memory", 3, seed, scenario, machine=LastWord)
