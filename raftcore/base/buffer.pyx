"""Foreign bytes: any object with the buffer protocol as a pointer and a size."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t


@cython.final
cdef class Buffer:
    """The contiguous bytes of an object; for the extension modules only."""

    def __dealloc__(self):
        PyBuffer_Release(&self.view)  # does nothing where none was taken


cdef Buffer buffer_of(object data):
    cdef Buffer out = Buffer.__new__(Buffer)
    try:
        PyObject_GetBuffer(data, &out.view, PyBUF_SIMPLE)
    except BufferError as error:
        raise TypeError(f"contiguous bytes expected: {error}") from None
    out.size = out.view.len
    out.at = <const uint8_t*> out.view.buf if out.size else NULL
    return out
