"""Keys in order against a sorted list, and how little is done at a time."""

from __future__ import annotations

import random
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftpy.replicated.sorted_keys import SortedKeys

SMALL = st.binary(max_size=3)
STEPS = st.lists(st.tuples(SMALL, SMALL, SMALL, st.integers(0, 5)), max_size=60)


def expected(present: set[bytes], prefix: bytes, after: bytes, count: int) -> list[bytes]:
    return sorted(key for key in present if key.startswith(prefix) and (key > after or not after))[:count]


@given(STEPS, st.lists(SMALL, unique=True))
def test_it_lists_what_is_there(steps: list[tuple[bytes, bytes, bytes, int]], first: list[bytes]) -> None:
    present = set(first)
    keys = SortedKeys(present)
    keys.load(list(first))
    for key, prefix, after, count in steps:
        present.symmetric_difference_update({key})
        keys.toggle(key)
        assert keys.range(prefix, after, count) == expected(present, prefix, after, count)
    assert keys.range(b"", b"", 1000) == sorted(present)


@pytest.mark.parametrize("listed", [1, 1000, 100_000])
@pytest.mark.parametrize("width", [1_000, 30_000])
def test_many_keys_come_and_go(listed: int, width: int, seed: int) -> None:
    """So many that pieces are divided and joined; ``listed``: after how many changes somebody looks."""
    source, present = random.Random(seed), set[bytes]()
    keys = SortedKeys(present)
    grows = True
    for number in range(20_000 if listed == 1 else 120_000):
        key = b"%d" % source.randrange(width)
        if (key in present) is not grows or source.random() < 0.1:
            present.symmetric_difference_update({key})
            keys.toggle(key)
        if len(present) > width * 0.8:
            grows = False
        elif len(present) < width * 0.1:
            grows = True
        if number % listed == 0 or number % 20_000 == 0:
            prefix, after = b"%d" % source.randrange(100), b"%d" % source.randrange(width)
            if listed > 1:
                assert keys.range(prefix, b"", 5000) == expected(present, prefix, b"", 5000)
                assert keys.range(b"", after, 3000) == expected(present, b"", after, 3000)
            else:
                found = keys.range(prefix, after, 3)
                assert found == sorted(found)
                assert all(key in present and key > after and key.startswith(prefix) for key in found)
    assert keys.range(b"", b"", width) == sorted(present)
    for key in sorted(present):
        present.remove(key)
        keys.toggle(key)
    assert keys.range(b"", b"", width) == []


def test_what_is_loaded_is_sorted_whatever_it_begins_with(seed: int) -> None:
    source = random.Random(seed)
    for beginning in (b"", b"users/", b"\xff" * 20):
        for count in (0, 1, 2, 11, 12, 13, 1023, 1024, 1025, 30_000):
            keys = list({beginning + source.randbytes(source.randrange(12)) for _ in range(count)})
            order = SortedKeys(set(keys))
            ordered = sorted(keys)
            order.load(keys)
            assert order.range(b"", b"", count + 1) == ordered
            assert keys == []
            order.load([])
            assert order.range(b"", b"", 1) == []


def test_what_is_no_key() -> None:
    wrong: list[bytes] = [b"a", "b"]  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a key is bytes, not str"):
        SortedKeys(set()).load(wrong)


def test_a_first_listing_does_a_little_however_much_has_changed() -> None:
    """Of half a million keys, behind a start or as many changes: as much as it lists, and not the whole order."""
    present = {b"key %d" % number for number in range(500_000)}
    loaded, applied = SortedKeys(present), SortedKeys(present)
    loaded.load(list(present))
    for key in present:
        applied.toggle(key)
    for keys in (loaded, applied):
        took = []
        for number in range(20):
            began = perf_counter()
            assert len(keys.range(b"key ", b"key %d" % (37 * number), 1000)) == 1000
            took.append(perf_counter() - began)
        assert sorted(took)[10] < 0.005, "seconds"
