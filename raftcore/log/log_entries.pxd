# The entries of a log and their terms: in memory, or behind the storage view.
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, term_t
from raftcore.log.conf_changes cimport ConfChanges
from raftcore.log.pieces cimport Pieces
from raftcore.log.slices cimport LogView, Measure, SliceCache, SliceSize
from raftcore.log.term_runs cimport Run, Runs, runs_last
from raftcore.log.window cimport Window
from raftcore.values.entries cimport Entries

cdef class LogEntries:
    #   1. the terms begin with the snapshot's, and cover everything up to _last; they never decrease
    #   2. the window reaches from its first index, above the snapshot's, to _last; the times cover it
    cdef readonly object storage            # StorageView: entries(lo, hi, max_bytes), snapshot()
    cdef index_t _last                      # index of the last entry, or of the snapshot when there is none
    cdef uint64_t _last_time                # its log time, in milliseconds
    cdef Window _window                     # the entries in memory
    cdef Runs _terms                        # from the snapshot's index to _last
    cdef Runs _times                        # of the window's entries; empty with it
    cdef ConfChanges _changes               # where the configuration changes are
    cdef SliceCache _cache
    cdef Pieces _pieces                     # of the window's entries, in the bytes that they came in

    cpdef index_t first_index(self) noexcept
    cpdef index_t last_index(self) noexcept
    cpdef term_t last_term(self) noexcept
    cpdef uint64_t last_time(self) noexcept
    cpdef term_t term_or_zero(self, index_t index) noexcept
    cpdef bint match_term(self, index_t index, term_t term) noexcept
    cpdef index_t find_conflict(self, Entries entries) except? 0
    cpdef Entries slice(self, index_t lo, index_t hi, uint64_t max_bytes)
    cpdef bint has_pending_conf_change(self, index_t lo, index_t hi) except -1
    cpdef uint64_t memory_bytes(self)
    cpdef list term_runs(self)

    cdef index_t first_other_contents(self, Entries entries, index_t lo, index_t hi, uint64_t most) except? 0
    cdef int _load(self, object storage, index_t snapshot_index, term_t snapshot_term, index_t last_index,
                   tuple term_runs, uint64_t last_time_ms, tuple conf_changes) except -1
    cdef int _put_entries(self, Entries entries, index_t begin) except -1
    cdef int _put_commands(self, object commands, term_t term, int kind, uint64_t time_ms, uint64_t limit) except -1
    cdef void _place_staged(self, index_t first) noexcept
    cdef void _evict_through(self, index_t index) noexcept
    cdef void _forget_through(self, index_t index) noexcept
    cdef void _begin_at(self, index_t index, term_t term, uint64_t time_ms) noexcept
    cdef int _share(self, LogEntries source) except -1
    cdef LogView _view(self) noexcept
    cdef bint _search_term(self, index_t index, term_t* out) noexcept
    cdef Entries _slice(self, index_t lo, index_t hi, uint64_t limit, Measure measure)
    cdef Entries _slice_at_hand(self, index_t lo, index_t hi, index_t durable, uint64_t limit, Measure measure,
                                bint urgent)
    cdef Entries _behind_stored(self, Entries stored, index_t hi, uint64_t limit, Measure measure)
    cdef Entries _from_window(self, index_t lo, index_t hi, uint64_t limit, Measure measure, bint at_least_one)
    cdef Entries _written_out(self, index_t lo, const SliceSize* size)
    cdef int _check_pieces(self) except -1
    cdef Entries _from_storage(self, index_t lo, index_t hi, uint64_t limit, Measure measure)
    cdef Entries _checked(self, object answer, index_t lo, index_t hi, uint64_t limit, Measure measure)
    cdef int _check_entries(self) except -1


# What follows are methods of LogEntries for the core's own modules, under the names that they have for Python: as C
# functions they are inlined there, or give a second result without a tuple for it.

# The term at index, from snapshot_index to last_index(). False outside: compacted, or not there yet.
cdef inline bint term_at(LogEntries log, index_t index, term_t* out) noexcept:
    cdef const Run* run = runs_last(&log._terms)
    if index > log._last:
        return False
    if index >= run.first:  # nearly every question is about the last run
        out[0] = run.value
        return True
    return log._search_term(index, out)


# Is there an entry (or the snapshot) at index with this term? The consistency check of paper 5.3.
cdef inline bint match_term(LogEntries log, index_t index, term_t term) noexcept:
    cdef term_t ours = 0
    return term_at(log, index, &ours) and ours == term


# Are the entries from index on in memory, or may they take time to read?
cdef inline bint in_memory(LogEntries log, index_t index) noexcept:
    return index >= log._window.first


# Where this log may still agree with another one that has `term` at `index`.
#
# The highest index at or below `index` whose term is at most `term`, and that term in `out`; an index whose term is not
# known (compacted, or behind the end) counts as a possible match, with 0 in `out`. Used by both sides after a rejected
# append, to skip whole terms (end of paper 5.3).
cdef index_t find_conflict_by_term(LogEntries log, index_t index, term_t term, term_t* out) noexcept
