# What is known of the path to one receiver: RFC 9002's round trips and delays, and BBR's window and rate.
from libc.stdint cimport int64_t

cimport cython

from raftcore.wire.bbr cimport Bbr, Leaving

cdef enum:
    INITIAL_RTT_US = 333000       # kInitialRtt, 6.2.2: until the first sample
    GRANULARITY_US = 1000         # kGranularity, 6.1.2
    PACKET_THRESHOLD = 3          # kPacketThreshold, 6.1.1
    PERSISTENT_THRESHOLD = 3      # kPersistentCongestionThreshold, 7.6.1: in PTO
    MOST_QUARTERS = 255           # RACK.reo_wnd_mult has a byte,
    LASTING_RECOVERIES = 16       # and is kept for so many recoveries (RFC 8985, 6.2, step 4)
    UNREAD_US = 10000             # how long a receiver may be busy with something else than its socket
    SPAN_US = 250                 # what has left is counted in spans,
    SPANS = 41                    # of which so many have begun within UNREAD_US

@cython.final
cdef class Congestion:
    cdef readonly Bbr model
    cdef readonly int64_t latest_rtt_us
    cdef readonly int64_t smoothed_rtt_us
    cdef readonly int64_t rtt_variation_us
    cdef readonly int64_t least_rtt_us
    cdef readonly int64_t first_sample_us  # when the first sample was taken; INT64_MAX: none was
    cdef readonly bint reordered          # RACK.reordering_seen
    cdef readonly int quarters            # RACK.reo_wnd_mult
    cdef int recoveries                   # RACK.reo_wnd_persist
    cdef int64_t tokens                   # bytes that may leave without a pause
    cdef int64_t filled_us                # when tokens were last added to
    cdef int64_t[SPANS] left              # bytes that left in each span, at number % SPANS,
    cdef int64_t span                     # of which this is the latest,
    cdef int64_t recent                   # and all together

    cpdef int resize(self, int64_t datagram) except -1
    cpdef int sample(self, int64_t rtt_us, int64_t now_us) except -1
    cdef int sent(self, Leaving* leaving, int64_t size, int64_t now_us) except -1
    cdef int persistent(self) except -1
    cdef bint has_room(self, int64_t size) except -1
    cdef int update(self, int64_t now_us) except -1
    cdef int pass_to(self, int64_t now_us) noexcept
    cdef int64_t path_holds(self) noexcept
    cdef int64_t socket_us(self, int64_t size, int64_t burst, int64_t now_us) noexcept
    cdef int64_t paced_us(self, int64_t size, int64_t now_us) noexcept
    cdef int64_t leaves_us(self, int64_t size, int64_t burst, int64_t now_us) noexcept
    cpdef int overtaken(self) noexcept
    cpdef int premature(self) noexcept
    cpdef int recovered(self) noexcept
    cpdef int64_t loss_delay_us(self) noexcept
    cpdef int64_t reordering_us(self) noexcept
    cpdef int64_t probe_timeout_us(self) noexcept
    cdef int fill(self, int64_t now_us) noexcept
