"""The key-value store's state, written and read back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftpy.replicated import kv_commands as commands
from raftpy.replicated.kv import KeyValueStore, Stored
from raftpy.replicated.kv_state import CHUNK


class Saved:
    """A ``SavedState`` of these bytes."""

    version = 1

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0

    def read(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        self.at += len(piece)
        return piece


def state(store: KeyValueStore) -> bytes:
    view = store.capture()
    data = b"".join(view.write())
    view.close()
    return data


def restored(data: bytes) -> KeyValueStore:
    store = KeyValueStore()
    store.restore(Saved(data))
    return store


@given(st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(max_size=8), max_size=30), st.binary(max_size=2))
def test_what_is_restored_is_what_was_captured(data: dict[bytes, bytes], prefix: bytes) -> None:
    store = KeyValueStore()
    for index, (key, value) in enumerate(data.items(), 5):
        store.apply(index, commands.put(key, value))
    again = restored(state(store))
    assert again.applied_index == store.applied_index
    assert len(again) == len(data)
    assert again.scan(prefix) == store.scan(prefix)
    for key in data:
        assert again.get(key) == store.get(key)
    assert state(again) == state(store)
    # And it goes on as the other does.
    for index, key in enumerate((*data, b"new"), 100):
        for command in (commands.put_if_version(key, b"x", index - 95), commands.delete(key)):
            assert again.apply(index, command) == store.apply(index, command)
    assert again.scan(prefix) == store.scan(prefix)


def test_the_form_of_version_1() -> None:
    store = KeyValueStore()
    store.apply(7, commands.put(b"key", b"value"))
    store.apply(9, commands.read())
    form = bytes([9, *[0] * 7, 1, *[0] * 7, 7, *[0] * 7, 3, 0, 0, 0, 5, 0, 0, 0]) + b"keyvalue"
    assert state(store) == form
    assert restored(form).get(b"key") == Stored(7, b"value")
    assert (KeyValueStore.state_version, KeyValueStore().get(b"key")) == (1, None)


def test_what_is_applied_later_does_not_show() -> None:
    store = KeyValueStore()
    for index in range(1, 2000):
        store.apply(index, commands.put(b"%d" % (index % 900), b"old"))
    before = state(store)
    view = store.capture()
    chunks = view.write()
    parts = [next(chunks)]
    for index in range(2000, 4000):
        store.apply(index, commands.put(b"%d" % (index % 1900), b"new") if index % 3 else commands.delete(b"7"))
    parts += chunks
    view.close()
    assert b"".join(parts) == before
    assert state(store) != before


def test_large_values_and_many_keys_come_in_chunks() -> None:
    store, source = KeyValueStore(), random.Random(1)
    for index in range(1, 3000):
        store.apply(index, commands.put(b"%d" % index, source.randbytes(source.choice((0, 10, 1000)))))
    store.apply(3000, commands.put(b"large", source.randbytes(3 << 20)))
    view = store.capture()
    chunks = list(view.write())
    view.close()
    large = [chunk for chunk in chunks if len(chunk) > 2 * CHUNK]
    assert len(large) == 1
    assert all(len(chunk) >= CHUNK for chunk in chunks[:-1])
    again = restored(b"".join(chunks))
    assert again.get(b"large") == store.get(b"large")
    assert again.scan(limit=10_000) == store.scan(limit=10_000)


def test_bytes_that_are_no_state_are_refused() -> None:
    store = KeyValueStore()
    for index in range(1, 4):
        store.apply(index, commands.put(b"%d" % index, b"value"))
    data = state(store)
    for size in range(len(data)):
        with pytest.raises(ValueError, match="bytes are missing"):
            restored(data[:size])
    with pytest.raises(ValueError, match="bytes behind its last key"):
        restored(data + b"x")
