"""How large an append may be becomes known, and changes: what the paths to the others take at a time."""

from __future__ import annotations

from raftcore import Config, ConfState, InitialState, Message, MessageType, RawNode
from raftcore.api.outbox import Outbox
from raftcore.testing.memory_storage import MemoryStorage


def leader(**settings: object) -> RawNode:
    """Of three, with 2 in replicate state and nothing on its way."""
    config = Config(id=1, max_size_per_msg=4000, async_storage_writes=True, **settings)  # type: ignore[arg-type]
    node = RawNode(config, InitialState(conf_state=ConfState(voters=(1, 2, 3))), MemoryStorage())
    node.campaign()
    drain(node)
    node.step(Message(MessageType.MsgVoteResp, from_=2, to=1, term=1))
    drain(node)
    node.step(Message(MessageType.MsgAppResp, from_=2, to=1, term=1, index=1))
    drain(node)
    return node


def drain(node: RawNode) -> list[int]:
    """Takes and reports all there is; the bytes of the appends to 2."""
    sizes = []
    outbox = Outbox()
    while node.collect(outbox):
        appends, applies, messages = list(outbox.appends), list(outbox.applies), list(outbox.messages)
        for taken in (outbox.appends, outbox.applies, outbox.messages):
            taken.clear()
        if appends:
            node.written(appends, outbox)
        for entries in applies:
            node.applied(entries)
        sizes += [len(m.entries.data) for m in messages if m.to == 2 and m.type == MessageType.MsgApp and m.entries]
    return sizes


def sizes_of(node: RawNode, commands: int) -> list[int]:
    node.propose([b"x" * 96] * commands)
    return drain(node)


def test_appends_are_cut_by_what_is_said_last() -> None:
    node = leader()
    assert max(sizes_of(node, 200)) > 3000
    node.limit_messages(1000)
    assert 500 < max(sizes_of(node, 200)) <= 1000
    node.limit_messages(2000)
    assert 1500 < max(sizes_of(node, 200)) <= 2000


def test_the_config_is_the_most() -> None:
    node = leader()
    node.limit_messages(2**64 - 1)
    assert 3000 < max(sizes_of(node, 200)) <= 4000


def test_one_entry_always_goes() -> None:
    node = leader()
    node.limit_messages(0)
    assert sizes_of(node, 5) == [40 + 4 + 96]


def test_to_far_members_the_config_alone_limits() -> None:
    node = leader()
    node.limit_messages(1000)
    node.set_far([3])
    assert max(sizes_of(node, 200)) <= 1000
    node.set_far([2, 3])
    assert 3000 < max(sizes_of(node, 200)) <= 4000
    node.set_far()
    assert max(sizes_of(node, 200)) <= 1000


def test_who_is_far_is_state() -> None:
    one, other = leader(), leader()
    one.set_far([2])
    assert one.fingerprint() != other.fingerprint()
    assert one.clone().fingerprint() == one.fingerprint()
    one.set_far([])
    assert one.fingerprint() == other.fingerprint()


def test_it_is_state() -> None:
    one, other = leader(), leader()
    assert one.fingerprint() == other.fingerprint()
    one.limit_messages(1000)
    assert one.fingerprint() != other.fingerprint()
    copy = one.clone()
    assert copy.fingerprint() == one.fingerprint()
    assert sizes_of(copy, 100) == sizes_of(one, 100)
    other.limit_messages(1000)
    assert sizes_of(other, 100) == sizes_of(leader_limited(1000), 100)


def leader_limited(size: int) -> RawNode:
    node = leader()
    node.limit_messages(size)
    return node
