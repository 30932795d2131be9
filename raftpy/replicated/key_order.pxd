# The order of keys, found without the interpreter's lock.
from cpython.ref cimport PyObject
from libc.stdint cimport uint64_t

cdef struct Ranked:
    # A key, by where a reference to it lies, and the first of its bytes behind those that all of them begin with.
    uint64_t prefix
    PyObject** slot

cdef int compare_keys(PyObject* a, PyObject* b) noexcept nogil
cdef Py_ssize_t common_beginning(PyObject** keys, Py_ssize_t count) noexcept nogil
cdef void rank(PyObject** slots, Py_ssize_t count, Py_ssize_t step, Py_ssize_t skip, Ranked* ranked) noexcept nogil
cdef Ranked* ordered(Ranked* ranked, Ranked* spare, Py_ssize_t count) noexcept nogil
