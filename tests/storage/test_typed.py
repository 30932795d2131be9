"""Headers of typed parts: sections of snapshots, and the runtime's own entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import DecodeError
from raftpy.contracts.errors import NotUnderstood
from raftpy.contracts.typed import MAX_HEADER, TypeHeader, unwrap, wrap

HEADERS = st.builds(
    TypeHeader,
    name=st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=64),
    version=st.integers(1, 65_535),
    must_understand=st.booleans(),
)


def test_its_bytes() -> None:
    assert TypeHeader("log-time", 258).encode() == b"\x01\x01\x02\x01\x08log-time"
    assert TypeHeader("a.b", 1, must_understand=False).encode() == b"\x01\x00\x01\x00\x03a.b"


@given(HEADERS, st.binary(max_size=50))
def test_what_is_wrapped_is_unwrapped(header: TypeHeader, contents: bytes) -> None:
    data = wrap(header, contents)
    assert unwrap(data) == (header, contents)
    assert TypeHeader.decode(memoryview(data)) == (header, len(data) - len(contents))
    assert len(header.encode()) <= MAX_HEADER


@given(HEADERS)
def test_a_part_of_a_header_is_none(header: TypeHeader) -> None:
    data = header.encode()
    for size in range(len(data)):
        with pytest.raises(DecodeError, match="bytes"):
            TypeHeader.decode(data[:size])


@given(st.binary(max_size=80))
def test_anything_else_is_none_or_is_written_like_that(data: bytes) -> None:
    try:
        header, end = TypeHeader.decode(data)
    except DecodeError:
        return
    assert header.encode() == data[:end]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x02\x01\x01\x00\x01a", "form 2: this release reads form 1"),
        (b"\x01\x03\x01\x00\x01a", "flags 0x3: at most 0x1 is allowed"),
        (b"\x01\x01\x00\x00\x01a", "version of 'a' is 1 to 65535, got 0"),
        (b"\x01\x01\x01\x00\x00", "name is 1 to 64 of a-z 0-9 - and ., got ''"),
        (b"\x01\x01\x01\x00\x41" + b"a" * 65, "name is 1 to 64"),
        (b"\x01\x01\x01\x00\x02A\n", r"got 'A\\n'"),
        (b"\x01\x01\x01\x00\x02a\xff", "name is 1 to 64"),
    ],
)
def test_what_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        unwrap(data)


@pytest.mark.parametrize(("name", "version"), [("", 1), ("A", 1), ("a b", 1), ("a\n", 1), ("a" * 65, 1), ("a", 0)])
def test_what_cannot_be_a_header(name: str, version: int) -> None:
    with pytest.raises(ValueError):
        TypeHeader(name, version)


def test_who_understands_what() -> None:
    known = {"a": 2, "b": 1}
    assert TypeHeader("a", 1).is_understood(known, "here")
    assert TypeHeader("a", 2, must_understand=False).is_understood(known, "here")
    assert not TypeHeader("a", 3, must_understand=False).is_understood(known, "here")
    assert not TypeHeader("c", 1, must_understand=False).is_understood(known, "here")
    for header, text in (
        (TypeHeader("a", 3), "entry 7: 'a' of version 3 must be understood, .* knows it up to version 2: run"),
        (TypeHeader("c", 1), "entry 7: 'c' of version 1 must be understood, .* does not know it: run"),
    ):
        with pytest.raises(NotUnderstood, match=text) as caught:
            header.is_understood(known, "entry 7")
        error = caught.value
        assert (error.where, error.name, error.version, error.known) == (
            "entry 7",
            header.name,
            header.version,
            known.get(header.name),
        )
