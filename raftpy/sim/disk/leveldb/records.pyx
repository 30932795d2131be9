"""The records of write-ahead files and manifests (doc/log_format.md): blocks of 32 KiB, in them fragments of records.

A reader leaves out what a writer has not finished at the end of the file, and zeros; all else that does not hold is
corruption.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from raftcore.base.bytes cimport load32, store32
from raftcore.base.crc cimport crc32c_update
from raftpy.storage.leveldb.wal_records cimport FIRST, FULL, LAST, MIDDLE

cdef enum:
    BLOCK = 32768    # bytes
    HEADER_SIZE = 7  # checksum (u32), size (u16) and kind (u8) of a fragment
    ZERO = 0
    UNKNOWN = 256  # zero, where it is none


cdef uint32_t DELTA = 0xA282EAD8


cdef uint32_t masked(uint32_t crc) noexcept:
    # A checksum as it is stored, so that a checksum over it is not one over a checksum.
    return (crc >> 15 | crc << 17) + DELTA


cdef bytes fragment(Py_ssize_t padding, int kind, bytes record, Py_ssize_t start, Py_ssize_t size):
    # So much of a record from `start` on, behind so many zeros that fill the block before.
    cdef bytes out = PyBytes_FromStringAndSize(NULL, padding + HEADER_SIZE + size)
    cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(out)
    memset(at, 0, <size_t> padding)
    at += padding
    at[4] = <uint8_t> (size & 0xFF)
    at[5] = <uint8_t> (size >> 8)
    at[6] = <uint8_t> kind
    memcpy(at + HEADER_SIZE, PyBytes_AS_STRING(record) + start, <size_t> size)
    store32(at, masked(crc32c_update(0, at + 6, size + 1)))
    return out


def fragments(bytes record not None, Py_ssize_t at):
    """A record for byte ``at`` of its file, in pieces that are written one by one."""
    cdef Py_ssize_t left = BLOCK - at % BLOCK
    cdef Py_ssize_t size = PyBytes_GET_SIZE(record)
    cdef Py_ssize_t done = 0
    cdef Py_ssize_t padding, part
    cdef bint first = True
    cdef bint last
    cdef int kind
    cdef list pieces
    if size + HEADER_SIZE <= left:
        return [fragment(0, FULL, record, 0, size)]
    pieces = []
    while first or done < size:
        padding = 0
        if left < HEADER_SIZE:
            padding, left = left, BLOCK
        part = min(size - done, left - HEADER_SIZE)
        last = done + part == size
        kind = (FULL if first else LAST) if last else (FIRST if first else MIDDLE)
        pieces.append(fragment(padding, kind, record, done, part))
        done += part
        left -= HEADER_SIZE + part
        if left == 0:
            left = BLOCK
        first = False
    return pieces


def read_records(bytes data not None):
    """All whole records of a file, and the first corruption, None where there is none."""
    cdef list records = []
    cdef list errors = []
    cdef bytes record = None
    cdef bytes part
    cdef int kind
    for kind, part, error in found_in(data):
        if error is not None:
            errors.append(error)
        if kind == ZERO:  # no fragment
            if record is not None:
                errors.append("error in middle of record")
            record = None
        elif kind in (FULL, FIRST):
            if record:
                errors.append(f"partial record without end({1 if kind == FULL else 2})")
            record = part if kind == FIRST else None
            if kind == FULL:
                records.append(part)
        elif kind in (MIDDLE, LAST):
            if record is None:
                errors.append(f"missing start of fragmented record({1 if kind == MIDDLE else 2})")
                continue
            record += part
            if kind == LAST:
                records.append(record)
                record = None
        else:
            errors.append(f"unknown record type {kind}")
            record = None
    return records, errors[0] if errors else None


cdef list found_in(bytes data):
    # Kind and data of each fragment, and None; of a rest of a block that holds none kind 0, and what is wrong with it.
    cdef const uint8_t* bytes_at = <const uint8_t*> PyBytes_AS_STRING(data)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t start, at, stop, end
    cdef int kind
    cdef list found = []
    for start in range(0, length, BLOCK):
        at, stop = start, min(start + BLOCK, length)
        while stop - at >= HEADER_SIZE:
            kind = bytes_at[at + 6]
            end = at + HEADER_SIZE + (bytes_at[at + 4] | bytes_at[at + 5] << 8)
            if end > stop:
                if stop - start < BLOCK:
                    return found  # whose writer died
                found.append((ZERO, b"", "bad record length"))
                break
            if kind == ZERO and end == at + HEADER_SIZE:
                found.append((ZERO, b"", None))
                break
            if masked(crc32c_update(0, bytes_at + at + 6, end - at - 6)) != load32(bytes_at + at):
                found.append((ZERO, b"", "checksum mismatch"))
                break
            found.append((kind if kind != ZERO else UNKNOWN, data[at + HEADER_SIZE:end], None))
            at = end
    return found
