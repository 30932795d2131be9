# Numbers and strings as LevelDB packs them.
cimport cython
from libc.stdint cimport uint8_t, uint64_t

# How many bytes it takes packed; writes it there, and says where the next thing goes.
cdef int varint_size(uint64_t number) noexcept
cdef uint8_t* put_varint(uint8_t* at, uint64_t number) noexcept
cdef Py_ssize_t prefixed_size(bytes data) noexcept
cdef uint8_t* put_prefixed(uint8_t* at, bytes data) noexcept

@cython.final
cdef class Unpacking:
    cdef readonly bytes data
    cdef public Py_ssize_t at

    cpdef uint64_t varint(self) except? 0
    cpdef bytes take(self, uint64_t size)
    cpdef bytes prefixed(self)
