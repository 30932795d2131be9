# Datagrams from and to a socket's descriptor.
cimport cython

@cython.final
cdef class DatagramIO:
    cdef int fd
    cdef char* buffer           # READ_SIZE bytes
    cdef readonly bint ailing   # the last read met an error, or it and the SUSPICIOUS - 1 before it met nothing at all
    cdef int fruitless          # reads in a row that met nothing

    cpdef list read(self, Py_ssize_t limit)
    cdef int put(self, const void* datagram, Py_ssize_t size, bytes address) noexcept
