"""A pass in two calls, take_up() and carry_on(), and datagrams posted; that they do what the single calls do is
test_outbox's matter."""

from __future__ import annotations

import pytest

from raftcore import Config, ConfState, InitialState, Message, MessageType, Outbox, RawNode
from raftcore.errors import ConfigError
from raftcore.memory_storage import MemoryStorage
from tests.core.test_outbox import IDS, append_to, builder, decoded, node, outbox


def test_a_pass_takes_all_that_came_and_empties_what_it_was_given() -> None:
    raw, _ = node(2)
    out = outbox(2)
    received = []
    for term in (4, 5):
        built = builder(1, 2)
        built.add(Message(MessageType.MsgApp, to=2, from_=1, term=term))
        received.append(built.finish())
    assert raw.take_up(received, out)
    assert received == []
    assert raw.term == 5
    (append,) = out.appends
    assert (append.term, append.must_sync) == (5, True)
    boxes: list[list[bytes]] = [[], []]
    out.post(boxes)
    assert boxes == [[], []]  # the answers wait for the write
    assert not raw.carry_on(out)
    assert out.appends == []
    out.post(boxes)
    assert [m.term for m in decoded([(1, datagram) for datagram in boxes[0]])] == [4, 5]
    assert boxes[1] == []
    assert not raw.take_up([], out)


def test_a_datagram_for_a_pass_is_bytes_and_has_a_header() -> None:
    raw, _ = node(2)
    with pytest.raises(ValueError, match="at least 64 bytes"):
        raw.take_up([b"short"], outbox(2))
    with pytest.raises(TypeError):
        raw.take_up((), outbox(2))  # type: ignore[arg-type]
    plain = RawNode(Config(id=1), InitialState(conf_state=ConfState(voters=IDS)), MemoryStorage())
    with pytest.raises(ConfigError, match="driver's form"):
        plain.take_up([], outbox(1))


def test_a_pass_takes_the_frames_of_the_outboxs_group() -> None:
    raw, _ = node(2)
    built = builder(1, 2)
    for group, term in ((0, 8), (7, 3)):
        built.add(Message(MessageType.MsgApp, to=2, from_=1, term=term), group)
    raw.take_up([built.finish()], Outbox([builder(2, 1)], 7))
    assert raw.term == 3


def test_a_pass_reports_only_what_the_outbox_gave() -> None:
    raw, _ = node(1)
    out = outbox(1)
    raw.campaign()
    raw.collect(out)
    out.appends.append(out.appends[0])
    with pytest.raises(ConfigError, match="write 1 reported as done"):
        raw.carry_on(out)
    for stranger in (None, 5):
        raw, _ = node(1)
        out.appends[:] = [stranger]  # type: ignore[list-item]
        with pytest.raises(TypeError):
            raw.carry_on(out)
        out.appends.clear()
        out.applies[:] = [stranger]  # type: ignore[list-item]
        with pytest.raises(TypeError):
            raw.carry_on(out)
        out.applies.clear()


def test_posted_datagrams_come_in_order_and_wait_for_a_builder() -> None:
    raw, _ = node(1)
    out = Outbox([builder(1, 2, 256), builder(1, 3, 256)])
    raw.campaign()
    assert raw.take_up([], out)
    raw.carry_on(out)
    for _ in range(4):
        raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=1))
        raw.take_up([], out)
        raw.carry_on(out)
    for _ in range(29):
        raw.step(Message(MessageType.MsgHeartbeatResp, to=1, from_=2, term=1))
        raw.step(Message(MessageType.MsgHeartbeatResp, to=1, from_=3, term=1))
        raw.take_up([], out)
        raw.carry_on(out)
    assert len(out.full) > 2
    with pytest.raises(ValueError, match="2 builders, but 1 boxes"):
        out.post([[]])
    waiting = [m for m in decoded([*out.full]) if m.to == 3]
    out.set_builders([builder(1, 2, 256)])
    full = [datagram for to, datagram in out.full if to == 2]
    box: list[bytes] = []
    out.post([box])
    assert box == full  # and what the former builders held is gone with them
    assert {to for to, _ in out.full} == {3}
    out.set_builders([builder(1, 3, 256)])
    box = []
    out.post([box])
    assert [repr(m) for m in decoded([(3, datagram) for datagram in box])] == [repr(m) for m in waiting]
    assert out.full == []


def test_nodes_whose_answers_wait_for_other_writes_are_not_the_same() -> None:
    def answered(*writes: int) -> bytes:
        raw, _ = node(2)
        out = outbox(2)
        for count in (1, *writes):  # the first is written because of its term, and holds the others up
            for _ in range(count):
                append_to(raw, 0, 1, 0)
            raw.take_up([], out)
        assert len(out.appends) == 1 + len(writes)
        return raw.fingerprint()

    assert answered(1, 2) == answered(1, 2)
    assert answered(1, 2) != answered(2, 1)


def test_a_clone_owes_the_same_answers() -> None:
    raw, _ = node(2)
    out = outbox(2)
    append_to(raw, 0, 1, 0, b"x")
    raw.take_up([], out)
    copy, copied = raw.clone(), outbox(2)
    copied.appends.extend(out.appends)
    for one, its in ((raw, out), (copy, copied)):
        assert not one.carry_on(its)
        assert [(m.type, m.index) for m in decoded(its.datagrams())] == [(MessageType.MsgAppResp, 1)]
    assert raw.fingerprint() == copy.fingerprint()
