# A number for each index of the log, stored as runs: terms of the whole log, log times of the window.
from libc.stdint cimport uint64_t

from raftcore.base.growable cimport make_room
from raftcore.base.types cimport index_t

cdef struct Run:
    index_t first     # the run begins here and ends before the next run's first
    uint64_t value

# A growable array of runs with room at the front, so that dropping old runs costs nothing per run that stays.
#   1. first rises strictly from run to run
#   2. neighbouring runs have different values, so a run ends exactly where the value changes
cdef struct Runs:
    Run* items        # the allocation
    size_t head       # position of the first run in items
    size_t count      # runs
    size_t capacity   # runs that items has room for

cdef void runs_init(Runs* runs) noexcept nogil
cdef void runs_free(Runs* runs) noexcept nogil
# Position of the run that holds index, or -1 when index lies before the first run.
cdef Py_ssize_t runs_search(const Runs* runs, index_t index) noexcept nogil
# Forgets everything from index on.
cdef void runs_truncate(Runs* runs, index_t index) noexcept nogil
# Forgets everything before index; the run that holds index begins there now.
cdef void runs_drop_before(Runs* runs, index_t index) noexcept nogil
cdef void runs_clear(Runs* runs) noexcept nogil
# Makes `runs` (initialised, empty) a copy of `source`. False: out of memory.
cdef bint runs_copy(Runs* runs, const Runs* source) noexcept nogil

# What is wrong with runs that should cover first to last; None when nothing is.
cdef str runs_fault(const Runs* runs, index_t first, index_t last)

cdef inline Run* runs_at(const Runs* runs, size_t position) noexcept nogil:
    return runs.items + runs.head + position

cdef inline Run* runs_last(const Runs* runs) noexcept nogil:
    return runs.items + runs.head + runs.count - 1

# Room for `extra` more runs, so that as many runs_add cannot fail. False: out of memory, nothing changed.
cdef inline bint runs_reserve(Runs* runs, size_t extra) noexcept nogil:
    if runs.head + runs.count + extra <= runs.capacity:
        return True
    return make_room(<void**> &runs.items, &runs.head, &runs.capacity, runs.count, extra, sizeof(Run))

# The value from index `first` on; no new run when it is the last run's value. Room has been reserved.
cdef inline void runs_add(Runs* runs, index_t first, uint64_t value) noexcept nogil:
    cdef Run* run = runs.items + runs.head + runs.count
    if runs.count and (run - 1).value == value:
        return
    run.first = first
    run.value = value
    runs.count += 1

# As runs_search; nearly every question is about the end of the log.
cdef inline Py_ssize_t runs_find(const Runs* runs, index_t index) noexcept nogil:
    if runs.count and runs_last(runs).first <= index:
        return <Py_ssize_t> (runs.count - 1)
    return runs_search(runs, index)

# First index after the run at `position`, when the log ends before `stop`.
cdef inline index_t run_end(const Runs* runs, size_t position, index_t stop) noexcept nogil:
    if position + 1 < runs.count:
        return runs.items[runs.head + position + 1].first
    return stop
