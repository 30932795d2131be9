"""An old or second incarnation of a peer's data directory is told that it is refused, and says so itself."""

from __future__ import annotations

import logging

import pytest

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import DatagramBuilder, frames
from raftpy.contracts.types import LocalIdentity
from raftpy.transport import MemoryTransport
from raftpy.transport.identity.gate import FOREIGN_FOR_S
from raftpy.transport.identity.refusal import FRAME_REFUSAL, MOST_REFUSED, Refusal, decode_refusal, encode_refusal
from tests.transport.support import (
    CLUSTER,
    World,
    bare,
    boot,
    commits,
    datagram,
    header,
    heartbeat,
    identity,
    peer_counts,
)

ONE = identity(1)
ORIGINAL = identity(2, counter=3)
COPIES = {
    "old": identity(2, counter=2),
    "second": identity(2, boot=boot(3, low=8)),
    "replaced": identity(2, store_id=0xBAD),
}
WORDS = {
    "old": "a later start of this data directory",
    "second": "another start from the same state",
    "replaced": "by another data directory",
}


def after_the_original(copy: LocalIdentity) -> tuple[World, MemoryTransport]:
    """Node 1 has heard the original, which is gone; then the copy starts in its place."""
    world = World()
    world.start(ONE)
    world.start(ORIGINAL)
    world.settle(0.1)
    return world, world.start(copy)


@pytest.mark.parametrize("which", COPIES)
def test_a_copy_says_so_itself_in_one_line(which: str, caplog: pytest.LogCaptureFixture) -> None:
    world, copy = after_the_original(COPIES[which])
    world.settle(5.0)
    own = [r.getMessage() for r in caplog.records if r.getMessage().startswith("node 2: ") and r.levelno > logging.INFO]
    assert len(own) == 1
    assert own[0].startswith("node 2: node 1 refuses this node: ")
    assert WORDS[which] in own[0]
    assert copy.refused_by(1) == own[0].removeprefix("node 2: ")
    assert copy.refused_by(3) is None
    assert copy.refused_by(9) is None
    assert world.transports[1].refused_by(2) is None
    assert world.take(2) == [], "a refusal is nobody's business but the transport's"


@pytest.mark.parametrize("which", COPIES)
def test_refusals_are_one_a_second_and_answered_by_nothing(which: str) -> None:
    world, _ = after_the_original(COPIES[which])
    world.settle(0.5)
    refused: list[float] = []
    answered: list[float] = []

    def watch(from_id: int, to_id: int, what: bytes) -> bool:
        kinds = [kind for _, kind, _ in frames(what)]
        if FRAME_REFUSAL in kinds:
            refused.append(world.clock.monotonic())
        answered.extend([world.clock.monotonic()] * (from_id == 2 and to_id == 1))
        return True

    world.network.filter = watch
    for _ in range(1000):
        world.transports[2].send(heartbeat(1, 2))
        world.transports[2].flush()
        world.settle(0.01)
    assert 8 <= len(refused) <= 11
    assert len(answered) <= 1000 + 10 + 12, "what it says by itself, a hello a second, and an answer to each of ours"


def test_each_incarnation_has_its_refusal_each_second() -> None:
    """One that is always heard just before another one does not take its word away."""
    world = World()
    one = world.start(ONE)
    world.start(ORIGINAL)
    world.settle(0.1)
    counts = []
    for _ in range(3):
        for _ in range(2):
            for which in ("old", "replaced"):
                one.arrive(datagram(header(COPIES[which], ONE), heartbeat(1, 2)))
                world.settle(0.01)
        counts.append(peer_counts(one, 2)["refusals"])
        world.settle(1.0)
    assert counts == [2, 4, 6]


def test_incarnations_without_end_are_refused_a_few_times_a_second() -> None:
    """A header with another one is written by anybody who has seen one: no flood comes of it."""
    world = World()
    one = world.start(ONE)
    world.start(ORIGINAL)
    world.settle(0.1)
    for number in range(1, 200):
        one.arrive(datagram(header(identity(2, store_id=number), ONE), heartbeat(1, 2)))
    world.settle(0.9)
    assert peer_counts(one, 2)["refusals"] == MOST_REFUSED
    world.settle(0.2)
    one.arrive(datagram(header(COPIES["replaced"], ONE), heartbeat(1, 2)))
    world.settle()
    assert peer_counts(one, 2)["refusals"] == MOST_REFUSED + 1


def test_the_original_takes_up_no_refusal_of_its_copy(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    one, original = world.start(ONE), world.start(ORIGINAL)
    world.settle(0.1)
    before = world.network.sent
    for copy in COPIES.values():
        one.arrive(datagram(header(copy, ONE), heartbeat(1, 2)))
    world.settle()
    assert peer_counts(one, 2)["refusals"] == 3
    assert world.network.sent - before == 6, "a refusal for each, and the original's bare answer to each"
    assert original.refused_by(1) is None
    assert not any("refuses" in record.getMessage() for record in caplog.records)
    original.send(heartbeat(1, 2, commit=4))
    original.flush()
    world.settle()
    assert commits(world.take(1)) == [4], "it is heard as before"


def test_a_copy_is_not_refused_any_more_once_it_is_taken() -> None:
    """It has been started more often than the original was heard, or the peer has forgotten."""
    world, copy = after_the_original(COPIES["old"])
    world.settle(1.5)
    assert copy.refused_by(1) is not None
    world.start(identity(1, counter=2))
    world.settle(1.5)
    assert copy.refused_by(1) is None


def test_a_refusal_of_a_peer_that_is_gone_does_not_stand() -> None:
    world, copy = after_the_original(COPIES["old"])
    world.settle(1.5)
    assert copy.refused_by(1) is not None
    world.network.disconnect(1)
    world.settle(10.0)
    assert not copy.reachable(1)
    assert copy.refused_by(1) is None


@pytest.mark.parametrize(
    "changes",
    [{"to_boot": boot(1)}, {"to_boot": 0, "to_store": 0}, {"to_store": 0xBAD}, {"from_store": 0xBAD}, {"from_": 9}],
)
def test_only_the_pinned_peer_refuses_and_only_exactly_this_incarnation(changes: dict[str, int]) -> None:
    world = World()
    world.start(ONE)
    copy = world.start(COPIES["old"])
    world.settle()
    builder = DatagramBuilder(header(ONE, COPIES["old"], **changes), 512)
    builder.add_frame(FRAME_REFUSAL, encode_refusal(Refusal.OLDER_START))
    copy.arrive(builder.finish())
    assert copy.refused_by(1) is None
    builder = DatagramBuilder(header(ONE, COPIES["old"]), 512)
    builder.add_frame(FRAME_REFUSAL, encode_refusal(Refusal.OLDER_START))
    copy.arrive(builder.finish())
    assert copy.refused_by(1) is not None
    copy.arrive(bare(header(ONE, COPIES["old"])))
    assert copy.refused_by(1) is None, "whoever says anything else to this incarnation takes it"


@pytest.mark.parametrize("body", [b"", b"\1", b"\2\1", b"\1\0", b"\1\x09"])
def test_malformed_refusals_only_count(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_refusal(body)
    world = World()
    one, _ = world.pair()
    builder = DatagramBuilder(header(identity(2), ONE), 512)
    builder.add_frame(FRAME_REFUSAL, body)
    one.arrive(builder.finish())
    assert one.refused_by(2) is None
    assert peer_counts(one, 2)["malformed_hello"] == 1


def test_refusal_round_trip_and_room_for_later() -> None:
    for reason in Refusal:
        assert decode_refusal(encode_refusal(reason) + b"from a later version") is reason


def test_a_transport_frame_of_a_later_version_is_passed_over() -> None:
    world = World()
    one, _ = world.pair()
    builder = DatagramBuilder(header(identity(2), ONE), 512)
    builder.add_frame(200, b"whatever")
    builder.add(heartbeat(1, 2, commit=8))
    one.arrive(builder.finish())
    assert commits(world.take(1)) == [8]
    assert peer_counts(one, 2)["malformed_hello"] == 0


def test_a_peer_that_speaks_for_another_cluster_is_named_while_it_does() -> None:
    world = World()
    one = world.start(ONE)
    other = identity(2, cluster_id=CLUSTER + 1)
    world.start(other)
    world.settle()
    reason = one.refused_by(2)
    assert reason is not None
    assert all(word in reason for word in ("node 2, at 127.0.0.1:7102", hex(CLUSTER), hex(CLUSTER + 1)))
    assert world.transports[2].refused_by(1) is not None, "as strange to it"
    assert one.refused_by(3) is None
    world.network.disconnect(2)
    world.settle(FOREIGN_FOR_S + 0.5)
    assert one.refused_by(2) is None


def test_a_stranger_that_uses_the_id_of_a_peer_that_is_there_changes_nothing() -> None:
    world = World()
    one, _ = world.pair()
    one.arrive(bare(header(identity(2, cluster_id=CLUSTER + 1), ONE)))
    assert one.refused_by(2) is None
