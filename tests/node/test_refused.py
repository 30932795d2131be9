"""A node on a copied data directory, or of another cluster, knows that it has no part, and its health says so."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from raftpy import MemberStatus, Node
from raftpy.runtime.status import why_refused
from raftpy.server.errors import ApiError
from raftpy.server.status import StatusHandlers
from tests.node.harness import Cluster, play
from tests.node.test_commits import commit


async def health(node: Node) -> tuple[int, str]:
    """Status and error code, or the word for none."""
    try:
        answer = await StatusHandlers(node).health(None)  # type: ignore[arg-type]
    except ApiError as error:
        return error.status, error.code
    return answer.status, "ok"


@pytest.mark.parametrize("starts", [1, 2], ids=["second start of one state", "an older state"])
def test_an_old_copy_of_a_data_directory(starts: int, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await commit(cluster, b"x")
        victim = leader % 3 + 1
        await cluster.crash(victim)
        boot = cluster.disks[victim].boot
        for _ in range(starts):
            await cluster.restart(victim)
            await cluster.single_leader()
            await cluster.crash(victim)
        cluster.disks[victim].boot = boot  # what a copy would have; the log stays, so that no promise is broken here
        node = await cluster.start(victim)
        await cluster.until(lambda: node.status().refused, "it knows")
        status = node.status()
        assert status.refused is not None
        assert "refuses this node" in status.refused
        refusing = [member.id for member in status.members if member.refuses is not None]
        assert refusing
        assert victim not in refusing
        assert await health(node) == (503, "refused")
        others = [i for i in cluster.ids if i != victim]
        assert [cluster.nodes[i].status().refused for i in others] == [None, None]
        assert [await health(cluster.nodes[i]) for i in others] == [(200, "ok")] * 2
        await cluster.crash(victim)
        await cluster.restart(victim)  # its starts have overtaken those that were heard: nobody can tell any more
        if starts == 1:
            await cluster.single_leader()
            assert cluster.nodes[victim].status().refused is None
            assert await health(cluster.nodes[victim]) == (200, "ok")

    play("memory", 3, seed, scenario)


def test_a_node_of_another_cluster_is_not_healthy_and_the_cluster_it_bothers_is(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.crash(3)
        cluster.disks[3].erase()
        cluster.settings["cluster_id"] = 77
        stranger = await cluster.start(3)
        await asyncio.sleep(8)  # also until the others have given node 3 up
        assert stranger.status().refused is not None
        assert await health(stranger) == (503, "refused")
        for i in (1, 2):
            status = cluster.nodes[i].status()
            assert status.members[2].refuses is not None
            assert (status.refused, await health(cluster.nodes[i])) == (None, (200, "ok"))

    play("memory", 3, seed, scenario)


def test_who_is_wrong_shows_by_who_else_is_heard() -> None:
    own = MemberStatus(1, "a:1", None, True)
    heard, gone = MemberStatus(2, "a:2", None, True), MemberStatus(3, "a:3", None, False)
    assert why_refused(1, [own, heard, gone]) is None
    assert why_refused(1, [own, replace(heard, refuses="a copy"), gone]) == "a copy"
    assert why_refused(1, [own, heard, replace(gone, refuses="another cluster")]) is None
    assert why_refused(1, [own, replace(heard, reachable=False), replace(gone, refuses="another")]) == "another"
