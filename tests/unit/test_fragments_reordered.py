"""Fragments on a path that reorders: what was overtaken is no loss, and what is lost is repaired all the same.

The rules are those of RFC 9002, 6.1, and RFC 8985 (RACK), 6.2, whose steps are named.
"""

from __future__ import annotations

import random

import pytest

from raftcore.wire.congestion import Congestion
from raftcore.wire.fragment import FRAGMENT_OVERHEAD, decode_ack, encode_ack, encode_fragment
from raftcore.wire.incoming import Incoming
from raftcore.wire.outgoing import Outgoing
from tests.unit.fragment_path import OPENING, Path, whole

STEP = 1200 - FRAGMENT_OVERHEAD
RATE = 12_500_000
"""Bytes a second: 100 Mbit/s."""
RTT_US = 100_000


class Sender:
    """An Outgoing with enough to send, whose acknowledgements the test makes up; a round trip has 100 ms, measured."""

    def __init__(self, fragments: int = 40_000) -> None:
        self.outgoing = Outgoing(1200, 1 << 26, 1 << 26)
        self.outgoing.add(whole(bytes(fragments * STEP)), 1, None, 0)
        self.now = self.sent = self.round = 0
        self.send(5)
        self.now += RTT_US
        self.ack((1, 5))

    def send(self, count: int) -> int:
        """That many datagrams leave, as soon as they may; the number of the first."""
        first = self.sent + 1
        until = self.sent + count
        while self.sent < until:
            if self.outgoing.next_datagram(self.now) is None:
                self.now += 1
            else:
                self.sent += 1
        return first

    def ack(self, *ranges: tuple[int, int]) -> None:
        self.outgoing.ack(encode_ack(ranges), self.now)

    def go_round(self, *, late: bool = False, lost: bool = False) -> None:
        """Eight datagrams leave, and their acknowledgement comes after a round trip, without the first: ``late`` after
        it was taken for lost, which with ``lost`` it is. Without either it is overtaken by the other seven only."""
        first = self.send(8)
        begun = self.now
        self.now += RTT_US
        self.ack((first + 1, first + 7))
        if late or lost:
            self.now = begun + self.outgoing.congestion.loss_delay_us() + 1
            before = self.outgoing.lost
            self.outgoing.tick(self.now)
            assert self.outgoing.lost == before + 1
        if late or not lost:
            self.ack((first, first + 7))


# --- When something is lost -----------------------------------------------------------------------------------------


def test_three_later_ones_are_enough_on_a_path_that_has_reordered_nothing() -> None:
    """RFC 9002, 6.1.1"""
    sender = Sender()
    first = sender.send(6)
    sender.now += 1000
    sender.ack((first + 1, first + 2))
    assert sender.outgoing.lost == 0
    sender.ack((first + 1, first + 3))
    assert sender.outgoing.lost == 1
    assert not sender.outgoing.congestion.reordered


def test_numbers_say_nothing_where_some_were_reordered() -> None:
    """RFC 8985, step 3: one that left earlier is acknowledged later. Steps 4 and 5: from then on a datagram has a round
    trip and a quarter of the least one, however many overtake it."""
    sender = Sender()
    first = sender.send(3)
    sender.now += RTT_US
    sender.ack((first + 1, first + 2))
    sender.ack((first, first + 2))
    congestion = sender.outgoing.congestion
    assert (congestion.reordered, congestion.quarters, sender.outgoing.lost) == (True, 1, 0)
    one = sender.send(1)
    left = sender.now
    sender.send(8)
    sender.now = left + RTT_US
    sender.ack((one + 1, one + 8))
    assert sender.outgoing.lost == 0
    due = left + congestion.loss_delay_us()
    assert due == pytest.approx(left + 1.25 * RTT_US, abs=0.02 * RTT_US)
    assert sender.outgoing.deadline(sender.now) is not None
    sender.outgoing.tick(due - 1)
    assert sender.outgoing.lost == 0
    sender.outgoing.tick(due)
    assert sender.outgoing.lost == 1


def test_what_was_taken_for_lost_too_early_makes_the_window_wider_once_in_a_round_trip() -> None:
    """Step 4: by a quarter of the least round trip, when what DSACK tells comes from another round trip."""
    sender = Sender()
    sender.go_round()
    congestion = sender.outgoing.congestion
    assert congestion.quarters == 1
    sender.go_round(late=True)
    assert congestion.quarters == 2
    first = sender.send(10)  # of one round trip, all but the last two late
    begun = sender.now
    sender.now += RTT_US
    sender.ack((first + 8, first + 9))
    sender.now = begun + congestion.loss_delay_us() + 1
    sender.outgoing.tick(sender.now)
    late = sender.outgoing.late
    for number in range(first, first + 8):
        sender.ack((first + 8, first + 9), (number, number)) if number < first + 7 else sender.ack((first, first + 9))
    assert sender.outgoing.late == late + 8
    assert congestion.quarters == 3


def test_the_window_is_as_before_after_sixteen_recoveries_from_true_losses() -> None:
    """Step 4: RACK.reo_wnd_persist. The recovery in which it was made wider is the first."""
    sender = Sender()
    sender.go_round()
    sender.go_round(late=True)
    sender.go_round(late=True)
    congestion = sender.outgoing.congestion
    assert congestion.quarters == 3
    for _ in range(15):
        assert congestion.quarters == 3
        sender.go_round(lost=True)
    sender.go_round()
    assert congestion.quarters == 1
    assert congestion.reordered, "that stays"


def test_the_sixteen_recoveries_are_counted_from_when_the_window_was_made_wider_last() -> None:
    """Step 4: each time it is made wider, RACK.reo_wnd_persist is 16 again."""
    sender = Sender()
    sender.go_round()
    sender.go_round(late=True)
    congestion = sender.outgoing.congestion
    for _ in range(10):
        sender.go_round(lost=True)
    sender.go_round(late=True)
    for _ in range(15):
        assert congestion.quarters == 3
        sender.go_round(lost=True)
    sender.go_round()
    assert congestion.quarters == 1


def test_no_datagram_is_waited_for_longer_than_two_round_trips() -> None:
    """Step 4: RACK.reo_wnd is SRTT at most, however often it was made wider."""
    sender = Sender()
    sender.go_round()
    congestion = sender.outgoing.congestion
    for _ in range(10):
        sender.go_round(late=True)
    assert congestion.quarters == 11
    assert congestion.reordering_us() == congestion.smoothed_rtt_us < 11 * congestion.least_rtt_us // 4
    assert congestion.loss_delay_us() == max(congestion.latest_rtt_us, congestion.smoothed_rtt_us) + (
        congestion.smoothed_rtt_us
    )


def test_the_window_is_a_share_of_the_least_round_trip() -> None:
    """Step 4: RACK.min_RTT, as the others have waited in queues."""
    congestion = Congestion(1200)
    congestion.sample(RTT_US, 0)
    for now in range(1, 50):
        congestion.sample(3 * RTT_US, now)
    congestion.overtaken()
    assert congestion.smoothed_rtt_us > 2 * RTT_US
    assert congestion.reordering_us() == RTT_US // 4
    congestion.premature()
    assert congestion.reordering_us() == RTT_US // 2


def test_nothing_is_asked_before_it_is_known_whether_something_is_lost() -> None:
    """RFC 9002, A.8: while a time is known at which a datagram counts as lost, that alone is waited for."""
    sender = Sender(5 + 8 * 35 + 3)
    sender.go_round()
    for _ in range(4):
        sender.go_round(late=True)
    congestion = sender.outgoing.congestion
    for _ in range(30):  # the round trips that are alike make the probe timeout short
        sender.go_round()
    first = sender.send(3)
    left = sender.now
    sender.now += RTT_US
    sender.ack((first + 1, first + 2))
    due, asks = left + congestion.loss_delay_us(), left + congestion.probe_timeout_us()
    assert asks < due - 10_000
    sender.now = asks + 1000
    sender.outgoing.tick(sender.now)
    before = (sender.outgoing.repeated, sender.outgoing.lost)
    assert sender.outgoing.next_datagram(sender.now) is None, "no probe"
    assert sender.outgoing.deadline(sender.now) == due
    sender.outgoing.tick(due)
    assert sender.outgoing.next_datagram(due) is not None
    assert sender.outgoing.repeated == before[0] + 1
    assert sender.outgoing.lost == before[1] + 1


def test_what_arrives_after_all_is_counted_as_arrived() -> None:
    sender = Sender()
    sender.go_round()
    model = sender.outgoing.congestion.model
    before = (model.delivered, sender.outgoing.late)
    sender.go_round(late=True)
    assert (model.delivered, sender.outgoing.late) == (before[0] + 8 * 1200, before[1] + 1)
    assert (model.lost, model.in_flight) == (0, 0)
    sender.go_round(lost=True)
    assert (model.lost, model.in_flight) == (1200, 0)
    sender.ack((1, sender.sent))
    assert (model.lost, model.in_flight) == (0, 0)
    assert model.delivered == 1200 * sender.sent


def test_what_was_taken_for_lost_is_not_remembered_for_ever() -> None:
    """Three probe timeouts after it left nobody waits for it any more."""
    sender = Sender()
    sender.go_round()
    sender.go_round(lost=True)
    before = (sender.outgoing.lost, sender.outgoing.late)
    sender.now += 3 * sender.outgoing.congestion.probe_timeout_us()
    lost = sender.sent - 7
    sender.send(1)
    sender.now += RTT_US
    sender.ack((sender.sent, sender.sent))
    sender.ack((lost, lost))
    assert (sender.outgoing.lost, sender.outgoing.late) == before


# --- The receiver ---------------------------------------------------------------------------------------------------


def numbered(packet: int) -> bytes:
    return encode_fragment(packet, 1, 0, 2_000_000, 1000, packet, bytes(1000))


def test_what_comes_late_is_named_however_much_is_missing_after_it() -> None:
    incoming = Incoming(OPENING, 1 << 26)
    for packet in range(2, 402, 2):
        incoming.take(numbered(packet), 0)
        assert incoming.ack() is not None
    assert incoming.ack() is None
    incoming.take(numbered(101), 0)
    ack = incoming.ack()
    assert ack is not None
    assert decode_ack(ack)[-1] == (100, 102)
    assert decode_ack(ack)[0] == (400, 400)
    assert len(decode_ack(ack)) == 32
    assert incoming.ack() is None


def test_what_no_acknowledgement_has_place_for_is_named_by_the_next() -> None:
    """The older first, so that what has not been overtaken does not seem to have been."""
    incoming = Incoming(OPENING, 1 << 26)
    for packet in range(2, 202, 2):
        incoming.take(numbered(packet), 0)
    found: list[list[tuple[int, int]]] = []
    while (ack := incoming.ack()) is not None:
        found.append(decode_ack(ack))
    assert [len(ranges) for ranges in found] == [32, 32, 32, 32]
    assert {low for ranges in found for low, _ in ranges} == set(range(2, 202, 2))
    newest = [ranges[0][1] for ranges in found]
    assert newest == [64, 128, 192, 200]


def test_in_whatever_order_they_come_all_are_named(seed: int) -> None:
    source = random.Random(seed)
    print("seed", seed)
    for _ in range(20):
        incoming = Incoming(OPENING, 1 << 26)
        numbers = sorted(range(1, 1000), key=lambda number: number + source.uniform(0, 300))
        named: set[int] = set()
        while numbers:
            taken, numbers = numbers[: (count := source.randrange(1, 65))], numbers[count:]
            for number in taken:
                incoming.take(numbered(number), 0)
            while (ack := incoming.ack()) is not None:
                named.update(number for low, high in decode_ack(ack) for number in range(low, high + 1))
            assert named.issuperset(taken)
        assert named == set(range(1, 1000))


# --- How fast -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_trip_ms", [1, 20, 100])
@pytest.mark.parametrize("share", [0.05, 0.25, 1.0], ids=lambda share: f"jitter {share}")
def test_jitter_costs_next_to_nothing(round_trip_ms: int, share: float, seed: int) -> None:
    """Each datagram is late by up to so much of half a round trip, and overtaken by those behind it; 100 Mbit/s."""
    print("seed", seed)
    took = []
    for jitter in (0.0, share):
        path = Path(
            seed,
            datagram=1424,
            delay_us=500 * round_trip_ms,
            jitter_us=int(500 * round_trip_ms * jitter),
            rate=RATE,
            queue=max(1 << 16, RATE * round_trip_ms // 1000),
        )
        for number in (1, 2):
            path.send(bytes(6 << 20), number)
        took.append(path.run_until_whole(2))
    assert took[1] < 1.25 * took[0] + 0.002 * share * round_trip_ms


def test_a_loss_on_a_path_that_reorders_is_noticed_within_one_and_a_quarter_round_trips(seed: int) -> None:
    """Of those that the path has with all its jitter, 50 to 56 ms."""
    source = random.Random(seed)
    print("seed", seed)
    path = Path(seed, delay_us=25_000, jitter_us=3_000)
    path.send(bytes(2 << 20), 1)
    path.run(5)
    assert path.outgoing.congestion.reordered
    for number in range(2, 62):
        left, dropped = [source.randrange(20)], [0]

        def drop(left: list[int] = left, dropped: list[int] = dropped) -> bool:
            left[0] -= 1
            if left[0] == -1:
                dropped[0] = path.now
            return left[0] == -1

        path.drops = drop
        before = path.outgoing.lost
        path.send(bytes(30 * STEP), number)
        while path.outgoing.lost == before:
            assert path.step(path.now + 1_000_000), f"message {number}"
        assert path.now - dropped[0] <= 1.25 * 56_000, f"message {number}"
        path.run(0.5)
    assert len(path.arrived) == 61


def test_real_loss_beside_jitter_costs_less_than_a_fifth(seed: int) -> None:
    print("seed", seed)
    took = []
    for loss in (0.0, 0.01):
        path = Path(seed, rate=RATE, delay_us=10_000, jitter_us=5_000, queue=1 << 18, loss=loss)
        path.send(bytes(16 << 20), 1)
        took.append(path.run_until_whole(1))
    assert took[1] < 1.2 * took[0]
