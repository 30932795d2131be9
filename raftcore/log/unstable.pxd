# Which entries are not durable yet, and which of those are being written; acknowledged by (term, index).
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t
from raftcore.values.message cimport Snapshot

cdef class Unstable:
    # Bookkeeping only: the entries themselves live in RaftLog's window, which says where they end.
    #   1. offset <= offset_in_progress <= last index + 1
    #   2. snapshot_in_progress only while there is a snapshot
    cdef readonly index_t offset                # first index that is not durable
    cdef readonly index_t offset_in_progress    # first index that is not handed to storage yet
    cdef readonly Snapshot snapshot             # restored but not durable; None when there is none
    cdef readonly bint snapshot_in_progress     # it has been handed to storage
    # How often entries were replaced in a way that lets one of the same index and term come after it. Storage may have
    # been given the former one, so a confirmation counts only while this is what it was when the write was handed out.
    cdef readonly uint64_t rewrites

    # Everything handed out up to `last` (and the snapshot) is being written from now on.
    cpdef void accept_in_progress(self, index_t last) noexcept
    # Entries up to `index` are durable. The caller has checked the acknowledgement against the log.
    cpdef void stable_to(self, index_t index) noexcept
    cpdef void stable_snapshot_to(self, index_t index) noexcept
    # The log is the snapshot and nothing else.
    cpdef void restore(self, Snapshot snapshot)
    # Entries were put into the log from `first` on.
    cpdef void truncate_and_append(self, index_t first) noexcept
    cdef Unstable clone(self)


# Methods of Unstable for the log, under the same names: as C functions they are inlined there.
cdef inline void accept_in_progress(Unstable unstable, index_t last) noexcept:
    if unstable.offset <= last:
        unstable.offset_in_progress = last + 1
    if unstable.snapshot is not None:
        unstable.snapshot_in_progress = True


cdef inline void stable_to(Unstable unstable, index_t index) noexcept:
    unstable.offset = index + 1
    if unstable.offset_in_progress < unstable.offset:
        unstable.offset_in_progress = unstable.offset


cdef inline void truncate_and_append(Unstable unstable, index_t first) noexcept:
    if first < unstable.offset:
        unstable.offset = first
    if first < unstable.offset_in_progress:
        unstable.offset_in_progress = first
