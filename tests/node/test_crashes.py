"""Crashes: the text's scenarios, against whole nodes whose disks outlive them."""

from __future__ import annotations

import asyncio

import pytest

from raftpy import Stopped, StorageFailed, Timeout
from tests.node.harness import KINDS, Cluster, play
from tests.node.test_commits import commit

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_a_follower_crashes(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", nodes=3)
        leader, _ = await cluster.single_leader()
        await cluster.crash(leader % 3 + 1)
        await cluster.committed(b"5", 2)
        await commit(cluster, b"6", nodes=2)

    play(kind, 3, seed, scenario)


def test_a_follower_restarts(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", b"7", nodes=3)
        leader, _ = await cluster.single_leader()
        follower = leader % 3 + 1
        await cluster.crash(follower)
        await cluster.sleep_ms(350)
        await cluster.committed(b"7", 2)
        await cluster.restart(follower)
        for command in (b"5", b"6", b"7"):
            await cluster.committed(command, 3)

    play(kind, 3, seed, scenario)


def test_the_leader_restarts(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", b"7", nodes=3)
        leader, _ = await cluster.single_leader()
        await cluster.crash(leader)
        await cluster.single_leader()
        await cluster.committed(b"7", 2)
        await cluster.restart(leader)
        for command in (b"5", b"6", b"7"):
            await cluster.committed(command, 3)

    play(kind, 3, seed, scenario)


def test_all_restart(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", b"7", nodes=3)
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        await cluster.sleep_ms(350)
        for node_id in cluster.ids:
            await cluster.restart(node_id)
        await commit(cluster, b"8", nodes=3)
        for command in (b"5", b"6", b"7"):
            await cluster.committed(command, 3)

    play(kind, 3, seed, scenario)


def test_several_entries_are_replaced(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await commit(cluster, b"5", b"6", nodes=3)
        old, _ = await cluster.single_leader()
        cluster.disconnect(old)
        lost = [cluster.propose(old, command) for command in (b"21", b"22", b"23", b"24")]
        await cluster.sleep_ms(20)
        assert cluster.nodes[old].status().last_index >= 6  # they are in its log, durably, and nowhere else

        await commit(cluster, b"8", b"9", b"10", nodes=2)
        second, _ = await cluster.single_leader()
        # The next leader knows nothing of anybody's log, and begins from its own end.
        await cluster.crash(second)
        await cluster.sleep_ms(60)
        await cluster.restart(second)
        await cluster.single_leader()
        cluster.reconnect(old)

        await commit(cluster, b"11", nodes=3)
        await cluster.committed(b"10", 3)
        for command in (b"21", b"22", b"23", b"24"):
            cluster.not_committed(command)
        for proposal in lost:
            with pytest.raises(Timeout):
                await proposal

    play(kind, 3, seed, scenario)


def test_the_leader_crashes_after_submit_before_anything_left(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.disconnect(leader)
        proposal = cluster.propose(leader, b"5")
        await cluster.sleep_ms(10)
        await cluster.crash(leader)
        with pytest.raises((Stopped, StorageFailed)):
            await proposal
        await commit(cluster, b"6", nodes=2)
        await cluster.restart(leader)
        cluster.reconnect(leader)
        await cluster.committed(b"6", 3)
        cluster.not_committed(b"5")  # durable on one node is not committed, and another's entry has its place

    play(kind, 3, seed, scenario)


def test_the_leader_crashes_after_submit_before_any_answer(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        # The text's leader sends and dies; its followers hold the command, and there it waits for the next one,
        # because no leader commits an entry of an earlier term by itself (paper 5.4.2). Ours append an empty entry of
        # their own term on election (thesis 6.4), and so the command is committed without waiting for anybody.
        leader, _ = await cluster.single_leader()
        proposal = cluster.propose(leader, b"5")
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the pass that sends it
        assert not proposal.done()
        await cluster.crash(leader)
        with pytest.raises((Stopped, StorageFailed)):
            await proposal
        await commit(cluster, b"6", nodes=2)
        await cluster.restart(leader)
        await cluster.committed(b"6", 3)
        assert len(cluster.holders(b"5")) in ((0, 3) if cluster.kind != "memory" else (3,))
        cluster.same_order()

    play(kind, 3, seed, scenario)


def test_the_leader_disconnects_after_submit(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        proposal = cluster.propose(leader, b"5")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cluster.disconnect(leader)
        await commit(cluster, b"6", nodes=2)
        cluster.reconnect(leader)
        await cluster.committed(b"6", 3)
        places = cluster.holders(b"5")
        assert len(places) in (0, 3)
        # Whoever waited on it was not told more than is known: committed for certain, or not known.
        await cluster.until(proposal.done, "the proposal to be done")
        assert isinstance(proposal.exception(), Timeout) or places

    play(kind, 3, seed, scenario)
