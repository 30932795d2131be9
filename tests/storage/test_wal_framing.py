"""Batches put into LevelDB's form without LevelDB: byte by byte what LevelDB and the double write for the same ones."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from raftpy.storage.leveldb.sealing import Sealed, seal
from raftpy.storage.leveldb.segment import Write
from raftpy.storage.leveldb.wal_batches import Batches
from raftpy.storage.leveldb.wal_framing import Framing
from raftpy.storage.leveldb.wal_records import BLOCK, WHOLE, survey
from tests.storage.test_wal_batches import drawn, place, written

KEY = b"e" + bytes(16)


def framed(batches: list[list[Write]], framing: Framing | None = None) -> tuple[bytes, list[list[int]]]:
    """What a file holds of them, and where their values lie."""
    framing = framing or Framing()
    out, offsets = b"", []
    for writes in batches:
        before = framing.end
        data, places = framing.frame(writes)
        assert framing.end == before + len(data)
        out += bytes(data)
        offsets.append(places)
    return out, offsets


def check_offsets(data: bytes, offsets: list[list[int]]) -> None:
    """They are where a reader of the file finds the values."""
    for places, writes in zip(offsets, Batches(data, len(data)), strict=True):
        for offset, (_, found, size) in zip(places, writes, strict=True):
            assert size < 0 or offset == found or not size


@pytest.mark.parametrize("kind", ["leveldb", "double"])
def test_the_bytes_are_those_of_leveldb(kind: str, tmp_path: Path, seed: int) -> None:
    batches = drawn(Random(seed), 40)
    data, offsets = framed(batches)
    assert data == written(*place(kind, tmp_path), batches)
    check_offsets(data, offsets)


@pytest.mark.parametrize("before", range(16))
def test_a_batch_that_begins_near_the_end_of_a_block(before: int, tmp_path: Path) -> None:
    """No record begins in a block's last six bytes; in the last seven there is a record of nothing."""

    def filled(size: int) -> Framing:
        framing = Framing()
        framing.frame([(b"k", bytes(size))])
        return framing

    size = next(size for size in range(BLOCK) if filled(size).end == BLOCK - before)
    batches: list[list[Write]] = [[(b"k", bytes(size))], [(b"l", b"value"), (b"m", None)], [(b"n", b"")]]
    data, offsets = framed(batches)
    assert data == written(*place("leveldb", tmp_path), batches)
    check_offsets(data, offsets)


@pytest.mark.parametrize("before", range(24))
def test_a_value_that_begins_near_the_end_of_a_block(before: int, tmp_path: Path) -> None:
    """An empty one takes no record of its own there."""
    for value in (b"", b"v", bytes(2 * BLOCK)):
        batches: list[list[Write]] = [[(b"k", bytes(BLOCK - 40 + before)), (b"l", value)], [(b"m", value)]]
        data, offsets = framed(batches)
        directory = tmp_path / str(len(value))
        directory.mkdir()
        assert data == written(*place("leveldb", directory), batches)
        check_offsets(data, offsets)


def test_a_sealed_record_is_what_seal_makes_of_it(seed: int) -> None:
    """With nothing behind the block, and with a head."""
    rng = Random(seed)
    for _ in range(60):
        key, behind = rng.randbytes(17), rng.randbytes(rng.choice((0, 0, 90)))
        block = rng.randbytes(rng.choice((1, 50, 5000, BLOCK, 3 * BLOCK)) + rng.randrange(9))
        given = rng.choice((block, memoryview(b"x" + block)[1:]))
        start = rng.randrange(BLOCK)
        sealed, sealed_offsets = framed([[(key, Sealed(key, given, behind))]], Framing(start))
        plain, offsets = framed([[(key, seal(key, block, behind))]], Framing(start))
        assert sealed == plain
        assert sealed_offsets == offsets
        assert len(Sealed(key, given, behind)) == len(seal(key, block, behind))


def test_it_goes_on_where_another_has_ended(seed: int) -> None:
    batches = drawn(Random(seed), 12)
    whole, _ = framed(batches)
    first = Framing()
    beginning, _ = framed(batches[:5], first)
    rest, _ = framed(batches[5:], Framing(first.end, first.sequence))
    assert beginning + rest == whole
    assert survey(whole) == (WHOLE, len(whole))


def test_batches_of_megabytes(tmp_path: Path) -> None:
    """They are put together without the interpreter's lock, and the larger ones in memory of their own."""
    rng = Random(1)
    batches: list[list[Write]] = [
        [(rng.randbytes(9), rng.randbytes(size)) for size in sizes]
        for sizes in ((300_000,), (10,), (5_000_000, 1), (1000,) * 400, (10,))
    ]
    data, _ = framed(batches)
    assert data == written(*place("leveldb", tmp_path), batches)


def test_what_is_no_write_changes_nothing() -> None:
    framing = Framing()
    framing.frame([(b"k", b"v")])
    before = framing.end, framing.sequence
    for writes in ([(b"k", "v")], [("k", b"v")], [(None, b"v")], [(b"k", bytearray(b"v"))], [b"k"], [(b"k",)]):
        with pytest.raises((TypeError, ValueError)):
            framing.frame(writes)  # type: ignore[arg-type]
    assert (framing.end, framing.sequence) == before
    with pytest.raises(TypeError):
        framing.frame(None)  # type: ignore[arg-type]
    for end, sequence in ((-1, 1), (0, 0)):
        with pytest.raises(ValueError, match="no batch stands at byte"):
            Framing(end, sequence)
    with pytest.raises(TypeError):
        Sealed(KEY, "text")  # type: ignore[arg-type]
