"""The decoder survives every input: an error or a valid message, the same one the model reads from the same bytes."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore import Entries, Message
from raftcore.wire import codec
from raftcore.wire.codec import decode_message, encode_message
from tests import model_codec as model
from tests import strategies
from tests.fuzz.against_model import check_body, check_datagram, model_outcome, outcome
from tests.fuzz.mutate import mutation, valid_datagram

ROOT = Path(__file__).parents[2]


def drain(datagram: bytes) -> None:
    """Decodes all messages, keeping none."""
    for _ in codec.messages(datagram):
        pass


def test_mutated_datagrams(seed: int) -> None:
    """20,000 mutations, or as many as a slow machine does in a minute."""
    ways: Counter[str] = Counter()
    stop = time.monotonic() + 60
    for i in range(20_000):
        if time.monotonic() > stop:
            break
        datagram = mutation(random.Random(f"{seed}:{i}"))
        try:
            ways += check_datagram(datagram)
        except BaseException:
            print(f"seed {seed}, mutation {i}: {datagram.hex()}")
            raise
    # The mutations reach every layer, or they prove nothing.
    assert min(ways[way] for way in ("no header", "no frames", "transport", "read", "refused")) > 100, ways


def test_valid_datagrams_are_read_whole(seed: int) -> None:
    for i in range(500):
        datagram = valid_datagram(random.Random(f"{seed}:{i}"))
        ways = check_datagram(datagram)
        assert set(ways) <= {"read", "transport"}, f"seed {seed}, datagram {i}: {datagram.hex()}"


@given(st.integers(0, 300), st.binary(max_size=200))
def test_any_bytes_as_a_body(kind: int, body: bytes) -> None:
    check_body(kind, body) if kind < 256 else outcome(decode_message, kind, body)


@given(strategies.messages(), st.data())
def test_a_message_with_one_byte_changed(message: Message, data: st.DataObject) -> None:
    kind, body = encode_message(message)
    changed = bytearray(body)
    changed[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check_body(kind, bytes(changed))


@given(st.binary(max_size=300))
def test_any_bytes_as_blocks(data: bytes) -> None:
    entries, expected = outcome(Entries.decode, data), model_outcome(model.decode_blocks, data)
    assert (entries is None) == (expected is None)


def test_decoding_allocates_in_proportion_to_the_datagram(seed: int) -> None:
    """At most 40 bytes a byte and 4 KB: a node id of 8 bytes becomes an int of 32 in a list, a tuple and another."""
    for i in range(2_000):
        datagram = mutation(random.Random(f"{seed}:{i}"))
        tracemalloc.start()
        try:
            outcome(drain, datagram)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= 4096 + 40 * len(datagram), f"seed {seed}, mutation {i}: {peak} bytes for {datagram.hex()}"


@pytest.mark.parametrize("side", ["after", "before"])
def test_nothing_is_read_outside_the_datagram(side: str, seed: int) -> None:
    """Mutations decoded right beside a page that must not be touched; in a process of its own, as a touch kills it."""
    command = [sys.executable, "-m", "tests.fuzz.guarded", side, str(seed), "10000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"seed {seed}, status {done.returncode}: {done.stdout}{done.stderr}"
    assert "decoded 10000" in done.stdout
