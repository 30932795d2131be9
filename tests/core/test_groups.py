"""One process, several groups: the frames of one datagram go to their groups' cores, one outbox serves all of them.

The host walks each datagram once (decision 4). It looks at a frame, which is not decoded for that, and hands it to its
group's core; one that nobody is there for it counts itself.
"""

from __future__ import annotations

import pytest

from raftcore import Message, MessageType, RawNode
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, FRAME_HEADER_SIZE, frame_at, messages
from tests.core.test_outbox import builder, node, outbox


def heartbeat(term: int) -> Message:
    return Message(MessageType.MsgHeartbeat, to=2, from_=1, term=term)


def datagram(*frames: tuple[int, int]) -> bytes:
    """From node 1 to node 2, with a heartbeat of a term for each (group, term)."""
    built = builder(1, 2)
    for group, term in frames:
        assert built.add(heartbeat(term), group)
    return built.finish()


def cores(*groups: int) -> dict[int, RawNode]:
    return {group: node(2)[0] for group in groups}


def walk(received: bytes, by_group: dict[int, RawNode]) -> tuple[list[bool], int]:
    """As a host does: what each core said of its frame, and the frames of unknown groups."""
    at, said, unknown = DATAGRAM_HEADER_SIZE, [], 0
    while at < len(received):
        group, end = frame_at(received, at)
        if group in by_group:
            said.append(by_group[group].step_frame(received, at))
        else:
            unknown += 1
        at = end
    assert at == len(received)
    return said, unknown


def terms(by_group: dict[int, RawNode]) -> list[int]:
    return [core.term for core in by_group.values()]


def faults(by_group: dict[int, RawNode]) -> list[int]:
    return [core.faults for core in by_group.values()]


def test_one_walk_hands_the_frames_of_three_groups_to_their_cores() -> None:
    by_group = cores(0, 5, 2**64 - 1)
    frames = (5, 3), (0, 4), (2**64 - 1, 7), (5, 6)
    assert walk(datagram(*frames), by_group) == ([True] * 4, 0)
    assert terms(by_group) == [4, 6, 7]
    assert faults(by_group) == [0, 0, 0]


def test_a_frame_of_an_unknown_group_is_the_callers_to_count() -> None:
    by_group = cores(0, 5)
    assert walk(datagram((0, 4), (8, 9), (5, 6), (9, 9)), by_group) == ([True, True], 2)
    assert terms(by_group) == [4, 6]
    assert faults(by_group) == [0, 0]


def test_a_frame_of_the_transport_is_neither_stepped_nor_a_fault() -> None:
    by_group = cores(0)
    built = builder(1, 2)
    assert built.add_frame(200, b"a transport's own")
    assert built.add(heartbeat(4))
    assert walk(built.finish(), by_group) == ([False, True], 0)
    assert (terms(by_group), faults(by_group)) == ([4], [0])


@pytest.mark.parametrize("at", [8, 9, FRAME_HEADER_SIZE + 3], ids=["kind", "flags", "body"])
def test_a_bad_frame_in_the_middle_is_its_groups_fault_and_stops_no_other(at: int) -> None:
    by_group = cores(0, 5, 6)
    received = bytearray(datagram((0, 4), (5, 5), (6, 6)))
    _, second = frame_at(received, DATAGRAM_HEADER_SIZE)
    received[second + at] = 127
    assert walk(bytes(received), by_group) == ([True, False, True], 0)
    assert terms(by_group) == [4, 0, 6]
    assert faults(by_group) == [0, 1, 0]


def test_what_no_correct_peer_sends_and_what_is_of_no_member_are_counted_apart() -> None:
    by_group = cores(0, 5)
    built = builder(1, 2)
    assert built.add(Message(MessageType.MsgHeartbeat, term=4, commit=9))  # beyond the log
    assert built.add(Message(MessageType.MsgHeartbeatResp, from_=1, term=4), 5)
    received = built.finish()
    stranger = bytearray(received)
    stranger[16] = 77  # the datagram's sender
    by_group[0].step_frame(received, DATAGRAM_HEADER_SIZE)
    _, second = frame_at(stranger, DATAGRAM_HEADER_SIZE)
    by_group[5].step_frame(stranger, second)
    assert [(core.faults, core.ignored) for core in by_group.values()] == [(1, 0), (0, 1)]


def test_a_frame_that_is_cut_short_ends_the_datagram_and_is_one_fault() -> None:
    whole = datagram((0, 4), (5, 5))
    _, second = frame_at(whole, DATAGRAM_HEADER_SIZE)
    for size in range(second + 1, len(whole)):
        by_group = cores(0, 5)
        assert walk(whole[:size], by_group) == ([True, False], 0)
        assert terms(by_group) == [4, 0]
        # Whose it was is known when its header is there; else it is one more of group 0, which is always there.
        assert faults(by_group) == ([0, 1] if size >= second + FRAME_HEADER_SIZE else [1, 0])


def test_a_cut_frame_of_an_unknown_group_ends_the_walk() -> None:
    whole = datagram((8, 4), (0, 5))
    by_group = cores(0)
    assert walk(whole[: DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE], by_group) == ([], 1)


def test_the_longest_body_that_a_header_can_claim_is_cut_short() -> None:
    received = bytearray(datagram((5, 4), (0, 5)))
    received[DATAGRAM_HEADER_SIZE + 12 : DATAGRAM_HEADER_SIZE + 16] = b"\xff" * 4
    by_group = cores(0, 5)
    assert walk(bytes(received), by_group) == ([False], 0)
    assert faults(by_group) == [0, 1]


@pytest.mark.parametrize("offset", [-1, 0, DATAGRAM_HEADER_SIZE - 1])
def test_no_frame_begins_within_the_header(offset: int) -> None:
    (core,) = cores(0).values()
    with pytest.raises(ValueError, match=f"no frame at {offset}"):
        core.step_frame(datagram((0, 4)), offset)


def test_no_frame_begins_where_the_datagram_ends() -> None:
    received = datagram((0, 4))
    (core,) = cores(0).values()
    for look in (frame_at, core.step_frame):
        with pytest.raises(ValueError, match=f"no frame at {len(received)}"):
            look(received, len(received))
    with pytest.raises(ValueError, match="no frame at -1"):
        frame_at(received, -1)
    with pytest.raises(TypeError):
        core.step_frame("text", DATAGRAM_HEADER_SIZE)  # type: ignore[arg-type]


def groups_in(datagram: bytes) -> list[int]:
    at, groups = DATAGRAM_HEADER_SIZE, []
    while at < len(datagram):
        group, at = frame_at(datagram, at)
        groups.append(group)
    return groups


def test_one_outbox_serves_the_cores_of_all_groups() -> None:
    """What is put in leaves under the group that is set then, whether at once or hung on a write, in one datagram."""
    out = outbox(2)
    by_group = cores(0, 5, 6)
    appends = {}
    for group, core in by_group.items():
        core.step(Message(MessageType.MsgApp, to=2, from_=1, term=4 + group))
        core.step(heartbeat(4 + group))
        out.group = group
        assert core.collect(out)
        appends[group] = list(out.appends)
        out.appends.clear()
    for group in (6, 0, 5):
        out.group = group
        by_group[group].written(appends[group], out)
    ((to, answers),) = out.datagrams()
    assert to == 1
    assert groups_in(answers) == [0, 5, 6, 6, 0, 5]
    answered = [message for _, message in messages(answers)]
    beat, appended = MessageType.MsgHeartbeatResp, MessageType.MsgAppResp
    assert [(m.type, m.term) for m in answered if isinstance(m, Message)] == [
        (beat, 4), (beat, 9), (beat, 10), (appended, 10), (appended, 4), (appended, 9),
    ]  # fmt: skip


def test_full_datagrams_of_an_outbox_hold_frames_of_all_groups() -> None:
    out = outbox(2, 256)
    by_group = cores(0, 5)
    for _ in range(8):
        for group, core in by_group.items():
            core.step(heartbeat(4))
            out.group = group
            core.collect(out)
    groups = [groups_in(datagram) for _, datagram in out.datagrams()]
    assert len(groups) > 1
    assert [group for datagram in groups for group in datagram] == [0, 5] * 8
