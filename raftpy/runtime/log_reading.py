"""Pages of logs that are read beside the loop, for all groups of a host: one after the other, in a thread.

What runs there lets the loop go on: a read from the disk gives the interpreter's lock away, and between two of them
there is little to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from raftcore.base.errors import Compacted, Unavailable
from raftcore.values.message import Entries
from raftpy.contracts.executor import Executor

Report = Callable[[list[Entries]], object]


class _Asked(NamedTuple):
    read: Callable[[], list[Entries]]
    report: Report


class LogReading:
    """Made in the loop; the thread begins with the first page. ``fail(error)`` is called in the loop when a store could
    not be read, or when what it gave could not be used: then the host ends."""

    def __init__(self, executor: Executor, node_id: int, fail: Callable[[BaseException], object]) -> None:
        self._executor = executor
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._worker = executor.worker(f"raftpy reading {node_id}", self._work)
        self._stopped = False

    def ask(self, read: Callable[[], list[Entries]], report: Report) -> None:
        """Has ``read()`` called in the thread, and ``report`` in the loop with what it has given: nothing where the
        entries are not there any more (``Compacted``, ``Unavailable``).

        Raises ``RuntimeError`` where the system has no room for a thread: nothing will be reported then.
        """
        self._worker.put(_Asked(read, report))

    def stop(self) -> None:
        """In the loop: nothing is asked or reported from now on."""
        self._stopped = True

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is being read any more."""
        self._worker.close()

    def _work(self, asked: list[_Asked]) -> bool:
        for one in asked:
            if self._stopped:
                return False
            try:
                pieces = one.read()
            except (Compacted, Unavailable):
                pieces = []
            except BaseException as error:
                self._executor.post(self._loop, self._failed, error)
                return False
            self._executor.post(self._loop, self._report, one.report, pieces)
        return True

    def _report(self, report: Report, pieces: list[Entries]) -> None:
        if self._stopped:
            return
        try:
            report(pieces)
        except BaseException as error:
            self._failed(error)
            if not isinstance(error, Exception):
                raise

    def _failed(self, error: BaseException) -> None:
        if not self._stopped:
            self._fail(error)
