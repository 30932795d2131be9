"""What a search has tried without success: Lowe's memory of sets of operations and states, as rows of words."""
cimport cython
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

cdef enum:
    FIRST_ROOM = 256


cdef inline uint64_t hashed(const uint64_t* row, int32_t words) noexcept nogil:
    # Multiplying by an odd number carries upward only, so the upper half is folded down each time.
    cdef uint64_t mixed = 0x9E3779B97F4A7C15
    cdef int32_t i
    for i in range(words):
        mixed = (mixed ^ row[i]) * <uint64_t> 0xD6E8FEB86659FD93
        mixed ^= mixed >> 32
    return mixed


@cython.final
cdef class Tried:
    """Rows of ``same`` words and behind them ``others``: a set, as bits. ``len()``: how many there are."""

    def __cinit__(self, int32_t same, int32_t others):
        self.same = same
        self.width = same + others

    def __dealloc__(self):
        free(self.rows)
        free(self.chained)
        free(self.heads)

    def __len__(self):
        return self.count

    cdef int add(self, const uint64_t* row) except -1:
        # Whether there was no row yet that is the same with no more in its set. Only then it is added.
        cdef int32_t at, i
        cdef const uint64_t* other
        cdef int32_t* head
        if self.count == self.room:
            self.grow()
        head = &self.heads[hashed(row, self.same) & self.mask]
        at = head[0]
        while at >= 0:
            other = self.rows + <size_t> at * self.width
            if memcmp(other, row, self.same * sizeof(uint64_t)) == 0:
                for i in range(self.same, self.width):
                    if other[i] & ~row[i]:
                        break
                else:
                    return False
            at = self.chained[at]
        memcpy(self.rows + <size_t> self.count * self.width, row, self.width * sizeof(uint64_t))
        self.chained[self.count] = head[0]
        head[0] = self.count
        self.count += 1
        return True

    cdef int grow(self) except -1:
        cdef int32_t room = 2 * self.room if self.room else FIRST_ROOM
        cdef uint64_t* rows = <uint64_t*> realloc(self.rows, <size_t> room * self.width * sizeof(uint64_t))
        if rows:
            self.rows = rows
        cdef int32_t* chained = <int32_t*> realloc(self.chained, room * sizeof(int32_t))
        if chained:
            self.chained = chained
        cdef int32_t* heads = <int32_t*> realloc(self.heads, room * sizeof(int32_t))
        if heads:
            self.heads = heads
        if not (rows and chained and heads):
            raise MemoryError
        self.room = room
        self.mask = <uint64_t> room - 1
        memset(self.heads, 0xFF, room * sizeof(int32_t))
        cdef int32_t i
        cdef uint64_t chain
        for i in range(self.count):
            chain = hashed(self.rows + <size_t> i * self.width, self.same) & self.mask
            self.chained[i] = self.heads[chain]
            self.heads[chain] = i
        return 0
