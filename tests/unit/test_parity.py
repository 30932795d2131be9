"""One lost datagram of a group is made up for without its repetition (docs/wire-format.md, "Parities")."""

from __future__ import annotations

import contextlib
import random
from functools import reduce

import pytest

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import crc32c, frames
from raftcore.wire.fragment import (
    FRAGMENT_HEADER_SIZE,
    FRAGMENT_OVERHEAD,
    FRAME_FRAGMENT,
    decode_ack,
    decode_fragment,
    encode_ack,
    encode_fragment,
)
from raftcore.wire.incoming import Incoming
from raftcore.wire.outgoing import Outgoing
from raftcore.wire.parity import FRAME_PARITY, GROUP, MOST_GROUPS
from tests.unit.fragment_path import OPENING, Path, whole

STEP = 1200 - FRAGMENT_OVERHEAD
NOW = 1_000_000


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(f"content {seed}").randbytes(size)


def leaving(outgoing: Outgoing, count: int) -> list[tuple[int, bytes]]:
    """(kind, body) of the next datagrams, which arrive at once as far as the window goes."""
    found: list[tuple[int, bytes]] = []
    now = NOW
    while len(found) < count and outgoing.waiting:
        now += 1000
        if (datagram := outgoing.next_datagram(now)) is None:
            outgoing.ack(encode_ack([(1, len(found))]), now)
            continue
        [(group, kind, body)] = list(frames(datagram))
        assert group == 0
        assert datagram[:4] == crc32c(datagram[4:]).to_bytes(4, "little")
        found.append((kind, bytes(body)))
    return found


def sender(*sizes: int, takes: bool = True, urgent: bool = True) -> Outgoing:
    outgoing = Outgoing(1200, 1 << 26, 1 << 26)
    outgoing.parity.takes = takes
    for number, size in enumerate(sizes, 1):
        outgoing.add(whole(content(size, number)), number, number, NOW, urgent)
    return outgoing


def packet_of(body: bytes) -> int:
    return int.from_bytes(body[:8], "little")


def added(bodies: list[bytes]) -> bytes:
    """The exclusive or of what follows the numbers, shorter ones as if zeros followed."""
    longest = max(map(len, bodies)) - 8
    numbers = (int.from_bytes(body[8:].ljust(longest, b"\0"), "little") for body in bodies)
    return reduce(lambda one, other: one ^ other, numbers).to_bytes(longest, "little")


def taken(incoming: Incoming, datagrams: list[tuple[int, bytes]]) -> list[bytes]:
    """What becomes whole by these."""
    found: list[bytes] = []
    for kind, body in datagrams:
        if kind == FRAME_PARITY:
            incoming.take_parity(body)
        elif (got := incoming.take(body, NOW)) is not None:
            found.append(got)
        while (got := incoming.restore(NOW)) is not None:
            found.append(got)
    return found


# --- What leaves ----------------------------------------------------------------------------------------------------


def test_the_last_datagram_of_each_group_is_the_sum_of_the_others() -> None:
    sent = leaving(sender(100 * STEP), 4 * GROUP)
    assert [packet_of(body) for _, body in sent] == list(range(1, 4 * GROUP + 1)), "numbers have no gap"
    for packet, (kind, body) in enumerate(sent, 1):
        assert kind == (FRAME_PARITY if packet % GROUP == GROUP - 1 else FRAME_FRAGMENT)
        if kind == FRAME_PARITY:
            group = [other for _, other in sent[max(0, packet - GROUP) : packet - 1]]
            same = body[8:] == added(group)
            assert same, packet
            assert len(body) == FRAGMENT_HEADER_SIZE + STEP, "no larger than a fragment"


def test_fragments_of_any_length_are_added_up() -> None:
    source = random.Random(1)
    sizes = [source.randrange(1, 3 * STEP) for _ in range(60)]
    sent = leaving(sender(*sizes), 3 * GROUP)
    parities = [packet for packet, (kind, _) in enumerate(sent, 1) if kind == FRAME_PARITY]
    assert parities == [15, 31, 47]
    same = sent[30][1][8:] == added([body for _, body in sent[15:30]])
    assert same


@pytest.mark.parametrize(("takes", "urgent"), [(False, True), (True, False), (False, False)])
def test_no_parity_goes_to_who_does_not_take_it_nor_of_what_nobody_waits_for(*, takes: bool, urgent: bool) -> None:
    outgoing = sender(100 * STEP, takes=takes, urgent=urgent)
    assert {kind for kind, _ in leaving(outgoing, 60)} == {FRAME_FRAGMENT}
    assert outgoing.parity.sent == 0


def test_one_that_is_urgent_is_enough() -> None:
    outgoing = sender(STEP)
    outgoing.add(whole(content(200 * STEP)), 9, 9, NOW)
    kinds = [kind for kind, _ in leaving(outgoing, 3 * GROUP)]
    assert kinds.count(FRAME_PARITY) == outgoing.parity.sent == 1
    assert kinds[GROUP - 2] == FRAME_PARITY


def test_a_parity_is_no_larger_than_datagrams_are_by_then() -> None:
    """The path has become narrower in the middle of a group."""
    outgoing = sender(100 * STEP)
    before = leaving(outgoing, GROUP + 4)
    outgoing.resize(600, 50)
    now, sent = NOW + 10**6, list(before)
    while len(sent) < 3 * GROUP:
        now += 1000
        datagram = outgoing.next_datagram(now)
        if datagram is None:
            outgoing.ack(encode_ack([(1, len(sent))]), now)
            continue
        assert len(datagram) <= 600
        [(_, kind, body)] = list(frames(datagram))
        sent.append((kind, bytes(body)))
    kinds = [kind for kind, _ in sent]
    assert [packet for packet, kind in enumerate(kinds, 1) if kind == FRAME_PARITY] == [15, 47], "31 is a fragment"


def test_a_parity_waits_for_window_and_pauses_as_all_do() -> None:
    outgoing = sender(100 * STEP)
    sent, now = 0, NOW
    while outgoing.next_datagram(now) is not None:
        sent += 1
    assert sent == 10, "the first window, of which nothing was acknowledged"
    outgoing.ack(encode_ack([(1, 4)]), NOW + 1000)
    model = outgoing.congestion.model
    while outgoing.next_datagram(NOW + 1000) is not None:
        sent += 1
        assert model.in_flight <= model.window
    assert outgoing.deadline(NOW + 1000) is not None


def test_what_all_is_acknowledged_of_needs_no_parity() -> None:
    """The last of the group was never sent: the next message begins with it."""
    outgoing = sender((GROUP - 2) * STEP)
    assert len(leaving(outgoing, GROUP - 2)) == GROUP - 2
    outgoing.ack(encode_ack([(1, GROUP - 2)]), NOW + 10**6)
    assert outgoing.waiting == 0
    assert outgoing.next_datagram(NOW + 10**6) is None
    assert outgoing.deadline(NOW + 10**6) is None


# --- What is made up for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", range(GROUP, 2 * GROUP))
def test_whichever_is_lost_is_known_from_the_others(lost: int) -> None:
    incoming = Incoming(OPENING, 1 << 26)
    sizes = [14 * STEP, 100, 2 * STEP, 7, STEP, 3 * STEP + 1, 5 * STEP, 40 * STEP]
    sent = leaving(sender(*sizes), 3 * GROUP)
    found = taken(incoming, [each for packet, each in enumerate(sent, 1) if packet != lost])
    for number, size in list(enumerate(sizes, 1))[:7]:
        assert whole(content(size, number)) in found, f"message {number}"
    assert incoming.restored == (sent[lost - 1][0] == FRAME_FRAGMENT)


def test_in_whatever_order_they_come(seed: int) -> None:
    source = random.Random(seed)
    print("seed", seed)
    for _ in range(30):
        sizes = [source.randrange(1, 4 * STEP) for _ in range(40)]
        sent = leaving(sender(*sizes), 10 * GROUP)
        incoming = Incoming(OPENING, 1 << 26)
        taken(incoming, sent[: GROUP - 1])
        kept: list[tuple[int, bytes]] = []
        for number in range(1, len(sent) // GROUP):
            kept += sent[number * GROUP : number * GROUP + GROUP - 1]  # without the first of the group
        for _ in range(10):
            kept.insert(source.randrange(len(kept)), source.choice(kept))
        source.shuffle(kept)
        before = incoming.restored
        taken(incoming, kept)
        assert incoming.restored - before == len(sent) // GROUP - 1


def test_two_that_are_lost_are_not_made_up_for() -> None:
    incoming = Incoming(OPENING, 1 << 26)
    sent = leaving(sender(100 * STEP), 3 * GROUP)
    taken(incoming, [each for packet, each in enumerate(sent, 1) if packet not in (20, 25)])
    assert incoming.restored == 0
    taken(incoming, [sent[19]])
    assert incoming.restored == 1, "the other one then"


def test_a_fragment_that_was_made_up_for_is_not_acknowledged() -> None:
    """To the sender it is lost, and counts as such in the model of the path."""
    outgoing, incoming = sender(100 * STEP), Incoming(OPENING, 1 << 26)
    sent = leaving(outgoing, 2 * GROUP)
    taken(incoming, [each for packet, each in enumerate(sent, 1) if packet != 20])
    assert incoming.restored == 1
    ack = incoming.ack()
    assert ack is not None
    assert decode_ack(ack) == [(21, 32), (1, 19)]
    repeated = incoming.repeated
    assert incoming.take(encode_fragment(99, *decode_fragment(sent[19][1])[1:]), NOW) is None
    assert incoming.repeated == repeated + 1, "its repetition does nothing"


def test_before_the_first_parity_nothing_is_kept() -> None:
    incoming = Incoming(OPENING, 1 << 26)
    sent = leaving(sender(100 * STEP), GROUP)
    taken(incoming, [each for packet, each in enumerate(sent, 1) if packet != 3])
    assert incoming.restored == 0


def test_a_fragment_in_the_place_of_a_parity_adds_nothing_up() -> None:
    incoming = Incoming(OPENING, 1 << 26)
    sent = leaving(sender(100 * STEP), 3 * GROUP)
    fragment = encode_fragment(2 * GROUP - 1, *decode_fragment(sent[40][1])[1:])
    changed = [*sent[: 2 * GROUP - 2], (FRAME_FRAGMENT, fragment)]
    taken(incoming, [each for packet, each in enumerate(changed, 1) if packet != 20])
    assert incoming.restored == 0


def test_groups_of_long_ago_are_forgotten() -> None:
    incoming = Incoming(OPENING, 1 << 26)
    later = 20 + MOST_GROUPS * GROUP  # kept where the group of 20 was
    sent = leaving(sender(4000 * STEP), (MOST_GROUPS + 3) * GROUP)
    taken(incoming, [each for packet, each in enumerate(sent, 1) if packet not in (20, 25, later, later + 1)])
    taken(incoming, [sent[20 - 1]])
    assert incoming.restored == 0
    taken(incoming, [sent[later]])
    assert incoming.restored == 1


# --- What is no parity ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "0 bytes where a parity needs more than 32"),
        ((GROUP - 1).to_bytes(8, "little") + bytes(24), "32 bytes where a parity needs more than 32"),
        (GROUP.to_bytes(8, "little") + bytes(25), "a parity as datagram 16: it is the last of 16"),
        (bytes(40), "a parity as datagram 0"),
    ],
)
def test_other_parities_are_refused(body: bytes, what: str) -> None:
    incoming = Incoming(OPENING, 1 << 20)
    with pytest.raises(DecodeError, match=what):
        incoming.take_parity(body)
    assert incoming.ack() is None


def test_any_parity_is_taken_or_refused_within_bounds(seed: int) -> None:
    """What comes out of a group with a wrong one is a fragment that could have been sent, or none."""
    source = random.Random(seed)
    print("seed", seed)
    incoming = Incoming(OPENING, 30_000)
    for now in range(4000):
        packet = now + 1 - source.choice((0, 0, 0, 1, 5))
        if packet < 1:
            continue
        if packet % GROUP == GROUP - 1:
            incoming.take_parity(packet.to_bytes(8, "little") + source.randbytes(source.randrange(25, 2000)))
        else:
            size, step = source.choice((300, 5000)), source.choice((256, 1088))
            index = source.randrange(-(-size // step))
            length = min(step, size - index * step)
            fragment = encode_fragment(packet, source.randrange(1, 9**9), 1, size, step, index, bytes(length))
            with contextlib.suppress(DecodeError):  # the checksum of whatever is whole
                incoming.take(fragment, now)
        with contextlib.suppress(DecodeError):
            while incoming.restore(now) is not None:
                pass
        assert 0 <= incoming.held <= 30_000


# --- On a path ------------------------------------------------------------------------------------------------------


def test_with_parities_nothing_is_lost_either(seed: int) -> None:
    source = random.Random(seed)
    print("seed", seed)
    for round_ in range(15):
        path = Path(
            source.randrange(2**32),
            datagram=source.choice((512, 1200, 9000)),
            jitter_us=source.choice((0, 300, 5000)),
            loss=source.choice((0.0, 0.05, 0.2)),
            duplication=source.choice((0.0, 0.3)),
            parity=True,
        )
        messages = [content(source.randrange(1, 30_000), i) for i in range(40)]
        for number, message in enumerate(messages, 1):
            path.send(message, number, urgent=source.random() < 0.8)
        path.run(60)
        assert set(path.arrived) == set(map(whole, messages)), f"round {round_}"
        assert path.outgoing.waiting == path.faults == 0
        assert path.outgoing.congestion.model.in_flight <= 32 * 9000, "parities that nobody waits for"


def delays(seed: int, *, parity: bool) -> list[int]:
    """How long each of many messages took, of three fragments, over 100 ms of round trip with 1 % of loss: those after
    the first second, when the path is known."""
    path = Path(seed, datagram=1424, delay_us=50_000, loss=0.01, parity=parity)
    begun: dict[bytes, int] = {}
    arrived: dict[bytes, int] = {}
    for number in range(1, 2500):
        message = content(3500, number)
        path.send(message, number, urgent=True)
        begun[whole(message)] = path.now
        until = path.now + 2000
        while path.step(until):
            while path.arrived:
                arrived.setdefault(path.arrived.pop(), path.now)
        path.now = until
    return [at - begun[each] for each, at in arrived.items() if begun[each] > 2_000_000]


def test_one_loss_in_a_hundred_costs_few_a_round_trip(seed: int) -> None:
    print("seed", seed)
    without, with_ = delays(seed, parity=False), delays(seed, parity=True)
    late = [sum(each > 75_000 for each in found) for found in (without, with_)]
    assert late[0] > 15, "three in a hundred have lost a fragment"
    assert late[1] < 0.4 * late[0]
