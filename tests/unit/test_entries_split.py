"""``Entries.split``: as many entries in each piece as fit, none lost, each piece whole."""

from __future__ import annotations

import random

import pytest

from raftcore.base.types import EntryKind
from raftcore.values.message import Entries, Entry

BLOCK_HEADER = 40
LENGTH = 4


def run_of(sizes: list[tuple[int, int]], first: int = 7) -> Entries:
    """Entries of (term, payload size) each, from index ``first`` on."""
    return Entries.build(
        [Entry(term, first + i, EntryKind.EntryNormal, bytes([i % 251]) * size) for i, (term, size) in enumerate(sizes)]
    )


@pytest.mark.parametrize("room", range(4))
def test_as_many_as_fit(room: int) -> None:
    whole = run_of([(1, 10)] * 9)
    limit = BLOCK_HEADER + 3 * (LENGTH + 10) + room
    assert [(piece.first, piece.count) for piece in whole.split(limit)] == [(7, 3), (10, 3), (13, 3)]


def test_one_byte_less_is_one_entry_less() -> None:
    whole = run_of([(1, 10)] * 6)
    pieces = whole.split(BLOCK_HEADER + 3 * (LENGTH + 10) - 1)
    assert [piece.count for piece in pieces] == [2, 2, 2]


def test_what_fits_is_the_very_same() -> None:
    whole = run_of([(1, 10), (1, 3), (2, 4)])
    assert whole.split(len(whole.data)) == [whole]
    assert whole.split(len(whole.data))[0] is whole
    assert whole.split(2**64 - 1)[0] is whole


def test_a_large_one_goes_alone() -> None:
    whole = run_of([(1, 1), (1, 500), (1, 1), (1, 1), (2, 500), (2, 500)])
    assert [(piece.first, piece.count) for piece in whole.split(100)] == [(7, 1), (8, 1), (9, 2), (11, 1), (12, 1)]
    assert [piece.count for piece in whole.split(0)] == [1] * 6


def test_each_block_has_its_header() -> None:
    """Two entries of two terms are two blocks."""
    whole = run_of([(1, 10), (2, 10)])
    assert len(whole.data) == 2 * (BLOCK_HEADER + LENGTH + 10)
    assert [piece.count for piece in whole.split(len(whole.data) - 1)] == [1, 1]


def test_any_entries_and_any_limit(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(200):
        term, sizes = 1, []
        for _ in range(dice.randint(1, 40)):
            term += dice.random() < 0.2
            sizes.append((term, dice.choice((0, 1, 10, 100))))
        whole = run_of(sizes, dice.randint(1, 1000))
        limit = dice.randint(0, 400)
        pieces = whole.split(limit)
        assert [entry for piece in pieces for entry in piece] == list(whole)
        for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
            assert Entries.decode(piece.data) == piece
            assert len(piece.data) <= limit or piece.count == 1
            if following is not None:
                longer = whole.slice(piece.first, following.first + 1)
                assert len(longer.data) > limit, "one more would have fitted"
