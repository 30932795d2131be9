"""Sorting keys by their bytes without the interpreter's lock, which the event loop needs while that goes on.

A merge sort over the keys' first bytes, beside where each key lies: most comparisons look at no key at all, which for
millions of keys would be somewhere else in memory. Whoever calls holds a reference to each key, and keeps it where it
is.
"""
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    const char* bytes_of "PyBytes_AS_STRING" (PyObject*) nogil
    Py_ssize_t size_of "PyBytes_GET_SIZE" (PyObject*) nogil

cdef enum:
    FEW = 12    # of so many, each is put in its place; more are merged


cdef int compare_keys(PyObject* a, PyObject* b) noexcept nogil:
    # Below, at or above 0 where the key `a` comes before, is, or comes after `b`.
    cdef Py_ssize_t a_size = size_of(a)
    cdef Py_ssize_t b_size = size_of(b)
    cdef int found = memcmp(bytes_of(a), bytes_of(b), <size_t> min(a_size, b_size))
    if found:
        return found
    return (a_size > b_size) - (a_size < b_size)


cdef Py_ssize_t common_beginning(PyObject** keys, Py_ssize_t count) noexcept nogil:
    # How many bytes all keys begin with alike.
    cdef Py_ssize_t common, i, at
    cdef const char* first
    cdef const char* other
    if not count:
        return 0
    first = bytes_of(keys[0])
    common = size_of(keys[0])
    for i in range(1, count):
        other = bytes_of(keys[i])
        common = min(common, size_of(keys[i]))
        at = 0
        while at < common and first[at] == other[at]:
            at += 1
        common = at
        if not common:
            return 0
    return common


cdef void rank(PyObject** slots, Py_ssize_t count, Py_ssize_t step, Py_ssize_t skip, Ranked* ranked) noexcept nogil:
    # Every `step`th slot has a key; all of them have `skip` bytes in common.
    cdef Py_ssize_t i, at, size
    cdef const uint8_t* key
    cdef uint64_t prefix
    for i in range(count):
        key = <const uint8_t*> bytes_of(slots[i * step]) + skip
        size = min(size_of(slots[i * step]) - skip, 8)
        prefix = 0
        for at in range(size):
            prefix |= <uint64_t> key[at] << (56 - 8 * at)
        ranked[i].prefix = prefix
        ranked[i].slot = slots + i * step


cdef inline bint is_before(const Ranked* a, const Ranked* b) noexcept nogil:
    if a.prefix != b.prefix:
        return a.prefix < b.prefix
    return compare_keys(a.slot[0], b.slot[0]) < 0


cdef Ranked* ordered(Ranked* ranked, Ranked* spare, Py_ssize_t count) noexcept nogil:
    # Sorts them, with `spare` of as much room; gives back the one of both that has the result.
    cdef Py_ssize_t start, middle, end, width = FEW
    cdef Ranked* swap
    start = 0
    while start < count:
        put_in_place(ranked + start, min(width, count - start))
        start += width
    while width < count:
        start = 0
        while start < count:
            middle = min(start + width, count)
            end = min(middle + width, count)
            merge(ranked, start, middle, end, spare)
            start = end
        swap = ranked
        ranked = spare
        spare = swap
        width *= 2
    return ranked


cdef void put_in_place(Ranked* ranked, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i, at
    cdef Ranked one
    for i in range(1, count):
        one = ranked[i]
        at = i
        while at and is_before(&one, &ranked[at - 1]):
            ranked[at] = ranked[at - 1]
            at -= 1
        ranked[at] = one


cdef void merge(const Ranked* ranked, Py_ssize_t start, Py_ssize_t middle, Py_ssize_t end, Ranked* to) noexcept nogil:
    # Two sorted runs, [start, middle) and [middle, end), become one in `to`.
    cdef Py_ssize_t a = start
    cdef Py_ssize_t b = middle
    cdef Py_ssize_t at = start
    if a < middle and b < end and is_before(&ranked[b], &ranked[middle - 1]):
        while a < middle and b < end:
            if is_before(&ranked[b], &ranked[a]):
                to[at] = ranked[b]
                b += 1
            else:
                to[at] = ranked[a]
                a += 1
            at += 1
    memcpy(to + at, ranked + a, <size_t> (middle - a) * sizeof(Ranked))
    at += middle - a
    memcpy(to + at, ranked + b, <size_t> (end - b) * sizeof(Ranked))
