# Where the records of the logs lie, without an object for each.
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    KEY_SIZE = 17           # keys.py: a tag, the group, the index of the record's first entry

cdef struct Record:
    uint64_t first          # index of its first entry
    uint64_t segment
    uint32_t offset         # bytes: of its value in the segment's write-ahead file
    uint32_t size           # of the value

# What a start has read of a record's block.
cdef struct Seen:
    uint64_t first
    uint64_t term
    uint64_t time_ms
    uint32_t count          # entries
    uint32_t kind           # of all its entries
    uint32_t behind         # bytes behind the block

cdef class Log:
    cdef uint64_t group
    cdef Record* records    # ascending by first; those that count begin at `head`
    cdef Seen* seen         # likewise, one for each; NULL once a start is over
    cdef size_t head, count, capacity
    cdef size_t seen_head, seen_capacity

    cdef size_t position(self, uint64_t first) noexcept
    cdef bint holds(self, size_t at, uint64_t first) noexcept
    # Likewise; the number of records where there is none.
    cdef size_t find(self, uint64_t first) noexcept
    cdef int insert(self, size_t at, const Record* record, const Seen* seen) except -1
    cdef void cut_out(self, size_t at, size_t count) noexcept

cdef class Places:
    cdef dict _logs         # by group
    cdef readonly dict live
    cdef bint _starting

    cdef Log log_of(self, uint64_t group)
    cdef int count_out(self, Log log, size_t count) except -1
    cdef int take(self, uint64_t group, const Record* record, const Seen* seen) except -1
    cdef int drop(self, uint64_t group, uint64_t first) except -1

# Whether the key_size bytes at `key` are the key of a record of a log; then its group and the index of its first entry.
cdef bint parse_record_key(const unsigned char* key, Py_ssize_t key_size, uint64_t* group, uint64_t* first) noexcept
# The key of a record.
cdef void write_record_key(unsigned char* key, uint64_t group, uint64_t first) noexcept nogil
