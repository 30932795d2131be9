"""When a batch is written: at once, or on a thread while the loop goes on.

A short sync is cheaper waited for than handed over and back (two wake-ups and the interpreter's lock); a long one
would keep heartbeats waiting. So the writer goes by what recent syncs took, and a batch that is long by itself always
goes to the thread. Either way what is submitted while a write is under way is written together in the next one (what
databases call group commit), whatever the groups.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal

from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.executor import Executor
from raftpy.contracts.storage import AppendBatch
from raftpy.storage.records import needs_writing

Mode = Literal["auto", "inline", "thread"]

LARGE_BYTES = 2 << 20
"""Of entries in a batch that is never waited for: at 200 MB a second they take ten milliseconds."""


def is_large(batch: AppendBatch) -> bool:
    """Whether it takes long on any disk."""
    size = 0
    for _, appends in batch:
        for append in appends:
            if append.entries is not None:
                size += len(append.entries.data)
    return size >= LARGE_BYTES


class Pace:
    """Whether syncs have been long of late.

    They are when more than half of the last ``WINDOW`` took longer than ``LONG_S`` (the median is long), or when one
    took ``STALL_S``, a good part of a heartbeat interval: then for the next ``WINDOW`` writes at least.
    """

    WINDOW = 16
    LONG_S = 0.002
    STALL_S = 0.020

    __slots__ = ("_long", "_stalled", "slow")

    def __init__(self) -> None:
        self._long = 0  # bit i: the i-th write before the last was long
        self._stalled = 0  # writes for which a stall still counts
        self.slow = False

    def note(self, seconds: float) -> None:
        """Takes one write's duration, in seconds, into account."""
        if seconds <= self.LONG_S and not self._long:
            if not self._stalled:
                return  # as ever, and not slow
            self._stalled -= 1
        else:
            self._long = (self._long << 1 | (seconds > self.LONG_S)) & ((1 << self.WINDOW) - 1)
            self._stalled = self.WINDOW if seconds >= self.STALL_S else max(0, self._stalled - 1)
        self.slow = self._stalled > 0 or 2 * self._long.bit_count() > self.WINDOW


class Writer:
    """Hands submits, in order, to ``write``, inline or on a worker of ``executor``.

    ``write(batch)`` makes it durable and returns whether the disk had to be touched for it; it raises
    ``StorageFailed``, after which it is not called again. ``needs_writing(batch)`` tells beforehand. All methods are
    for the loop's thread, but for ``close``.
    """

    def __init__(
        self,
        write: Callable[[AppendBatch], bool],
        mode: Mode,
        executor: Executor,
        timer: Callable[[], float] = time.perf_counter,
        needs_writing: Callable[[AppendBatch], bool] = needs_writing,
    ) -> None:
        self.pace = Pace()
        self._write = write
        self._needs_writing = needs_writing
        self._mode = mode
        self._timer = timer
        self._under_way = 0  # submits that have returned False and were not called back yet
        self._executor = executor
        self._worker = executor.worker("raftpy storage", self._work)
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callback: Callable[[AppendBatch], None] | None = None
        self._on_failure: Callable[[StorageFailed], None] | None = None

    def bind(self, callback: Callable[[AppendBatch], None], on_failure: Callable[[StorageFailed], None] | None) -> None:
        """Whom to call, and in which loop: the running one. Without one everything is written inline."""
        self._callback = callback
        self._on_failure = on_failure
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def submit(self, batch: AppendBatch) -> bool:
        """True: durable. False: ``callback`` will say so."""
        large = is_large(batch)
        if not self._under_way and (
            self._loop is None
            or self._mode == "inline"
            or (self._mode == "auto" and not self.pace.slow and not large)
            or not self._needs_writing(batch)
        ):
            self._timed_write(batch, large)
            return True
        try:
            self._worker.put(batch)
        except RuntimeError:  # no room for a thread: the loop has to wait for this one
            self._timed_write(batch, large)
            return True
        self._under_way += 1
        return False

    def close(self) -> None:
        """Waits until everything submitted has been written, or writing has failed; nothing is called back after.

        In any thread, once nothing is submitted any more.
        """
        self._closed = True
        self._worker.close()

    def _timed_write(self, batch: AppendBatch, large: bool) -> None:
        start = self._timer()
        if self._write(batch) and not large:  # whose time says nothing of the next
            self.pace.note(self._timer() - start)

    def _work(self, submits: list[AppendBatch]) -> bool:
        """Beside the loop: writes everything that waits as one batch, and reports it."""
        together = [part for batch in submits for part in batch]
        try:
            self._timed_write(together, is_large(together))
        except StorageFailed as error:
            self._post(self._failed, error)
            return False
        self._post(self._done, submits)
        return True

    def _post(self, method: Callable[[Any], None], argument: Any) -> None:
        assert self._loop is not None
        self._executor.post(self._loop, method, argument)  # where the loop is closed, nobody is left to tell

    def _done(self, submits: list[AppendBatch]) -> None:
        self._under_way -= len(submits)
        self._report(submits)

    def _report(self, submits: list[AppendBatch]) -> None:
        for position, batch in enumerate(submits):
            if self._closed or self._callback is None:
                return
            try:
                self._callback(batch)
            except BaseException:  # KeyboardInterrupt, of a task that was resumed: the rest is durable all the same
                self._post(self._report, submits[position + 1 :])
                raise

    def _failed(self, error: StorageFailed) -> None:
        if not self._closed and self._on_failure is not None:
            self._on_failure(error)
