# What the system's clocks read, for who cannot spare a call of Python: the same clocks as Python's time module reads.
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <time.h>
    #if defined(__linux__)
    #define RAFTPY_READS_CLOCKS 1
    static CYTHON_INLINE double raftpy_monotonic_s(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        /* In this order: as time.monotonic does, so that readings of both can be compared to the last bit. */
        return (double)((long long)now.tv_sec * 1000000000LL + now.tv_nsec) / 1e9;
    }
    static CYTHON_INLINE unsigned long long raftpy_wall_ms(void) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (unsigned long long)now.tv_sec * 1000ULL + (unsigned long long)now.tv_nsec / 1000000ULL;
    }
    #else
    #define RAFTPY_READS_CLOCKS 0
    static CYTHON_INLINE double raftpy_monotonic_s(void) { return 0; }
    static CYTHON_INLINE unsigned long long raftpy_wall_ms(void) { return 0; }
    #endif
    """
    # Whether the two can be used here: elsewhere than on Linux, Python may read other clocks.
    const bint READS_CLOCKS "RAFTPY_READS_CLOCKS"
    # time.monotonic(), seconds.
    double monotonic_s "raftpy_monotonic_s" () noexcept nogil
    # time.time_ns() in milliseconds.
    uint64_t wall_clock_ms "raftpy_wall_ms" () noexcept nogil

# A reading of a clock in seconds, by its `monotonic`; None: of the system's.
cdef inline double read_clock(object monotonic) except? -1:
    return monotonic_s() if monotonic is None else monotonic()
