"""Keys with values and versions as bytes, and back: the inner loops of a key-value store's state (kv_state.py).

Packing goes on in a thread while commands are applied in another, so it holds the interpreter's lock only to take
references to some hundred keys at a time, and to let go of them. They are put in order and copied without it: keys and
values never change, nor does what holds them.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from raftpy.replicated.held cimport Held, new_held
from raftpy.replicated.key_order cimport Ranked, ordered, rank
from raftpy.replicated.parted_dict cimport DictView, PartedDict

cdef extern from "Python.h":
    void decref "Py_DECREF" (PyObject*)
    const char* bytes_of "PyBytes_AS_STRING" (PyObject*) nogil
    Py_ssize_t size_of "PyBytes_GET_SIZE" (PyObject*) nogil

cdef enum:
    HEAD = 16         # version, u64; bytes in the key and in the value, u32 each
    TOGETHER = 512    # keys that are taken at a time, in tens of microseconds, or those of one part where it has more


cdef inline void store(uint8_t* at, uint64_t number, int size) noexcept nogil:
    # Little endian, whatever the machine's order.
    cdef int i
    for i in range(size):
        at[i] = <uint8_t> (number >> 8 * i & 0xFF)


cdef inline uint64_t number_at(const uint8_t* at, int size) noexcept:
    cdef uint64_t number = 0
    cdef int i
    for i in range(size):
        number |= <uint64_t> at[i] << (8 * i)
    return number


@cython.final
cdef class Packer:
    """Packs what a view gives out, whose values are ``Held``: all keys of a part in their order, part after part.

    ``start`` stands before them, ``chunk`` is how many bytes are made at a time, at least. One thread at a time.
    """
    cdef DictView view
    cdef Py_ssize_t chunk
    cdef PyObject** slots       # keys and values in turn, with references of our own
    cdef Ranked* ranked         # the keys, part by part in order
    cdef Ranked* spare
    cdef Py_ssize_t room        # keys that these three have room for
    cdef Py_ssize_t count       # keys that are there
    cdef Py_ssize_t packed      # how many of them are packed
    cdef uint8_t* buffer
    cdef Py_ssize_t size        # bytes of the buffer, and how many of them are filled
    cdef Py_ssize_t filled

    def __init__(self, DictView view not None, bytes start not None, Py_ssize_t chunk):
        self.view = view
        self.chunk = chunk
        self.make_room(TOGETHER)
        self.grow(2 * chunk + PyBytes_GET_SIZE(start))
        memcpy(self.buffer, PyBytes_AS_STRING(start), <size_t> PyBytes_GET_SIZE(start))
        self.filled = PyBytes_GET_SIZE(start)

    def __dealloc__(self):
        self.let_go()
        free(self.slots)
        free(self.ranked)
        free(self.spare)
        free(self.buffer)

    def next_chunk(self):
        """The next bytes; None behind the last. Raises ``TypeError`` where a value is no ``Held``, ``MemoryError``."""
        cdef bint enough
        cdef bytes chunk
        while self.filled < self.chunk:
            if self.packed == self.count and not self.take():
                break
            with nogil:
                enough = self.pack()
            if not enough:
                raise MemoryError
        if not self.filled:
            return None
        chunk = PyBytes_FromStringAndSize(<const char*> self.buffer, self.filled)
        self.filled = 0
        return chunk

    cdef bint take(self) except -1:
        # Takes references to the next keys, and puts them in order; whether there are any.
        cdef Py_ssize_t size, first, i
        cdef Py_ssize_t ends[TOGETHER + 1]
        cdef Py_ssize_t parts = 0
        self.let_go()
        while self.count < TOGETHER and parts < TOGETHER:
            size = self.view.next_size()
            if not size or (self.count and self.count + size > self.room):
                break
            self.make_room(self.count + size)
            first = self.count
            self.count += self.view.take(self.slots + 2 * first)
            for i in range(first, self.count):
                if type(<object> self.slots[2 * i + 1]) is not Held:
                    raise TypeError(f"{<object> self.slots[2 * i + 1]!r} is no Held")
            if self.count > first:  # else all of them were added since
                ends[parts] = self.count
                parts += 1
        with nogil:
            self.put_in_order(ends, parts)
        return self.count > 0

    cdef void put_in_order(self, const Py_ssize_t* ends, Py_ssize_t parts) noexcept nogil:
        cdef Py_ssize_t start = 0
        cdef Py_ssize_t part, count
        cdef Ranked* result
        for part in range(parts):
            count = ends[part] - start
            rank(self.slots + 2 * start, count, 2, 0, self.ranked + start)
            result = ordered(self.ranked + start, self.spare, count)
            if result != self.ranked + start:
                memcpy(self.ranked + start, result, <size_t> count * sizeof(Ranked))
            start = ends[part]

    cdef bint pack(self) noexcept nogil:
        # Packs keys until there are bytes enough for a chunk, or none is left. False: there is no memory for it.
        cdef PyObject** slot
        cdef PyObject* value
        cdef Py_ssize_t key_size, value_size
        cdef uint8_t* at
        while self.packed < self.count and self.filled < self.chunk:
            slot = self.ranked[self.packed].slot
            value = <PyObject*> (<Held> slot[1]).value
            key_size = size_of(slot[0])
            value_size = size_of(value)
            if not self.has_room(self.filled + HEAD + key_size + value_size):
                return False
            at = self.buffer + self.filled
            store(at, (<Held> slot[1]).version, 8)
            store(at + 8, <uint64_t> key_size, 4)
            store(at + 12, <uint64_t> value_size, 4)
            memcpy(at + HEAD, bytes_of(slot[0]), <size_t> key_size)
            memcpy(at + HEAD + key_size, bytes_of(value), <size_t> value_size)
            self.filled += HEAD + key_size + value_size
            self.packed += 1
        return True

    cdef bint has_room(self, Py_ssize_t size) noexcept nogil:
        cdef uint8_t* larger
        if size <= self.size:
            return True
        larger = <uint8_t*> realloc(self.buffer, <size_t> size)
        if larger == NULL:
            return False
        self.buffer = larger
        self.size = size
        return True

    cdef int grow(self, Py_ssize_t size) except -1:
        if not self.has_room(size):
            raise MemoryError
        return 0

    cdef int make_room(self, Py_ssize_t count) except -1:
        # For so many keys. The order of those that are there is not kept.
        cdef PyObject** slots
        if count <= self.room:
            return 0
        slots = <PyObject**> realloc(self.slots, <size_t> (2 * count) * sizeof(PyObject*))
        if slots == NULL:
            raise MemoryError
        self.slots = slots
        free(self.ranked)
        free(self.spare)
        self.ranked = <Ranked*> malloc(<size_t> count * sizeof(Ranked))
        self.spare = <Ranked*> malloc(<size_t> count * sizeof(Ranked))
        if self.ranked == NULL or self.spare == NULL:
            raise MemoryError
        self.room = count
        return 0

    cdef void let_go(self) noexcept:
        # Gives the references back.
        cdef Py_ssize_t i
        for i in range(2 * self.count):
            decref(self.slots[i])
        self.count = 0
        self.packed = 0


def unpack_keys(bytes data not None, Py_ssize_t at, PartedDict into not None, uint64_t most):
    """Puts the keys that stand whole from position ``at`` of ``data`` on into the dict, ``most`` at most. Gives the
    position behind them; the bytes that the next one has at least, 0 where there were ``most``; how many are left.
    Raises ``ValueError`` for a position that is none."""
    cdef const uint8_t* start = <const uint8_t*> PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t key_size, value_size
    cdef bytes key, value
    if not 0 <= at <= size:
        raise ValueError(f"position {at} in {size} bytes")
    while most:
        if size - at < HEAD:
            return at, HEAD, most
        key_size = <Py_ssize_t> number_at(start + at + 8, 4)
        value_size = <Py_ssize_t> number_at(start + at + 12, 4)
        if size - at - HEAD < key_size + value_size:
            return at, HEAD + key_size + value_size, most
        key = PyBytes_FromStringAndSize(<const char*> start + at + HEAD, key_size)
        value = PyBytes_FromStringAndSize(<const char*> start + at + HEAD + key_size, value_size)
        into.set(key, new_held(number_at(start + at, 8), value))
        at += HEAD + key_size + value_size
        most -= 1
    return at, 0, most
