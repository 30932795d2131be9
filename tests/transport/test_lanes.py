"""Appends to a far peer go in a lane: what is lost is repeated below Raft, and what comes too early waits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count as numbers
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import DecodeError
from raftcore.base.types import EntryKind, MessageType
from raftcore.values.message import Entries, Entry, Message
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, frames
from raftcore.wire.datagram import frame_datagram
from raftcore.wire.fragment import FRAME_FRAGMENT, decode_fragment, encode_ack
from raftcore.wire.outgoing import Outgoing
from raftpy.transport import MemoryTransport, Unreliable
from raftpy.transport.datagram.fragments import SILENT_US
from raftpy.transport.exchange.lane_frames import FRAME_LANE, decode_place, encode_place
from raftpy.transport.exchange.lanes import (
    FAR_US,
    GATHERED,
    HELD_US,
    MOST_APART,
    MOST_HELD,
    MOST_UNDER_WAY,
    Arrivals,
    Lane,
)
from raftpy.transport.identity.hello import LANES, PARITY, Hello, Takes, decode_hello, encode_hello
from tests.transport.support import (
    EarlierTransport,
    World,
    append,
    commits,
    header,
    heartbeat,
    identity,
    messages,
    peer_counts,
)

ONE, TWO = identity(1), identity(2)


def world_of(round_trip_ms: float, seed: int = 0) -> World:
    """Two nodes that know each other, and how far they are."""
    half = round_trip_ms / 2
    world = World(seed, Unreliable(delay_ms=(half, half), long_delay_rate=0, drop_rate=0))
    world.network.path_size = 1472
    world.start(ONE)
    world.start(TWO)
    world.settle(10.0)
    return world


def lose(world: World, which: Any) -> None:
    """Loses the fragments from 1 to 2 for which ``which(how many came before)`` holds."""
    count = numbers()

    def passes(from_id: int, to_id: int, datagram: bytes) -> bool:
        kind = next(iter(frames(datagram)))[1] if len(datagram) > DATAGRAM_HEADER_SIZE else 0
        return (from_id, kind) != (1, FRAME_FRAGMENT) or not which(next(count))

    world.network.filter = passes


def indexes(world: World) -> list[int]:
    return [message.index for message in messages(world.take(2)) if message.type == MessageType.MsgApp]


def in_lane(lane: int, number: int) -> bytes:
    """A datagram of node 1 that has nothing but its place, behind ones of which none is given up."""
    return frame_datagram(header(ONE, TWO), FRAME_LANE, 0, encode_place(lane, number, 1))


def notice(to: int, index: int) -> Message:
    """An append without entries, which tells a commit."""
    return Message(type=MessageType.MsgApp, to=to, from_=1, term=3, log_term=3, index=index, commit=index)


# --- Frames ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1), st.data())
def test_places_come_back(lane: int, number: int, data: st.DataObject) -> None:
    oldest = data.draw(st.integers(1, number))
    assert decode_place(0, encode_place(lane, number, oldest)) == (lane, number, oldest)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "0 bytes where a place in a lane takes 32"),
        (encode_place(1, 1, 1) + b"x", "33 bytes"),
        (encode_place(0, 1, 1), "number 1 of lane 0"),
        (encode_place(1, 5, 0), "the oldest 0"),
        (encode_place(1, 5, 6), "the oldest 6"),
        (b"\x02" + encode_place(1, 1, 1)[1:], "version 2"),
        (encode_place(1, 1, 1)[:4] + b"\x01" + encode_place(1, 1, 1)[5:], "reserved 1"),
    ],
)
def test_other_places_are_refused(body: bytes, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        decode_place(0, body)


def test_a_place_is_of_no_group() -> None:
    with pytest.raises(DecodeError, match="group 3"):
        decode_place(3, encode_place(1, 1, 1))


def test_a_hello_tells_what_lanes_its_sender_takes() -> None:
    assert decode_hello(encode_hello(Hello(lanes=100))).lanes == 100
    assert decode_hello(encode_hello(Hello())).lanes == 0
    assert decode_hello(encode_hello(Hello()) + bytes((LANES, 2, 1, 1))).lanes == 0, (
        "of another length it is passed over"
    )


def test_a_hello_tells_that_its_sender_makes_up_for_losses() -> None:
    assert decode_hello(encode_hello(Hello(parity=16))).parity == 16
    assert decode_hello(encode_hello(Hello())).parity == 0
    assert decode_hello(encode_hello(Hello()) + bytes((PARITY, 2, 16, 0))).parity == 0, "of another length"


# --- Arrivals --------------------------------------------------------------------------------------------------------


def take(arrivals: Arrivals, number: int, *, lane: int = 1, oldest: int = 1, at: int = 0) -> list[int]:
    """Takes the datagram that holds just its number; the numbers handed out."""
    out = arrivals.take((lane, number, oldest), b"%d" % number, at)
    return [int(each) for each in out]


def test_what_comes_too_early_waits() -> None:
    arrivals = Arrivals()
    assert take(arrivals, 1) == [1]
    assert take(arrivals, 3) == []
    assert take(arrivals, 4) == []
    assert arrivals.held == 2
    assert take(arrivals, 2) == [2, 3, 4]
    assert arrivals.held == 0
    assert take(arrivals, 5) == [5]


def test_what_the_sender_has_given_up_is_not_waited_for() -> None:
    arrivals = Arrivals()
    assert take(arrivals, 3) == []
    assert take(arrivals, 7, oldest=5) == [3]
    assert take(arrivals, 6, oldest=5) == []
    assert take(arrivals, 5, oldest=5) == [5, 6, 7]
    assert take(arrivals, 4, oldest=4) == [4], "it comes all the same, late"
    assert take(arrivals, 8, oldest=8) == [8]


def test_a_gap_is_waited_for_so_long_and_no_longer() -> None:
    arrivals = Arrivals()
    assert take(arrivals, 2, at=1000) == []
    assert take(arrivals, 4, at=2000) == []
    assert take(arrivals, 5, at=1000 + HELD_US) == []
    assert take(arrivals, 6, at=1001 + HELD_US) == [2], "3 is missing for less long than 1"
    assert take(arrivals, 7, at=2001 + HELD_US) == [4, 5, 6, 7]
    assert arrivals.given_up == 2
    assert take(arrivals, 3, at=2002 + HELD_US) == [3]


def test_so_many_bytes_wait_and_no_more() -> None:
    arrivals = Arrivals()
    size = MOST_HELD // 4
    for number in range(2, 6):
        assert arrivals.take((1, number, 1), bytes(size), 0) == []
    assert len(arrivals.take((1, 6, 1), bytes(size), 0)) == 5
    assert arrivals.held == 0
    assert arrivals.take((1, 8, 1), bytes(5 * size), 0) == [], "one of any size may wait"
    assert arrivals.take((1, 7, 1), b"", 0) == [b"", bytes(5 * size)]


def test_so_many_messages_wait_and_no_more() -> None:
    arrivals = Arrivals()
    for number in range(2, MOST_APART + 2):
        assert take(arrivals, number) == []
    assert take(arrivals, MOST_APART + 2) == list(range(2, MOST_APART + 3))


def test_a_new_lane_ends_the_one_before() -> None:
    arrivals = Arrivals()
    assert take(arrivals, 1, lane=5) == [1]
    assert take(arrivals, 3, lane=5) == []
    assert take(arrivals, 1, lane=8) == [3, 1]
    assert take(arrivals, 2, lane=5) == [2], "late"
    assert take(arrivals, 2, lane=8) == [2]


def test_what_waits_for_a_sender_that_is_silent_is_forgotten() -> None:
    arrivals = Arrivals()
    assert take(arrivals, 2, at=5) == []
    arrivals.expire(5)
    assert arrivals.held == 1
    arrivals.expire(6)
    assert (arrivals.held, arrivals.given_up) == (0, 1)
    assert take(arrivals, 3, at=7) == [3]


def test_any_order_with_any_losses_is_handed_out_rising_and_once(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(100):
        arrivals = Arrivals()
        count, far = source.randrange(1, 60), source.randrange(1, 20)
        order = sorted(range(1, count + 1), key=lambda number: number + source.uniform(0, far))  # noqa: B023
        out: list[int] = []
        for number in order:
            out += take(arrivals, number)
        assert out == list(range(1, count + 1))


# --- A lane ----------------------------------------------------------------------------------------------------------


def lane_and_outgoing() -> tuple[Lane, Outgoing]:
    return Lane(7, header(ONE, TWO), 1000, 1 << 26), Outgoing(1400, 1 << 26, 1 << 26)


def place(datagram: bytes) -> tuple[int, int, int]:
    group, kind, body = next(iter(frames(datagram)))
    assert kind == FRAME_LANE
    return decode_place(group, body)


def test_appends_are_gathered_and_told_apart_by_what_there_is_room_for() -> None:
    lane, outgoing = lane_and_outgoing()
    assert lane.next_message(outgoing) is None
    for index in range(3):
        lane.add(append(2, 1000, index=index), 4, None)
    found = lane.next_message(outgoing)
    assert found is not None
    assert place(found[0]) == (7, 1, 1)
    assert [message.index for message in messages([found[0]])] == [0, 1, 2]
    assert lane.next_message(outgoing) is None
    each = GATHERED // 3
    for index in range(4):
        lane.add(append(2, each, index=index), 4, None)
    one, other = lane.next_message(outgoing), lane.next_message(outgoing)
    assert one is not None
    assert other is not None
    assert [[m.index for m in messages([found[0]])] for found in (one, other)] == [[0, 1], [2, 3]]
    assert (place(one[0]), place(other[0])) == ((7, 2, 1), (7, 3, 1))
    assert max(len(one[0]), len(other[0])) <= GATHERED


def test_a_large_append_is_a_message_by_itself_between_the_others() -> None:
    lane, outgoing = lane_and_outgoing()
    lane.add(append(2, 10, index=1), 0, None)
    assert lane.add(append(2, 2 * GATHERED, index=2), 0, "large") > 2 * GATHERED
    lane.add(append(2, 10, index=3), 0, None)
    found = [lane.next_message(outgoing) for _ in range(3)]
    assert [m.index for each in found if each for m in messages([each[0]])] == [1, 2, 3]
    assert [place(each[0])[1] for each in found if each] == [1, 2, 3]
    assert lane.size == 0
    assert lane.holds("large")
    assert not lane.holds("other")


def test_what_the_peer_has_no_room_for_is_refused_and_takes_no_number() -> None:
    lane, outgoing = Lane(7, header(ONE, TWO), 100, 100_000), Outgoing(1400, 100_000, 1 << 20)
    with pytest.raises(ValueError, match="larger than what the peer puts together, 100000"):
        lane.add(append(2, 100_000), 0, "key")
    assert not lane.holds("key")
    lane.add(append(2, 99_000, index=5), 0, None)
    found = lane.next_message(outgoing)
    assert found is not None
    assert place(found[0]) == (7, 1, 1)
    outgoing.add(found[0], 1, found[1], 0, urgent=True)


def test_a_peer_with_little_room_has_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EarlierTransport, "_takes", lambda self, peer: Takes(GATHERED - 1, 1 << 20))
    world = World(0, Unreliable(delay_ms=(50, 50), long_delay_rate=0, drop_rate=0))
    world.network.path_size = 1472
    one = world.start(ONE)
    world.start(TWO, earlier=True)
    world.settle(10.0)
    for index in range(200):
        send(one, append(2, 1000, index=index))
    world.settle(10.0)
    assert indexes(world) == list(range(200))


def test_so_many_messages_are_under_way_and_the_rest_gathers() -> None:
    lane, outgoing = lane_and_outgoing()
    for number in range(1, MOST_UNDER_WAY + 1):
        lane.add(append(2, 10, index=number), 0, None)
        found = lane.next_message(outgoing)
        assert found is not None
        outgoing.add(found[0], number, found[1], 0, urgent=True)
    for index in range(20):
        lane.add(append(2, 10, index=1000 + index), 0, None)
        assert lane.next_message(outgoing) is None
    deliver(outgoing, numbers(100_000, 100_000))
    found = lane.next_message(outgoing)
    assert found is not None
    assert [message.index for message in messages([found[0]])] == [1000 + index for index in range(20)]


def deliver(outgoing: Outgoing, clock: Iterator[int]) -> None:
    """All that may leave arrives, and is acknowledged."""
    while outgoing.waiting:
        now_us = next(clock)
        datagram = outgoing.next_datagram(now_us)
        assert datagram is not None
        [(_, _, body)] = list(frames(datagram))
        outgoing.ack(encode_ack([(1, decode_fragment(body)[0])]), now_us)


def test_a_lane_does_not_run_ahead_of_what_is_missing() -> None:
    """The receiver remembers so many messages as done, and would take an older one for one of them."""
    lane, outgoing = lane_and_outgoing()
    lane.add(append(2, 10), 0, None)
    oldest = lane.next_message(outgoing)
    assert oldest is not None
    sent = 0
    clock = numbers(100_000, 100_000)
    for index in range(2 * MOST_APART):
        lane.add(append(2, 10, index=index), 0, None)
        found = lane.next_message(outgoing)
        if found is None:
            break
        outgoing.add(found[0], index + 1, found[1], 0, urgent=True)
        deliver(outgoing, clock)
        sent += 1
    assert sent == MOST_APART - 1


# --- Between two nodes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("round_trip_ms", "far"), [(0, False), (4, False), (16, True), (100, True), (600, True)])
def test_whether_a_peer_is_far_is_found_out(round_trip_ms: float, far: bool) -> None:
    world = world_of(round_trip_ms)
    one = world.transports[1]
    told: list[frozenset[int]] = []
    one.on_far(told.append)
    assert told == [frozenset({2} if far else ())]
    counts = peer_counts(one, 2)
    assert counts["far"] is far
    assert counts["round_trip_us"] == max(1, round_trip_ms * 1000)
    assert (counts["round_trip_us"] >= FAR_US) is far
    world.start(identity(2, 2))
    assert world.transports[1] is one
    world.settle(round_trip_ms / 1000)
    if far:
        assert told[1] == frozenset(), "of its next incarnation nothing is known"
    world.settle(10.0)
    assert told[-1] == frozenset({2} if far else ())


@pytest.mark.parametrize("earlier", ["knows no lanes", "knows no fragments"])
def test_who_knows_no_lanes_is_sent_none(earlier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftpy.transport.datagram.base.MOST_UNDER_WAY", 0)  # what either tells
    world = World(0, Unreliable(delay_ms=(50, 50), long_delay_rate=0, drop_rate=0))
    world.network.path_size = 1472
    one = world.start(ONE)
    world.start(TWO, earlier=earlier == "knows no fragments")
    world.settle(10.0)
    assert peer_counts(one, 2)["round_trip_us"] == 100_000
    assert peer_counts(one, 2)["far"] is False
    one.send(append(2, 100, index=3))
    one.flush()
    world.settle(0.06)
    assert indexes(world) == [3]
    assert peer_counts(one, 2)["fragmented"] == 0


def send(one: MemoryTransport, *batch: Message) -> None:
    for message in batch:
        one.send(message)
    one.flush()


def test_a_lost_append_is_repeated_and_those_behind_it_wait_a_round_trip() -> None:
    world = world_of(100)
    one = world.transports[1]
    lose(world, lambda count: count == 2)
    for index in range(1, 9):
        send(one, append(2, 1000, index=index))
        world.settle(0.001)
    world.settle(0.049)
    assert indexes(world) == [1, 2]
    world.settle(0.095)
    assert indexes(world) == []
    world.settle(0.02)
    assert indexes(world) == [3, 4, 5, 6, 7, 8]
    assert peer_counts(one, 2)["fragmented"] == 8


def test_commits_are_told_behind_the_entries_and_heartbeats_before_all() -> None:
    world = world_of(100)
    one = world.transports[1]
    lose(world, lambda count: count == 0)
    send(one, append(2, 1000, index=1))
    send(one, notice(2, 2))
    send(one, heartbeat(2, commit=99))
    world.settle(0.06)
    received = messages(world.take(2))
    assert [(message.type, message.commit) for message in received] == [(MessageType.MsgHeartbeat, 99)]
    world.settle(0.5)
    assert indexes(world) == [1, 2]


def test_an_append_overtakes_what_is_not_urgent() -> None:
    """A large message that is no append is on its way; one that comes later leaves before the rest of it."""
    world = world_of(100)
    one = world.transports[1]
    large = Message(
        type=MessageType.MsgProp,
        to=2,
        from_=1,
        entries=Entries.build([Entry(1, 1, EntryKind.EntryNormal, bytes(4_000_000))]),
    )
    send(one, large)
    world.settle(0.3)
    before = peer_counts(one, 2)["fragments_sent"]
    assert 0 < before < 1000
    send(one, append(2, 100, index=7))
    world.settle(0.4)
    assert indexes(world) == [7]
    assert peer_counts(world.transports[2], 1)["fragmented_received"] == 1
    world.settle(20.0)
    assert [message.type for message in messages(world.take(2))] == [MessageType.MsgProp]


def test_when_all_is_given_up_what_comes_next_is_not_waited_for() -> None:
    world = world_of(100)
    one = world.transports[1]
    world.network.cut(1, 2)
    for index in range(1, 400):
        send(one, append(2, 1000, index=index))
    world.settle(6.0)
    assert peer_counts(one, 2)["fragmented_given_up"] > 0
    world.network.heal()
    world.settle(1.0)
    world.take(2)
    send(one, append(2, 1000, index=1000))
    world.settle(0.3)
    assert indexes(world) == [1000]


@pytest.mark.parametrize("silent", [False, True])
def test_a_gap_that_is_not_waited_for_any_longer_is_counted(silent: bool) -> None:  # noqa: FBT001
    """Whether something comes behind it, or nothing more at all."""
    world = world_of(100)
    receiver = world.transports[2]
    for index in (1, 2, 3):
        send(world.transports[1], append(2, 1000, index=index))
        world.settle(0.3)
    assert indexes(world) == [1, 2, 3]
    peer = receiver._peers[1]
    arrivals = peer.arrivals
    assert arrivals is not None
    assert peer_counts(receiver, 1)["lane_gaps"] == 0
    datagram = in_lane(arrivals._lane, arrivals._next + 1)
    assert receiver._fragments.arrange(peer, datagram) == []
    if not silent:
        world.settle(HELD_US / 1e6 + 0.1)
        later = in_lane(arrivals._lane, arrivals._next + 2)
        assert receiver._fragments.arrange(peer, later) == [datagram, later]
    else:
        world.settle(SILENT_US / 1e6 + 2.0)
        assert arrivals.held == 0
    assert peer_counts(receiver, 1)["lane_gaps"] == 1


def test_large_and_small_with_any_losses_arrive_in_their_order(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(5):
        world = world_of(source.choice((12, 40, 100, 300)), source.randrange(2**32))
        rate = source.choice((0.0, 0.01, 0.03, 0.1))
        lose(world, lambda _: source.random() < rate)  # noqa: B023
        one = world.transports[1]
        for index in range(1, 121):
            size = source.choice((10, 1000, 1000, 5000, 100_000))
            send(one, append(2, size, index=index))
            world.settle(source.choice((0, 0, 0.001, 0.02)))
        world.settle(200.0)
        found = indexes(world)
        assert sorted(found) == list(range(1, 121))
        if world.transports[2]._peers[1].arrivals.given_up == 0:  # type: ignore[union-attr]
            assert found == list(range(1, 121))
        assert commits(world.take(2)) == []
