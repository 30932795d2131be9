"""What ``Node.status`` says once the node takes part no more."""

from __future__ import annotations

import asyncio

import pytest

from raftpy import Config, Node
from raftpy.server.status import StatusHandlers
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Cluster, Recorder, play
from tests.node.loop import VirtualClock, run


def test_a_leader_that_has_failed_is_no_leader() -> None:
    async def main() -> None:
        disk = MemoryDisk()
        clock = VirtualClock(asyncio.get_running_loop())
        node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101"}),
            Recorder(),
            storage=MemoryStore(disk),
            transport=MemoryTransport(MemoryNetwork(clock)),
            clock=clock,
        )
        await node.start()
        await node.wait_for_leader()
        assert (node.status().role, node.status().leader, node.status().failure) == ("leader", 1, None)
        before = node.status()
        disk.fault = "no space left"
        with pytest.raises(Exception, match="no space left"):
            await node.propose(b"x")
        status = node.status()
        assert (status.role, status.leader) == ("failed", None)
        assert status.failure is not None
        assert "no space left" in status.failure
        assert (status.term, status.commit_index) == (before.term, before.commit_index), "the rest is as it was"
        assert all(member.progress is None for member in status.members)
        await node.stop()
        assert node.status().role == "failed"
        with pytest.raises(Exception, match="no space left"):
            await StatusHandlers(node).health(None)  # type: ignore[arg-type]
        answer = await StatusHandlers(node).status(None)  # type: ignore[arg-type]
        assert b'"role":"failed"' in answer.body  # type: ignore[attr-defined]

    run(main())


def test_a_leader_that_was_stopped_is_no_leader(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes.pop(leader)
        assert {member.reachable for member in node.status().members} == {True}
        await node.stop()
        status = node.status()
        assert (status.role, status.leader, status.failure) == ("stopped", None, None)
        assert [member.id for member in status.members if member.reachable] == [leader]
        assert all(member.progress is None for member in status.members)

    play("memory", 3, seed, scenario)
