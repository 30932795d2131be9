"""Slices: entries of the window as blocks, in one bytes object each.

A new block begins wherever term, log time or kind changes. Sizing and writing are two passes over plain arrays, so
that the bytes object is allocated once, with its exact size; payloads that lie together in memory go in one copy.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cimport cython

from raftcore.base.bytes cimport load32, store32
from raftcore.base.types cimport index_t
from raftcore.log.term_runs cimport run_end, runs_at, runs_find
from raftcore.log.window cimport EntryRef, chunk_bytes, ref_kind, ref_length, window_at
from raftcore.values.block cimport (
    BLOCK_HEADER_SIZE, LENGTH_SIZE, BlockHeader, block_size, read_block_header, write_block_header,
)
from raftcore.values.entries cimport Entries

#: Bytes that an entry counts for beside its payload while it is being applied.
OVERHEAD = <int> APPLYING_OVERHEAD

# Where a walk along the log stands: the next entry, and the runs that hold it.
cdef struct Walk:
    index_t at
    Py_ssize_t term
    Py_ssize_t time


cdef inline void walk_begin(const LogView* log, index_t lo, Walk* walk) noexcept nogil:
    walk.at = lo
    walk.term = runs_find(log.terms, lo)
    walk.time = runs_find(log.times, lo)


# Fills the header of the block that begins at walk.at (first, term, time_ms, kind) and returns where it must end at
# the latest, as far as term and time decide. walk.at < hi.
cdef inline index_t walk_block(const LogView* log, Walk* walk, index_t hi, BlockHeader* header) noexcept nogil:
    cdef index_t bound = hi
    cdef index_t end
    while run_end(log.terms, walk.term, hi) <= walk.at:
        walk.term += 1
    while run_end(log.times, walk.time, hi) <= walk.at:
        walk.time += 1
    end = run_end(log.terms, walk.term, hi)
    if end < bound:
        bound = end
    end = run_end(log.times, walk.time, hi)
    if end < bound:
        bound = end
    if bound - walk.at > UINT32_MAX:
        bound = walk.at + UINT32_MAX
    header.first = walk.at
    header.term = runs_at(log.terms, walk.term).value
    header.time_ms = runs_at(log.times, walk.time).value
    header.kind = ref_kind(window_at(log.window, walk.at))
    header.reserved = 0
    header.count = 0
    header.payload_size = 0
    return bound


cdef void slice_measure(const LogView* log, index_t lo, index_t hi, uint64_t limit, Measure measure,
                        bint at_least_one, SliceSize* out) noexcept nogil:
    cdef uint64_t for_block = BLOCK_HEADER_SIZE if measure == ENCODED else 0
    cdef uint64_t for_entry = LENGTH_SIZE if measure == ENCODED else APPLYING_OVERHEAD
    cdef uint64_t used = 0
    cdef uint64_t cost, total
    cdef uint64_t last_time = 0
    cdef uint32_t count
    cdef bint full = False
    cdef index_t bound
    cdef BlockHeader header
    cdef EntryRef* ref
    cdef Walk walk
    out.bytes = 0
    out.payload_bytes = 0
    out.blocks = 0
    walk_begin(log, lo, &walk)
    while walk.at < hi and not full:
        bound = walk_block(log, &walk, hi, &header)
        if header.time_ms < last_time:
            break  # only behind a restored snapshot, whose time is not known: blocks of one slice never go back
        ref = window_at(log.window, walk.at)
        count = 0
        total = 0
        while walk.at + count < bound and ref_kind(ref) == header.kind:
            if total + ref_length(ref) > UINT32_MAX:  # what a block's header can say
                break
            cost = for_entry + ref_length(ref)
            if count == 0:
                cost += for_block
            if cost > limit - used and not (at_least_one and walk.at + count == lo):
                full = True
                break
            used = limit if cost > limit - used else used + cost
            total += ref_length(ref)
            count += 1
            ref += 1
        if count:
            out.blocks += 1
            out.bytes += BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> count + total
            out.payload_bytes += total
            last_time = header.time_ms
            walk.at += count
    out.end = walk.at


# Lengths and payloads of header.count entries from `ref` on.
cdef void write_entries(const EntryRef* ref, uint32_t count, uint8_t* lengths) noexcept nogil:
    cdef uint8_t* to = lengths + LENGTH_SIZE * <uint64_t> count
    cdef const uint8_t* begin = NULL  # of payloads that lie together
    cdef const uint8_t* end = NULL
    cdef const uint8_t* at
    cdef uint32_t i, length
    for i in range(count):
        length = ref_length(ref + i)
        store32(lengths + LENGTH_SIZE * <uint64_t> i, length)
        if length == 0:
            continue
        at = chunk_bytes(ref[i].chunk) + ref[i].offset
        if at != end:
            if begin != NULL:
                memcpy(to, begin, end - begin)
                to += end - begin
            begin = at
        end = at + length
    if begin != NULL:
        memcpy(to, begin, end - begin)


cdef void slice_write(const LogView* log, index_t lo, index_t end, uint8_t* to) noexcept nogil:
    cdef BlockHeader header
    cdef EntryRef* first
    cdef EntryRef* ref
    cdef index_t bound
    cdef uint64_t total
    cdef Walk walk
    walk_begin(log, lo, &walk)
    while walk.at < end:
        bound = walk_block(log, &walk, end, &header)
        first = ref = window_at(log.window, walk.at)
        total = 0
        while (walk.at + header.count < bound and ref_kind(ref) == header.kind
               and total + ref_length(ref) <= UINT32_MAX):
            total += ref_length(ref)
            header.count += 1
            ref += 1
        header.payload_size = <uint32_t> total
        write_block_header(to, &header)
        write_entries(first, header.count, to + BLOCK_HEADER_SIZE)
        to += block_size(&header)
        walk.at += header.count


cdef uint64_t applying_prefix(Entries entries, uint64_t limit) noexcept:
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(entries.data)
    cdef const uint8_t* end = at + PyBytes_GET_SIZE(entries.data)
    cdef BlockHeader header
    cdef uint64_t used = 0
    cdef uint64_t fit = 0
    cdef uint64_t cost
    cdef uint32_t i
    while at < end:
        read_block_header(at, &header)
        for i in range(header.count):
            cost = APPLYING_OVERHEAD + load32(at + BLOCK_HEADER_SIZE + LENGTH_SIZE * <uint64_t> i)
            if fit and (used >= limit or cost > limit - used):
                return fit
            used += cost
            fit += 1
        at += block_size(&header)
    return fit


cdef uint64_t last_time_of(Entries entries) noexcept:
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(entries.data)
    cdef const uint8_t* end = at + PyBytes_GET_SIZE(entries.data)
    cdef BlockHeader header
    header.time_ms = 0
    while at < end:
        read_block_header(at, &header)
        at += block_size(&header)
    return header.time_ms


@cython.final
cdef class SliceCache:
    """The last few slices, while the entries they were cut from have not been replaced."""

    def __cinit__(self):
        cdef int i
        self.slices = [None] * CACHE_SLOTS
        self.oldest = 0
        self.first_last = UINT64_MAX
        for i in range(CACHE_SLOTS):
            self.keys[i].end = 0

    cdef Entries answer(self, index_t lo, index_t hi, uint64_t limit, Measure measure):
        cdef Entries entries
        if self.first_last == UINT64_MAX:
            return None  # there is none
        entries = self.cut(lo, hi)
        if entries is not None:
            # All of it is the longest slice there can be, provided that it fits.
            if fits(entries, limit, measure):
                return entries
        return self.asked(lo, hi, limit, measure)

    cdef Entries asked(self, index_t lo, index_t hi, uint64_t limit, Measure measure):
        """The answer to the very same question, or None."""
        cdef SliceKey* key
        cdef int i
        for i in range(CACHE_SLOTS):
            key = &self.keys[i]
            if key.end and key.lo == lo and key.hi == hi and key.limit == limit and key.measure == measure:
                return <Entries> self.slices[i]
        return None

    cdef Entries cut(self, index_t lo, index_t end):
        """The slice of exactly [lo, end), or None."""
        cdef int i = self.oldest
        if self.first_last == UINT64_MAX:
            return None
        for _ in range(CACHE_SLOTS):  # the newest first
            i = (i - 1) & (CACHE_SLOTS - 1)
            if self.keys[i].end == end and self.keys[i].lo == lo:
                return <Entries> self.slices[i]
        return None

    cdef void keep(self, index_t lo, index_t hi, uint64_t limit, Measure measure, Entries entries) noexcept:
        cdef SliceKey* key = &self.keys[self.oldest]
        key.lo = lo
        key.hi = hi
        key.limit = limit
        key.measure = measure
        key.end = entries.first + entries.count
        self.first_last = min(self.first_last, key.end - 1)
        self.slices[self.oldest] = entries
        self.oldest = (self.oldest + 1) & (CACHE_SLOTS - 1)

    cdef void forget(self, int slot) noexcept:
        self.keys[slot].end = 0
        self.slices[slot] = None

    cdef void forget_from(self, index_t index) noexcept:
        # hi, not end: an entry that did not fit may be replaced by one that does
        cdef int i
        for i in range(CACHE_SLOTS):
            if self.keys[i].end and self.keys[i].hi > index:
                self.forget(i)

    cdef void forget_through(self, index_t index) noexcept:
        cdef int i
        if index < self.first_last:
            return
        self.first_last = UINT64_MAX
        for i in range(CACHE_SLOTS):
            if self.keys[i].end and self.keys[i].end - 1 <= index:
                self.forget(i)
            elif self.keys[i].end:
                self.first_last = min(self.first_last, self.keys[i].end - 1)

    cdef void forget_begun(self, index_t index) noexcept:
        cdef int i
        for i in range(CACHE_SLOTS):
            if self.keys[i].end and self.keys[i].lo <= index:
                self.forget(i)

    cdef uint64_t memory(self) noexcept:
        cdef uint64_t total = 0
        cdef int i
        for i in range(CACHE_SLOTS):
            if self.keys[i].end:
                total += <uint64_t> PyBytes_GET_SIZE((<Entries> self.slices[i]).data)
        return total
