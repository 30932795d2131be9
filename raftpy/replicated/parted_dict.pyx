"""A dict in parts: what it holds at one moment is captured at once, however much that is.

Its keys, which are bytes, are spread over many dicts. A view takes the list of these dicts. From then on each of them
is copied before it is changed for the first time, so the view goes on to see what it was::

    parts     [a] [b] [c] [d]         view of now: a b c d
    put in c  [a] [b] [c'] [d]        the view has c still

A view that has given a part out does not hold it any more, and it need not be copied then. Which part a key belongs to
depends on its bytes alone, so views of equal dicts give the same items in the same order, on every machine.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Contains, PyDict_Copy, PyDict_DelItem, PyDict_SetItem
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "Python.h":
    PyObject* PyDict_GetItemWithError(object, object) except? NULL

cdef enum:
    COUNT = 4096    # a power of two: of a million keys a part holds 244, which are copied in microseconds

PARTS = COUNT


cdef inline Py_ssize_t part_of(bytes key) noexcept:
    # FNV-1a, folded: every byte counts, so that keys with a long common beginning lie apart.
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(key)
    cdef const uint8_t* end = at + PyBytes_GET_SIZE(key)
    cdef uint32_t h = 2166136261u
    while at < end:
        h = (h ^ at[0]) * 16777619u
        at += 1
    h ^= h >> 15
    h *= 0x2c1b3c6du
    h ^= h >> 12
    return h & (COUNT - 1)


@cython.final
cdef class PartedDict:
    """Keys are bytes, not None. Not thread-safe, but for views, which any one thread may read."""

    def __cinit__(self):
        self.parts = [{} for _ in range(COUNT)]
        self.shared = bytearray(COUNT)

    def __len__(self):
        return self.count

    def __contains__(self, key):
        return type(key) is bytes and PyDict_Contains(self.parts[part_of(key)], key)

    def get(self, bytes key not None):
        """The value of ``key``, or None."""
        cdef PyObject* found = PyDict_GetItemWithError(self.parts[part_of(key)], key)
        return <object> found if found != NULL else None

    def put(self, bytes key not None, value):
        """Sets the value of ``key``; whether it was not there before."""
        cdef dict part = self.own(part_of(key))
        cdef Py_ssize_t before = len(part)
        PyDict_SetItem(part, key, value)
        if len(part) == before:
            return False
        self.count += 1
        return True

    def remove(self, bytes key not None):
        """Takes ``key`` out. Raises ``KeyError`` where it is not there."""
        PyDict_DelItem(self.own(part_of(key)), key)
        self.count -= 1

    def keys(self):
        """All keys, in no order that means anything."""
        return [key for part in self.parts for key in part]

    def load(self, items):
        """Sets the value of each key in ``items``, pairs of both, in place of all that was there."""
        cdef bytes key
        self.parts = [{} for _ in range(COUNT)]
        self.shared = bytearray(COUNT)
        self.count = 0
        for key, value in items:
            PyDict_SetItem(self.parts[part_of(key)], key, value)
        for part in self.parts:
            self.count += len(part)

    def capture(self):
        """A view of what is there now."""
        cdef DictView view = DictView.__new__(DictView)
        view.owner = self
        view.parts = list(self.parts)
        self.shared = bytearray(b"\1") * COUNT
        self.views += 1
        return view

    cdef dict own(self, Py_ssize_t part):
        # The part, to be changed: no view looks at it.
        cdef dict found = <dict> self.parts[part]
        if self.shared[part]:
            found = PyDict_Copy(found)
            self.parts[part] = found
            self.shared[part] = 0
        return found


@cython.final
cdef class DictView:
    """What a ``PartedDict`` held at one moment; made by its ``capture``, to be closed."""

    def next_part(self):
        """The next part: its keys, ascending, and their values in the same order; None behind the last one."""
        cdef Py_ssize_t part = self.next_index
        cdef dict found
        cdef list keys
        if self.closed or part >= COUNT:
            return None
        self.next_index += 1
        found = <dict> self.parts[part]
        keys = sorted(found)
        values = [found[key] for key in keys]
        self.release(part)
        return keys, values

    cdef int release(self, Py_ssize_t part) except -1:
        # Where no other view is open nobody looks at it any more: it may be changed in place again.
        if self.owner.views == 1:
            self.owner.shared[part] = 0
        self.parts[part] = None
        return 0

    def close(self):
        """It is needed no more. May be called again."""
        cdef Py_ssize_t part
        if self.closed:
            return
        for part in range(self.next_index, COUNT):
            self.release(part)
        self.closed = True
        self.owner.views -= 1
