"""Runs: a number for each index of the log in memory that depends on how often it changes, not on the log's length.

A struct kernel for :mod:`raftcore.log.log`; nothing here is visible from Python.
"""

from libc.stdlib cimport free
from libc.string cimport memcpy

from raftcore.base.types cimport index_t


cdef void runs_init(Runs* runs) noexcept nogil:
    runs.items = NULL
    runs.head = 0
    runs.count = 0
    runs.capacity = 0


cdef void runs_free(Runs* runs) noexcept nogil:
    free(runs.items)
    runs_init(runs)


cdef void runs_clear(Runs* runs) noexcept nogil:
    runs.head = 0
    runs.count = 0


cdef Py_ssize_t runs_search(const Runs* runs, index_t index) noexcept nogil:
    cdef const Run* items = runs.items + runs.head
    cdef size_t low = 0
    cdef size_t high = runs.count
    cdef size_t middle
    if high == 0 or index < items[0].first:
        return -1
    while high - low > 1:               # items[low].first <= index < items[high].first
        middle = low + (high - low) // 2
        if items[middle].first <= index:
            low = middle
        else:
            high = middle
    return <Py_ssize_t> low


cdef void runs_truncate(Runs* runs, index_t index) noexcept nogil:
    while runs.count and runs_last(runs).first >= index:
        runs.count -= 1


cdef void runs_drop_before(Runs* runs, index_t index) noexcept nogil:
    cdef Py_ssize_t position = runs_find(runs, index)
    if position < 0:
        return
    runs.head += <size_t> position
    runs.count -= <size_t> position
    runs_at(runs, 0).first = index


cdef bint runs_copy(Runs* runs, const Runs* source) noexcept nogil:
    if source.count == 0:
        return True
    if not runs_reserve(runs, source.count):
        return False
    memcpy(runs.items, source.items + source.head, source.count * sizeof(Run))
    runs.count = source.count
    return True


cdef str runs_fault(const Runs* runs, index_t first, index_t last):
    cdef size_t i
    if runs.head + runs.count > runs.capacity:
        return f"{runs.head} + {runs.count} runs in room for {runs.capacity}"
    if runs.count == 0:
        return f"no runs for {first} to {last}"
    if runs_at(runs, 0).first != first or runs_last(runs).first > last:
        return f"runs from {runs_at(runs, 0).first} to {runs_last(runs).first} for {first} to {last}"
    for i in range(1, runs.count):
        if runs_at(runs, i).first <= runs_at(runs, i - 1).first:
            return f"run at {runs_at(runs, i).first} behind the one at {runs_at(runs, i - 1).first}"
        if runs_at(runs, i).value == runs_at(runs, i - 1).value:
            return f"run at {runs_at(runs, i).first} repeats {runs_at(runs, i).value}"
    return None
