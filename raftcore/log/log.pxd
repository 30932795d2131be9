# RaftLog: the log as the algorithm sees it. Its entries, and how far they are durable, committed and applied.
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t, term_t
from raftcore.log.log_entries cimport LogEntries
from raftcore.log.unstable cimport Unstable
from raftcore.values.entries cimport Entries
from raftcore.values.message cimport Snapshot

cdef class RaftLog(LogEntries):
    # Invariants (all of them: log.check()):
    #   1. applied <= applying <= committed <= last
    #   2. snapshot_index <= applied, except while a restored snapshot is not durable and applied yet
    #   3. snapshot_index < window.first <= unstable.offset: what is not in memory is durable, and can be read back
    #   4. awaits_entries: what is to be applied next is committed, and is not in memory
    #   5. awaits_state: applied <= snapshot_index
    cdef readonly index_t committed         # highest index known to be on a quorum's stable storage
    cdef readonly index_t applying          # highest index handed out to be applied
    cdef readonly index_t applied           # highest index applied
    cdef readonly Unstable unstable         # what is not durable yet
    cdef readonly uint64_t max_applying_bytes  # bound on applying_bytes; one entry always passes
    cdef readonly uint64_t applying_bytes   # applying_size of what is handed out and not applied
    cdef readonly bint applying_paused      # nothing is handed out until something is applied
    cdef readonly bint awaits_entries       # the storage is reading what is to be applied next
    cdef readonly bint awaits_state         # the state machine has no state yet that the log goes on from
    cdef readonly uint64_t window_max_bytes    # bytes in memory (payload, overhead) from which durable, applied ones go
    cdef readonly uint64_t window_max_entries

    cpdef bint is_up_to_date(self, index_t index, term_t term) noexcept
    cpdef index_t append(self, Entries entries) except? 0
    cpdef index_t append_commands(self, object commands, term_t term, int kind, uint64_t time_ms,
                                  uint64_t limit=?) except? 0
    cpdef int commit_to(self, index_t index) except -1
    cpdef bint maybe_commit(self, index_t index, term_t term) except -1
    cpdef bint has_next_committed(self, bint allow_unstable) noexcept
    cpdef Entries next_committed(self, bint allow_unstable)
    cpdef void entries_at_hand(self) noexcept
    cpdef int accept_applying(self, index_t index, uint64_t size, bint allow_unstable) except -1
    cpdef int applied_to(self, index_t index, uint64_t size) except -1
    cpdef bint has_next_unstable(self) noexcept
    cpdef Entries next_unstable(self)
    cpdef Snapshot next_unstable_snapshot(self)
    cpdef bint has_next_or_in_progress_snapshot(self) noexcept
    cpdef bint has_next_or_in_progress_unstable(self) noexcept
    cpdef int accept_unstable(self) except -1
    cdef Entries unstable_piece(self, index_t first)
    cdef uint64_t room_to_apply(self) except 0
    cdef Entries committed_piece(self, index_t first, uint64_t handed)
    cpdef int stable_to(self, index_t index, term_t term) except -1
    cpdef int stable_snapshot_to(self, index_t index) except -1
    cpdef int restore(self, Snapshot snapshot, bint awaits_state=?) except -1
    cpdef bint state_fits(self, index_t index, term_t term) except -1
    cpdef bint state_restored(self, index_t index, term_t term) except -1
    cpdef int compact(self, index_t index) except -1
    cpdef Snapshot snapshot(self)
    cpdef RaftLog clone(self, object storage=?)
    # Bytes that are the same for logs with the same entries and the same standing.
    cpdef bytes fingerprint(self)
    cpdef int check(self) except -1
    cdef int check_bounds(self) except -1

    cdef int _add(self, Entries entries, index_t begin) except -1
    cdef int _replace(self, Entries entries, index_t begin) except -1
    cdef void _trim(self) noexcept
    cdef void _evict(self, index_t through) noexcept
    cdef uint64_t _window_bytes(self) noexcept


# What a node finds in its storage when it starts (InitialState), with its settings (Config), as its log. ConfigError
# when they do not fit together.
cdef RaftLog log_of(object config, object initial, object storage)


# What follows are methods of a RaftLog for the core's own modules, under the names that they have for Python: as C
# functions they are inlined there, or give a second result without a tuple for it.

# A leader's append: entries (or None) that begin at prev + 1, and its commit index.
#
# False, and nothing is done, when this log has no such predecessor. Otherwise entries that are missing are appended,
# from the first conflict on (what is there already is not touched: the message may be an old one), the commit index
# moves up to min(commit, last new entry), and `last_new` is the index of that last entry. Raises PeerFault before
# anything changes when the message contradicts what is committed here.
#
# An entry of the same term and with other contents is a conflict too, behind the index `kept`. It can only come about
# where a term had two leaders.
cdef bint maybe_append(RaftLog log, index_t prev, term_t prev_term, index_t commit, Entries entries, index_t kept,
                       index_t* last_new) except -1


# Are there entries to be written that were not handed out yet?
cdef inline bint has_next_unstable(RaftLog log) noexcept:
    return log.unstable.offset_in_progress <= log._last


# Are there entries that are not durable?
cdef inline bint has_next_or_in_progress_unstable(RaftLog log) noexcept:
    return log.unstable.offset <= log._last


# How far entries may be applied: only durable ones unless `allow_unstable`.
cdef inline index_t max_appliable(RaftLog log, bint allow_unstable) noexcept:
    if allow_unstable or log.committed < log.unstable.offset:
        return log.committed
    return log.unstable.offset - 1


# Would next_committed give anything?
cdef inline bint has_next_committed(RaftLog log, bint allow_unstable) noexcept:
    # Nothing while a restored snapshot waits to be applied: the snapshot has to be applied before any entry.
    if log.applying_paused or log.awaits_entries or log.awaits_state or log.unstable.snapshot is not None:
        return False
    return log.applying < max_appliable(log, allow_unstable)
