"""Pages of logs that are read beside the loop, for all groups of a host: one after the other, in a thread; and in a
second one beside it, where more pages than one are asked for at a time that need not follow one another.

What runs there lets the loop go on: a read from the disk gives the interpreter's lock away, and between two of them
there is little to do. What the store cannot read now, for want of descriptors or memory, is tried again a little later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from raftcore.base.errors import Compacted, LogTemporarilyUnavailable, Unavailable
from raftcore.values.message import Entries
from raftpy.contracts.clock import Clock, TimerHandle
from raftpy.contracts.executor import Executor

AGAIN_S = 0.1
"""Until what could not be read for want of descriptors or memory is tried again."""

Report = Callable[[list[Entries]], object]
Refuse = Callable[[BaseException], object]


class _Asked(NamedTuple):
    read: Callable[[], list[Entries]]
    report: Report
    refuse: Refuse
    worker: int


class LogReading:
    """Made in the loop; the thread begins with the first page. ``fail(error)`` is called in the loop when a store could
    not be read, or when what it gave could not be used: then the host ends."""

    def __init__(self, executor: Executor, clock: Clock, node_id: int, fail: Callable[[BaseException], object]) -> None:
        self._executor = executor
        self._clock = clock
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        names = f"raftpy reading {node_id}", f"raftpy reading {node_id} beside"
        self._workers = [executor.worker(name, self._work) for name in names]
        self._under_way = [0, 0]  # how many pages each of them has
        self._waiting: list[_Asked] = []  # to be tried again
        self._timer: TimerHandle | None = None
        self._later: set[TimerHandle] = set()
        self._foremost: object = None  # see is_foremost
        self.monotonic = clock.monotonic
        self._stopped = False

    def is_foremost(self, stream: object) -> bool:
        """Whether this one of all streams of pages may have more than one asked for at a time: it had that before, or
        none has."""
        if self._foremost is None:
            self._foremost = stream
        return self._foremost is stream

    def falls_back(self, stream: object) -> None:
        """This one needs no more pages for now, and what it has is little, or it is gone: another one may be the
        foremost."""
        if self._foremost is stream:
            self._foremost = None

    def ask(
        self, read: Callable[[], list[Entries]], report: Report, refuse: Refuse, *, beside: bool = False
    ) -> list[Entries] | None:
        """Has ``read()`` called in the thread, and ``report`` in the loop with what it has given; or ``refuse`` with
        what it has raised: ``Compacted`` or ``Unavailable`` where the entries are not there any more, or what the host
        ends for right behind it. ``beside``: perhaps while other pages are read, and reported before them.

        None; but where the system has no room for a thread, the loop has to wait for the disk: what ``read()`` has
        given, and neither is called. Raises what that raises then.
        """
        first, second = self._under_way
        one = _Asked(read, report, refuse, int(beside and second < first))
        if self._put(one):
            return None
        try:
            return read()
        except LogTemporarilyUnavailable:
            self._wait(one)
        return None

    def _put(self, one: _Asked) -> bool:
        """False: there is no room for a thread."""
        for number in range(one.worker, -1, -1):
            try:
                self._workers[number].put(one._replace(worker=number))
            except RuntimeError:
                continue
            self._under_way[number] += 1
            return True
        return False

    def call_later(self, delay_s: float, call: Callable[[], object]) -> None:
        """Has ``call()`` called in the loop after so many seconds; what it raises ends the host."""

        def due() -> None:
            self._later.discard(timer)
            self._report(lambda _: call(), None)

        timer = self._clock.call_later(delay_s, due)
        self._later.add(timer)

    def stop(self) -> None:
        """In the loop: nothing is asked or reported from now on."""
        self._stopped = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        for timer in self._later:
            timer.cancel()
        self._later.clear()

    def disown(self) -> None:
        """In a forked child: nothing is asked or reported from now on; the timer is the parent's."""
        self._stopped = True

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is being read any more."""
        for worker in self._workers:
            worker.close()

    def _work(self, asked: list[_Asked]) -> bool:
        for one in asked:
            if self._stopped:
                return False
            try:
                pieces = one.read()
            except (Compacted, Unavailable) as error:
                self._executor.post(self._loop, self._answer, one, one.refuse, error)
            except LogTemporarilyUnavailable:
                self._executor.post(self._loop, self._try_again, one)
            except BaseException as error:
                self._executor.post(self._loop, self._answer, one, one.refuse, error)
                self._executor.post(self._loop, self._failed, error)
                return False
            else:
                self._executor.post(self._loop, self._answer, one, one.report, pieces)
        return True

    def _try_again(self, one: _Asked) -> None:
        self._under_way[one.worker] -= 1
        self._wait(one)

    def _wait(self, one: _Asked) -> None:
        if self._stopped:
            return
        self._waiting.append(one)
        if self._timer is None:
            self._timer = self._clock.call_later(AGAIN_S, self._put_again)

    def _put_again(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for one in () if self._stopped else waiting:
            if not self._put(one):
                self._wait(one)

    def _answer(self, one: _Asked, report: Callable[[Any], object], what: Any) -> None:
        self._under_way[one.worker] -= 1
        self._report(report, what)

    def _report(self, report: Callable[[Any], object], what: Any) -> None:
        if self._stopped:
            return
        try:
            report(what)
        except BaseException as error:
            self._failed(error)
            if not isinstance(error, Exception):
                raise

    def _failed(self, error: BaseException) -> None:
        if not self._stopped:
            self._fail(error)
