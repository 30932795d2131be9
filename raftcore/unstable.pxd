# Which entries are not durable yet, and which of those are being written; acknowledged by (term, index).
from raftcore.message cimport Snapshot
from raftcore.types cimport index_t

cdef class Unstable:
    # Bookkeeping only: the entries themselves live in RaftLog's window.
    #   offset <= offset_in_progress <= last index + 1
    cdef readonly index_t offset                # first index that is not durable
    cdef readonly index_t offset_in_progress    # first index that is not handed to storage yet
    cdef readonly Snapshot snapshot             # restored but not durable; None when there is none
    cdef readonly bint snapshot_in_progress
