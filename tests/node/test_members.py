"""The member table by itself: its byte form, and what applying a change does to it."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import DecodeError
from raftcore.base.types import LARGEST_ID
from raftpy.contracts.types import MAX_ADDRESS, RemovedMember
from raftpy.members.table import (
    MAX_PRIORITY,
    REMOVED_VERSION,
    MemberRecord,
    MemberTable,
    decode_records,
    encode_records,
)
from raftpy.runtime.sections import known_sections, members_header

ALPHABET = "AZaz09_.:%[]-"
addresses = st.text(ALPHABET, max_size=20) | st.just("a" * MAX_ADDRESS)
http_addresses = addresses | addresses.map(lambda text: f"https://{text}"[:MAX_ADDRESS])
records = st.builds(
    MemberRecord,
    udp=addresses,
    http=http_addresses,
    store_id=st.integers(0, 2**64 - 1),
    priority=st.integers(0, MAX_PRIORITY),
    witness=st.booleans(),
)
limits = st.just(0) | st.integers(1, 2**32 - 1)
tables = st.dictionaries(st.integers(1, 9) | st.just(LARGEST_ID), records, max_size=4)

ONE = MemberRecord("127.0.0.1:7101", "127.0.0.1:8101", 0xA1, 7, True)


def raw(
    *members: bytes, version: int = 1, reserved: int = 0, count: int | None = None, limit: int | None = None
) -> bytes:
    head = struct.pack("<BBH", version, reserved, len(members) if count is None else count)
    return head + (b"" if limit is None else struct.pack("<I", limit)) + b"".join(members)


def one(
    node_id: int, store: int = 1, priority: int = 0, flags: int = 0, udp: bytes = b"u:1", http: bytes = b""
) -> bytes:
    return struct.pack("<QQHBBB", node_id, store, priority, flags, len(udp), len(http)) + udp + http


@given(tables, limits)
def test_round_trip(table: dict[int, MemberRecord], limit: int) -> None:
    data = encode_records(table, limit)
    assert decode_records(data) == (table, limit)
    assert MemberTable.decode(data) == MemberTable(table, limit)
    assert MemberTable.decode(bytearray(data)).encode() == data
    assert MemberTable.decode(data).max_command == (limit or 16 << 20)


def test_what_says_nothing_of_the_largest_command_is_as_older_releases_know_it() -> None:
    assert encode_records({1: MemberRecord("u:1", store_id=1)}) == raw(one(1))
    assert encode_records({1: MemberRecord("u:1", store_id=1)}, 1000) == raw(one(1), version=2, limit=1000)


@given(tables, limits, st.data())
def test_truncated_or_longer_bytes_are_refused(table: dict[int, MemberRecord], limit: int, data: st.DataObject) -> None:
    whole = encode_records(table, limit)
    with pytest.raises(DecodeError):
        decode_records(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DecodeError):
        decode_records(whole + data.draw(st.binary(min_size=1, max_size=30)))


@given(tables, limits, st.data())
def test_mutated_bytes_are_refused_or_read_to_the_same_bytes(
    table: dict[int, MemberRecord], limit: int, data: st.DataObject
) -> None:
    whole = bytearray(encode_records(table, limit))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = decode_records(whole)
    except DecodeError:
        return
    assert encode_records(*read) == whole


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "0 bytes"),
        (b"\1\0\0", "3 bytes"),
        (raw(version=0), "version 0"),
        (raw(version=3) + b"whatever it holds", "version 3: this release reads versions up to 2"),
        (raw(version=2), "0 bytes where the largest command has 4"),
        (raw(version=2) + b"abc", "3 bytes where the largest command has 4"),
        (raw(version=2, limit=0), "the largest command has 0 bytes"),
        (raw(one(1), version=2, limit=1, count=2), "2 member records in 32 bytes"),
        (raw(reserved=1), "1 where 0 is expected"),
        (raw(one(1), count=2), "2 member records in 28 bytes"),
        (raw(one(1), count=0), "24 bytes are left over"),
        (raw(one(0)), "member 0 after 0"),
        (raw(one(2), one(1)), "member 1 after 2"),
        (raw(one(1), one(1)), "member 1 after 1"),
        (raw(one(LARGEST_ID + 1)), f"at most {LARGEST_ID}"),
        (raw(one(1, flags=2)), "flags 0x2"),
        (raw(one(1, http=b"h:1")[:-1]), "addresses of 6 bytes, but only 5 are left"),
        (raw(one(1, udp=b"a\r\nb")), "characters not allowed"),
        (raw(one(1, http=b"a/b")), "characters not allowed"),
        (raw(one(1, http=b"\xe4:1")), "characters not allowed"),
        (raw(one(1, http=b"a:1\n")), "characters not allowed"),
        (raw(one(1), one(2)[:-4]), "bytes where a member record needs 21|addresses of 3 bytes"),
    ],
)
def test_what_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        decode_records(data)


def test_nothing_is_made_before_the_bytes_are_there() -> None:
    with pytest.raises(DecodeError, match="65535 member records in 4 bytes"):
        decode_records(raw(count=65535))


@pytest.mark.parametrize(
    "fields",
    [
        {"udp": "a b:1"},
        {"http": "ä:1"},
        {"http": "a:1\n"},
        {"http": "ftp://a:1"},
        {"http": "https://a:1/b"},
        {"udp": "https://a:1"},
        {"udp": "a" * 256},
        {"store_id": -1},
        {"store_id": 2**64},
        {"priority": -1},
        {"priority": MAX_PRIORITY + 1},
    ],
)
def test_records_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(fields))).split("_")[0]):
        MemberRecord(**fields)


def test_a_change_takes_the_place_of_what_it_names_and_leaves_the_rest() -> None:
    table = MemberTable()
    two = MemberRecord("127.0.0.1:7102")
    assert list(table.apply(encode_records({1: ONE, 2: two}))) == []
    assert list(table.apply(encode_records({2: replace(two, store_id=0xB2, http="h:1")}))) == []
    assert table == MemberTable({1: ONE, 2: MemberRecord("127.0.0.1:7102", "h:1", 0xB2)})
    assert list(table) == [1, 2]
    assert (table.witnesses(), table.priorities()) == (frozenset({1}), {1: 7})


@pytest.mark.parametrize("store_id", [0, 0xA2])
def test_a_store_id_is_for_ever(store_id: int) -> None:
    table = MemberTable({1: ONE})
    two = MemberRecord("u:2")
    other = replace(ONE, store_id=store_id, http="elsewhere:1", priority=9)
    assert list(table.apply(encode_records({1: other, 2: two}))) == [1]
    assert table == MemberTable({1: ONE, 2: two})
    assert list(table.apply(encode_records({1: replace(other, store_id=0xA1)}))) == []
    assert table.get(1) == replace(other, store_id=0xA1)


def test_a_context_that_cannot_be_read_changes_nothing() -> None:
    table = MemberTable({1: ONE})
    with pytest.raises(DecodeError):
        table.apply(raw(one(1, store=0xA1), one(2, flags=128)))
    assert table == MemberTable({1: ONE})


def test_nobody_becomes_a_witness_or_stops_being_one() -> None:
    """A witness holds no commands: a full member made one would be sent none from then on."""
    table = MemberTable({1: ONE, 2: MemberRecord("u:1", "", 0xB2)})
    turned = {1: replace(ONE, witness=False, priority=9), 2: MemberRecord("u:1", "", 0xB2, witness=True)}
    assert list(table.apply(encode_records(turned))) == [1, 2]
    assert table.witnesses() == {1}
    assert table.get(1) == ONE


def test_the_largest_command_is_what_was_set_last() -> None:
    table = MemberTable({1: ONE})
    assert table.max_command == 16 << 20
    before = table.copy()
    for limit, then in ((1000, 1000), (0, 1000), (1 << 25, 1 << 25), (7, 7)):
        assert list(table.apply(encode_records({}, limit))) == []
        assert table.max_command == then
    assert table == MemberTable({1: ONE}, 7)
    assert table != before
    assert before == MemberTable({1: ONE})


# --- Who was removed ------------------------------------------------------------------------------------------------

former = st.builds(RemovedMember, index=st.integers(1, 2**64 - 1), store_id=st.integers(0, 2**64 - 1), udp=addresses)
gone = st.dictionaries(st.integers(10, 19) | st.just(LARGEST_ID - 1), former, min_size=1, max_size=4)


@given(tables, limits, gone)
def test_a_table_says_who_was_removed(table: dict[int, MemberRecord], limit: int, removed: dict[int, Any]) -> None:
    whole = MemberTable(table, limit, removed)
    data = whole.encode()
    assert data[0] == REMOVED_VERSION
    assert MemberTable.decode(data) == whole
    assert MemberTable.decode(data).encode() == data
    assert MemberTable.decode(data).removed == removed
    assert whole != MemberTable(table, limit)
    with pytest.raises(DecodeError, match="version 3: this release reads versions up to 2"):
        decode_records(data)  # a context says nothing of the kind


@given(tables, limits, gone, st.data())
def test_a_cut_or_mutated_table_is_refused_or_read_to_the_same_bytes(
    table: dict[int, MemberRecord], limit: int, removed: dict[int, Any], data: st.DataObject
) -> None:
    whole = bytearray(MemberTable(table, limit, removed).encode())
    for wrong in (whole[: data.draw(st.integers(0, len(whole) - 1))], whole + b"\0"):
        with pytest.raises(DecodeError):
            MemberTable.decode(wrong)
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = MemberTable.decode(whole)
    except DecodeError:
        return
    assert read.encode() == whole


def removed_raw(*members: bytes, records: bytes = b"", count: int = 0, limit: int = 0) -> bytes:
    return struct.pack("<BBHII", 3, 0, count, limit, len(members)) + b"".join(members) + records


def removed_one(node_id: int, index: int = 5, udp: bytes = b"u:1") -> bytes:
    return struct.pack("<QQQB", node_id, 1, index, len(udp)) + udp


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (removed_raw(), "from which nobody was removed"),
        (b"\3\0\0\0\0", "version 3 in 5 bytes"),
        (removed_raw()[:10], "2 bytes where the number of removed members has 4"),
        (struct.pack("<BBHII", 3, 0, 0, 0, 2) + removed_one(1), "2 removed members in 28 bytes"),
        (removed_raw(removed_one(2), removed_one(1)), "member 1 after 2"),
        (removed_raw(removed_one(0)), "member 0 after 0"),
        (removed_raw(removed_one(1, index=0)), "removed at index 0"),
        (removed_raw(removed_one(1, udp=b"a b:1")), "characters not allowed"),
        (removed_raw(removed_one(1))[:-1], "cut off or with characters"),
        (removed_raw(removed_one(1), records=one(1), count=1), "member 1 is a member, and was removed"),
        (removed_raw(removed_one(1), records=b"x"), "1 bytes are left over"),
    ],
)
def test_what_is_refused_of_who_was_removed(data: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        MemberTable.decode(data)


def test_who_is_removed_is_gone_from_the_table_and_stays_out() -> None:
    table = MemberTable({1: ONE, 2: MemberRecord("u:2", store_id=2)})
    table.remove(2, 9)
    assert list(table) == [1]
    assert table.removed == {2: RemovedMember(9, 2, "u:2")}
    assert list(table.apply(encode_records({2: MemberRecord("u:2", store_id=2), 3: MemberRecord("u:3")}))) == [2]
    assert list(table) == [1, 3]
    table.remove(2, 11)
    table.remove(7, 12)  # of whom nothing was known
    assert table.removed == {2: RemovedMember(9, 2, "u:2"), 7: RemovedMember(12)}
    copy = table.copy()
    copy.remove(3, 13)
    assert 3 not in table.removed


def test_the_section_of_a_snapshot_says_that_older_releases_must_stop() -> None:
    table = MemberTable({1: ONE})
    assert (members_header(table.encode()).version, members_header(table.encode()).must_understand) == (1, True)
    table.remove(2, 9)
    assert (members_header(table.encode()).version, members_header(table.encode()).must_understand) == (2, True)
    assert known_sections(1)["members"] == 2
