"""The keys of a dict in order, brought up to date where somebody lists them, and only there.

Writes are many and listings few, and both happen where everything else waits. So the order is kept in pieces of
about a thousand keys. A key that comes or goes is noted at its piece; a piece is put in order when it is listed, or has
many such notes: never much at a time, however many keys there are. ::

    pieces    [a b] [d f] [m p q]       each as it was when it was last put in order
    changed   -     {c d}  -            c was added, d removed since then
    listed    [a b] [c f] [m p q]

A B-tree of two levels, as it were: finding the piece is a binary search among their first keys, and so is finding a key
in it; walking is a slice. Pieces and notes are not known to Python's collector: it would look at millions of keys in
one go, and bytes lead nowhere.
"""
cimport cython
from bisect import bisect_left, bisect_right

from cpython.bytes cimport PyBytes_CheckExact
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdlib cimport free, malloc, realloc

from raftpy.replicated.key_order cimport Ranked, common_beginning, compare_keys, ordered, rank

cdef extern from "Python.h":
    PyObject** items_of "PySequence_Fast_ITEMS" (object)
    void incref "Py_INCREF" (object)
    void decref "Py_DECREF" (PyObject*)
    void PyObject_GC_UnTrack(PyObject*)

cdef enum:
    PIECE = 1024     # keys in a piece that was just made
    NOTES = 512      # of a piece, before it is put in order although nobody lists it
    SMALL = 128      # a piece with fewer keys is joined with the next
    SOME = 16384     # keys that are looked at before others may go on


cdef inline tuple piece_of(object keys):
    # A tuple of these keys that the collector does not know, as it would itself come to have it.
    cdef tuple piece = tuple(keys)
    PyObject_GC_UnTrack(<PyObject*> piece)
    return piece


@cython.final
cdef class Notes:
    """Keys that came to a piece or went from it, each perhaps several times."""
    cdef PyObject** keys
    cdef Py_ssize_t count
    cdef Py_ssize_t room

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            decref(self.keys[i])
        free(self.keys)

    cdef int add(self, bytes key) except -1:
        cdef PyObject** larger
        if self.count == self.room:
            larger = <PyObject**> realloc(self.keys, <size_t> (2 * self.room + 8) * sizeof(PyObject*))
            if larger == NULL:
                raise MemoryError
            self.keys = larger
            self.room = 2 * self.room + 8
        incref(key)
        self.keys[self.count] = <PyObject*> key
        self.count += 1
        return 0

    cdef set once(self):
        # Each of the keys once.
        return {<object> self.keys[i] for i in range(self.count)}


@cython.final
cdef class SortedKeys:
    """Follows the keys of ``present``, whose owner reports each key that comes or goes. Keys are bytes."""
    cdef readonly object present
    cdef list pieces     # of tuples of keys, ascending
    cdef list firsts     # where each piece begins: its keys are not below this one, and below that of the next
    cdef list changed    # for each piece: None, or Notes

    def __init__(self, present):
        self.present = present
        self.start_over()

    cdef int start_over(self) except -1:
        self.pieces = [()]
        self.firsts = [b""]
        self.changed = [None]
        return 0

    cpdef toggle(self, bytes key):
        """Call for each key added or removed, behind that; not for one that only gets another value."""
        cdef Py_ssize_t piece = self.find(key)
        cdef Notes notes = self.changed[piece]
        if notes is None:
            notes = Notes.__new__(Notes)
            self.changed[piece] = notes
        notes.add(key)
        if notes.count >= NOTES:
            self.put_in_order(piece)

    cdef Py_ssize_t find(self, bytes key) except -1:
        # The piece that a key belongs to: the last one that does not begin behind it.
        cdef Py_ssize_t low = 1
        cdef Py_ssize_t high = PyList_GET_SIZE(self.firsts)
        cdef Py_ssize_t middle
        while low < high:
            middle = (low + high) // 2
            if compare_keys(<PyObject*> key, <PyObject*> PyList_GET_ITEM(self.firsts, middle)) < 0:
                high = middle
            else:
                low = middle + 1
        return low - 1

    cdef int put_in_order(self, Py_ssize_t number) except -1:
        # What was noted at a piece is carried out. Then there may be a piece more behind it, or it is joined with the
        # next one, and takes over what was noted there.
        cdef Notes notes = self.changed[number]
        cdef tuple piece = self.pieces[number]
        cdef list kept
        if notes is not None:
            touched = notes.once()
            present = self.present
            kept = [key for key in piece if key not in touched]
            kept += [key for key in touched if key in present]
            kept.sort()
            self.pieces[number] = piece = piece_of(kept)
            self.changed[number] = None
        if len(piece) > 2 * PIECE:
            self.divide(number, piece)
        elif len(piece) < SMALL and number + 1 < PyList_GET_SIZE(self.pieces):
            self.join(number)
        return 0

    cdef int divide(self, Py_ssize_t number, tuple piece) except -1:
        cdef Py_ssize_t half = len(piece) // 2
        self.pieces[number:number + 1] = [piece_of(piece[:half]), piece_of(piece[half:])]
        self.firsts.insert(number + 1, piece[half])
        self.changed.insert(number + 1, None)
        return 0

    cdef int join(self, Py_ssize_t number) except -1:
        # The next piece's keys come behind this one's.
        self.pieces[number] = piece_of(self.pieces[number] + self.pieces[number + 1])
        self.changed[number] = self.changed[number + 1]
        del self.pieces[number + 1]
        del self.firsts[number + 1]
        del self.changed[number + 1]
        return 0

    def load(self, list keys not None):
        """These are all there are, from now on, in any order, each once. They are put in order here, without the
        interpreter's lock but for some thousand at a time. ``keys`` must not change meanwhile, and is empty afterwards.
        Raises ``TypeError`` for what is no key, and ``MemoryError``."""
        cdef Py_ssize_t count = PyList_GET_SIZE(keys)
        cdef Py_ssize_t skip, at, i
        cdef Ranked* ranked
        cdef Ranked* spare
        cdef Ranked* result
        cdef tuple piece
        cdef PyObject** slots = items_of(keys)
        for i in range(count):
            if not PyBytes_CheckExact(<object> slots[i]):
                raise TypeError(f"a key is bytes, not {type(<object> slots[i]).__name__}")
            if i % SOME == 0:
                with nogil:
                    pass  # who waits for the interpreter's lock takes it here
        self.start_over()
        ranked = <Ranked*> malloc(<size_t> (count + 1) * sizeof(Ranked))
        spare = <Ranked*> malloc(<size_t> (count + 1) * sizeof(Ranked))
        try:
            if ranked == NULL or spare == NULL:
                raise MemoryError
            with nogil:
                skip = common_beginning(slots, count)
                rank(slots, count, 1, skip, ranked)
                result = ordered(ranked, spare, count)
            for at in range(0, count, PIECE):
                piece = piece_of([<object> result[i].slot[0] for i in range(at, min(at + PIECE, count))])
                if at:
                    self.pieces.append(piece)
                    self.firsts.append(piece[0])
                    self.changed.append(None)
                else:
                    self.pieces[0] = piece
                with nogil:
                    pass
        finally:
            with nogil:
                free(ranked)
                free(spare)
        while keys:
            del keys[max(0, PyList_GET_SIZE(keys) - SOME):]
            with nogil:
                pass

    def range(self, bytes prefix not None, bytes after not None, Py_ssize_t count):
        """Up to ``count`` keys in order that begin with ``prefix`` and come after ``after`` (b"": from the first)."""
        cdef bytes start = max(prefix, after)
        cdef Py_ssize_t number = self.in_order_at(start)
        cdef tuple piece = self.pieces[number]
        cdef Py_ssize_t at = bisect_right(piece, start) if after and after >= prefix else bisect_left(piece, start)
        cdef Py_ssize_t end
        cdef list found = []
        while True:
            end = min(len(piece), at + count - PyList_GET_SIZE(found))
            if end > at and not (<bytes> piece[end - 1]).startswith(prefix):
                found += piece[at:prefix_end(piece, prefix, at, end)]
                return found
            found += piece[at:end]
            number += 1
            if PyList_GET_SIZE(found) >= count or number == PyList_GET_SIZE(self.pieces):
                return found
            while self.changed[number] is not None:
                self.put_in_order(number)
            piece = self.pieces[number]
            at = 0

    cdef Py_ssize_t in_order_at(self, bytes key) except -1:
        # The piece that the key belongs to, put in order.
        cdef Py_ssize_t number = self.find(key)
        while self.changed[number] is not None:
            self.put_in_order(number)
            number = self.find(key)
        return number


cdef Py_ssize_t prefix_end(tuple keys, bytes prefix, Py_ssize_t low, Py_ssize_t high) except -1:
    # How far the keys go, from position low on, none of which is below the prefix, that begin with it.
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) // 2
        if (<bytes> keys[middle]).startswith(prefix):
            low = middle + 1
        else:
            high = middle
    return low
