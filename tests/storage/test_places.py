"""Where records lie: beside a plain dict that is told the same."""

from __future__ import annotations

from random import Random

import pytest

from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.places import Place, Places, is_record

GROUPS = (0, 7, 2**64 - 1)


def test_which_keys_are_records() -> None:
    assert is_record(keys.entry_key(0, 1))
    assert not any(map(is_record, (b"", b"I", keys.head_key(1), keys.bootstrap_key(3), b"f" + bytes(16))))


def test_only_records_have_places() -> None:
    places = Places()
    for call in (lambda: places.put(b"I", 1, 2, 3), lambda: places.forget_before(b"I")):
        with pytest.raises(ValueError, match="no key of a record"):
            call()
    places.remove(b"I")
    assert places.find(b"I") is None
    places.forget_before(keys.entry_key(0, 5))
    assert places.keys(b"", b"\xff") == []


def test_whatever_is_put_removed_and_forgotten(seed: int) -> None:
    rng, places = Random(seed), Places()
    told: dict[bytes, Place] = {}
    for step in range(3000):
        group, first = rng.choice(GROUPS), rng.randint(1, 200 + step // 10)
        key = keys.entry_key(group, first)
        kind = rng.random()
        if kind < 0.8:
            told[key] = Place(1 + step // 300, rng.randrange(2**31), rng.randrange(1, 2**31))
            places.put(key, *told[key])
        elif kind < 0.97:
            places.remove(key)
            told.pop(key, None)
        else:
            places.forget_before(key)
            told = {other: place for other, place in told.items() if not (other[:9] == key[:9] and other < key)}
        assert places.find(key) == told.get(key)
    assert places.keys(b"", b"\xff") == sorted(told)
    assert places.keys(keys.entry_key(7, 50), keys.entry_key(7, 100)) == [
        key for key in sorted(told) if keys.entry_key(7, 50) <= key < keys.entry_key(7, 100)
    ]
    for key, place in told.items():
        assert places.find(key) == place
    for segment in range(1, 11):
        within = {key for key, place in told.items() if place.segment == segment}
        assert set(places.within(segment)) == within
        assert places.live.get(segment, 0) == sum(told[key].size for key in within)


def test_a_log_that_is_appended_to_and_forgotten_for_long() -> None:
    """Its array does not grow: what is forgotten at its beginning makes room at its end."""
    places = Places()
    for first in range(1, 20_000):
        places.put(keys.entry_key(0, first), first // 100, 0, 10)
        if first > 100:
            places.forget_before(keys.entry_key(0, first - 99))
    assert places.keys(b"", b"\xff") == [keys.entry_key(0, first) for first in range(19_900, 20_000)]
    assert sum(places.live.values()) == 1000
