"""What a group's core may ask of the store while it runs (``raftcore.StorageView``)."""

from __future__ import annotations

from raftcore.base.errors import SnapshotTemporarilyUnavailable
from raftcore.values.message import Snapshot
from raftpy.contracts.storage import GroupLog


class StoredView:
    """A group's log. No snapshot is given out, because nothing brings its bytes to another node yet: a follower that
    needs one is sent nothing, and the core asks again. The log is cut only where none does."""

    def __init__(self, stored: GroupLog) -> None:
        self.entries = stored.entries

    def snapshot(self) -> Snapshot:
        """See ``StorageView``. Raises ``SnapshotTemporarilyUnavailable``."""
        raise SnapshotTemporarilyUnavailable
