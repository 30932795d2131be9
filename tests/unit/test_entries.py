"""Entries: lazy reading, cutting anywhere, and every check that hostile bytes go through."""

from __future__ import annotations

import copy
import pickle
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore import Entries, Entry, EntryKind
from raftcore.base.errors import DecodeError
from tests import model_codec as model


@st.composite
def block_lists(draw: st.DrawFn, max_blocks: int = 4) -> list[model.Block]:
    """Blocks that belong one after the other."""
    first = draw(st.integers(1, 2**63))
    term = draw(st.integers(1, 2**62))
    time_ms = draw(st.integers(0, 2**62))
    blocks = []
    for _ in range(draw(st.integers(1, max_blocks))):
        kind = draw(st.integers(0, 3))
        payload = st.just(b"") if kind == 3 else st.binary(max_size=20)
        payloads = draw(st.lists(payload, min_size=1, max_size=6))
        blocks.append({"first": first, "term": term, "time_ms": time_ms, "kind": kind, "payloads": payloads})
        first += len(payloads)
        term += draw(st.integers(0, 2))
        time_ms += draw(st.integers(0, 1000))
    return blocks


def encode(blocks: list[model.Block]) -> bytes:
    return b"".join(map(model.encode_block, blocks))


def as_entries(blocks: list[model.Block]) -> list[Entry]:
    return [
        Entry(block["term"], block["first"] + i, block["kind"], payload)
        for block in blocks
        for i, payload in enumerate(block["payloads"])
    ]


def block(**changes: Any) -> bytes:
    """One block of two commands, some fields of its header overwritten."""
    fields = {"first": 5, "term": 2, "time_ms": 9, "count": 2, "payload_size": 3, "kind": 0, "reserved": 0} | changes
    lengths = changes.pop("lengths", (1, 2))
    fields.pop("lengths", None)
    return struct.pack("<QQQIIII", *fields.values()) + struct.pack(f"<{len(lengths)}I", *lengths) + b"abc"


THREE_BLOCKS = Entries.build(
    [
        Entry(1, 5, 0, b"a"),
        Entry(1, 6, 0, b"bcd"),
        Entry(2, 7, EntryKind.EntryNoop),
        Entry(2, 8, 0, b"x" * 300),
        Entry(2, 9, 0, b""),
    ],
    time_ms=7,
)


@given(block_lists())
def test_what_the_model_encodes_is_read(blocks: list[model.Block]) -> None:
    data = encode(blocks)
    entries = Entries.decode(data)
    expected = as_entries(blocks)
    assert list(entries) == expected
    assert entries.data == data
    assert len(entries) == entries.count == len(expected)
    assert (entries.first, entries.last) == (expected[0].index, expected[-1].index)
    assert (entries.first_term, entries.last_term) == (expected[0].term, expected[-1].term)
    assert entries.payload_size == sum(len(e.data) for e in expected)
    assert entries.blocks == len(blocks)
    assert entries.commands() == [e.data for e in expected]
    assert entries.runs() == [(b["first"], len(b["payloads"]), b["term"], b["kind"], b["time_ms"]) for b in blocks]
    views = list(entries.iter_blocks())
    assert [view[:5] for view in views] == [
        (b["first"], b["term"], b["time_ms"], b["kind"], len(b["payloads"])) for b in blocks
    ]
    assert [bytes(view[5]) for view in views] == list(map(model.encode_block, blocks))


@given(block_lists(), st.data())
def test_cut_anywhere(blocks: list[model.Block], data: st.DataObject) -> None:
    entries = Entries.decode(encode(blocks))
    lo = data.draw(st.integers(entries.first, entries.last))
    hi = data.draw(st.integers(lo + 1, entries.last + 1))
    cut = entries.slice(lo, hi)
    checked = Entries.decode(cut.data)  # also: the bytes are whole valid blocks
    assert cut == checked
    assert list(cut) == [e for e in entries if lo <= e.index < hi]
    for name in ("first", "last", "count", "first_term", "last_term", "payload_size", "blocks"):
        assert getattr(cut, name) == getattr(checked, name), name
    times = {first + i: time for first, count, _, _, time in entries.runs() for i in range(count)}
    assert all(times[first] == time for first, _, _, _, time in cut.runs())


@given(block_lists(), st.randoms(use_true_random=False))
def test_random_access_in_any_order(blocks: list[model.Block], rng: random.Random) -> None:
    entries = Entries.decode(encode(blocks))
    expected = as_entries(blocks)
    for _ in range(30):
        at = rng.randrange(-len(expected), len(expected))
        assert entries[at] == expected[at]
        assert entries.payload(at) == expected[at].data
        if rng.random() < 0.2:
            lo = rng.randrange(len(expected))
            assert list(entries.slice(expected[lo].index, entries.last + 1)) == expected[lo:]


@given(block_lists(), st.integers(0, 2**64 - 1))
def test_build_is_the_inverse_of_reading(blocks: list[model.Block], time_ms: int) -> None:
    built = Entries.build(as_entries(blocks), time_ms)
    assert list(built) == as_entries(blocks)
    assert {run[4] for run in built.runs()} == {time_ms}
    assert Entries.decode(built.data) == built


@given(block_lists())
def test_every_cut_off_tail_is_refused_or_whole_blocks(blocks: list[model.Block]) -> None:
    data = encode(blocks)
    ends, at = set(), 0
    for part in map(model.encode_block, blocks):
        at += len(part)
        ends.add(at)
    for size in range(len(data)):
        if size in ends:
            assert Entries.decode(data[:size]).data == data[:size]
        else:
            with pytest.raises(DecodeError):
                Entries.decode(data[:size])


HEADER_RULES = [
    ({"count": 0}, "count 0, at least 1"),
    ({"count": 4}, "count 4, but the bytes left hold at most 2 lengths"),
    ({"count": 2**32 - 1}, "count 4294967295, but"),
    ({"payload_size": 4}, "payload size 4, but only 3 bytes are left"),
    ({"payload_size": 2**32 - 1}, "payload size 4294967295, but"),
    ({"payload_size": 2}, "lengths add up to 3, payload size is 2"),
    ({"lengths": (1, 1)}, "lengths add up to 2, payload size is 3"),
    ({"lengths": (1, 2**32 - 1)}, "an entry of 4294967295 bytes, at most 1073741823"),
    ({"lengths": (2**30, 1)}, "an entry of 1073741824 bytes, at most 1073741823"),
    ({"lengths": (2**30 - 1, 1)}, "lengths add up to 1073741824, payload size is 3"),
    ({"kind": 4}, "kind 4, at most 3"),
    ({"kind": 2**32 - 1}, "kind 4294967295, at most 3"),
    ({"kind": 3}, "a no-op with 3 bytes of payload, 0 allowed"),
    ({"reserved": 1}, "reserved field is 1, must be 0"),
    ({"first": 0}, "first index 0, at least 1"),
    ({"first": 2**64 - 2}, "first index 18446744073709551614, at most 18446744073709551613"),
    ({"term": 0}, "term 0, at least 1"),
]


@pytest.mark.parametrize(("changes", "text"), HEADER_RULES)
def test_a_block_that_breaks_a_rule_is_refused_by_name(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(DecodeError, match=text) as error:
        Entries.decode(block(**changes))
    assert str(error.value).startswith("block at byte 0: ")
    with pytest.raises(ValueError):
        model.decode_blocks(block(**changes))


def test_the_largest_index_allowed() -> None:
    assert Entries.decode(block(first=2**64 - 3)).last == 2**64 - 2


# Lengths whose sum is right only modulo 2**32: five of 2**30 - 1 and one more make 3 again.
def test_the_sum_of_lengths_is_not_taken_modulo_anything() -> None:
    lengths = (*[2**30 - 1] * 4, 7)
    assert sum(lengths) % 2**32 == 3
    with pytest.raises(DecodeError, match="lengths add up to 4294967299, payload size is 3"):
        Entries.decode(block(count=5, lengths=lengths))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"first": 6}, "first index 6, but 7 follows"),
        ({"first": 8}, "first index 8, but 7 follows"),
        ({"first": 7, "term": 1}, "term 1 after term 2"),
        ({"first": 7, "time_ms": 8}, "log time 8 ms after 9 ms"),
    ],
)
def test_rules_between_blocks(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(DecodeError, match=f"block at byte 51: {text}"):
        Entries.decode(block() + block(**changes))


def test_blocks_that_follow_each_other_pass() -> None:
    assert Entries.decode(block() + block(first=7, term=3, time_ms=10)).runs() == [(5, 2, 2, 0, 9), (7, 2, 3, 0, 10)]


def test_nothing_and_leftovers_are_refused() -> None:
    with pytest.raises(DecodeError, match="no block"):
        Entries.decode(b"")
    with pytest.raises(DecodeError, match="block at byte 51: 1 bytes where a block header needs 40"):
        Entries.decode(block() + b"\0")


@pytest.mark.parametrize("wrap", [bytearray, memoryview, lambda b: memoryview(b"_" + b)[1:]])
def test_decode_takes_any_bytes_and_keeps_its_own(wrap: Any) -> None:
    source = bytearray(THREE_BLOCKS.data)
    entries = Entries.decode(wrap(bytes(source)))
    assert entries == THREE_BLOCKS
    assert type(entries.data) is bytes
    entries = Entries.decode(source)
    source[0] ^= 255
    assert entries == THREE_BLOCKS


def test_decode_refuses_what_is_no_bytes() -> None:
    for thing in ("text", 5, None, memoryview(b"abcd" * 20)[::2]):
        with pytest.raises(TypeError):
            Entries.decode(thing)  # type: ignore[arg-type]


def test_positions_and_slices_outside_are_refused() -> None:
    for at in (5, -6, 2**62):
        with pytest.raises(IndexError, match="outside these 5 entries"):
            THREE_BLOCKS[at]
        with pytest.raises(IndexError, match="outside these 5 entries"):
            THREE_BLOCKS.payload(at)
    for lo, hi in ((4, 6), (5, 5), (6, 5), (5, 11), (10, 11), (0, 1), (5, 2**64 - 1)):
        with pytest.raises(IndexError, match=r"is not a part of entries \[5, 10\)"):
            THREE_BLOCKS.slice(lo, hi)
    assert THREE_BLOCKS.slice(5, 10) is THREE_BLOCKS
    assert THREE_BLOCKS[1:-1] == list(THREE_BLOCKS)[1:-1]
    assert THREE_BLOCKS[::-2] == list(THREE_BLOCKS)[::-2]


def test_two_iterations_at_once_do_not_disturb_each_other() -> None:
    assert [(a, b) for a in THREE_BLOCKS for b in THREE_BLOCKS] == [
        (a, b) for a in list(THREE_BLOCKS) for b in list(THREE_BLOCKS)
    ]


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([], "at least one entry"),
        ([Entry(1, 0)], "indexes from 1"),
        ([Entry(1, 5), Entry(1, 7)], "index 7, but 6 follows"),
        ([Entry(1, 5), Entry(2, 5)], "index 5, but 6 follows"),
        ([Entry(0, 5)], "term 0"),
        ([Entry(2, 5), Entry(1, 6)], "term 1 after term 2"),
        ([Entry(2, 5, EntryKind.EntryNoop, b"x")], "a no-op with 1 bytes"),
        ([Entry(1, 2**64 - 1)], "indexes from 1"),
    ],
)
def test_build_refuses(entries: list[Entry], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Entries.build(entries)


def test_entry_refuses() -> None:
    with pytest.raises(ValueError, match="kind must be an EntryKind"):
        Entry(1, 1, 4)
    with pytest.raises(TypeError):
        Entry(1, 1, 0, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Entries.build([None])  # type: ignore[list-item]
    with pytest.raises(OverflowError):
        Entry(1, 2**64)
    with pytest.raises(AttributeError):
        Entry(1, 1).index = 2  # type: ignore[misc]


def test_entries_are_made_by_name_only() -> None:
    with pytest.raises(TypeError, match=r"Entries\.decode"):
        Entries()
    empty = Entries.__new__(Entries)  # bypassed: empty, and harmless
    assert (len(empty), empty.data, list(empty), empty.commands(), empty.runs()) == (0, b"", [], [], [])
    with pytest.raises(IndexError):
        empty.slice(0, 1)


def test_equality_hash_copy_and_text() -> None:
    other = Entries.decode(bytes(bytearray(THREE_BLOCKS.data)))
    assert other == THREE_BLOCKS
    assert hash(other) == hash(THREE_BLOCKS)
    assert other != THREE_BLOCKS.slice(5, 9)
    assert list(THREE_BLOCKS) != THREE_BLOCKS
    assert pickle.loads(pickle.dumps(other)) == copy.deepcopy(other) == other
    assert repr(other) == "<Entries 1/5 to 2/9: 5 entries in 3 blocks, 304 bytes of payload>"
    entry = Entry(1, 2, 0, b"x")
    assert entry == Entry(1, 2, 0, b"x") == pickle.loads(pickle.dumps(entry))
    assert hash(entry) == hash(Entry(1, 2, 0, b"x"))
    for different in (Entry(2, 2, 0, b"x"), Entry(1, 3, 0, b"x"), Entry(1, 2, 1, b"x"), Entry(1, 2, 0, b"y"), None):
        assert entry != different
    assert repr(entry) == "Entry(term=1, index=2, kind=0, data=b'x')"


def test_large_runs_are_read_in_linear_time() -> None:
    entries = Entries.build([Entry(1 + i // 1000, i + 1, 0, b"%d" % i) for i in range(50_000)])
    assert [e.data for e in entries] == [b"%d" % i for i in range(50_000)]  # quadratic would take minutes
    assert [entries.payload(i) for i in reversed(range(50_000))][::-1] == entries.commands()
