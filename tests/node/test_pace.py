"""A follower that nobody waits for is given so many bytes a second, and more where the log grows faster than that."""

from __future__ import annotations

import pytest

from raftpy.runtime.pace import LONGEST_S, SAVED_BYTES, SHORTEST_S, Pace

RATE = 1_000_000
PIECE = 10_000
"""Bytes of ten entries."""


class Follower:
    """One that takes what it is given at once, from index 1 of a log that ends before ``end``."""

    def __init__(self, end: int = 1_000_000) -> None:
        self.now_s = 100.0
        self.next = 1
        self.end = end
        self.given = 0
        self.pace = Pace(RATE, self.now_s, end)

    def take(self) -> float:
        """All that may be given now; in how many seconds to come back."""
        for _ in range(100_000):
            if wait_s := self.pace.wait_s(self.now_s, self.next, self.end):
                return wait_s
            self.pace.gave(PIECE)
            self.given += PIECE
            self.next += 10
        raise AssertionError("there is no end to what it may be given at once")

    def live(self, seconds: float, late_s: float = 0.0, grows: float = 0.0) -> None:
        """So long, with timers that come late, while the log grows by so many entries a second."""
        until, begun, had = self.now_s + seconds, self.now_s, self.end
        while self.now_s < until:
            self.now_s += self.take() + late_s
            self.end = had + int((self.now_s - begun) * grows)


def test_the_rate_is_kept() -> None:
    follower = Follower()
    follower.live(10.0)
    assert 10 * RATE - PIECE <= follower.given <= 10 * RATE + 2 * PIECE


@pytest.mark.parametrize("late_s", [0.001, 0.02, 0.05])
def test_timers_that_come_late_cost_nothing(late_s: float) -> None:
    """As long as they come before as much is saved up as may be."""
    follower = Follower()
    follower.live(10.0, late_s)
    assert 9.7 * RATE <= follower.given <= 10 * RATE + late_s * RATE + 2 * PIECE


def test_it_is_spread_over_the_time() -> None:
    """A piece at a time, where timers are in time."""
    follower = Follower()
    for _ in range(200):
        before = follower.given
        wait_s = follower.take()
        assert follower.given - before <= PIECE
        assert SHORTEST_S <= wait_s <= PIECE / RATE + SHORTEST_S
        follower.now_s += wait_s


@pytest.mark.parametrize("piece", [100_000, 10_000_000])
def test_it_is_asked_again_soon_however_long_the_wait(piece: int) -> None:
    """Somebody may have come to wait for the follower. It has to wait as long as it would have had all the same."""
    pace = Pace(RATE, 100.0, 1000)
    pace.gave(piece)
    now_s, rounds = 100.0, 0
    while wait_s := pace.wait_s(now_s, 1, 1000):
        assert SHORTEST_S <= wait_s <= LONGEST_S <= 0.05
        now_s += wait_s
        rounds += 1
    assert rounds >= piece / RATE / LONGEST_S
    assert now_s - 100.0 == pytest.approx(piece / RATE, abs=2 * SHORTEST_S)


def test_who_has_asked_for_nothing_for_long_is_not_given_all_of_it_at_once() -> None:
    follower = Follower()
    follower.take()
    follower.now_s += 3600
    before = follower.given
    follower.take()
    assert follower.given - before <= SAVED_BYTES + 2 * PIECE


@pytest.mark.parametrize("grows", [10, 1_000, 100_000])
def test_it_gains_on_a_log_that_grows(grows: int) -> None:
    """The rate alone is a thousand entries a second: with as many or more added it would never get there."""
    follower = Follower()
    distance = follower.end - follower.next
    for _ in range(20):
        follower.live(1.0, grows=grows)
        assert follower.end - follower.next <= distance - 0.8 * max(grows, RATE / 1000 - grows)
        distance = follower.end - follower.next


def test_what_the_growth_has_called_for_is_not_made_up_for() -> None:
    """Once the log grows no more, it goes on at the rate at once."""
    follower = Follower()
    follower.live(1.0, grows=100_000)
    follower.take()
    before = follower.given
    follower.live(1.0)
    assert follower.given - before >= RATE - 2 * PIECE


def test_growth_from_before_it_began_calls_for_nothing() -> None:
    follower = Follower(end=50_000_000)
    follower.take()
    assert follower.given == PIECE


def test_a_wait_is_one_that_the_clock_can_tell() -> None:
    pace = Pace(1 << 40, 1e9, 100)
    pace.gave(1)
    assert pace.wait_s(1e9, 1, 100) >= SHORTEST_S
