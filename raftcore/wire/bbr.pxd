# How fast a path to one receiver takes datagrams, and how many may be on their way: BBR, version 3.
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

cimport cython

cdef enum:
    FIRST_WINDOW_BYTES = 14720      # RFC 9002, 7.2
    FIRST_WINDOW_DATAGRAMS = 10
    LEAST_WINDOW_DATAGRAMS = 4      # MinPipeCwnd
    SECOND_US = 1000000
    # States, in the order in which a path goes through them; from the last it goes on with PROBE_CRUISE.
    STARTUP = 0
    DRAIN = 1
    PROBE_DOWN = 2
    PROBE_CRUISE = 3
    PROBE_REFILL = 4
    PROBE_UP = 5
    PROBE_RTT = 6

# What is noted of a datagram when it leaves.
cdef struct Leaving:
    int64_t sent_us
    int64_t size
    int64_t delivered               # bytes that had arrived by then,
    int64_t delivered_us            # when the last of them had,
    int64_t first_sent_us           # and when that one had left
    int64_t lost                    # bytes that were lost by then
    int64_t in_flight               # bytes on their way, with it
    bint limited                    # nothing but the sender's own pace held it back

@cython.final
cdef class Bbr:
    cdef readonly int64_t datagram
    cdef readonly uint64_t seed
    cdef readonly int64_t window
    cdef readonly int64_t in_flight
    cdef readonly int64_t rate
    cdef readonly int64_t bandwidth
    cdef readonly int64_t most_bandwidth
    cdef readonly int64_t least_rtt_us
    cdef readonly int64_t delivered
    cdef readonly int64_t lost
    cdef readonly int state
    cdef readonly bint full         # full_bw_reached
    cdef readonly int64_t long_term     # inflight_longterm; INT64_MAX: none
    cdef readonly int64_t short_term    # inflight_shortterm
    cdef readonly int64_t short_bandwidth     # bw_shortterm
    cdef readonly int64_t rounds    # round_count
    cdef uint64_t draws             # of the lengths of waits
    cdef int pacing_percent
    cdef int window_percent
    # Of the sampler (4.1).
    cdef int64_t delivered_us
    cdef int64_t first_sent_us
    cdef int64_t limited_until      # C.app_limited
    cdef bint sampled               # something has arrived since the last update,
    cdef Leaving sample             # of which this left last,
    cdef int64_t newly              # and which is so many bytes
    # Of the sample of an update.
    cdef int64_t sample_rate
    cdef int64_t sample_delivered
    cdef int64_t sample_lost
    cdef int64_t sample_in_flight
    cdef bint sample_limited
    # Rounds (5.5.1), bandwidth (5.5.2 to 5.5.6).
    cdef int64_t next_round
    cdef bint round_starts
    cdef int64_t cycle_bandwidth
    cdef int64_t last_cycle_bandwidth
    # The pipe is full (5.3.1.2).
    cdef int64_t full_bandwidth
    cdef int full_count
    cdef bint full_now
    cdef bint window_limited        # the window has held something back in this round
    # Losses (5.5.10).
    cdef int64_t loss_round
    cdef bint loss_round_starts
    cdef bint round_has_loss
    cdef int losses                 # datagrams lost in this round,
    cdef int places                 # in so many stretches
    cdef int64_t round_lost         # bytes lost, and delivered, before the first of them
    cdef int64_t round_delivered
    cdef int64_t latest_bandwidth
    cdef int64_t latest_delivered
    # Probing (5.3.3).
    cdef int ack_phase
    cdef bint probe_sample
    cdef bint probe_too_high
    cdef bint probe_cautious
    cdef int64_t rounds_since_probe
    cdef int64_t cycle_us
    cdef int64_t probe_wait_us
    cdef int64_t up_per_datagram
    cdef int64_t up_acknowledged
    cdef int up_rounds
    cdef int64_t drain_round
    # The least round trip (5.3.4).
    cdef int64_t recent_rtt_us      # probe_rtt_min_delay: since the last probe began,
    cdef int64_t least_rtt_at_us    # and when (probe_rtt_min_stamp); -1: never
    cdef bint least_rtt_old         # probe_rtt_expired
    cdef int64_t probe_rtt_window
    cdef int64_t probe_rtt_until_us
    cdef bint probe_rtt_round
    cdef int64_t window_before
    cdef bint woke                  # idle_restart
    # Acknowledgements that come in heaps (5.5.9).
    cdef int64_t heap_since_us
    cdef int64_t heap
    cdef int64_t extra              # of this stretch of rounds
    cdef int64_t last_extra         # of the one before
    cdef int64_t extra_round

    # What its owner tells.
    cdef int resize(self, int64_t datagram) except -1
    cdef int sent(self, Leaving* leaving, int64_t size, int64_t now_us) except -1
    cdef int acknowledged(self, const Leaving* leaving, int64_t now_us) except -1
    cdef int take_lost(self, const Leaving* leaving, bint apart) except -1
    cdef int update(self, int64_t now_us) except -1
    cdef int limited_by_sender(self) except -1
    cdef int limited_by_window(self) except -1
    cdef int persistent(self, int64_t rtt_us) except -1
    cdef int found(self, int64_t size) except -1
    cdef int forgotten(self, int64_t size) except -1
    cdef int64_t quantum(self) noexcept

    cdef int take_sample(self, int64_t now_us) noexcept
    cdef int update_round(self) noexcept
    cdef int start_round(self) noexcept
    cdef int update_bandwidth(self) noexcept
    cdef int update_signals(self) noexcept
    cdef bint counts(self, int64_t lost, int64_t whole) noexcept
    cdef int adapt_to_losses(self) noexcept
    cdef int update_heaps(self, int64_t now_us) noexcept
    cdef int reset_full(self) noexcept
    cdef int check_full(self) noexcept
    cdef int check_startup(self) noexcept
    cdef int check_drain(self, int64_t now_us) noexcept
    cdef int enter_startup(self) noexcept
    cdef int cycle(self, int64_t now_us) noexcept
    cdef bint adapt_long_term(self, int64_t now_us) noexcept
    cdef int raise_slope(self) noexcept
    cdef int raise_long_term(self) noexcept
    cdef bint is_time_to_probe(self, int64_t now_us) noexcept
    cdef bint is_time_to_cruise(self) noexcept
    cdef bint is_time_to_go_down(self) noexcept
    cdef int start_down(self, int64_t now_us) noexcept
    cdef int start_refill(self) noexcept
    cdef int start_up(self) noexcept
    cdef int set_state(self, int state) noexcept
    cdef bint probes_bandwidth(self) noexcept
    cdef bint in_cycle(self) noexcept
    cdef bint too_high(self) noexcept
    cdef int64_t with_headroom(self) noexcept
    cdef int64_t target(self) noexcept
    cdef int64_t product(self, int64_t bandwidth, int percent) noexcept
    cdef int64_t inflight(self, int64_t bandwidth, int percent) noexcept
    cdef int update_least_rtt(self, int64_t rtt_us, int64_t now_us) noexcept
    cdef int check_probe_rtt(self, int64_t now_us) noexcept
    cdef int check_probe_rtt_done(self, int64_t now_us) noexcept
    cdef int set_rate(self, int percent) noexcept
    cdef int set_window(self) noexcept
    cdef int64_t draw(self, int64_t below) noexcept
