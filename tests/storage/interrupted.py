"""A store on disk whose opening dies between two of its durable steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.floor import Floor


class Interrupted(Exception):
    """The process dies here."""


class Steps:
    """How many durable steps (a floor file, or a batch) there were."""

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def interrupted_after(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[Steps]:
    """Inside, ``Interrupted`` is raised once ``after`` durable steps are done; 0 for never."""
    steps = Steps()

    def counting(step: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: object) -> None:
            step(*arguments)
            steps.count += 1
            if steps.count == after:
                raise Interrupted

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(Floor, "write", counting(Floor.write))
        patch.setattr(LevelDBStorage, "_commit_batch", counting(LevelDBStorage._commit_batch))
        yield steps
