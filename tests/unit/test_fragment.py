"""The byte forms of fragments and of their acknowledgements (docs/wire-format.md)."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import DecodeError
from raftcore.wire.fragment import (
    ACK_RANGES,
    FRAGMENT_HEADER_SIZE,
    LARGEST_CUT,
    LEAST_STEP,
    decode_ack,
    decode_fragment,
    encode_ack,
    encode_fragment,
)

HEAD = struct.Struct("<QQIIII")


def test_a_fragment_is_read_as_it_was_written() -> None:
    body = encode_fragment(7, 3, 0xFEED, 1000, 300, 3, b"x" * 100)
    assert body[:FRAGMENT_HEADER_SIZE] == HEAD.pack(7, 3, 0xFEED, 1000, 300, 3)
    assert decode_fragment(body) == (7, 3, 0xFEED, 1000, 300, 3, b"x" * 100)
    assert decode_fragment(encode_fragment(1, 1, 0, 1000, 300, 0, b"y" * 300))[6] == b"y" * 300


@pytest.mark.parametrize(
    ("fields", "length", "words"),
    [
        ((0, 1, 0, 1000, 300, 0), 300, "counted from 1"),
        ((1, 0, 0, 1000, 300, 0), 300, "counted from 1"),
        ((1, 1, 0, 0, 300, 0), 300, "fragments of 0 bytes together"),
        ((1, 1, 0, LARGEST_CUT + 1, 300, 0), 300, "bytes together"),
        ((1, 1, 0, 1000, LEAST_STEP - 1, 0), 255, "255 bytes each"),
        ((1, 1, 0, 1000, 0, 0), 1, "0 bytes each"),
        ((1, 1, 0, 1000, LARGEST_CUT + 1, 0), 1000, "bytes each"),
        ((1, 1, 0, 900, 300, 3), 1, "begins behind 900"),
        ((1, 1, 0, 1000, 300, 2**32 - 1), 1, "begins behind 1000"),
        ((1, 1, 0, 2**30, 2**30, 2**31), 1, "begins behind"),
        ((1, 1, 0, 1000, 300, 0), 299, "299 bytes, 300 expected"),
        ((1, 1, 0, 1000, 300, 0), 301, "301 bytes, 300 expected"),
        ((1, 1, 0, 1000, 300, 3), 300, "300 bytes, 100 expected"),
        ((1, 1, 0, 1000, 300, 0), 0, "needs more than 32"),
    ],
)
def test_what_no_fragment_says_is_refused(fields: tuple[int, ...], length: int, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        decode_fragment(HEAD.pack(*fields) + bytes(length))


@given(st.binary(max_size=400))
def test_any_bytes_as_a_fragment(body: bytes) -> None:
    try:
        *fields, data = decode_fragment(body)
    except DecodeError:
        return
    assert encode_fragment(*fields, data) == body  # type: ignore[arg-type]


def test_an_acknowledgement_names_what_has_come() -> None:
    assert encode_ack([(1, 1)]) == struct.pack("<QIHH", 1, 0, 0, 0)
    body = encode_ack([(90, 100), (80, 85), (1, 7)])
    assert body == struct.pack("<QIHH", 100, 10, 2, 0) + struct.pack("<IIII", 4, 6, 72, 7)
    assert decode_ack(body) == [(90, 100), (80, 85), (1, 7)]


def test_what_a_field_cannot_hold_is_left_out() -> None:
    far = 2**40
    assert decode_ack(
        encode_ack(
            [
                (1, far),
            ]
        )
    ) == [(far - (2**32 - 1), far)]
    assert decode_ack(encode_ack([(far, far), (1, 5)])) == [(far, far)], "so many missing cannot be said"
    assert decode_ack(encode_ack([(far, far), (3, far - 2)])) == [(far, far), (far - 2 - (2**32 - 2), far - 2)]


@given(st.sets(st.integers(1, 500), min_size=1))
def test_any_numbers_that_have_come(numbers: set[int]) -> None:
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers, reverse=True):
        if ranges and ranges[-1][0] == number + 1:
            ranges[-1] = (number, ranges[-1][1])
        else:
            ranges.append((number, number))
    ranges = ranges[:ACK_RANGES]
    assert decode_ack(encode_ack(ranges)) == ranges


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "0 bytes where"),
        (bytes(15), "15 bytes where"),
        (struct.pack("<QIHH", 0, 0, 0, 0), "begin with 1"),
        (struct.pack("<QIHH", 5, 5, 0, 0), "begin with 1"),
        (struct.pack("<QIHH", 5, 0, 0, 1), "reserved"),
        (struct.pack("<QIHH", 5, 0, 1, 0), "takes 24 bytes, not 16"),
        (struct.pack("<QIHH", 5, 0, 0, 0) + b"x", "takes 16 bytes, not 17"),
        (struct.pack("<QIHH", 500, 0, 32, 0) + struct.pack("<II", 1, 1) * 32, "at most 32"),
        (struct.pack("<QIHHII", 5, 0, 1, 0, 0, 1), "at least 1"),
        (struct.pack("<QIHHII", 5, 0, 1, 0, 1, 0), "at least 1"),
        (struct.pack("<QIHHII", 5, 0, 1, 0, 4, 1), "begin with 1"),
        (struct.pack("<QIHHII", 5, 0, 1, 0, 2**32 - 1, 2**32 - 1), "begin with 1"),
    ],
)
def test_what_no_acknowledgement_says_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        decode_ack(body)


@given(st.binary(max_size=300))
def test_any_bytes_as_an_acknowledgement(body: bytes) -> None:
    try:
        ranges = decode_ack(body)
    except DecodeError:
        return
    assert all(low <= high for low, high in ranges)
    assert decode_ack(encode_ack(ranges)) == ranges


def test_spoiled_acknowledgements_and_fragments_never_hurt(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(5000):
        if source.random() < 0.5:
            whole = bytearray(encode_fragment(5, 2, 9, 2000, 600, 3, b"z" * 200))
            read = decode_fragment
        else:
            whole = bytearray(encode_ack([(90, 100), (80, 85), (1, 7)]))
            read = decode_ack  # type: ignore[assignment]
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(min(len(whole), 40))
            whole[at] = source.choice((0, 1, 127, 128, 255, source.randrange(256)))
        if source.random() < 0.3:
            del whole[source.randrange(len(whole)) :]
        try:
            read(bytes(whole))
        except DecodeError:
            pass


@pytest.mark.parametrize(
    "ranges",
    [[], [(0, 1)], [(2, 1)], [(5, 6), (1, 4)], [(1, 2), (5, 6)], [(2 * i, 2 * i) for i in range(33, 0, -1)]],
)
def test_ranges_that_are_none(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="range"):
        encode_ack(ranges)
