# RaftLog: the log as the algorithm sees it. Stable and unstable entries in one window of memory, older ones
# through the storage view; terms of the whole log as runs.
from libc.stdint cimport uint64_t

from raftcore.message cimport Entries, Snapshot
from raftcore.types cimport index_t, term_t
from raftcore.unstable cimport Unstable

cdef class RaftLog:
    # Invariants: snapshot_index <= applied <= applying <= committed <= last; snapshot_index < window_first
    cdef readonly index_t committed   # highest index known to be on a quorum's stable storage
    cdef readonly index_t applying    # highest index handed out to be applied
    cdef readonly index_t applied     # highest index applied
    cdef readonly object storage      # StorageView: entries(lo, hi, max_bytes), snapshot()
    cdef readonly Unstable unstable   # what is not durable yet
    # (H-A adds: chunk list, entry references, term runs, time runs, the one-slot slice cache, applying sizes)

    cdef index_t first_index(self) noexcept
    cdef index_t last_index(self) noexcept
    cdef term_t last_term(self) noexcept
    cdef uint64_t last_time(self) noexcept
    cdef bint term_at(self, index_t index, term_t* out) noexcept
    cdef term_t term_or_zero(self, index_t index) noexcept
    cdef bint match_term(self, index_t index, term_t term) noexcept
    cdef bint is_up_to_date(self, index_t index, term_t term) noexcept
    cdef index_t find_conflict(self, Entries entries) except? 0
    cdef index_t find_conflict_by_term(self, index_t index, term_t term, term_t* out) noexcept
    cdef bint maybe_append(self, index_t prev, term_t prev_term, index_t commit, Entries entries,
                           index_t* last_new) except -1
    cdef index_t append(self, Entries entries) except? 0
    cdef index_t append_commands(self, object commands, term_t term, int kind, uint64_t time_ms) except? 0
    cdef Entries slice(self, index_t lo, index_t hi, uint64_t max_bytes)
    cdef int commit_to(self, index_t index) except -1
    cdef bint maybe_commit(self, index_t index, term_t term) except -1
    cdef bint has_next_committed(self, bint allow_unstable) noexcept
    cdef Entries next_committed(self, bint allow_unstable)
    cdef int accept_applying(self, index_t index, uint64_t size, bint allow_unstable) except -1
    cdef int applied_to(self, index_t index, uint64_t size) except -1
    cdef bint has_next_unstable(self) noexcept
    cdef Entries next_unstable(self)
    cdef Snapshot next_unstable_snapshot(self)
    cdef bint has_next_or_in_progress_snapshot(self) noexcept
    cdef bint has_next_or_in_progress_unstable(self) noexcept
    cdef int accept_unstable(self) except -1
    cdef int stable_to(self, index_t index, term_t term) except -1
    cdef int stable_snapshot_to(self, index_t index) except -1
    cdef int restore(self, Snapshot snapshot) except -1
    cdef int compact(self, index_t index) except -1
    cdef Snapshot snapshot(self)
    cdef bint has_pending_conf_change(self, index_t lo, index_t hi) except -1
