"""The threads of the process: ``raftpy.contracts.executor`` for real."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from raftpy.contracts.executor import Executor, Thread, Worker

_Item = TypeVar("_Item")

BACKGROUND_NICENESS = 10
"""What is added to the niceness of a thread in the background. Where it and a usual one want the same processor it has
a tenth of what that has; not less, as it may hold what others wait for, the interpreter's lock above all."""


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
    """A ``Worker`` with a thread of its own, which ``start`` begins with the first item."""

    def __init__(
        self,
        name: str,
        work: Callable[[list[_Item]], bool],
        start: Callable[[str, Callable[[], object]], Thread] = SystemThread,
    ) -> None:
        self._name = name
        self._work = work
        self._start = start
        self._queue: SimpleQueue[_Item | _End] = SimpleQueue()
        self._thread: Thread | None = None

    def put(self, item: _Item) -> None:
        if self._thread is None:  # without one the item stays with the caller
            self._thread = self._start(self._name, self._run)
        self._queue.put(item)

    def close(self) -> None:
        if self._thread is not None:
            self._queue.put(_End())
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while self._round(self._queue.get()):
            pass  # and holds no item while it waits

    def _round(self, first: _Item | _End) -> bool:
        taken = [first]
        try:
            while True:
                taken.append(self._queue.get_nowait())
        except Empty:
            pass
        items = [item for item in taken if not isinstance(item, _End)]
        return not (items and not self._work(items)) and len(items) == len(taken)


class _Ahead(Generic[_Item]):
    """A call that is made in a thread before it is its turn, or then where the system has no room for one."""

    def __init__(self, name: str, call: Callable[[], _Item]) -> None:
        self._call = call
        self._given: list[_Item] = []
        self._error: BaseException | None = None
        self._thread: SystemThread | None = None
        with suppress(RuntimeError):
            self._thread = SystemThread(name, self._run)

    def _run(self) -> None:
        try:
            self._given.append(self._call())
        except BaseException as error:
            self._error = error

    def take(self) -> _Item:
        """What it gives; raises what it raises."""
        if self._thread is None:
            return self._call()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._given.pop()

    def end(self) -> None:
        """It is not under way any more."""
        if self._thread is not None:
            self._thread.join()


class Threads:
    """``Executor`` over the threads of the process. It holds nothing, so that any number of them are as good as one."""

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        return SystemThread(name, run)

    def worker(self, name: str, work: Callable[[list[_Item]], bool]) -> Worker[_Item]:
        return ThreadWorker(name, work)

    def background(self) -> Executor:
        return BackgroundThreads()

    def ahead(self, name: str, calls: Iterable[Callable[[], _Item]], count: int) -> Generator[_Item, None, None]:
        """See ``AheadExecutor``; each call has a thread of its own."""
        under_way: deque[_Ahead[_Item]] = deque()
        try:
            for call in calls:
                under_way.append(_Ahead(name, call))
                if len(under_way) > count:
                    yield under_way.popleft().take()
            while under_way:
                yield under_way.popleft().take()
        finally:
            for one in under_way:
                one.end()

    def rest(self, seconds: float) -> None:
        """See ``RestingExecutor``."""
        time.sleep(seconds)

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        try:
            loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return False
        return True

    def lock(self) -> AbstractContextManager[object]:
        return threading.Lock()


class BackgroundThreads(Threads):
    """``Executor`` over threads that give way to those of the process that are none of these."""

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        return _background(name, run)

    def worker(self, name: str, work: Callable[[list[_Item]], bool]) -> Worker[_Item]:
        return ThreadWorker(name, work, _background)


def _background(name: str, run: Callable[[], object]) -> Thread:
    def begin() -> None:
        give_way()
        run()

    return SystemThread(name, begin)


def give_way() -> None:
    """The calling thread gives way to the others of this process, and of this user's where the system does not part
    them. Linux alone has a niceness for each thread; to raise it takes no privilege, and it cannot be lowered again."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may allow no such call; nothing depends on it but what it costs others
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + BACKGROUND_NICENESS)
