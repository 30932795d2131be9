# CRC32C (Castagnoli; RFC 3720, B.4), on the processor's own instruction where there is one.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

# The checksum of what came before (0: nothing) continued over size bytes.
cdef uint32_t crc32c_update(uint32_t crc, const uint8_t* data, Py_ssize_t size) noexcept nogil
# The checksum of one piece moved past the `size` bytes of the next: XORed with that one's it is the checksum of both.
cdef uint32_t crc32c_past(uint32_t crc, uint16_t size) noexcept nogil
