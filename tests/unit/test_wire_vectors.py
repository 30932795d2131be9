"""The hex dumps of docs/wire-format.md are what the codec reads and writes, and what the model reads and writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raftcore import ConfState, Entries, Entry, EntryKind, Message, MessageType, Snapshot
from raftcore.wire.codec import DatagramBuilder, Header, decode_message, encode_message, frames, parse_header
from raftcore.wire.fragment import decode_ack, decode_fragment, encode_ack, encode_fragment
from raftpy.contracts.fetching import (
    NotGiven,
    SnapshotAnswer,
    SnapshotChunk,
    SnapshotQuestion,
    SnapshotRefusal,
    SnapshotRequest,
    SnapshotTalk,
    SnapshotUseless,
)
from raftpy.contracts.snapshots import SnapshotFile, SnapshotRef
from raftpy.contracts.typed import TypeHeader
from raftpy.contracts.types import Standing
from raftpy.members.own_entries import enveloped
from raftpy.transport.exchange.lane_frames import decode_place, encode_place
from raftpy.transport.exchange.probe_frames import (
    FRAME_PROBE,
    FRAME_PROBE_ANSWER,
    decode_probe,
    encode_answer,
    encode_probe,
)
from raftpy.transport.exchange.snapshot_frames import (
    FRAME_SNAPSHOT_ANSWER,
    FRAME_SNAPSHOT_CHUNK,
    FRAME_SNAPSHOT_QUESTION,
    FRAME_SNAPSHOT_REFUSAL,
    FRAME_SNAPSHOT_REQUEST,
    FRAME_SNAPSHOT_USELESS,
    decode_talk,
    encode_talk,
)
from raftpy.transport.identity.hello import Hello, decode_hello, encode_hello
from tests import model_codec as model

PAGE = Path(__file__).parents[2] / "docs" / "wire-format.md"
HEADER = Header(0x1122334455667788, 1, 2, 0xA1, 0x1_0000_0001, 0xB2, 0x3_0000_0002)

COMMANDS = Entries.build([Entry(2, 7, 0, b"set x"), Entry(2, 8), Entry(2, 9, 0, b"get")], time_ms=1700000000123)
BLOCKS = {"block-commands": COMMANDS, "block-cut": COMMANDS.slice(8, 10)}

BODIES = {
    "body-rejection": Message(
        MessageType.MsgAppResp,
        from_=2,
        to=1,
        term=5,
        index=9,
        reject=True,
        reject_hint=6,
        log_term=3,
        conf_index=1,
    ),
    "body-snapshot": Message(
        MessageType.MsgSnap,
        from_=1,
        to=3,
        term=5,
        conf_index=1,
        snapshot=Snapshot(9, 4, ConfState((1, 2), (1, 3), (4,), (3,), True), 8, 1700000000123),
    ),
    "body-proposal": Message(
        MessageType.MsgProp, from_=2, to=1, entries=Entries.build([Entry(1, 1, 0, b"a"), Entry(1, 2, 0, b"bc")])
    ),
}

HEARTBEAT = Message(MessageType.MsgHeartbeat, from_=1, to=2, term=5, commit=9, conf_index=1)
APPEND = Message(
    MessageType.MsgApp,
    from_=1,
    to=2,
    term=5,
    log_term=2,
    index=7,
    commit=7,
    conf_index=1,
    entries=Entries.build([Entry(5, 8, EntryKind.EntryNoop)], time_ms=1700000000456),
)


def vectors() -> dict[str, bytes]:
    """Name -> bytes of every hex dump on the page."""
    found = re.findall(r"^```hex (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {name: bytes.fromhex(re.sub(r"#.*", "", dump)) for name, dump in found}


VECTORS = vectors()


def test_every_vector_of_the_page_is_checked_here() -> None:
    assert set(VECTORS) == {
        *BLOCKS,
        *BODIES,
        "datagram-bare",
        "datagram-two-frames",
        "fragment-body",
        "fragment-ack-body",
        "lane-body",
        "hello-body",
        "probe-body",
        "probe-answer-body",
        "snapshot-request-body",
        "snapshot-chunk-body",
        "snapshot-question-body",
        "snapshot-answer-body",
        "snapshot-refusal-body",
        "snapshot-useless-body",
        "context-unknown-part",
    }


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name: str) -> None:
    assert BLOCKS[name].data == VECTORS[name]
    assert Entries.decode(VECTORS[name]) == BLOCKS[name]
    assert b"".join(map(model.encode_block, model.decode_blocks(VECTORS[name]))) == VECTORS[name]


@pytest.mark.parametrize("name", BODIES)
def test_bodies(name: str) -> None:
    message = BODIES[name]
    assert encode_message(message) == (1 + message.type, VECTORS[name])
    assert decode_message(1 + message.type, VECTORS[name]) == message
    assert model.encode_body(model.decode_body(1 + message.type, VECTORS[name])) == VECTORS[name]


def test_bare_header() -> None:
    assert DatagramBuilder(HEADER, 1200).bare() == VECTORS["datagram-bare"]
    assert parse_header(VECTORS["datagram-bare"]) == HEADER
    assert list(frames(VECTORS["datagram-bare"])) == []
    assert model.encode_datagram(model.decode_header(VECTORS["datagram-bare"]), b"") == VECTORS["datagram-bare"]


def test_datagram() -> None:
    vector = VECTORS["datagram-two-frames"]
    builder = DatagramBuilder(HEADER, 1200)
    assert builder.add(HEARTBEAT)
    assert builder.add(APPEND, group=7)
    assert builder.finish() == vector
    assert parse_header(vector) == HEADER
    (group, kind, body), (group7, kind7, body7) = frames(vector)
    assert (group, group7) == (0, 7)
    for got, want in ((decode_message(kind, body), HEARTBEAT), (decode_message(kind7, body7), APPEND)):
        assert (got.from_, got.to) == (0, 0), "the header's, so left out"
        got.from_, got.to = 1, 2
        assert got == want
    assert [(g, k) for g, k, _ in model.decode_frames(vector[64:])] == [(0, 9), (7, 4)]
    rebuilt = b"".join(model.encode_frame(*frame) for frame in model.decode_frames(vector[64:]))
    assert model.encode_datagram(model.decode_header(vector), rebuilt) == vector


def test_fragment() -> None:
    fields = (5, 3, 0x11223344, 520, 256, 2, b"the rest")
    assert encode_fragment(*fields) == VECTORS["fragment-body"]
    assert decode_fragment(VECTORS["fragment-body"]) == fields


def test_acknowledgement_of_fragments() -> None:
    ranges = [(90, 100), (80, 85), (1, 7)]
    assert encode_ack(ranges) == VECTORS["fragment-ack-body"]
    assert decode_ack(VECTORS["fragment-ack-body"]) == ranges


def test_probe_and_answer() -> None:
    assert b"".join(encode_probe(5, 112)) == VECTORS["probe-body"]
    assert encode_answer(5, 112) == VECTORS["probe-answer-body"]
    assert decode_probe(FRAME_PROBE, 0, VECTORS["probe-body"], 112) == (5, 112)
    assert decode_probe(FRAME_PROBE_ANSWER, 0, VECTORS["probe-answer-body"], 96) == (5, 112)


def test_a_place_in_a_lane() -> None:
    assert encode_place(3, 7, 5) == VECTORS["lane-body"]
    assert decode_place(0, VECTORS["lane-body"]) == (3, 7, 5)


def test_hello() -> None:
    hello = Hello("127.0.0.1:8101", Standing.NEW, asks=3)
    assert encode_hello(hello) == VECTORS["hello-body"]
    assert decode_hello(VECTORS["hello-body"]) == hello


SNAPSHOT = SnapshotRef(7, 150, 2)


@pytest.mark.parametrize(
    ("name", "kind", "talk"),
    [
        ("request", FRAME_SNAPSHOT_REQUEST, SnapshotRequest(SNAPSHOT, 1000, 16)),
        ("chunk", FRAME_SNAPSHOT_CHUNK, SnapshotChunk(SnapshotFile(SNAPSHOT, 1004, bytes(range(16))), 1000, b"last")),
        ("refusal", FRAME_SNAPSHOT_REFUSAL, SnapshotRefusal(SNAPSHOT, NotGiven.NOT_THERE)),
        ("question", FRAME_SNAPSHOT_QUESTION, SnapshotQuestion(7, 100, 200)),
        ("answer", FRAME_SNAPSHOT_ANSWER, SnapshotAnswer(7, SNAPSHOT)),
        ("useless", FRAME_SNAPSHOT_USELESS, SnapshotUseless(SNAPSHOT)),
    ],
)
def test_snapshots_on_their_way(name: str, kind: int, talk: SnapshotTalk) -> None:
    vector = VECTORS[f"snapshot-{name}-body"]
    number, head, data = encode_talk(talk)
    assert (number, head + data) == (kind, vector)
    assert decode_talk(kind, 7, memoryview(vector)) == talk


def test_an_entry_of_the_runtimes_own() -> None:
    assert VECTORS["context-unknown-part"] == enveloped(TypeHeader("schedule", 2), b"")
