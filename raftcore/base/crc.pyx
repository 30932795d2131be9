"""CRC32C (Castagnoli polynomial, RFC 3720 B.4): the checksum of datagrams and of store records.

Three ways to the same number: the SSE4.2 instruction (chosen at run time), the ARMv8 instruction (chosen at compile
time), and tables (slicing by eight). The instructions have a latency of three cycles but start one each cycle, so the
data is read in three lanes whose checksums are joined: a lane's checksum is moved past the bytes of the next lane by
four table look-ups, because a CRC is linear over the bits before it.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from raftcore.base.buffer cimport Buffer, buffer_of

cdef extern from *:
    """
    #include <stdint.h>
    #include <stddef.h>
    #include <string.h>

    #define RAFT_CRC_POLYNOMIAL 0x82f63b78u  /* 0x1edc6f41, bits reversed */
    #define RAFT_CRC_LONG 1024   /* bytes in a lane: long ones for full datagrams ... */
    #define RAFT_CRC_SHORT 128   /* ... short ones for small datagrams and what is left */

    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    #define RAFT_CRC_NAME "sse4.2"
    #define RAFT_CRC_TARGET __attribute__((target("sse4.2")))
    #define RAFT_CRC_STEP8(crc, word) __builtin_ia32_crc32di((crc), (word))
    #define RAFT_CRC_STEP1(crc, byte) __builtin_ia32_crc32qi((uint32_t)(crc), (byte))
    static int raft_crc_supported(void) { __builtin_cpu_init(); return __builtin_cpu_supports("sse4.2") != 0; }
    #elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32) && !defined(__AARCH64EB__)
    #include <arm_acle.h>
    #define RAFT_CRC_NAME "armv8"
    #define RAFT_CRC_TARGET
    #define RAFT_CRC_STEP8(crc, word) __crc32cd((uint32_t)(crc), (word))
    #define RAFT_CRC_STEP1(crc, byte) __crc32cb((uint32_t)(crc), (byte))
    static int raft_crc_supported(void) { return 1; }
    #else
    #define RAFT_CRC_NAME "table"
    static int raft_crc_supported(void) { return 0; }
    #endif

    static uint32_t raft_crc_table[8][256];
    static uint32_t raft_crc_long[4][256];   /* moves a checksum past RAFT_CRC_LONG zero bytes */
    static uint32_t raft_crc_short[4][256];  /* the same for RAFT_CRC_SHORT */
    static uint32_t raft_crc_doubled[16][4][256];  /* and for 1, 2, 4, ... 32,768 */
    static int raft_crc_hardware = 0;

    static inline uint64_t raft_crc_move(uint32_t lane[4][256], uint64_t crc) {
        return lane[0][crc & 0xff] ^ lane[1][crc >> 8 & 0xff] ^ lane[2][crc >> 16 & 0xff] ^ lane[3][crc >> 24 & 0xff];
    }

    static void raft_crc_spread(uint32_t lane[4][256], const uint32_t moved[32]) {
        for (int k = 0; k < 4; k++)
            for (int value = 0; value < 256; value++) {
                uint32_t crc = 0;
                for (int bit = 0; bit < 8; bit++)
                    if (value >> bit & 1) crc ^= moved[8 * k + bit];
                lane[k][value] = crc;
            }
    }

    static void raft_crc_fill_lane(uint32_t lane[4][256], int bytes) {
        uint32_t moved[32];  /* of each single bit; any other value is the XOR of its bits */
        for (int bit = 0; bit < 32; bit++) {
            uint32_t crc = 1u << bit;
            for (int i = 0; i < bytes; i++) crc = raft_crc_table[0][crc & 0xff] ^ (crc >> 8);
            moved[bit] = crc;
        }
        raft_crc_spread(lane, moved);
    }

    static void raft_crc_fill_doubled(void) {
        raft_crc_fill_lane(raft_crc_doubled[0], 1);
        for (int k = 1; k < 16; k++) {
            uint32_t moved[32];
            for (int bit = 0; bit < 32; bit++)
                moved[bit] = (uint32_t)raft_crc_move(raft_crc_doubled[k - 1],
                                                     raft_crc_move(raft_crc_doubled[k - 1], 1u << bit));
            raft_crc_spread(raft_crc_doubled[k], moved);
        }
    }

    static void raft_crc_init(void) {
        for (int value = 0; value < 256; value++) {
            uint32_t crc = (uint32_t)value;
            for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ RAFT_CRC_POLYNOMIAL : crc >> 1;
            raft_crc_table[0][value] = crc;
        }
        for (int k = 1; k < 8; k++)
            for (int value = 0; value < 256; value++) {
                uint32_t crc = raft_crc_table[k - 1][value];
                raft_crc_table[k][value] = raft_crc_table[0][crc & 0xff] ^ (crc >> 8);
            }
        raft_crc_fill_lane(raft_crc_long, RAFT_CRC_LONG);
        raft_crc_fill_lane(raft_crc_short, RAFT_CRC_SHORT);
        raft_crc_fill_doubled();
        raft_crc_hardware = raft_crc_supported();
    }

    static const char *raft_crc_name(void) { return raft_crc_hardware ? RAFT_CRC_NAME : "table"; }

    static uint32_t raft_crc_portable(uint32_t crc, const uint8_t *at, size_t size) {
        crc = ~crc;
        for (; size >= 8; at += 8, size -= 8) {
            uint32_t low = crc ^ (at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
            crc = raft_crc_table[7][low & 0xff] ^ raft_crc_table[6][low >> 8 & 0xff]
                ^ raft_crc_table[5][low >> 16 & 0xff] ^ raft_crc_table[4][low >> 24]
                ^ raft_crc_table[3][at[4]] ^ raft_crc_table[2][at[5]]
                ^ raft_crc_table[1][at[6]] ^ raft_crc_table[0][at[7]];
        }
        for (; size; at++, size--) crc = raft_crc_table[0][(crc ^ *at) & 0xff] ^ (crc >> 8);
        return ~crc;
    }

    #ifdef RAFT_CRC_STEP8
    static inline uint64_t raft_crc_load(const uint8_t *at) {
        uint64_t word;
        memcpy(&word, at, 8);
        return word;
    }

    RAFT_CRC_TARGET static uint32_t raft_crc_fast(uint32_t before, const uint8_t *at, size_t size) {
        uint64_t crc = (uint32_t)~before;
        #define RAFT_CRC_LANES(LANE, TABLE)                                              \\
            while (size >= 3 * LANE) {                                                   \\
                uint64_t second = 0, third = 0;                                          \\
                for (const uint8_t *end = at + LANE; at < end; at += 8) {                \\
                    crc = RAFT_CRC_STEP8(crc, raft_crc_load(at));                        \\
                    second = RAFT_CRC_STEP8(second, raft_crc_load(at + LANE));           \\
                    third = RAFT_CRC_STEP8(third, raft_crc_load(at + 2 * LANE));         \\
                }                                                                        \\
                crc = raft_crc_move(TABLE, crc) ^ second;                                \\
                crc = raft_crc_move(TABLE, crc) ^ third;                                 \\
                at += 2 * LANE;                                                          \\
                size -= 3 * LANE;                                                        \\
            }
        RAFT_CRC_LANES(RAFT_CRC_LONG, raft_crc_long)
        RAFT_CRC_LANES(RAFT_CRC_SHORT, raft_crc_short)
        for (; size >= 8; at += 8, size -= 8) crc = RAFT_CRC_STEP8(crc, raft_crc_load(at));
        for (; size; at++, size--) crc = RAFT_CRC_STEP1(crc, *at);
        return ~(uint32_t)crc;
    }
    #else
    #define raft_crc_fast raft_crc_portable
    #endif

    static uint32_t raft_crc_past(uint32_t crc, uint16_t size) {
        for (int k = 0; size; k++, size >>= 1)
            if (size & 1) crc = (uint32_t)raft_crc_move(raft_crc_doubled[k], crc);
        return crc;
    }

    static inline uint32_t raft_crc_any(uint32_t crc, const uint8_t *at, size_t size) {
        return raft_crc_hardware ? raft_crc_fast(crc, at, size) : raft_crc_portable(crc, at, size);
    }
    """
    void raft_crc_init() noexcept
    const char* raft_crc_name() noexcept
    uint32_t raft_crc_any(uint32_t crc, const uint8_t* data, size_t size) noexcept nogil
    uint32_t raft_crc_portable(uint32_t crc, const uint8_t* data, size_t size) noexcept nogil
    uint32_t raft_crc_past(uint32_t crc, uint16_t size) noexcept nogil

raft_crc_init()

#: What this machine uses: "sse4.2", "armv8" or "table".
IMPLEMENTATION = raft_crc_name().decode("ascii")


cdef uint32_t crc32c_update(uint32_t crc, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    return raft_crc_any(crc, data, <size_t> size)


cdef uint32_t crc32c_past(uint32_t crc, uint16_t size) noexcept nogil:
    return raft_crc_past(crc, size)


def crc32c(data, uint32_t crc=0):
    """CRC32C of data (any contiguous bytes-like object), continuing crc: ``crc32c(b, crc32c(a)) == crc32c(a + b)``."""
    cdef Buffer view
    cdef const uint8_t* at
    if type(data) is bytes:  # no buffer object to make: the hot path
        at = data
        return crc32c_update(crc, at, len(<bytes> data))
    view = buffer_of(data)
    return crc32c_update(crc, view.at, view.size)


def crc32c_joined(uint32_t first, uint32_t second, uint16_t size):
    """CRC32C of two pieces, from the checksum of each and the ``size`` of the second in bytes:
    ``crc32c_joined(crc32c(a), crc32c(b), len(b)) == crc32c(a + b)``."""
    return crc32c_past(first, size) ^ second


def crc32c_portable(data, uint32_t crc=0):
    """The same by tables alone, whatever the machine; for tests and comparison."""
    cdef Buffer view = buffer_of(data)
    return raft_crc_portable(crc, view.at, <size_t> view.size)
