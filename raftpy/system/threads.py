"""The threads of the process: ``raftpy.contracts.executor`` for real."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from raftpy.contracts.executor import Thread, Worker

_Item = TypeVar("_Item")


class SystemThread:
    """A ``Thread`` of the process."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()


class _End:
    """Stands behind the last item."""


class ThreadWorker(Generic[_Item]):
    """A ``Worker`` with a thread of its own, which begins with the first item."""

    def __init__(self, name: str, work: Callable[[list[_Item]], bool]) -> None:
        self._name = name
        self._work = work
        self._queue: SimpleQueue[_Item | _End] = SimpleQueue()
        self._thread: SystemThread | None = None

    def put(self, item: _Item) -> None:
        if self._thread is None:  # without one the item stays with the caller
            self._thread = SystemThread(self._name, self._run)
        self._queue.put(item)

    def close(self) -> None:
        if self._thread is not None:
            self._queue.put(_End())
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            taken = [self._queue.get()]
            try:
                while True:
                    taken.append(self._queue.get_nowait())
            except Empty:
                pass
            items = [item for item in taken if not isinstance(item, _End)]
            if (items and not self._work(items)) or len(items) < len(taken):
                return


class Threads:
    """``Executor`` over the threads of the process. It holds nothing, so that any number of them are as good as one."""

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        return SystemThread(name, run)

    def worker(self, name: str, work: Callable[[list[_Item]], bool]) -> Worker[_Item]:
        return ThreadWorker(name, work)

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        try:
            loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return False
        return True

    def lock(self) -> AbstractContextManager[object]:
        return threading.Lock()
