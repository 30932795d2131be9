"""What was recorded on the wire before a restart is played again after it, to real sockets: it does nothing, and is
counted."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftcore.wire.fragment import FRAME_FRAGMENT
from raftpy.cli.demo_cluster import HOST, DemoCluster, free_ports
from tests.chaos.nodes import all_alike, contents, fill, level, put, status, until
from tests.cli.support import running, wait_for_leader

KIND = 72
"""Where a datagram says of what kind its first frame is (docs/wire-format.md)."""
LARGEST = 2048


class Wire:
    """Stands at the addresses by which the nodes know one another, passes on what comes, and keeps a copy."""

    def __init__(self, ids: list[int]) -> None:
        self.sockets = {node_id: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for node_id in ids}
        for each in self.sockets.values():
            each.bind((HOST, 0))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            each.setblocking(False)
        self.to = dict(zip(ids, free_ports(len(ids)), strict=True))
        self.recorded: dict[int, list[bytes]] = {node_id: [] for node_id in ids}
        self.recording = True
        self._ends = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def address(self, node_id: int) -> str:
        """Where the node is reached by the others."""
        return f"{HOST}:{self.sockets[node_id].getsockname()[1]}"

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        for node_id, each in self.sockets.items():
            selector.register(each, selectors.EVENT_READ, node_id)
        while not self._ends:
            for key, _ in selector.select(0.05):
                self._pass_on(key.data)
        selector.close()

    def _pass_on(self, node_id: int) -> None:
        """What waits for the node."""
        while True:
            try:
                data = self.sockets[node_id].recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # nobody listens there just now
            if self.recording:
                self.recorded[node_id].append(data)
            self.send(node_id, data)

    def send(self, node_id: int, data: bytes) -> None:
        """To the node, as if it came over the wire."""
        try:
            self.sockets[node_id].sendto(data, (HOST, self.to[node_id]))
        except OSError:
            pass

    def close(self) -> None:
        """The end."""
        self._ends = True
        self._thread.join()
        for each in self.sockets.values():
            each.close()


class Recorded(DemoCluster):
    """Nodes that reach one another by way of a wire."""

    def __init__(self, directory: Path, wire: Wire) -> None:
        super().__init__(3, directory=directory, options=["--max-datagram", "1200"])
        self.wire = wire
        self.udp = {node_id: wire.address(node_id) for node_id in self.ids}

    def command(self, node_id: int) -> list[str]:
        return [*super().command(node_id), "--listen", f"{HOST}:{self.wire.to[node_id]}"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Recorded]:
    wire = Wire([1, 2, 3])
    with contextlib.closing(wire), running(Recorded(tmp_path, wire)) as nodes:
        yield nodes


def counts(said: dict[str, Any], *names: str) -> int:
    """The sum of these counters over all peers."""
    return sum(peer[name] for peer in said["transport"]["peers"].values() for name in names)


def place(said: dict[str, Any]) -> tuple[Any, ...]:
    """What must not change."""
    names = "term", "leader", "first_index", "last_index", "commit_index", "applied_index"
    return tuple(said[name] for name in names)


@pytest.mark.parametrize("restarted", ["a follower", "all"])
def test_fragments_of_an_earlier_life_do_nothing(cluster: Recorded, seed: int, restarted: str) -> None:
    wire = cluster.wire
    leader = wait_for_leader(cluster)
    follower = next(node_id for node_id in cluster.ids if node_id != leader)
    values = fill(cluster, seed, 3, 200_000)
    level(cluster)
    # The old life's last word would be an append of what then is replaced by something else.
    put(cluster, "key0", b"newer")
    values["key0"] = b"newer"
    level(cluster)
    wire.recording = False
    again = cluster.ids if restarted == "all" else [follower]
    for node_id in again:
        cluster.kill(node_id)
    for node_id in again:
        cluster.start(node_id)
    wait_for_leader(cluster)
    all_alike(cluster, values)
    time.sleep(0.3)
    before = {node_id: status(cluster, node_id) for node_id in again}
    held = contents(cluster, follower)
    for node_id in again:
        recorded = wire.recorded[node_id]
        fragments = [data for data in recorded if len(data) > KIND and data[KIND] == FRAME_FRAGMENT]
        assert node_id == leader or len(fragments) > 400
        for turn, data in enumerate(recorded * 2):
            wire.send(node_id, data)
            if turn % 20 == 0:
                time.sleep(0.002)  # a receive buffer holds only so many

        def all_counted(node_id: int = node_id, played: int = 2 * len(recorded)) -> bool:
            names = "stale_boot", "other_incarnation", "probes"
            return counts(status(cluster, node_id), *names) - counts(before[node_id], *names) >= played

        until(all_counted, "each of them is counted")
    for node_id in again:
        now = status(cluster, node_id)
        assert place(now) == place(before[node_id])
        for name in ("fragments_received", "fragmented_received", "malformed_fragments", "incarnations"):
            assert counts(now, name) == counts(before[node_id], name), name
    assert contents(cluster, follower) == held
    put(cluster, "afterwards", b"value")
    all_alike(cluster, {**values, "afterwards": b"value"})
