"""Which disk is which node: the pins, the member table, and what happens where they disagree (decision 5)."""

from __future__ import annotations

import asyncio
import logging

import pytest

from raftcore.values.changes import ConfChange, ConfChangeType, ConfChangeV2
from raftpy import Config, Node
from raftpy.contracts.errors import StorageFailed, WrongIdentity
from raftpy.members.table import MemberRecord, encode_records
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Cluster, Recorder
from tests.node.loop import VirtualClock, run
from tests.node.served import NEXT_LIFE_MS, agreed, changes, expected, group, serve


def test_a_missing_pin_is_made_durable_and_a_different_one_replaced(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        one, two = [i for i in cluster.ids if i != leader]
        store = cluster.disks[two].store_id
        await cluster.crash(one)
        await cluster.crash(two)
        del cluster.disks[one].pins[two]
        await cluster.restart(one)  # does not hear node two
        await cluster.until(lambda: cluster.disks[one].pins.get(two) == store, "the pin")
        await cluster.crash(one)
        cluster.disks[one].pins[two] = store ^ 1
        await cluster.restart(two)
        await cluster.restart(one)
        await cluster.until(lambda: cluster.disks[one].pins.get(two) == store, "the cluster's pin")
        await cluster.until(lambda: cluster.nodes[one].status().members[two - 1].reachable, "they talk again")

    with caplog.at_level(logging.WARNING, logger="raftpy"):
        serve("memory", 3, seed, scenario)
    assert len([r for r in caplog.records if "the cluster has agreed on" in r.getMessage()]) == 1


def test_a_store_that_took_an_id_in_the_eyes_of_some_loses_it_and_its_votes(seed: int) -> None:
    """The table's entry is in two logs, not known to be committed; another store of node 3 was heard in its place."""

    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        true_store = cluster.disks[3].store_id
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        cluster.disks[3] = MemoryDisk("another", entropy=SeededEntropy(cluster.random))
        cluster.spy.disks = cluster.disks
        for node_id in (1, 2):
            hard = cluster.disks[node_id].groups[0].hard_state
            cluster.disks[node_id].groups[0].hard_state = type(hard)(hard.term, hard.vote, 0)
            del cluster.disks[node_id].pins[3]
        for node_id in cluster.ids:
            await cluster.restart(node_id)
        await cluster.until(lambda: any(cluster.disks[i].pins.get(3) == true_store for i in (1, 2)), "the first pin")
        assert cluster.leaders() == {}, "whoever led was the first to apply the entry, and has stepped down"
        await cluster.until(
            lambda: all(cluster.disks[i].pins.get(3) == true_store for i in (1, 2)), "the cluster's pin"
        )
        await cluster.sleep_ms(3_000)
        leader = await cluster.until(
            lambda: next((i for i in cluster.leaders().values() if i != 3), None), "a leader that stays"
        )
        assert await cluster.propose(leader, b"x") > 0
        assert not cluster.nodes[leader].status().members[2].reachable
        assert cluster.machines[3].commands == []
        await cluster.crash(3)  # it may have been stopped by the table itself, or be unheard

    serve("memory", 3, seed, scenario)


def test_a_node_whose_own_store_is_contradicted_stops_and_does_not_start_again(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        disk = MemoryDisk()

        def node() -> Node:
            return Node(
                Config(id=1, cluster={1: "127.0.0.1:7101"}, seed=seed),
                Recorder(),
                storage=MemoryStore(disk),
                transport=MemoryTransport(MemoryNetwork(clock, seed)),
                clock=clock,
            )

        async with node() as first:
            await first.wait_for_leader()
            await first.propose(b"x")
        agreed_store, disk.store_id = disk.store_id, 0xBAD
        for _ in range(2):
            second = node()
            try:
                await second.start()
                await asyncio.sleep(1)
                failure = second.failed
                assert second.status().role != "leader"
                with pytest.raises(StorageFailed, match="new node id"):
                    await second.propose(b"y")
            except WrongIdentity as error:
                failure = error
            assert isinstance(failure, WrongIdentity)
            assert f"known to its cluster by data directory {agreed_store:#x}, and this one is 0xbad" in str(failure)
            await second.stop()
        assert disk.pins == {1: agreed_store}

    with caplog.at_level(logging.ERROR, logger="raftpy"):
        run(main())
    (line,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert line.exc_info is None
    assert "\n" not in line.getMessage()


def test_another_store_for_a_known_node_is_not_taken_over(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        records = {1: MemberRecord(store_id=0xBAD, priority=3)}
        change = ConfChangeV2((ConfChange(ConfChangeType.UpdateNode, 1),), context=encode_records(records))
        group(cluster.nodes[leader]).raw.propose_conf_change(change)
        await cluster.propose(leader, b"x")
        await cluster.sleep_ms(NEXT_LIFE_MS)
        await agreed(cluster, expected(cluster))
        assert len(changes(cluster.nodes[leader])) == 2

    with caplog.at_level(logging.WARNING, logger="raftpy"):
        serve("memory", 3, seed, scenario)
    assert len([r for r in caplog.records if "names another store for node 1" in r.getMessage()]) == 3
