# Foreign bytes, held while they are looked at. Cython's typed memoryviews do the same, but bring 600 KB of C into each
# module that uses one, a fifth of what the whole build took.
from libc.stdint cimport uint8_t

cdef class Buffer:
    # The contiguous bytes of any object with the buffer protocol, which stays locked until this object is gone.
    cdef Py_buffer view
    cdef const uint8_t* at   # the first byte; NULL when there is none
    cdef Py_ssize_t size     # bytes

# TypeError when data is not bytes-like, or its bytes are not contiguous.
cdef Buffer buffer_of(object data)
