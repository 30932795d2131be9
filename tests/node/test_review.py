"""What a reading of the runtime found, each as a scenario that went wrong before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from raftpy import Config, Node, Stopped
from tests.node.harness import Cluster, Recorder, _free_addresses, play


def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    async def main() -> None:
        config = Config(id=1, cluster=_free_addresses(1), data_dir=tmp_path / "data")
        machine: Any = object()  # it has no apply
        with pytest.raises(AttributeError):
            await Node(config, machine).start()
        async with Node(config, Recorder()) as node:  # neither the store nor the port is taken
            await node.wait_for_leader(10)

    asyncio.run(main())


def test_an_interrupt_in_the_middle_of_a_pass_stops_the_node(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes.pop(leader)
        driver = node._host.driver
        assert driver is not None

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        driver.storage.submit = interrupted  # type: ignore[assignment, method-assign]
        proposal = node.propose(b"x", timeout=None)
        with pytest.raises(KeyboardInterrupt):
            driver.passes.run()
        with pytest.raises(Stopped):
            await proposal
        assert isinstance(node.failed, KeyboardInterrupt)
        await node.stop()

    play("memory", 3, seed, scenario)
