# A dict in parts, of which a view of one moment shares what has not changed since.

cdef class PartedDict:
    cdef list parts             # of dict; which one holds a key, its bytes say
    cdef bytearray shared       # for each part: 1 while a view may look at the very dict
    cdef Py_ssize_t count       # keys in all of them
    cdef Py_ssize_t views       # that are not closed

    cdef dict own(self, Py_ssize_t part)

cdef class DictView:
    cdef PartedDict owner
    cdef list parts             # None where it was given out
    cdef Py_ssize_t next_index
    cdef bint closed

    cdef int release(self, Py_ssize_t part) except -1
