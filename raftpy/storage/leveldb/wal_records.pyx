"""The records of a LevelDB write-ahead file: where they end, and what is wrong there.

The format is LevelDB's doc/log_format.md: blocks of 32 KiB, in them records of a masked CRC32C (u32) over type and
data, a length (u16), a type (u8) and the data, all little endian; a block's last bytes, fewer than 7, are padding. A
batch is one record or, across blocks, several. Behind the last record there may be zeros: space set aside.
"""
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.bytes cimport load16
from raftcore.base.crc cimport crc32c_update

BLOCK = BLOCK_SIZE
HEADER = RECORD_HEADER

WHOLE = "whole"
TORN = "torn"
LENGTH = "length"
BROKEN = "broken"


def survey(data, Py_ssize_t begin=0):
    """``(verdict, offset)``: of the first record that is not whole, or else the end of the last.

    - ``WHOLE``: all records are, and behind them there is nothing but zeros.
    - ``TORN``: the last record is the beginning of one, as its writer leaves it when it dies: cut off by the end of the
      file, or by zeros up to the end of the file. No shorter length makes its checksum right.
    - ``LENGTH``: it looks like that, but a shorter length does: the length is what was damaged.
    - ``BROKEN``: anything else.

    ``begin``: where :func:`whole_until` has found all to be whole up to. ``ValueError`` for one that has no place.

    A last record is told from a beginning only if its last byte is not zero (raftpy/storage/leveldb/sealing.pyx sees to
    that).
    """
    cdef Buffer view = buffer_of(data)
    cdef const uint8_t* at = view.at
    cdef Py_ssize_t size = view.size
    cdef Py_ssize_t offset = begin
    cdef int verdict
    if not 0 <= begin <= size:
        raise ValueError(f"{begin} is no place in {size} bytes")
    with nogil:
        verdict = find_end(at, size, &offset)
    return VERDICTS[verdict], offset


def whole_until(data, Py_ssize_t begin):
    """Of the beginning of a file that is still being read: up to where its records are whole, in blocks that are there
    to their end. ``begin``: what the last call has found, 0 at first. ``ValueError`` for one that has no place."""
    cdef Buffer view = buffer_of(data)
    cdef const uint8_t* at = view.at
    cdef Py_ssize_t size = view.size - view.size % BLOCK_SIZE
    cdef Py_ssize_t offset = begin
    if not 0 <= begin <= view.size:
        raise ValueError(f"{begin} is no place in {view.size} bytes")
    with nogil:
        while offset < size:
            if not step_over(at, &offset):
                break
    return offset


cdef bint step_over(const uint8_t* at, Py_ssize_t* offset) noexcept nogil:
    # Goes on behind the whole record there, or the padding, in a block that is there to its end. False: neither.
    cdef Py_ssize_t block_end = (offset[0] // BLOCK_SIZE + 1) * BLOCK_SIZE
    cdef Py_ssize_t stop
    if block_end - offset[0] < RECORD_HEADER:
        offset[0] = block_end
        return True
    stop = offset[0] + RECORD_HEADER + load16(at + offset[0] + 4)
    if stop > block_end or zeros(at, offset[0], offset[0] + RECORD_HEADER) or not checksum_holds(at, offset[0], stop):
        return False
    offset[0] = stop
    return True


cdef enum Verdict:
    IS_WHOLE
    IS_TORN
    HAS_LENGTH
    IS_BROKEN

# In the order of Verdict.
cdef tuple VERDICTS = (WHOLE, TORN, LENGTH, BROKEN)


cdef int find_end(const uint8_t* at, Py_ssize_t size, Py_ssize_t* end) noexcept nogil:
    # See survey: a Verdict, and the offset, from which it begins.
    cdef Py_ssize_t offset = end[0]
    cdef Py_ssize_t block_end, stop
    while size:
        end[0] = offset
        block_end = min((offset // BLOCK_SIZE + 1) * BLOCK_SIZE, size)
        if block_end - offset < RECORD_HEADER:
            if block_end == size:  # less than a header, or nothing
                return IS_WHOLE if zeros(at, offset, size) else IS_TORN
            offset = block_end
            continue
        if zeros(at, offset, offset + RECORD_HEADER):
            return IS_WHOLE if zeros(at, offset, size) else IS_BROKEN
        stop = offset + RECORD_HEADER + load16(at + offset + 4)
        if stop <= block_end and checksum_holds(at, offset, stop):
            offset = stop
            continue
        if stop > block_end and block_end < size:
            return IS_BROKEN  # no record leaves its block
        if stop <= block_end and (at[stop - 1] or not zeros(at, stop, size)):
            return IS_BROKEN
        return HAS_LENGTH if some_length_holds(at, offset, min(stop, block_end)) else IS_TORN
    return IS_WHOLE


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
    # The first is, and each is what the one before it is.
    if start >= stop:
        return True
    return not at[start] and not memcmp(at + start, at + start + 1, <size_t> (stop - start - 1))


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
