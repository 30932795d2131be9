"""Pre-vote and check-quorum, which every node has unless told otherwise (thesis 9.6, 6.2)."""

from __future__ import annotations

import pytest

from tests.node.harness import Cluster, play


@pytest.mark.parametrize("kind", ["memory", "udp"])  # unreliable, anybody may lose touch
def test_with_pre_vote_a_follower_comes_back_and_disturbs_nobody(kind: str, seed: int) -> None:
    """Thesis 9.6: it could not have won, so it has not raised its term."""

    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        follower = leader % 3 + 1
        cluster.disconnect(follower)
        await cluster.sleep_ms(650)
        assert cluster.nodes[follower].status().term == term
        cluster.reconnect(follower)
        assert await cluster.single_leader() == (leader, term)

    play(kind, 3, seed, scenario)


def test_with_check_quorum_a_leader_that_is_cut_off_steps_down(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        cluster.disconnect(leader)
        await cluster.until(lambda: cluster.nodes[leader].status().role != "leader", "it steps down by itself")
        assert cluster.nodes[leader].status().term == term

    play("memory", 3, seed, scenario)
