"""A dict in parts against a plain one, and views of it against copies."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftpy.replicated.kv_packing import pack_keys
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
            if name == "read":  # half of it, so that some parts are given back and others not
                for _ in range(PARTS // 2):
                    if (part := view.next_part()) is None:
                        break
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


def test_no_part_is_copied_that_no_view_looks_at_any_more() -> None:
    """What a snapshot costs in memory and time is bounded by what is written while it is."""
    parted = PartedDict()
    parted.put(b"a", 1)

    def copied() -> bool:
        (parts,) = (held for held in gc.get_referents(parted) if isinstance(held, list))
        at = next(number for number, part in enumerate(parts) if b"a" in part)
        before = id(parts[at])
        parted.put(b"a", 2)
        return id(parts[at]) != before

    assert not copied()
    view = parted.capture()
    assert copied()
    assert not copied(), "once is enough"
    view.close()
    view = parted.capture()
    rest(view)
    assert not copied(), "the view has given it out"
    view.close()
    view = parted.capture()
    view.close()
    assert not copied()


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
    for number in reversed(range(100_000)):
        parted.put(b"users/%012d" % number, None)
    view = parted.capture()
    largest = 0
    while (part := view.next_part()) is not None:
        assert part[0] == sorted(part[0])
        largest = max(largest, len(part[0]))
    assert largest < 5 * 100_000 / PARTS


def test_keys_are_packed_until_there_is_enough() -> None:
    keys, values = [b"a", b"bc", b""], [(1, b"xyz"), (2**64 - 1, b""), (3, b"v")]
    packed, end = pack_keys(keys, values, 0, 1 << 20)
    assert end == 3
    assert packed == (
        b"\1\0\0\0\0\0\0\0\1\0\0\0\3\0\0\0axyz" + b"\xff" * 8 + b"\2\0\0\0\0\0\0\0bc" + b"\3" + bytes(11) + b"\1\0\0\0v"
    )
    pieces, at = [], 0
    while at < 3:
        piece, at = pack_keys(keys, values, at, 1)
        pieces.append(piece)
    assert len(pieces) == 3
    assert b"".join(pieces) == packed
    with pytest.raises(ValueError, match="2 values of 3 keys"):
        pack_keys(keys, values[:2], 0, 1)
    with pytest.raises(TypeError):
        pack_keys(["a"], [(1, b"")], 0, 1)  # type: ignore[list-item]
    with pytest.raises(OverflowError):
        pack_keys([b"a"], [(-1, b"")], 0, 1)
