# The window of append messages that are on their way to one follower.
cimport cython
from libc.stdint cimport uint64_t

from raftcore.base.types cimport index_t

cdef struct Inflight:
    index_t index     # last entry in the message
    uint64_t bytes


@cython.final
cdef class Inflights:
    # A ring of at most `size` messages and about `max_bytes` bytes; oldest first, indexes never decrease.
    #   1. count <= capacity <= size;  bytes is the sum over the `count` messages from `start` on
    #   2. the message that crosses max_bytes is still let in: a message larger than the limit must be sendable
    cdef readonly int size             # limit in messages
    cdef readonly uint64_t max_bytes   # limit in bytes, 0 for none
    cdef readonly int count
    cdef readonly uint64_t bytes
    cdef int start
    cdef int capacity                  # allocated slots; grows on demand up to size
    cdef Inflight* ring

    cdef int grow(self) except -1
    cpdef int add(self, index_t index, uint64_t bytes) except -1
    cpdef void free_le(self, index_t index) noexcept
    cpdef bint is_full(self) noexcept
    cpdef void reset(self) noexcept
    cpdef Inflights clone(self)


# The method of Inflights for the core's own modules, under the same name: as a C function it is inlined there.
cdef inline bint is_full(Inflights inflights) noexcept:
    return inflights.count == inflights.size or (inflights.max_bytes != 0 and inflights.bytes >= inflights.max_bytes)
