"""Datagrams: building them within a limit, and what a header and a frame must hold."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import pytest

from raftcore import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, Entries, Entry, Message, MessageType
from raftcore.base.errors import DecodeError
from raftcore.wire import codec
from raftcore.wire.codec import DatagramBuilder, Header, frames, max_command, parse_header
from raftcore.wire.datagram import frame_datagram
from tests import model_codec as model

HEADER = Header(7, 1, 2, 0xA1, 0x100000001, 0xB2, 0x300000002)
OTHER_LIFE = Header(7, 1, 2, 0xA1, 0x100000001, 0xB2, 0x400000009)
VOTE = Message(MessageType.MsgVote, from_=1, to=2, term=5, index=7, log_term=4)
VOTE_FRAME = 16 + 4 + 3 * 8


def resealed(datagram: bytes, at: int, value: bytes) -> bytes:
    """The datagram with some bytes overwritten and the checksum right again."""
    changed = datagram[:at] + value + datagram[at + len(value) :]
    return struct.pack("<I", model.crc32c(changed[4:])) + changed[4:]


def three_frames() -> bytes:
    """A vote, a transport frame, a vote in group 9."""
    builder = DatagramBuilder(HEADER, 1200)
    assert builder.add(VOTE)
    assert builder.add_frame(128, b"hello")
    assert builder.add(VOTE, 9)
    return builder.finish()


def test_a_limit_may_change_between_frames() -> None:
    builder = DatagramBuilder(HEADER, 1000)
    assert builder.add_frame(200, b"x" * 400)
    builder.limit(400)
    assert builder.max_datagram == 400
    assert not builder.add_frame(200, b"")  # what is under way is larger by now, and goes as it is
    assert not builder.add(Message(type=MessageType.MsgHeartbeat, to=2, from_=1, term=1))
    with pytest.raises(ValueError, match="at most 320 allowed"):
        builder.add_frame(200, b"x" * 321)
    assert len(builder.finish()) == 480
    assert builder.add_frame(200, b"x" * 320)
    assert len(builder.finish()) == 400
    builder.limit(1000)
    assert builder.add_frame(200, b"x" * 920)
    assert len(builder.finish()) == 1000
    for limit in (255, 1001):
        with pytest.raises(ValueError, match=f"max_datagram must be 256 to 1000 bytes, got {limit}"):
            builder.limit(limit)
    assert builder.max_datagram == 1000


def test_a_builder_fills_up_to_its_limit_and_no_further() -> None:
    builder = DatagramBuilder(HEADER, 64 + 5 * VOTE_FRAME)
    assert [builder.add(VOTE) for _ in range(6)] == [True] * 5 + [False]
    assert (builder.frames, builder.size) == (5, builder.max_datagram)
    full = builder.finish()
    assert len(full) == builder.max_datagram
    assert len(list(frames(full))) == 5
    assert (builder.frames, builder.size) == (0, 64)
    assert builder.add(VOTE)
    assert len(builder.finish()) == 64 + VOTE_FRAME


def test_a_frame_that_does_not_fit_changes_nothing() -> None:
    builder = DatagramBuilder(HEADER, 300)
    assert builder.add(VOTE)
    assert not builder.add(Message(MessageType.MsgHeartbeat, term=1, context=bytes(200)))
    assert not builder.add_frame(200, bytes(200))
    with pytest.raises(ValueError, match="a frame body of 221 bytes cannot fit a datagram of 300: at most 220 allowed"):
        builder.add_frame(200, bytes(221))
    with pytest.raises(ValueError, match="cannot fit a datagram of 300"):
        builder.add(Message(MessageType.MsgHeartbeat, term=1, context=bytes(221 - 16)))
    with pytest.raises(ValueError, match="is local"):
        builder.add(Message(MessageType.MsgHup))
    assert (builder.frames, builder.size) == (1, 64 + VOTE_FRAME)
    alone = DatagramBuilder(HEADER, 300)
    assert alone.add(VOTE)
    assert builder.finish() == alone.finish()


def test_the_largest_frame_of_the_transport() -> None:
    builder = DatagramBuilder(HEADER, 300)
    assert builder.add_frame(255, bytes(range(220)), 2**64 - 1)
    ((group, kind, body),) = frames(builder.finish())
    assert (group, kind, bytes(body)) == (2**64 - 1, 255, bytes(range(220)))


@pytest.mark.parametrize("kind", [-1, 0, 1, 127, 256, 128 + 256])
def test_kinds_that_are_not_the_transports(kind: int) -> None:
    with pytest.raises(ValueError, match=f"kind must be 128 to 255, got {kind}"):
        DatagramBuilder(HEADER, 300).add_frame(kind, b"")


@pytest.mark.parametrize("limit", [-1, 0, 255, 2**24 + 1])
def test_limits_out_of_range(limit: int) -> None:
    for call in (lambda: DatagramBuilder(HEADER, limit), lambda: max_command(limit)):
        with pytest.raises(ValueError, match=f"max_datagram must be 256 to 16777216 bytes, got {limit}"):
            call()


def test_a_large_datagram_for_transports_that_can() -> None:
    builder = DatagramBuilder(HEADER, 2**24)
    entries = Entries.build([Entry(1, 1, 0, bytes(max_command(2**24)))])
    assert builder.add(Message(MessageType.MsgApp, term=1, entries=entries))
    ((_, message),) = codec.messages(builder.finish())
    assert isinstance(message, Message)
    assert message.entries == entries


def test_the_header_alone_leaves_what_waits() -> None:
    builder = DatagramBuilder(HEADER, 1200)
    fields = (7, 1, 2, 0xA1, 0x100000001, 0xB2, 0x300000002)
    assert builder.bare() == builder.finish() == model.encode_datagram(fields, b"")
    assert builder.add(VOTE)
    assert len(builder.bare()) == 64
    assert len(list(frames(builder.finish()))) == 1


def test_a_new_header_counts_from_the_next_datagram() -> None:
    builder = DatagramBuilder(HEADER, 1200)
    assert builder.add(VOTE)
    builder.set_header(OTHER_LIFE)
    assert builder.header == OTHER_LIFE
    assert parse_header(builder.bare()) == OTHER_LIFE
    assert parse_header(builder.finish()) == OTHER_LIFE


@pytest.mark.parametrize("header", [Header(7, 1, 3), Header(7, 3, 2)])
def test_messages_that_left_out_from_and_to_hold_them_fast(header: Header) -> None:
    builder = DatagramBuilder(HEADER, 1200)
    assert builder.add(VOTE)
    with pytest.raises(ValueError, match="1 frames from 1 to 2 wait"):
        builder.set_header(header)
    assert builder.header == HEADER
    builder.finish()
    builder.set_header(header)
    assert parse_header(builder.finish()) == header


def test_a_frame_of_the_transport_holds_from_and_to_fast_as_well() -> None:
    builder = DatagramBuilder(HEADER, 1200)
    assert builder.add_frame(130, b"x")
    assert builder.frames == 1
    with pytest.raises(ValueError, match="1 frames from 1 to 2 wait"):
        builder.set_header(Header(7, 1, 3))


def test_none_is_neither_header_nor_body() -> None:
    calls: list[Any] = [
        lambda: DatagramBuilder(None, 1200),  # type: ignore[arg-type]
        lambda: DatagramBuilder(HEADER, 1200).set_header(None),  # type: ignore[arg-type]
        lambda: DatagramBuilder(HEADER, 1200).add_frame(128, None),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()


def test_headers_are_values() -> None:
    assert pickle.loads(pickle.dumps(HEADER)) == HEADER
    assert hash(Header(*HEADER.__reduce__()[1])) == hash(HEADER)
    fields = [7, 1, 2, 0xA1, 0x100000001, 0xB2, 0x300000002]
    for i in range(7):
        assert Header(*fields[:i], fields[i] + 1, *fields[i + 1 :]) != HEADER
    assert repr(HEADER) == (
        "Header(cluster_id=0x7, from_=1, to=2, from_store=0xa1, from_boot=0x100000001, to_store=0xb2, "
        "to_boot=0x300000002)"
    )
    with pytest.raises(AttributeError):
        HEADER.to = 5  # type: ignore[misc]


@pytest.mark.parametrize("size", [0, 1, 4, 63])
def test_short_datagrams(size: int) -> None:
    for datagram in (bytes(size), bytearray(size)):
        with pytest.raises(DecodeError, match=f"a datagram of {size} bytes, at least 64 expected"):
            parse_header(datagram)
        with pytest.raises(DecodeError, match=f"a datagram of {size} bytes, at least 64 expected"):
            list(codec.messages(datagram))


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (4, b"\0", "datagram version 0, only 1 is understood"),
        (4, b"\2", "datagram version 2, only 1 is understood"),
        (5, b"\1", "flags 0x01 and reserved 0, 0 and 0 expected"),
        (6, b"\0\1", "flags 0x00 and reserved 256, 0 and 0 expected"),
        (16, struct.pack("<Q", LOCAL_APPLY_THREAD), "datagram from 18446744073709551614 to 2: node ids are below"),
        (24, struct.pack("<Q", LOCAL_APPEND_THREAD), "datagram from 1 to 18446744073709551615: node ids are below"),
    ],
)
def test_headers_that_are_refused(at: int, value: bytes, text: str) -> None:
    datagram = resealed(three_frames(), at, value)
    with pytest.raises(DecodeError, match=text):
        parse_header(datagram)
    with pytest.raises(ValueError):
        model.decode_header(datagram)


@pytest.mark.parametrize(("head", "data"), [(b"", b""), (b"head", b""), (b"", b"data"), (b"head", bytes(100_000))])
def test_a_frame_in_a_datagram_of_its_own_is_what_a_builder_makes(head: bytes, data: bytes) -> None:
    """As large as it needs."""
    builder = DatagramBuilder(HEADER, 1 << 20)
    assert builder.add_frame(200, head + data, 9)
    assert frame_datagram(HEADER, 200, 9, head, data) == builder.finish()


@pytest.mark.parametrize("kind", [127, 256])
def test_a_datagram_with_one_frame_is_of_the_transports_own(kind: int) -> None:
    with pytest.raises(ValueError, match=f"kind must be 128 to 255, got {kind}"):
        frame_datagram(HEADER, kind, 0, b"")


def test_every_flipped_bit_is_noticed() -> None:
    whole = three_frames()
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            parse_header(broken)


def test_frames_give_views_of_the_bodies() -> None:
    whole = three_frames()
    assert [(group, kind, len(body)) for group, kind, body in frames(whole)] == [(0, 6, 28), (0, 128, 5), (9, 6, 28)]
    assert all(body.obj is whole for _, _, body in frames(whole))
    assert [group for group, _, _ in frames(whole, 64 + VOTE_FRAME + 21)] == [9]
    assert list(frames(whole, len(whole))) == []
    assert list(frames(b"", 0)) == []
    for offset in (-1, len(whole) + 1):
        with pytest.raises(DecodeError, match=f"offset {offset} is outside a datagram of {len(whole)} bytes"):
            list(frames(whole, offset))


SECOND = 64 + VOTE_FRAME  # offset of the second frame


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (12, b"\xff\xff\xff\xff", "a frame body of 4294967295 bytes, but only 49 are left"),
        (12, struct.pack("<I", 50), "a frame body of 50 bytes, but only 49 are left"),
        (12, struct.pack("<I", 49 - 15), "15 bytes at 158 where a frame header needs 16"),
    ],
)
def test_a_frame_header_that_cannot_be_read_ends_the_datagram(at: int, value: bytes, text: str) -> None:
    whole = three_frames()
    broken = whole[: SECOND + at] + value + whole[SECOND + at + len(value) :]
    walk = frames(broken)
    assert next(walk)[1] == 6
    with pytest.raises(DecodeError, match=text):
        list(walk)
    first, second = codec.messages(broken)
    assert first == (0, VOTE)
    assert isinstance(second[1], DecodeError)
    with pytest.raises(ValueError):
        model.decode_frames(broken[64:])


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (8, b"\0", "frame kind 0, 1 to 24 and from 128 on known"),
        (8, b"\x19", "frame kind 25, 1 to 24"),
        (8, b"\x7f", "frame kind 127, 1 to 24"),
        (9, b"\1", "frame flags 0x01 and reserved 0"),
        (10, b"\0\1", "frame flags 0x00 and reserved 256"),
        (8, b"\1", "a MsgHup does not travel"),
        (8, b"\6", "reserved|presence|bytes of body"),
    ],
)
def test_a_frame_that_is_broken_spoils_only_itself(at: int, value: bytes, text: str) -> None:
    whole = three_frames()
    broken = whole[: SECOND + at] + value + whole[SECOND + at + len(value) :]
    first, second, third = codec.messages(broken)
    assert (first, third) == ((0, VOTE), (9, VOTE))
    assert isinstance(second[1], DecodeError)
    with pytest.raises(DecodeError, match=text):
        raise second[1]


def test_tools_see_the_messages_of_a_datagram() -> None:
    assert list(codec.messages(three_frames())) == [(0, VOTE), (9, VOTE)]
    forwarded = Message(MessageType.MsgTransferLeader, from_=3, to=5)
    builder = DatagramBuilder(HEADER, 1200)
    assert builder.add(forwarded)
    assert list(codec.messages(builder.finish())) == [(0, forwarded)]
