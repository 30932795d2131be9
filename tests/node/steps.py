"""What runs beside a node's loop, as steps of that loop: on virtual time there are no threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from raftpy.contracts.executor import Thread, Worker


class _Done:
    def join(self) -> None:
        """Whoever waits for it has been told."""


class _StepWorker:
    """Each round is made in one of the loop's next turns."""

    def __init__(self, work: Callable[[list[Any]], bool]) -> None:
        self._work = work
        self._items: list[Any] = []

    def put(self, item: Any) -> None:
        self._items.append(item)
        if len(self._items) == 1:
            asyncio.get_running_loop().call_soon(self._round)

    def close(self) -> None:
        self._round()

    def _round(self) -> None:
        items, self._items = self._items, []
        if items:
            self._work(items)


class LoopSteps:
    """An ``Executor``: each call is made in one of the loop's next turns. ``names``: of the threads so far.

    ``held``: while it is true no call is made; they wait in ``waiting``.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.held = False
        self.waiting: list[Callable[[], object]] = []

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        self.names.append(name)
        if self.held:
            self.waiting.append(run)
        else:
            asyncio.get_running_loop().call_soon(run)
        return _Done()

    def release(self) -> None:
        self.held = False
        for run in self.waiting:
            run()
        self.waiting.clear()

    def worker(self, name: str, work: Callable[[list[Any]], bool]) -> Worker[Any]:
        return _StepWorker(work)

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        if loop.is_closed():
            return False
        loop.call_soon(call, *arguments)
        return True

    def background(self) -> LoopSteps:
        return self

    def lock(self) -> AbstractContextManager[object]:
        return nullcontext()
