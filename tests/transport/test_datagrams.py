"""Coalescing, hello, probing and waiting, and hostile bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from raftcore.base.errors import ConfigError
from raftcore.base.types import MessageType
from raftcore.values.message import ConfState, Message, Snapshot
from raftcore.wire.codec import frames, max_command
from raftcore.wire.path_size import SEALING
from raftpy.contracts.types import Oversized
from raftpy.transport import MemoryTransport
from raftpy.transport.identity.peer import HELD_FOR_S, PROBE_PERIOD_S
from tests.transport.support import (
    MEMBERS,
    World,
    append,
    bare,
    boot,
    changed,
    commits,
    datagram,
    header,
    heartbeat,
    identity,
    messages,
    node_counts,
    peer_counts,
)

ONE, TWO = identity(1), identity(2)


def frames_of(one: bytes) -> int:
    return sum(1 for _ in frames(one, 64))


# --- Coalescing ---------------------------------------------------------------------------------------------------


def test_messages_of_one_flush_share_a_datagram_in_order() -> None:
    world = World()
    one, _ = world.pair()
    for commit in range(5):
        one.send(heartbeat(2, commit=commit), group=commit)
    world.settle()
    assert world.take(2) == [], "nothing leaves before flush"
    one.flush()
    world.settle()
    [only] = world.take(2)
    assert commits([only]) == [0, 1, 2, 3, 4]
    assert [group for group, _, _ in frames(only, 64)] == [0, 1, 2, 3, 4]
    before = world.network.sent
    one.flush()
    assert world.network.sent == before, "a second flush has nothing to send"


def test_full_datagrams_are_closed_and_keep_their_order() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO)
    world.settle()
    sent = [append(2, 300, index=index) for index in range(20)]
    for message in sent:
        one.send(message)
    one.flush()
    world.settle()
    received = world.take(2)
    assert messages(received) == [decoded(message) for message in sent]
    assert all(len(each) <= 1200 for each in received)
    assert [frames_of(each) for each in received] == [2] * 10
    assert peer_counts(one, 2)["messages_dropped"] == 0
    one.send(heartbeat(2, commit=77))
    one.flush()
    world.settle()
    assert commits(world.take(2)) == [77], "what has left does not leave again"


def decoded(message: Message) -> Message:
    """A message as its receiver sees it: from and to stand in the datagram's header."""
    return Message(
        type=message.type,
        term=message.term,
        log_term=message.log_term,
        index=message.index,
        commit=message.commit,
        entries=message.entries,
    )


def test_each_peer_has_its_own_datagram() -> None:
    world = World()
    one, _ = world.pair()
    world.start(identity(3))
    world.settle()
    one.send(heartbeat(2, commit=2))
    one.send(heartbeat(3, commit=3))
    one.send(heartbeat(2, commit=22))
    one.flush()
    world.settle()
    assert commits(world.take(2)) == [2, 22]
    assert commits(world.take(3)) == [3]


def test_largest_command_fits_a_datagram_and_one_byte_more_gets_a_larger_one() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO, earlier=True)
    world.settle()
    assert one.max_command == max_command(1200 - SEALING)
    one.send(append(2, one.max_command))
    one.flush()
    world.settle()
    [datagram] = world.take(2)
    [message] = messages([datagram])
    assert message.entries is not None
    assert message.entries.payload_size == one.max_command
    assert len(datagram) <= 1200 - SEALING
    assert one.oversized(2) is None
    sent = [heartbeat(2, commit=5), append(2, 40_000, index=7), heartbeat(2, commit=6)]
    for message in sent:
        one.send(message)
    one.flush()
    world.settle()
    received = world.take(2)
    assert messages(received) == [decoded(message) for message in sent], "the log holds it: it has to arrive, in order"
    assert [len(each) > 1200 for each in received] == [False, True, False]
    assert one.oversized(2) == Oversized(8, len(received[1]), world.clock.monotonic())
    counts = peer_counts(one, 2)
    assert (counts["oversized"], counts["too_large"], counts["messages_dropped"]) == (1, 0, 0)


def test_a_message_that_is_too_large_again_and_again_dates_from_the_first_time() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO, earlier=True)
    world.settle()
    first = world.clock.monotonic()
    for index, since in ((7, first), (7, first), (9, first + 2), (9, first + 2)):
        one.send(append(2, 2000, index=index))
        oversized = one.oversized(2)
        assert oversized is not None
        assert (oversized.index, oversized.since_s) == (index + 1, pytest.approx(since))
        world.settle(1.0)
    assert one.oversized(3) is None
    assert one.oversized(9) is None


def test_what_no_datagram_holds_at_all_is_dropped_and_the_rest_goes_on() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO, earlier=True)
    world.settle()
    one.send(append(2, 65_507, index=7))
    one.send(heartbeat(2, commit=6))
    one.flush()
    world.settle()
    assert commits(world.take(2)) == [6]
    assert peer_counts(one, 2)["too_large"] == 1
    oversized = one.oversized(2)
    assert oversized is not None
    assert (oversized.index, oversized.size) == (8, 0)
    assert "cannot fit a datagram of 65507" in oversized.refused


def test_what_is_too_large_does_not_wait_for_a_peer_that_was_not_heard() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    one.send(heartbeat(2, commit=5))
    one.send(append(2, 2000, index=7))
    one.flush()
    world.start(TWO)
    world.settle()
    received = world.take(2)
    assert commits(received) == [5]
    assert all(len(each) <= 1200 for each in received)
    assert peer_counts(one, 2)["messages_dropped"] == 1


def test_snapshot_beyond_a_datagram_is_dropped_and_counted() -> None:
    world = World()
    one = world.start(ONE)
    world.start(TWO, earlier=True)
    world.settle()
    many = ConfState(range(1, 9000))  # a snapshot's bytes never travel in it: all that grows is its configuration
    one.send(Message(type=MessageType.MsgSnap, to=2, from_=1, term=1, snapshot=Snapshot(5, 1, many)))
    one.flush()
    assert peer_counts(one, 2)["too_large"] == 1
    oversized = one.oversized(2)
    assert oversized is not None
    assert oversized.index == 5


def test_message_for_no_member_is_counted() -> None:
    world = World()
    one, _ = world.pair()
    one.send(heartbeat(9))
    one.send(heartbeat(1))
    assert node_counts(one)["unknown_target"] == 2


@pytest.mark.parametrize("size", [0, 511, 65_508, -1])
def test_max_datagram_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match=rf"max_datagram={size}: allowed is 512 to 65507 bytes"):
        MemoryTransport(World().network, max_datagram=size)


# --- Getting to know each other -----------------------------------------------------------------------------------


def test_started_one_after_the_other_they_know_each_other_before_any_message() -> None:
    world = World()
    for node_id in (1, 2, 3):
        world.start(identity(node_id))
        world.settle()
    for node_id, transport in world.transports.items():
        for other in MEMBERS.keys() - {node_id}:
            assert transport.reachable(other)
            assert transport.http_address(other) == f"127.0.0.1:{8100 + other}"
        assert transport.http_address(node_id) == f"127.0.0.1:{8100 + node_id}"
        assert transport.http_address(9) is None
    assert all(world.take(node_id) == [] for node_id in MEMBERS), "hellos are not given on"
    assert sorted(world.pinned) == [(a, b, 0x5700 + b) for a in MEMBERS for b in MEMBERS if a != b]


def test_an_election_does_not_lose_its_first_round_to_a_lost_probe() -> None:
    """Both probes at start are lost; the vote request waits for the next one's answer."""
    world = World()
    world.network.disconnect(2)
    one = world.start(ONE)
    world.start(TWO)
    world.settle(0.15)
    world.network.reconnect(2)
    one.send(heartbeat(2, commit=1))
    one.flush()
    world.settle()
    assert commits(world.take(2)) == [1], "probe, answer and message, with no time passing"


def test_what_waits_is_probed_for_again_but_not_too_often() -> None:
    world = World()
    one = world.start(ONE)
    world.settle(PROBE_PERIOD_S)
    probes = peer_counts(one, 2)["probes_sent"]
    for _ in range(10):
        one.send(heartbeat(2))
        one.flush()
    assert peer_counts(one, 2)["probes_sent"] == probes + 1
    world.settle(PROBE_PERIOD_S)
    one.send(heartbeat(2))
    one.flush()
    assert peer_counts(one, 2)["probes_sent"] == probes + 2


def test_at_most_one_datagram_waits_and_the_newest_stay() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    for index in range(1, 8):
        one.send(append(2, 300, index=index))
        one.flush()
    assert peer_counts(one, 2)["messages_dropped"] >= 4
    world.start(TWO)
    world.settle()
    received = world.take(2)
    assert len(received) == 1
    assert len(received[0]) <= 1200
    indexes = [message.index for message in messages(received)]
    assert indexes == list(range(8 - len(indexes), 8))
    assert len(indexes) + peer_counts(one, 2)["messages_dropped"] == 7


@pytest.mark.parametrize(("waited_s", "arrives"), [(HELD_FOR_S * 0.9, True), (HELD_FOR_S * 1.1, False)])
def test_what_waited_too_long_is_given_up(waited_s: float, arrives: bool) -> None:
    world = World()
    one = world.start(ONE)
    world.settle(0.5)
    one.send(heartbeat(2, commit=1))
    one.flush()
    world.settle(waited_s)
    world.start(TWO)
    world.settle()
    assert commits(world.take(2)) == ([1] if arrives else [])
    assert peer_counts(one, 2)["messages_dropped"] == (0 if arrives else 1)


def test_what_waited_too_long_makes_way_for_what_comes() -> None:
    world = World()
    one = world.start(ONE)
    one.send(heartbeat(2, commit=1))
    one.flush()
    world.settle(HELD_FOR_S * 1.1)
    one.send(heartbeat(2, commit=2))
    one.flush()
    world.settle(HELD_FOR_S * 0.5)
    world.start(TWO)
    world.settle()
    assert commits(world.take(2)) == [2]


def test_what_is_queued_for_an_incarnation_that_ended_is_not_told_to_the_next() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO)
    world.settle()
    for index in range(1, 8):
        one.send(append(2, 300, index=index))
    world.start(identity(2, counter=2))
    world.settle()
    one.flush()
    world.settle()
    assert world.take(2) == []
    assert peer_counts(one, 2)["messages_dropped"] == 7
    assert peer_counts(world.transports[2], 1)["other_incarnation"] == 0, "it does not even travel"


def test_a_peer_that_comes_up_late_is_found_within_a_second() -> None:
    """Its own probe is lost, and nobody has anything to say."""
    world = World()
    one = world.start(ONE)
    world.network.cut(2, 1)
    two = world.start(TWO)
    world.settle(0.3)
    assert not one.reachable(2)
    world.network.heal()
    world.settle(1.0)
    assert one.reachable(2)
    assert two.reachable(1)
    assert one.http_address(2) == "127.0.0.1:8102"


# --- Hostile bytes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 63])
def test_short_datagram(size: int) -> None:
    world = World()
    one, _ = world.pair()
    one.arrive(datagram(header(TWO, ONE))[:size])
    assert node_counts(one)["malformed"] == 1


def test_every_flipped_bit_is_malformed() -> None:
    world = World()
    one, _ = world.pair()
    whole = datagram(header(TWO, ONE), append(1, 20, 2))
    before = peer_counts(one, 2)
    for at in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        one.arrive(bytes(flipped))
    assert node_counts(one)["malformed"] == len(whole) * 8
    assert changed(before, peer_counts(one, 2)) == {}
    assert world.take(1) == []


def test_mutations_never_get_past_the_checksum(seed: int) -> None:
    world = World()
    one, _ = world.pair()
    source = random.Random(seed)
    whole = datagram(header(TWO, ONE), append(1, 200, 2))
    for _ in range(3000):
        mutated = bytearray(whole)
        match source.randrange(4):
            case 0:
                del mutated[source.randrange(len(whole)) :]
            case 1:
                mutated += source.randbytes(source.randrange(1, 50))
            case 2:
                at = source.randrange(len(whole))
                mutated[at : at + 8] = source.randbytes(8)
            case _:
                mutated = bytearray(source.randbytes(source.randrange(300)))
        if bytes(mutated) != whole:
            one.arrive(bytes(mutated))
    assert world.take(1) == []
    assert one.receive() == []


def test_right_checksum_over_random_headers_never_hurts(seed: int) -> None:
    """Hostile, but well formed: any ids and incarnations. At worst it counts; nothing is raised."""
    world = World()
    one, _ = world.pair()
    source = random.Random(seed)

    def number() -> int:
        return source.choice([0, 1, 2, 3, boot(1), boot(2), boot(0, 9), ONE.store_id, TWO.store_id, ONE.cluster_id])

    for _ in range(3000):
        fields: dict[str, Any] = {
            name: number()
            for name in ("cluster_id", "from_", "to", "from_store", "from_boot", "to_store", "to_boot")
            if source.random() < 0.5
        }
        one.arrive(bare(header(TWO, ONE, **fields)))
    world.settle(0.1)
    counts = one.stats()
    assert sum(counts["node"].values()) + counts["peers"][2]["received"] > 0
    assert all(peer.incarnation.valid() for peer in one._peers.values())


# --- Life cycle ---------------------------------------------------------------------------------------------------


def test_close_is_final_and_may_be_repeated() -> None:
    world = World()
    one, two = world.pair()
    one.send(heartbeat(2))
    one.close()
    one.close()
    sent = world.network.sent
    one.flush()
    world.settle(3)
    assert world.network.sent - sent == 6, "only node 2's hellos to node 1 and probes to node 3, once a second"
    two.close()
    assert world.clock.next_due() is None, "no timer is left behind"
    assert one.receive() == []
    assert world.take(2) == []


def test_start_twice_is_a_mistake() -> None:
    world = World()
    one, _ = world.pair()
    with pytest.raises(RuntimeError, match="started already"):
        one.start(ONE, lambda: None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"store_id": 0}, "store_id=0"),
        ({"boot": 0}, "boot=0"),
        ({"node_id": 2**64}, "node_id=18446744073709551616"),
        ({"members": {2: "a:1"}}, "node 1 has no address"),
        ({"http_address": "x"}, "address 'x' has no port"),
    ],
)
def test_start_refuses_an_identity_that_is_none(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MemoryTransport(World().network).start(identity(**{"node_id": 1} | changes), lambda: None)


def test_members_come_and_go_and_move() -> None:
    world = World()
    one, two = world.pair()
    world.start(identity(4, members={**MEMBERS, 4: "127.0.0.1:7104"}))
    one.change_peers({1: MEMBERS[1], 2: "127.0.0.1:9999", 4: "127.0.0.1:7104"})
    world.settle()
    assert set(one.stats()["peers"]) == {2, 4}
    assert one.stats()["peers"][2]["address"] == "127.0.0.1:9999"
    assert one.reachable(2), "another address, but the same incarnation"
    assert one.reachable(4)
    assert not one.reachable(3)
    one.send(heartbeat(4, commit=4))
    one.send(heartbeat(2, commit=2))
    one.flush()
    world.settle()
    assert commits(world.take(4)) == [4]
    assert commits(world.take(2)) == [2]
    one.send(heartbeat(2))
    one.change_peers({1: MEMBERS[1]})
    one.flush()
    world.settle()
    assert world.take(2) == []
    two.send(heartbeat(1, 2))
    two.flush()
    world.settle()
    assert node_counts(one)["unknown_peer"] == 1
    one.change_peers(MEMBERS)
    world.settle()
    two.send(heartbeat(1, 2, commit=5))
    two.flush()
    world.settle()
    assert commits(world.take(1)) == [5]


def test_bounded_receive_wakes_again() -> None:
    """Read in a turn of its own, as a runtime that was busy does: one call for all that came, one for each rest."""
    world = World()
    one, two = world.pair()
    wakes: list[float] = []
    two._wake = lambda: wakes.append(world.clock.monotonic())
    for commit in range(25):
        one.send(heartbeat(2, commit=commit))
        one.flush()
    world.settle()
    assert len(wakes) == 1
    received: list[bytes] = []
    for expected in (10, 10, 5):
        taken = two.receive(limit=10)
        assert len(taken) == expected
        received += taken
        world.settle()
    assert commits(received) == list(range(25))
    assert len(wakes) == 3, "none after the last, which left nothing"
    assert two.receive() == []
    one.send(heartbeat(2))
    one.flush()
    one.send(heartbeat(2))
    one.flush()
    world.settle()
    assert len(two.receive(limit=1)) == len(two.receive(limit=1)) == 1
    wakes.clear()
    world.settle()
    assert wakes == [], "the rest was fetched before its turn came"
