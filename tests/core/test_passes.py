"""A driver's pass with collect(), written() and applied(): what it takes, in which order, and what it must not report.

That the decisions are those of the Ready form is test_outbox's matter.
"""

from __future__ import annotations

import pytest

from raftcore import Config, ConfState, InitialState, Message, MessageType, Outbox, RawNode
from raftcore.base.errors import ConfigError
from raftcore.testing.memory_storage import MemoryStorage
from tests.core.test_outbox import IDS, append_to, builder, decoded, node, outbox


def write(raw: RawNode, out: Outbox) -> None:
    """What was collected is durable."""
    raw.written(out.appends, out)
    out.appends.clear()


def test_answers_wait_for_the_write_of_what_came_before_them() -> None:
    raw, _ = node(2)
    out = outbox(2)
    for term in (4, 5):
        built = builder(1, 2)
        built.add(Message(MessageType.MsgApp, to=2, from_=1, term=term))
        raw.step_frames(built.finish())
    assert raw.collect(out)
    assert raw.term == 5
    (append,) = out.appends
    assert (append.term, append.must_sync) == (5, True)
    assert not raw.collect(out)
    assert out.datagrams() == []
    write(raw, out)
    assert [m.term for m in decoded(out.datagrams())] == [4, 5]
    assert not raw.collect(out)


def test_only_a_node_in_the_drivers_form_is_collected_from() -> None:
    plain = RawNode(Config(id=1), InitialState(conf_state=ConfState(voters=IDS)), MemoryStorage())
    with pytest.raises(ConfigError, match="driver's form"):
        plain.collect(outbox(1))


def test_frames_of_another_group_are_passed_over() -> None:
    raw, _ = node(2)
    built = builder(1, 2)
    for group, term in ((0, 8), (7, 3)):
        built.add(Message(MessageType.MsgApp, to=2, from_=1, term=term), group)
    assert raw.step_frames(built.finish(), group=7) == 1
    assert raw.term == 3


def test_only_what_the_outbox_gave_is_reported() -> None:
    raw, _ = node(1)
    out = outbox(1)
    raw.campaign()
    raw.collect(out)
    out.appends.append(out.appends[0])
    with pytest.raises(ConfigError, match="write 1 reported as done"):
        raw.written(out.appends, out)
    for stranger in (None, 5):
        raw, _ = node(1)
        with pytest.raises(TypeError):
            raw.written([stranger], out)  # type: ignore[list-item]
        with pytest.raises(TypeError):
            raw.applied(stranger)  # type: ignore[arg-type]


def test_full_datagrams_come_in_order_also_without_a_builder() -> None:
    raw, _ = node(1)
    out = Outbox([builder(1, 2, 256), builder(1, 3, 256)])
    raw.campaign()
    raw.collect(out)
    write(raw, out)
    for _ in range(4):
        raw.step(Message(MessageType.MsgVoteResp, to=1, from_=2, term=1))
    while raw.collect(out):
        write(raw, out)
    for _ in range(29):
        raw.step(Message(MessageType.MsgHeartbeatResp, to=1, from_=2, term=1))
        raw.step(Message(MessageType.MsgHeartbeatResp, to=1, from_=3, term=1))
        raw.collect(out)
    assert len(out.full) > 2
    full = list(out.full)
    out.set_builders([builder(1, 2, 256)])  # what the former builders held is gone with them
    assert out.datagrams() == full
    assert {to for to, _ in full} == {2, 3}
    assert out.full == []


def test_nodes_whose_answers_wait_for_other_writes_are_not_the_same() -> None:
    def answered(*writes: int) -> bytes:
        raw, _ = node(2)
        out = outbox(2)
        for count in (1, *writes):  # the first is written because of its term, and holds the others up
            for _ in range(count):
                append_to(raw, 0, 1, 0)
            raw.collect(out)
        assert len(out.appends) == 1 + len(writes)
        return raw.fingerprint()

    assert answered(1, 2) == answered(1, 2)
    assert answered(1, 2) != answered(2, 1)


def test_a_clone_owes_the_same_answers() -> None:
    raw, _ = node(2)
    out = outbox(2)
    append_to(raw, 0, 1, 0, b"x")
    raw.collect(out)
    copy, copied = raw.clone(), outbox(2)
    copied.appends.extend(out.appends)
    for one, its in ((raw, out), (copy, copied)):
        write(one, its)
        assert not one.collect(its)
        assert [(m.type, m.index) for m in decoded(its.datagrams())] == [(MessageType.MsgAppResp, 1)]
    assert raw.fingerprint() == copy.fingerprint()
