"""The sender's window, round trips and pauses, from the text of RFC 9002; section numbers are that RFC's."""

from __future__ import annotations

import pytest

from raftcore.wire.congestion import Congestion

DATAGRAM = 1200
NEVER = 2**63 - 1


def sampled(rtt_us: int = 100_000) -> Congestion:
    """A path whose round trip has been measured once, at 0."""
    congestion = Congestion(DATAGRAM)
    congestion.sample(rtt_us, 0)
    return congestion


def deliver(congestion: Congestion, datagrams: int, sent_us: int = 10, limited: bool = True) -> None:
    """So many full datagrams left at ``sent_us`` and have arrived."""
    for _ in range(datagrams):
        congestion.sent(DATAGRAM, sent_us)
    for _ in range(datagrams):
        congestion.acknowledged(DATAGRAM, sent_us, limited)


@pytest.mark.parametrize(
    ("datagram", "window"),
    [(1200, 12_000), (1472, 14_720), (9000, 18_000), (60_000, 120_000)],
)
def test_the_first_window_is_ten_datagrams_but_few_bytes_more_than_ten_usual_ones(datagram: int, window: int) -> None:
    """7.2"""
    assert Congestion(datagram).window == window


def test_before_the_first_round_trip_a_third_of_a_second_is_assumed() -> None:
    """6.2.2: then the probe timeout is 333 ms and four times half of that."""
    congestion = Congestion(DATAGRAM)
    assert congestion.smoothed_rtt_us == 333_000
    assert congestion.rtt_variation_us == 166_500
    assert congestion.probe_timeout_us() == 999_000
    assert congestion.first_sample_us == NEVER


def test_the_round_trip_is_smoothed() -> None:
    """5.3, A.7: by an eighth, and its variation by a quarter, which is taken from the old mean."""
    congestion = Congestion(DATAGRAM)
    congestion.sample(100_000, 7)
    assert (congestion.smoothed_rtt_us, congestion.rtt_variation_us) == (100_000, 50_000)
    assert congestion.first_sample_us == 7
    congestion.sample(180_000, 8)
    assert congestion.latest_rtt_us == 180_000
    assert congestion.smoothed_rtt_us == 110_000
    assert congestion.rtt_variation_us == (3 * 50_000 + 80_000) // 4
    assert congestion.first_sample_us == 7
    assert congestion.least_rtt_us == 100_000
    congestion.sample(90_000, 9)
    assert congestion.least_rtt_us == 90_000
    congestion.sample(300_000, 10)
    congestion.persistent()
    assert congestion.least_rtt_us == 300_000, "5.2: the path may have become another one"


def test_loss_delay_and_probe_timeout() -> None:
    """6.1.2: 9/8 of the larger of newest and smoothed round trip; 6.2.1: both at least a millisecond."""
    congestion = sampled(80_000)
    assert congestion.loss_delay_us() == 90_000
    congestion.sample(160_000, 1)
    assert congestion.loss_delay_us() == 180_000
    assert congestion.probe_timeout_us() == congestion.smoothed_rtt_us + 4 * congestion.rtt_variation_us
    near = sampled(100)
    for _ in range(50):
        near.sample(100, 1)
    assert near.loss_delay_us() == 1000
    assert near.probe_timeout_us() == 1100


def test_slow_start_doubles_the_window_in_a_round_trip() -> None:
    """7.3.1"""
    congestion = sampled()
    deliver(congestion, 10)
    assert congestion.window == 24_000
    assert congestion.in_flight == 0


def test_a_window_that_is_not_used_does_not_grow() -> None:
    """7.8"""
    congestion = sampled()
    deliver(congestion, 10, limited=False)
    assert congestion.window == 12_000


def test_a_loss_halves_the_window_once_in_a_round_trip() -> None:
    """7.3.2, B.6: what left before the recovery began and is lost as well belongs to the same event."""
    congestion = sampled()
    deliver(congestion, 30)
    before = congestion.window
    for _ in range(4):
        congestion.sent(DATAGRAM, 1000)
    congestion.lost(DATAGRAM)
    congestion.event(1000, 2000)
    assert congestion.window == congestion.threshold == before // 2
    congestion.lost(DATAGRAM)
    congestion.event(2000, 3000)
    assert congestion.window == before // 2
    congestion.acknowledged(DATAGRAM, 1000, True)
    assert congestion.window == before // 2, "in recovery the window does not grow"
    congestion.acknowledged(DATAGRAM, 2001, True)
    assert congestion.window > before // 2, "the recovery is over when something has arrived that left in it"
    assert congestion.in_flight == 0
    congestion.event(2001, 4000)
    assert congestion.window < before // 2


def test_congestion_avoidance_adds_a_datagram_in_a_round_trip() -> None:
    """7.3.3, exactly, however small the steps are."""
    congestion = sampled()
    deliver(congestion, 90)
    congestion.event(1000, 2000)
    window = congestion.window
    assert window == 60_000
    deliver(congestion, window // DATAGRAM, sent_us=3000)
    assert window + DATAGRAM - 50 <= congestion.window <= window + DATAGRAM


def test_the_window_is_never_below_two_datagrams() -> None:
    """7.2"""
    congestion = sampled()
    for at in range(1, 20):
        congestion.event(at * 10, at * 10 + 5)
    assert congestion.window == 2 * DATAGRAM


def test_persistent_congestion_begins_anew() -> None:
    """7.6.2: the smallest window; and no recovery is under way, so that it grows at once."""
    congestion = sampled()
    deliver(congestion, 100)
    congestion.event(1000, 2000)
    congestion.persistent()
    assert congestion.window == 2 * DATAGRAM
    deliver(congestion, 1, sent_us=1500)
    assert congestion.window == 3 * DATAGRAM


def test_the_window_bounds_what_is_on_its_way() -> None:
    congestion = sampled()
    for _ in range(10):
        assert congestion.has_room(DATAGRAM)
        congestion.sent(DATAGRAM, 1)
    assert not congestion.has_room(DATAGRAM)
    assert not congestion.has_room(1)
    congestion.acknowledged(DATAGRAM, 1, True)
    assert congestion.has_room(2 * DATAGRAM)
    congestion.forgotten(9 * DATAGRAM)
    assert congestion.in_flight == 0
    assert congestion.has_room(1 << 20), "one always may leave when nothing is on its way"


def test_datagrams_are_spread_over_the_round_trip() -> None:
    """7.7: at 5/4 of the window in a round trip, and at most the first window in one burst."""
    congestion = sampled(100_000)
    deliver(congestion, 1000, sent_us=0)
    window = congestion.window
    assert window == 1_212_000
    now, sent = 10_000_000, 0
    assert congestion.paced_us(DATAGRAM, now) <= now
    burst = 0
    while congestion.paced_us(DATAGRAM, now) <= now:
        congestion.sent(DATAGRAM, now)
        burst += DATAGRAM
    assert 14_720 - DATAGRAM <= burst <= 15_200
    end = now + 100_000
    while now < end:
        due = congestion.paced_us(DATAGRAM, now)
        if due <= now:
            congestion.sent(DATAGRAM, now)
            sent += DATAGRAM
        else:
            assert due - now < 2000
            now = due
    assert sent == pytest.approx(window * 5 / 4, rel=0.02)


@pytest.mark.parametrize("datagram", [0, -1, 2**20 + 1])
def test_sizes_that_are_none(datagram: int) -> None:
    with pytest.raises(ValueError, match="1 to 1048576 bytes"):
        Congestion(datagram)
