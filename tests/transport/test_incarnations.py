"""Identity at work: each foreign or outdated datagram does nothing but count."""

from __future__ import annotations

import logging

import pytest

from raftcore.wire.codec import DatagramBuilder, Header
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.types import Heard, LocalIdentity
from raftpy.transport import MemoryTransport
from raftpy.transport.identity.refusal import FRAME_REFUSAL, Refusal, encode_refusal
from tests.transport.support import (
    CLUSTER,
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
    store,
)

ONE, TWO = identity(1), identity(2)

# What arrives at node 2 in its first incarnation, which has heard node 1 in its third; and the counter it goes under.
SPEAKER = identity(1, counter=3)
FOREIGN = {
    "of another cluster": (header(SPEAKER, TWO, cluster_id=CLUSTER + 1), "node", "wrong_cluster"),
    "for another node": (header(SPEAKER, TWO, to=3), "node", "misdirected"),
    "from no member": (header(SPEAKER, TWO, from_=9), "node", "unknown_peer"),
    "from our own id": (header(SPEAKER, TWO, from_=2), "node", "unknown_peer"),
    "from store 0": (header(SPEAKER, TWO, from_store=0), "node", "malformed"),
    "from boot 0": (header(SPEAKER, TWO, from_boot=0), "node", "malformed"),
    "from an older boot": (header(identity(1, counter=2), TWO), "peer", "stale_boot"),
    "from a second start of the same state": (header(SPEAKER, TWO, from_boot=boot(3, low=8)), "peer", "forked_boot"),
    "from a second store": (header(SPEAKER, TWO, from_store=0xBAD), "peer", "wrong_store"),
    "from an emptied directory": (
        header(SPEAKER, TWO, from_store=0xBAD, from_boot=boot(1), to_store=0, to_boot=0),
        "peer",
        "wrong_store",
    ),
}


def listening() -> tuple[World, MemoryTransport]:
    """Node 2, which has heard node 1's third incarnation."""
    world = World()
    transport = world.start(TWO)
    world.settle()
    transport.arrive(datagram(header(SPEAKER, TWO), heartbeat(2, commit=1)))
    assert commits(world.take(2)) == [1]
    return world, transport


@pytest.mark.parametrize("with_frames", [True, False], ids=["frames", "bare"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_datagram_only_counts(what: str, times: int, with_frames: bool) -> None:
    world, transport = listening()
    head, where, counter = FOREIGN[what]
    before_node, before_peer, sent = node_counts(transport), peer_counts(transport, 1), world.network.sent
    told = counter in ("stale_boot", "forked_boot", "wrong_store")  # it is refused, once a second: see test_refusals.py
    for _ in range(times):
        transport.arrive(datagram(head, heartbeat(head.to)) if with_frames else bare(head))
    assert world.take(2) == []
    world.settle()
    assert world.network.sent == sent + told, "nobody is answered"
    node, peer = changed(before_node, node_counts(transport)), changed(before_peer, peer_counts(transport, 1))
    assert [peer.pop(name, 0) for name in ("refusals", "sent", "sent_bytes")] == ([1, 1, 82] if told else [0, 0, 0])
    assert (node, peer) == (({counter: times}, {}) if where == "node" else ({}, {counter: times}))
    transport.arrive(datagram(header(SPEAKER, TWO), heartbeat(2, commit=2)))
    assert commits(world.take(2)) == [2], "the real peer is heard as before"
    assert peer_counts(transport, 1)["boot"] == SPEAKER.boot


@pytest.mark.parametrize(
    ("said_to", "counter"),
    [
        ({"to_store": 0, "to_boot": 0}, "probes"),
        ({"to_boot": boot(0, low=1)}, "other_incarnation"),
        ({"to_boot": boot(2)}, "other_incarnation"),
        ({"to_boot": boot(1, low=8)}, "other_incarnation"),
        ({"to_store": 0xBAD}, "other_incarnation"),
    ],
)
def test_what_another_incarnation_is_told_is_answered_by_a_bare_header(said_to: dict[str, int], counter: str) -> None:
    world, transport = listening()
    sent: list[bytes] = []
    world.network.filter = lambda from_, to, what: bool(sent.append(what))
    before = peer_counts(transport, 1)
    transport.arrive(datagram(header(SPEAKER, TWO, **said_to), heartbeat(2)))
    assert world.take(2) == []
    assert sent == [bare(header(TWO, SPEAKER))]
    assert changed(before, peer_counts(transport, 1)) == {counter: 1, "answers": 1, "sent": 1, "sent_bytes": 64}


def test_a_flood_to_an_earlier_incarnation_is_answered_once_a_pass() -> None:
    world = World()
    transport = MemoryTransport(world.network)
    transport.start(TWO, lambda: None)
    for _ in range(50):
        transport.arrive(datagram(header(SPEAKER, identity(2, counter=0)), heartbeat(2)))
    assert transport.receive() == []
    counts = peer_counts(transport, 1)
    assert (counts["other_incarnation"], counts["answers"]) == (50, 1)


def test_newer_incarnation_replaces_the_older_and_stays() -> None:
    world, transport = listening()
    newer = identity(1, counter=4)
    transport.arrive(datagram(header(newer, TWO), heartbeat(2, commit=7)))
    assert commits(world.take(2)) == [7], "it knows this incarnation of ours: given on at once"
    for said in (bare(header(SPEAKER, 2)), bare(header(SPEAKER, TWO)), datagram(header(SPEAKER, TWO))):
        transport.arrive(said)
    assert world.take(2) == []
    counts = peer_counts(transport, 1)
    assert (counts["boot"], counts["stale_boot"], counts["incarnations"]) == (newer.boot, 3, 2)


def test_delayed_over_a_restart_of_the_receiver() -> None:
    world, transport = listening()
    late = datagram(header(SPEAKER, TWO), heartbeat(2, commit=9))
    transport = world.start(identity(2, counter=2))
    transport.arrive(late)
    assert world.take(2) == []
    assert peer_counts(transport, 1)["other_incarnation"] == 1


def test_delayed_over_a_restart_of_both() -> None:
    world = World()
    world.start(ONE)
    world.start(TWO)
    world.settle()
    late = datagram(header(ONE, TWO), heartbeat(2, commit=9))
    late_back = datagram(header(TWO, ONE), heartbeat(1, 2, commit=9))
    one, two = world.start(identity(1, counter=2)), world.start(identity(2, counter=2))
    world.settle()
    world.take(1), world.take(2)
    assert one.reachable(2)
    assert two.reachable(1)
    two.arrive(late)
    one.arrive(late_back)
    world.settle()
    assert world.take(1) == world.take(2) == []
    assert peer_counts(two, 1)["stale_boot"] == peer_counts(one, 2)["stale_boot"] == 1


def test_delayed_bare_header_of_an_earlier_incarnation_teaches_nothing() -> None:
    world = World()
    world.start(ONE)
    world.start(TWO)
    world.settle()
    world.start(identity(1, counter=2))
    world.settle()
    two = world.transports[2]
    two.arrive(bare(header(ONE, TWO)))
    assert peer_counts(two, 1)["boot"] == boot(2)
    world.transports[1].send(heartbeat(2, commit=4))
    world.transports[1].flush()
    world.settle()
    assert commits(world.take(2)) == [4]


def test_a_late_word_from_an_earlier_incarnation_to_a_newborn_does_no_harm() -> None:
    """Before node 1's present incarnation is heard an earlier one is believed; the present one corrects it."""
    world = World()
    world.network.disconnect(1)
    world.start(identity(1, counter=2))
    two = world.start(TWO)
    world.settle()
    two.arrive(bare(header(ONE, 2)))
    assert peer_counts(two, 1)["boot"] == boot(1)
    world.network.reconnect(1)
    two.send(heartbeat(1, 2, commit=1))
    two.flush()
    world.settle()
    assert commits(world.take(1)) == []
    assert peer_counts(two, 1)["boot"] == boot(2), "the answer has set it right"
    two.send(heartbeat(1, 2, commit=2))
    two.flush()
    world.settle()
    assert commits(world.take(1)) == [2]


def test_repeated_probe_is_answered_each_time_and_changes_nothing() -> None:
    world, transport = listening()
    before = peer_counts(transport, 1)
    for _ in range(3):
        transport.arrive(bare(header(SPEAKER, 2)))
    assert changed(before, peer_counts(transport, 1)) == {"probes": 3, "answers": 3, "sent": 3, "sent_bytes": 192}


def test_repeated_bare_match_says_nothing() -> None:
    world, transport = listening()
    for _ in range(3):
        transport.arrive(bare(header(SPEAKER, TWO)))
    assert world.take(2) == []
    assert peer_counts(transport, 1)["answers"] == 0


# --- Pins ---------------------------------------------------------------------------------------------------------


def test_first_store_heard_is_pinned_once_and_before_it_is_believed() -> None:
    world = World()
    transport = MemoryTransport(world.network)
    calls: list[tuple[int, int, int]] = []

    def pin(node_id: int, store_id: int) -> None:
        calls.append((node_id, store_id, peer_counts(transport, 1)["boot"]))

    transport.start(TWO, lambda: None, pin)
    for head in (header(ONE, TWO), header(ONE, 2), header(identity(1, counter=2), TWO)):
        transport.arrive(datagram(head))
        transport.receive()
    assert calls == [(1, store(1), 0)]


@pytest.mark.parametrize(
    "head",
    [
        header(ONE, TWO, cluster_id=CLUSTER + 1),
        header(ONE, TWO, to=3),
        header(ONE, TWO, from_=9),
        header(ONE, TWO, from_boot=0),
    ],
)
def test_pinned_only_by_a_datagram_of_this_cluster_for_this_node(head: Header) -> None:
    world = World()
    transport = world.start(TWO)
    transport.arrive(bare(head))
    damaged = bytearray(datagram(header(ONE, TWO)))
    damaged[-1] ^= 1
    transport.arrive(bytes(damaged))
    assert world.pinned == []
    assert peer_counts(transport, 1)["store_id"] == 0


def test_a_pin_that_cannot_be_kept_is_raised_and_nothing_is_believed() -> None:
    world = World()
    transport = MemoryTransport(world.network)

    def pin(node_id: int, store_id: int) -> None:
        raise StorageFailed("the disk is gone")

    transport.start(TWO, lambda: None, pin)
    transport.arrive(datagram(header(ONE, TWO)))
    with pytest.raises(StorageFailed, match="the disk is gone"):
        transport.receive()
    counts = peer_counts(transport, 1)
    assert (counts["boot"], counts["received"]) == (0, 0)


def test_a_pin_from_the_store_is_kept_over_restarts() -> None:
    world = World()
    transport = world.start(identity(2, pins={1: 0x77}))
    transport.arrive(bare(header(ONE, 2)))
    assert world.pinned == []
    assert peer_counts(transport, 1)["wrong_store"] == 1
    transport.arrive(bare(header(identity(1, store_id=0x77), 2)))
    assert world.pinned == [], "it is pinned already"
    assert peer_counts(transport, 1)["store_id"] == 0x77


def test_a_pin_outlives_removal_and_return() -> None:
    world, transport = listening()
    members = dict(TWO.members)
    del members[1]
    transport.change_peers(members)
    transport.change_peers(TWO.members)
    transport.arrive(bare(header(identity(1, counter=9, store_id=0xBAD), TWO)))
    assert peer_counts(transport, 1)["wrong_store"] == 1


def test_the_member_table_binds_a_peer_to_another_store() -> None:
    world, transport = listening()
    assert transport.heard(1).store_id == SPEAKER.store_id
    transport.send(append(1, 3))  # waits for flush, and was meant for the other store
    transport.pin(1, 0x77)
    assert (transport.heard(1), transport.reachable(1)) == (Heard(0x77, None), False)
    transport.arrive(datagram(header(SPEAKER, TWO), heartbeat(2, commit=2)))
    assert world.take(2) == []
    assert peer_counts(transport, 1)["wrong_store"] == 1
    other = identity(1, counter=1, store_id=0x77)
    transport.flush()
    assert peer_counts(transport, 1)["messages_dropped"] == 1
    transport.arrive(datagram(header(other, TWO), heartbeat(2, commit=3)))
    assert commits(world.take(2)) == [3]
    assert (peer_counts(transport, 1)["store_id"], transport.reachable(1)) == (0x77, True)
    assert world.pinned == [(2, 1, SPEAKER.store_id)], "whoever binds it has made that durable"


def test_binding_a_peer_to_the_store_it_has_disturbs_nothing() -> None:
    world, transport = listening()
    before = peer_counts(transport, 1)
    transport.pin(1, SPEAKER.store_id)
    transport.pin(9, 0x99)  # no member: kept for when it is one
    assert peer_counts(transport, 1) == before
    transport.arrive(datagram(header(SPEAKER, TWO), heartbeat(2, commit=2)))
    assert commits(world.take(2)) == [2]


def test_binding_an_unheard_peer_keeps_what_waits_for_it() -> None:
    world = World()
    transport = world.start(TWO)
    transport.send(append(1, 3))
    transport.pin(1, ONE.store_id)
    assert transport.heard(1) == Heard(ONE.store_id, None)
    transport.arrive(bare(header(identity(1, store_id=0xBAD), 2)))
    assert peer_counts(transport, 1)["wrong_store"] == 1
    transport.arrive(bare(header(ONE, TWO)))
    transport.receive()
    assert peer_counts(transport, 1)["messages_dropped"] == 0
    assert world.pinned == []


# --- Telling the operator -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("of another cluster", ["another cluster", hex(CLUSTER), hex(CLUSTER + 1)]),
        ("for another node", ["for node 3", "node 1 has a wrong address"]),
        ("from a second store", ["node 1", "0xbad", hex(store(1)), "new node id"]),
        ("from a second start of the same state", ["node 1", "started twice"]),
    ],
)
def test_warned_once(what: str, words: list[str], caplog: pytest.LogCaptureFixture) -> None:
    _, transport = listening()
    with caplog.at_level(logging.WARNING, "raftpy.transport"):
        for _ in range(5):
            transport.arrive(bare(FOREIGN[what][0]))
    [line] = [record.getMessage() for record in caplog.records]
    assert all(word in line for word in ["node 2:", *words])


def test_warnings_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    _, transport = listening()
    for cluster_id in range(1000):
        transport.arrive(bare(header(SPEAKER, TWO, cluster_id=cluster_id)))
    assert len(caplog.records) == 100


def test_a_flood_of_one_kind_leaves_room_for_the_warnings_of_others(caplog: pytest.LogCaptureFixture) -> None:
    world, transport = listening()
    for number in range(1000):
        transport.arrive(bare(header(SPEAKER, TWO, cluster_id=number)))
        transport.arrive(bare(header(SPEAKER, TWO, to=3 + number)))
    caplog.clear()
    refusal = DatagramBuilder(header(SPEAKER, TWO), 512)
    refusal.add_frame(FRAME_REFUSAL, encode_refusal(Refusal.OLDER_START))
    transport.arrive(refusal.finish())
    transport.send(append(1, 64_000, from_=2))
    transport.flush()
    world.settle()
    refused, oversized = (record.getMessage() for record in caplog.records)
    assert "refuses this node" in refused
    assert "above max_datagram" in oversized


# --- Two real ends ------------------------------------------------------------------------------------------------


def test_restarts_in_every_order_end_in_talking(seed: int) -> None:
    """Random restarts, losses, copies and delays; when they stop, messages pass in both directions."""
    from random import Random

    from raftpy.transport import Unreliable

    source = Random(seed)
    for _ in range(20):
        bad = Unreliable(delay_ms=(0, 30), drop_rate=0.2, long_delay_rate=0.1, duplicate_rate=0.3)
        world = World(source.randrange(2**32), bad)
        incarnations: dict[int, LocalIdentity] = {1: ONE, 2: TWO}
        for own in incarnations.values():
            world.start(own)
        for step in range(60):
            who = source.choice((1, 2))
            if source.random() < 0.15:
                counter = (incarnations[who].boot >> 32) + 1
                incarnations[who] = identity(who, counter=counter, boot=boot(counter, source.randrange(2**32)))
                world.start(incarnations[who])
            else:
                world.transports[who].send(append(3 - who, 10, who, index=step))
                world.transports[who].flush()
            world.settle(source.random() * 0.02)
        world.network.unreliable = Unreliable((0, 0), long_delay_rate=0, drop_rate=0)
        for own in incarnations.values():
            world.transports[own.node_id].send(heartbeat(3 - own.node_id, own.node_id))
            world.transports[own.node_id].flush()
        world.settle(2.5)
        world.take(1), world.take(2)
        for who in (1, 2):
            world.transports[who].send(heartbeat(3 - who, who, commit=99))
            world.transports[who].flush()
        world.settle()
        for who in (1, 2):
            assert commits(world.take(who)) == [99]
            assert peer_counts(world.transports[who], 3 - who)["boot"] == incarnations[3 - who].boot
            assert peer_counts(world.transports[who], 3 - who)["wrong_store"] == 0


def test_a_restart_is_noticed_both_ways_without_any_message() -> None:
    world = World()
    world.pair()
    world.start(identity(2, counter=2))
    world.settle()
    assert peer_counts(world.transports[1], 2)["boot"] == boot(2)
    assert peer_counts(world.transports[2], 1)["boot"] == boot(1)
    world.transports[1].send(heartbeat(2, commit=3))
    world.transports[1].flush()
    world.settle()
    assert [m.commit for m in messages(world.take(2))] == [3]
