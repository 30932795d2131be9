# The window of append messages that are on their way to one follower.
from libc.stdint cimport uint64_t

from raftcore.types cimport index_t

cdef struct Inflight:
    index_t index     # last entry in the message
    uint64_t bytes

cdef class Inflights:
    # A ring of at most `size` messages and `max_bytes` bytes; oldest first, indexes never decrease.
    cdef readonly int size             # limit in messages
    cdef readonly uint64_t max_bytes   # limit in bytes, 0 for none
    cdef readonly int count
    cdef readonly uint64_t bytes
    cdef int start
    cdef int capacity                  # allocated slots; grows on demand up to size
    cdef Inflight* ring

    cdef int add(self, index_t index, uint64_t bytes) except -1
    cdef void free_le(self, index_t index) noexcept
    cdef bint full(self) noexcept
    cdef void reset(self) noexcept
    cdef Inflights clone(self)
