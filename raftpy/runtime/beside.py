"""Calls that would hold the loop for too long, each in a thread, one after the other, while a node runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from raftcore.base.errors import RaftError
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import SnapshotFailed, Stopped
from raftpy.contracts.executor import Executor, Thread, rest
from raftpy.contracts.snapshots import Steps

_T = TypeVar("_T")

LONGEST_REST_S = 0.01
"""A disk that takes long for a piece is not made to stand idle for as long."""


class Beside:
    """Used by one task of the loop, and stopped by whoever ends the node; ``name`` is the thread's."""

    def __init__(self, executor: Executor, name: str) -> None:
        self._executor = executor
        self._name = name
        self._lock = executor.lock()
        self._thread: Thread | None = None
        self._waited: asyncio.Future[Any] | None = None
        self._runs = False
        self._why: Callable[[], RaftError] = Stopped
        self.stopped = False
        """No call begins any more, and the one under way should end."""

    async def call(self, function: Callable[[], _T]) -> _T:
        """What ``function`` returns and raises. Raises ``Stopped``, or what ``stop`` was given, once that was called;
        ``SnapshotFailed`` where the system has no room for a thread."""
        if self.stopped:
            raise self._why()
        loop = asyncio.get_running_loop()
        waited: asyncio.Future[_T] = loop.create_future()

        def run() -> None:
            with self._lock:
                if self.stopped:
                    return
                self._runs = True
            try:
                result = function()
            except BaseException as error:
                report = partial(_fail, waited, error)
            else:
                report = partial(_answer, waited, result)
            with self._lock:
                self._runs = False
            self._executor.post(loop, report)  # where the loop is closed, nobody waits

        try:
            self._thread = self._executor.start(self._name, run)
        except RuntimeError as error:
            raise SnapshotFailed(self._name, f"the system has no room for a thread: {error}") from error
        self._waited = waited
        return await waited

    async def pause(self, clock: Clock, seconds: float) -> None:
        """Waits so long, while nothing is under way. Raises what ``stop`` was given, as soon as it is called."""
        if self.stopped:
            raise self._why()
        waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = clock.call_later(seconds, partial(_answer, waited, None))
        self._waited = waited
        try:
            await waited
        finally:
            timer.cancel()

    def rest(self, clock: Clock, since_s: float, share: float) -> float:
        """In such a call, which works since ``since_s``: leaves the processor and the disk to others, for this share of
        the time that it had them, ``LONGEST_REST_S`` at most; and when it is done with that."""
        rest(self._executor, min(share * (clock.monotonic() - since_s), LONGEST_REST_S))
        return clock.monotonic()

    def complete(self, steps: Steps[_T], check: Callable[[], object] = lambda: None) -> _T:
        """In such a call: makes all steps, and gives their result. Raises between two of them what ``check()`` raises,
        and ``Stopped``."""
        try:
            while True:
                check()
                if self.stopped:
                    raise Stopped
                next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result
        finally:
            steps.close()

    def stop(self, why: Callable[[], RaftError]) -> None:
        """Whoever waits hears ``why()``; the call under way goes on until ``wait`` has returned."""
        if not self.stopped:
            with self._lock:
                self.stopped = True
            self._why = why
        if self._waited is not None:
            _fail(self._waited, why())

    def disown(self, error: RaftError) -> None:
        """In a forked child, which has no copy of the thread, but perhaps the lock as it held it: before ``stop``,
        which leaves the lock alone then. Whoever waits hears ``error``."""
        self.stopped = True
        self._why = lambda: error
        self._runs = False
        if self._waited is not None:
            _fail(self._waited, error)

    def wait(self) -> None:
        """After ``stop``: returns when no call is under way. It never waits for the loop."""
        with self._lock:
            runs = self._runs
        if runs and self._thread is not None:
            self._thread.join()


def retrieve(task: asyncio.Task[Any]) -> None:
    """For a task's end: whoever waited for it may have gone, and nobody is missing what it raised."""
    if not task.cancelled():
        task.exception()


def _answer(waited: asyncio.Future[_T], result: _T) -> None:
    if not waited.done():
        waited.set_result(result)


def _fail(waited: asyncio.Future[Any], error: BaseException) -> None:
    if not waited.done():
        waited.set_exception(error)
