"""An endless, repeatable stream of writes to several groups, and a process that makes them until it is killed.

Run as ``python -m tests.storage.script DIR SEED DONE``: opens the store, prints ``boot B``, and then, for each write
after the first DONE of the stream, its number before it is submitted and again when it is durable.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator

from raftcore.values.message import Message
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.storage import AppendBatch
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage
from tests.storage.support import MEMBERS, Model, append, entries, joined

GROUPS = {0: tuple(MEMBERS), 1: (1, 2), 2**64 - 1: (1, 3)}
OWNER_OF_GROUPS = StoreOwner(1, MEMBERS, groups=GROUPS)


def script(seed: int) -> Iterator[list[Message]]:
    """Submits as a follower in rough times makes them: many entries, few, replaced ones, votes; now and then large."""
    rng = random.Random(seed)
    model = Model()
    term = 1
    while True:
        appends: list[Message] = []
        last = len(model.log)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            if rng.random() < 0.1:
                term += 1
                appends.append(append(term=term, vote=vote_in(term), commit=0))
                continue
            first = last + 1
            if rng.random() < 0.1:
                first = rng.randint(max(1, last - 20), last + 1)
                term += 1
            run = entries(first, rng.choice((1, 1, 2, 10, 400)), term)
            if rng.random() < 0.1:
                run = joined(run, entries(run.last + 1, 2, term), entries(run.last + 3, 1, term + 1))
                term += 1
            appends.append(append(run, term=term, vote=vote_in(term)))
            last = run.last
        model.submit(appends)
        yield appends


def batches(seed: int) -> Iterator[AppendBatch]:
    """Submits of one group or several together, of each group as its own script has them."""
    rng = random.Random(seed)
    scripts = {group: script(seed + place) for place, group in enumerate(GROUPS)}
    while True:
        chosen = rng.sample(list(GROUPS), rng.randint(1, len(GROUPS)))
        yield [(group, next(scripts[group])) for group in chosen]


def vote_in(term: int) -> int:
    """One vote in each term, as Raft has it (Figure 2)."""
    return term % 3 + 1


def main(directory: str, seed: int, done: int) -> None:
    store = LevelDBStorage(directory)
    try:
        boot = store.open(OWNER_OF_GROUPS).boot
    except StorageFailed as error:
        os.write(1, f"refused {type(error).__name__} {error}\n".encode())
        return
    os.write(1, f"boot {boot}\n".encode())
    for number, batch in enumerate(batches(seed)):
        if number < done:
            continue
        os.write(1, f"try {number}\n".encode())
        try:
            store.submit(batch)
        except StorageFailed as error:
            os.write(1, f"failed {error}\n".encode())
            os.write(1, f"again {again(store, batch)}\n".encode())
            return
        os.write(1, f"done {number}\n".encode())


def again(store: LevelDBStorage, batch: AppendBatch) -> str:
    """What a second attempt says: the handle must be dead."""
    try:
        store.submit(batch)
    except StorageFailed as error:
        return str(error)
    return "it was written"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
