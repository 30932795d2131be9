"""A dict in parts: what it holds at one moment is captured at once, however much that is.

Its keys, which are bytes, are spread over many dicts. A view gives these out one after the other. As long as it has not
given a part out, whoever changes a key there leaves with the view what the key had; so the view goes on to see what
was::

    parts     {a: 1} {b: 2} {c: 3}      a view of now has given out the first part
    put c 4   {a: 1} {b: 2} {c: 4}      the view has {c: 3} beside the third, which takes the place of what is there
    put a 5   {a: 5} {b: 2} {c: 4}      and nothing of this

So a change costs as much more as it is itself, and nothing is copied that is not changed. Which part a key belongs to
depends on its bytes alone, so views of equal dicts give the same items in the same order, on every machine.
"""
cimport cython
from operator import itemgetter

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Contains, PyDict_DelItem, PyDict_Next, PyDict_SetItem, PyDict_Size
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "Python.h":
    void incref "Py_INCREF" (PyObject*)
    void decref "Py_DECREF" (PyObject*)
    void xdecref "Py_XDECREF" (PyObject*)
    PyObject* PyDict_GetItemWithError(object, object) except? NULL

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define raftpy_ask_for(at) __builtin_prefetch(at)
    #else
    #define raftpy_ask_for(at) ((void) (at))
    #endif
    #define raftpy_ask_for_keys(part) raftpy_ask_for(((PyDictObject*) (part))->ma_keys)
    """
    void prefetch "raftpy_ask_for" (const void*) noexcept
    void prefetch_keys "raftpy_ask_for_keys" (PyObject*) noexcept

cdef enum:
    FEW = 4     # keys of a part that are asked for as well, whichever of them is looked for

PARTS = COUNT

cdef object ABSENT = object()


cdef inline Py_ssize_t part_of(bytes key) noexcept:
    return part_of_bytes(<const uint8_t*> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


cdef inline Py_ssize_t part_of_bytes(const uint8_t* at, Py_ssize_t size) noexcept:
    # FNV-1a, folded: every byte counts, so that keys with a long common beginning lie apart.
    cdef const uint8_t* end = at + size
    cdef uint32_t h = 2166136261u
    while at < end:
        h = (h ^ at[0]) * 16777619u
        at += 1
    h ^= h >> 15
    h *= 0x2c1b3c6du
    h ^= h >> 12
    return h & (COUNT - 1)


@cython.final
cdef class Parts:
    """The dicts, NULL for an empty one. Python's collector need not know of them: bytes and numbers lead nowhere."""

    def __dealloc__(self):
        cdef Py_ssize_t number
        for number in range(COUNT):
            xdecref(self.dicts[number])
            if number % 64 == 0:
                with nogil:
                    pass  # of millions of keys that takes seconds, in which others may go on

    cdef dict at(self, Py_ssize_t number):
        return <dict> self.dicts[number] if self.dicts[number] != NULL else None

    cdef dict make(self, Py_ssize_t number):
        # A dict where there is none yet.
        cdef dict part = {}
        incref(<PyObject*> part)
        self.dicts[number] = <PyObject*> part
        return part


@cython.final
cdef class PartedDict:
    """Keys are bytes, not None. Not thread-safe, but for views, which any one thread may read."""

    def __cinit__(self):
        self.parts = Parts.__new__(Parts)
        self.views = []

    def __len__(self):
        return self.count

    def __contains__(self, key):
        cdef dict part
        if type(key) is not bytes:
            return False
        part = self.parts.at(part_of(<bytes> key))
        return part is not None and PyDict_Contains(part, key)

    def get(self, bytes key not None):
        """The value of ``key``, or None."""
        cdef dict part = self.parts.at(part_of(key))
        cdef PyObject* found
        if part is None:
            return None
        found = PyDict_GetItemWithError(part, key)
        return <object> found if found != NULL else None

    def put(self, bytes key not None, value):
        """Sets the value of ``key``; whether it was not there before."""
        return self.set(key, value)

    cdef bint set(self, bytes key, object value) except -1:
        return self.set_at(part_of(key), key, value)

    cdef Py_ssize_t place_of(self, const uint8_t* at, Py_ssize_t size) noexcept:
        return part_of_bytes(at, size)

    cdef void ask_for(self, const Py_ssize_t* numbers, Py_ssize_t count) noexcept:
        cdef PyObject** dicts = self.parts.dicts
        cdef PyObject* key
        cdef PyObject* value
        cdef Py_ssize_t i, at
        for i in range(count):
            prefetch(dicts + numbers[i])
        for i in range(count):
            prefetch(dicts[numbers[i]])
        for i in range(count):
            if dicts[numbers[i]] != NULL:
                prefetch_keys(dicts[numbers[i]])
        for i in range(count):
            at = 0
            if dicts[numbers[i]] != NULL and PyDict_Size(<dict> dicts[numbers[i]]) <= FEW:
                while PyDict_Next(<dict> dicts[numbers[i]], &at, &key, &value):
                    prefetch(key)
                    prefetch(value)

    cdef bint set_at(self, Py_ssize_t number, bytes key, object value) except -1:
        cdef dict part = self.parts.at(number)
        cdef Py_ssize_t before
        if part is None:
            part = self.parts.make(number)
        if self.views:
            self.remember(number, part, key)
        before = PyDict_Size(part)
        PyDict_SetItem(part, key, value)
        if PyDict_Size(part) == before:
            return False
        self.count += 1
        return True

    def remove(self, bytes key not None):
        """Takes ``key`` out. Raises ``KeyError`` where it is not there."""
        cdef Py_ssize_t number = part_of(key)
        cdef dict part = self.parts.at(number)
        if part is None:
            raise KeyError(key)
        if self.views:
            self.remember(number, part, key)
        PyDict_DelItem(part, key)
        self.count -= 1

    cdef int remember(self, Py_ssize_t number, dict part, bytes key) except -1:
        # Before the key is changed: what it has now is left with each view that has not given the part out.
        cdef DictView view
        cdef object changed
        cdef PyObject* found
        for view in self.views:
            if number < view.next_number:
                continue
            changed = view.changed[number]
            if changed is None:
                changed = {}
                view.changed[number] = changed
            if not PyDict_Contains(changed, key):
                found = PyDict_GetItemWithError(part, key)
                PyDict_SetItem(changed, key, <object> found if found != NULL else ABSENT)
        return 0

    def keys(self):
        """All keys, in no order that means anything."""
        cdef list found = []
        cdef Py_ssize_t number
        for number in range(COUNT):
            if self.parts.dicts[number] != NULL:
                found += self.parts.at(number)
                with nogil:
                    pass  # who waits for the interpreter's lock takes it here
        return found

    def load(self, items):
        """Sets the value of each key in ``items``, pairs of both, in place of all that was there."""
        self.clear()
        for key, value in items:
            self.set(<bytes?> key, value)

    cdef int clear(self) except -1:
        # Nothing is there any more. Views keep the parts that they look at.
        self.parts = Parts.__new__(Parts)
        self.views = []
        self.count = 0
        return 0

    def capture(self):
        """A view of what is there now."""
        cdef DictView view = DictView.__new__(DictView)
        view.owner = self
        view.parts = self.parts
        view.changed = [None] * COUNT
        self.views.append(view)
        return view


@cython.final
cdef class DictView:
    """What a ``PartedDict`` held at one moment; made by its ``capture``, to be closed."""

    def next_part(self):
        """The next part that has keys: these, ascending, and their values in the same order; None behind the last
        one."""
        cdef PyObject** slots
        cdef Py_ssize_t size, i
        cdef Py_ssize_t taken = 0
        cdef list items = []
        while not taken:
            size = self.next_size()
            if not size:
                return None
            slots = <PyObject**> PyMem_Malloc(<size_t> (2 * size) * sizeof(PyObject*))
            if slots == NULL:
                raise MemoryError
            taken = self.take(slots)
            items = [(<object> slots[2 * i], <object> slots[2 * i + 1]) for i in range(taken)]
            for i in range(2 * taken):
                decref(slots[i])
            PyMem_Free(slots)
        items.sort(key=itemgetter(0))
        return [key for key, _ in items], [value for _, value in items]

    cdef Py_ssize_t next_size(self) except -1:
        # How many keys the next part may have, at most, where it has any; 0 behind the last one.
        cdef Py_ssize_t size = 0
        cdef object changed
        cdef dict part
        if self.owner is None:
            return 0
        while self.next_number < COUNT:
            part = self.parts.at(self.next_number)
            changed = self.changed[self.next_number]
            if part is not None:
                size += PyDict_Size(part)
            if changed is not None:
                size += PyDict_Size(changed)
            if size:
                return size
            self.next_number += 1
        return 0

    cdef Py_ssize_t take(self, PyObject** slots) except -1:
        # Behind next_size: the next part's keys and values, in turn, each with a reference that the caller has to give
        # back. Nothing in here lets another thread run, so that all of it is of one moment. How many keys there are.
        cdef dict part = self.parts.at(self.next_number)
        cdef object changed = self.changed[self.next_number]
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t taken = 0
        cdef PyObject* key
        cdef PyObject* value
        if part is not None:
            while PyDict_Next(part, &at, &key, &value):
                if changed is None or not PyDict_Contains(changed, <object> key):
                    incref(key)
                    incref(value)
                    slots[2 * taken] = key
                    slots[2 * taken + 1] = value
                    taken += 1
        at = 0
        if changed is not None:
            while PyDict_Next(changed, &at, &key, &value):
                if value != <PyObject*> ABSENT:
                    incref(key)
                    incref(value)
                    slots[2 * taken] = key
                    slots[2 * taken + 1] = value
                    taken += 1
        self.pass_by()
        return taken

    cdef int pass_by(self) except -1:
        # The next part is given out: who changes it need not tell any more.
        self.changed[self.next_number] = None
        self.next_number += 1
        return 0

    def close(self):
        """It is needed no more. May be called again."""
        if self.owner is None:
            return
        if self in self.owner.views:
            self.owner.views.remove(self)
        self.owner = None
        self.parts = None
        self.changed = None
