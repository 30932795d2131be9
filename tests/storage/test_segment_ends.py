"""A closed segment that has lost whole batches at its end is missed at the next start, whatever they held."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from raftpy.contracts.errors import StorageDamaged
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage
from tests.storage.layout import batch_ends, closed, file_of
from tests.storage.support import MEMBERS, abandon, append, entries, submit

SIZE = 2000
"""Bytes of a segment."""


def build(path: Path, groups: tuple[int, ...], rng: Random) -> StoreOwner:
    """A killed store: group 0 fills segments and replaces entries now and then, the others vote now and then."""
    owner = StoreOwner(1, MEMBERS, groups=dict.fromkeys(groups, (1, 2, 3)))
    store = LevelDBStorage(path, segment_size=SIZE, mode="inline")
    store.open(owner)
    last, term = 0, 1
    for step in range(120):
        if step % 7 == 6:  # across the border of two segments, too
            last, term = last - rng.randint(1, 2), term + 1
        submit(store, [append(entries(last + 1, 2, term), term, 1, 0)], 0)
        last += 2
        if step % 3 == 0:
            for group in groups[1:]:
                submit(store, [append(entries(step // 3 + 1, 1, step + 1), step + 1, 2, 0)], group)
    abandon(store)
    return owner


@pytest.mark.parametrize("groups", [(0,), (0, 7)])
def test_each_batch_of_each_closed_segment(tmp_path: Path, groups: tuple[int, ...], seed: int) -> None:
    """None of them needs to be followed by anything of its group: replaced entries, a term and a vote vanish without a
    gap in any log."""
    sample = tmp_path / "sample"
    owner = build(sample, groups, Random(seed))
    numbers = closed(sample)
    assert len(numbers) > 2
    tried = 0
    for number in numbers:
        data = file_of(sample, number).read_bytes()
        for end in batch_ends(data)[:-1]:
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(sample, copy)
            file_of(copy, number).write_bytes(data[:end])
            with pytest.raises(StorageDamaged):
                LevelDBStorage(copy).open(owner)
            tried += 1
    assert tried > 20
    store = LevelDBStorage(sample)
    store.open(owner)
    store.close()
