# The records of write-ahead files and manifests.
from libc.stdint cimport uint32_t

cdef uint32_t masked(uint32_t crc) noexcept
