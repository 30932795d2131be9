"""CRC32C: the vectors of RFC 3720, B.4; the processor's way, the tables and the definition agree."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base import crc
from raftcore.wire.codec import crc32c
from tests import model_codec as model

WAYS = [crc.crc32c, crc.crc32c_portable, model.crc32c]
# A read command of iSCSI, as RFC 3720 prints it.
ISCSI_READ = bytes.fromhex(
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (ISCSI_READ, 0xD9963A56),
        (b"123456789", 0xE3069283),
    ],
)
def test_vectors(way: Callable[[bytes], int], data: bytes, checksum: int) -> None:
    assert way(data) == checksum


def test_the_codec_has_it() -> None:
    assert crc32c is crc.crc32c
    assert crc.IMPLEMENTATION in ("sse4.2", "armv8", "table")


# Around the lengths where the reading changes: words of 8, three lanes of 128, three lanes of 1024.
LENGTHS = [*range(40), *range(376, 400), 511, 768, 1155, *range(3064, 3082), 3456, 6144, 60000]


@pytest.mark.parametrize("length", LENGTHS)
def test_all_ways_agree_at_every_length_and_alignment(length: int, seed: int) -> None:
    data = random.Random(seed).randbytes(length + 8)
    for start in range(8):
        part = memoryview(data)[start : start + length]
        assert crc.crc32c(part) == crc.crc32c_portable(part)
    assert crc.crc32c(data[:length]) == crc.crc32c_portable(data[:length])


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_it_continues(first: bytes, second: bytes) -> None:
    for way in (crc.crc32c, crc.crc32c_portable):
        assert way(second, way(first)) == way(first + second) == model.crc32c(first + second)


@pytest.mark.parametrize("length", [1, 400, 4000])
def test_one_flipped_bit_changes_it(length: int, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(rng.randbytes(length))
    before = crc.crc32c(data)
    for _ in range(100):
        bit = rng.randrange(8 * length)
        data[bit // 8] ^= 1 << bit % 8
        assert crc.crc32c(data) != before
        data[bit // 8] ^= 1 << bit % 8


def test_takes_any_contiguous_bytes() -> None:
    for data in (b"123456789", bytearray(b"123456789"), memoryview(b"_123456789")[1:]):
        assert crc.crc32c(data) == crc.crc32c_portable(data) == 0xE3069283
    with pytest.raises(TypeError):
        crc.crc32c("123456789")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        crc.crc32c(memoryview(b"123456789")[::2])
    with pytest.raises(OverflowError):
        crc.crc32c(b"", 2**32)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_of_two_pieces_is_known_from_theirs(first: bytes, second: bytes) -> None:
    joined = crc.crc32c_joined(crc.crc32c(first), crc.crc32c(second), len(second))
    assert joined == crc.crc32c(first + second)


def test_so_it_is_of_long_pieces(seed: int) -> None:
    dice = random.Random(seed)
    for size in (*(2**k for k in range(16)), *(2**k - 1 for k in range(17)), 32761, dice.randrange(65536)):
        first, second = dice.randbytes(100), dice.randbytes(size)
        assert crc.crc32c_joined(crc.crc32c(first), crc.crc32c(second), size) == crc.crc32c(first + second)
