"""How fast datagrams may leave for one receiver: the round trips measured, a window, and pauses between datagrams.

This is the sender's side of RFC 9002 ("QUIC Loss Detection and Congestion Control"): the estimate of the round trip of
its section 5, the delays of section 6, and of section 7 and appendix B the window, which is that of NewReno, and so as
fair to a TCP stream on the same path as one TCP stream is to another. Section numbers below are that RFC's. Who is sent
what is the caller's matter (outgoing.pyx), and which datagram is lost, too. Nothing here reads a clock. Times are whole
microseconds of one clock, sizes are bytes: whole numbers come out alike on every machine.

Acknowledgements leave at once here, so no delay of theirs is taken off a round trip, nor added to a timeout.
"""
from libc.stdint cimport INT64_MAX, int64_t

cimport cython

cdef enum:
    LONGEST_PAUSE_US = 1000000  # what passes beyond it fills the bucket no further: it is full by then


cdef int check_size(int64_t datagram) except -1:
    if not 1 <= datagram <= 1 << 20:
        raise ValueError(f"a datagram has 1 to {1 << 20} bytes, not {datagram}")
    return 0


# 7.2: ten datagrams, as long as they are not many bytes more than ten of the usual size.
cdef int64_t first_window(int64_t datagram) noexcept:
    return min(FIRST_WINDOW_DATAGRAMS * datagram,
               max(<int64_t> FIRST_WINDOW_BYTES, LEAST_WINDOW_DATAGRAMS * datagram))


@cython.final
cdef class Congestion:
    """Congestion(datagram): the path to one receiver, of which nothing is known yet; ``datagram``: bytes in a full one.

    ValueError for a size that no datagram has.

    Attributes:
        window: bytes that may be on their way; ``in_flight``: bytes that are.
        threshold: window from which on it grows by one datagram a round trip only.
        latest_rtt_us, smoothed_rtt_us, rtt_variation_us, least_rtt_us: of the round trips, microseconds (5).
            The least is that of the path without what waits on it; 0 before the first.
        first_sample_us: when the first round trip was measured.
    """

    def __cinit__(self, int64_t datagram):
        check_size(datagram)
        self.datagram = datagram
        self.window = first_window(datagram)
        self.threshold = INT64_MAX
        self.smoothed_rtt_us = INITIAL_RTT_US
        self.rtt_variation_us = INITIAL_RTT_US // 2
        self.first_sample_us = INT64_MAX
        self.recovery_us = -1
        self.tokens = self.burst()

    cpdef int resize(self, int64_t datagram) except -1:
        """A full datagram has so many bytes from now on (7.2). ValueError as at the beginning."""
        check_size(datagram)
        self.datagram = datagram
        if self.first_sample_us == INT64_MAX:
            self.window = first_window(datagram)
        self.window = max(self.window, LEAST_WINDOW_DATAGRAMS * datagram)
        self.tokens = min(self.tokens, self.burst())
        return 0

    cpdef int sample(self, int64_t rtt_us, int64_t now_us) except -1:
        """A datagram's acknowledgement came ``rtt_us`` after it had left (5.1 to 5.3, A.7)."""
        rtt_us = max(<int64_t> 1, rtt_us)
        self.latest_rtt_us = rtt_us
        if self.first_sample_us == INT64_MAX:
            self.first_sample_us = now_us
            self.least_rtt_us = self.smoothed_rtt_us = rtt_us
            self.rtt_variation_us = rtt_us // 2
            return 0
        self.least_rtt_us = min(self.least_rtt_us, rtt_us)
        self.rtt_variation_us = (3 * self.rtt_variation_us + abs(self.smoothed_rtt_us - rtt_us)) // 4
        self.smoothed_rtt_us = (7 * self.smoothed_rtt_us + rtt_us) // 8
        return 0

    # --- The window (7.3, B.4 to B.8) ---------------------------------------------------------------------------

    cpdef int sent(self, int64_t size, int64_t now_us) except -1:
        """A datagram of ``size`` bytes leaves now."""
        self.fill(now_us)
        self.in_flight += size
        self.tokens -= size
        return 0

    cpdef int acknowledged(self, int64_t size, int64_t sent_us, bint limited) except -1:
        """A datagram that had left at ``sent_us`` has arrived. ``limited``: more would have left, had the window or the
        pauses allowed it; only then does what arrives say that the path takes more (7.8)."""
        self.in_flight -= size
        if sent_us <= self.recovery_us or not limited:
            return 0  # in recovery the window does not grow (7.3.2)
        if self.window < self.threshold:
            self.window += size  # slow start (7.3.1)
        else:
            # Congestion avoidance (7.3.3): a datagram for each window that was acknowledged.
            self.credit += self.datagram * size
            self.window += self.credit // self.window
            self.credit %= self.window
        return 0

    cpdef int lost(self, int64_t size) except -1:
        """A datagram is taken for lost; ``event`` follows once for all that were found lost together."""
        self.in_flight -= size
        return 0

    cpdef int event(self, int64_t sent_us, int64_t now_us) except -1:
        """Datagrams were lost, the last of them sent at ``sent_us``: once a round trip the window is halved (7.3.2)."""
        if sent_us <= self.recovery_us:
            return 0
        self.recovery_us = now_us
        self.threshold = max(self.window // 2, LEAST_WINDOW_DATAGRAMS * self.datagram)
        self.window = self.threshold
        self.credit = 0
        return 0

    cpdef int persistent(self) except -1:
        """Nothing of a long stretch has arrived: it begins anew with the smallest window (7.6.2)."""
        self.window = LEAST_WINDOW_DATAGRAMS * self.datagram
        self.recovery_us = -1
        self.least_rtt_us = self.latest_rtt_us  # the path may be another one (5.2)
        self.credit = 0
        return 0

    cpdef int forgotten(self, int64_t size) except -1:
        """Datagrams of ``size`` bytes together are given up: whether they arrived is not asked any more."""
        self.in_flight -= size
        return 0

    cpdef bint has_room(self, int64_t size) noexcept:
        """Whether the window lets a datagram leave; one always may when nothing is on its way."""
        return self.in_flight == 0 or self.in_flight + size <= self.window

    # --- Pauses (7.7) -------------------------------------------------------------------------------------------

    cdef int64_t burst(self) noexcept:
        # Without a pause there leave at most the first window's bytes; or what the rate gives within the time below
        # which no timer wakes anybody.
        return max(max(<int64_t> FIRST_WINDOW_BYTES, LEAST_WINDOW_DATAGRAMS * self.datagram),
                   5 * self.window * GRANULARITY_US // (4 * self.smoothed_rtt_us))

    cdef int fill(self, int64_t now_us) noexcept:
        # 5/4 of the window in each round trip.
        cdef int64_t passed_us = min(<int64_t> LONGEST_PAUSE_US, now_us - self.filled_us)
        cdef int64_t more
        if passed_us <= 0:
            return 0
        more = 5 * self.window * passed_us // (4 * self.smoothed_rtt_us)
        if more:
            self.tokens = min(self.burst(), self.tokens + more)
            self.filled_us = now_us
        return 0

    cpdef int64_t paced_us(self, int64_t size, int64_t now_us) noexcept:
        """When a datagram may leave as far as pauses go; ``now_us`` or earlier: now."""
        self.fill(now_us)
        if self.tokens >= size:
            return now_us
        return now_us + max(<int64_t> 1, (size - self.tokens) * 4 * self.smoothed_rtt_us // (5 * self.window))

    # --- Delays (6.1.2, 6.2.1) ----------------------------------------------------------------------------------

    cpdef int64_t loss_delay_us(self) noexcept:
        """How long after it left a datagram counts as lost when one sent after it has arrived: 9/8 of a round trip."""
        return max(<int64_t> GRANULARITY_US, 9 * max(self.latest_rtt_us, self.smoothed_rtt_us) // 8)

    cpdef int64_t probe_timeout_us(self) noexcept:
        """How long an acknowledgement is waited for before another datagram asks for one."""
        return self.smoothed_rtt_us + max(<int64_t> GRANULARITY_US, 4 * self.rtt_variation_us)
