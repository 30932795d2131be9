# A dict in parts, of which a view sees what was there at one moment.
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t

cdef enum:
    COUNT = 65536    # a power of two: of ten million keys a part holds 153, and is given out in microseconds

cdef class Parts:
    cdef PyObject* dicts[COUNT]

    cdef dict at(self, Py_ssize_t number)
    cdef dict make(self, Py_ssize_t number)

cdef class PartedDict:
    cdef Parts parts            # which one holds a key, its bytes say
    cdef list views             # those that are not closed and have parts to give out yet
    cdef Py_ssize_t count       # keys in all of them

    cdef bint set(self, bytes key, object value) except -1
    # In which part a key of these bytes is; what lies there is asked for, of several at a time; and `set` there.
    cdef Py_ssize_t place_of(self, const uint8_t* at, Py_ssize_t size) noexcept
    cdef void ask_for(self, const Py_ssize_t* numbers, Py_ssize_t count) noexcept
    cdef bint set_at(self, Py_ssize_t number, bytes key, object value) except -1
    cdef int clear(self) except -1
    cdef int remember(self, Py_ssize_t number, dict part, bytes key) except -1

cdef class DictView:
    cdef PartedDict owner       # None once it is closed
    cdef Parts parts            # the owner's, or those it had when all was replaced
    cdef list changed           # for each part: None, or what keys that were changed since had, ABSENT for nothing
    cdef Py_ssize_t next_number

    cdef Py_ssize_t next_size(self) except -1
    cdef Py_ssize_t take(self, PyObject** slots) except -1
    cdef int pass_by(self) except -1
