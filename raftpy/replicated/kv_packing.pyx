"""Keys with values and versions as bytes: the inner loop of writing a key-value store's state (kv_state.py)."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    HEAD = 16    # version, u64; bytes in the key and in the value, u32 each


cdef inline void store(uint8_t* at, uint64_t number, int size) noexcept:
    # Little endian, whatever the machine's order.
    cdef int i
    for i in range(size):
        at[i] = <uint8_t> (number >> 8 * i)


def pack_keys(list keys not None, list values not None, Py_ssize_t start, Py_ssize_t size):
    """The keys from position ``start`` on, each with its (version, value), until there are ``size`` bytes or more; and
    the position behind the last of them. Raises ``ValueError`` where there are fewer values than keys."""
    cdef Py_ssize_t end = start
    cdef Py_ssize_t count = PyList_GET_SIZE(keys)
    cdef Py_ssize_t total = 0
    cdef bytes key, value, packed
    cdef uint64_t version
    cdef uint8_t* at
    if PyList_GET_SIZE(values) < count:
        raise ValueError(f"{len(values)} values of {count} keys")
    while end < count and total < size:
        key = <bytes?> keys[end]
        value = <bytes?> (<tuple?> values[end])[1]
        total += HEAD + PyBytes_GET_SIZE(key) + PyBytes_GET_SIZE(value)
        end += 1
    packed = PyBytes_FromStringAndSize(NULL, total)
    at = <uint8_t*> PyBytes_AS_STRING(packed)
    while start < end:
        key = <bytes> keys[start]
        version = (<tuple> values[start])[0]
        value = <bytes> (<tuple> values[start])[1]
        store(at, version, 8)
        store(at + 8, <uint64_t> PyBytes_GET_SIZE(key), 4)
        store(at + 12, <uint64_t> PyBytes_GET_SIZE(value), 4)
        at += HEAD
        memcpy(at, PyBytes_AS_STRING(key), <size_t> PyBytes_GET_SIZE(key))
        at += PyBytes_GET_SIZE(key)
        memcpy(at, PyBytes_AS_STRING(value), <size_t> PyBytes_GET_SIZE(value))
        at += PyBytes_GET_SIZE(value)
        start += 1
    return packed, end
