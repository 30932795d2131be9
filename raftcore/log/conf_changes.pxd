# Where the configuration changes of a log are, so that nothing has to be read to find one.
from libc.stdint cimport uint32_t

from raftcore.base.types cimport EntryConfChange, EntryConfChangeV2, index_t
from raftcore.log.term_runs cimport Runs, runs_add
from raftcore.log.window cimport Window

#   1. each configuration change of the log behind `unnamed` has a run of its own in `at`, and nothing else has one
#   2. `unnamed` lies before the window
cdef struct ConfChanges:
    Runs at           # a run begins at each, and its value is that index too
    index_t unnamed   # up to here nobody has said which entries are changes; 0 when all is known

# What is known at start: `indexes`, ascending, None when nothing is. Raises ConfigError for what is no part of the log.
cdef int changes_load(ConfChanges* changes, tuple indexes, index_t snapshot_index, index_t last) except -1
# Is one of the entries lo to hi - 1, of those behind `unnamed`, a change?
cdef bint changes_between(const ConfChanges* changes, index_t lo, index_t hi) noexcept nogil
# Forgets everything from index on.
cdef void changes_truncate(ConfChanges* changes, index_t index) noexcept nogil
# Forgets everything up to index.
cdef void changes_forget_through(ConfChanges* changes, index_t index) noexcept nogil
# The log is empty.
cdef void changes_clear(ConfChanges* changes) noexcept nogil

# What is wrong with those of a log that ends at `last`; None when nothing is.
cdef str changes_fault(const ConfChanges* changes, const Window* window, index_t snapshot_index, index_t last)


cdef inline bint is_change(uint32_t kind) noexcept nogil:
    return kind == EntryConfChange or kind == EntryConfChangeV2


# The entries first to stop - 1 are changes. Room for as many runs has been reserved in `at`.
cdef inline void changes_add(ConfChanges* changes, index_t first, index_t stop) noexcept nogil:
    cdef index_t index
    for index in range(first, stop):
        runs_add(&changes.at, index, index)
