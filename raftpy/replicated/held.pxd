# What the key-value store holds of a key.
from libc.stdint cimport uint64_t

cdef class Held:
    cdef readonly uint64_t version
    cdef readonly bytes value

cdef Held new_held(uint64_t version, bytes value)
