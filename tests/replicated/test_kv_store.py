"""The key-value state machine against a plain model, and the promises it makes to replication."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import RaftError
from raftpy.replicated import kv
from raftpy.replicated import kv_commands as commands
from raftpy.replicated.kv import Item, KeyValueStore, Kind, Outcome, Stored
from raftpy.replicated.kv_commands import UnknownCommand

KEYS = st.sampled_from([b"a", b"a/", b"a/b", b"ab", b"b", b"\xc3\xa9", b"\xff", b"z" * 40])


class Model:
    """What the store must do, without any thought for speed."""

    def __init__(self) -> None:
        self.data: dict[bytes, tuple[int, bytes]] = {}

    def apply(self, index: int, name: str, key: bytes, value: bytes, version: int) -> tuple[Kind, int, int]:
        at = self.data[key][0] if key in self.data else 0
        if name == "read":
            return Kind.READ, index, 0
        if name == "put_if_version" and (at == 0 or at != version):
            return Kind.MISMATCH, index, at
        if name == "put_if_absent" and at:
            return Kind.MISMATCH, index, at
        if name.startswith("put"):
            self.data[key] = (index, value)
            return Kind.WRITTEN, index, index
        if not at:
            return Kind.MISSING, index, 0
        if name == "delete_if_version" and at != version:
            return Kind.MISMATCH, index, at
        del self.data[key]
        return Kind.DELETED, index, 0

    def scan(self, prefix: bytes, limit: int, after: bytes) -> tuple[list[Item], bool]:
        found = sorted(key for key in self.data if key.startswith(prefix) and key > after)
        return [Item(key, self.data[key][0], len(self.data[key][1])) for key in found[:limit]], len(found) > limit


NAMES = ["read", "put", "put_if_version", "put_if_absent", "delete", "delete_if_version"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NAMES), KEYS, st.binary(max_size=5), st.integers(0, 60)),
        st.tuples(st.just("scan"), st.sampled_from([b"", b"a", b"a/", b"b", b"zz", b"\xff"]), KEYS, st.integers(1, 5)),
    ),
    max_size=60,
)


def encode(name: str, key: bytes, value: bytes, version: int) -> bytes:
    arguments: dict[str, tuple[Any, ...]] = {
        "read": (),
        "put": (key, value),
        "put_if_version": (key, value, version),
        "put_if_absent": (key, value),
        "delete": (key,),
        "delete_if_version": (key, version),
    }
    command = getattr(commands, name)(*arguments[name])
    assert isinstance(command, bytes)
    return command


@given(STEPS)
def test_it_does_what_the_model_does(steps: list[tuple[str, bytes, bytes, int]]) -> None:
    store, model = KeyValueStore(), Model()
    for index, (name, key, value, number) in enumerate(steps, 1):
        if name == "scan":
            assert store.scan(key, number, value) == model.scan(key, number, value)
        else:
            outcome = store.apply(index, encode(name, key, value, number))
            assert outcome == Outcome(*model.apply(index, name, key, value, number))
            assert store.applied_index == index
    assert len(store) == len(model.data)
    for key, (version, value) in model.data.items():
        assert store.get(key) == Stored(version, value)
    assert store.scan(limit=1000) == model.scan(b"", 1000, b"")


@given(STEPS)
def test_a_batch_gives_what_one_by_one_gives(steps: list[tuple[str, bytes, bytes, int]]) -> None:
    batch = [encode(*step) for step in steps if step[0] != "scan"]
    one, many = KeyValueStore(), KeyValueStore()
    singly = [one.apply(index, command) for index, command in enumerate(batch, 5)]
    assert list(many.apply_batch(5, batch)) == singly
    assert many.scan(limit=1000) == one.scan(limit=1000)
    assert many.applied_index == one.applied_index


def test_many_puts_at_a_time_are_what_one_by_one_are(seed: int) -> None:
    """Also of a key that is put twice in a batch, that is longer than two bytes can say, and while a view looks on."""
    dice = random.Random(seed)
    one, many = KeyValueStore(), KeyValueStore()
    keys = [b"%d" % number for number in range(300)] + [b"k" * 65_535, b"k" * 65_536]
    index = 1
    for _ in range(60):
        batch = [commands.put(dice.choice(keys), dice.randbytes(dice.choice((0, 5, 700)))) for _ in range(100)]
        if dice.random() < 0.4:
            batch[dice.randrange(100)] = commands.delete(dice.choice(keys))
        views = one.capture(), many.capture()
        singly = [one.apply(at, command) for at, command in enumerate(batch, index)]
        together = many.apply_batch(index, batch)
        assert list(together) == singly
        assert (len(together), together[3], together[-1], together[5:7]) == (100, singly[3], singly[-1], singly[5:7])
        assert [b"".join(view.write()) for view in views[:1]] == [b"".join(view.write()) for view in views[1:]]
        for view in views:
            view.close()
        index += 100
    assert many.scan(limit=1000) == one.scan(limit=1000)
    assert [many.get(key) for key in keys] == [one.get(key) for key in keys]
    assert (many.applied_index, len(many)) == (one.applied_index, len(one))


@pytest.mark.parametrize(
    "wrong", [b"", b"\x11", b"\x11\x01", b"\x11\x00\x00v", b"\x11\x05\x00abcd", b"\x17\x00\x00k", b"\x2f\x01\x00kv"]
)
def test_what_is_no_command_stops_a_batch_where_it_stands(wrong: bytes) -> None:
    store = KeyValueStore()
    with pytest.raises(UnknownCommand, match="log entry 7 "):
        store.apply_batch(5, [commands.put(b"a", b"1"), commands.put(b"b", b"2"), wrong, commands.put(b"c", b"3")])
    assert (store.applied_index, store.get(b"b"), store.get(b"c")) == (6, Stored(6, b"2"), None)


def test_the_outcomes_of_puts_are_made_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart nobody asks for any of millions."""
    made: list[int] = []

    def make(kind: Kind, index: int, version: int) -> Outcome:
        made.append(index)
        return Outcome(kind, index, version)

    monkeypatch.setattr(kv, "Outcome", make)
    outcomes = KeyValueStore().apply_batch(5, [commands.put(b"a", b"1")] * 4)
    assert (len(outcomes), made) == (4, [])
    assert outcomes[1] == Outcome(Kind.WRITTEN, 6, 6)
    assert made == [6]
    with pytest.raises(IndexError):
        outcomes[4]
    assert type(outcomes).never_fails is True


@given(st.sets(st.binary(min_size=1, max_size=3), max_size=80), st.sets(st.binary(min_size=1, max_size=3), max_size=80))
def test_the_order_is_right_after_few_and_after_many_changes(first: set[bytes], second: set[bytes]) -> None:
    """Above and below the number of changes at which merging takes over from inserting."""
    store = KeyValueStore()
    index = 0
    for keys in (first, second, first):
        for key in keys:
            index += 1
            present = store.get(key) is not None
            store.apply(index, commands.delete(key) if present else commands.put(key, b""))
        items, more = store.scan(limit=10_000)
        assert not more
        assert [item.key for item in items] == sorted(key for key in first | second if store.get(key) is not None)


def test_a_version_is_the_index_of_the_last_write_and_never_comes_back() -> None:
    store = KeyValueStore()
    assert store.apply(7, commands.put(b"k", b"1")) == Outcome(Kind.WRITTEN, 7, 7)
    assert store.apply(9, commands.put_if_version(b"k", b"2", 7)) == Outcome(Kind.WRITTEN, 9, 9)
    assert store.apply(10, commands.put_if_version(b"k", b"3", 7)) == Outcome(Kind.MISMATCH, 10, 9)
    assert store.apply(11, commands.delete_if_version(b"k", 8)) == Outcome(Kind.MISMATCH, 11, 9)
    assert store.apply(12, commands.delete(b"k")) == Outcome(Kind.DELETED, 12, 0)
    assert store.apply(13, commands.put_if_version(b"k", b"4", 9)) == Outcome(Kind.MISMATCH, 13, 0)
    assert store.apply(14, commands.put_if_absent(b"k", b"5")) == Outcome(Kind.WRITTEN, 14, 14)
    assert store.get(b"k") == Stored(14, b"5")


def test_version_0_is_no_way_to_say_absent() -> None:
    store = KeyValueStore()
    assert store.apply(3, commands.put_if_version(b"k", b"v", 0)).kind is Kind.MISMATCH
    assert store.get(b"k") is None


def test_a_conflict_is_a_result_and_an_unknown_command_stops_the_node() -> None:
    """Decision 10: what is no RaftError stops the node, so a newer command is never skipped by an older replica."""
    store = KeyValueStore()
    store.apply(1, commands.put(b"k", b"v"))
    with pytest.raises(commands.UnknownCommand) as caught:
        store.apply(2, b"\x7f")
    assert not isinstance(caught.value, RaftError)
    assert store.applied_index == 1


def test_keys_are_listed_by_code_point() -> None:
    store = KeyValueStore()
    keys = ["a", "Z", "é", "\u20ac", "\U0001f600", "~", "a/b", "a0"]
    for index, key in enumerate(keys, 1):
        store.apply(index, commands.put(key.encode(), b""))
    assert [item.key.decode() for item in store.scan()[0]] == sorted(keys)


HASHED = """
from raftpy.replicated import kv_commands as c
from raftpy.replicated.kv import KeyValueStore
store = KeyValueStore()
outcomes = []
for i in range(1, 400):
    key = b"key-%d" % (i * 7919 % 97)
    command = [c.put(key, b"%d" % i), c.delete(key), c.put_if_absent(key, b"x"), c.delete_if_version(key, i)][i % 4]
    outcomes.append(store.apply(i, command))
    if i % 50 == 0:
        outcomes.append(store.scan())
print(outcomes, store.scan())
"""


def test_the_hash_seed_of_the_process_changes_nothing() -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", HASHED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(seen) == 1
