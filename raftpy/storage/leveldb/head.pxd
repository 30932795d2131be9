# The head of a group's log, as of its last batch.
cimport cython
from libc.stdint cimport uint64_t

@cython.final
cdef class Head:
    cdef public uint64_t boot
    cdef public uint64_t term
    cdef public uint64_t vote
    cdef public uint64_t commit
    cdef public uint64_t prev_index
    cdef public uint64_t prev_term
    cdef public uint64_t last_index
    cdef public uint64_t last_term
    cdef public uint64_t cut
    cdef public uint64_t closed
    cdef public uint64_t number

    cdef tuple numbers(self)
