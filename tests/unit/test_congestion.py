"""The sender's round trips and delays, from the text of RFC 9002; section numbers are that RFC's."""

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


@pytest.mark.parametrize("datagram", [0, -1, 2**20 + 1])
def test_sizes_that_are_none(datagram: int) -> None:
    with pytest.raises(ValueError, match="1 to 1048576 bytes"):
        Congestion(datagram)


# --- Reordering: RFC 8985 (RACK), 6.2 -------------------------------------------------------------------------------


def test_what_was_overtaken_has_a_quarter_of_the_least_round_trip_where_the_path_reorders() -> None:
    """Step 4: RACK.reo_wnd is RACK.reo_wnd_mult quarters of min_RTT; before that RFC 9002, 6.1.2, holds."""
    congestion = sampled(80_000)
    assert (congestion.reordered, congestion.quarters) == (False, 1)
    assert congestion.loss_delay_us() == 90_000
    congestion.overtaken()
    assert (congestion.reordered, congestion.quarters) == (True, 1)
    assert congestion.loss_delay_us() == 100_000
    congestion.sample(120_000, 1)
    assert congestion.reordering_us() == 20_000, "of the least one"
    assert congestion.loss_delay_us() == 140_000


def test_the_reordering_window_grows_with_each_premature_loss_up_to_a_round_trip() -> None:
    """Step 4: min(RACK.reo_wnd_mult * min_RTT / 4, SRTT)"""
    congestion = sampled(80_000)
    found = []
    for _ in range(5):
        congestion.premature()
        found.append(congestion.reordering_us())
    assert found == [40_000, 60_000, 80_000, 80_000, 80_000]
    for _ in range(300):
        congestion.premature()
    assert congestion.quarters == 255


def test_the_reordering_window_shrinks_after_sixteen_recoveries_without_a_premature_loss() -> None:
    """Step 4: RACK.reo_wnd_persist"""
    congestion = sampled(80_000)
    congestion.premature()
    for _ in range(10):
        congestion.recovered()
    congestion.premature()
    for _ in range(15):
        congestion.recovered()
        assert congestion.quarters == 3
    congestion.recovered()
    assert (congestion.quarters, congestion.reordered) == (1, True)
    congestion.recovered()
    assert congestion.quarters == 1
