"""The frames in which a snapshot goes from node to node (docs/wire-format.md, "Snapshots on their way").

    question   u32 version 1, u32 0, u64 first, last
    answer     u32 version 1, u32 0, u64 index, term (0 and 0: none)
    request    u32 version 1, u32 size, u64 index, term, offset
    chunk      u32 version 1, u32 0, u64 index, term, size of the whole, 16 bytes digest of the whole, u64 offset, bytes
    refusal    u32 version 1, u32 reason, u64 index, term
    useless    u32 version 1, u32 0, u64 index, term

The group is the frame's. Each value has one encoding, and what is not allowed is refused.
"""

from __future__ import annotations

from collections.abc import Hashable
from struct import Struct

from raftcore.base.errors import DecodeError
from raftcore.wire.codec import FRAME_TRANSPORT
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
from raftpy.contracts.snapshots import DIGEST_SIZE, SnapshotFile, SnapshotRef

FRAME_SNAPSHOT_REQUEST: int = FRAME_TRANSPORT + 4
FRAME_SNAPSHOT_CHUNK: int = FRAME_TRANSPORT + 5
FRAME_SNAPSHOT_REFUSAL: int = FRAME_TRANSPORT + 6
FRAME_SNAPSHOT_QUESTION: int = FRAME_TRANSPORT + 12
FRAME_SNAPSHOT_ANSWER: int = FRAME_TRANSPORT + 13
FRAME_SNAPSHOT_USELESS: int = FRAME_TRANSPORT + 16
SNAPSHOT_FRAMES = (
    FRAME_SNAPSHOT_REQUEST,
    FRAME_SNAPSHOT_CHUNK,
    FRAME_SNAPSHOT_REFUSAL,
    FRAME_SNAPSHOT_QUESTION,
    FRAME_SNAPSHOT_ANSWER,
    FRAME_SNAPSHOT_USELESS,
)
SNAPSHOT_VERSION = 1

_REQUEST = Struct("<IIQQQ")
_CHUNK = Struct(f"<IIQQQ{DIGEST_SIZE}sQ")
_REFUSAL = Struct("<IIQQ")
_QUESTION = Struct("<IIQQ")
_ANSWER = Struct("<IIQQ")
_USELESS = Struct("<IIQQ")
_REASONS = {int(reason): reason for reason in NotGiven}


def encode_talk(talk: SnapshotTalk) -> tuple[int, bytes, bytes]:
    """Kind of the frame, and its body in two parts, of which the second is a chunk's bytes."""
    if isinstance(talk, SnapshotRequest):
        ref = talk.ref
        return FRAME_SNAPSHOT_REQUEST, _REQUEST.pack(SNAPSHOT_VERSION, talk.size, ref.index, ref.term, talk.offset), b""
    if isinstance(talk, SnapshotRefusal):
        return FRAME_SNAPSHOT_REFUSAL, _REFUSAL.pack(SNAPSHOT_VERSION, talk.reason, talk.ref.index, talk.ref.term), b""
    if isinstance(talk, SnapshotUseless):
        return FRAME_SNAPSHOT_USELESS, _USELESS.pack(SNAPSHOT_VERSION, 0, talk.ref.index, talk.ref.term), b""
    if isinstance(talk, SnapshotQuestion):
        return FRAME_SNAPSHOT_QUESTION, _QUESTION.pack(SNAPSHOT_VERSION, 0, talk.first, talk.last), b""
    if isinstance(talk, SnapshotAnswer):
        index, term = (0, 0) if talk.ref is None else (talk.ref.index, talk.ref.term)
        return FRAME_SNAPSHOT_ANSWER, _ANSWER.pack(SNAPSHOT_VERSION, 0, index, term), b""
    file = talk.file
    head = _CHUNK.pack(
        SNAPSHOT_VERSION, 0, file.ref.index, file.ref.term, file.size, file.digest, talk.offset
    )  # fmt: skip
    return FRAME_SNAPSHOT_CHUNK, head, bytes(talk.data)


def group_of_talk(talk: SnapshotTalk) -> int:
    """Of which group it is."""
    if isinstance(talk, (SnapshotQuestion, SnapshotAnswer)):
        return talk.group
    return talk.file.ref.group if isinstance(talk, SnapshotChunk) else talk.ref.group


def key_of_talk(talk: SnapshotTalk) -> Hashable:
    """The same for a request and the chunk that answers it in full; None: it is not compared."""
    if isinstance(talk, SnapshotChunk):
        return talk.file.ref, talk.offset, len(talk.data)
    return (talk.ref, talk.offset, talk.size) if isinstance(talk, SnapshotRequest) else None


def decode_talk(kind: int, group: int, body: memoryview) -> SnapshotTalk:
    """What a frame of one of ``SNAPSHOT_FRAMES`` says; a chunk's bytes lie in ``body``. Raises ``DecodeError``."""
    try:
        if kind == FRAME_SNAPSHOT_REQUEST:
            return _decode_request(group, body)
        if kind == FRAME_SNAPSHOT_CHUNK:
            return _decode_chunk(group, body)
        if kind == FRAME_SNAPSHOT_REFUSAL:
            return _decode_refusal(group, body)
        if kind == FRAME_SNAPSHOT_QUESTION:
            return _decode_question(group, body)
        if kind == FRAME_SNAPSHOT_USELESS:
            return _decode_useless(group, body)
        return _decode_answer(group, body)
    except ValueError as error:  # of numbers that no snapshot has
        raise DecodeError(str(error)) from None


def _decode_request(group: int, body: memoryview) -> SnapshotRequest:
    _check_size("a request for a snapshot", body, _REQUEST.size, _REQUEST.size)
    version, size, index, term, offset = _REQUEST.unpack(body)
    _check_version(version)
    if size > LARGEST_CHUNK:
        raise DecodeError(f"{size} bytes of a snapshot are asked for, at most {LARGEST_CHUNK} are allowed")
    if offset + size >= 2**64:
        raise DecodeError(f"{size} bytes of a snapshot are asked for from {offset} on, where none has any")
    return SnapshotRequest(SnapshotRef(group, index, term), offset, size)


def _decode_chunk(group: int, body: memoryview) -> SnapshotChunk:
    _check_size("a chunk of a snapshot", body, _CHUNK.size, _CHUNK.size + LARGEST_CHUNK)
    version, reserved, index, term, size, digest, offset = _CHUNK.unpack_from(body)
    _check_version(version)
    if reserved:
        raise DecodeError(f"reserved bytes of a chunk are {reserved}, 0 expected")
    data = body[_CHUNK.size :]
    if offset + len(data) > size:
        raise DecodeError(f"{len(data)} bytes at {offset} are not within a snapshot of {size}")
    return SnapshotChunk(SnapshotFile(SnapshotRef(group, index, term), size, digest), offset, data)


def _decode_refusal(group: int, body: memoryview) -> SnapshotRefusal:
    _check_size("a refused snapshot", body, _REFUSAL.size, _REFUSAL.size)
    version, number, index, term = _REFUSAL.unpack(body)
    _check_version(version)
    if number not in _REASONS:
        raise DecodeError(f"a snapshot is refused for the reason {number}: known are {sorted(_REASONS)}")
    return SnapshotRefusal(SnapshotRef(group, index, term), _REASONS[number])


def _decode_question(group: int, body: memoryview) -> SnapshotQuestion:
    _check_size("a question for a snapshot", body, _QUESTION.size, _QUESTION.size)
    version, reserved, first, last = _QUESTION.unpack(body)
    _check_version(version)
    if reserved:
        raise DecodeError(f"reserved bytes of a question are {reserved}, 0 expected")
    return SnapshotQuestion(group, first, last)


def _decode_answer(group: int, body: memoryview) -> SnapshotAnswer:
    _check_size("an answer about a snapshot", body, _ANSWER.size, _ANSWER.size)
    version, reserved, index, term = _ANSWER.unpack(body)
    _check_version(version)
    if reserved:
        raise DecodeError(f"reserved bytes of an answer are {reserved}, 0 expected")
    return SnapshotAnswer(group, SnapshotRef(group, index, term) if index or term else None)


def _decode_useless(group: int, body: memoryview) -> SnapshotUseless:
    _check_size("a useless snapshot", body, _USELESS.size, _USELESS.size)
    version, reserved, index, term = _USELESS.unpack(body)
    _check_version(version)
    if reserved:
        raise DecodeError(f"reserved bytes of a useless snapshot are {reserved}, 0 expected")
    return SnapshotUseless(SnapshotRef(group, index, term))


def _check_size(what: str, body: memoryview, least: int, most: int) -> None:
    if not least <= len(body) <= most:
        raise DecodeError(f"{what} of {len(body)} bytes: {least} to {most} are allowed")


def _check_version(version: int) -> None:
    if version != SNAPSHOT_VERSION:
        raise DecodeError(f"version {version} of a snapshot's frame, {SNAPSHOT_VERSION} expected")
