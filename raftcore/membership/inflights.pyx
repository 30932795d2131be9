"""The window of append messages that are on their way to one follower.

A leader that pipelines (thesis 10.2.1) sends on before it has heard of the last message; this window bounds how far
ahead it gets, in messages and in bytes. It is a ring: messages leave in the order in which they entered, and one
acknowledgement frees every message up to its index.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from raftcore.base.types cimport index_t

from raftcore.base.errors import InvariantViolation


cdef class Inflights:
    """Inflights(size, max_bytes=0): at most ``size`` messages; paused from ``max_bytes`` bytes on, 0 for no limit.

    Raises ValueError for a size below 1. ``count`` and ``bytes`` are those of the messages on their way.
    """

    def __cinit__(self, int size, uint64_t max_bytes=0):
        if size < 1:
            raise ValueError(f"inflight window of {size} messages: it must hold at least 1")
        self.size = size
        self.max_bytes = max_bytes
        self.ring = NULL

    def __dealloc__(self):
        free(self.ring)

    cdef int grow(self) except -1:
        # Doubles, so that a window that never fills never costs what it could hold.
        cdef int room = min(max(self.capacity, 2), self.size - self.capacity)
        cdef int capacity = self.capacity + room
        cdef Inflight* ring = <Inflight*> realloc(self.ring, <size_t> capacity * sizeof(Inflight))
        if ring == NULL:
            raise MemoryError
        self.ring = ring
        # The ring is full here: what wrapped around to the front moves behind the old end, in pieces that fit.
        cdef int wrapped = self.start, i
        for i in range(min(wrapped, room)):
            ring[self.capacity + i] = ring[i]
        for i in range(room, wrapped):
            ring[i - room] = ring[i]
        self.capacity = capacity
        return 0

    cpdef int add(self, index_t index, uint64_t bytes) except -1:
        """Note a message whose last entry is ``index``. InvariantViolation when the window is full."""
        if self.is_full():
            raise InvariantViolation(f"message up to {index} added to a full window of {self.count}")
        if self.count == self.capacity:
            self.grow()
        # start + count stays below 2 * capacity, which may pass what an int holds.
        cdef long long at = <long long> self.start + self.count
        if at >= self.capacity:
            at -= self.capacity
        self.ring[at].index = index
        self.ring[at].bytes = bytes
        self.count += 1
        self.bytes += bytes
        return 0

    cpdef void free_le(self, index_t index) noexcept:
        """Free every message whose last entry is at or below ``index``."""
        while self.count > 0 and self.ring[self.start].index <= index:
            self.bytes -= self.ring[self.start].bytes
            self.count -= 1
            self.start += 1
            if self.start == self.capacity:
                self.start = 0
        if self.count == 0:
            self.start = 0

    cpdef bint is_full(self) noexcept:
        """True when no further message may be sent."""
        return is_full(self)

    cpdef void reset(self) noexcept:
        """Forget every message."""
        self.start = 0
        self.count = 0
        self.bytes = 0

    cpdef Inflights clone(self):
        """A copy that shares nothing."""
        cdef Inflights copy = Inflights(self.size, self.max_bytes)
        cdef int first = min(self.count, self.capacity - self.start)
        if self.count:
            copy.ring = <Inflight*> malloc(self.count * sizeof(Inflight))
            if copy.ring == NULL:
                raise MemoryError
            memcpy(copy.ring, self.ring + self.start, first * sizeof(Inflight))
            memcpy(copy.ring + first, self.ring, (self.count - first) * sizeof(Inflight))
            copy.capacity = self.count
            copy.count = self.count
            copy.bytes = self.bytes
        return copy

    def messages(self):
        """The messages on their way, oldest first, as (index of the last entry, bytes)."""
        cdef list found = []
        cdef long long at = self.start
        for _ in range(self.count):
            found.append((self.ring[at].index, self.ring[at].bytes))
            at += 1
            if at == self.capacity:
                at = 0
        return found

    def __repr__(self):
        return f"Inflights(size={self.size}, max_bytes={self.max_bytes}, messages={self.messages()})"
