"""Messages in fragments from one end to the other: whatever the path does to them, and how fast."""

from __future__ import annotations

import random

import pytest

from raftcore.base.errors import DecodeError
from raftcore.wire.fragment import FRAGMENT_OVERHEAD, decode_ack, decode_fragment, encode_ack, encode_fragment
from raftcore.wire.incoming import Incoming
from raftcore.wire.outgoing import GIVE_UP_US, Outgoing
from tests.unit.fragment_path import OPENING, Path, fragment_body, whole

STEP = 1200 - FRAGMENT_OVERHEAD


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(f"content {seed}").randbytes(size)


def bodies(message: bytes, number: int = 1, datagram: int = 1200) -> list[bytes]:
    """The bodies of all fragments of a message, in order."""
    outgoing = Outgoing(datagram, 1 << 26, 1 << 26)
    outgoing.add(whole(message), number, None, 0)
    found: list[bytes] = []
    while outgoing.waiting:
        sent = outgoing.next_datagram(0)
        if sent is None:
            outgoing.ack(encode_ack([(1, len(found))]), 0)
        else:
            found.append(fragment_body(sent))
    return found


# --- One way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, STEP - 1, STEP, STEP + 1, 10 * STEP, 10 * STEP + 1, 1_000_000])
@pytest.mark.parametrize("datagram", [512, 1200, 60_000])
def test_a_message_arrives_as_it_would_have_in_one_piece(size: int, datagram: int) -> None:
    path = Path(datagram=datagram)
    path.send(content(size), 1)
    path.run()
    assert path.arrived == [whole(content(size))]
    assert path.outgoing.waiting == path.incoming.held == 0
    assert path.outgoing.fragments == -(-size // (datagram - FRAGMENT_OVERHEAD)), "each fragment once"
    assert path.outgoing.congestion.model.in_flight == 0
    assert path.faults == 0


def test_loss_repetition_and_reordering_lose_nothing(seed: int) -> None:
    source = random.Random(seed)
    for round_ in range(30):
        path = Path(
            source.randrange(2**32),
            datagram=source.choice((512, 1200, 9000)),
            jitter_us=source.choice((0, 300, 5000)),
            loss=source.choice((0.0, 0.05, 0.3)),
            duplication=source.choice((0.0, 0.3)),
            rate=source.choice((0, 1_000_000)),
            queue=source.choice((10_000, 1 << 18)),
        )
        messages = [content(source.randrange(1, 30_000), i) for i in range(source.randrange(1, 12))]
        number = 0
        for _ in range(20):  # on such a path something may be given up; then Raft repeats it
            for message in messages:
                if whole(message) not in path.arrived:
                    number += 3
                    path.send(message, number)
            path.run(200)
        assert set(path.arrived) == set(map(whole, messages)), f"round {round_}"
        assert path.outgoing.given_up or len(path.arrived) == len(messages)
        assert path.outgoing.waiting == path.faults == 0


def test_a_lost_fragment_alone_is_sent_again() -> None:
    message = content(20 * STEP)
    outgoing, incoming = Outgoing(1200, 1 << 20, 1 << 20), Incoming(OPENING, 1 << 20)
    outgoing.add(whole(message), 1, None, 0)
    got, sent, now = None, 0, 0
    while got is None:
        now += 1000
        while (datagram := outgoing.next_datagram(now)) is not None:
            sent += 1
            if sent != 5:
                got = got or incoming.take(fragment_body(datagram), now)
        ack = incoming.ack()
        assert ack is not None
        outgoing.ack(ack, now + 500)
    assert got == whole(message)
    assert (outgoing.fragments, outgoing.repeated, outgoing.lost) == (21, 1, 1)
    assert incoming.repeated == 0


def test_what_a_late_acknowledgement_says_is_not_sent_again() -> None:
    """Taken for lost, and then it had only been overtaken: its fragment is done with the first of its two datagrams."""
    outgoing, incoming = Outgoing(1200, 1 << 20, 1 << 20), Incoming(OPENING, 1 << 20)
    outgoing.add(whole(content(6 * STEP)), 1, None, 0)
    first = [outgoing.next_datagram(0) for _ in range(6)]
    assert None not in first
    for datagram in first[1:]:
        assert datagram is not None
        incoming.take(fragment_body(datagram), 10)
    ack = incoming.ack()
    assert ack is not None
    outgoing.ack(ack, 20)
    assert outgoing.lost == 1
    again = outgoing.next_datagram(40)
    assert again is not None
    assert decode_fragment(fragment_body(again))[5] == 0
    outgoing.ack(encode_ack([(1, 7)]), 60)
    assert outgoing.waiting == 0
    assert outgoing.messages == 1
    assert outgoing.congestion.model.in_flight == 0


def test_a_later_message_does_not_wait_for_the_arrival_of_an_earlier_one() -> None:
    """In order only within one message."""
    outgoing, incoming = Outgoing(1200, 1 << 20, 1 << 20), Incoming(OPENING, 1 << 20)
    outgoing.add(whole(content(3 * STEP, 1)), 1, None, 0)
    outgoing.add(whole(content(2 * STEP, 2)), 2, None, 0)
    sent = [outgoing.next_datagram(0) for _ in range(5)]
    got = [incoming.take(fragment_body(datagram), 0) for datagram in sent[1:] if datagram is not None]
    assert [each for each in got if each is not None] == [whole(content(2 * STEP, 2))]


def test_a_message_that_is_on_its_way_is_known_by_its_key() -> None:
    path = Path()
    path.send(content(50_000), 1, ("a", 1))
    path.send(content(50_000), 2, ("b", 1))
    assert path.outgoing.holds(("a", 1))
    assert path.outgoing.holds(("b", 1))
    assert not path.outgoing.holds(("a", 2))
    path.run()
    assert not path.outgoing.holds(("a", 1))


# --- How fast ---------------------------------------------------------------------------------------------------------


def test_a_path_is_filled() -> None:
    """100 Mbit/s, 10 ms: 16 MiB in little more than they take."""
    path = Path(rate=12_500_000, delay_us=5_000, queue=1 << 17)
    path.send(content(16 << 20), 1)
    took = path.run_until_whole(1)
    assert took < 1.25 * (16 << 20) / 12_500_000
    assert path.sent_bytes < 1.2 * (16 << 20)


def test_one_percent_of_loss_costs_less_than_a_fifth() -> None:
    """On a path as between machines of one place: 100 Mbit/s, 1 ms."""
    took = []
    for loss in (0.0, 0.01):
        path = Path(rate=12_500_000, delay_us=500, queue=1 << 16, loss=loss)
        path.send(content(8 << 20), 1)
        took.append(path.run_until_whole(1))
    assert took[1] < 1.2 * took[0]


def test_a_receiver_s_socket_is_not_overrun() -> None:
    path = Path(burst=20_000, delay_us=5_000)
    path.send(content(4 << 20), 1)
    path.run_until_whole(1)
    assert path.most_on_the_way <= 20_000
    assert path.outgoing.lost == 0
    assert path.outgoing.congestion.model.window < 200_000, "a window that is not used does not grow (RFC 9002, 7.8)"


def test_the_socket_of_a_receiver_far_away_holds_a_share_of_what_is_on_its_way() -> None:
    """What comes within 10 ms is to fit it: at a round trip of 100 ms that is a tenth."""
    path = Path(burst=20_000, delay_us=50_000)
    path.send(content(4 << 20), 1)
    path.run_until_whole(1)
    assert 150_000 < path.most_on_the_way <= 201_000


@pytest.mark.parametrize("burst", [3_000, 8_000, 14_000])
@pytest.mark.parametrize("delay_us", [2_625, 3_500, 4_875])
def test_it_is_all_the_same_when_the_clock_has_begun(burst: int, delay_us: int) -> None:
    """As in a simulation, whose clock begins with it: nothing had left before."""

    def waits(begin: int) -> list[tuple[int, int | None]]:
        path = Path(burst=burst, delay_us=delay_us)
        path.now = begin
        path.send(content(1 << 16), 1)
        seen: list[tuple[int, int | None]] = []
        while not path.arrived and path.step(begin + 100_000_000):
            due = path.outgoing.deadline(path.now)
            seen.append((path.now - begin, None if due is None else due - begin))
        assert path.arrived
        return seen

    assert waits(0) == waits(1_000_000)


def test_two_senders_share_a_path() -> None:
    """As TCP streams do: neither gets twice what the other gets. Here: each alone, one bottleneck in the middle."""
    one, two = Path(rate=2_500_000, delay_us=10_000, queue=60_000), Path(1, rate=2_500_000, delay_us=10_000)
    for path in (one, two):
        path.send(content(20 << 20), 1)
    two.now = one.now
    two._queue = one._queue
    until = one.now + 6_000_000
    # The one that is behind in time goes first; both wait in the same queue.
    while min(one.now, two.now) < until:
        first, other = (one, two) if one.now <= two.now else (two, one)
        first._free_us = other._free_us = max(first._free_us, other._free_us)
        if not first.step(until + 1_000_000):
            break
        other._free_us = max(first._free_us, other._free_us)
    share = one.incoming.fragments / (one.incoming.fragments + two.incoming.fragments)
    assert 1 / 3 < share < 2 / 3
    assert (one.incoming.fragments + two.incoming.fragments) * STEP > 0.6 * 6 * 2_500_000


# --- Old and strange fragments --------------------------------------------------------------------------------------


def test_what_is_over_is_over() -> None:
    incoming = Incoming(OPENING, 1 << 20)
    parts = bodies(content(5000))
    assert [incoming.take(part, 0) for part in parts][-1] == whole(content(5000))
    for part in parts * 3:
        assert incoming.take(part, 1) is None
    assert incoming.held == 0
    assert (incoming.messages, incoming.repeated) == (1, 3 * len(parts))


def test_messages_long_over_do_not_begin_again() -> None:
    incoming = Incoming(OPENING, 1 << 20)
    old = bodies(content(3000), number=1)
    for number in range(1, 200):
        got = [incoming.take(part, 0) for part in bodies(content(3000), number)]
        assert got[-1] is not None
    for part in old:
        assert incoming.take(part, 0) is None
    assert incoming.held == 0


def test_a_fragment_that_comes_twice_changes_nothing() -> None:
    incoming = Incoming(OPENING, 1 << 20)
    *parts, last = bodies(content(5000))
    for part in parts + parts:
        assert incoming.take(part, 0) is None
    assert incoming.repeated == len(parts)
    assert incoming.take(last, 0) == whole(content(5000))


def test_memory_is_bounded_and_the_newest_message_has_the_room() -> None:
    incoming = Incoming(OPENING, 10_000)
    first = {number: bodies(content(4000, number), number) for number in (1, 2, 3)}
    for number in (1, 2, 3):
        assert incoming.take(first[number][0], 0) is None
        assert incoming.held <= 10_000
    assert incoming.given_up == 1, "the oldest has made way"
    assert incoming.take(first[1][1], 0) is None
    assert incoming.held == 8000, "and does not come back"
    assert [incoming.take(part, 0) for part in first[2][1:]][-1] == whole(content(4000, 2))
    with pytest.raises(DecodeError, match="10001 bytes in fragments: at most 10000"):
        incoming.take(bodies(content(10_001), 9)[0], 0)


def test_an_older_message_does_not_push_a_newer_one_out() -> None:
    incoming = Incoming(OPENING, 10_000)
    assert incoming.take(bodies(content(6000), 5)[0], 0) is None
    assert incoming.take(bodies(content(6000), 4)[0], 0) is None
    assert (incoming.held, incoming.given_up) == (6000, 0)


def test_so_many_messages_and_no_more_are_put_together_at_a_time() -> None:
    incoming = Incoming(OPENING, 1 << 20)
    for number in range(1, 201):
        incoming.take(bodies(content(2000), number)[0], 0)
    assert incoming.held == 128 * 2000
    assert incoming.given_up == 72


def test_the_sender_keeps_to_the_room_of_the_receiver(seed: int) -> None:
    path = Path(seed, room=20_000, delay_us=20_000, jitter_us=3000, loss=0.005)
    for number in range(1, 201):
        path.send(content(5_000, number), number)
    most = 0
    until = path.now + 60_000_000
    while path.step(until):
        most = max(most, path.incoming.held)
    assert len(path.arrived) == 200
    assert path.incoming.given_up == 0
    assert 10_000 <= most <= 20_000
    with pytest.raises(ValueError, match="larger than what the peer puts together, 20000 bytes"):
        path.send(content(20_001), 999)


def test_no_message_begins_without_room_at_the_receiver() -> None:
    """The window alone would let ten datagrams leave."""
    outgoing = Outgoing(1200, 4000, 1 << 20)
    for number in range(1, 6):
        outgoing.add(whole(content(1500)), number, None, 0)

    def begun() -> list[int]:
        found: list[int] = []
        while (datagram := outgoing.next_datagram(0)) is not None:
            found.append(decode_fragment(fragment_body(datagram))[1])
        return found

    assert begun() == [1, 1, 2, 2]
    outgoing.ack(encode_ack([(1, 2)]), 0)
    assert begun() == [3, 3]


def begin_all(outgoing: Outgoing, now_us: int) -> list[tuple[int, int]]:
    """(number, bytes) of each fragment that leaves, all of which arrive at once."""
    found: list[tuple[int, int]] = []
    while outgoing.waiting and (datagram := outgoing.next_datagram(now_us)) is not None:
        packet, message, _, size, *_ = decode_fragment(fragment_body(datagram))
        found.append((message, size))
        outgoing.ack(encode_ack([(1, packet)]), now_us)
    return found


def test_what_is_urgent_leaves_before_the_rest_of_what_is_not() -> None:
    outgoing = Outgoing(1200, 1 << 20, 1 << 20)
    outgoing.add(whole(content(3 * STEP)), 1, None, 0)
    outgoing.add(whole(content(1)), 2, None, 0)
    assert outgoing.next_datagram(0) is not None
    for number, size in ((3, 10), (4, 20), (5, 30)):
        outgoing.add(whole(content(size)), number, size, 0, urgent=size != 20)
    sizes = [size for _, size in begin_all(outgoing, 0)]
    assert sizes == [10, 30, 3 * STEP, 3 * STEP, 1, 20]
    assert outgoing.take_done() == [10, 30], "the keys of the urgent ones"
    assert outgoing.take_done() == []


def test_what_is_not_urgent_has_every_fourth_datagram() -> None:
    outgoing = Outgoing(1200, 1 << 26, 1 << 26)
    outgoing.add(whole(content(5 * STEP)), 1, None, 0)
    for number in range(2, 40):
        outgoing.add(whole(content(10)), number, number, 0, urgent=True)
    sizes = [size for _, size in begin_all(outgoing, 0)]
    assert sizes[:20] == [10, 10, 10, 5 * STEP] * 5
    assert sizes[20:] == [10] * 23


def test_numbers_rise_in_the_order_in_which_messages_begin() -> None:
    """A receiver takes a message for done that is older than what it remembers of what is."""
    outgoing, incoming = Outgoing(1200, 1 << 26, 1 << 26), Incoming(OPENING, 1 << 26)
    outgoing.add(whole(content(500_000)), 1, None, 0)
    outgoing.add(whole(content(77)), 2, None, 0)
    number, arrived, now_us = 2, [], 0
    for _ in range(2000):
        now_us += 1000
        number += 1
        outgoing.add(whole(content(10)), number, number, now_us, urgent=True)
        for _ in range(2):
            if (datagram := outgoing.next_datagram(now_us)) is not None:
                message = incoming.take(fragment_body(datagram), now_us)
                outgoing.ack(incoming.ack(), now_us)
                if message is not None:
                    arrived.append(len(message))
    assert sorted(set(arrived)) == sorted({len(whole(content(size))) for size in (10, 77, 500_000)})
    assert outgoing.last > number, "it has moved on from what was given"


def test_what_is_urgent_finds_a_place_beside_many_that_are_not() -> None:
    outgoing = Outgoing(1200, 1 << 26, 1 << 26)
    for number in range(1, 40):
        outgoing.add(whole(content(1)), number, None, 0)
    while outgoing.next_datagram(0) is not None:
        pass
    outgoing.ack(encode_ack([(1, 1)]), 0)
    outgoing.add(whole(content(999)), 99, None, 0, urgent=True)
    datagram = outgoing.next_datagram(1_000_000)
    assert datagram is not None
    assert decode_fragment(fragment_body(datagram))[3] == 999


def test_fragments_that_contradict_one_another_are_refused() -> None:
    incoming = Incoming(OPENING, 1 << 20)
    assert incoming.take(bodies(content(5000))[0], 0) is None
    for other in (bodies(content(5001))[0], bodies(content(5000), datagram=1100)[0], bodies(content(5000, 1))[1]):
        with pytest.raises(DecodeError, match="different things"):
            incoming.take(other, 0)
    assert [incoming.take(part, 0) for part in bodies(content(5000))][-1] == whole(content(5000))


def test_a_message_whose_checksum_does_not_fit_is_over() -> None:
    incoming = Incoming(OPENING, 1 << 20)
    *parts, last = bodies(content(2000))
    for part in parts:
        incoming.take(part, 0)
    with pytest.raises(DecodeError, match="checksum"):
        incoming.take(last[:-1] + bytes([last[-1] ^ 1]), 0)
    assert (incoming.held, incoming.given_up) == (0, 1)
    assert incoming.take(last, 0) is None


def test_a_message_of_another_incarnation_is_none() -> None:
    """Its datagrams do not get here; if one did, the checksum, which covers the header, would not fit."""
    incoming = Incoming(bytes(60), 1 << 20)
    *parts, last = bodies(content(2000))
    for part in parts:
        incoming.take(part, 0)
    with pytest.raises(DecodeError, match="checksum"):
        incoming.take(last, 0)


def test_any_fragment_is_taken_or_refused_within_bounds(seed: int) -> None:
    """Well-formed or not, true or not: nothing else is raised, and memory stays bounded."""
    source = random.Random(seed)
    incoming, outgoing = Incoming(OPENING, 30_000), Outgoing(1200, 1 << 20, 1 << 20)
    outgoing.add(whole(content(1 << 19)), 1, None, 0)
    refused = 0
    for now in range(6000):
        size = source.choice((1, 300, 5000, 29_999, 30_000, 30_001, 2**30))
        step = source.choice((256, 300, 1088, 40_000))
        index = source.choice((0, 1, source.randrange(200)))
        length = source.choice((step, size % step, min(size, step), 1)) % 40_001
        body = encode_fragment(
            source.choice((1, source.randrange(1, 100), 2**64 - 1)), source.choice((source.randrange(40), 2**64 - 1)),
            source.randrange(2), size, step, index, bytes(length),
        )  # fmt: skip
        try:
            incoming.take(body, now)
        except DecodeError:
            refused += 1
        assert 0 <= incoming.held <= 30_000
        if (ack := incoming.ack()) is not None:
            try:
                outgoing.ack(ack, now)
            except DecodeError:
                refused += 1
        outgoing.next_datagram(now)
        assert outgoing.congestion.model.in_flight >= 0
        if now % 100 == 0:
            incoming.expire(now - 50)
    assert refused > 1000
    assert incoming.expire(2**62) >= 0
    assert incoming.held == 0


def test_an_acknowledgement_names_all_that_has_come(seed: int) -> None:
    """In whatever order: what closes a gap, lengthens a stretch at either end, or stands alone."""
    source = random.Random(seed)
    for _ in range(50):
        incoming = Incoming(OPENING, 1 << 20)
        numbers = source.sample(range(1, 61), source.randrange(1, 61))  # never more than 32 stretches
        for at, number in enumerate(numbers, 1):
            incoming.take(encode_fragment(number, 1, 0, 300_000, 300, at, bytes(300)), 0)
            ack = incoming.ack()
            assert ack is not None
            named = [each for low, high in decode_ack(ack) for each in range(high, low - 1, -1)]
            assert named == sorted(numbers[:at], reverse=True)
        assert incoming.ack() is None


# --- Giving up ------------------------------------------------------------------------------------------------------


def test_what_nobody_acknowledges_is_given_up() -> None:
    path = Path(loss=1.0)
    path.send(content(50_000), 1)
    path.send(content(50_000), 2)
    begun = path.now
    path.run(4.9)
    assert path.outgoing.given_up == 0
    assert path.outgoing.fragments < 100, "questions grow rarer"
    path.run(1.0)
    assert path.outgoing.given_up == 2
    assert path.outgoing.waiting == path.outgoing.congestion.model.in_flight == 0
    assert path.outgoing.deadline(path.now) is None
    assert path.now - begun >= GIVE_UP_US
    path.loss = 0.0
    path.send(content(50_000), 3)
    path.run()
    assert path.arrived == [whole(content(50_000))]


def test_a_slow_path_is_no_reason_to_give_up() -> None:
    path = Path(rate=20_000, queue=20_000)
    path.send(content(300_000), 1)
    assert path.run_until_whole(1) > 10
    assert path.outgoing.given_up == 0


def test_what_nothing_is_heard_of_any_more_is_given_up_by_the_receiver() -> None:
    incoming = Incoming(OPENING, 1 << 20)
    incoming.take(bodies(content(5000), 1)[0], 1000)
    incoming.take(bodies(content(6000), 2)[0], 2000)
    assert incoming.expire(1000) == 0
    assert incoming.expire(1001) == 1
    assert (incoming.held, incoming.given_up) == (6000, 1)


def test_acknowledgements_of_what_was_never_sent_are_refused() -> None:
    path = Path()
    path.send(content(5000), 1)
    assert path.outgoing.next_datagram(path.now) is not None
    with pytest.raises(DecodeError, match="datagram 2 is acknowledged, and 1 was the last"):
        path.outgoing.ack(encode_ack([(2, 2)]), path.now)
    path.run()
    assert path.arrived == [whole(content(5000))]


def test_silence_is_asked_into() -> None:
    """6.2: the last fragment is lost, and nothing that follows shows it."""
    outgoing = Outgoing(1200, 1 << 20, 1 << 20)
    outgoing.add(whole(content(100)), 1, None, 0)
    assert outgoing.next_datagram(0) is not None
    assert outgoing.next_datagram(0) is None
    assert outgoing.deadline(0) == 999_000
    outgoing.tick(999_000)
    again = outgoing.next_datagram(999_000)
    assert again is not None
    assert decode_fragment(fragment_body(again))[0] == 2, "each datagram has its own number"
    assert outgoing.next_datagram(999_000) is None
    assert outgoing.deadline(999_000) == 999_000 + 2 * 999_000
    assert outgoing.lost == 0
    outgoing.ack(encode_ack([(2, 2)]), 1_050_000)
    assert outgoing.waiting == 0


@pytest.mark.parametrize(("datagram", "fits"), [(367, False), (368, True), (512, True)])
def test_a_datagram_holds_a_fragment_or_is_refused(datagram: int, fits: bool) -> None:
    if fits:
        Outgoing(datagram, 1, 1)
    else:
        with pytest.raises(ValueError, match="368 bytes or more"):
            Outgoing(datagram, 1, 1)


def test_sizes_that_are_none() -> None:
    with pytest.raises(ValueError, match="60 bytes behind its checksum"):
        Incoming(bytes(64), 1000)
    for room in (0, 2**30 + 1):
        with pytest.raises(ValueError, match="room"):
            Incoming(OPENING, room)
    with pytest.raises(ValueError, match="no frames to cut"):
        Outgoing(1200, 1000, 1000).add(whole(b""), 1, None, 0)
