"""A dict in parts against a plain one, and views of it against copies."""

from __future__ import annotations

import struct
import subprocess
import sys
import weakref
from random import Random
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftpy.replicated.held import Held
from raftpy.replicated.kv_packing import Packer, unpack_keys
from raftpy.replicated.parted_dict import PARTS, DictView, PartedDict

KEYS = st.integers(0, 30).map(lambda number: b"key %d" % number)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 9)),
        st.tuples(st.just("remove"), KEYS, st.just(0)),
        st.tuples(st.sampled_from(["capture", "read", "close"]), st.just(b""), st.integers(0, 3)),
    ),
    max_size=80,
)


def rest(view: DictView) -> dict[bytes, Any]:
    found: dict[bytes, Any] = {}
    while (part := view.next_part()) is not None:
        keys, values = part
        assert keys == sorted(keys)
        found.update(zip(keys, values, strict=True))
    return found


@given(STEPS)
def test_it_is_a_dict_and_views_see_what_was(steps: list[tuple[str, bytes, int]]) -> None:
    parted, model = PartedDict(), dict[bytes, int]()
    views: list[tuple[DictView, dict[bytes, int], dict[bytes, int]]] = []
    for name, key, number in steps:
        if name == "put":
            assert parted.put(key, number) is (key not in model)
            model[key] = number
        elif name == "remove":
            if key in model:
                parted.remove(key)
                del model[key]
            else:
                with pytest.raises(KeyError):
                    parted.remove(key)
        elif name == "capture":
            views.append((parted.capture(), dict(model), {}))
        elif views:
            view, was, seen = views[number % len(views)]
            if name == "read":  # some of it, so that some parts are given out and others not
                for _ in range(number + 1):
                    if (part := view.next_part()) is not None:
                        seen.update(zip(*part, strict=True))
            else:
                view.close()
                views.remove((view, was, seen))
        assert len(parted) == len(model)
        assert parted.get(key) == model.get(key)
        assert (key in parted) is (key in model)
    assert sorted(parted.keys()) == sorted(model)
    for view, was, seen in views:
        assert {**seen, **rest(view)} == was
        view.close()
        view.close()
        assert view.next_part() is None


@pytest.mark.parametrize("given_out", [0, 1, 2])
def test_the_part_that_comes_next_is_kept_as_well(given_out: int) -> None:
    """With keys in nearly every part, all of which are changed between two of them."""
    parted = PartedDict()
    parted.load((b"%d" % number, number) for number in range(3 * PARTS))
    view = parted.capture()
    seen: dict[bytes, Any] = {}
    for _ in range(given_out):
        part = view.next_part()
        assert part is not None
        seen.update(zip(*part, strict=True))
    for number in range(3 * PARTS):
        parted.put(b"%d" % number, -1)
    seen.update(rest(view))
    view.close()
    assert seen == {b"%d" % number: number for number in range(3 * PARTS)}


def test_it_takes_bytes_and_nothing_else() -> None:
    parted = PartedDict()
    assert "a" not in parted
    wrong: Any = "a"
    for call in (lambda: parted.put(wrong, 1), lambda: parted.get(wrong), lambda: parted.remove(wrong)):
        with pytest.raises(TypeError):
            call()


def test_what_is_loaded_takes_the_place_of_all() -> None:
    parted = PartedDict()
    parted.put(b"old", 1)
    view = parted.capture()
    parted.load([(b"a", 1), (b"b", 2), (b"a", 3)])
    assert len(parted) == 2
    assert parted.get(b"a") == 3
    assert rest(view) == {b"old": 1}
    view.close()
    parted.put(b"c", 1)
    assert len(parted) == 3


class Value:
    """One whose end can be seen."""


@pytest.mark.parametrize(
    ("until", "kept"),
    [("captured", True), ("given out", False), ("closed", False), ("given out and captured again", True)],
)
def test_nothing_is_kept_for_a_view_but_what_it_has_not_given_out(until: str, kept: bool) -> None:
    """What a snapshot costs in memory and time is bounded by what is written while it is."""
    parted, value = PartedDict(), Value()
    parted.put(b"a", value)
    seen = weakref.ref(value)
    del value
    view = parted.capture()
    views = [view]
    if "given out" in until:
        assert view.next_part() is not None
    if until == "closed":
        view.close()
    if "again" in until:
        views.append(parted.capture())
    parted.put(b"a", 1)
    parted.put(b"a", 2)
    assert (seen() is not None) is kept
    for each in views:
        each.close()
    assert seen() is None


def test_what_is_put_behind_the_capture_is_not_kept() -> None:
    parted, value = PartedDict(), Value()
    view = parted.capture()
    parted.put(b"a", value)
    seen = weakref.ref(value)
    del value
    parted.put(b"a", 1)
    assert seen() is None
    assert rest(view) == {}


def test_a_view_goes_on_to_see_what_a_later_one_has_given_out() -> None:
    parted = PartedDict()
    parted.put(b"a", 1)
    earlier, later = parted.capture(), parted.capture()
    rest(later)
    later.close()
    parted.put(b"a", 2)
    assert rest(earlier) == {b"a": 1}
    earlier.close()


def test_the_order_is_the_same_in_every_process() -> None:
    """Equal states are equal bytes on all nodes, whatever the seed of their hashes."""
    script = (
        "from raftpy.replicated.parted_dict import PartedDict\n"
        "d = PartedDict()\n"
        "for i in range(1000): d.put(b'%d' % i, i)\n"
        "v = d.capture()\n"
        "while (part := v.next_part()) is not None: print(part[0])\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_keys_are_spread_evenly() -> None:
    parted = PartedDict()
    for number in reversed(range(400_000)):
        parted.put(b"users/%012d" % number, None)
    view = parted.capture()
    largest = 0
    while (part := view.next_part()) is not None:
        assert part[0] == sorted(part[0])
        largest = max(largest, len(part[0]))
    assert largest < 5 * 400_000 / PARTS


def packed(parted: PartedDict, start: bytes = b"", chunk: int = 1 << 20) -> list[bytes]:
    view = parted.capture()
    packer = Packer(view, start, chunk)
    chunks = []
    while (found := packer.next_chunk()) is not None:
        chunks.append(found)
    assert packer.next_chunk() is None
    view.close()
    return chunks


def test_the_form_in_which_keys_are_packed() -> None:
    parted = PartedDict()
    parted.put(b"bc", Held(2**64 - 1, b"xyz"))
    assert packed(parted) == [b"\xff" * 8 + b"\2\0\0\0\3\0\0\0bcxyz"]
    assert packed(parted, b"head") == [b"head" + b"\xff" * 8 + b"\2\0\0\0\3\0\0\0bcxyz"]
    parted.put(b"", Held(3, b""))
    assert sorted(packed(parted, chunk=1)) == [b"\3" + bytes(15), b"\xff" * 8 + b"\2\0\0\0\3\0\0\0bcxyz"]
    assert packed(PartedDict()) == []
    assert packed(PartedDict(), b"head") == [b"head"]


HELD = st.builds(Held, st.integers(0, 2**64 - 1), st.binary(max_size=20))


@given(st.dictionaries(st.binary(max_size=8), HELD, max_size=60), st.integers(1, 200), st.integers(0, 300))
def test_what_is_packed_is_unpacked_wherever_the_bytes_are_cut(
    items: dict[bytes, Held], chunk: int, piece: int
) -> None:
    parted = PartedDict()
    parted.load(items.items())
    chunks = packed(parted, chunk=chunk)
    assert all(len(each) >= chunk for each in chunks[:-1])
    data = b"".join(chunks)
    assert data == b"".join(packed(parted))
    again, left, at, end = PartedDict(), len(items), 0, 0
    while left:
        at, needed, left = unpack_keys(data[:end], at, again, left)
        assert (needed > end - at) is (left > 0)
        end = max(at + needed, end + piece) if left else end
    assert at == len(data)
    assert sorted(again.keys()) == sorted(items)
    for key, held in items.items():
        found = again.get(key)
        assert (found.version, found.value) == (held.version, held.value)


def keys_of_one_part(pairs: int) -> list[bytes]:
    """2**pairs keys of which the dict makes the same number, FNV-1a: behind two beginnings that bring it into the same
    state, whatever follows does the same to both."""
    source, state, found = Random(1), 2166136261, [b""]
    for _ in range(pairs):
        reached: dict[int, bytes] = {}
        while True:
            text, now = source.randbytes(4), state
            for byte in text:
                now = (now ^ byte) * 16777619 & 0xFFFFFFFF
            other = reached.setdefault(now, text)
            if other != text:
                break
        found = [key + end for key in found for end in (other, text)]
        state = now
    return found


def test_a_part_with_many_keys_is_packed_in_order_too() -> None:
    """No more are taken at a time than a part has, and of one part all, whoever has chosen its keys."""
    parted, keys = PartedDict(), keys_of_one_part(11)
    for number, key in enumerate(keys):
        parted.put(key, Held(number, key))
    view = parted.capture()
    assert view.next_part()[0] == sorted(keys)  # type: ignore[index]
    assert view.next_part() is None
    parted.put(b"elsewhere", Held(1, b""))
    data = b"".join(packed(parted))
    assert data.replace(packed_one(1, b"elsewhere", b""), b"") == b"".join(
        packed_one(keys.index(key), key, key) for key in sorted(keys)
    )


def packed_one(version: int, key: bytes, value: bytes) -> bytes:
    return struct.pack("<QII", version, len(key), len(value)) + key + value


def test_what_is_no_value_of_a_key_value_store_is_not_packed() -> None:
    parted = PartedDict()
    parted.put(b"a", (1, b"value"))
    with pytest.raises(TypeError, match="is no Held"):
        packed(parted)
    wrong: Any = "value"
    for version, value, error in ((1, wrong, TypeError), (-1, b"", OverflowError), (2**64, b"", OverflowError)):
        with pytest.raises(error):
            Held(version, value)
    with pytest.raises(ValueError, match="position 3 in 2 bytes"):
        unpack_keys(b"ab", 3, PartedDict(), 1)


def test_packing_goes_on_in_a_thread_while_keys_change() -> None:
    """Thousands of keys come, go and get other values; what is packed is what was there at first, byte for byte."""
    source, parted, model = Random(1), PartedDict(), dict[bytes, Held]()
    for number in range(10_000):
        model[b"%d" % number] = Held(number, source.randbytes(source.choice((1, 10, 200))))
    parted.load(model.items())
    expected = packed(parted)
    for _ in range(5):
        view = parted.capture()
        found: list[bytes] = []

        def pack(view: DictView = view, found: list[bytes] = found) -> None:
            packer = Packer(view, b"", 10_000)
            while (chunk := packer.next_chunk()) is not None:
                found.append(chunk)

        thread = Thread(target=pack)
        thread.start()
        while thread.is_alive():
            key = b"%d" % source.randrange(13_000)
            if source.random() < 0.3 and key in parted:
                parted.remove(key)
            else:
                parted.put(key, Held(source.randrange(2**40), b"another value"))
        thread.join()
        view.close()
        assert b"".join(found) == b"".join(expected)
        expected = packed(parted)
