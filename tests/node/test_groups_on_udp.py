"""A hundred groups on real sockets and disks: they share each synced write."""

from __future__ import annotations

import asyncio
from pathlib import Path

from raftpy import Config, NotLeader, Timeout
from raftpy.contracts.storage import AppendBatch
from raftpy.runtime.host import Host
from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.transport.datagram.udp import UdpTransport
from tests.node.harness import Recorder, _free_addresses

GROUPS = range(100)
HEARTBEAT_MS, ELECTION_MS = 200, (1000, 2000)
"""Long, for real time: three hosts share a loop, a disk and two cores."""


class NotingStore(LevelDBStorage):
    """``shared``: the groups of each synced write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.shared: list[set[int]] = []

    def submit(self, batch: AppendBatch) -> bool:
        self.shared.append({group_id for group_id, _ in batch})
        return super().submit(batch)


class Hosts:
    """Hosts 1 to 3 with their data in ``path``, one life after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.addresses = _free_addresses(3)
        self.machines: dict[int, dict[int, Recorder]] = {}
        self.stores: dict[int, NotingStore] = {}
        self.hosts: dict[int, Host] = {}

    async def start(self) -> None:
        for host_id in self.addresses:
            self.machines[host_id] = {g: Recorder() for g in GROUPS}
            self.stores[host_id] = NotingStore(self.path / str(host_id))
            config = Config(id=host_id, cluster=self.addresses, heartbeat_ms=HEARTBEAT_MS, election_ms=ELECTION_MS)
            self.hosts[host_id] = Host(
                config, self.machines[host_id], storage=self.stores[host_id], transport=UdpTransport()
            )
        await asyncio.gather(*(host.start() for host in self.hosts.values()))

    async def stop(self) -> None:
        await asyncio.gather(*(host.stop() for host in self.hosts.values()))

    async def commit(self, group_id: int, command: bytes) -> None:
        while True:
            leader = await self.hosts[1].group(group_id).wait_for_leader(60)
            try:
                await self.hosts[leader].group(group_id).propose(command, timeout=30)
                return
            except (NotLeader, Timeout):  # after the latter it may be there twice
                await asyncio.sleep(0.05)

    async def everywhere(self, command: bytes) -> None:
        for machines in self.machines.values():
            while not all(command in machine.commands for machine in machines.values()):
                await asyncio.sleep(0.01)

    async def together(self, host_id: int) -> int:
        """Proposes to all groups that the host leads, in one turn: they share a write. To how many it was."""
        host, written = self.hosts[host_id], self.stores[host_id].shared
        led = [g for g in GROUPS if host.group(g).status().role == "leader"]
        written.clear()
        proposed = [host.group(g).propose(b"together", timeout=30) for g in led]
        outcomes = await asyncio.gather(*proposed, return_exceptions=True)
        appended = {g for g, outcome in zip(led, outcomes, strict=True) if not isinstance(outcome, BaseException)}
        # What was under way before may be written first.
        assert any(appended <= groups for groups in written) or not appended, (
            f"{len(appended)} groups, in writes of {list(map(len, written))}"
        )
        return len(appended)


def test_a_hundred_groups_on_udp_and_leveldb(tmp_path: Path) -> None:
    """How many elections there are is up to the machine, so what groups share is seen where none counts: in the one
    write in which a host has what it was given for all the groups that it leads, in one turn of the loop."""

    async def main() -> None:
        cluster = Hosts(tmp_path)
        async with asyncio.timeout(120):
            for command in (b"first", b"second"):
                await cluster.start()
                await asyncio.gather(*(cluster.commit(g, command) for g in GROUPS))
                await cluster.everywhere(command)
                while max([await cluster.together(host_id) for host_id in cluster.hosts]) < 2:
                    await asyncio.sleep(0.05)  # those that were held up lead nothing
                await cluster.stop()
            for recorder in (recorder for machines in cluster.machines.values() for recorder in machines.values()):
                commands = [command for command in dict.fromkeys(recorder.commands) if command != b"together"]
                assert commands == [b"first", b"second"]

    asyncio.run(main())
