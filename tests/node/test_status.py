"""What ``Node.status`` says once the node takes part no more."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from raftpy import Config, Node
from raftpy.server.status import StatusHandlers
from raftpy.storage import LevelDBStorage, MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Cluster, Recorder, play
from tests.node.loop import VirtualClock, run
from tests.node.steps import LoopSteps


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


@pytest.mark.parametrize("kind", ["memory", "leveldb"])
def test_what_was_written_is_told_where_the_store_says_it(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        store = MemoryStore(MemoryDisk()) if kind == "memory" else LevelDBStorage(tmp_path / "node", mode="inline")
        node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101"}, seed=1),
            Recorder(),
            storage=store,
            transport=MemoryTransport(MemoryNetwork(clock, 1)),
            clock=clock,
            executor=LoopSteps(),
        )
        await node.start()
        await node.wait_for_leader()
        await node.read_index()
        before = node.status().written
        for size in (1000, 2000):
            await node.propose(bytes(size))
        after = node.status().written
        page: Any = await StatusHandlers(node).status(None)  # type: ignore[arg-type]
        assert json.loads(page.body)["written"] == (None if after is None else asdict(after))
        await node.stop()
        if kind == "memory":
            assert before is after is None
            return
        assert before is not None
        assert after is not None
        assert after.commands - before.commands == 3000
        assert 3000 < after.log - before.log < 3500
        assert after.snapshots == 0

    run(main())
