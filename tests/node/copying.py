"""Snapshots copied from store to store, in place of what brings them over the network, as slowly as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef, Snapshots, complete
from raftpy.runtime.driver import Driver
from raftpy.runtime.installing import Fetch


class Copies:
    """Of the nodes of one test: ``stores`` gives the snapshots of a node that is up."""

    def __init__(self, stores: Callable[[int], Snapshots]) -> None:
        self.stores = stores
        self.calls: list[tuple[int, int, SnapshotRef]] = []
        """Who fetches, from whom, what."""
        self.done: list[tuple[int, int, SnapshotRef]] = []
        self.before: Callable[[int, int, SnapshotRef], Awaitable[object]] = _at_once
        """Waited for before a file is there; what it raises the fetch raises."""
        self.asked_s: dict[tuple[int, int], float] = {}

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For all nodes from now on."""
        monkeypatch.setattr(Driver, "fetch", property(self._fetch_of))

    def _fetch_of(self, driver: Driver) -> Fetch:
        async def fetch(source: int, ref: SnapshotRef) -> SnapshotFile:
            call = (driver.config.id, source, ref)
            self.calls.append(call)
            await self.before(*call)
            file = copy(self.stores(source), driver.storage.snapshots, source, ref)
            self.done.append(call)
            return file

        return fetch


def copy(from_: Snapshots, to: Snapshots, source: int, ref: SnapshotRef) -> SnapshotFile:
    """One snapshot from store to store. Raises ``SnapshotFailed`` where it is not there."""
    if ref not in from_.refs(ref.group):
        raise SnapshotFailed(str(ref), f"node {source} has none")
    reader = from_.open(ref)
    receiver = complete(to.receive(reader.file))
    while receiver.position < reader.file.size:
        receiver.write(reader.read_range(receiver.position, 4096))
    reader.close()
    return complete(receiver.finish())


async def _at_once(node_id: int, source: int, ref: SnapshotRef) -> None:
    await asyncio.sleep(0)
