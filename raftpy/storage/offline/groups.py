"""What a data directory holds of each group, checked as a start checks it (raftpy/storage/leveldb/startup.py): every
record, every bound, and the floor. Nothing here stops at the first fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftcore.base.conflict import Conflict
from raftpy.contracts.errors import StorageDamaged
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import Floor, GroupFloor
from raftpy.storage.leveldb.head import HEAD, Head
from raftpy.storage.leveldb.places import SeenRecord
from raftpy.storage.leveldb.sealing import unseal_record
from raftpy.storage.leveldb.startup import Identity, Reader
from raftpy.storage.offline.faults import Faults
from raftpy.storage.offline.segments import RowView
from raftpy.storage.records import kind_of


@dataclass(slots=True)
class GroupReport:
    """One group: its ``head`` (None: none is left), its first ``voters``, the ``records`` of its log, how many bytes
    (``size``) they have, and ``last_time_ms``, the log time of the last entry.

    ``first`` and ``last`` are the indexes of the first and the last entry that are there; ``last`` is below ``first``
    where the log has none. ``term_runs``: (first index, term) of each run of terms. ``conflict``: why the node is
    quarantined in it.
    """

    group: int
    head: Head | None = None
    voters: tuple[int, ...] = ()
    first: int = 1
    last: int = 0
    records: int = 0
    size: int = 0
    last_time_ms: int = 0
    conflict: Conflict | None = None
    term_runs: list[tuple[int, int]] = field(default_factory=list)

    def term_at(self, index: int) -> int:
        """The term of the entry there; 0 where that is not known."""
        term = 0 if self.head is None or index < self.head.prev_index else self.head.prev_term
        for first, run in self.term_runs:
            if first <= index:
                term = run
        return term


class GroupChecker:
    """Checks the groups of one data directory, ``where``, with what ``view`` holds of them."""

    def __init__(self, reader: Reader, view: RowView, where: str, faults: Faults) -> None:
        self._reader = reader
        self._view = view
        self._where = where
        self._faults = faults

    def check(self, group: int, identity: Identity | None, floor: Floor | None) -> GroupReport:
        """One group, and its part of the floor."""
        faults = self._faults
        report = GroupReport(group)
        with faults.caught(self._where):
            report.head = self._reader.head(group)
        _Log(self._view, report, faults, self._where).check()
        if floor is not None:
            report.conflict = floor.groups.get(group, GroupFloor()).conflict
            if report.head is not None and identity is not None:
                with faults.caught(self._where):
                    floor.check(identity.store_id, group, report.head, self._where)
        return report


class _Log:
    """One group's log, read from its first record to its last."""

    def __init__(self, view: RowView, report: GroupReport, faults: Faults, where: str) -> None:
        self._view = view
        self._report = report
        self._faults = faults
        self._where = where
        self._expected = 0  # the index that follows; 0 before the first record
        self._term = self._time_ms = 0
        self._whole = True  # a head stands behind the last record
        self._newest: Head | None = report.head

    def check(self) -> None:
        """Notes every fault, and fills the report."""
        report, head = self._report, self._report.head
        prev = 0 if head is None else head.prev_index
        self._term = 0 if head is None else head.prev_term
        last_key = b""
        for found in self._view.seen(report.group):
            seen = found if found.entries else self._looked_at(found.key)
            if seen is None:
                continue
            if not report.records and prev and seen.first + seen.entries <= prev:
                continue  # outside of the log: given up, and its room not given back yet
            self._take(seen, prev)
            last_key = found.key
        report.last = self._expected - 1 if self._expected else prev
        report.first = max(report.first, prev + 1)
        if last_key and self._whole:
            self._take_head(last_key)
        report.head = self._newest
        self._check_end(prev, last_key)

    def _looked_at(self, key: bytes) -> SeenRecord | None:
        """What stands in a record that the reading of its segment has not looked into."""
        with self._faults.caught(keys.describe(key)):
            value = self._view.get(key, verify_checksums=True)
            opened = None if value is None else unseal_record(key, value)
            if opened is None:
                raise self._damaged(key, "its checksum does not hold")
            entries, behind = opened
            time_ms = int.from_bytes(entries.data[16:24], "little")
            kind = kind_of(entries)
            return SeenRecord(key, entries.first, entries.count, entries.first_term, time_ms, kind, len(behind))
        return None

    def _take(self, seen: SeenRecord, prev: int) -> None:
        report, expected = self._report, self._expected
        first, last = seen.first, seen.first + seen.entries - 1
        if not report.records and prev:
            if first > prev:
                self._fault(keys.entry_key(report.group, prev), "no record holds it, up to which is compacted")
                if first > prev + 1:
                    self._missing(prev + 1, first - 1)
            elif seen.term != self._term:
                self._fault(seen.key, f"it is of term {seen.term}, and {prev} in term {self._term} was compacted")
        elif first > max(expected, 1) and (expected or report.head is not None):
            self._missing(max(expected, 1), first - 1)
        elif expected and first < expected:
            self._fault(seen.key, f"it holds entries from {first} on where {expected} follows")
        if keys.entry_first(seen.key) != first:
            self._fault(seen.key, f"it holds entries from {first} on")
        if seen.term < self._term:
            self._fault(seen.key, f"term {seen.term} after term {self._term}")
        if seen.time_ms < self._time_ms:
            self._fault(seen.key, f"log time {seen.time_ms} ms after {self._time_ms} ms")
        if seen.behind not in (0, HEAD.size):
            self._fault(seen.key, f"{seen.behind} bytes behind its block, 0 or {HEAD.size} expected")
        if not report.records:
            report.first = first
        if not report.term_runs or report.term_runs[-1][1] != seen.term:
            report.term_runs.append((first, seen.term))
        self._term, self._time_ms = max(self._term, seen.term), max(self._time_ms, seen.time_ms)
        self._expected, self._whole = max(expected, last + 1), bool(seen.behind)
        report.records += 1
        place = self._view.place(seen.key)
        report.size += 0 if place is None else place[2]
        report.last_time_ms = self._time_ms

    def _take_head(self, key: bytes) -> None:
        """The head behind the last record, where that was written later."""
        with self._faults.caught(keys.describe(key)):
            value = self._view.get(key, verify_checksums=True)
            opened = None if value is None else unseal_record(key, value)
            if opened is None:
                raise self._damaged(key, "its checksum does not hold")
            try:
                head = Head.unpack(opened[1])
            except ValueError as error:
                raise self._damaged(key, str(error)) from error
            if self._newest is None or head.number > self._newest.number:
                self._newest = head

    def _check_end(self, prev: int, last_key: bytes) -> None:
        head, last = self._newest, self._report.last
        if head is None:
            return
        if prev and not self._report.records:
            self._fault(keys.entry_key(self._report.group, prev), "no record holds it, up to which is compacted")
        if last < head.last_index:
            self._missing(last + 1, head.last_index, f"and {head.last_index} in term {head.last_term} was written")
        elif last > head.last_index:
            self._fault(last_key, f"it goes on to {last}, and {head.last_index} was the last one written")
        elif self._report.records and self._term != head.last_term:
            self._fault(last_key, f"it ends in term {self._term}, and {last} in term {head.last_term} was written")
        elif self._report.records and not self._whole:
            self._fault(last_key, f"the batch that wrote entry {last} is not there whole")

    def _missing(self, first: int, last: int, more: str = "") -> None:
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self._faults.add(f"{self._where}: log of group {self._report.group}", f"{which} missing{more and ', '}{more}")

    def _damaged(self, key: bytes, what: str) -> StorageDamaged:
        """What to raise about the record under ``key``, with its place where it has one."""
        place = self._view.place(key)
        if place is None:
            return StorageDamaged(what, f"{self._where}: {keys.describe(key)}")
        return StorageDamaged(f"{keys.describe(key)}, at byte {place[1]}: {what}", place[0])

    def _fault(self, key: bytes, what: str) -> None:
        error = self._damaged(key, what)
        self._faults.add(error.where, error.what)
