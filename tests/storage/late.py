"""What stands for threads in tests of one thread: workers whose rounds come when the test says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import Any


class LateWorker:
    """A ``Worker`` whose rounds come later, when the test says so."""

    def __init__(self, work: Callable[[list[Any]], bool], drawn: Random | None) -> None:
        self._work = work
        self._drawn = drawn
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._drawn is not None:
            self.run(self._drawn.randrange(3))

    def run(self, count: int) -> None:
        for _ in range(min(count, len(self._items))):
            if self._items:  # what is worked off may put something, and then others come before it returns
                self._work([self._items.popleft()])

    def close(self) -> None:
        self.run(len(self._items))


class LateExecutor:
    """An ``Executor`` in one thread. ``drawn``: where given, it says how many rounds come at each hand-over."""

    def __init__(self, drawn: Random | None = None) -> None:
        self.workers: list[LateWorker] = []
        self._drawn = drawn

    def start(self, name: str, run: Callable[[], object]) -> Any:
        raise NotImplementedError

    def worker(self, name: str, work: Callable[[list[Any]], bool]) -> Any:
        self.workers.append(LateWorker(work, self._drawn))
        return self.workers[-1]

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        raise NotImplementedError

    def background(self) -> LateExecutor:
        return self

    def lock(self) -> AbstractContextManager[object]:
        return nullcontext()

    def run(self, count: int = 1000) -> None:
        for worker in self.workers:
            worker.run(count)
