"""The byte form of the key-value commands: fixed for good, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftpy.replicated import kv_commands as commands

KEYS = st.binary(min_size=1, max_size=300)
VALUES = st.binary(max_size=300)
VERSIONS = st.integers(0, commands.MAX_VERSION)


@pytest.mark.parametrize(
    ("command", "encoded"),
    [
        (commands.read(), "10"),
        (commands.put(b"k\xc3\xa9", b"v\x00w"), "11 0300 6bc3a9 760077"),
        (commands.put(b"k", b""), "11 0100 6b"),
        (commands.delete(b"key"), "12 0300 6b6579"),
        (commands.put_if_version(b"k", b"v", 0x0102030405060708), "13 0807060504030201 0100 6b 76"),
        (commands.put_if_absent(b"k", b"v"), "14 0100 6b 76"),
        (commands.delete_if_version(b"k", 2**64 - 1), "15 ffffffffffffffff 0100 6b"),
    ],
)
def test_the_bytes_are_these_and_stay_these(command: bytes, encoded: str) -> None:
    """A log written today is read by every later version: these vectors never change."""
    assert command == bytes.fromhex(encoded)


@given(KEYS, VALUES, VERSIONS)
def test_what_is_encoded_is_decoded(key: bytes, value: bytes, version: int) -> None:
    assert commands.decode(1, commands.put(key, value)) == (commands.PUT, key, value, 0)
    assert commands.decode(1, commands.put_if_absent(key, value)) == (commands.PUT_IF_ABSENT, key, value, 0)
    assert commands.decode(1, commands.put_if_version(key, value, version)) == (
        commands.PUT_IF_VERSION,
        key,
        value,
        version,
    )
    assert commands.decode(1, commands.delete(key)) == (commands.DELETE, key, b"", 0)
    assert commands.decode(1, commands.delete_if_version(key, version)) == (
        commands.DELETE_IF_VERSION,
        key,
        b"",
        version,
    )
    assert commands.decode(1, commands.read()) == (commands.READ, b"", b"", 0)


@given(KEYS, VALUES, VERSIONS)
def test_the_overheads_are_what_a_command_needs_besides_key_and_value(key: bytes, value: bytes, version: int) -> None:
    assert len(commands.put(key, value)) == commands.PLAIN_OVERHEAD + len(key) + len(value)
    assert len(commands.put_if_version(key, value, version)) == commands.VERSIONED_OVERHEAD + len(key) + len(value)


@pytest.mark.parametrize(
    "hostile",
    [
        "",  # nothing
        "00",
        "1000",  # a read with something behind it
        "11",
        "1101",
        "110000",  # an empty key
        "11000076",
        "1102006b",  # a key cut short
        "1200006b",
        "1201006b76",  # a delete with a value
        "13ffffffffffffffff0100",
        "13ffffffffffffffff00006b",
        "15ffffffffffffffff01006b76",
        "16",  # long keys: nothing but the form
        "16ffff0000" + 65535 * "6b",  # a key that has a short form
        "1600000100" + 65535 * "6b",  # a key cut short
        "1700000100" + 65537 * "6b",  # a delete with a value
        "18ffffffffffffffff000000",
        "1b",  # a command of tomorrow
        "2101006b76",  # version 2 of the format
        "ff",
    ],
)
def test_anything_else_stops_the_replica(hostile: str) -> None:
    with pytest.raises(commands.UnknownCommand, match=r"log entry 77 is no command of this key-value store"):
        commands.decode(77, bytes.fromhex(hostile))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_command_or_refused_by_name(raw: bytes) -> None:
    try:
        form, key, value, version = commands.decode(1, raw)
    except commands.UnknownCommand:
        return
    encode = {
        commands.READ: commands.read,
        commands.PUT: lambda: commands.put(key, value),
        commands.DELETE: lambda: commands.delete(key),
        commands.PUT_IF_VERSION: lambda: commands.put_if_version(key, value, version),
        commands.PUT_IF_ABSENT: lambda: commands.put_if_absent(key, value),
        commands.DELETE_IF_VERSION: lambda: commands.delete_if_version(key, version),
    }
    assert encode[form]() == raw


def test_the_error_is_one_line_that_shows_the_first_bytes() -> None:
    with pytest.raises(commands.UnknownCommand) as caught:
        commands.decode(5, b"\x99" + b"x" * 100)
    assert str(caught.value) == (
        "log entry 5 is no command of this key-value store (version 1): 101 bytes beginning with "
        "99 78 78 78 78 78 78 78 78 78 78 78 78 78 78 78; was it written by a newer raftpy?"
    )


LONG = b"k" * 65536


@pytest.mark.parametrize(
    ("command", "start", "decoded"),
    [
        (commands.put(LONG, b"v"), "16 00000100", (commands.PUT, LONG, b"v", 0)),
        (commands.delete(LONG), "17 00000100", (commands.DELETE, LONG, b"", 0)),
        (
            commands.put_if_version(LONG, b"", 0x0102030405060708),
            "18 0807060504030201 00000100",
            (commands.PUT_IF_VERSION, LONG, b"", 0x0102030405060708),
        ),
        (commands.put_if_absent(LONG, b"v"), "19 00000100", (commands.PUT_IF_ABSENT, LONG, b"v", 0)),
        (
            commands.delete_if_version(LONG, 2**64 - 1),
            "1a ffffffffffffffff 00000100",
            (commands.DELETE_IF_VERSION, LONG, b"", 2**64 - 1),
        ),
    ],
)
def test_a_long_key_has_forms_of_its_own(command: bytes, start: str, decoded: tuple[int, bytes, bytes, int]) -> None:
    assert command == bytes.fromhex(start) + LONG + decoded[2]
    assert commands.decode(1, command) == decoded


@pytest.mark.parametrize("size", [65535, 65536, commands.MAX_KEY])
def test_keys_up_to_the_longest(size: int) -> None:
    assert commands.MAX_KEY == 16 << 20
    key = bytes(size - 1) + b"k"
    assert commands.decode(1, commands.put(key, b"v")) == (commands.PUT, key, b"v", 0)
    assert len(commands.put(key, b"v")) == commands.PLAIN_OVERHEAD + (2 if size > 65535 else 0) + size + 1


def test_a_key_that_is_too_long_is_refused_and_never_cut() -> None:
    key = bytes(commands.MAX_KEY + 1)
    for command in (
        lambda: commands.put(key, b""),
        lambda: commands.put_if_absent(key, b""),
        lambda: commands.put_if_version(key, b"", 1),
        lambda: commands.delete(key),
        lambda: commands.delete_if_version(key, 1),
    ):
        with pytest.raises(ValueError, match="a key of 16777217 bytes: allowed are 1 to 16777216"):
            command()
