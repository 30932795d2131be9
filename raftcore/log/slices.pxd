# Entries of the window in block form, and the slices that were made lately.
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.base.lists cimport size_of_bytes
from raftcore.base.types cimport index_t
from raftcore.log.term_runs cimport Runs
from raftcore.log.window cimport Window
from raftcore.values.block cimport BlockHeader
from raftcore.values.entries cimport Entries

cdef enum:
    APPLYING_OVERHEAD = 16  # what an entry counts for, beside its payload, while it is being applied
    CACHE_SLOTS = 4         # a power of two

# How a slice's size is counted against its limit.
cdef enum Measure:
    ENCODED     # bytes of the blocks, headers and lengths included
    APPLYING    # payload bytes and APPLYING_OVERHEAD for each entry

# What a log in memory is made of, for the functions that only read it.
cdef struct LogView:
    const Window* window
    const Runs* terms
    const Runs* times

# What a slice comes to.
cdef struct SliceSize:
    index_t end             # the entry after the last one that fits
    uint64_t bytes          # of its blocks
    uint64_t payload_bytes
    uint32_t blocks

# Sizes the longest slice of [lo, hi) (all in the window) within `limit`; one entry always fits when `at_least_one`.
cdef void slice_measure(const LogView* log, index_t lo, index_t hi, uint64_t limit, Measure measure,
                        bint at_least_one, SliceSize* out) noexcept nogil
# Writes the blocks of [lo, end): as many bytes as slice_measure said for the same end.
cdef void slice_write(const LogView* log, index_t lo, index_t end, uint8_t* to) noexcept nogil
# Would the second block have been written into the first?
cdef inline bint one_block(const BlockHeader* first, const BlockHeader* second) noexcept nogil:
    return first.term == second.term and first.time_ms == second.time_ms and first.kind == second.kind


# How many of the entries fit into `limit` by APPLYING; at least one.
cdef uint64_t applying_prefix(Entries entries, uint64_t limit) noexcept

# Log time of the last of them.
cdef uint64_t last_time_of(Entries entries) noexcept

# What entries count for while they are being applied: the measure of max_committed_size_per_ready.
cdef inline uint64_t applying_size(Entries entries) noexcept:
    return entries.payload_size + APPLYING_OVERHEAD * entries.count

# What was asked for, and where the answer ended.
cdef struct SliceKey:
    index_t lo
    index_t hi
    uint64_t limit
    Measure measure
    index_t end             # 0: the slot is free

# A leader cuts the same entries for every follower and for its own storage: all of them get one bytes object.
cdef class SliceCache:
    cdef SliceKey keys[CACHE_SLOTS]
    cdef list slices        # Entries or None, one for each key
    cdef int oldest         # the slot to be used next
    cdef index_t first_last  # no slice ends before this index; UINT64_MAX: there is none

    cdef void forget(self, int slot) noexcept

    # The longest slice of [lo, hi) within limit, if it is one that was cut or asked for before; else None.
    cdef Entries answer(self, index_t lo, index_t hi, uint64_t limit, Measure measure)
    cdef Entries asked(self, index_t lo, index_t hi, uint64_t limit, Measure measure)
    cdef Entries cut(self, index_t lo, index_t end)
    cdef void keep(self, index_t lo, index_t hi, uint64_t limit, Measure measure, Entries entries) noexcept
    # Forgets slices that were cut from entries at or behind `index`: these entries are being replaced.
    cdef void forget_from(self, index_t index) noexcept
    # Forgets slices that end at or before `index`: nobody is likely to ask again.
    cdef void forget_through(self, index_t index) noexcept
    # Forgets slices that begin at or before `index`.
    cdef void forget_begun(self, index_t index) noexcept
    cdef uint64_t memory(self) noexcept


# Does all of it count for at most `limit`?
cdef inline bint fits(Entries entries, uint64_t limit, Measure measure) noexcept:
    return (<uint64_t> size_of_bytes(<PyObject*> entries.data) if measure == ENCODED
            else applying_size(entries)) <= limit


# The slot that was filled last; and is it of exactly [lo, end)?
cdef inline int newest(SliceCache cache) noexcept:
    return (cache.oldest - 1) & (CACHE_SLOTS - 1)


cdef inline bint is_newest(SliceCache cache, index_t lo, index_t end) noexcept:
    return cache.keys[newest(cache)].end == end and cache.keys[newest(cache)].lo == lo
