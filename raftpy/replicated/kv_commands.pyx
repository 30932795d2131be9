"""The commands of the key-value store as bytes: what one log entry's payload holds.

The first byte is the form: its high nibble the version of this format (1), its low nibble the command. Numbers are
little endian. A key is UTF-8, 1 to :data:`MAX_KEY` bytes; a value is any bytes and always the rest of the command.

    0x10  read                  (nothing; the point in the log at which a read is answered)
    0x11  put                   u16 key length, key, value
    0x12  delete                u16 key length, key
    0x13  put if version        u64 version, u16 key length, key, value
    0x14  put if absent         u16 key length, key, value
    0x15  delete if version     u64 version, u16 key length, key
    0x16  to 0x1a               as 0x11 to 0x15 in this order, with a u32 key length, which is above 65,535

A log outlives the program that wrote it, so a form, once released, keeps its meaning for good; new ones get new
numbers. A replica that meets a form it does not know must not guess: see :class:`UnknownCommand`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    # The forms, and how many bytes stand before the key.
    FORM_READ = 0x10
    FORM_PUT = 0x11
    FORM_DELETE = 0x12
    FORM_PUT_IF_VERSION = 0x13
    FORM_PUT_IF_ABSENT = 0x14
    FORM_DELETE_IF_VERSION = 0x15
    LONG = 5                  # added to the form of a command whose key is longer than two bytes can tell
    PLAIN = 3
    VERSIONED = 11
    LONGER = 2                # bytes that its length takes more
    LONGEST_SHORT = 0xFFFF
    LONGEST = 16 << 20

READ = FORM_READ
PUT = FORM_PUT
DELETE = FORM_DELETE
PUT_IF_VERSION = FORM_PUT_IF_VERSION
PUT_IF_ABSENT = FORM_PUT_IF_ABSENT
DELETE_IF_VERSION = FORM_DELETE_IF_VERSION

MAX_KEY = LONGEST
"""Bytes of UTF-8. What can be named in a request line of HTTP is far less (raftpy/server/request.py). Releases that do
not know the forms from 0x16 on stop at a key above 65,535 bytes, so all members are updated before one is put."""

MAX_VERSION = 2**64 - 1
"""A version is a log index, an unsigned 64-bit number."""

PLAIN_OVERHEAD = PLAIN
"""Bytes a put or delete needs besides key and value, where the key has at most 65,535: two more for a longer one."""
VERSIONED_OVERHEAD = VERSIONED
"""Bytes a put or delete with a version needs besides key and value; also two more for such a key."""

cdef bytes READ_COMMAND = bytes([FORM_READ])


class UnknownCommand(Exception):
    """A log entry that is no command of this store, or one of a newer version of it.

    Deliberately not an ``ApplyError``: an older replica that skipped what a newer one performs would silently hold
    another state. The node stops instead, before it acknowledges anything.
    """

    def __init__(self, index, command):
        start = command[:16].hex(" ") or "nothing"
        super().__init__(
            f"log entry {index} is no command of this key-value store (version 1): "
            f"{len(command)} bytes beginning with {start}; was it written by a newer raftpy?"
        )


def read():
    """A command without effect: once applied, everything acknowledged before it was proposed is visible."""
    return READ_COMMAND


def put(bytes key not None, bytes value not None):
    """Sets ``key`` to ``value`` whatever was there. This and the other functions take the key as UTF-8, 1 to
    ``MAX_KEY`` bytes, and do not check it."""
    return plain(FORM_PUT, key, value)


def put_if_version(bytes key not None, bytes value not None, uint64_t version):
    """Sets ``key`` only if its version is exactly ``version`` (0 to ``MAX_VERSION``; no key ever has version 0)."""
    return versioned(FORM_PUT_IF_VERSION, version, key, value)


def put_if_absent(bytes key not None, bytes value not None):
    """Sets ``key`` only if it is not there."""
    return plain(FORM_PUT_IF_ABSENT, key, value)


def delete(bytes key not None):
    """Removes ``key``."""
    return plain(FORM_DELETE, key, b"")


def delete_if_version(bytes key not None, uint64_t version):
    """Removes ``key`` only if its version is exactly ``version``."""
    return versioned(FORM_DELETE_IF_VERSION, version, key, b"")


cdef void put_number(uint8_t* at, uint64_t number, int size) noexcept:
    # So many bytes of it, little endian.
    cdef int i
    for i in range(size):
        at[i] = <uint8_t> (number >> (8 * i) & 0xFF)


cdef uint64_t number_at(const uint8_t* at, int size) noexcept:
    cdef uint64_t number = 0
    cdef int i
    for i in range(size):
        number |= <uint64_t> at[i] << (8 * i)
    return number


cdef bytes plain(uint8_t form, bytes key, bytes value):
    # A command without a version.
    return room(form, PLAIN, key, value)


cdef bytes versioned(uint8_t form, uint64_t version, bytes key, bytes value):
    cdef bytes command = room(form, VERSIONED, key, value)
    put_number(<uint8_t*> PyBytes_AS_STRING(command) + 1, version, 8)
    return command


cdef bytes room(uint8_t form, Py_ssize_t start, bytes key, bytes value):
    # A command in this form, of which `start` bytes stand before a short key; what its version takes is to be written.
    cdef Py_ssize_t length = PyBytes_GET_SIZE(key)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef int width = 2
    cdef bytes command
    cdef uint8_t* at
    if length > LONGEST_SHORT:
        if length > LONGEST:
            raise ValueError(f"a key of {length} bytes: allowed are 1 to {MAX_KEY}")
        width = 2 + LONGER
        start += LONGER
        form += LONG
    command = PyBytes_FromStringAndSize(NULL, start + length + size)
    at = <uint8_t*> PyBytes_AS_STRING(command)
    at[0] = form
    at += start
    put_number(at - width, <uint64_t> length, width)
    memcpy(at, PyBytes_AS_STRING(key), <size_t> length)
    memcpy(at + length, PyBytes_AS_STRING(value), <size_t> size)
    return command


def decode(index, bytes command not None):
    """The parts of a command: (form, key, value, version); what a form does not have is empty or 0. The form is that of
    a command with a short key, whatever length the key has.

    ``index`` is only for the message of :class:`UnknownCommand`, which every other input raises.
    """
    cdef const uint8_t* at = <const uint8_t*> PyBytes_AS_STRING(command)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(command)
    cdef uint8_t form = at[0] if size else 0
    cdef Py_ssize_t start, end
    cdef Py_ssize_t shortest = 1
    cdef int width = 2
    cdef bint with_version, with_value
    if form == FORM_READ and size == 1:
        return READ, b"", b"", 0
    if FORM_PUT + LONG <= form <= FORM_DELETE_IF_VERSION + LONG:
        form -= LONG
        width = 2 + LONGER
        shortest = LONGEST_SHORT + 1
    elif not FORM_PUT <= form <= FORM_DELETE_IF_VERSION:
        raise UnknownCommand(index, command)
    with_version = form == FORM_PUT_IF_VERSION or form == FORM_DELETE_IF_VERSION
    with_value = form != FORM_DELETE and form != FORM_DELETE_IF_VERSION
    start = (VERSIONED if with_version else PLAIN) - 2 + width
    if size >= start:
        end = start + <Py_ssize_t> number_at(at + start - width, width)
        if start + shortest <= end and (end == size or (end < size and with_value)):
            key = PyBytes_FromStringAndSize(<const char*> at + start, end - start)
            value = PyBytes_FromStringAndSize(<const char*> at + end, size - end)
            return form, key, value, number_at(at + 1, 8) if with_version else 0
    raise UnknownCommand(index, command)
