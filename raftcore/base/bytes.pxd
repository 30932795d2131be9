# Little-endian numbers in bytes. Composed byte by byte: no alignment and no byte order is assumed, and compilers
# turn each function into one load or store where the machine allows it.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef inline uint16_t load16(const uint8_t* at) noexcept nogil:
    return <uint16_t> (at[0] | (<uint32_t> at[1] << 8))


cdef inline uint32_t load32(const uint8_t* at) noexcept nogil:
    return at[0] | (<uint32_t> at[1] << 8) | (<uint32_t> at[2] << 16) | (<uint32_t> at[3] << 24)


cdef inline uint64_t load64(const uint8_t* at) noexcept nogil:
    return (at[0] | (<uint64_t> at[1] << 8) | (<uint64_t> at[2] << 16) | (<uint64_t> at[3] << 24)
            | (<uint64_t> at[4] << 32) | (<uint64_t> at[5] << 40) | (<uint64_t> at[6] << 48) | (<uint64_t> at[7] << 56))


cdef inline void store16(uint8_t* at, uint16_t value) noexcept nogil:
    at[0] = <uint8_t> value
    at[1] = <uint8_t> (value >> 8)


cdef inline void store32(uint8_t* at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t> value
    at[1] = <uint8_t> (value >> 8)
    at[2] = <uint8_t> (value >> 16)
    at[3] = <uint8_t> (value >> 24)


cdef inline void store64(uint8_t* at, uint64_t value) noexcept nogil:
    at[0] = <uint8_t> value
    at[1] = <uint8_t> (value >> 8)
    at[2] = <uint8_t> (value >> 16)
    at[3] = <uint8_t> (value >> 24)
    at[4] = <uint8_t> (value >> 32)
    at[5] = <uint8_t> (value >> 40)
    at[6] = <uint8_t> (value >> 48)
    at[7] = <uint8_t> (value >> 56)
