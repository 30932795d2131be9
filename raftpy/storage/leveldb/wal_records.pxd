# What the records of a write-ahead file are counted in (LevelDB's doc/log_format.md), and what they say.

from libc.stdint cimport uint8_t, uint32_t

from raftcore.base.bytes cimport load32

cdef enum:
    MASK_DELTA = 0xA282EAD8

cdef enum:
    BLOCK_SIZE = 32 * 1024  # bytes; a record lies in one block
    RECORD_HEADER = 7       # bytes in front of each record's data

cdef enum:
    # What of a batch a record holds.
    FULL = 1
    FIRST = 2
    MIDDLE = 3
    LAST = 4

cdef enum:
    # Kinds of writes in a batch (db/dbformat.h).
    DELETION = 0
    VALUE = 1


# The CRC32C of type and data that the record at `record` says.
cdef inline uint32_t unmasked(const uint8_t* record) noexcept nogil:
    cdef uint32_t rotated = load32(record) - <uint32_t> MASK_DELTA
    return rotated >> 17 | rotated << 15


# What a record says of type and data with this CRC32C.
cdef inline uint32_t masked(uint32_t crc) noexcept nogil:
    return (crc >> 15 | crc << 17) + <uint32_t> MASK_DELTA
