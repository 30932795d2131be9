# The file under way, for whoever looks at it in C.
from libc.stdint cimport uint64_t

cdef class Framing:
    cdef readonly Py_ssize_t end
    cdef readonly uint64_t sequence
    cdef bytearray _memory  # of the last batch
