# What happened in a simulated world.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef class Trace:
    cdef readonly list events
    cdef readonly uint64_t count
    cdef uint32_t low
    cdef uint32_t high

    cdef int note(self, double time, uint64_t node, str kind, tuple detail) except -1
    cdef int mix_text(self, str text) except -1
    cdef void mix(self, const uint8_t* at, Py_ssize_t size) noexcept
