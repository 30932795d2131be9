"""How fast a path is sent datagrams, from the text of draft-ietf-ccwg-bbr; section numbers are that draft's, and the
examples those of its appendix ("BBR Example Test Cases"): one sender on a path of a fixed rate and delay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, pairwise

import pytest

from raftcore.wire.bbr import (
    DRAIN,
    PROBE_CRUISE,
    PROBE_DOWN,
    PROBE_REFILL,
    PROBE_RTT,
    PROBE_UP,
    STARTUP,
    Bbr,
)
from tests.unit.fragment_path import Path

DATAGRAM = 1200
NONE = 2**63 - 1
RATE = 12_500_000
"""Bytes a second: 100 Mbit/s."""
GAINS = {
    STARTUP: 2.77, DRAIN: 0.5, PROBE_DOWN: 0.9, PROBE_CRUISE: 1.0, PROBE_REFILL: 1.0, PROBE_UP: 1.25, PROBE_RTT: 1.0,
}  # fmt: skip
"""Of the rate, in each state (5.6.1)."""


def busy(seconds: float, **options: float) -> Path:
    """A path with enough to send for so long, and nothing lost by its queue."""
    path = Path(**{"rate": RATE, "delay_us": 10_000, "queue": 4_000_000, **options})  # type: ignore[arg-type]
    whole = int(2 * seconds * path.rate)
    for number in range(1, whole // (4 << 20) + 2):
        path.send(bytes(4 << 20), number)
    return path


def states(path: Path, seconds: float) -> Iterator[tuple[int, int, Bbr]]:
    """When each state begins, and which."""
    last = -1
    for model in path.steps(seconds):
        if model.state != last:
            last = model.state
            yield path.now, last, model


def after(path: Path, seconds: float) -> Bbr:
    """Goes on for so long."""
    for _ in path.steps(seconds):
        pass
    return path.outgoing.congestion.model


def until(path: Path, *wanted: int) -> Bbr:
    """Goes on until one of these states begins."""
    for model in path.steps(30):
        if model.state in wanted:
            return model
    raise AssertionError(f"none of the states {wanted} has begun within 30 s")


# --- The beginning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("datagram", "window"),
    [(1200, 12_000), (1472, 14_720), (9000, 18_000), (60_000, 120_000)],
)
def test_the_first_window_is_ten_datagrams_but_few_bytes_more_than_ten_usual_ones(datagram: int, window: int) -> None:
    """RFC 9002, 7.2"""
    model = Bbr(datagram)
    assert model.window == window
    assert (model.state, model.full, model.in_flight) == (STARTUP, False, 0)
    assert model.rate == int(2.77 * window * 1000), "5.6.2: as if a round trip took a millisecond"
    assert (model.long_term, model.short_term, model.short_bandwidth) == (NONE, NONE, NONE)


def test_the_rate_doubles_in_a_round_trip_until_the_path_is_full() -> None:
    """5.3.1.1, and the example "Exiting STARTUP on Bandwidth Plateau"."""
    path = busy(5)
    found = [(model.rounds, model.most_bandwidth) for model in path.steps(5) if model.state == STARTUP]
    by_round = dict(found)
    growing = [bandwidth for bandwidth in by_round.values() if bandwidth < 0.9 * RATE]
    assert len(growing) <= 8, "from ten datagrams to two hundred in five doublings, or little more"
    assert all(after > 1.25 * before for before, after in pairwise(growing[1:]))
    plateau = [round_ for round_, bandwidth in by_round.items() if bandwidth > 0.8 * RATE]
    assert 3 <= len(plateau) <= 5, "three round trips without a growth of a quarter"
    model = path.outgoing.congestion.model
    assert model.full
    assert model.most_bandwidth == pytest.approx(RATE, rel=0.02)
    assert model.least_rtt_us == pytest.approx(20_000, rel=0.02)
    assert path.outgoing.lost == 0


def test_a_plateau_of_what_the_sender_had_to_send_is_none() -> None:
    """5.3.1.2; "Never Exiting PROBE_UP (or STARTUP) When Application-Limited With No Loss"."""
    path = Path(rate=RATE, delay_us=10_000)
    for number in range(1, 100):
        path.send(bytes(5000), number)
        path.run(0.1)
    assert path.outgoing.congestion.model.state == STARTUP
    assert not path.outgoing.congestion.model.full


@pytest.mark.parametrize("delay_us", [500, 10_000])
def test_a_plateau_of_what_the_receiver_takes_is_one(delay_us: int) -> None:
    """5.3.1.2: three rounds are waited for, so that a receiver may make its window larger meanwhile; and 4.1.2.4: who
    has something to send is not limited by it."""
    path = busy(5, rate=RATE, delay_us=delay_us, burst=20_000)
    model = until(path, DRAIN, PROBE_DOWN, PROBE_CRUISE)
    assert model.full
    assert model.rounds < 20
    assert path.outgoing.lost == 0


def test_heavy_loss_ends_the_beginning_and_light_loss_does_not() -> None:
    """5.3.1.3: more than 2 % of a round trip, in six places at least."""
    heavy = busy(5, queue=1 << 15)  # an eighth of what fills the path
    model = until(heavy, DRAIN)
    assert model.full
    assert model.long_term != NONE
    assert model.rounds < 12
    light = busy(5, loss=0.01)
    model = until(light, DRAIN)
    assert model.most_bandwidth > 0.9 * RATE


@pytest.mark.parametrize("delay_us", [10_000, 50_000])
@pytest.mark.parametrize("each", [12, 25, 40])
def test_losses_while_the_rate_still_grows_do_not_end_the_beginning(each: int, delay_us: int) -> None:
    """5.3.1.3: the criteria are to ensure that the bottleneck is full. What is lost while the rate doubles in each
    round trip is chance, as long as it is less than a tenth."""
    path = busy(5, delay_us=delay_us)
    number = count(1)
    path.drops = lambda: next(number) % each == 0
    model = until(path, DRAIN)
    assert model.most_bandwidth > 0.8 * RATE


def test_what_has_queued_up_drains() -> None:
    """5.3.2; "Exiting DRAIN Based on Inflight"."""
    path = busy(5)
    until(path, DRAIN)
    began = path.now
    model = until(path, PROBE_DOWN, PROBE_CRUISE)
    assert model.in_flight <= 1.05 * RATE * 0.02
    assert path.now - began < 4 * 20_000


def test_draining_ends_after_three_round_trips() -> None:
    """5.3.2; "Exiting DRAIN Based on Time": the path has become slower."""
    path = busy(20)
    model = until(path, DRAIN)
    rounds = model.rounds
    path.rate = RATE // 4
    model = until(path, PROBE_DOWN)
    assert model.rounds == rounds + 4
    assert model.in_flight > RATE * 0.02


# --- The cycle ------------------------------------------------------------------------------------------------------


def test_each_state_has_its_rate() -> None:
    """5.6.1: the bandwidth times the state's gain, less 1 %."""
    path = busy(16, rate=2_500_000)
    for model in path.steps(16):
        if model.full:
            assert model.rate == pytest.approx(GAINS[model.state] * 0.99 * model.bandwidth, rel=0.001)


def test_more_is_tried_every_two_to_three_seconds_on_a_long_path() -> None:
    """5.3.3.5: T_bbr; the order of states is that of 5.1.1."""
    path = busy(9, delay_us=40_000)
    found = [(now, state) for now, state, _ in states(path, 9)]
    assert [state for _, state in found][:2] == [STARTUP, DRAIN]
    cycle = [state for _, state in found][2:]
    follows = {PROBE_DOWN: PROBE_CRUISE, PROBE_CRUISE: PROBE_REFILL, PROBE_REFILL: PROBE_UP, PROBE_UP: PROBE_DOWN}
    assert all(follows[before] == after for before, after in pairwise(cycle))
    assert cycle[0] in (PROBE_DOWN, PROBE_CRUISE), "what has drained need not slow down first"
    first = next(now for now, state in found if state == cycle[0])
    downs = [first, *(now for now, state in found if state == PROBE_DOWN and now > first)]
    refills = [now for now, state in found if state == PROBE_REFILL]
    assert len(refills) >= 2
    assert all(2_000_000 < refill - down < 3_100_000 for down, refill in zip(downs, refills, strict=False))


def test_more_is_tried_after_as_many_round_trips_as_reno_would_need() -> None:
    """5.3.3.5: T_reno, 62 or 63, or what fills the path in datagrams where that is less."""
    for delay_us, least, most in ((10_000, 61, 64), (2_500, 38, 64)):
        path = busy(6, delay_us=delay_us)
        began = until(path, PROBE_DOWN, PROBE_CRUISE).rounds
        waits = []
        for _, state, model in states(path, 6):
            if state == PROBE_DOWN:
                began = model.rounds
            elif state == PROBE_REFILL:
                waits.append(model.rounds - began)
        assert len(waits) >= 2
        assert all(least <= wait <= most for wait in waits), waits


def test_waits_differ_from_path_to_path() -> None:
    """5.3.3.5: drawn there; here they follow from a number, so that a run can be repeated."""

    def first_wait(seed: int) -> int:
        path = busy(5, delay_us=40_000)
        path.outgoing = type(path.outgoing)(DATAGRAM, 1 << 26, 1 << 20, seed)
        for number in range(1, 20):
            path.send(bytes(4 << 20), number)
        until(path, PROBE_DOWN, PROBE_CRUISE)
        began = path.now
        until(path, PROBE_REFILL)
        return path.now - began

    assert first_wait(1) == first_wait(1)
    assert len({first_wait(seed) for seed in range(3)}) == 3


def test_a_path_that_becomes_faster_is_made_use_of() -> None:
    path = busy(12, rate=2_500_000)
    after(path, 4)
    path.rate = 10_000_000
    after(path, 6)
    assert path.outgoing.congestion.model.most_bandwidth > 9_000_000


def test_a_path_that_becomes_slower_is_forgotten_after_two_cycles() -> None:
    """5.5.5: the filter holds the cycle before and the present one."""
    path = busy(12)
    after(path, 3)
    path.rate = RATE // 4
    after(path, 8)
    model = path.outgoing.congestion.model
    assert model.most_bandwidth == pytest.approx(RATE // 4, rel=0.1)


# --- Losses ---------------------------------------------------------------------------------------------------------


def test_losses_while_more_is_tried_bound_the_window() -> None:
    """5.5.10.2: what was on its way then, and not less than seven tenths of what fills the path; cruising leaves
    15 % of it free (5.3.3.6)."""
    path = busy(8)
    model = until(path, PROBE_UP)
    path.loss = 0.05
    model = until(path, PROBE_DOWN)
    path.loss = 0.0
    bound = model.long_term
    assert 0.7 * RATE * 0.02 <= bound <= 1.5 * RATE * 0.02
    model = until(path, PROBE_CRUISE)
    for model in path.steps(0.5):
        if model.state == PROBE_CRUISE:
            assert model.window <= 0.85 * model.long_term + 1
            assert model.long_term == bound


def test_a_single_loss_while_more_is_tried_bounds_nothing() -> None:
    """What fills a short path are few datagrams: one of them is more than 2 %, and says nothing."""
    path = busy(6, delay_us=1000)
    model = until(path, PROBE_UP)
    left = iter([True])
    path.drops = lambda: next(left, False)
    model = after(path, 0.05)
    assert path.outgoing.lost == 1
    assert model.long_term == NONE


def test_few_losses_while_cruising_bound_nothing() -> None:
    """Other than in the draft: a rate of less than the 2 % that count where more is tried does not add up here."""
    path = busy(10, delay_us=40_000)
    until(path, PROBE_CRUISE)
    path.loss = 0.005
    for model in path.steps(1.5):
        assert (model.short_bandwidth, model.short_term) == (NONE, NONE)
    assert path.outgoing.lost > 50


def test_losses_while_cruising_bound_the_rate_for_a_while() -> None:
    """5.5.10.3: down to what arrives, three tenths in a round trip at most; forgotten when more is tried (5.3.3.4)."""
    path = busy(10, delay_us=40_000)
    model = until(path, PROBE_CRUISE)
    path.loss = 0.3
    before = model.bandwidth
    model = after(path, 0.25)
    path.loss = 0.0
    assert model.state == PROBE_CRUISE
    assert model.most_bandwidth > 0.95 * before
    assert 0.3 * before < model.bandwidth == model.short_bandwidth < 0.95 * before
    assert model.short_term != NONE
    model = until(path, PROBE_REFILL)
    assert (model.short_bandwidth, model.short_term) == (NONE, NONE)
    assert model.long_term == NONE, "nothing was lost of what was tried"


@pytest.mark.parametrize("round_trip_ms", [1, 5, 10, 20, 50, 100])
def test_one_percent_of_loss_costs_less_than_a_fifth(round_trip_ms: int) -> None:
    """At 100 Mbit/s, with a queue of half of what fills the path."""
    took = []
    for loss in (0.0, 0.01):
        queue = max(1 << 15, RATE * round_trip_ms // 2000)
        path = Path(1, rate=RATE, delay_us=500 * round_trip_ms, queue=queue, loss=loss)
        for number in range(1, 13):
            path.send(bytes(4 << 20), number)
        took.append(path.run_until_whole(12))
    assert took[1] < 1.25 * took[0], "a throughput of four fifths"


def test_a_queue_that_overflows_is_found_and_kept_to() -> None:
    """A short queue loses what is too much; little is lost for good."""
    path = busy(20, queue=1 << 17)
    after(path, 3)
    sent, lost = path.outgoing.fragments, path.outgoing.lost
    after(path, 15)
    assert path.outgoing.lost - lost < 0.02 * (path.outgoing.fragments - sent)


def test_silence_begins_anew_with_the_smallest_window() -> None:
    """RFC 9002, 7.6.2; it grows again with what arrives."""
    path = busy(10)
    after(path, 2)
    path.loss = 1.0
    after(path, 2)
    path.loss = 0.0
    least = min(model.window for model in path.steps(3))
    assert least == 4 * DATAGRAM
    model = after(path, 1)
    assert model.window > RATE * 0.02


def test_after_silence_the_path_may_be_another_one() -> None:
    """RFC 9002, 5.2: the shortest round trip is the newest one then, before ten seconds are over."""
    path = busy(10)
    after(path, 2)
    path.loss, path.delay_us = 1.0, 30_000
    after(path, 2)
    path.loss = 0.0
    model = after(path, 1.5)
    assert model.least_rtt_us == path.outgoing.congestion.least_rtt_us >= 60_000


# --- The shortest round trip ----------------------------------------------------------------------------------------


def test_the_shortest_round_trip_is_looked_for_every_ten_seconds() -> None:
    """5.3.4: with half of what fills the path on its way, for 200 ms and a round trip."""
    path = busy(31, rate=2_500_000)
    found: list[tuple[int, int]] = []
    shorter: list[int] = []
    least_us = NONE
    for model in path.steps(30):
        if model.least_rtt_us < least_us:
            shorter.append(path.now)
        least_us = model.least_rtt_us
        if not found or model.state != found[-1][1]:
            found.append((path.now, model.state))
    spans = [(one[0], other[0]) for one, other in pairwise(found) if one[1] == PROBE_RTT]
    assert len(spans) == 2
    for start, end in spans:
        assert start - max([at for at in shorter if at < start] + [e for _, e in spans if e < start]) > 10_000_000
        assert 200_000 <= end - start < 350_000
    assert [after[1] for before, after in pairwise(found) if before[1] == PROBE_RTT] == [PROBE_CRUISE] * 2


def test_what_a_probe_has_found_outlives_the_next_one() -> None:
    """5.3.4.1: the shortest round trip is known while it is looked for again, so that half of what fills the path is
    just that, also where at all other times a queue hides it."""
    path = busy(31, rate=2_500_000)
    probes = 0
    last = after(path, 1).state
    for model in path.steps(29):
        probes += model.state == PROBE_RTT != last
        last = model.state
        path.delay_us = 10_000 if model.state == PROBE_RTT else 25_000
        assert model.least_rtt_us < 22_000
        assert path.outgoing.congestion.least_rtt_us < 22_000
    assert probes >= 2


def test_datagrams_that_grow_while_the_shortest_round_trip_is_looked_for_go_on_four_at_a_time() -> None:
    """5.3.4.3 and 5.6.4.5: BBRProbeRTTCwnd is BBRMinPipeCwnd at least, four datagrams, which have grown."""
    path = busy(14, delay_us=500)
    model = until(path, PROBE_RTT)
    path.outgoing.resize(60_000, 1000)
    path._datagram = 60_000
    path.send(bytes(4 << 20), 1000)
    windows = []
    for model in path.steps(5):
        if model.state != PROBE_RTT:
            break
        windows.append(model.window)
    assert min(windows) >= 4 * 60_000
    assert model.state != PROBE_RTT, "it ends"


def test_a_path_that_becomes_longer_is_believed_after_ten_seconds() -> None:
    path = busy(14, rate=2_500_000)
    after(path, 1)
    path.delay_us = 20_000
    for model in path.steps(8):
        assert model.least_rtt_us < 21_000
    model = after(path, 4)
    assert model.least_rtt_us == pytest.approx(40_000, rel=0.05)
    assert path.outgoing.congestion.least_rtt_us == model.least_rtt_us, "so is who waits for what was overtaken"


def test_after_idleness_it_goes_on_at_the_rate_of_before() -> None:
    """5.4.1: at the bandwidth, neither slower nor faster, and nothing is looked for first."""
    path = Path(rate=RATE, delay_us=10_000, queue=1 << 20)
    path.send(bytes(16 << 20), 1)
    path.run()
    path.now += 15_000_000
    path.send(bytes(4 << 20), 2)
    took = path.run_until_whole(2)
    assert took < 1.25 * (4 << 20) / RATE + 0.05
    assert path.outgoing.congestion.model.state != PROBE_RTT


# --- What always holds ----------------------------------------------------------------------------------------------


def test_on_any_path_the_bounds_hold(seed: int) -> None:
    """Whatever a path does, and changes to: counts are right, the window has its least, the rate is one."""
    source = random.Random(seed)
    for round_ in range(12):
        path = Path(
            source.randrange(2**32),
            datagram=source.choice((512, 1200, 9000)),
            jitter_us=source.choice((0, 300, 5000)),
            duplication=source.choice((0.0, 0.2)),
            queue=source.choice((10_000, 1 << 18)),
        )
        datagram = path.outgoing.congestion.model.datagram
        for number in range(1, 30):
            if path.outgoing.waiting < 1 << 20:
                path.send(bytes(source.randrange(1, 400_000)), number)
            path.rate = source.choice((0, 100_000, 1_000_000, 20_000_000))
            path.delay_us = source.choice((20, 500, 30_000))
            path.loss = source.choice((0.0, 0.0, 0.01, 0.2, 1.0))
            for model in path.steps(source.choice((0.01, 0.3, 1.5))):
                assert model.in_flight >= 0, f"round {round_}"
                assert model.window >= min(4 * datagram, model.window if model.rounds == 0 else NONE)
                assert model.rate > 0
                assert model.bandwidth <= model.most_bandwidth
                assert model.delivered + model.lost <= path.sent_bytes
        path.loss, path.rate = 0.0, 1_000_000
        path.run(30)
        assert path.outgoing.waiting == 0
