"""Messages in fragments while what the path takes changes: cut anew where it takes less, and black holes suspected."""

from __future__ import annotations

import random

import pytest

from raftcore.wire import outgoing
from raftcore.wire.fragment import FRAGMENT_OVERHEAD, decode_fragment
from raftcore.wire.outgoing import Outgoing
from raftcore.wire.path_size import BASE_SIZE, PROBE_TIMER_US
from tests.unit.fragment_path import Path, fragment_body, whole


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(f"content {seed}").randbytes(size)


def test_a_smaller_path_cuts_anew_what_was_under_way_and_all_that_waits() -> None:
    path = Path(datagram=9000, largest=2000)
    messages = [content(100_000, seed) for seed in range(20)]
    for number, message in enumerate(messages, 1):
        path.send(message, number)
    path.run(0.5)
    assert path.arrived == []
    path.most_bytes = 0
    taken = path.outgoing.resize(1200, 21)
    assert taken == 20, "those under way, and those behind them, whose numbers must be larger"
    assert path.outgoing.congestion.model.in_flight == 0, "nobody waits for what cannot arrive"
    path.run()
    assert sorted(path.arrived) == sorted(whole(message) for message in messages)
    assert path.most_bytes == 1200
    assert path.outgoing.waiting == path.outgoing.congestion.model.in_flight == 0
    assert path.faults == 0


def test_a_larger_path_leaves_what_is_under_way_alone() -> None:
    path = Path(datagram=9000)
    path.outgoing.resize(1200, 1)
    messages = [content(50_000, seed) for seed in range(5)]
    for number, message in enumerate(messages, 1):
        path.send(message, number)
    for _ in range(10):
        path.step(path.now + 10**6)
    assert path.most_bytes == 1200
    assert path.outgoing.resize(9000, 6) == 0
    path.run()
    assert path.arrived == [whole(message) for message in messages]
    assert path.most_bytes == 9000
    assert path.outgoing.repeated == 0
    assert path.outgoing.congestion.model.datagram == 9000


def test_what_was_cut_small_enough_goes_on_when_the_path_shrinks() -> None:
    sender, now_us = Outgoing(9000, 1 << 26, 1 << 26), 0

    def drain() -> set[tuple[int, int]]:
        nonlocal now_us
        seen = set()
        for _ in range(100):
            now_us += 10**5
            if (sent := sender.next_datagram(now_us)) is not None:
                _, message, _, _, step, _, _ = decode_fragment(fragment_body(sent))
                seen.add((message, step + FRAGMENT_OVERHEAD))
        return seen

    sender.resize(1200, 1)
    sender.add(whole(content(5000, 1)), 1, None, 0)
    assert sender.next_datagram(0) is not None
    sender.resize(9000, 2)
    sender.add(whole(content(60_000, 2)), 2, None, 0)
    assert drain() == {(1, 1200), (2, 9000)}
    assert sender.resize(1500, 7) == 1
    assert drain() == {(7, 1500)}


@pytest.mark.parametrize("datagram", [FRAGMENT_OVERHEAD + 255, 1 << 21])
def test_sizes_that_cannot_be_change_nothing(datagram: int) -> None:
    sender = Outgoing(1200, 1 << 20, 1 << 20)
    with pytest.raises(ValueError, match="bytes"):
        sender.resize(datagram, 1)
    sender.add(whole(content(5000)), 1, None, 0)
    sent = sender.next_datagram(0)
    assert sent is not None
    assert len(sent) == 1200


def test_a_random_path_that_changes_its_size(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(30):
        sizes = (512, 1200, 1424, 8924, 65_459)
        path = Path(
            source.randrange(2**32),
            datagram=65_459,
            jitter_us=source.choice((0, 300, 5000)),
            loss=source.choice((0.0, 0.05, 0.2)),
            duplication=source.choice((0.0, 0.3)),
        )
        path.outgoing.resize(1200, 1)
        number, sent = 0, []
        for _ in range(source.randrange(1, 12)):
            path.largest = source.choice(sizes)
            number += path.outgoing.resize(path.largest, number + 1)
            message = content(source.choice((1, 1100, 30_000, 200_000)), number)
            number += 1
            sent.append(whole(message))
            path.send(message, number)
            path.run(source.choice((0.0, 0.0005, 0.01, 1.0)))
        path.run()
        if path.outgoing.given_up == 0:
            assert set(path.arrived) == set(sent)
        assert set(path.arrived) <= set(sent)
        assert path.outgoing.waiting == 0
        assert path.outgoing.congestion.model.in_flight >= 0
        assert path.faults == 0


def hole(path: Path) -> bool:
    return path.outgoing.black_hole(path.now)


def test_a_black_hole_is_suspected_after_a_second_in_which_no_large_datagram_arrives() -> None:
    path = Path(datagram=9000, largest=2000)
    path.send(content(1000), 1)
    path.run()  # now it knows a round trip
    begun = path.now
    path.send(content(100_000), 2)
    path.run(0.9)
    assert not hole(path)
    path.now = begun + PROBE_TIMER_US
    assert hole(path)
    path.outgoing.resize(1200, 3)
    assert not hole(path)
    path.run()
    assert path.arrived == [whole(content(1000)), whole(content(100_000))]


def test_small_datagrams_that_arrive_do_not_hide_it() -> None:
    path = Path(datagram=9000, largest=2000)
    for number in range(1, 200):  # of the second fragment of each, which is small, and arrives
        path.send(content(9000), number)
    path.run(1.2)
    assert path.outgoing.large_us == 0
    assert hole(path)


def test_a_lossy_path_is_none() -> None:
    path = Path(datagram=9000, loss=0.4)
    for number in range(1, 30):
        path.send(content(100_000), number)
    for _ in range(40):
        path.run(0.1)
        assert not hole(path)
    assert path.outgoing.large_us > 0


def test_what_passes_any_path_says_nothing() -> None:
    path = Path(datagram=BASE_SIZE, loss=1.0)
    path.send(content(100_000), 1)
    path.run(4.0)
    assert not hole(path)
    assert outgoing.GIVE_UP_US > PROBE_TIMER_US
