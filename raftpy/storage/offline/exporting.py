"""The entries and the state of one group, one after the other: as much in memory as one record of the log, or one block
of a snapshot, takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raftcore.base.types import EntryKind
from raftcore.values.message import Entry
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.sealing import unseal_record
from raftpy.storage.offline.examining import Examined
from raftpy.storage.offline.snapshots import SnapshotReport


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An ``entry`` of the log, and the log time of its block, ``time_ms``, in milliseconds."""

    entry: Entry
    time_ms: int

    @property
    def type(self) -> str:
        """What it is: "command", "configuration" (a change of it) or "noop" (a new leader's first, paper 8)."""
        return _TYPES[EntryKind(self.entry.kind)]


_TYPES = {
    EntryKind.EntryNormal: "command",
    EntryKind.EntryConfChange: "configuration",
    EntryKind.EntryConfChangeV2: "configuration",
    EntryKind.EntryNoop: "noop",
}


def entries(found: Examined, group: int, first: int, last: int) -> Iterator[StoredEntry]:
    """Those that are in the group's log and have an index from ``first`` to ``last``, ascending; what is damaged or
    missing is left out, and is in ``found.faults``."""
    report = found.groups[group]
    first, last = max(first, report.first), min(last, report.last)
    for seen in found.view.seen(group):
        begin = keys.entry_first(seen.key)
        if begin > last:
            return
        if seen.entries and seen.first + seen.entries <= first:
            continue
        with found.faults.caught(keys.describe(seen.key)):
            value = found.view.get(seen.key, verify_checksums=True)
            opened = None if value is None else unseal_record(seen.key, value)
            if opened is None:
                found.faults.add(keys.describe(seen.key), "its checksum does not hold")
                continue
            block = opened[0]
            time_ms = int.from_bytes(block.data[16:24], "little")
            for entry in block:
                if first <= entry.index <= last:
                    yield StoredEntry(entry, time_ms)
                    first = entry.index + 1  # records of a damaged log may overlap: each entry once


def section(found: Examined, snapshot: SnapshotReport, name: str) -> Iterator[tuple[TypeHeader, Iterator[bytes]]]:
    """The sections of this name in a snapshot, one at most, each with its bytes in chunks, checked before they are
    given out. Raises ``SnapshotDamaged``, ``SnapshotFailed``."""
    reader = found.store.open(snapshot.ref)
    try:
        for header, chunks in reader.sections():
            if header.name == name:
                yield header, chunks
                return
    finally:
        reader.close()
