"""What a group's core may ask of the store while it runs (``raftcore.StorageView``)."""

from __future__ import annotations

from raftcore.base.errors import SnapshotTemporarilyUnavailable
from raftcore.values.message import Snapshot
from raftpy.contracts.storage import GroupLog


class StoredView:
    """A group's log, and its newest snapshot, of which the core asks what it knows of it and nothing else."""

    def __init__(self, stored: GroupLog, newest: Snapshot | None) -> None:
        self.entries = stored.entries
        self.newest = newest
        """What the core knows of the newest snapshot that this node has applied, or that has taken its log's place;
        None: there is none. Kept up to date by who takes snapshots, and who installs them, before the log begins
        there."""

    def snapshot(self) -> Snapshot:
        """See ``StorageView``. Raises ``SnapshotTemporarilyUnavailable`` where there is none."""
        if self.newest is None:
            raise SnapshotTemporarilyUnavailable
        return self.newest

    def forget_idle(self) -> None:
        """Forgets what was kept for whom nobody has asked lately: here nothing is."""
