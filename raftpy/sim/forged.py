"""A snapshot of another state than it says, in which every checksum holds: what no disk makes, but a mistake may."""

from __future__ import annotations

from raftpy.contracts.snapshots import SnapshotRef
from raftpy.runtime.sections import STATE
from raftpy.storage.snapshots.memory import MemoryFolder
from raftpy.storage.snapshots.names import whole_name
from raftpy.storage.snapshots.store import SnapshotStore


def of_another_state(snapshots: SnapshotStore, ref: SnapshotRef) -> bytes:
    """The bytes of a snapshot, as long as those that ``snapshots`` has of ``ref``, in which one bit of the machine's
    state is another one. Raises ``SnapshotDamaged`` where that cannot be read."""
    folder = MemoryFolder()
    other = SnapshotStore(folder, max_body=snapshots._max_body)
    other.load()
    reader = snapshots.open(ref)
    try:
        writer = other.begin(ref)
        for header, chunks in reader.sections():
            data = b"".join(chunks)
            writer.section(header)
            writer.write(data[:-1] + bytes([data[-1] ^ 1]) if header.name == STATE and data else data)
        writer.commit()
    finally:
        reader.close()
    return bytes(folder.held[whole_name(ref)])
