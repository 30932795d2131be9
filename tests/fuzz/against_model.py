"""The decoder beside the model that reads the same bytes (tests/model_codec.py): both refuse, or both read the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

from raftcore import Message
from raftcore.base.errors import DecodeError
from raftcore.wire import codec
from raftcore.wire.codec import decode_message, encode_message, parse_header
from tests import model_codec as model
from tests import strategies


def outcome(call: Any, *arguments: Any) -> Any:
    """What it returns, or None for a refusal. Any exception but a refusal goes up."""
    try:
        return call(*arguments)
    except DecodeError:
        return None


def model_outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except ValueError:
        return None


def check_body(kind: int, body: bytes) -> str:
    """One frame's body, against the model; which of the two ways it went."""
    expected = model_outcome(model.decode_body, kind, body)
    got = outcome(decode_message, kind, body)
    if expected is None:
        assert got is None, f"kind {kind}, {body.hex()}: read as {got}"
        return "refused"
    assert got is not None, f"kind {kind}, {body.hex()}: refused, but it is {expected}"
    assert strategies.as_model(got) == expected
    assert encode_message(got) == (kind, body), "one encoding for each message"
    return "read"


def check_datagram(datagram: bytes) -> Counter[str]:
    """A datagram, layer by layer, against the model."""
    ways: Counter[str] = Counter()
    header = outcome(parse_header, datagram)
    expected = model_outcome(model.decode_header, datagram)
    assert (header is None) == (expected is None)
    if header is None:
        ways["no header"] += 1
        return ways
    assert header.__reduce__()[1] == expected
    read = list(codec.messages(datagram))
    assert all(isinstance(item, Message | DecodeError) for _, item in read)
    frames = model_outcome(model.decode_frames, datagram[64:])
    if frames is None:
        assert outcome(list, codec.frames(datagram)) is None
        assert any(isinstance(item, DecodeError) for _, item in read)
        ways["no frames"] += 1
        return ways
    assert [(group, kind, bytes(body)) for group, kind, body in codec.frames(datagram)] == frames
    walk = iter(read)
    for group, kind, body in frames:
        if kind >= 128:
            ways["transport"] += 1
            continue
        ways[check_body(kind, body)] += 1
        got_group, item = next(walk)
        assert got_group == group
        assert isinstance(item, DecodeError) == (model_outcome(model.decode_body, kind, body) is None)
    assert next(walk, None) is None
    return ways
