"""A process that fetches a snapshot over UDP into a directory, to be killed: ``python -m tests.node.fetch_process``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path, PurePath

from raftpy.contracts.clock import SystemClock
from raftpy.contracts.errors import Stopped
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.contracts.types import LocalIdentity
from raftpy.runtime.fetching import Fetching
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.files import SystemFiles
from raftpy.system.threads import Threads
from raftpy.transport import UdpTransport


class Place:
    """A node with a socket and snapshots, and nothing else; ``life``: which start it is."""

    def __init__(
        self, node_id: int, members: dict[int, str], directory: Path, *, life: int = 1, rate: int | None = None
    ) -> None:
        self.store = SnapshotStore(SystemFolder(SystemFiles(), PurePath(directory)))
        self.store.load()
        self.transport = UdpTransport(max_datagram=1200)
        identity = LocalIdentity(node_id, node_id, life << 32 | 1, 1, members)
        self.transport.start(identity, lambda: self.transport.receive() and None)
        self.fetching = Fetching(node_id, self.transport, self.store, SystemClock(), Threads(), rate)
        self.fetching.start()

    def stop(self) -> None:
        self.transport.close()
        self.fetching.stop(Stopped)
        self.fetching.end()


async def fetch(members: dict[int, str], directory: Path, ref: SnapshotRef, life: int) -> None:
    """Says how far it is, again and again."""
    place = Place(2, members, directory, life=life)
    task = asyncio.ensure_future(place.fetching.fetch(1, ref))
    while not task.done():
        progress = place.fetching.progress(ref.group)
        print(0 if progress is None else progress.position, flush=True)
        await asyncio.wait([task], timeout=0.01)
    print(task.result().size, flush=True)
    place.stop()


if __name__ == "__main__":
    table = {int(node_id): address for node_id, address in json.loads(sys.argv[1]).items()}
    asyncio.run(fetch(table, Path(sys.argv[2]), SnapshotRef(*json.loads(sys.argv[3])), int(sys.argv[4])))
