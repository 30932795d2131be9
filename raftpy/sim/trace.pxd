# What happened in a simulated world.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef class Trace:
    cdef readonly list events
    cdef readonly uint64_t count
    cdef uint32_t low
    cdef uint32_t high

    cdef int note(self, double time, uint64_t node, str kind, tuple detail) except -1
    # The same for what happens most, without a tuple.
    cdef int note_sent(self, double time, uint64_t node, uint64_t number, uint64_t to, bytes datagram) except -1
    cdef int note_number(self, double time, uint64_t node, str kind, uint64_t number) except -1
    cdef int begin(self, double time, uint64_t node, str kind) except -1
    cdef void end(self) noexcept
    cdef void mix_whole(self, uint64_t whole) noexcept
    cdef int mix_text(self, str text) except -1
    cdef void mix(self, const uint8_t* at, Py_ssize_t size) noexcept
