"""What is known of the path to one receiver: its round trips, and what may leave when.

Round trips, and the delays that follow from them, are those of RFC 9002 ("QUIC Loss Detection and Congestion
Control"), sections 5 and 6. How many bytes may be on their way, and how fast they leave, is bbr.pyx. Who is sent what
is the caller's matter (outgoing.pyx), and which datagram is lost, too. How long one that was overtaken is waited for is
RACK's (RFC 8985, whose sections are named with it). Nothing here reads a clock. Times are whole
microseconds of one clock, sizes are bytes: whole numbers come out alike on every machine.

Acknowledgements leave at once here, so no delay of theirs is taken off a round trip, nor added to a timeout.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

cimport cython

from raftcore.wire.bbr cimport SECOND_US, Bbr, Leaving

cdef enum:
    LONGEST_PAUSE_US = 1000000  # what passes beyond it fills the bucket no further: it is full by then


cdef int check_size(int64_t datagram) except -1:
    if not 1 <= datagram <= 1 << 20:
        raise ValueError(f"a datagram has 1 to {1 << 20} bytes, not {datagram}")
    return 0


@cython.final
cdef class Congestion:
    """Congestion(datagram, seed): the path to one receiver, of which nothing is known yet; ``datagram``: bytes in a
    full one; ``seed``: any number, which tells paths apart (bbr.pyx).

    ValueError for a size that no datagram has.

    Attributes:
        model: of what the path takes.
        latest_rtt_us, smoothed_rtt_us, rtt_variation_us, least_rtt_us: of the round trips, microseconds (5).
            The least is that of the path without what waits on it, of the last ten seconds (bbr.pyx); 0 before the
            first.
        first_sample_us: when the first round trip was measured.
        reordered: a datagram has arrived after one that left later (RACK.reordering_seen).
        quarters: of the least round trip, for which one that was overtaken is waited for then (RACK.reo_wnd_mult).
    """

    def __cinit__(self, int64_t datagram, uint64_t seed=0):
        check_size(datagram)
        self.model = Bbr(datagram, seed)
        self.smoothed_rtt_us = INITIAL_RTT_US
        self.rtt_variation_us = INITIAL_RTT_US // 2
        self.first_sample_us = INT64_MAX
        self.quarters = 1
        self.tokens = self.model.quantum()

    cpdef int resize(self, int64_t datagram) except -1:
        """A full datagram has so many bytes from now on (7.2). ValueError as at the beginning."""
        check_size(datagram)
        self.model.resize(datagram)
        self.tokens = min(self.tokens, self.model.quantum())
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

    # --- What becomes of datagrams ------------------------------------------------------------------------------

    cdef int sent(self, Leaving* leaving, int64_t size, int64_t now_us) except -1:
        """A datagram of ``size`` bytes leaves now; ``leaving`` is filled in."""
        self.fill(now_us)
        self.tokens -= size
        self.pass_to(now_us)
        self.left[self.span % SPANS] += size
        self.recent += size
        return self.model.sent(leaving, size, now_us)

    cdef int update(self, int64_t now_us) except -1:
        """All that one acknowledgement says has been told. The least round trip is forgotten when the model does."""
        self.model.update(now_us)
        self.least_rtt_us = self.model.least_rtt_us
        return 0

    cdef int persistent(self) except -1:
        """Nothing of a long stretch has arrived: the window begins anew with the smallest (7.6.2)."""
        self.least_rtt_us = self.latest_rtt_us  # the path may be another one (5.2)
        return self.model.persistent(self.least_rtt_us)

    cdef bint has_room(self, int64_t size) except -1:
        """Whether the window lets a datagram leave; one always may when nothing is on its way."""
        return self.model.in_flight == 0 or self.model.in_flight + size <= self.model.window

    # --- The receiver's socket ----------------------------------------------------------------------------------

    cdef int pass_to(self, int64_t now_us) noexcept:
        """What left longer ago than UNREAD_US is forgotten."""
        cdef int64_t span = now_us // SPAN_US
        self.span = max(self.span, span - SPANS)
        while self.span < span:
            self.span += 1
            self.recent -= self.left[self.span % SPANS]
            self.left[self.span % SPANS] = 0
        return 0

    cdef int64_t path_holds(self) noexcept:
        """Bytes on their way that are not in the receiver's socket. Half of UNREAD_US of the least round trip may have
        been waiting to be read, as what leaves when others have been read comes in time with that. While a long path is
        being filled it is twice as many as are known of, as the window has it; on a short one nothing need be guessed.
        """
        cdef int64_t known = self.model.most_bandwidth * max(<int64_t> 0, self.least_rtt_us - UNREAD_US // 2)
        return known // SECOND_US * (1 if self.model.full or self.least_rtt_us <= 2 * UNREAD_US else 2)

    cdef int64_t socket_us(self, int64_t size, int64_t burst, int64_t now_us) noexcept:
        """When the receiver's socket, which holds ``burst`` bytes, takes another datagram; ``now_us`` or earlier: now;
        INT64_MAX: when others have been read.

        Either all that is on its way fits, or what comes in UNREAD_US does, for which it may not be read, and no more
        is on its way than the path and the socket hold.
        """
        cdef int64_t over = self.model.in_flight + size - burst
        cdef int64_t before, span
        if self.model.in_flight == 0 or over <= 0:
            return now_us
        if over > min(self.path_holds(), burst * self.least_rtt_us // UNREAD_US):
            return INT64_MAX
        self.pass_to(now_us)
        over = self.recent + size - burst
        before = span = max(self.span - SPANS, -1)  # a clock that has just begun has had fewer
        while over > 0 and span < self.span:
            span += 1
            over -= self.left[span % SPANS]
        return now_us if span == before else (span + SPANS) * SPAN_US

    # --- Pauses (7.7) -------------------------------------------------------------------------------------------

    cdef int fill(self, int64_t now_us) noexcept:
        cdef int64_t passed_us = min(<int64_t> LONGEST_PAUSE_US, now_us - self.filled_us)
        cdef int64_t more
        if passed_us <= 0:
            return 0
        more = self.model.rate * passed_us // SECOND_US
        if more:
            self.tokens = min(self.model.quantum(), self.tokens + more)
            self.filled_us = now_us
        return 0

    cdef int64_t paced_us(self, int64_t size, int64_t now_us) noexcept:
        """When a datagram may leave as far as pauses go; ``now_us`` or earlier: now."""
        self.fill(now_us)
        if self.tokens >= size:
            return now_us
        return now_us + max(<int64_t> 1, (size - self.tokens) * SECOND_US // self.model.rate)

    cdef int64_t leaves_us(self, int64_t size, int64_t burst, int64_t now_us) noexcept:
        """When a datagram may leave for which the window has room, as in :meth:`socket_us`."""
        cdef int64_t at_us = self.socket_us(size, burst, now_us)
        return at_us if at_us > now_us else self.paced_us(size, now_us)

    # --- Delays (6.1.2, 6.2.1) ----------------------------------------------------------------------------------

    cpdef int64_t loss_delay_us(self) noexcept:
        """How long after it left a datagram counts as lost when one sent after it has arrived: 9/8 of a round trip, and
        where the path reorders a round trip and :meth:`reordering_us`."""
        cdef int64_t rtt_us = max(self.latest_rtt_us, self.smoothed_rtt_us)
        if self.reordered:
            return max(<int64_t> GRANULARITY_US, rtt_us + max(rtt_us // 8, self.reordering_us()))
        return max(<int64_t> GRANULARITY_US, 9 * rtt_us // 8)

    cpdef int64_t probe_timeout_us(self) noexcept:
        """How long an acknowledgement is waited for before another datagram asks for one."""
        return self.smoothed_rtt_us + max(<int64_t> GRANULARITY_US, 4 * self.rtt_variation_us)

    # --- Reordering (RFC 8985, 6.2) -----------------------------------------------------------------------------

    cpdef int64_t reordering_us(self) noexcept:
        """How much later than usual a datagram may come that was overtaken (RACK.reo_wnd): so many quarters of the
        least round trip, and no more than a round trip."""
        return min(self.quarters * self.least_rtt_us // 4, self.smoothed_rtt_us)

    cpdef int overtaken(self) noexcept:
        """A datagram has arrived after one that left later (step 3)."""
        self.reordered = True
        return 0

    cpdef int premature(self) noexcept:
        """Once in a round trip in which datagrams arrived that had been taken for lost: the next ones are waited for
        longer (step 4, where DSACK tells of it)."""
        self.reordered = True
        self.quarters = min(self.quarters + 1, <int> MOST_QUARTERS)
        self.recoveries = LASTING_RECOVERIES
        return 0

    cpdef int recovered(self) noexcept:
        """A stretch with losses is over, whose losses were real: after enough of them the path may have become one that
        reorders less (step 4)."""
        if self.recoveries:
            self.recoveries -= 1
            if not self.recoveries:
                self.quarters = 1
        return 0
