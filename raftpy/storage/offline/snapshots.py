"""The snapshots of a data directory, each read back from its first byte to its last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from raftcore.values.message import Snapshot
from raftpy.contracts.files import Files
from raftpy.contracts.snapshots import CheckedSnapshot, SnapshotRef
from raftpy.storage.leveldb.store import SNAPSHOTS
from raftpy.storage.offline.faults import Faults
from raftpy.storage.offline.groups import GroupReport
from raftpy.storage.offline.progress import Progress
from raftpy.storage.offline.segments import size_of
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.metadata import read_metadata
from raftpy.storage.snapshots.names import is_writing, receiving_file, whole_name, whole_ref
from raftpy.storage.snapshots.store import SnapshotStore


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """One snapshot: which it is (``ref``), its file's ``path`` and ``size`` in bytes, and what was found in it.

    ``checked``: its sections, None where it is not whole, or of a later release; ``metadata``: what the core knows of
    it, likewise.
    """

    ref: SnapshotRef
    path: str
    size: int
    checked: CheckedSnapshot | None = None
    metadata: Snapshot | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it can be restored from."""
        return self.checked is not None and self.metadata is not None


class SnapshotsReader:
    """Reads the snapshots beside the log of the data directory, and changes none."""

    def __init__(self, files: Files, directory: PurePath, faults: Faults, progress: Progress) -> None:
        """Raises ``SnapshotFailed`` where they cannot be listed."""
        self._files = files
        self._path = directory / SNAPSHOTS
        self._faults = faults
        self._progress = progress
        self.store = SnapshotStore(SystemFolder(files, self._path))
        """To open them; it writes nothing."""
        self.store.load(read_only=True)

    def expected(self) -> int:
        """How many bytes there are to read."""
        return sum(self._size(ref) for group in self.store.groups() for ref in self.store.refs(group))

    def note_others(self) -> None:
        """Notes what is in the directory beside them."""
        for name in sorted(self._files.names(self._path)) if self._files.is_directory(self._path) else ():
            begun = receiving_file(name)
            if begun is not None:
                there = size_of(self._files, self._path / name)
                self._faults.note(
                    f"{self._path / name}: the beginning of a snapshot from another node, {there} of {begun.size} bytes"
                )
            elif is_writing(name):
                self._faults.note(f"{self._path / name}: a snapshot that was never finished: the next start removes it")
            elif whole_ref(name) is None:
                self._faults.note(f"{self._path / name}: no file of a node's")

    def read(self, group: int) -> list[SnapshotReport]:
        """Those of one group, the newest first."""
        return [self._read(ref) for ref in self.store.refs(group)]

    def check_beginning(self, report: GroupReport, found: list[SnapshotReport]) -> None:
        """A log that is cut needs a whole snapshot that reaches it (raftpy/runtime/restoring.py)."""
        head = report.head
        prev = 0 if head is None else head.prev_index
        reaching = []
        for snapshot in found:
            ref = snapshot.ref
            if not snapshot.is_whole or head is None or not prev <= ref.index <= report.last:
                continue
            term = report.term_at(ref.index)
            if term in (0, ref.term):
                reaching.append(ref)
            elif ref.index <= max(head.commit, prev):
                self._faults.add(
                    snapshot.path, f"it is of term {ref.term}, and the log has term {term} at entry {ref.index}"
                )
        if prev and not reaching:
            self._faults.add(
                self._path,
                f"the log of group {report.group} begins behind entry {prev}, and no whole snapshot reaches it",
            )

    def _read(self, ref: SnapshotRef) -> SnapshotReport:
        path, size = str(self._path / whole_name(ref)), self._size(ref)
        checked = metadata = None
        with self._faults.caught(path):
            steps, before = self.store.verify(ref), 0
            while checked is None:
                try:
                    position = next(steps)
                    assert position is not None
                    self._progress.read(position - before)
                    before = position
                except StopIteration as end:
                    checked = end.value
            reader = self.store.open(ref)
            try:
                metadata = read_metadata(reader)
            finally:
                reader.close()
        return SnapshotReport(ref, path, size, checked, metadata)

    def _size(self, ref: SnapshotRef) -> int:
        try:
            return size_of(self._files, self._path / whole_name(ref))
        except OSError:
            return 0
