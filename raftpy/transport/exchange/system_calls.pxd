# Datagrams from and to a socket's descriptor.
cimport cython

@cython.final
cdef class DatagramIO:
    cdef int fd
    cdef char* buffer           # READ_SIZE bytes
    # The last read met an error; or SUSPICIOUS reads in a row met nothing, although something woke the reader: then an
    # error may be waiting in the socket's error queue.
    cdef readonly bint may_have_error
    cdef int fruitless          # reads in a row that met nothing

    cpdef list read(self, Py_ssize_t limit)
    cdef int put(self, const void* datagram, Py_ssize_t size, bytes address) noexcept
