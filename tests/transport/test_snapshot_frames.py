"""The frames in which a snapshot goes from node to node: one encoding for each value, and nothing else is taken."""

from __future__ import annotations

import random
from struct import pack_into

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, DatagramBuilder, frames
from raftcore.wire.datagram import frame_datagram
from raftpy.contracts.fetching import (
    LARGEST_CHUNK,
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
from raftpy.transport.exchange.snapshot_frames import SNAPSHOT_FRAMES, decode_talk, encode_talk, group_of_talk
from tests.transport.support import World, changed, header, heartbeat, identity, peer_counts

ONE, TWO = identity(1), identity(2)
REF = SnapshotRef(7, 150, 2)
FILE = SnapshotFile(REF, 1_000_000, bytes(range(16)))
REQUEST = SnapshotRequest(REF, 1000, 16)
CHUNK = SnapshotChunk(FILE, 1000, b"sixteen bytes of")
REFUSAL = SnapshotRefusal(REF, NotGiven.UNREADABLE)
QUESTION = SnapshotQuestion(7, 100, 200)
ANSWER = SnapshotAnswer(7, REF)
NONE = SnapshotAnswer(7, None)
USELESS = SnapshotUseless(REF)
NAMING = (REQUEST, CHUNK, REFUSAL, USELESS)
SAMPLES = (*NAMING, QUESTION, ANSWER, NONE)

u64 = st.integers(0, 2**64 - 1)
refs = st.builds(SnapshotRef, st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1))


def body(talk: SnapshotTalk) -> tuple[int, bytes]:
    kind, head, data = encode_talk(talk)
    return kind, head + data


def decoded(talk: SnapshotTalk) -> SnapshotTalk:
    kind, encoded = body(talk)
    return decode_talk(kind, group_of_talk(talk), memoryview(encoded))


@given(refs, st.integers(0, 2**63), st.integers(0, LARGEST_CHUNK))
def test_requests_come_back(ref: SnapshotRef, offset: int, size: int) -> None:
    request = SnapshotRequest(ref, offset, size)
    assert decoded(request) == request


@given(refs, st.integers(0, 2**63), st.binary(max_size=300), st.integers(0, 1000), st.binary(min_size=16, max_size=16))
def test_chunks_come_back(ref: SnapshotRef, offset: int, data: bytes, more: int, digest: bytes) -> None:
    chunk = SnapshotChunk(SnapshotFile(ref, offset + len(data) + more, digest), offset, data)
    assert decoded(chunk) == chunk


@given(refs, st.sampled_from(NotGiven))
def test_refusals_come_back(ref: SnapshotRef, reason: NotGiven) -> None:
    assert decoded(SnapshotRefusal(ref, reason)) == SnapshotRefusal(ref, reason)


@given(u64, st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1), st.none() | refs)
def test_questions_and_answers_come_back(group: int, one: int, other: int, ref: SnapshotRef | None) -> None:
    question = SnapshotQuestion(group, min(one, other), max(one, other))
    answer = SnapshotAnswer(group if ref is None else ref.group, ref)
    assert decoded(question) == question
    assert decoded(answer) == answer


@given(refs)
def test_what_is_of_no_use_comes_back(ref: SnapshotRef) -> None:
    assert decoded(SnapshotUseless(ref)) == SnapshotUseless(ref)


@pytest.mark.parametrize("talk", SAMPLES)
def test_another_length_is_refused(talk: SnapshotTalk) -> None:
    kind, encoded = body(talk)
    for length in range(len(encoded) - 16 * isinstance(talk, SnapshotChunk)):
        with pytest.raises(DecodeError):
            decode_talk(kind, 7, memoryview(encoded[:length]))
    if not isinstance(talk, SnapshotChunk):
        with pytest.raises(DecodeError, match="are allowed"):
            decode_talk(kind, 7, memoryview(encoded + b"\0"))


@pytest.mark.parametrize(
    ("talk", "at", "form", "value", "reason"),
    [
        *((talk, 0, "<I", 2, "version 2") for talk in SAMPLES),
        *((talk, 8, "<Q", 0, "index 0") for talk in (*NAMING, ANSWER)),
        *((talk, 16, "<Q", 0, "term 0") for talk in (*NAMING, ANSWER)),
        (QUESTION, 4, "<I", 1, "reserved bytes of a question are 1"),
        (QUESTION, 8, "<Q", 0, "between the entries 0 and 200"),
        (QUESTION, 8, "<Q", 201, "between the entries 201 and 200"),
        (ANSWER, 4, "<I", 1, "reserved bytes of an answer are 1"),
        (NONE, 8, "<Q", 1, "term 0"),
        (NONE, 16, "<Q", 1, "index 0"),
        (REQUEST, 4, "<I", LARGEST_CHUNK + 1, "1048577 bytes of a snapshot are asked for"),
        (REQUEST, 24, "<Q", 2**64 - 16, "where none has any"),
        (CHUNK, 4, "<I", 1, "reserved bytes of a chunk are 1"),
        (CHUNK, 24, "<Q", 1015, "16 bytes at 1000 are not within a snapshot of 1015"),
        (CHUNK, 48, "<Q", 2**64 - 1, "are not within"),
        (USELESS, 4, "<I", 1, "reserved bytes of a useless snapshot are 1"),
        (REFUSAL, 4, "<I", 0, "the reason 0"),
        (REFUSAL, 4, "<I", 3, "the reason 3"),
    ],
)
def test_what_cannot_be_is_refused(talk: SnapshotTalk, at: int, form: str, value: int, reason: str) -> None:
    kind, encoded = body(talk)
    changed_body = bytearray(encoded)
    pack_into(form, changed_body, at, value)
    with pytest.raises(DecodeError, match=reason):
        decode_talk(kind, 7, memoryview(bytes(changed_body)))


def test_a_chunk_may_not_be_larger_than_is_asked_for() -> None:
    big = SnapshotChunk(SnapshotFile(REF, 1 << 40, bytes(16)), 0, bytes(LARGEST_CHUNK))
    assert decoded(big) == big
    kind, encoded = body(big)
    with pytest.raises(DecodeError, match="are allowed"):
        decode_talk(kind, 7, memoryview(encoded + b"\0"))


@given(st.sampled_from(SNAPSHOT_FRAMES), u64, st.binary(max_size=100))
def test_any_bytes_decode_to_what_encodes_to_them_or_not_at_all(kind: int, group: int, data: bytes) -> None:
    try:
        talk = decode_talk(kind, group, memoryview(data))
    except DecodeError:
        return
    assert body(talk) == (kind, data)


def test_flipped_bits_decode_to_what_encodes_to_them_or_not_at_all() -> None:
    for talk in SAMPLES:
        kind, encoded = body(talk)
        for bit in range(8 * len(encoded)):
            flipped = bytearray(encoded)
            flipped[bit // 8] ^= 1 << bit % 8
            try:
                other = decode_talk(kind, 7, memoryview(bytes(flipped)))
            except DecodeError:
                continue
            assert other != talk
            assert body(other) == (kind, bytes(flipped))


def test_a_frame_in_a_datagram_of_its_own_is_what_a_builder_makes() -> None:
    builder = DatagramBuilder(header(ONE, TWO), 1200)
    kind, head, data = encode_talk(CHUNK)
    builder.add_frame(kind, head + data, 7)
    assert frame_datagram(header(ONE, TWO), kind, 7, head, data) == builder.finish()
    with pytest.raises(ValueError, match="kind must be 128 to 255, got 127"):
        frame_datagram(header(ONE, TWO), 127, 7, b"")


# --- Over the transport ---------------------------------------------------------------------------------------------


def talks(world: World, node_id: int) -> list[tuple[int, SnapshotTalk]]:
    """What the node is told from now on."""
    heard: list[tuple[int, SnapshotTalk]] = []
    world.transports[node_id].on_snapshot_talk(lambda source, talk: heard.append((source, talk)))
    return heard


@pytest.mark.parametrize("size", [0, 16, 1000, 1200, 100_000, LARGEST_CHUNK])
def test_it_arrives_whatever_its_size(size: int) -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO, max_datagram=1200)
    world.settle()
    heard = talks(world, 2)
    chunk = SnapshotChunk(SnapshotFile(REF, 5 << 20, bytes(16)), 1000, random.Random(1).randbytes(size))
    for talk in (REQUEST, chunk, REFUSAL):
        one.send_snapshot_talk(2, talk)
    world.settle(5.0)
    assert sorted(map(str, (talk for _, talk in heard if not isinstance(talk, SnapshotChunk)))) == sorted(
        map(str, (REQUEST, REFUSAL))
    )
    assert [(source, talk) for source, talk in heard if isinstance(talk, SnapshotChunk)] == [(1, chunk)]
    assert world.take(2) == [], "it is no message of Raft's"
    assert one.snapshot_backlog(2) == 0


def test_what_does_not_decode_is_ignored_and_counted() -> None:
    world = World()
    one, two = world.pair()
    heard = talks(world, 2)
    before = peer_counts(two, 1)
    kind, encoded = body(REQUEST)
    two.arrive(frame_datagram(header(ONE, TWO), kind, 7, encoded[:-1]))
    world.settle()
    assert heard == []
    assert changed(before, peer_counts(two, 1)).pop("malformed_snapshot_frames") == 1
    one.send_snapshot_talk(2, REQUEST)
    world.settle()
    assert heard == [(1, REQUEST)]


def test_messages_overtake_it() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO, max_datagram=1200)
    world.settle()
    order: list[str] = []
    world.transports[2].on_snapshot_talk(lambda *_: order.append("chunk"))
    world.network.filter = lambda source, to, datagram: True
    one.send_snapshot_talk(2, SnapshotChunk(SnapshotFile(REF, 5 << 20, bytes(16)), 0, bytes(LARGEST_CHUNK)))
    one.send(heartbeat(2, commit=9))
    one.flush()
    world.settle(0.0)
    assert order == []
    assert [next(iter(frames(each, DATAGRAM_HEADER_SIZE)))[1] for each in world.take(2)] == [9]
    world.settle(5.0)
    assert order == ["chunk"]


def test_nothing_waits_for_a_node_that_is_not_heard() -> None:
    world = World()
    one = world.start(ONE)
    one.send_snapshot_talk(2, REQUEST)
    one.send_snapshot_talk(9, REQUEST)
    assert peer_counts(one, 2)["snapshot_frames_dropped"] == 1
    heard = []
    world.start(TWO).on_snapshot_talk(lambda *what: heard.append(what))
    world.settle(3.0)
    assert heard == []


def test_a_chunk_on_its_way_is_known() -> None:
    world = World()
    one = world.start(ONE, max_datagram=1200)
    world.start(TWO, max_datagram=1200)
    world.settle()
    chunk = SnapshotChunk(SnapshotFile(REF, 5 << 20, bytes(16)), 1000, bytes(100_000))
    request = SnapshotRequest(REF, 1000, 100_000)
    assert not one.answers_already(2, request)
    one.send_snapshot_talk(2, chunk)
    assert one.answers_already(2, request)
    assert one.snapshot_backlog(2) > 100_000
    for other in (SnapshotRequest(REF, 1001, 100_000), SnapshotRequest(SnapshotRef(8, 150, 2), 1000, 100_000)):
        assert not one.answers_already(2, other)
    assert not one.answers_already(9, request)
    world.settle(5.0)
    assert not one.answers_already(2, request)
