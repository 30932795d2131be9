"""Puts that follow one another, carried out together: most commands are puts, and after a restart there are millions.

Where a key is kept its bytes alone say, and of many keys that place is seldom in the processor's cache. So the places
of some puts are found first, and asked for; they come while the others are found, and then the puts are made, in order.
"""
from raftpy.replicated import kv_commands

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint64_t

from raftpy.replicated.held cimport new_held
from raftpy.replicated.parted_dict cimport PartedDict

cdef enum:
    SOME = 32            # puts whose places are asked for at a time
    KEY_LENGTH = 1       # where a put has the bytes of its key, and how many there are behind it
    KEY = 3

cdef uint8_t PUT_FORM = kv_commands.PUT


def put_all(uint64_t first_index, list commands not None, PartedDict data not None, keys not None):
    """Carries out ``commands`` (bytes), which stand at ``first_index`` and after, up to the first that is no put with a
    key of 1 to 65,535 bytes; how many that are. ``data`` holds what each key has (``Held``), and ``keys``
    (``SortedKeys``) hears of each that is new."""
    cdef Py_ssize_t count = PyList_GET_SIZE(commands)
    cdef Py_ssize_t done = 0
    cdef Py_ssize_t found, i, size
    cdef Py_ssize_t[SOME] places
    cdef const uint8_t* at
    cdef PyObject* command
    while True:
        found = 0
        while found < SOME and done + found < count:
            command = <PyObject*> PyList_GET_ITEM(commands, done + found)
            size = key_size(command)
            if not size:
                break
            at = <const uint8_t*> PyBytes_AS_STRING(<object> command)
            places[found] = data.place_of(at + KEY, size)
            found += 1
        data.ask_for(places, found)
        for i in range(found):
            command = <PyObject*> PyList_GET_ITEM(commands, done)
            size = key_size(command)
            at = <const uint8_t*> PyBytes_AS_STRING(<object> command)
            key = PyBytes_FromStringAndSize(<const char*> at + KEY, size)
            value = PyBytes_FromStringAndSize(<const char*> at + KEY + size,
                                              PyBytes_GET_SIZE(<object> command) - KEY - size)
            if data.set_at(places[i], key, new_held(first_index + <uint64_t> done, value)):
                keys.toggle(key)
            done += 1
        if found < SOME:
            return done


cdef inline Py_ssize_t key_size(PyObject* command) noexcept:
    # Bytes of the key of a put; 0 where it is none.
    cdef const uint8_t* at
    cdef Py_ssize_t size, length
    if not PyBytes_CheckExact(<object> command):
        return 0
    at = <const uint8_t*> PyBytes_AS_STRING(<object> command)
    size = PyBytes_GET_SIZE(<object> command)
    if size < KEY or at[0] != PUT_FORM:
        return 0
    length = at[KEY_LENGTH] | <Py_ssize_t> at[KEY_LENGTH + 1] << 8
    return length if length <= size - KEY else 0
