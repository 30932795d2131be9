"""How fast a path to one receiver takes datagrams, and how many may be on their way: BBR, version 3.

Published as draft-ietf-ccwg-bbr ("BBR Congestion Control"), whose sections and names are given below in brackets. It
makes a model of the path from what acknowledgements show, how many bytes arrive in a time and how long the shortest
round trip is, and keeps about as many bytes on their way as fill it. So a loss that tells nothing of a full queue, as
on a radio link, costs what was lost and little more, where the window of RFC 9002 (NewReno) is halved: at one loss in
a hundred that window never gets beyond 15 datagrams. It answers to loss too, of more than 2 % of a round trip, and
probes seldom enough for a TCP stream beside it to live (5.3.3.5). Other than in the draft, a few losses in a round
trip do not count: round trips of a hundred datagrams and less would often have 2 % by chance.

Left out is what the draft does when a loss turns out to have been none (5.5.11), but for counting it as none: whoever
calls waits the longer for the next one (congestion.pyx). Nothing here reads a clock or draws at random: times are whole
microseconds of one clock, given; sizes are bytes, rates bytes a second; lengths of waits, which the draft draws
(5.3.3.5.3), follow from a number given.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

cimport cython

# For Python. (The numbers themselves stand in bbr.pxd.)
globals().update(
    STARTUP=STARTUP, DRAIN=DRAIN, PROBE_DOWN=PROBE_DOWN, PROBE_CRUISE=PROBE_CRUISE, PROBE_REFILL=PROBE_REFILL,
    PROBE_UP=PROBE_UP, PROBE_RTT=PROBE_RTT,
)

cdef enum:
    # Acknowledgements are those of datagrams that left (5.3.3.6)
    ACKS_INIT = 0          # neither before nor while more was tried,
    ACKS_REFILLING = 1     # when the pipe was filled,
    ACKS_STARTING = 2      # before more was tried, though it is tried now,
    ACKS_FEEDBACK = 3      # while it was tried,
    ACKS_STOPPING = 4      # or then too, though it no longer is.
    LOSS_PERCENT = 2       # LossThresh
    BETA_PERCENT = 70      # Beta
    HEADROOM_PERCENT = 15  # Headroom
    MARGIN_PERCENT = 1     # PacingMarginPercent
    # Fewer in a round trip say nothing (StartupFullLossCnt), however few datagrams it has,
    FEW_LOSSES = 6
    FEWEST_LOSSES = 3      # unless they are so many,
    HEAVY_PERCENT = 10     # and so much of it.
    FULL_ROUNDS = 3
    DRAIN_ROUNDS = 3
    RENO_ROUNDS = 63
    RENO_BYTES = 1500      # of a datagram of TCP
    EXTRA_ROUNDS = 5       # half of ExtraAckedFilterLen
    LEAST_RTT_US = 10000000         # ProbeRTTInterval
    PROBE_RTT_US = 200000           # ProbeRTTDuration
    PROBE_WAIT_US = 2000000
    PROBE_WAIT_MORE_US = 1000000
    # What leaves at once when pauses end late, and may be on its way beside what fills the path: neither this node's
    # timers nor the other one's passes come more often.
    QUANTUM_US = 2000
    FIRST_RATE_RTT_US = 1000

cdef int[7] PACING_PERCENT = [277, 50, 90, 100, 100, 125, 100]
cdef int[7] WINDOW_PERCENT = [200, 200, 200, 200, 200, 225, 50]
cdef int64_t MOST_RATE = 1000000000000
cdef uint64_t DRAW_TIMES = 6364136223846793005
cdef uint64_t DRAW_PLUS = 1442695040888963407


# Ten datagrams, as long as they are not many bytes more than ten of the usual size (RFC 9002, 7.2).
cdef int64_t first_window(int64_t datagram) noexcept:
    return min(FIRST_WINDOW_DATAGRAMS * datagram, max(<int64_t> FIRST_WINDOW_BYTES, 2 * datagram))


@cython.final
cdef class Bbr:
    """Bbr(datagram, seed): a path of which nothing is known; ``datagram``: bytes in a full one, at least 1; ``seed``:
    any number, which tells paths apart.

    Attributes:
        window, in_flight: bytes that may be on their way, and are.
        rate: bytes a second at which datagrams are to leave (C.pacing_rate).
        most_bandwidth, bandwidth: bytes a second that the path has taken at most lately, and that count after losses
            (max_bw, bw); 0: not known.
        least_rtt_us: the shortest round trip of the last 10 seconds (min_rtt); 0: not known.
        delivered, lost: bytes that have arrived, and were taken for lost.
        state: one of the states in bbr.pxd. full: the path has been filled once.
        long_term, short_term: bounds of the window that losses have shown (inflight_longterm, inflight_shortterm), and
            short_bandwidth that of the bandwidth (bw_shortterm); 2**63 - 1: none.
        rounds: round trips, counted in datagrams (5.5.1).
    """

    def __cinit__(self, int64_t datagram, uint64_t seed=0):
        self.datagram = datagram
        self.window = first_window(datagram)
        self.seed = self.draws = seed
        self.long_term = self.short_term = self.short_bandwidth = INT64_MAX
        self.up_per_datagram = INT64_MAX
        self.least_rtt_at_us = -1
        self.enter_startup()
        # Before a round trip is known, as if it took a millisecond (5.6.2).
        self.rate = PACING_PERCENT[STARTUP] * self.window * (SECOND_US // FIRST_RATE_RTT_US) // 100

    cdef int resize(self, int64_t datagram) except -1:
        """A full datagram has so many bytes from now on."""
        self.datagram = datagram
        if self.least_rtt_at_us < 0:
            self.window = first_window(datagram)
        self.window = max(self.window, LEAST_WINDOW_DATAGRAMS * datagram)
        # The bound may have been computed for smaller datagrams (BBRProbeRTTCwnd is never below BBRMinPipeCwnd).
        self.probe_rtt_window = max(self.probe_rtt_window, LEAST_WINDOW_DATAGRAMS * datagram)
        return 0

    # --- What is told -------------------------------------------------------------------------------------------

    cdef int sent(self, Leaving* leaving, int64_t size, int64_t now_us) except -1:
        """A datagram of ``size`` bytes leaves now; ``leaving`` is filled in, for when its fate is known (4.1.2.2)."""
        if self.in_flight == 0:
            self.first_sent_us = self.delivered_us = now_us
            if self.limited_until:
                # It begins again after idleness (5.4.1).
                self.woke = True
                self.heap_since_us = now_us
                if self.in_cycle():
                    self.set_rate(100)
                elif self.state == PROBE_RTT:
                    self.check_probe_rtt_done(now_us)
        self.in_flight += size
        leaving.sent_us, leaving.size = now_us, size
        leaving.delivered, leaving.delivered_us = self.delivered, self.delivered_us
        leaving.first_sent_us, leaving.lost, leaving.in_flight = self.first_sent_us, self.lost, self.in_flight
        leaving.limited = self.limited_until != 0
        return 0

    cdef int acknowledged(self, const Leaving* leaving, int64_t now_us) except -1:
        """A datagram has arrived; ``update`` follows once for all that one acknowledgement names (4.1.2.3)."""
        self.in_flight -= leaving.size
        self.delivered += leaving.size
        self.delivered_us = now_us
        self.newly += leaving.size
        if not self.sampled or leaving.sent_us >= self.sample.sent_us:
            self.sampled = True
            self.sample = leaving[0]
            self.first_sent_us = leaving.sent_us
        return 0

    cdef int take_lost(self, const Leaving* leaving, bint apart) except -1:
        """A datagram is taken for lost, ``apart`` from the one before it, which was not; ahead of ``update`` for the
        same acknowledgement (5.5.10.2)."""
        self.in_flight -= leaving.size
        self.lost += leaving.size
        if not self.round_has_loss:
            self.loss_round = self.delivered
            self.round_has_loss = True
            self.losses = self.places = 0
            self.round_lost = self.lost - leaving.size
            self.round_delivered = self.delivered
        self.losses += 1
        self.places += apart
        if not self.probe_sample:
            return 0
        self.sample_in_flight = leaving.in_flight
        self.sample_lost = self.lost - leaving.lost
        self.sample_limited = leaving.limited
        if not self.too_high() or not self.counts(self.sample_lost, self.sample_in_flight):
            return 0
        # More was on its way than the path takes. With how much of this datagram did losses pass the threshold?
        before = leaving.in_flight - leaving.size
        lost_before = self.sample_lost - leaving.size
        self.sample_in_flight = before + (LOSS_PERCENT * before - 100 * lost_before) // (100 - LOSS_PERCENT)
        self.probe_too_high = True
        self.probe_sample = False  # one answer to each time that more is tried
        if not self.sample_limited:
            self.long_term = max(self.sample_in_flight, self.target() * BETA_PERCENT // 100)
        if self.state == PROBE_UP:
            self.start_down(max(self.delivered_us, self.cycle_us))
        return 0

    cdef int update(self, int64_t now_us) except -1:
        """All that one acknowledgement says has been told (5.2.3)."""
        if not self.sampled:
            return 0
        self.take_sample(now_us)
        self.loss_round_starts = False
        self.latest_bandwidth = max(self.latest_bandwidth, self.sample_rate)
        self.latest_delivered = max(self.latest_delivered, self.sample_delivered)
        if self.sample.delivered >= self.loss_round:
            self.loss_round = self.delivered
            self.loss_round_starts = True
        self.update_signals()
        self.update_heaps(now_us)
        self.check_full()
        self.check_startup()
        self.check_drain(now_us)
        self.cycle(now_us)
        self.update_least_rtt(now_us - self.sample.sent_us, now_us)
        self.check_probe_rtt(now_us)
        if self.loss_round_starts:
            self.round_has_loss = False
            self.latest_bandwidth = self.sample_rate
            self.latest_delivered = self.sample_delivered
        self.bandwidth = min(self.most_bandwidth, self.short_bandwidth)
        self.set_rate(self.pacing_percent)
        self.set_window()
        if self.round_starts:
            self.window_limited = False
        self.sampled = False
        self.newly = 0
        return 0

    cdef int limited_by_sender(self) except -1:
        """Nothing more is to be sent: what arrives now says little of the path (4.1.2.4). Not where the receiver holds
        it back: what it takes is what there is to find out (5.3.1.2)."""
        if self.in_flight < self.window:
            self.limited_until = max(<int64_t> 1, self.delivered + self.in_flight)
        return 0

    cdef int limited_by_window(self) except -1:
        """More would have left, had the window allowed it (C.is_cwnd_limited)."""
        self.window_limited = True
        return 0

    cdef int persistent(self, int64_t rtt_us) except -1:
        """Nothing of a long stretch has arrived: the window begins anew with the smallest, and grows with what arrives
        (RFC 9002, 7.6.2). The path may be another one: the latest round trip is the shortest known of it (5.2)."""
        self.least_rtt_us = self.recent_rtt_us = rtt_us
        self.window = LEAST_WINDOW_DATAGRAMS * self.datagram
        self.newly = 0
        return 0

    cdef int found(self, int64_t size) except -1:
        """A datagram that was taken for lost arrives after all, which ``acknowledged`` tells then."""
        self.in_flight += size
        self.lost -= size
        return 0

    cdef int forgotten(self, int64_t size) except -1:
        """Datagrams of ``size`` bytes together are given up: whether they arrived is not asked any more."""
        self.in_flight -= size
        return 0

    # --- Samples (4.1) ------------------------------------------------------------------------------------------

    cdef int take_sample(self, int64_t now_us) noexcept:
        cdef int64_t took_us
        if self.limited_until and self.delivered > self.limited_until:
            self.limited_until = 0
        took_us = max(self.sample.sent_us - self.sample.first_sent_us, now_us - self.sample.delivered_us)
        self.sample_delivered = self.delivered - self.sample.delivered
        self.sample_rate = min(MOST_RATE, self.sample_delivered * SECOND_US // max(<int64_t> 1, took_us))
        self.sample_lost = self.lost - self.sample.lost
        self.sample_in_flight = self.sample.in_flight
        self.sample_limited = self.sample.limited
        return 0

    cdef int update_round(self) noexcept:
        self.round_starts = self.sample.delivered >= self.next_round
        if self.round_starts:
            self.start_round()
            self.rounds += 1
            self.rounds_since_probe += 1
        return 0

    cdef int start_round(self) noexcept:
        self.next_round = self.delivered
        return 0

    cdef int update_bandwidth(self) noexcept:
        # The largest of this cycle and the one before (5.5.5).
        self.update_round()
        if self.sample_rate >= self.most_bandwidth or not self.sample_limited:
            self.cycle_bandwidth = max(self.cycle_bandwidth, self.sample_rate)
            self.most_bandwidth = max(self.cycle_bandwidth, self.last_cycle_bandwidth)
        return 0

    # --- Losses where nothing more is tried (5.5.10.3) ----------------------------------------------------------

    cdef int update_signals(self) noexcept:
        self.update_bandwidth()
        if self.loss_round_starts and self.round_has_loss and not self.probes_bandwidth():
            self.adapt_to_losses()
        return 0

    cdef bint counts(self, int64_t lost, int64_t whole) noexcept:
        """Whether the losses of this round trip are more than chance."""
        return self.losses >= FEW_LOSSES or (self.losses >= FEWEST_LOSSES and 100 * lost > HEAVY_PERCENT * whole)

    cdef int adapt_to_losses(self) noexcept:
        """Once in a round trip with losses: down by as much as was lost in it, by three tenths at most.

        The draft does so after any loss, and goes down to what has arrived in the round trip. Passes and timers bundle
        datagrams here, so that less than the path takes seems to arrive in many a round trip, and with one loss in a
        hundred the rate was a third after 60 of them, when more is tried. So loss counts here from where it counts when
        more is tried, and the answer to it is what the draft means it to be (5.3.3.5.2): as much less as is lost.
        """
        cdef int64_t lost = self.lost - self.round_lost
        cdef int64_t whole = lost + self.delivered - self.round_delivered
        cdef int64_t percent
        if 100 * lost <= LOSS_PERCENT * whole or not self.counts(lost, whole):
            return 0
        if self.short_bandwidth == INT64_MAX:
            self.short_bandwidth = self.most_bandwidth
        if self.short_term == INT64_MAX:
            self.short_term = self.window
        percent = max(<int64_t> BETA_PERCENT, 100 * (whole - lost) // whole)
        self.short_bandwidth = max(self.latest_bandwidth, self.short_bandwidth * percent // 100)
        self.short_term = max(self.latest_delivered, self.short_term * percent // 100)
        return 0

    # --- Acknowledgements that come in heaps (5.5.9) ------------------------------------------------------------

    cdef int update_heaps(self, int64_t now_us) noexcept:
        cdef int64_t expected = self.bandwidth * min(<int64_t> SECOND_US, now_us - self.heap_since_us) // SECOND_US
        if self.heap <= expected:
            self.heap = expected = 0
            self.heap_since_us = now_us
        self.heap += self.newly
        if self.rounds >= self.extra_round + (EXTRA_ROUNDS if self.full else 1):
            self.last_extra = self.extra if self.full else 0
            self.extra = 0
            self.extra_round = self.rounds
        self.extra = max(self.extra, min(self.heap - expected, self.window))
        return 0

    # --- Is the pipe full? (5.3.1.2) ----------------------------------------------------------------------------

    cdef int reset_full(self) noexcept:
        self.full_bandwidth = 0
        self.full_count = 0
        self.full_now = False
        return 0

    cdef int check_full(self) noexcept:
        if self.full_now or not self.round_starts or self.sample_limited:
            return 0
        if 4 * self.sample_rate >= 5 * self.full_bandwidth:
            self.reset_full()
            self.full_bandwidth = self.sample_rate
            return 0
        self.full_count += 1
        self.full_now = self.full_count >= FULL_ROUNDS
        if self.full_now:
            self.full = True
        return 0

    # --- States -------------------------------------------------------------------------------------------------

    cdef int set_state(self, int state) noexcept:
        self.state = state
        self.pacing_percent = PACING_PERCENT[state]
        self.window_percent = WINDOW_PERCENT[state]
        return 0

    cdef bint probes_bandwidth(self) noexcept:
        return self.state == STARTUP or self.state == PROBE_REFILL or self.state == PROBE_UP

    cdef bint in_cycle(self) noexcept:
        return PROBE_DOWN <= self.state <= PROBE_UP

    cdef int enter_startup(self) noexcept:
        self.set_state(STARTUP)
        return 0

    cdef int check_startup(self) noexcept:
        if self.state != STARTUP:
            return 0
        # Loss ends it too, of more than the threshold and in several places of one round trip (5.3.1.3). While the rate
        # still grows by a quarter in each, the path is not full, and a little more than the threshold may be chance.
        if (self.loss_round_starts and self.round_has_loss and self.places >= FEW_LOSSES and self.too_high()
                and (self.full_count or 100 * self.sample_lost > HEAVY_PERCENT * self.sample_in_flight)):
            self.full = True
            self.long_term = max(self.product(self.most_bandwidth, 100), self.latest_delivered)
        if self.full:
            self.set_state(DRAIN)
            self.drain_round = self.rounds
        return 0

    cdef int check_drain(self, int64_t now_us) noexcept:
        if self.state == DRAIN and (self.in_flight <= self.inflight(self.bandwidth, 100)
                                    or self.rounds > self.drain_round + DRAIN_ROUNDS):
            self.start_down(now_us)
        return 0

    # --- The cycle of trying more (5.3.3.6) ---------------------------------------------------------------------

    cdef int start_down(self, int64_t now_us) noexcept:
        self.round_has_loss = False
        self.latest_bandwidth = self.latest_delivered = 0
        self.up_per_datagram = INT64_MAX
        self.rounds_since_probe = self.draw(2)
        self.probe_wait_us = PROBE_WAIT_US + self.draw(PROBE_WAIT_MORE_US)
        self.cycle_us = now_us
        self.ack_phase = ACKS_STOPPING
        self.start_round()
        self.set_state(PROBE_DOWN)
        return 0

    cdef int start_refill(self) noexcept:
        self.short_bandwidth = self.short_term = INT64_MAX
        self.up_rounds = 0
        self.up_acknowledged = 0
        self.probe_cautious = False
        self.ack_phase = ACKS_REFILLING
        self.start_round()
        self.set_state(PROBE_REFILL)
        return 0

    cdef int start_up(self) noexcept:
        self.ack_phase = ACKS_STARTING
        self.start_round()
        self.reset_full()
        self.full_bandwidth = self.sample_rate
        self.set_state(PROBE_UP)
        self.raise_slope()
        return 0

    cdef int cycle(self, int64_t now_us) noexcept:
        if not self.full or self.adapt_long_term(now_us):
            return 0
        if self.state == PROBE_DOWN or self.state == PROBE_CRUISE:
            if self.is_time_to_probe(now_us):
                self.start_refill()
            elif self.state == PROBE_DOWN and self.is_time_to_cruise():
                self.set_state(PROBE_CRUISE)
        elif self.state == PROBE_REFILL:
            if self.round_starts:
                self.probe_sample = True
                self.start_up()
        elif self.state == PROBE_UP:
            if self.is_time_to_go_down():
                self.probe_too_high = False
                self.start_down(now_us)
        return 0

    cdef bint is_time_to_probe(self, int64_t now_us) noexcept:
        # After two to three seconds, or as many round trips as Reno would take to lose something (5.3.3.5).
        return (now_us > self.cycle_us + self.probe_wait_us
                or self.rounds_since_probe >= min(<int64_t> RENO_ROUNDS,
                                                  self.target() // min(<int64_t> RENO_BYTES, self.datagram)))

    cdef bint is_time_to_cruise(self) noexcept:
        return (self.in_flight <= self.with_headroom()
                and self.in_flight <= self.inflight(self.most_bandwidth, 100))

    cdef bint is_time_to_go_down(self) noexcept:
        if self.probe_too_high and self.in_flight >= self.long_term:
            self.probe_cautious = True
            return True
        if self.window_limited and self.window >= self.long_term:
            self.reset_full()
            self.full_bandwidth = self.sample_rate
            return False
        return self.full_now

    cdef bint adapt_long_term(self, int64_t now_us) noexcept:
        """Takes up what acknowledgements say of what was tried; whether another state has begun."""
        if self.ack_phase == ACKS_STARTING and self.round_starts:
            self.ack_phase = ACKS_FEEDBACK
        if self.ack_phase == ACKS_STOPPING and self.round_starts:
            self.probe_sample = False
            self.ack_phase = ACKS_INIT
            if self.in_cycle() and not self.sample_limited:
                self.last_cycle_bandwidth = self.cycle_bandwidth
                self.cycle_bandwidth = 0
            if self.in_cycle() and self.probe_cautious and not self.probe_too_high:
                self.start_refill()
                return True
        if self.too_high() or self.long_term == INT64_MAX:
            return False
        self.long_term = max(self.long_term, self.sample_in_flight)
        if self.state == PROBE_UP:
            self.raise_long_term()
        return False

    cdef int raise_slope(self) noexcept:
        cdef int64_t growth = <int64_t> 1 << self.up_rounds
        self.up_rounds = min(self.up_rounds + 1, 30)
        self.up_per_datagram = max(self.window // growth, self.datagram)
        return 0

    cdef int raise_long_term(self) noexcept:
        cdef int64_t more
        if not self.window_limited or self.window < self.long_term:
            return 0
        self.up_acknowledged += self.newly
        more = self.up_acknowledged // self.up_per_datagram
        self.up_acknowledged -= more * self.up_per_datagram
        self.long_term += more * self.datagram
        if self.round_starts:
            self.raise_slope()
        return 0

    cdef bint too_high(self) noexcept:
        return 100 * self.sample_lost > LOSS_PERCENT * self.sample_in_flight

    # --- The least round trip (5.3.4) ---------------------------------------------------------------------------

    cdef int update_least_rtt(self, int64_t rtt_us, int64_t now_us) noexcept:
        self.least_rtt_old = self.least_rtt_at_us >= 0 and now_us > self.least_rtt_at_us + LEAST_RTT_US
        if self.least_rtt_old and self.state != PROBE_RTT:
            self.probe_rtt_window = max(self.product(self.bandwidth, WINDOW_PERCENT[PROBE_RTT]),
                                        LEAST_WINDOW_DATAGRAMS * self.datagram)
        rtt_us = max(<int64_t> 1, rtt_us)
        if self.least_rtt_at_us < 0 or self.least_rtt_old or rtt_us < self.recent_rtt_us:
            # What was known before outlives the probe, until that has drained the queue; idleness has done so.
            if self.least_rtt_at_us < 0 or rtt_us < self.least_rtt_us or self.woke:
                self.least_rtt_us = rtt_us
            self.recent_rtt_us = rtt_us
            self.least_rtt_at_us = now_us
        return 0

    cdef int check_probe_rtt(self, int64_t now_us) noexcept:
        if self.state != PROBE_RTT and self.least_rtt_old and not self.woke:
            self.window_before = self.window
            self.set_state(PROBE_RTT)
            self.probe_rtt_until_us = 0
            self.ack_phase = ACKS_STOPPING
            self.start_round()
        if self.state == PROBE_RTT:
            self.limited_until = max(<int64_t> 1, self.delivered + self.in_flight)  # says nothing of the path
            if self.probe_rtt_until_us == 0:
                if self.in_flight <= self.probe_rtt_window:
                    self.probe_rtt_until_us = now_us + PROBE_RTT_US
                    self.probe_rtt_round = False
                    self.start_round()
            else:
                self.probe_rtt_round = self.probe_rtt_round or self.round_starts
                if self.probe_rtt_round:
                    self.check_probe_rtt_done(now_us)
        self.woke = False
        return 0

    cdef int check_probe_rtt_done(self, int64_t now_us) noexcept:
        if self.probe_rtt_until_us == 0 or now_us <= self.probe_rtt_until_us:
            return 0
        self.least_rtt_us = self.recent_rtt_us
        self.least_rtt_at_us = now_us
        self.window = max(self.window, self.window_before)
        self.short_bandwidth = self.short_term = INT64_MAX
        if self.full:
            self.start_down(now_us)
            self.set_state(PROBE_CRUISE)
        else:
            self.enter_startup()
        return 0

    # --- Rate and window (5.6) ----------------------------------------------------------------------------------

    cdef int64_t product(self, int64_t bandwidth, int percent) noexcept:
        """What fills the path, times percent / 100 (BDPMultiple)."""
        if self.least_rtt_at_us < 0:
            return self.window
        return bandwidth * min(self.least_rtt_us, <int64_t> 9 * SECOND_US) // SECOND_US * percent // 100

    cdef int64_t quantum(self) noexcept:
        """Bytes that leave without a pause (C.send_quantum)."""
        return max(max(<int64_t> FIRST_WINDOW_BYTES, 2 * self.datagram), self.rate * QUANTUM_US // SECOND_US)

    cdef int64_t inflight(self, int64_t bandwidth, int percent) noexcept:
        cdef int64_t budget = max(self.bandwidth * QUANTUM_US // SECOND_US, LEAST_WINDOW_DATAGRAMS * self.datagram)
        cdef int64_t most = max(self.product(bandwidth, percent), budget)
        return most + 2 * self.datagram if self.state == PROBE_UP else most

    cdef int64_t target(self) noexcept:
        return min(self.product(self.bandwidth, 100), self.window)

    cdef int64_t with_headroom(self) noexcept:
        if self.long_term == INT64_MAX:
            return INT64_MAX
        return max(self.long_term - max(self.datagram, self.long_term * HEADROOM_PERCENT // 100),
                   LEAST_WINDOW_DATAGRAMS * self.datagram)

    cdef int set_rate(self, int percent) noexcept:
        cdef int64_t rate = self.bandwidth * percent // 100 * (100 - MARGIN_PERCENT) // 100
        if self.full or rate > self.rate:
            self.rate = max(rate, self.datagram)
        return 0

    cdef int set_window(self) noexcept:
        cdef int64_t least = LEAST_WINDOW_DATAGRAMS * self.datagram
        cdef int64_t cap = INT64_MAX
        cdef int64_t extra = max(self.extra, self.last_extra)
        cdef int64_t budget = max(self.bandwidth * QUANTUM_US // SECOND_US, least)
        cdef int64_t most = max(self.product(self.bandwidth, self.window_percent) + extra, budget)
        if self.state == PROBE_UP:
            most += 2 * self.datagram
        if self.full:
            self.window = min(self.window + self.newly, most)
        elif self.window < most or self.delivered < FIRST_WINDOW_BYTES:
            self.window += self.newly
        self.window = max(self.window, least)
        if self.state == PROBE_RTT:
            self.window = min(self.window, self.probe_rtt_window)
        if self.state == PROBE_CRUISE or self.state == PROBE_RTT:
            cap = self.with_headroom()
        elif self.in_cycle():
            cap = self.long_term
        self.window = min(self.window, max(min(cap, self.short_term), least))
        return 0

    cdef int64_t draw(self, int64_t below) noexcept:
        # A number from 0 on: the upper bits of a linear congruential generator (Knuth's MMIX).
        self.draws = self.draws * DRAW_TIMES + DRAW_PLUS
        return <int64_t> ((self.draws >> 33) % <uint64_t> below)
