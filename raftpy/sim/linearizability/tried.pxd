cimport cython
from libc.stdint cimport int32_t, uint64_t


@cython.final
cdef class Tried:
    cdef uint64_t* rows         # one behind the other
    cdef int32_t* chained       # of each row: the next one of its chain, or -1
    cdef int32_t* heads         # of each chain: its first row, or -1
    cdef uint64_t mask          # one less than the number of chains, a power of two
    cdef int32_t same           # so many words of a row must be the same,
    cdef int32_t width          # and of the others, up to here, each bit set here must be set there
    cdef int32_t count
    cdef int32_t room

    cdef int add(self, const uint64_t* row) except -1
    cdef int grow(self) except -1
