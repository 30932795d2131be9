"""Numbers and strings as LevelDB packs them: seven bits a byte, the lowest first, and a top bit where more follows."""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy


class Malformed(Exception):
    """Bytes that are not what they should be; the text says which."""


cdef int varint_size(uint64_t number) noexcept:
    cdef int size = 1
    while number >= 128:
        number >>= 7
        size += 1
    return size


cdef uint8_t* put_varint(uint8_t* at, uint64_t number) noexcept:
    while number >= 128:
        at[0] = <uint8_t> (number & 127 | 128)
        at += 1
        number >>= 7
    at[0] = <uint8_t> number
    return at + 1


cdef Py_ssize_t prefixed_size(bytes data) noexcept:
    return varint_size(<uint64_t> PyBytes_GET_SIZE(data)) + PyBytes_GET_SIZE(data)


cdef uint8_t* put_prefixed(uint8_t* at, bytes data) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    at = put_varint(at, <uint64_t> size)
    memcpy(at, PyBytes_AS_STRING(data), <size_t> size)
    return at + size


def varint(uint64_t number):
    """``number``, not negative, packed."""
    cdef bytes out = PyBytes_FromStringAndSize(NULL, varint_size(number))
    put_varint(<uint8_t*> PyBytes_AS_STRING(out), number)
    return out


def prefixed(bytes data not None):
    """``data`` with its length before it."""
    cdef bytes out = PyBytes_FromStringAndSize(NULL, prefixed_size(data))
    put_prefixed(<uint8_t*> PyBytes_AS_STRING(out), data)
    return out


@cython.final
cdef class Unpacking:
    """Reads one packed thing after the other from ``data``; ``Malformed`` where it ends too early.

    ``at``: where the next one begins.
    """

    def __init__(self, bytes data not None, Py_ssize_t at=0):
        self.data = data
        self.at = at

    cpdef uint64_t varint(self) except? 0:
        """A number."""
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(self.data)
        cdef uint64_t number = 0
        cdef uint8_t byte
        cdef int shift = 0
        cdef Py_ssize_t at
        for at in range(self.at, min(self.at + 10, PyBytes_GET_SIZE(self.data))):
            byte = data[at]
            number |= <uint64_t> (byte & 127) << shift
            if byte < 128:
                self.at = at + 1
                return number
            shift += 7
        raise Malformed("bad number")

    cpdef bytes take(self, uint64_t size):
        """So many bytes."""
        if size > <uint64_t> (PyBytes_GET_SIZE(self.data) - self.at):
            raise Malformed("it ends too early")
        found = self.data[self.at:self.at + <Py_ssize_t> size]
        self.at += <Py_ssize_t> size
        return found

    cpdef bytes prefixed(self):
        """Bytes with their length before them."""
        return self.take(self.varint())
