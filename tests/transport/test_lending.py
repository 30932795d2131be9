"""Builders lent to an outbox: what the core encodes straight into datagrams, and what becomes of it."""

from __future__ import annotations

from raftcore.api.outbox import Outbox
from raftcore.api.raw_node import RawNode
from raftcore.base.config import Config
from raftcore.base.types import MessageType
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.values.message import ConfState, Message
from raftcore.values.storage_view import InitialState
from raftpy.transport import MemoryTransport
from tests.transport.support import MEMBERS, World, append, boot, identity, messages, node_counts, peer_counts, store

HUNDRED = 100


def core() -> RawNode:
    """Node 1 of three. A campaign of its own sends at once."""
    config = Config(
        id=1, election_tick=10, heartbeat_tick=1, async_storage_writes=True, seed=1, votes_before_write=True
    )
    return RawNode(config, InitialState(conf_state=ConfState((1, 2, 3))), MemoryStorage())


def leader(outbox: Outbox) -> RawNode:
    """The same, elected by node 2; nothing of that is left in the outbox."""
    node = core()
    node.campaign()
    node.collect(outbox)
    node.written(outbox.appends, outbox)
    node.step(Message(type=MessageType.MsgVoteResp, to=1, from_=2, term=node.term))
    return node


def propose(node: RawNode, outbox: Outbox, command: bytes) -> None:
    node.propose([command])
    node.collect(outbox)


def kinds(datagrams: list[bytes]) -> list[MessageType]:
    return [MessageType(message.type) for message in messages(datagrams)]


def lent(world: World, transport: MemoryTransport) -> Outbox:
    outbox = Outbox()
    transport.lend_builders(outbox)
    world.settle()
    return outbox


def test_what_the_core_encodes_leaves_with_the_next_flush() -> None:
    world = World()
    one, _ = world.pair()
    outbox = lent(world, one)
    node = core()
    node.campaign()
    node.collect(outbox)
    assert [message.to for message in outbox.messages] == [3], "node 3 has not been heard: no builder of its is lent"
    before = peer_counts(one, 2)
    world.settle()
    assert world.take(2) == []
    one.flush()
    world.settle()
    [datagram] = world.take(2)
    assert kinds([datagram]) == [MessageType.MsgVote]
    after = peer_counts(one, 2)
    assert after["sent"] - before["sent"] == 1
    assert after["sent_bytes"] - before["sent_bytes"] == len(datagram)
    one.flush()
    world.settle()
    assert world.take(2) == []


def test_a_message_that_was_sent_shares_the_datagram() -> None:
    world = World()
    one, _ = world.pair()
    outbox = lent(world, one)
    one.send(append(2, 10))
    node = core()
    node.campaign()
    node.collect(outbox)
    one.flush()
    world.settle()
    [datagram] = world.take(2)
    assert kinds([datagram]) == [MessageType.MsgApp, MessageType.MsgVote]


def test_a_peer_is_lent_for_once_it_is_heard() -> None:
    world = World()
    one, _ = world.pair()
    outbox = lent(world, one)
    world.start(identity(3))
    world.settle()
    node = core()
    node.campaign()
    node.collect(outbox)
    assert outbox.messages == []
    one.flush()
    world.settle()
    assert kinds(world.take(3)) == [MessageType.MsgVote]


def test_full_datagrams_leave_before_the_open_one() -> None:
    world = World()
    one = world.start(identity(1), max_datagram=512)
    world.start(identity(2), max_datagram=512)
    world.settle()
    outbox = lent(world, one)
    node = leader(outbox)
    node.collect(outbox)
    one.flush()
    world.settle()
    world.take(2)
    first = node.last_index + 1
    node.step(Message(type=MessageType.MsgAppResp, to=1, from_=2, term=node.term, index=node.last_index))
    for _ in range(5):
        propose(node, outbox, b"x" * HUNDRED)
    assert {to for to, _ in outbox.full} == {2}
    one.flush()
    assert outbox.full == []
    world.settle()
    taken = world.take(2)
    assert len(taken) > 1
    assert all(len(datagram) <= 512 for datagram in taken)
    indexes = [entry.index for m in messages(taken) if m.entries is not None for entry in m.entries]
    assert indexes == list(range(first, first + 5))


def test_what_was_encoded_for_an_ended_incarnation_is_dropped_and_counted() -> None:
    world = World()
    one = world.start(identity(1), max_datagram=512)
    world.start(identity(2), max_datagram=512)
    world.settle()
    outbox = lent(world, one)
    node = leader(outbox)
    node.collect(outbox)
    one.flush()
    node.step(Message(type=MessageType.MsgAppResp, to=1, from_=2, term=node.term, index=node.last_index))
    for _ in range(5):
        propose(node, outbox, b"x" * HUNDRED)
    assert outbox.full
    before = peer_counts(one, 2)
    world.start(identity(2, counter=2), max_datagram=512)
    world.settle()
    assert outbox.full == []
    after = peer_counts(one, 2)
    assert after["boot"] == boot(2)
    assert after["messages_dropped"] - before["messages_dropped"] == 5
    world.take(2)
    one.flush()
    world.settle()
    assert world.take(2) == []
    propose(node, outbox, b"y")  # and to the new incarnation it goes on
    one.flush()
    world.settle()
    assert kinds(world.take(2)) == [MessageType.MsgApp]


def test_a_peer_that_is_no_member_any_more_is_lent_for_no_more() -> None:
    world = World()
    one, _ = world.pair()
    outbox = lent(world, one)
    one.change_peers({1: MEMBERS[1]})
    node = core()
    node.campaign()
    node.collect(outbox)
    assert sorted(message.to for message in outbox.messages) == [2, 3]
    before = node_counts(one)["unknown_target"]
    for message in outbox.messages:
        one.send(message)
    assert node_counts(one)["unknown_target"] - before == 2


def test_a_peer_bound_to_another_store_is_lent_for_no_more() -> None:
    world = World()
    one, _ = world.pair()
    outbox = lent(world, one)
    one.pin(2, store(2) + 1)
    node = core()
    node.campaign()
    node.collect(outbox)
    assert sorted(message.to for message in outbox.messages) == [2, 3]


def test_a_transport_that_begins_a_new_incarnation_lends_nothing_of_its_old_one() -> None:
    world = World()
    one, _ = world.pair()
    outbox = lent(world, one)
    one.close()
    one.start(identity(1, counter=2), lambda: None)
    node = core()
    node.campaign()
    node.collect(outbox)
    assert sorted(message.to for message in outbox.messages) == [2, 3]
