"""Over a long path one lost fragment of a group is made up for; no lane waits for it (docs/wire-format.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, frames
from raftcore.wire.datagram import frame_datagram
from raftcore.wire.fragment import FRAME_FRAGMENT
from raftcore.wire.parity import FRAME_PARITY, GROUP
from raftpy.transport.identity.hello import Hello
from tests.transport.support import World, append, peer_counts
from tests.transport.test_lanes import indexes, send, world_of


def packets(world: World, lost: set[int]) -> list[tuple[int, int]]:
    """Loses the datagrams from 1 to 2 with these numbers; (number, kind) of all that have one."""
    seen: list[tuple[int, int]] = []

    def passes(from_id: int, to_id: int, datagram: bytes) -> bool:
        if from_id != 1 or len(datagram) == DATAGRAM_HEADER_SIZE:
            return True
        _, kind, body = next(iter(frames(datagram)))
        if kind not in (FRAME_FRAGMENT, FRAME_PARITY):
            return True
        number = int.from_bytes(body[:8], "little")
        seen.append((number, kind))
        return number not in lost

    world.network.filter = passes
    return seen


def warm(world: World) -> int:
    """The lane has been busy for a while, so that the window holds what comes; the index of the next append."""
    one = world.transports[1]
    for index in range(1, 700):
        send(one, append(2, 1000, index=index))
        world.settle(0.002)
    world.settle(1.0)
    assert indexes(world) == list(range(1, 700))
    return 700


def burst(world: World, first: int) -> list[int]:
    """The indexes of 40 appends of a fragment each, which leave within 40 ms."""
    for index in range(first, first + 40):
        send(world.transports[1], append(2, 1000, index=index))
        world.settle(0.001)
    return list(range(first, first + 40))


@pytest.mark.parametrize("place", [0, 7, 14])
def test_one_that_is_lost_is_not_waited_for(place: int) -> None:
    world = world_of(100)
    seen = packets(world, set())
    first = warm(world)
    lost = (max(seen)[0] // GROUP + 1) * GROUP + place
    seen = packets(world, {lost})
    sent = burst(world, first)
    world.settle(0.055)
    assert {FRAME_PARITY, FRAME_FRAGMENT} == {kind for _, kind in seen}
    assert [number for number, kind in seen if kind == FRAME_PARITY and number % GROUP != GROUP - 1] == []
    assert indexes(world) == sent
    world.settle(1.0)
    assert indexes(world) == [], "the repetition brings nothing new"
    outgoing, incoming = world.transports[1]._peers[2].outgoing, world.transports[2]._peers[1].incoming
    assert outgoing is not None
    assert incoming is not None
    assert (outgoing.lost, outgoing.repeated, incoming.restored) == (1, 1, 1)
    assert outgoing.parity.sent >= 2
    assert outgoing.waiting == 0


def test_two_that_are_lost_are_repeated() -> None:
    world = world_of(100)
    seen = packets(world, set())
    first = warm(world)
    group = (max(seen)[0] // GROUP + 1) * GROUP
    packets(world, {group + 2, group + 5})
    sent = burst(world, first)
    world.settle(0.055)
    early = indexes(world)
    assert early == sent[: len(early)]
    assert len(early) < GROUP
    world.settle(0.2)
    assert [*early, *indexes(world)] == sent


def test_a_peer_that_does_not_tell_that_it_takes_them_is_sent_none() -> None:
    world = world_of(100)
    one = world.transports[1]
    peer = one._peers[2]
    assert peer.parity == GROUP
    peer.take_hello(replace(Hello(), takes=peer.takes, probes=peer.probes, lanes=peer.lanes))
    assert peer.parity == 0
    for _ in range(30):
        send(one, append(2, 1000, index=1))
    assert peer.outgoing is not None
    assert not peer.outgoing.parity.takes
    one._fragments.hello(peer)
    peer.parity = GROUP + 1
    one._fragments.hello(peer)
    assert not peer.outgoing.parity.takes, "nor one that takes others"
    peer.parity = GROUP
    one._fragments.hello(peer)
    assert peer.outgoing.parity.takes


def test_near_peers_are_sent_none() -> None:
    world = world_of(1)
    seen = packets(world, set())
    for index in range(1, 20):
        send(world.transports[1], append(2, 100_000, index=index))
        world.settle(0.1)
    assert len(seen) > 1000
    assert {kind for _, kind in seen} == {FRAME_FRAGMENT}


def test_what_is_no_parity_is_counted() -> None:
    world = world_of(100)
    warm(world)
    two = world.transports[2]
    header = world.transports[1]._peers[2].builder.header
    for body in (b"", bytes(40), (GROUP - 1).to_bytes(8, "little") + b"x"):
        world.network.carry(1, 2, frame_datagram(header, FRAME_PARITY, 0, body))
    world.settle(0.2)
    assert peer_counts(two, 1)["malformed_fragments"] == 3
