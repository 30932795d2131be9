"""Nodes in processes of their own, each on a host of its own in a network of namespaces."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from raftpy.cli.addresses import Address
from raftpy.cli.demo_cluster import DemoCluster, own_path
from tests.chaos.nodes import status, until
from tests.network.namespaces import Network


class Far(DemoCluster):
    """Each node on a host of its own."""

    def __init__(self, directory: Path, network: Network, options: list[str]) -> None:
        super().__init__(3, directory=directory, options=options)
        self.hosts = dict(zip(self.ids, network.hosts.values(), strict=True))
        self.udp = {node_id: f"{host.address}:7101" for node_id, host in self.hosts.items()}
        self.http = {node_id: Address(host.address, 8101) for node_id, host in self.hosts.items()}

    def start(self, node_id: int) -> None:
        with self.log_path(node_id).open("ab") as log:
            self._processes[node_id] = self.hosts[node_id].start(
                *self.command(node_id),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": own_path()},
            )
        assert self.command(node_id)[0] == sys.executable

    def inside(self, node_id: int) -> AbstractContextManager[None]:
        """From where its HTTP is asked: beside it, as the path is for the nodes."""
        return self.hosts[node_id].inside()


def leader_of(cluster: Far, ids: list[int]) -> int:
    found: list[int] = []

    def agreed() -> bool:
        found[:] = {status(cluster, node_id).get("leader") or 0 for node_id in ids}
        return len(found) == 1 and found[0] != 0

    until(agreed, "a leader")
    return found[0]
