"""The snapshots of a node, as files in one folder: which there are, which may go, and who is at work on one.

Invariants, each also after a crash at any moment:

1. A file with a snapshot's name is whole, unless its disk has damaged it since.
2. What ``refs`` names is durable, also by its name: an opening syncs the folder before it believes it.
3. ``retain`` deletes the oldest first, and none before those that it keeps are durable.

One thread may write while another receives and others read: so what is known of the files changes in single steps of
the interpreter, none of which undoes another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.snapshots import (
    EVERY_INDEX,
    KEPT,
    CheckedSnapshot,
    SnapshotFile,
    SnapshotReader,
    SnapshotReceiver,
    SnapshotRef,
    SnapshotWriter,
    Steps,
)
from raftpy.contracts.typed import MAX_HEADER
from raftpy.storage.snapshots.blocks import MAX_BODY
from raftpy.storage.snapshots.checking import check_all
from raftpy.storage.snapshots.folder import Folder, FolderFile, SnapshotRoom
from raftpy.storage.snapshots.names import is_writing, receiving_file, receiving_name, whole_name, whole_ref
from raftpy.storage.snapshots.reader import SnapshotFileReader
from raftpy.storage.snapshots.receiver import SnapshotFileReceiver
from raftpy.storage.snapshots.writer import Ended, SnapshotFileWriter

SYNC_BYTES = 8 << 20
"""How much of a snapshot is written between two syncs."""


class SnapshotStore:
    """The ``Snapshots`` in a folder. To be loaded before anything else is asked of it; it holds nothing open itself.

    ``sync_bytes``: bytes that are written between two syncs. ``max_body``: bytes of the longest block, 69 to 262,144;
    ``ValueError`` for another number. ``reserve``: bytes of the disk that no snapshot takes: the log lies there, too,
    and its node ends with the first entry for which there is no room.
    """

    def __init__(
        self, folder: Folder, *, sync_bytes: int = SYNC_BYTES, max_body: int = MAX_BODY, reserve: int = 0
    ) -> None:
        if not MAX_HEADER <= max_body <= MAX_BODY:
            raise ValueError(f"a block has {MAX_HEADER} to {MAX_BODY} bytes, got {max_body}")
        self._folder = folder
        self._sync_bytes = sync_bytes
        self._max_body = max_body
        self.room = SnapshotRoom(folder, reserve)
        """What they may take of the disk."""
        self._may_change = False
        self._refs: dict[int, set[SnapshotRef]] = {}  # by group
        self._damaged: set[SnapshotRef] = set()
        self._read_back: set[SnapshotRef] = set()  # found whole since the process began
        self._begun: dict[int, SnapshotFile] = {}  # by group: of which one there is a beginning, received
        self._writing: dict[int, SnapshotRef] = {}  # by group
        self._receiving: dict[int, SnapshotRef] = {}
        self._taken_bytes: dict[int, int] = {}  # by group: of the snapshots that were completed
        self._received_bytes: dict[int, int] = {}
        self._begun_bytes: dict[int, int] = {}  # by group: received of the one begun, since the process began

    def load(self, *, read_only: bool = False) -> None:
        """Finds what is there, and deletes what no process will go on with; ``read_only``: changes nothing, now and
        later. Raises ``SnapshotFailed``."""
        names = self._folder.names()
        if names and not read_only:
            self._folder.sync()
        for name in names:
            ref = whole_ref(name)
            if ref is not None:
                self._add(ref)
        self._may_change = not read_only
        if read_only:
            return
        begun = [file for file in map(receiving_file, names) if file is not None]
        for file in sorted(begun, key=lambda file: (file.ref, file.size, file.digest)):
            self._discard_begun(file.ref.group)  # there is one, unless a crash has brought another one back
            self._begun[file.ref.group] = file
            self._discard_outdated(file.ref.group)
        for name in names:
            if is_writing(name):
                self._folder.remove(name)

    @property
    def written(self) -> int:
        """Bytes of the snapshots that were completed since the process began, written and received; of one that an
        earlier process has begun, what came since."""
        return sum((*tuple(self._taken_bytes.values()), *tuple(self._received_bytes.values())))

    def groups(self) -> tuple[int, ...]:
        return tuple(sorted(group for group, refs in tuple(self._refs.items()) if refs))

    def refs(self, group: int) -> tuple[SnapshotRef, ...]:
        return tuple(sorted(self._refs.get(group, ()), reverse=True))

    def begin(self, ref: SnapshotRef) -> SnapshotWriter:
        self._check_new(ref, self._writing, "written")
        ended = self._take(ref, self._writing)
        return SnapshotFileWriter(
            self._folder, ref, ended, sync_bytes=self._sync_bytes, max_body=self._max_body, room=self.room
        )

    def open(self, ref: SnapshotRef) -> SnapshotReader:
        file = self._open(ref)
        try:
            return SnapshotFileReader(file, ref, partial(self._damaged.add, ref))
        except Exception:
            file.close()
            raise

    def verify(self, ref: SnapshotRef, known: Mapping[str, int] | None = None) -> Steps[CheckedSnapshot]:
        file = self._open(ref)
        try:
            checked = yield from check_all(file, ref, known)
        except SnapshotDamaged:
            self._damaged.add(ref)
            raise
        finally:
            file.close()
        self._read_back.add(ref)
        return checked

    def retain(self, group: int, count: int = KEPT, up_to: int = EVERY_INDEX) -> Steps[SnapshotRef | None]:
        """See ``Snapshots``. Raises ``ValueError`` for a ``count`` below 0, ``SnapshotFailed``."""
        self._check_may_change()
        if count < 0:
            raise ValueError(f"how many snapshots are kept is 0 or more, got {count}")
        while True:
            counting = [ref for ref in self.refs(group) if ref.index <= up_to]
            kept = [ref for ref in counting if ref not in self._damaged][:count]
            if len(kept) < count:
                return None
            oldest = kept[-1] if kept else None
            if oldest is None or oldest in self._read_back:
                break
            try:
                yield from self.verify(oldest)
            except SnapshotDamaged:
                pass  # it does not count any more
        self._delete_older(group, oldest, up_to)
        return oldest

    def discard(self, ref: SnapshotRef) -> None:
        self._check_may_change()
        if ref in self.refs(ref.group):
            self._delete([ref])

    def free_space(self) -> int:
        return self.room.free()

    def begun(self, group: int) -> SnapshotFile | None:
        return self._begun.get(group)

    def receive(self, offered: SnapshotFile) -> Steps[SnapshotReceiver]:
        group = offered.ref.group
        self._check_new(offered.ref, self._receiving, "received")
        if self._begun.get(group) != offered:
            self._discard_begun(group)
        ended = self._take(offered.ref, self._receiving)
        receiver = SnapshotFileReceiver(
            self._folder, offered, ended, partial(self._count, group), sync_bytes=self._sync_bytes, room=self.room
        )
        self._begun[group] = offered
        try:
            yield from receiver.resume()
        except GeneratorExit:
            receiver.close()
            raise
        if not receiver.position:
            self._begun_bytes.pop(group, None)  # of what came before nothing is left
        return receiver

    # --- what there is

    def _open(self, ref: SnapshotRef) -> FolderFile:
        try:
            return self._folder.open(whole_name(ref), "read")
        except SnapshotDamaged:  # it is gone
            self._damaged.add(ref)
            raise

    def _add(self, ref: SnapshotRef) -> None:
        self._refs.setdefault(ref.group, set()).add(ref)

    def _delete_older(self, group: int, oldest: SnapshotRef | None, up_to: int) -> None:
        doomed = [ref for ref in self.refs(group) if ref.index <= up_to and (oldest is None or ref < oldest)]
        if doomed:
            self._delete(doomed[::-1])

    def _delete(self, doomed: Sequence[SnapshotRef]) -> None:
        for ref in doomed:
            refs = self._refs[ref.group]
            refs.discard(ref)  # before its file, which a reader in another thread may miss: no damage then
            try:
                self._folder.remove(whole_name(ref))
            except BaseException:
                refs.add(ref)  # it is there still, and may be deleted again
                raise
            self._damaged.discard(ref)
            self._read_back.discard(ref)
        self._folder.sync()

    def _discard_begun(self, group: int) -> None:
        """Deletes what is there of a snapshot that was being received."""
        begun = self._begun.get(group)
        if begun is not None:
            self._folder.remove(receiving_name(begun))
            self._begun.pop(group, None)

    def _discard_outdated(self, group: int) -> None:
        """The same, where there is a snapshot now that is as new."""
        begun, refs = self._begun.get(group), self.refs(group)
        if begun is not None and refs and begun.ref <= refs[0] and group not in self._receiving:
            self._discard_begun(group)

    # --- who is at work

    def _check_may_change(self) -> None:
        if not self._may_change:
            raise ValueError("this store of snapshots was not loaded to be changed")

    def _check_new(self, ref: SnapshotRef, busy: dict[int, SnapshotRef], doing: str) -> None:
        self._check_may_change()
        if ref in self.refs(ref.group) and ref not in self._damaged:
            raise ValueError(f"the snapshot of {ref} is there already")
        if ref.group in busy:
            raise ValueError(f"a snapshot of group {ref.group} is being {doing} already")
        if ref in (self._writing.get(ref.group), self._receiving.get(ref.group)):
            raise ValueError(f"the snapshot of {ref} is being made already")  # neither may replace what the other made

    def _take(self, ref: SnapshotRef, busy: dict[int, SnapshotRef]) -> Ended:
        """Notes that it is being written, or received; the result is to be called at its end."""
        group = ref.group

        def end(made: SnapshotFile | None, *, left: bool = False) -> None:
            del busy[group]
            if made is None:
                if busy is self._receiving and not left:
                    self._begun.pop(group, None)
                return
            self._damaged.discard(made.ref)
            self._read_back.discard(made.ref)
            self._add(made.ref)
            if busy is self._receiving:
                self._received_bytes[group] = self._received_bytes.get(group, 0) + self._begun_bytes.pop(group, 0)
                self._begun.pop(group, None)  # its file has the snapshot's name now
                self._read_back.add(made.ref)
            else:
                self._taken_bytes[group] = self._taken_bytes.get(group, 0) + made.size
            with suppress(SnapshotFailed):  # it is garbage, and no reason to deny the snapshot
                self._discard_outdated(group)

        busy[group] = ref
        return end

    def _count(self, group: int, size: int) -> None:
        """So many bytes of the snapshot that is received were written."""
        self._begun_bytes[group] = self._begun_bytes.get(group, 0) + size
