"""Messages that no datagram holds go in fragments, and everything else overtakes them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from raftcore.base.types import MessageType
from raftcore.values.message import ConfState, Message, Snapshot
from raftcore.wire.codec import DatagramBuilder, crc32c, frames
from raftcore.wire.fragment import FRAME_FRAGMENT, FRAME_FRAGMENT_ACK, encode_ack, encode_fragment
from raftpy.contracts.types import Oversized
from raftpy.transport import MemoryTransport, Unreliable
from raftpy.transport.datagram.fragments import key_of
from raftpy.transport.exchange.sizes import LARGEST_MESSAGE
from tests.transport.support import (
    World,
    append,
    changed,
    commits,
    header,
    heartbeat,
    identity,
    messages,
    peer_counts,
)
from tests.transport.test_datagrams import decoded

ONE, TWO = identity(1), identity(2)


def pair(world: World, **settings: Any) -> MemoryTransport:
    """Node 1, with datagrams of 1,200 bytes, which knows node 2, of which it knows what it takes."""
    one = world.start(ONE, max_datagram=1200, **settings)
    world.start(TWO, max_datagram=1200)
    world.settle()
    return one


def kinds(world: World) -> list[tuple[int, int, int]]:
    """Notes (from, first frame's kind, size) of every datagram from now on, in the order of sending."""
    found: list[tuple[int, int, int]] = []

    def note(from_id: int, to_id: int, datagram: bytes) -> bool:
        found.append((from_id, next(iter(frames(datagram)))[1] if len(datagram) > 64 else 0, len(datagram)))
        return True

    world.network.filter = note
    return found


# --- Sending --------------------------------------------------------------------------------------------------------


def test_paths_draw_their_waits_apart_and_a_run_can_be_repeated() -> None:
    def seeds() -> list[int]:
        world = World()
        pair(world)
        found = []
        for node_id, to in ((1, 2), (2, 1)):
            world.transports[node_id].send(append(to, 5000, index=7, from_=node_id))
            world.transports[node_id].flush()
            outgoing = world.transports[node_id]._peers[to].outgoing
            assert outgoing is not None
            found.append(outgoing.congestion.model.seed)
        return found

    assert len({0, *seeds()}) == 3
    assert seeds() == seeds()


@pytest.mark.parametrize("size", [1100, 40_000, 65_507, 1_000_000, 16 << 20])
def test_a_message_of_any_size_arrives_in_datagrams_of_the_usual_size(size: int) -> None:
    world = World()
    one = pair(world)
    sent = kinds(world)
    message = append(2, size, index=7)
    one.send(message)
    world.settle()
    assert sent == [], "nothing leaves before flush"
    one.flush()
    world.settle(5.0)
    assert messages(world.take(2)) == [decoded(message)]
    assert max(size for _, _, size in sent) <= 1200
    counts, theirs = peer_counts(one, 2), peer_counts(world.transports[2], 1)
    assert (counts["fragmented"], counts["too_large"], counts["oversized"], counts["messages_dropped"]) == (1, 0, 0, 0)
    assert (theirs["fragmented_received"], theirs["malformed_fragments"]) == (1, 0)
    assert counts["fragments_sent"] == theirs["fragments_received"] == sum(k == FRAME_FRAGMENT for _, k, _ in sent)
    oversized = one.oversized(2)
    assert oversized is not None
    assert (oversized.index, oversized.refused, oversized.cut) == (8, "", True)
    assert oversized.size == size + 64 + 16 + 4 + 8 * 4 + 44
    world.settle(30.0)
    assert world.network.clock.next_due() is not None
    assert not one._fragments._busy
    assert one._fragments._due._timer is None, "no timer without anything under way"


def test_whoever_receives_it_sees_the_datagram_that_was_never_sent() -> None:
    """Byte for byte, its checksum too."""
    world = World()
    one = pair(world)
    one.send(append(2, 5000, index=7), group=9)
    one.flush()
    world.settle(1.0)
    builder = DatagramBuilder(header(ONE, TWO), 60_000)
    builder.add(append(2, 5000, index=7), 9)
    assert world.take(2) == [builder.finish()]


def test_small_messages_overtake_a_large_one() -> None:
    world = World(unreliable=Unreliable(delay_ms=(5, 5), long_delay_rate=0, drop_rate=0))
    one = pair(world)
    world.settle(0.1)
    one.send(append(2, 1_000_000, index=7))
    one.flush()
    for commit in range(1, 30):
        world.settle(0.001)
        one.send(heartbeat(2, commit=commit))
        one.flush()
    world.settle(0.0051)
    assert commits([each for each in world.take(2) if len(each) < 1200]) == list(range(1, 30)), "at their own pace"
    world.settle(5.0)
    assert [message.type for message in messages(world.take(2))] == [MessageType.MsgApp]


def test_datagrams_without_a_large_message_are_those_of_a_peer_without_fragments() -> None:
    """Nothing of them has changed."""
    seen = []
    for earlier in (False, True):
        world = World()
        one = world.start(ONE, max_datagram=1200, earlier=earlier)
        world.start(TWO, earlier=earlier)
        world.settle()
        for index in range(20):
            one.send(append(2, 300, index=index))
            one.send(heartbeat(2, commit=index))
        one.flush()
        world.settle()
        seen.append(world.take(2))
    assert seen[0] == seen[1]
    assert len(seen[0]) > 5


def test_fragments_travel_over_a_bad_network(seed: int) -> None:
    unreliable = Unreliable(
        delay_ms=(0.1, 1), drop_rate=0.05, long_delay_rate=0.01, duplicate_rate=0.1, reorder_rate=0.1
    )
    world = World(seed, unreliable)
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO, max_datagram=1200)
    world.settle(3.0)
    sent = [append(2, size, index=index) for index, size in enumerate((200_000, 3000, 70_000, 1001))]
    for message in sent:
        one.send(message)
    one.flush()
    world.settle(60.0)
    got = messages(world.take(2))
    indexes = sorted(message.index for message in got)
    assert indexes[:3] == [0, 1, 2], "what goes in fragments comes once, whatever repeats them"
    assert set(indexes[3:]) <= {3}, "the last needs none, and may be lost and repeated as any datagram"
    assert all(decoded(sent[message.index]) == message for message in got)
    assert peer_counts(one, 2)["fragments_sent"] > 260


def test_what_is_on_its_way_is_not_sent_again() -> None:
    """A leader repeats a probe with every answer to a heartbeat."""
    world = World()
    one = pair(world)
    for commit in range(5):
        message = append(2, 50_000, index=7)
        message.commit = 7 + commit
        one.send(message)
        one.flush()
    world.settle(1.0)
    assert len(messages(world.take(2))) == 1
    assert (peer_counts(one, 2)["fragmented"], peer_counts(one, 2)["fragmented_again"]) == (1, 4)
    one.send(append(2, 50_000, index=7))
    one.flush()
    world.settle(1.0)
    assert len(messages(world.take(2))) == 1, (
        "but it is when the one before has arrived: its receiver had no use for it"
    )


def test_what_says_something_else_is_another_message() -> None:
    first = append(2, 5000, index=7)
    others = [append(2, 5001, index=7), append(2, 5000, index=8)]
    for field in ("term", "conf_index"):
        other = append(2, 5000, index=7)
        setattr(other, field, 99)
        others.append(other)
    keys = [key_of(first, 0), key_of(first, 1), *(key_of(other, 0) for other in others)]
    assert len(set(keys)) == len(keys)
    later = append(2, 5000, index=7)
    later.commit = 99
    assert key_of(later, 0) == key_of(first, 0)
    snapshots = [
        Message(type=MessageType.MsgSnap, to=2, from_=1, term=1, snapshot=Snapshot(index, 1, ConfState([1])))
        for index in (5, 6)
    ]
    assert key_of(snapshots[0], 0) != key_of(snapshots[1], 0)
    assert key_of(Message(type=MessageType.MsgReadIndex, to=2, from_=1, context=bytes(5000)), 0) is None


def test_a_message_larger_than_the_peer_takes_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    one = pair(world)
    peer = one._peers[2]
    assert peer.takes is not None
    assert peer.takes.room == LARGEST_MESSAGE == one.max_message
    one.send(append(2, LARGEST_MESSAGE, index=7))
    one.send(heartbeat(2, commit=6))
    one.flush()
    world.settle()
    assert commits(world.take(2)) == [6]
    assert peer_counts(one, 2)["too_large"] == 1
    oversized = one.oversized(2)
    assert oversized is not None
    assert (oversized.index, oversized.size) == (8, 0)
    assert f"larger than what the peer puts together, {LARGEST_MESSAGE} bytes" in oversized.refused


def test_a_large_snapshot_message_goes_in_fragments() -> None:
    world = World()
    one = pair(world)
    many = ConfState(range(1, 9000))
    message = Message(type=MessageType.MsgSnap, to=2, from_=1, term=1, snapshot=Snapshot(5, 1, many))
    one.send(message)
    one.flush()
    world.settle(1.0)
    [got] = messages(world.take(2))
    assert got.snapshot == message.snapshot


def test_too_much_that_waits_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftpy.transport.datagram.fragments.MOST_WAITING", 100_000)
    world = World()
    one = pair(world)
    for index in range(5):
        one.send(append(2, 60_000, index=index))
    assert (peer_counts(one, 2)["fragmented"], peer_counts(one, 2)["messages_dropped"]) == (2, 3)


# --- Incarnations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [1, 2])
def test_fragments_of_an_earlier_life_do_nothing(restarted: int) -> None:
    """Recorded before a restart of either side, and played again after it."""
    world = World()
    one = pair(world)
    recorded: list[tuple[int, bytes]] = []

    def record(from_id: int, to_id: int, datagram: bytes) -> bool:
        if len(datagram) > 64 and datagram[72] in (FRAME_FRAGMENT, FRAME_FRAGMENT_ACK):
            recorded.append((to_id, datagram))
            return len(recorded) < 30  # the message stays unfinished
        return True

    world.network.filter = record
    one.send(append(2, 50_000, index=7))
    one.flush()
    world.settle(0.5)
    world.network.filter = None
    assert world.take(2) == []
    world.start(identity(restarted, counter=2), max_datagram=1200)
    world.settle(0.5)
    before = {node: peer_counts(world.transports[node], 3 - node) for node in (1, 2)}
    for to_id, datagram in recorded * 2:
        world.transports[to_id].arrive(datagram)
        world.settle()
    world.settle(20.0)
    assert world.take(2) == []
    for node in (1, 2):
        counts = changed(before[node], peer_counts(world.transports[node], 3 - node))
        assert counts.get("fragments_received", 0) == counts.get("fragments_sent", 0) == 0
        peer = world.transports[node]._peers[3 - node]
        assert peer.incoming is None or not peer.incoming.held
        assert peer.outgoing is None or not peer.outgoing.waiting


def test_what_is_under_way_to_an_incarnation_that_ends_is_given_up() -> None:
    world = World(unreliable=Unreliable(delay_ms=(5, 5), long_delay_rate=0, drop_rate=0))
    one = pair(world)
    world.settle(0.1)
    one.send(append(2, 5_000_000, index=7))
    one.flush()
    world.settle(0.02)
    world.start(identity(2, counter=2), max_datagram=1200)
    world.settle(1.0)
    assert peer_counts(one, 2)["fragmented_given_up"] == 1
    assert one._fragments._busy == {}
    one.send(append(2, 50_000, index=8))
    one.flush()
    world.settle(1.0)
    assert [message.index for message in messages(world.take(2))] == [8]


def test_numbers_go_on_when_a_peer_goes_and_comes_back() -> None:
    """Its receiver, which has not noticed, takes the later messages for new ones."""
    world = World()
    one = pair(world)
    members = dict(ONE.members)
    for index in range(3):
        one.send(append(2, 5000, index=index))
        one.flush()
        world.settle(1.0)
        one.change_peers({1: members[1]})
        one.change_peers(members)
        world.settle(2.0)
    assert [message.index for message in messages(world.take(2))] == [0, 1, 2]


# --- Giving up ------------------------------------------------------------------------------------------------------


def test_what_does_not_come_through_is_given_up_and_shown() -> None:
    world = World()
    one = pair(world)
    world.network.filter = lambda a, b, what: len(what) <= 64 or what[72] != FRAME_FRAGMENT
    begun = world.clock.monotonic()
    one.send(append(2, 50_000, index=7))
    one.flush()
    world.settle(4.9)
    oversized = one.oversized(2)
    assert oversized is not None
    assert oversized.refused == ""
    world.settle(0.2)
    assert peer_counts(one, 2)["fragmented_given_up"] == 1
    oversized = one.oversized(2)
    assert oversized is not None
    assert "none of its fragments was acknowledged for 5 s" in oversized.refused
    one.send(append(2, 50_000, index=7))
    again = one.oversized(2)
    assert again == Oversized(8, oversized.size, begun, oversized.refused, cut=True), "still true, until it arrives"
    one.flush()
    world.network.filter = None
    world.settle(3.0)
    assert len(messages(world.take(2))) == 1


def test_a_receiver_forgets_what_has_not_come_whole() -> None:
    world = World()
    one = pair(world)
    left = [20]

    def some(from_id: int, to_id: int, datagram: bytes) -> bool:
        if len(datagram) > 64 and datagram[72] == FRAME_FRAGMENT:
            left[0] -= 1
            return left[0] > 0
        return True

    world.network.filter = some
    one.send(append(2, 50_000, index=7))
    one.flush()
    world.settle(1.0)
    peer = world.transports[2]._peers[1]
    assert peer.incoming is not None
    assert peer.incoming.held > 50_000
    world.settle(12.0)
    assert (peer.incoming.held, peer.incoming.given_up) == (0, 1)


# --- Hostile frames ---------------------------------------------------------------------------------------------------


def framed(kind: int, body: bytes, more: bytes = b"") -> bytes:
    """A datagram of node 2 for node 1 with one frame, or with another behind it."""
    builder = DatagramBuilder(header(TWO, ONE), 60_000)
    builder.add_frame(kind, body)
    if more:
        builder.add_frame(kind, more)
    return builder.finish()


def test_broken_frames_are_counted(seed: int) -> None:
    world = World()
    one = pair(world)
    ack, fragment = encode_ack([(1, 3)]), encode_fragment(1, 1, 0, 1000, 300, 0, bytes(300))
    for body in (b"", bytes(15), bytes(40)):
        for kind in (FRAME_FRAGMENT, FRAME_FRAGMENT_ACK):
            one.arrive(framed(kind, body))
    world.settle()
    expected = 3  # the acknowledgements: nothing was ever sent, so nobody reads them
    assert peer_counts(one, 2)["malformed_fragments"] == expected
    one.arrive(framed(FRAME_FRAGMENT, fragment, fragment))
    world.settle()
    assert peer_counts(one, 2)["malformed_fragments"] == expected + 1, "it has a datagram for itself"
    one.send(append(2, 5000))
    one.flush()
    one.arrive(framed(FRAME_FRAGMENT_ACK, encode_ack([(90, 99)])))
    world.settle()
    assert peer_counts(one, 2)["malformed_fragments"] == expected + 2
    source = random.Random(seed)
    for _ in range(2000):
        body = bytearray(source.choice((ack, fragment)))
        body[source.randrange(min(len(body), 32))] = source.randrange(256)
        one.arrive(framed(source.choice((FRAME_FRAGMENT, FRAME_FRAGMENT_ACK)), bytes(body)))
    world.settle(1.0)
    assert world.take(1) == []
    assert peer_counts(one, 2)["malformed_fragments"] > expected + 100
    peer = one._peers[2]
    assert peer.incoming is not None
    assert peer.incoming.held <= LARGEST_MESSAGE


def test_a_frame_cut_short_is_counted() -> None:
    world = World()
    one = pair(world)
    whole = framed(FRAME_FRAGMENT, encode_fragment(1, 1, 0, 1000, 300, 0, bytes(300)))
    builder = DatagramBuilder(header(TWO, ONE), 60_000)
    builder.add_frame(FRAME_FRAGMENT, bytes(100))
    cut = bytearray(builder.finish())
    cut[76:80] = (200).to_bytes(4, "little")
    cut[:4] = crc32c(bytes(cut[4:])).to_bytes(4, "little")
    for datagram in (bytes(cut), whole):
        one.arrive(datagram)
    world.settle()
    assert peer_counts(one, 2)["malformed_fragments"] == 1
    assert peer_counts(one, 2)["fragments_received"] == 1


def test_nothing_is_sent_after_close() -> None:
    world = World()
    one = pair(world)
    one.send(append(2, 500_000))
    one.flush()
    one.close()
    sent = kinds(world)
    world.settle(10.0)
    assert [kind for from_id, kind, _ in sent if from_id == 1] == []
