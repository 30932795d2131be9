"""All that a data directory holds, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath

from raftpy.contracts.files import Files
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.ownership import FORMER, SEGMENTS
from raftpy.storage.leveldb.startup import Identity, Reader
from raftpy.storage.offline.directory import read_floor, reading
from raftpy.storage.offline.faults import Faults
from raftpy.storage.offline.groups import GroupChecker, GroupReport
from raftpy.storage.offline.progress import Progress, Untold
from raftpy.storage.offline.segments import Row, RowReader, RowView
from raftpy.storage.offline.snapshots import SnapshotReport, SnapshotsReader
from raftpy.storage.snapshots.store import SnapshotStore
from raftpy.system.leveldb import LevelDB


@dataclass(slots=True)
class Examined:
    """A data directory, read from end to end.

    ``path``: the directory; ``floor`` and ``identity``: None where they are not whole; ``cluster_id`` and ``members``,
    as first given, and ``pins``: node id to store id, likewise. ``row``: what the segments hold, ``view``: its records;
    ``groups`` and ``snapshots``: by group id; ``store``: to open these. ``faults``: what is wrong.
    """

    path: PurePath
    faults: Faults
    row: Row
    view: RowView
    store: SnapshotStore
    floor: Floor | None = None
    identity: Identity | None = None
    cluster_id: int | None = None
    members: dict[int, str] = field(default_factory=dict)
    pins: dict[int, int] = field(default_factory=dict)
    groups: dict[int, GroupReport] = field(default_factory=dict)
    snapshots: dict[int, list[SnapshotReport]] = field(default_factory=dict)

    @property
    def boot(self) -> int | None:
        """Of the node's last start; None where neither head nor floor is left."""
        head = self.groups[0].head if 0 in self.groups else None
        if head is not None:
            return head.boot
        return None if self.floor is None else self.floor.boot

    def newest(self, group: int) -> SnapshotReport | None:
        """The group's newest whole snapshot that its log goes on from, as a start takes it; None: there is none."""
        report = self.groups.get(group)
        for snapshot in self.snapshots.get(group, ()):
            ref = snapshot.ref
            if not snapshot.is_whole or report is None or report.head is None:
                continue
            if report.head.prev_index <= ref.index <= report.last and report.term_at(ref.index) in (0, ref.term):
                return snapshot
        return None


@contextmanager
def examined(files: Files, directory: PurePath, progress: Progress | None = None) -> Iterator[Examined]:
    """The data directory, while no node runs on it; of what is in it nothing is changed.

    Raises ``NotADataDirectory``, ``StorageLocked``, ``StorageFailed`` for another release's, ``SnapshotFailed`` where
    snapshots cannot be listed, ``OSError``. All that is damaged is in ``Examined.faults``.
    """
    with reading(files, directory):
        faults, told = Faults(), progress or Untold()
        floor = read_floor(files, directory, faults)
        snapshots = SnapshotsReader(files, directory, faults, told)
        rows = RowReader(files, directory / SEGMENTS, faults, told)
        told.expect(rows.expected() + snapshots.expected())
        row = rows.read(may_be_empty=floor is not None and floor.boot == 0)
        view = RowView(files, row)
        try:
            found = Examined(directory, faults, row, view, snapshots.store, floor)
            _read_groups(found)
            for group in sorted({*found.groups, *snapshots.store.groups()}):
                found.snapshots[group] = snapshots.read(group)
                if group in found.groups:
                    snapshots.check_beginning(found.groups[group], found.snapshots[group])
                else:
                    faults.note(f"there are snapshots of group {group}, which has no records")
            snapshots.note_others()
            if files.is_directory(directory / FORMER):
                faults.note(f"{directory / FORMER} is what an upgrade has left: the next start removes it")
            yield found
        finally:
            view.close()


def _read_groups(found: Examined) -> None:
    """What the node is, and each of its groups."""
    faults, where = found.faults, found.row.path
    if not found.row.files and found.floor is not None and found.floor.boot == 0:
        faults.note("the node's first start was cut short: it holds nothing yet")
        return
    reader = Reader(LevelDB(), found.view, where)
    with faults.caught(where):
        found.identity = reader.identity()
        if found.identity is None:
            raise reader.damaged(keys.IDENTITY, "it is missing")
    with faults.caught(where):
        found.cluster_id, found.members = reader.members()
    with faults.caught(where):
        found.pins = reader.pins()
    groups: set[int] = {0}
    with faults.caught(where):
        groups.update(reader.groups())
    if found.floor is not None:
        groups.update(found.floor.groups)
    checker = GroupChecker(reader, found.view, str(where), faults)
    for group in sorted(groups):
        report = found.groups[group] = checker.check(group, found.identity, found.floor)
        report.voters = tuple(sorted(found.members))
        if group and found.cluster_id is not None:
            with faults.caught(where):
                voters = reader.voters(group, found.cluster_id)
                if voters is None:
                    raise reader.damaged(keys.bootstrap_key(group), "it is missing")
                report.voters = voters
        _check_boot(found, report, reader)


def _check_boot(found: Examined, report: GroupReport, reader: Reader) -> None:
    """Each start writes the heads of all groups."""
    first, head = found.groups[0].head, report.head
    if first is not None and head is not None and head.boot != first.boot:
        error = reader.damaged(
            keys.head_key(report.group), f"it has boot {head.boot}, and group 0 has boot {first.boot}"
        )
        found.faults.add(error.where, error.what)
