# How fast datagrams may leave for one receiver: RFC 9002, with its window of NewReno (RFC 6582) and its pacing.
from libc.stdint cimport int64_t

cimport cython

cdef enum:
    INITIAL_RTT_US = 333000       # kInitialRtt, 6.2.2: until the first sample
    GRANULARITY_US = 1000         # kGranularity, 6.1.2
    PACKET_THRESHOLD = 3          # kPacketThreshold, 6.1.1
    PERSISTENT_THRESHOLD = 3      # kPersistentCongestionThreshold, 7.6.1: in PTO
    FIRST_WINDOW_BYTES = 14720    # 7.2
    FIRST_WINDOW_DATAGRAMS = 10
    LEAST_WINDOW_DATAGRAMS = 2    # kMinimumWindow, 7.2

@cython.final
cdef class Congestion:
    cdef readonly int64_t datagram        # bytes in a full datagram
    cdef readonly int64_t window          # bytes that may be on their way
    cdef readonly int64_t in_flight       # bytes that are
    cdef readonly int64_t threshold       # below it the window grows by what is acknowledged (slow start)
    cdef readonly int64_t latest_rtt_us
    cdef readonly int64_t smoothed_rtt_us
    cdef readonly int64_t rtt_variation_us
    cdef readonly int64_t least_rtt_us
    cdef readonly int64_t first_sample_us  # when the first sample was taken; INT64_MAX: none was
    cdef int64_t recovery_us              # when the last recovery began; -1: none has
    cdef int64_t credit                   # of growth below one byte, in bytes squared
    cdef int64_t tokens                   # bytes that may leave without a pause
    cdef int64_t filled_us                # when tokens were last added to

    cpdef int resize(self, int64_t datagram) except -1
    cpdef int sample(self, int64_t rtt_us, int64_t now_us) except -1
    cpdef int sent(self, int64_t size, int64_t now_us) except -1
    cpdef int acknowledged(self, int64_t size, int64_t sent_us, bint limited) except -1
    cpdef int lost(self, int64_t size) except -1
    cpdef int event(self, int64_t sent_us, int64_t now_us) except -1
    cpdef int persistent(self) except -1
    cpdef int forgotten(self, int64_t size) except -1
    cpdef bint has_room(self, int64_t size) noexcept
    cpdef int64_t paced_us(self, int64_t size, int64_t now_us) noexcept
    cpdef int64_t loss_delay_us(self) noexcept
    cpdef int64_t probe_timeout_us(self) noexcept
    cdef int64_t burst(self) noexcept
    cdef int fill(self, int64_t now_us) noexcept
