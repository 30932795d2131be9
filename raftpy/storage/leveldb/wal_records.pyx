"""The records of a LevelDB write-ahead file: where they end, and what is wrong there.

The format is LevelDB's doc/log_format.md: blocks of 32 KiB, in them records of a masked CRC32C (u32) over type and
data, a length (u16), a type (u8) and the data, all little endian; a block's last bytes, fewer than 7, are padding. A
batch is one record or, across blocks, several. Behind the last record there may be zeros: space set aside.
"""
from libc.stdint cimport uint8_t, uint32_t

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.bytes cimport load16, load32
from raftcore.base.crc cimport crc32c_update

cdef enum:
    MASK_DELTA = 0xA282EAD8

BLOCK = BLOCK_SIZE
HEADER = RECORD_HEADER

WHOLE = "whole"
TORN = "torn"
LENGTH = "length"
BROKEN = "broken"


def survey(data):
    """``(verdict, offset)``: of the first record that is not whole, or else the end of the last.

    - ``WHOLE``: all records are, and behind them there is nothing but zeros.
    - ``TORN``: the last record is the beginning of one, as its writer leaves it when it dies: cut off by the end of the
      file, or by zeros up to the end of the file. No shorter length makes its checksum right.
    - ``LENGTH``: it looks like that, but a shorter length does: the length is what was damaged.
    - ``BROKEN``: anything else.

    A last record is told from a beginning only if its last byte is not zero (raftpy/storage/leveldb/sealing.pyx sees to
    that).
    """
    cdef Buffer view = buffer_of(data)
    cdef Py_ssize_t size = view.size
    cdef Py_ssize_t offset = 0
    cdef Py_ssize_t block_end, stop
    cdef const uint8_t* at
    if size == 0:
        return WHOLE, 0
    at = view.at
    while True:
        block_end = min((offset // BLOCK_SIZE + 1) * BLOCK_SIZE, size)
        if block_end - offset < RECORD_HEADER:
            if block_end == size:  # less than a header, or nothing
                return (WHOLE if zeros(at, offset, size) else TORN), offset
            offset = block_end
            continue
        if zeros(at, offset, offset + RECORD_HEADER):
            return (WHOLE if zeros(at, offset, size) else BROKEN), offset
        stop = offset + RECORD_HEADER + load16(at + offset + 4)
        if stop <= block_end and checksum_holds(at, offset, stop):
            offset = stop
            continue
        if stop > block_end and block_end < size:
            return BROKEN, offset  # no record leaves its block
        if stop <= block_end and (at[stop - 1] or not zeros(at, stop, size)):
            return BROKEN, offset
        return (LENGTH if some_length_holds(at, offset, min(stop, block_end)) else TORN), offset


def record_holds(data, Py_ssize_t offset, Py_ssize_t stop):
    """Whether the checksum of the record in [offset, stop) of ``data`` holds. ``ValueError`` where it has no place."""
    cdef Buffer view = checked(data, offset, stop)
    return checksum_holds(view.at, offset, stop)


def length_is_damaged(data, Py_ssize_t offset, Py_ssize_t stop):
    """Whether the checksum of the record at ``offset`` holds for a shorter one, which ends at ``stop`` at most: see
    ``LENGTH``. Raises ``ValueError`` likewise."""
    cdef Buffer view = checked(data, offset, stop)
    return some_length_holds(view.at, offset, stop)


cdef Buffer checked(data, Py_ssize_t offset, Py_ssize_t stop):
    cdef Buffer view = buffer_of(data)
    if offset < 0 or offset > view.size - RECORD_HEADER or stop > view.size or stop - offset < RECORD_HEADER:
        raise ValueError(f"no record from byte {offset} to {stop} of {view.size}")
    return view


cdef bint zeros(const uint8_t* at, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(start, stop):
        if at[i]:
            return False
    return True


cdef inline uint32_t unmasked(const uint8_t* record) noexcept nogil:
    cdef uint32_t rotated = load32(record) - <uint32_t> MASK_DELTA
    return rotated >> 17 | rotated << 15


cdef bint checksum_holds(const uint8_t* at, Py_ssize_t offset, Py_ssize_t stop) noexcept nogil:
    return crc32c_update(0, at + offset + 6, stop - offset - 6) == unmasked(at + offset)


cdef bint some_length_holds(const uint8_t* at, Py_ssize_t offset, Py_ssize_t stop) noexcept nogil:
    # Whether the checksum is that of the type and some number of the bytes up to stop.
    cdef uint32_t wanted = unmasked(at + offset)
    cdef uint32_t crc = crc32c_update(0, at + offset + 6, 1)
    cdef Py_ssize_t i
    for i in range(offset + RECORD_HEADER, stop):
        if crc == wanted:
            return True
        crc = crc32c_update(crc, at + i, 1)
    return crc == wanted
