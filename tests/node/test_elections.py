"""Elections: the text's scenarios, against whole nodes."""

from __future__ import annotations

import pytest

from tests.node.harness import KINDS, PLAIN, Cluster, play

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_one_of_three_is_elected(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        assert term >= 1
        assert await cluster.nodes[leader].wait_for_leader() == leader

    play(kind, 3, seed, scenario)


def test_leader_disconnects_and_another_takes_over(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        first, first_term = await cluster.single_leader()
        cluster.disconnect(first)
        second, second_term = await cluster.single_leader()
        assert second != first
        assert second_term > first_term

    play(kind, 3, seed, scenario)


def test_leader_and_another_disconnect_and_nobody_leads(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = leader % 3 + 1
        cluster.disconnect(leader)
        cluster.disconnect(other)
        await cluster.sleep_ms(450)
        cluster.no_leader()
        cluster.reconnect(other)
        assert (await cluster.single_leader())[0] != leader

    play(kind, 3, seed, scenario)


def test_all_disconnect_and_come_back(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.sleep_ms(100)
        for node_id in cluster.ids:
            cluster.disconnect(node_id)
        await cluster.sleep_ms(450)
        cluster.no_leader()
        for node_id in cluster.ids:
            cluster.reconnect(node_id)
        await cluster.single_leader()

    play(kind, 3, seed, scenario)


@pytest.mark.parametrize("size", [3, 5])
def test_old_leader_reconnects_and_follows(kind: str, size: int, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        first, _ = await cluster.single_leader()
        cluster.disconnect(first)
        second, second_term = await cluster.single_leader()
        cluster.reconnect(first)
        again, again_term = await cluster.single_leader()
        if not cluster.unreliable:  # where datagrams are lost another election may have come between
            assert (again, again_term) == (second, second_term)
        assert again_term >= second_term
        assert again != first or again_term > second_term

    play(kind, size, seed, scenario)


def test_follower_comes_back_and_forces_an_election(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        follower = leader % 3 + 1
        cluster.disconnect(follower)
        await cluster.sleep_ms(650)
        cluster.reconnect(follower)
        await cluster.until(lambda: cluster.nodes[leader].status().term > term, "the follower's terms to be heard")
        _, new_term = await cluster.single_leader()
        assert new_term > term

    play(kind, 3, seed, scenario, **PLAIN)


def test_again_and_again(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        for _ in range(5):
            leader, _ = await cluster.single_leader()
            other = leader % 3 + 1
            cluster.disconnect(leader)
            cluster.disconnect(other)
            await cluster.sleep_ms(310)
            cluster.no_leader()
            cluster.reconnect(other)
            cluster.reconnect(leader)

    play(kind, 3, seed, scenario)
