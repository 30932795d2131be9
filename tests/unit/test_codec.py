"""Messages, frames and datagrams to bytes and back: against the model, and each rule of the page by name."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, ConfState, Entries, Entry, Message, MessageType, Snapshot
from raftcore.base.errors import DecodeError
from raftcore.wire import codec
from raftcore.wire.codec import DatagramBuilder, Header, decode_message, encode_message, max_command, parse_header
from tests import model_codec as model
from tests import strategies

HEADER = Header(7, 1, 2, 0xA1, 0x100000001, 0xB2, 0x300000002)
ENTRIES = Entries.build([Entry(3, 11, 0, b"one"), Entry(3, 12, 0, b"two")])
SNAPSHOT = Snapshot(9, 4, ConfState((1, 2)), 8)

# For each type that travels, the least that makes it valid.
LEAST: dict[MessageType, dict[str, Any]] = {MessageType(kind): {"term": 5} for kind in sorted(model.TRAVELLING)}
LEAST[MessageType.MsgProp] = {"entries": Entries.build([Entry(1, 1, 0, b"x")])}
LEAST[MessageType.MsgReadIndex] = {"context": b"c"}
LEAST[MessageType.MsgSnap] = {"term": 5, "snapshot": SNAPSHOT}
LOCAL = sorted(set(MessageType) - set(LEAST))


def least(kind: MessageType, **changes: Any) -> Message:
    return Message(kind, **(LEAST[kind] | changes))


def head(present: int = 1, flags: int = 0, reserved: int = 0) -> bytes:
    return struct.pack("<HBB", present, flags, reserved)


TERM5 = struct.pack("<Q", 5)


@given(strategies.messages())
def test_messages_against_the_model(message: Message) -> None:
    kind, body = encode_message(message)
    assert body == model.encode_body(strategies.as_model(message))
    assert decode_message(kind, body) == message
    assert model.decode_body(kind, body) == strategies.as_model(message)


@given(st.lists(st.tuples(strategies.messages(), st.integers(0, 2**64 - 1)), max_size=6), st.data())
def test_datagrams_against_the_model(sent: list[tuple[Message, int]], data: st.DataObject) -> None:
    header = Header(*data.draw(st.tuples(*[strategies.ids] * 7)))
    builder = DatagramBuilder(header, 60_000)
    expected = b""
    for message, group in sent:
        assert builder.add(message, group)
        body = strategies.as_model(message)
        if message.from_ == header.from_:
            body["from_"] = 0
        if message.to == header.to:
            body["to"] = 0
        expected += model.encode_frame(group, message.type + 1, model.encode_body(body))
    assert (builder.frames, builder.size) == (len(sent), 64 + len(expected))
    datagram = builder.finish()
    fields = (header.cluster_id, header.from_, header.to)
    fields += (header.from_store, header.from_boot, header.to_store, header.to_boot)
    assert datagram == model.encode_datagram(fields, expected)
    assert parse_header(datagram) == header
    for (group, got), (message, want_group) in zip(codec.messages(datagram), sent, strict=True):
        assert isinstance(got, Message)
        # Who a message is from and for is the header's unless it says: 0, nobody, cannot be told apart.
        message.from_ = message.from_ or header.from_
        message.to = message.to or header.to
        assert (group, got) == (want_group, message)


@pytest.mark.parametrize("kind", LEAST)
def test_every_type_that_travels(kind: MessageType) -> None:
    message = least(kind, from_=1, to=2)
    assert decode_message(*encode_message(message)) == message


@pytest.mark.parametrize("kind", LOCAL)
def test_local_messages_neither_leave_nor_enter(kind: MessageType) -> None:
    for refused in (encode_message, DatagramBuilder(HEADER, 1200).add):
        with pytest.raises(ValueError, match=f"a {kind.name} is local and cannot be sent"):
            refused(Message(kind, term=5))
    with pytest.raises(DecodeError, match=f"a {kind.name} does not travel between nodes"):
        decode_message(kind + 1, head() + TERM5)


def test_all_types_are_either_local_or_travel() -> None:
    assert [t.name for t in LOCAL] == [
        "MsgHup", "MsgBeat", "MsgUnreachable", "MsgSnapStatus", "MsgCheckQuorum", "MsgStorageAppend",
        "MsgStorageAppendResp", "MsgStorageApply", "MsgStorageApplyResp", "MsgForgetLeader",
    ]  # fmt: skip


APP, SNAP, PROP = MessageType.MsgApp, MessageType.MsgSnap, MessageType.MsgProp
READ_INDEX, VOTE = MessageType.MsgReadIndex, MessageType.MsgVote
# (message, what is wrong with it): refused by the encoder, and by the decoder when the model encodes it.
SHAPES = [
    (least(VOTE, term=0), "term is 0, at least 1 expected"),
    (least(APP, term=0), "term is 0, at least 1 expected"),
    (least(PROP, term=5), "term is 5, 0 expected"),
    (least(READ_INDEX, term=5), "term is 5, 0 expected"),
    (least(SNAP, snapshot=None), "a snapshot is expected"),
    (least(VOTE, snapshot=SNAPSHOT), "only a MsgSnap carries a snapshot"),
    (least(APP, snapshot=SNAPSHOT), "only a MsgSnap carries a snapshot"),
    (least(SNAP, entries=ENTRIES), "only MsgApp and MsgProp carry entries"),
    (least(VOTE, entries=ENTRIES), "only MsgApp and MsgProp carry entries"),
    (least(PROP, entries=None), "at least one entry is expected"),
    (least(PROP, entries=ENTRIES), "proposed entries start at 11 with terms to 3, 1 and 1 expected"),
    (least(PROP, entries=Entries.build([Entry(1, 1), Entry(2, 2)])), "proposed entries start at 1 with terms to 2"),
    (least(APP, index=9, entries=ENTRIES), "entries start at 11, 10 follows the message's index"),
    (least(APP, index=11, entries=ENTRIES), "entries start at 11, 12 follows the message's index"),
    (least(SNAP, snapshot=Snapshot(0, 4, ConfState((1,)))), "the snapshot's index is 0, 1 to 9223372036854775807"),
    (least(SNAP, snapshot=Snapshot(2**63, 4, ConfState((1,)))), "the snapshot's index is 9223372036854775808"),
    (least(SNAP, snapshot=Snapshot(9, 0, ConfState((1,)))), "the snapshot's term is 0"),
    (least(SNAP, snapshot=Snapshot(9, 2**63, ConfState((1,)))), "the snapshot's term is 9223372036854775808"),
    (least(SNAP, snapshot=Snapshot(9, 4, ConfState((1,)), 10)), "the snapshot's conf_index 10 is above its index 9"),
    (least(SNAP, snapshot=Snapshot(9, 4, ConfState((), (1,)))), "the snapshot's configuration has no voters"),
]


@pytest.mark.parametrize(("message", "text"), SHAPES)
def test_shapes_that_neither_leave_nor_enter(message: Message, text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        encode_message(message)
    assert not isinstance(error.value, DecodeError), "misuse here is not a peer's fault"
    body = model.encode_body(strategies.as_model(message))
    with pytest.raises(DecodeError, match=text):
        decode_message(message.type + 1, body)
    with pytest.raises(ValueError):
        model.decode_body(message.type + 1, body)


@pytest.mark.parametrize("number", [1, 2**63 - 1])
def test_snapshots_at_the_edge_of_what_is_allowed(number: int) -> None:
    message = least(SNAP, snapshot=Snapshot(number, number, ConfState((1,)), number))
    assert decode_message(*encode_message(message)) == message
    assert model.decode_body(*encode_message(message)) == strategies.as_model(message)


@pytest.mark.parametrize("name", model.FIELDS)
def test_the_largest_value_of_each_field(name: str) -> None:
    limit = LOCAL_APPLY_THREAD if name in model.ID_FIELDS else 2**63
    message = least(VOTE, **{name: limit - 1})
    assert decode_message(*encode_message(message)) == message
    for value in {limit, LOCAL_APPEND_THREAD}:
        setattr(message, name, value)
        is_id = name in model.ID_FIELDS
        reason = "an id of the node's own storage threads" if is_id else f"at most {limit - 1} allowed"
        with pytest.raises(ValueError, match=f"{name} is {value}, {reason}"):
            encode_message(message)
        with pytest.raises(DecodeError, match=f"{name} is {value}, {reason}"):
            decode_message(VOTE + 1, model.encode_body(strategies.as_model(message)))


@pytest.mark.parametrize("bit", range(9))
def test_a_field_that_is_present_is_not_0(bit: int) -> None:
    body = head(1 | 1 << bit) + (b"" if bit == 0 else TERM5) + bytes(8)
    with pytest.raises(DecodeError, match=f"{model.FIELDS[bit]} is present but 0"):
        decode_message(VOTE + 1, body)


def test_local_fields_do_not_leave() -> None:
    for changes in ({"must_sync": True}, {"responses": []}):
        with pytest.raises(ValueError, match="must_sync and responses are local"):
            encode_message(least(APP, **changes))


def test_a_body_longer_than_its_frame_can_say() -> None:
    """bytes(n) is memory that nobody has touched: it costs addresses, not pages."""
    builder = DatagramBuilder(HEADER, 1200)
    heartbeat = least(MessageType.MsgHeartbeat, context=bytes(2**32 - 1 - 16))
    with pytest.raises(ValueError, match="a frame body of 4294967295 bytes cannot fit a datagram of 1200"):
        builder.add(heartbeat)
    heartbeat.context = bytes(2**32 - 16)
    with pytest.raises(ValueError, match="MsgHeartbeat: a body of 4294967296 bytes, at most 4294967295 allowed"):
        builder.add(heartbeat)


def conf_bytes(
    *groups: tuple[int, ...], flags: int = 0, more: bytes = b"", claims: tuple[int, ...] | None = None
) -> bytes:
    """The body of a MsgSnap whose configuration is written as it stands; claims: other counts and flags."""
    counts = claims or (*map(len, groups), flags)
    return (
        head(flags=4) + TERM5 + struct.pack("<4Q5I", 9, 4, 8, 7, *counts)
        + b"".join(struct.pack("<Q", i) for i in itertools.chain(*groups)) + more
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (conf_bytes((2, 1), (), (), ()), "node id 1 after 2: ids must ascend"),
        (conf_bytes((1, 1), (), (), ()), "node id 1 after 1: ids must ascend"),
        (conf_bytes((1,), (0,), (), ()), "node id 0 after 0: ids must ascend"),
        (conf_bytes((1,), (), (LOCAL_APPLY_THREAD,), ()), "node id 18446744073709551614 after 0"),
        (conf_bytes((1,), (), (), (), flags=2), "flags of a configuration are 0x2, at most 0x1"),
        (conf_bytes((1,), (), (), (), claims=(2, 0, 0, 0, 0)), "ids take 16 bytes, but only 8 are left"),
        (conf_bytes((1,), (), (), (), claims=(1, 0, 0, 1, 0)), "ids take 16 bytes, but only 8 are left"),
        (conf_bytes((1,), (), (), (), claims=(*[2**32 - 1] * 4, 0)), "take 137438953440 bytes, but only 8"),
        (conf_bytes((1,), (), (), (), claims=(0, 0, 0, 0, 0)), "8 bytes are left over"),
        (conf_bytes((1,), (), (), (), more=b"state"), "5 bytes are left over"),
        (head(flags=4) + TERM5 + bytes(51), "51 bytes where a snapshot needs 52"),
    ],
)
def test_configurations_that_are_refused(body: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        decode_message(SNAP + 1, body)
    with pytest.raises(ValueError):
        model.decode_body(SNAP + 1, body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "0 bytes where a message body needs 4"),
        (b"\1\0\0", "3 bytes where a message body needs 4"),
        (head(1 | 1 << 9) + TERM5, "presence 0x0201, flags 0x00, reserved 0: at most 0x01ff, 0x0f and 0 allowed"),
        (head(1, flags=16) + TERM5, "flags 0x10"),
        (head(1, reserved=1) + TERM5, "reserved 1"),
        (head(1) + TERM5[:7], "11 bytes of body end within term"),
        (head(3) + TERM5, "12 bytes of body end within log_term"),
        (head(1, flags=2) + TERM5 + bytes(3), "15 bytes of body end within the context's length"),
        (head(1, flags=2) + TERM5 + b"\2\0\0\0x", "a context of 2 bytes, but only 1 are left"),
        (head(1, flags=2) + TERM5 + b"\xff\xff\xff\xffx", "a context of 4294967295 bytes, but only 1 are left"),
        (head(1) + TERM5 + b"x", "1 bytes are left over"),
        (head(1, flags=8) + TERM5, "no block"),
    ],
)
def test_bodies_that_are_refused(body: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        decode_message(VOTE + 1, body)
    with pytest.raises(ValueError):
        model.decode_body(VOTE + 1, body)


@pytest.mark.parametrize("kind", [-1, 0, 25, 127, 128, 255, 256, 2**31 - 1, -(2**31)])
def test_kinds_that_are_no_message(kind: int) -> None:
    with pytest.raises(DecodeError):
        decode_message(kind, head() + TERM5)


def test_none_is_no_message() -> None:
    for call in (encode_message, DatagramBuilder(HEADER, 1200).add):
        with pytest.raises(TypeError):
            call(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [256, 1200, 60_000])
def test_the_largest_command_fits_whatever_else_the_message_says(limit: int) -> None:
    full = dict.fromkeys(model.FIELDS, 2**63 - 2)
    for extra, fits in ((0, True), (1, False)):
        entries = Entries.build([Entry(2**63 - 1, 2**63 - 1, 0, bytes(max_command(limit) + extra))], 2**64 - 1)
        message = Message(APP, **full, reject=True, entries=entries)
        builder = DatagramBuilder(HEADER, limit)
        if fits:
            assert builder.add(message)
            assert len(builder.finish()) == limit
        else:
            with pytest.raises(ValueError, match=f"cannot fit a datagram of {limit}: at most {limit - 80} allowed"):
                builder.add(message)
    assert max_command(1200) == 1000
