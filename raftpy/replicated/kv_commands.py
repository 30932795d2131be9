"""The commands of the key-value store as bytes: what one log entry's payload holds.

The first byte is the form: its high nibble the version of this format (1), its low nibble the command. Numbers are
little endian. A key is UTF-8, 1 to :data:`MAX_KEY` bytes; a value is any bytes and always the rest of the command.

    0x10  read                  (nothing; the point in the log at which a read is answered)
    0x11  put                   u16 key length, key, value
    0x12  delete                u16 key length, key
    0x13  put if version        u64 version, u16 key length, key, value
    0x14  put if absent         u16 key length, key, value
    0x15  delete if version     u64 version, u16 key length, key

A log outlives the program that wrote it, so a form, once released, keeps its meaning for good; new ones get new
numbers. A replica that meets a form it does not know must not guess: see :class:`UnknownCommand`.
"""

from __future__ import annotations

import struct

READ = 0x10
PUT = 0x11
DELETE = 0x12
PUT_IF_VERSION = 0x13
PUT_IF_ABSENT = 0x14
DELETE_IF_VERSION = 0x15

MAX_KEY = 4096
"""Bytes of UTF-8. Well below 2**16, so that a percent-encoded key still fits a request line of HTTP."""

MAX_VERSION = 2**64 - 1
"""A version is a log index, an unsigned 64-bit number."""

_PLAIN = struct.Struct("<BH")
_VERSIONED = struct.Struct("<BQH")

PLAIN_OVERHEAD = _PLAIN.size
"""Bytes a put or delete needs besides key and value."""
VERSIONED_OVERHEAD = _VERSIONED.size
"""Bytes a put or delete with a version needs besides key and value."""

_READ_COMMAND = bytes([READ])
_KEY_START = {
    PUT: PLAIN_OVERHEAD,
    DELETE: PLAIN_OVERHEAD,
    PUT_IF_ABSENT: PLAIN_OVERHEAD,
    PUT_IF_VERSION: VERSIONED_OVERHEAD,
    DELETE_IF_VERSION: VERSIONED_OVERHEAD,
}
_WITH_VALUE = frozenset((PUT, PUT_IF_ABSENT, PUT_IF_VERSION))


class UnknownCommand(Exception):
    """A log entry that is no command of this store, or one of a newer version of it.

    Deliberately not an ``ApplyError``: an older replica that skipped what a newer one performs would silently hold
    another state. The node stops instead, before it acknowledges anything.
    """

    def __init__(self, index: int, command: bytes) -> None:
        start = command[:16].hex(" ") or "nothing"
        super().__init__(
            f"log entry {index} is no command of this key-value store (version 1): "
            f"{len(command)} bytes beginning with {start}; was it written by a newer raftpy?"
        )


def read() -> bytes:
    """A command without effect: once applied, everything acknowledged before it was proposed is visible."""
    return _READ_COMMAND


def put(key: bytes, value: bytes) -> bytes:
    """Sets ``key`` to ``value`` whatever was there. This and the other functions take the key as UTF-8, 1 to
    ``MAX_KEY`` bytes, and do not check it."""
    return _PLAIN.pack(PUT, len(key)) + key + value


def put_if_version(key: bytes, value: bytes, version: int) -> bytes:
    """Sets ``key`` only if its version is exactly ``version`` (0 to ``MAX_VERSION``; no key ever has version 0)."""
    return _VERSIONED.pack(PUT_IF_VERSION, version, len(key)) + key + value


def put_if_absent(key: bytes, value: bytes) -> bytes:
    """Sets ``key`` only if it is not there."""
    return _PLAIN.pack(PUT_IF_ABSENT, len(key)) + key + value


def delete(key: bytes) -> bytes:
    """Removes ``key``."""
    return _PLAIN.pack(DELETE, len(key)) + key


def delete_if_version(key: bytes, version: int) -> bytes:
    """Removes ``key`` only if its version is exactly ``version``."""
    return _VERSIONED.pack(DELETE_IF_VERSION, version, len(key)) + key


def decode(index: int, command: bytes) -> tuple[int, bytes, bytes, int]:
    """The parts of a command: (form, key, value, version); what a form does not have is empty or 0.

    ``index`` is only for the message of :class:`UnknownCommand`, which every other input raises.
    """
    form = command[0] if command else 0
    start = _KEY_START.get(form, 0)
    if start and len(command) >= start:
        end = start + (command[start - 2] | command[start - 1] << 8)
        if start < end <= len(command) and (end == len(command) or form in _WITH_VALUE):
            version = _VERSIONED.unpack_from(command)[1] if start == VERSIONED_OVERHEAD else 0
            return form, command[start:end], command[end:], version
    if command == _READ_COMMAND:
        return READ, b"", b"", 0
    raise UnknownCommand(index, command)
