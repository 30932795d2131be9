"""The hello: what each incarnation tells its peers of itself, when, and what is made of one that is malformed."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import ConfigError, DecodeError
from raftcore.wire.codec import DatagramBuilder
from raftcore.wire.datagram import frame_datagram
from raftpy.contracts.types import Heard, Standing
from raftpy.transport.identity.hello import FRAME_HELLO, MOST_TAKEN, Hello, Takes, decode_hello, encode_hello
from tests.transport.support import World, append, commits, header, heartbeat, identity, messages, peer_counts

ONE, TWO = identity(1), identity(2)


def test_lost_hello_is_repeated_within_a_second() -> None:
    world = World()
    world.network.filter = lambda from_, to, what: len(what) == 64
    one = world.start(ONE)
    world.start(TWO)
    world.settle(0.5)
    assert one.reachable(2)
    assert one.http_address(2) is None
    world.network.filter = None
    world.settle(1.0)
    assert one.http_address(2) == "127.0.0.1:8102"


def test_hello_of_a_new_incarnation_replaces_the_address() -> None:
    world = World()
    one, _ = world.pair()
    world.start(identity(2, counter=2, http_address="[::1]:9"))
    world.settle()
    assert one.http_address(2) == "[::1]:9"
    world.start(identity(2, counter=3, http_address=""))
    world.settle()
    assert one.http_address(2) is None


def test_news_of_a_peer_are_told_once() -> None:
    world = World()
    one = world.start(ONE)
    told: list[tuple[int, str | None]] = []
    one.on_heard(lambda node_id: told.append((node_id, one.heard(node_id).http_address)))
    world.start(TWO)
    world.settle(3.0)  # its hello comes once a second
    assert told == [(2, "127.0.0.1:8102")]
    world.start(identity(2, counter=2, http_address=""))
    world.settle(3.0)
    world.start(identity(2, counter=3, http_address=""))
    world.settle(3.0)
    assert told[1:] == [(2, ""), (2, "")], "each incarnation for itself"
    assert one.heard(2).store_id == TWO.store_id
    assert (one.heard(3), one.heard(9)) == (Heard(), Heard())


def test_the_address_of_an_earlier_incarnation_is_forgotten() -> None:
    world = World()
    one, _ = world.pair()
    assert one.heard(2).http_address == "127.0.0.1:8102"
    world.network.filter = lambda from_, to, what: len(what) == 64
    again = world.start(identity(2, counter=2))
    world.settle(0.5)
    assert one.heard(2) == Heard(TWO.store_id, None, boot=again._own.boot)
    assert again._own.boot != TWO.boot


def test_hello_before_messages_in_one_datagram() -> None:
    world = World()
    one, _ = world.pair()
    builder = DatagramBuilder(header(TWO, ONE), 1200)
    builder.add_frame(FRAME_HELLO, encode_hello(Hello("h:1")))
    builder.add(heartbeat(1, 2, commit=8))
    one.arrive(builder.finish())
    assert one.http_address(2) == "h:1"
    assert commits(world.take(1)) == [8]


@pytest.mark.parametrize(
    "body", [b"", b"\1", b"\2\0", b"\1\5a:1", b"\1\3a:x", b"\1\4\xff\xff:1", b"\1\x09a:1\r\nX: y", b"\1\1a",
             b"\1\x0bhttps://a/b", b"\1\x09ftp://a:1", b"\1\x0dhttps://u@a:1"],
)  # fmt: skip
def test_malformed_hello_is_counted_and_keeps_what_was_known(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_hello(body)
    world = World()
    one, _ = world.pair()
    builder = DatagramBuilder(header(TWO, ONE), 1200)
    builder.add_frame(FRAME_HELLO, body)
    one.arrive(builder.finish())
    assert one.http_address(2) == "127.0.0.1:8102"
    assert peer_counts(one, 2)["malformed_hello"] == 1


def test_hello_round_trip_and_room_for_later() -> None:
    for hello in (
        Hello(),
        Hello("node1.example.org:8101"),
        Hello("https://node1.example.org:443"),
        Hello("", Standing.NEW),
        Hello("", Standing.NEW, takes=Takes(1, MOST_TAKEN)),
        Hello("", Standing.NEW, takes=Takes(MOST_TAKEN, 1)),
        Hello("a:1", takes=Takes(1 << 26, 1200)),
        Hello("[::1]:80", Standing.ESTABLISHED, asks=2**64 - 1, answers=7),
    ):
        assert decode_hello(encode_hello(hello)) == hello
        assert decode_hello(memoryview(encode_hello(hello))) == hello
    assert decode_hello(encode_hello(Hello()) + b"from a later version") == Hello()
    assert decode_hello(encode_hello(Hello("h:1", Standing.JOINED)) + b"later") == Hello("h:1", Standing.JOINED)


@pytest.mark.parametrize(
    "record",
    [b"\2", b"\2\1\1", b"\2\x11\1" + bytes(15), b"\2\x11\0" + bytes(16), b"\2\x11\5" + bytes(16)]
    + [b"\3\x0f" + b"x" * 15, b"\3\x10" + bytes(16), b"\3\x10\1" + bytes(15), b"\3\x10" + bytes(15) + b"x"],
)
def test_a_record_that_is_none_is_passed_over(record: bytes) -> None:
    assert decode_hello(b"\1\3a:1" + record) == Hello("a:1")


EXTREMES = [0, 1, MOST_TAKEN, MOST_TAKEN + 1, 2**63 - 1, 2**63, 2**64 - 1]
numbers = st.sampled_from(EXTREMES) | st.integers(0, 2**64 - 1)


def takes_record(room: int, burst: int) -> bytes:
    return b"\3\x10" + pack("<QQ", room, burst)


@given(numbers, numbers)
def test_what_is_taken_has_bounds(room: int, burst: int) -> None:
    possible = 1 <= room <= MOST_TAKEN and 1 <= burst <= MOST_TAKEN
    decoded = decode_hello(b"\1\0" + takes_record(room, burst))
    assert decoded == Hello(takes=Takes(room, burst) if possible else None)
    again = takes_record(5, 6)
    assert decode_hello(b"\1\0" + takes_record(room, burst) + again).takes == (decoded.takes or Takes(5, 6))


@pytest.mark.parametrize("under_way", [False, True])
@pytest.mark.parametrize("room", EXTREMES)
@pytest.mark.parametrize("burst", EXTREMES)
def test_no_number_in_a_hello_stops_a_node(room: int, burst: int, *, under_way: bool) -> None:
    world = World()
    one, two = world.pair()
    if under_way:
        one.send(append(2, 200_000))
        one.flush()
    body = encode_hello(Hello()) + takes_record(room, burst)
    one.arrive(frame_datagram(header(TWO, ONE), FRAME_HELLO, 0, body))
    one.send(append(2, 200_000, index=7))
    one.flush()
    world.settle(3.0)  # its own hello has come since
    one.send(append(2, 200_000, index=9))
    one.flush()
    world.settle(3.0)
    too_small = room == 1 and 1 <= burst <= MOST_TAKEN and not under_way
    assert (9 in [message.index for message in messages(world.received[2])]) is not too_small
    assert peer_counts(one, 2)["malformed_hello"] == 0
    assert two.reachable(1)


def test_hello_refuses_an_address_that_peers_would() -> None:
    with pytest.raises(ConfigError, match="'nonsense' has no port"):
        encode_hello(Hello("nonsense"))
