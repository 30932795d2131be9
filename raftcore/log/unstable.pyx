"""The part of the log that is not durable yet.

Writes take time, and the log goes on changing meanwhile. So an entry is in one of three states:

        durable        being written      waiting
    ... . . . . . . . | o o o o o o o o | x x x x
                       ^                 ^        ^
                       offset            offset_  last + 1
                                         in_progress

and moves to the left as it is handed out (:meth:`Unstable.accept_in_progress`) and acknowledged
(:meth:`Unstable.stable_to`). A truncation moves both borders back, to the first replaced entry at most.
"""

cimport cython

from raftcore.base.types cimport index_t
from raftcore.values.message cimport Snapshot


@cython.final
cdef class Unstable:
    """Borders of the unstable part of one log; made with the first index that is not durable.

    Attributes:
        offset: first index that is not durable.
        offset_in_progress: first index that is not handed out to be written yet.
        snapshot: the restored Snapshot, until it is durable; else None.
        snapshot_in_progress: it has been handed out to be written.
        rewrites: how often entries were replaced in a way that lets one of the same index and term come after it.
    """

    def __cinit__(self, index_t offset):
        self.offset = offset
        self.offset_in_progress = offset
        self.snapshot = None
        self.snapshot_in_progress = False
        self.rewrites = 0

    cpdef void accept_in_progress(self, index_t last) noexcept:
        """Entries up to ``last``, the log's last index, and the snapshot, if any, are being written from now on."""
        accept_in_progress(self, last)

    cpdef void stable_to(self, index_t index) noexcept:
        """Entries up to ``index`` are durable; ``index`` is at least ``offset`` and names an entry of the log."""
        stable_to(self, index)

    cpdef void stable_snapshot_to(self, index_t index) noexcept:
        """The snapshot at ``index`` is durable; without effect if another one has taken its place."""
        if self.snapshot is not None and self.snapshot.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    cpdef void restore(self, Snapshot snapshot):
        """The log has become ``snapshot``: no entry is unstable, the snapshot is. TypeError for None."""
        if snapshot is None:
            raise TypeError("snapshot must be a Snapshot, got None")
        self.offset = snapshot.index + 1
        self.offset_in_progress = self.offset
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    cpdef void truncate_and_append(self, index_t first) noexcept:
        """Entries were put into the log from ``first`` on, at most one behind its last.

        Behind the last entry: neither border moves. At or before ``offset``: all that is unstable is new. In between:
        what was being written before ``first`` still is; from ``first`` on it has to be written again.
        """
        truncate_and_append(self, first)

    cdef Unstable clone(self):
        cdef Unstable copy = Unstable.__new__(Unstable, self.offset)
        copy.offset_in_progress = self.offset_in_progress
        copy.snapshot = self.snapshot
        copy.snapshot_in_progress = self.snapshot_in_progress
        copy.rewrites = self.rewrites
        return copy
