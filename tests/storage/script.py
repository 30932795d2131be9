"""An endless, repeatable stream of writes, and a process that makes them until it is killed.

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
from raftpy.storage import LevelDBStorage
from tests.storage.support import OWNER, Model, append, entries, joined, submit


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


def vote_in(term: int) -> int:
    """One vote in each term, as Raft has it (Figure 2)."""
    return term % 3 + 1


def main(directory: str, seed: int, done: int) -> None:
    store = LevelDBStorage(directory)
    try:
        boot = store.open(OWNER).boot
    except StorageFailed as error:
        os.write(1, f"refused {type(error).__name__} {error}\n".encode())
        return
    os.write(1, f"boot {boot}\n".encode())
    for number, appends in enumerate(script(seed)):
        if number < done:
            continue
        os.write(1, f"try {number}\n".encode())
        try:
            submit(store, appends)
        except StorageFailed as error:
            os.write(1, f"failed {error}\n".encode())
            os.write(1, f"again {again(store, appends)}\n".encode())
            return
        os.write(1, f"done {number}\n".encode())


def again(store: LevelDBStorage, appends: list[Message]) -> str:
    """What a second attempt says: the handle must be dead."""
    try:
        submit(store, appends)
    except StorageFailed as error:
        return str(error)
    return "it was written"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
