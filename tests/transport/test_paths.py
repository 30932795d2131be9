"""The size of the path to each peer, on a memory network whose paths take only so much: found out, remembered, and
found out again; and the frames for it, of which each value has one encoding."""

from __future__ import annotations

import random
from struct import pack_into

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, DatagramBuilder, frames
from raftcore.wire.datagram import frame_datagram
from raftcore.wire.path_size import BASE_SIZE, LARGEST_SIZE, SEALING
from raftpy.transport import MemoryTransport
from raftpy.transport.exchange.probe_frames import (
    FRAME_PROBE,
    FRAME_PROBE_ANSWER,
    PROBE_FRAMES,
    SMALLEST_PROBE,
    decode_probe,
    encode_answer,
    encode_probe,
)
from raftpy.transport.identity.hello import FRAME_HELLO, Hello, Takes, decode_hello, encode_hello
from tests.transport.support import MEMBERS, World, append, header, heartbeat, identity, messages, peer_counts

ONE, TWO = identity(1), identity(2)
BASE = BASE_SIZE - SEALING


def kinds(datagram: bytes) -> list[int]:
    return [kind for _, kind, _ in frames(datagram)]


def probing(datagram: bytes) -> bool:
    return any(kind in PROBE_FRAMES for kind in kinds(datagram))


def size(transport: MemoryTransport, peer: int = 2) -> int:
    found = transport.stats()["peers"][peer]["datagram"]
    assert isinstance(found, int)
    return found


def phase(transport: MemoryTransport, peer: int = 2) -> str | None:
    found = transport.stats()["peers"][peer]["path"]
    assert found is None or isinstance(found, str)
    return found


def world_of(path_size: int | None) -> World:
    world = World()
    world.network.path_size = path_size
    return world


# --- Frames ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 2**64 - 1), st.integers(SMALLEST_PROBE, LARGEST_SIZE))
def test_probes_and_answers_come_back(number: int, probed: int) -> None:
    datagram = frame_datagram(header(ONE, TWO), FRAME_PROBE, 0, *encode_probe(number, probed))
    assert len(datagram) == probed
    [(group, kind, body)] = list(frames(datagram))
    assert decode_probe(kind, group, body, probed) == (number, probed)
    answer = encode_answer(number, probed)
    assert decode_probe(FRAME_PROBE_ANSWER, 0, answer, 96) == (number, probed)


def test_a_probe_has_a_least_size() -> None:
    head, padding = encode_probe(1, SMALLEST_PROBE)
    assert padding == b""
    assert decode_probe(FRAME_PROBE, 0, head, SMALLEST_PROBE) == (1, SMALLEST_PROBE)
    with pytest.raises(ValueError, match="96 bytes at least"):
        encode_probe(1, SMALLEST_PROBE - 1)


def spoiled(at: int, format_: str, value: int, body: bytes) -> bytes:
    out = bytearray(body)
    pack_into(format_, out, at, value)
    return bytes(out)


PROBE = b"".join(encode_probe(7, 600))
ANSWER = encode_answer(7, 600)


@pytest.mark.parametrize(
    ("kind", "group", "body", "datagram"),
    [
        (FRAME_PROBE, 1, PROBE, 600),
        (FRAME_PROBE, 0, PROBE[:15], 95),
        (FRAME_PROBE, 0, PROBE, 601),
        (FRAME_PROBE, 0, PROBE[:-1], 600),
        (FRAME_PROBE, 0, PROBE + b"\0", 600),
        (FRAME_PROBE, 0, spoiled(0, "<I", 2, PROBE), 600),
        (FRAME_PROBE, 0, spoiled(4, "<I", 599, PROBE), 600),
        (FRAME_PROBE, 0, spoiled(8, "<Q", 0, PROBE), 600),
        (FRAME_PROBE, 0, spoiled(16, "<B", 1, PROBE), 600),
        (FRAME_PROBE, 0, spoiled(len(PROBE) - 1, "<B", 1, PROBE), 600),
        (FRAME_PROBE_ANSWER, 1, ANSWER, 96),
        (FRAME_PROBE_ANSWER, 0, ANSWER[:-1], 95),
        (FRAME_PROBE_ANSWER, 0, ANSWER + b"\0", 97),
        (FRAME_PROBE_ANSWER, 0, spoiled(0, "<I", 0, ANSWER), 96),
        (FRAME_PROBE_ANSWER, 0, spoiled(4, "<I", SMALLEST_PROBE - 1, ANSWER), 96),
        (FRAME_PROBE_ANSWER, 0, spoiled(8, "<Q", 0, ANSWER), 96),
    ],
)
def test_anything_else_is_refused(kind: int, group: int, body: bytes, datagram: int) -> None:
    with pytest.raises(DecodeError):
        decode_probe(kind, group, body, datagram)


@given(st.sampled_from(PROBE_FRAMES), st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_the_encoding(kind: int, body: bytes) -> None:
    datagram = DATAGRAM_HEADER_SIZE + 16 + len(body)
    try:
        number, told = decode_probe(kind, 0, body, datagram)
    except DecodeError:
        return
    expected = b"".join(encode_probe(number, told)) if kind == FRAME_PROBE else encode_answer(number, told)
    assert body == expected


def test_a_hello_says_that_probes_are_answered() -> None:
    hello = Hello("127.0.0.1:8101", takes=Takes(1000, 2000), probes=65_507)
    body = encode_hello(hello)
    assert decode_hello(body) == hello
    assert b"\x04\x04" + (65_507).to_bytes(4, "little") in body
    assert decode_hello(body + b"\x04\x04\x01\x00\x00\x00") == hello, "of two records the first counts"
    for malformed in (b"\x04\x03abc", b"\x04\x05abcde", b"\x04\x04\x00\x00\x00\x00", b"\x04\x04ab"):
        assert decode_hello(b"\x01\x00" + malformed) == Hello()


# --- The search -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [1200, 1372, 1472, 8972, LARGEST_SIZE])
def test_each_side_finds_out_what_the_path_takes(path: int) -> None:
    world = world_of(path)
    one, two = world.pair()
    assert size(one) == BASE or path == LARGEST_SIZE
    world.settle(60.0)
    for transport, peer in ((one, 2), (two, 1)):
        assert size(transport, peer) == path - SEALING
        assert phase(transport, peer) == "complete"
    largest: list[int] = []
    world.network.filter = lambda from_, to, what: largest.append(len(what)) is None  # type: ignore[func-returns-value]
    for commit in range(5000):
        one.send(heartbeat(2, commit=commit))
    one.flush()
    world.settle()
    assert len(messages(world.received[2])) == 5000
    assert path - SEALING - 100 < max(largest) <= path - SEALING, "there is room left for sealing"


def test_the_first_messages_do_not_wait_for_it() -> None:
    world = world_of(LARGEST_SIZE)
    one = world.start(ONE)
    world.start(TWO)
    world.network.filter = lambda from_, to, what: not probing(what)
    for commit in range(10):
        one.send(heartbeat(2, commit=commit))
    one.flush()
    world.settle(0.1)
    assert len(messages(world.received[2])) == 10
    one.send(append(2, 100_000))
    one.flush()
    world.settle(0.1)
    assert len(messages(world.received[2])) == 11
    assert max(map(len, world.received[2][:1])) <= BASE


def test_a_peer_of_an_earlier_version_is_sent_no_probe_and_hears_the_base_size() -> None:
    world = world_of(LARGEST_SIZE)
    one, two = world.start(ONE), world.start(TWO)
    two._paths.searches = False  # it does not say that it answers
    world.settle()
    probes: list[bytes] = []

    def watch(from_: int, to: int, what: bytes) -> bool:
        probes.extend([what] * probing(what))
        return True

    world.network.filter = watch
    one2 = world.start(identity(1, counter=2))
    world.settle(20.0)
    assert probes == []
    assert size(one2) == BASE
    assert phase(one2) is None
    assert one is not one2


def test_where_paths_are_not_searched_nothing_is_said_of_it() -> None:
    world = world_of(None)
    said: list[bytes] = []
    world.network.filter = lambda from_, to, what: said.append(what) is None  # type: ignore[func-returns-value]
    one, _ = world.pair()
    world.settle(10.0)
    assert one.max_datagram == 60_000
    assert size(one) == 60_000 - SEALING
    assert not any(map(probing, said))
    hellos = [body for what in said for _, kind, body in frames(what) if kind == FRAME_HELLO]
    assert hellos
    assert all(decode_hello(bytes(body)).probes == 0 for body in hellos)


def test_a_probe_is_answered_and_goes_no_further() -> None:
    world = world_of(None)  # also by a node that searches nothing itself
    world.pair()
    answers: list[bytes] = []

    def watch(from_: int, to: int, what: bytes) -> bool:
        answers.extend([what] * (kinds(what) == [FRAME_PROBE_ANSWER]))
        return True

    world.network.filter = watch
    world.received[2].clear()
    world.transports[2].arrive(frame_datagram(header(ONE, TWO), FRAME_PROBE, 0, *encode_probe(9, 9000)))
    world.settle()
    assert world.received[2] == []
    [answer] = answers
    [(_, _, body)] = list(frames(answer))
    assert decode_probe(FRAME_PROBE_ANSWER, 0, body, len(answer)) == (9, 9000)


def test_malformed_ones_are_counted_and_answers_to_nothing_do_nothing() -> None:
    world = world_of(1472)
    one, two = world.pair()
    world.settle(60.0)
    before = size(two, 1)
    for body in (ANSWER, encode_answer(2**63, 8972), encode_answer(1, 1472)):
        world.transports[2].arrive(frame_datagram(header(ONE, TWO), FRAME_PROBE_ANSWER, 0, body))
    assert size(two, 1) == before
    assert peer_counts(two, 1)["malformed_probes"] == 0
    world.transports[2].arrive(frame_datagram(header(ONE, TWO), FRAME_PROBE, 0, b"short"))
    world.transports[2].arrive(frame_datagram(header(ONE, TWO), FRAME_PROBE_ANSWER, 3, ANSWER))
    builder = DatagramBuilder(header(ONE, TWO), 2000)
    builder.add_frame(FRAME_PROBE, PROBE)
    builder.add_frame(FRAME_PROBE, PROBE)  # it is alone in its datagram
    world.transports[2].arrive(builder.finish())
    assert peer_counts(two, 1)["malformed_probes"] == 3
    assert one is not None


def test_a_new_incarnation_is_found_out_about_anew() -> None:
    world = world_of(8972)
    one, _ = world.pair()
    world.settle(60.0)
    assert size(one) == 8972 - SEALING
    world.network.path_size = 1472
    world.start(identity(2, counter=2))
    world.settle(0.0)
    assert size(one) <= 1472 - SEALING
    world.settle(60.0)
    assert size(one) == 1472 - SEALING


# --- A path that changes ---------------------------------------------------------------------------------------------


def test_a_black_hole_is_found_while_large_datagrams_go_there() -> None:
    world = world_of(8972)
    one, _ = world.pair()
    world.settle(60.0)
    world.network.path_size = 1472
    world.settle(60.0)
    assert size(one) == 8972 - SEALING, "nobody has said anything, so nobody knows"
    began = world.clock.monotonic()
    while size(one) > 1472 - SEALING:
        one.send(append(2, 5000))
        one.flush()
        world.settle(0.05)
        assert world.clock.monotonic() < began + 6.0
    world.received[2].clear()
    one.send(append(2, 5000))
    one.flush()
    world.settle(0.1)
    assert len(messages(world.received[2])) == 1, "in fragments of the base size"
    world.settle(60.0)
    assert size(one) == 1472 - SEALING
    assert peer_counts(one, 2)["path_narrowed"] == 1


@pytest.mark.parametrize("before", [4.0, 5.0, 9.5])
def test_a_black_hole_is_found_while_larger_sizes_are_being_tried(before: float) -> None:
    world = world_of(1472)
    one, _ = world.pair()
    world.settle(before)
    assert (size(one), phase(one)) == (1472 - SEALING, "searching")
    world.network.path_size = 1300
    began = world.clock.monotonic()
    while size(one) > 1300 - SEALING:
        one.send(append(2, 1200))
        one.flush()
        world.settle(0.05)
        assert world.clock.monotonic() < began + 6.0


def test_large_datagrams_do_not_keep_a_search_from_its_end() -> None:
    world = world_of(1472)
    one, _ = world.pair()
    for _ in range(600):
        one.send(append(2, 1200))
        one.flush()
        world.settle(0.1)
    assert (size(one), phase(one)) == (1472 - SEALING, "complete")
    assert peer_counts(one, 2)["path_narrowed"] == 0


def test_fragments_find_it_and_arrive_nonetheless() -> None:
    world = world_of(8972)
    one, _ = world.pair()
    world.settle(60.0)
    one.send(append(2, 50_000, index=1))
    one.flush()
    world.settle(0.5)
    world.network.path_size = 1472
    world.received[2].clear()
    one.send(append(2, 1_000_000, index=2))
    one.flush()
    world.settle(4.0)
    assert [message.index for message in messages(world.received[2])] == [2]
    assert peer_counts(one, 2)["path_narrowed"] == 1
    assert peer_counts(one, 2)["fragmented_given_up"] == 0


@pytest.mark.parametrize("later", [0.0, 0.001, 0.5, 0.999])
def test_fragments_find_it_whenever_the_peer_says_its_hello(later: float) -> None:
    world = world_of(8972)
    one = world.start(ONE)
    world.settle(later)
    world.start(TWO)
    world.settle(60.0)
    one.send(append(2, 50_000, index=1))
    one.flush()
    world.settle(0.5)  # a round trip is known
    world.network.path_size = 1472
    began = world.clock.monotonic()
    while size(one) > 1472 - SEALING:
        one.send(append(2, 1_000_000, index=2))
        one.flush()
        world.settle(0.05)
        assert world.clock.monotonic() < began + 3.0, "that is a second, and a hello"


def test_large_datagrams_that_arrive_are_confirmed_by_one_probe_a_second_and_by_none_while_nothing_is_sent() -> None:
    world = world_of(LARGEST_SIZE)
    one, _ = world.pair()
    world.settle(5.0)
    before = peer_counts(one, 2)["path_probes"]
    world.settle(100.0)
    assert peer_counts(one, 2)["path_probes"] == before
    for _ in range(100):
        one.send(append(2, 5000))
        one.flush()
        world.settle(0.1)
    assert 9 <= peer_counts(one, 2)["path_probes"] - before <= 11
    assert peer_counts(one, 2)["path_narrowed"] == 0


def test_what_fragments_have_proven_is_not_asked() -> None:
    world = world_of(8972)
    one, _ = world.pair()
    world.settle(60.0)
    before = peer_counts(one, 2)["path_probes"]
    for index in range(100):
        one.send(append(2, 5000))
        one.send(append(2, 50_000, index=index))
        one.flush()
        world.settle(0.1)
    assert peer_counts(one, 2)["path_probes"] == before


def test_a_wider_path_is_found_after_ten_minutes() -> None:
    world = world_of(1472)
    one, _ = world.pair()
    world.settle(60.0)
    world.network.path_size = 8972
    world.settle(500.0)
    assert size(one) == 1472 - SEALING
    world.settle(200.0)
    assert size(one) == 8972 - SEALING


@pytest.mark.parametrize("before", [0.0, 0.5, 60.0])
def test_a_peer_at_another_address_is_found_out_about_anew(before: float) -> None:
    world = world_of(1472)
    one, two = world.pair()
    world.settle(before)
    one.send(append(2, 300_000, index=1))
    one.flush()
    world.network.path_size = 1400  # on the way to the other address
    one.change_peers(MEMBERS | {2: "127.0.0.1:7999"})
    assert size(one) == BASE, "nothing larger is sent there unproven"
    world.settle(60.0)
    assert [message.index for message in messages(world.received[2])] == [1]
    assert 1372 - SEALING <= size(one) <= 1400 - SEALING
    assert phase(one) == "complete"
    assert two.reachable(1)


# --- What all take ---------------------------------------------------------------------------------------------------


def test_who_asks_is_told_what_all_peers_take_that_are_heard() -> None:
    world = world_of(8972)
    one = world.start(ONE)
    told: list[int] = []
    one.on_datagram_size(told.append)
    assert told == [BASE]
    assert one.max_command == exchange_command(BASE)
    world.start(TWO)
    world.settle(60.0)
    assert told[-1] == 8972 - SEALING
    assert told == sorted(told)
    narrow = {3}
    world.network.filter = lambda from_, to, what: len(what) <= (1472 if {from_, to} & narrow else 8972)
    world.start(identity(3))
    world.settle(60.0)
    assert told[-1] == 1472 - SEALING
    assert size(one, 2) == 8972 - SEALING
    one.change_peers({1: "x:1", 2: one._peers[2].address})
    assert told[-1] == 8972 - SEALING


def exchange_command(datagram: int) -> int:
    return datagram - 200


def test_on_a_wire_that_takes_everything_all_take_the_same_at_once() -> None:
    world = world_of(None)
    one = world.start(ONE, max_datagram=1200)
    told: list[int] = []
    one.on_datagram_size(told.append)
    world.start(TWO, max_datagram=1200)
    world.settle(5.0)
    assert told == [BASE]
    assert (one.max_datagram, one.max_command) == (1200, exchange_command(BASE))


@pytest.mark.parametrize("most", [512, 1200, 1472, 60_000])
def test_where_paths_are_not_searched_there_is_room_left_for_sealing_too(most: int) -> None:
    """Nobody has found out that a path takes more than it is said to: a sealed datagram has to fit there."""
    world = World()
    largest: list[int] = []
    world.network.filter = lambda from_, to, what: largest.append(len(what)) is None  # type: ignore[func-returns-value]
    one = world.start(ONE, max_datagram=most)
    world.start(TWO, max_datagram=most)
    world.settle()
    for commit in range(5000):
        one.send(heartbeat(2, commit=commit))
    one.send(append(2, 200_000))
    one.flush()
    world.settle(5.0)
    assert len(messages(world.received[2])) == 5001
    assert most - SEALING - 100 < max(largest) <= most - SEALING


def test_random_paths(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(6):
        world = World(source.randrange(2**32))
        world.network.path_size = source.randrange(600, 70_000)
        one, _ = world.pair()
        for _ in range(source.randrange(1, 5)):
            if source.random() < 0.5:
                world.network.path_size = source.randrange(600, 70_000)
            for _ in range(source.randrange(100)):
                one.send(append(2, source.choice((100, 3000, 70_000))))
                one.flush()
                world.settle(source.choice((0.001, 0.1)))
        world.settle(700.0)
        world.received[2].clear()
        for _ in range(200):  # whatever was found out: what is said again and again arrives
            one.send(append(2, 20_000, index=77))
            one.flush()
            world.settle(0.1)
        assert 77 in [message.index for message in messages(world.received[2])]
        if world.network.path_size >= BASE_SIZE:
            assert size(one) + SEALING <= world.network.path_size


def test_a_path_narrower_than_the_base_is_found_out_when_the_search_ends() -> None:
    """It took the base at first; then small datagrams alone arrive, and nothing is counted that is lost."""
    world = World(1)
    world.network.path_size = 1210
    one, _ = world.pair()
    world.settle(1.0)
    assert size(one) + SEALING == BASE_SIZE
    world.network.path_size = 900
    world.settle(60.0)
    world.received[2].clear()
    one.send(append(2, 20_000, index=77))
    one.flush()
    world.settle(5.0)
    assert 77 in [message.index for message in messages(world.received[2])]


def test_the_numbers_are_one_and_the_same() -> None:
    """The size in C, where datagrams are counted, is that of the search."""
    world = world_of(None)
    one, _ = world.pair()
    peer = one._peers[2]
    command = one.max_command - (60_000 - BASE_SIZE)
    for payload in range(command - 5, command + 200):
        before, sent = peer.large, peer.counters.sent_bytes
        one.send(append(2, payload))
        one.flush()
        assert peer.large - before == (peer.counters.sent_bytes - sent > BASE_SIZE)
