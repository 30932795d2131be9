# Lists, without the detours over Python's slices.
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject

cdef extern from "Python.h":
    int PyList_SetSlice(object items, Py_ssize_t low, Py_ssize_t high, PyObject* taken) except -1  # NULL: deletes

cdef inline int empty(list items) except -1:
    if PyList_GET_SIZE(items):
        PyList_SetSlice(items, 0, PyList_GET_SIZE(items), NULL)
    return 0
