"""What a receiver's small socket, and losses by chance, cost of the throughput; what a TCP stream beside it has.

On virtual time. A receiver whose socket is as small as the system makes it, and one loss in a hundred, are to leave
four fifths of it.
"""

from __future__ import annotations

from statistics import median

import pytest

from raftcore.wire.outgoing import Outgoing
from tests.unit.fragment_path import Path
from tests.unit.tcp_flow import TcpFlow

RATE = 12_500_000
"""Bytes a second: 100 Mbit/s."""
DATAGRAM = 1424
"""What a path of 1,500 bytes has for a datagram, with 48 left for sealing."""
USUAL_SOCKET = 83 * DATAGRAM
"""What a node says that its socket holds where Linux grants what it grants unless told otherwise (rmem_max)."""
LARGE_SOCKET = 1 << 28
MEBIBYTE = 1 << 20


def throughput(mebibytes: int, path: Path) -> float:
    """Bytes a second."""
    for number in range(1, mebibytes + 1):
        path.send(bytes(MEBIBYTE), number)
    return mebibytes * MEBIBYTE / path.run_until_whole(mebibytes)


def path_of(round_trip_ms: float, **options: float) -> Path:
    """100 Mbit/s, with a queue of as much as fills it, and 64 KiB at least."""
    queue = max(1 << 16, int(RATE * round_trip_ms / 1000))
    usual = {"datagram": DATAGRAM, "rate": RATE, "delay_us": int(500 * round_trip_ms), "queue": queue}
    return Path(**{**usual, **options})  # type: ignore[arg-type]


# --- A receiver's socket --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_ms", [1, 5])
@pytest.mark.parametrize("round_trip_ms", [0, 1, 5, 8, 10, 12, 100])
def test_the_usual_socket_of_a_receiver_costs_less_than_a_fifth(round_trip_ms: int, read_ms: int) -> None:
    """It is busy with something else and looks at the socket that often; beside one whose socket has no end."""
    small = path_of(round_trip_ms, burst=USUAL_SOCKET, read_us=1000 * read_ms)
    large = path_of(round_trip_ms, burst=LARGE_SOCKET, read_us=1000 * read_ms)
    assert throughput(8, small) >= 0.8 * throughput(8, large)
    assert small.overruns == 0


@pytest.mark.parametrize("socket", [1 << 15, 1 << 16, USUAL_SOCKET])
@pytest.mark.parametrize("round_trip_ms", [0, 1])
def test_a_receiver_slower_than_the_path_costs_nothing_but_what_it_takes(round_trip_ms: int, socket: int) -> None:
    """What it has not read waits in its socket, which is never full: it reads 12.5 KB each millisecond, and the path
    would carry any number."""
    options = {"rate": 0, "read_us": 1000, "read": RATE // 1000}
    small = path_of(round_trip_ms, burst=socket, **options)
    assert throughput(8, small) >= 0.8 * RATE
    assert small.overruns == small.outgoing.lost == 0


@pytest.mark.parametrize("read_ms", [1, 5])
@pytest.mark.parametrize("round_trip_ms", [0, 1, 3, 5, 6, 7, 8, 9, 9.9, 10, 10.1, 12, 15, 20, 100])
def test_a_receiver_slower_than_the_path_costs_less_than_a_fifth(round_trip_ms: int, read_ms: int) -> None:
    """Also far away, where its socket holds a small part of what is on its way; beside one whose socket has no end."""
    options = {"rate": 0, "read_us": 1000 * read_ms, "read": RATE * read_ms // 1000}
    small, large = (path_of(round_trip_ms, burst=burst, **options) for burst in (USUAL_SOCKET, LARGE_SOCKET))
    assert throughput(8, small) >= 0.8 * throughput(8, large)
    assert small.overruns == 0


@pytest.mark.parametrize("read_ms", [1, 5])
@pytest.mark.parametrize("rate", [RATE // 10, RATE // 5, RATE // 2])
@pytest.mark.parametrize(("round_trip_ms", "holds"), [(0, 1), (1, 1), (5, 1), (7, 1), (8, 2), (10, 2), (15, 2)])
def test_the_socket_of_a_near_receiver_is_never_full_however_slow_it_is(
    round_trip_ms: int, holds: int, rate: int, read_ms: int
) -> None:
    """More than it tells is not on its way, but for what the path itself holds. That is estimated where it matters, and
    a socket holds twice of what is told."""
    read = {"read_us": 1000 * read_ms, "read": rate * read_ms // 1000}
    path = path_of(round_trip_ms, rate=0, burst=holds * USUAL_SOCKET, **read)
    path.outgoing.burst = USUAL_SOCKET
    assert throughput(4, path) >= 0.8 * rate
    assert path.overruns == 0


@pytest.mark.parametrize("socket", [40_000, 80_000])
def test_a_far_receiver_is_sent_what_its_socket_holds_in_ten_milliseconds(socket: int) -> None:
    """That is what a socket smaller than the usual one costs far away. It loses nothing when it is busy for so long: it
    tells half of what it holds."""
    assert 0.8 * 100 * socket <= throughput(8, path_of(20, burst=socket)) <= 100 * socket
    busy = path_of(20, burst=2 * socket, read_us=10_000)
    busy.outgoing.burst = socket
    throughput(8, busy)
    assert busy.overruns == 0


def test_a_far_receiver_that_tells_a_socket_of_one_byte_is_sent_a_datagram_at_a_time() -> None:
    """As one that is near: whatever is told, it goes on."""
    path = path_of(100)
    path.outgoing.burst = 1
    path.send(bytes(65_536), 1)
    assert 0.1 * 40 < path.run_until_whole(1) < 0.1 * 60


def test_a_receiver_that_has_moved_far_away_has_what_its_socket_takes_there() -> None:
    """The shortest round trip is one of the last ten seconds (draft-ietf-ccwg-bbr, 5.3.4): what was known of the former
    place bounds what is on its way no longer."""
    path = path_of(1, rate=0, burst=USUAL_SOCKET, read_us=1000, read=RATE // 1000)
    throughput(8, path)
    path.delay_us = 50_000
    for number in range(9, 100):
        path.send(bytes(MEBIBYTE), number)
    path.run(16)
    before = path.outgoing.congestion.model.delivered
    path.run(2)
    assert path.outgoing.congestion.model.delivered - before >= 2 * 0.8 * RATE


@pytest.mark.parametrize("round_trip_ms", [20, 100])
def test_an_append_leaves_at_once_if_the_socket_of_a_far_receiver_takes_it(round_trip_ms: int) -> None:
    """Nothing else is on its way, and it fits: it arrives as soon as with a socket that has no end."""
    took = []
    for burst in (USUAL_SOCKET, LARGE_SOCKET):
        path = path_of(round_trip_ms, rate=10 * RATE, queue=10 * RATE, burst=burst)
        for number in range(1, 9):
            begun = path.now
            path.send(bytes(65_536), number)
            arrived = path.run_until_whole(number)
            path.run()
            path.now = max(path.now, begun + 1_000_000)
        took.append(arrived)
    assert took[0] <= took[1] + 0.0001
    assert took[1] < 0.0006 * round_trip_ms


# --- Losses by chance -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_trip_ms", [0, 1, 10, 100])
def test_one_loss_in_a_hundred_costs_less_than_a_fifth(round_trip_ms: int, seed: int) -> None:
    """In either direction, on a path with a queue of as much as fills it; the median of seven draws."""
    lossy = [path_of(round_trip_ms, seed=seed + number, loss=0.01) for number in range(7)]
    assert median(throughput(16, path) for path in lossy) >= 0.8 * throughput(16, path_of(round_trip_ms))
    assert all(path.outgoing.lost > 50 for path in lossy)


def test_none_of_sixty_draws_of_one_loss_in_a_hundred_costs_more_than_a_fifth() -> None:
    """At 100 ms a transfer of 16 MiB is over before the rate would have grown again that losses close together at the
    beginning had stopped. The draws are the seeds 0 to 59."""
    usual = throughput(16, path_of(100))
    kept = {draw: throughput(16, path_of(100, seed=draw, loss=0.01)) / usual for draw in range(60)}
    assert min(kept.values()) >= 0.8, sorted((round(each, 2), draw) for draw, each in kept.items())[:5]


# --- Beside a TCP stream --------------------------------------------------------------------------------------------

BOTTLENECK = 6_250_000
"""Bytes a second: 50 Mbit/s."""


def share_beside(path: Path, seconds: float = 20.0) -> tuple[float, float]:
    """Our part of what arrives, when a TCP stream (CUBIC) has begun at the same time, and how much of the bottleneck
    both fill; the first five seconds do not count."""
    stream, model = TcpFlow(path), path.outgoing.congestion.model
    number, ours, theirs = 0, 0, 0
    begun = path.now + 5_000_000
    until = begun + int(seconds * 1_000_000)
    while path.now < until:
        while path.outgoing.waiting < 4 * MEBIBYTE:
            number += 1
            path.send(bytes(MEBIBYTE), number)
        if path.now < begun:
            ours, theirs = model.delivered, stream.delivered
        if not path.step(until):
            break
        path.arrived.clear()
    ours, theirs = model.delivered - ours, stream.delivered - theirs
    return ours / (ours + theirs), (ours + theirs) / (seconds * path.rate)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("round_trip_ms", "queue", "least", "most"),
    [(10, 1, 0.5, 0.92), (10, 2, 0.4, 0.75), (10, 5, 0.2, 0.5), (100, 1, 0.4, 0.6), (100, 5, 0.2, 0.5)],
)
def test_a_tcp_stream_has_its_share(round_trip_ms: int, queue: int, least: float, most: float, number: int) -> None:
    """The queue is of so many times what fills the path. A long one is TCP's, a short one ours, and neither starves."""
    held = queue * BOTTLENECK * round_trip_ms // 1000
    path = path_of(round_trip_ms, rate=BOTTLENECK, queue=held)
    path.outgoing = Outgoing(DATAGRAM, 1 << 26, LARGE_SOCKET, number)
    share, filled = share_beside(path)
    assert least < share < most
    assert filled > 0.99


@pytest.mark.parametrize("round_trip_ms", [10, 100])
def test_the_tcp_stream_fills_a_path_and_shares_it_with_its_like(round_trip_ms: int) -> None:
    """So that it is a rival worth the name."""
    delivered = []
    for count in (1, 2):
        path = path_of(round_trip_ms, rate=BOTTLENECK, queue=BOTTLENECK * round_trip_ms // 1000)
        streams = [TcpFlow(path) for _ in range(count)]
        until = path.now + 10_000_000
        while path.now < until and path.step(until):
            pass
        delivered.append([stream.delivered / (10 * BOTTLENECK) for stream in streams])
    assert min(sum(each) for each in delivered) > 0.93
    assert 1 / 3 < delivered[1][0] < 2 / 3
