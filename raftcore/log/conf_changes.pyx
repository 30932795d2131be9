"""ConfChanges: where the configuration changes of a log are, also of the part of it that is not in memory.

A node that stands for election must know whether one is committed that it has not applied: its vote may be gone (paper
6). The log that it would have to read for that may be gigabytes, and configuration changes are few.

A struct kernel for :mod:`raftcore.log.log_entries`; nothing here is visible from Python.
"""

from raftcore.base.types cimport index_t
from raftcore.log.term_runs cimport runs_at, runs_clear, runs_find, runs_reserve, runs_truncate
from raftcore.log.window cimport Window, ref_kind, window_at

from raftcore.base.errors import ConfigError


cdef int changes_load(ConfChanges* changes, tuple indexes, index_t snapshot_index, index_t last) except -1:
    cdef index_t before = snapshot_index
    cdef index_t index
    changes_clear(changes)
    if indexes is None:
        changes.unnamed = last
        return 0
    if not runs_reserve(&changes.at, <size_t> len(indexes)):
        raise MemoryError(f"{len(indexes)} configuration changes")
    for index in indexes:
        if not before < index <= last:
            raise ConfigError(f"configuration change {index} after {before}: they must ascend, from "
                              f"{snapshot_index + 1} to the last index {last}")
        changes_add(changes, index, index + 1)
        before = index
    return 0


cdef bint changes_between(const ConfChanges* changes, index_t lo, index_t hi) noexcept nogil:
    cdef Py_ssize_t position
    if lo >= hi:
        return False
    position = runs_find(&changes.at, hi - 1)  # the last one before hi
    return position >= 0 and runs_at(&changes.at, <size_t> position).first >= lo


cdef void changes_truncate(ConfChanges* changes, index_t index) noexcept nogil:
    runs_truncate(&changes.at, index)
    changes.unnamed = min(changes.unnamed, index - 1)


cdef void changes_forget_through(ConfChanges* changes, index_t index) noexcept nogil:
    while changes.at.count and runs_at(&changes.at, 0).first <= index:
        changes.at.head += 1
        changes.at.count -= 1


cdef void changes_clear(ConfChanges* changes) noexcept nogil:
    runs_clear(&changes.at)
    changes.unnamed = 0


cdef str changes_fault(const ConfChanges* changes, const Window* window, index_t snapshot_index, index_t last):
    cdef index_t before = max(snapshot_index, changes.unnamed)
    cdef index_t index
    cdef size_t i
    cdef size_t named = 0
    cdef size_t found = 0
    if changes.unnamed >= window.first:
        return f"not known up to {changes.unnamed}, and the window begins at {window.first}"
    for i in range(changes.at.count):
        index = runs_at(&changes.at, i).first
        if not before < index <= last:
            return f"one at {index} after {before}, in a log that ends at {last}"
        before = index
        named += index >= window.first
    for index in range(window.first, last + 1):
        if is_change(ref_kind(window_at(window, index))):
            found += 1
            if not changes_between(changes, index, index + 1):
                return f"the one at {index} is not known"
    return f"{named} are known of the window, which has {found}" if named != found else None
