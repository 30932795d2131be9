"""A store that takes long to open, or to close, does so in a thread of its own, so that the loop goes on meanwhile.

A log of 18 million entries takes 13 seconds to read, and a close waits for the sync under way, which takes as long as
the disk likes. In the loop's thread the program would stand still for so long, and other nodes of the same loop would
lose their leadership.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from raftpy.contracts.errors import NotOwner, StorageFailed
from raftpy.contracts.executor import Executor, Thread
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.runtime.owner import not_of_this_process
from raftpy.system.forking import call_in_child, process_id

_T = TypeVar("_T")


async def open_store(storage: Storage, bootstrap: StoreOwner, executor: Executor) -> Recovered:
    """What ``storage.open`` returns and raises; in a thread of ``executor`` where the store says ``opens_in_thread``.

    A caller that is cancelled meanwhile waits until the opening has ended, which ``storage.close`` is asked to bring
    about, and closes what may have been opened all the same. Raises ``StorageFailed`` where there is no room for a
    thread, ``NotOwner`` in a child that was forked meanwhile: the thread stays with the parent.
    """

    def give_up() -> None:
        storage.close()

    return await before_the_start(
        storage, executor, bootstrap.node_id, "opening", lambda: storage.open(bootstrap), give_up
    )


async def before_the_start(
    storage: Storage,
    executor: Executor,
    node_id: int,
    what: str,
    call: Callable[[], _T],
    give_up: Callable[[], object],
) -> _T:
    """What ``call`` returns and raises, as of :func:`open_store`, which says more; ``what`` names the thread, and
    ``give_up`` asks the call to end soon. Raises ``StorageFailed``, ``NotOwner``."""
    if not getattr(storage, "opens_in_thread", False):
        return call()
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[_T] = loop.create_future()
    waiting = _Waiting(node_id, ended)
    call_in_child(waiting.end)

    def run() -> None:
        try:
            result = call()
        except BaseException as error:
            report = partial(ended.set_exception, error)
        else:
            report = partial(ended.set_result, result)
        if not executor.post(loop, report):
            storage.close()  # the loop is closed: nobody is left to take it

    try:
        thread = executor.start(f"raftpy {what} {node_id}", run)
    except RuntimeError as error:
        raise StorageFailed(f"the store was not opened, as the system has no room for a thread: {error}") from error
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            cancelled = error
            give_up()
    thread.join()  # it has reported, and has nothing else to do
    if cancelled is None:
        return ended.result()
    ended.exception()  # is not what the caller hears
    raise cancelled


class StoreClosing:
    """The closing of a node's ``storage`` for good, begun when it is made; then ``ended()`` is called in the loop.
    ``before()`` is called first, and returns when nothing is at work on the store's snapshots any more.

    Where the store says ``closes_in_thread``, a thread of ``executor`` closes it, whatever becomes of the loop
    meanwhile: cancelled or closed, it costs nobody the lock on the store. ``asyncio.run`` waits for the thread at its
    end. Any other store, and any where the system has no room for a thread, is closed before the maker goes on.
    """

    def __init__(
        self,
        storage: Storage,
        executor: Executor,
        node_id: int,
        ended: Callable[[], object],
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self._storage = storage
        self._before = before
        self._ended = ended
        self._thread: Thread | None = None
        if getattr(storage, "closes_in_thread", False):
            self._begin(executor, node_id)
        if self._thread is None:
            try:
                self._close()
            finally:
                ended()

    def _close(self) -> None:
        try:
            self._before()
        finally:
            self._storage.close()

    def _begin(self, executor: Executor, node_id: int) -> None:
        loop = asyncio.get_running_loop()
        closed: asyncio.Future[None] = loop.create_future()

        def run() -> None:
            try:
                self._close()
            except BaseException as error:
                report = partial(closed.set_exception, error)
            else:
                report = partial(closed.set_result, None)
            executor.post(loop, report)  # where the loop is closed, nobody waits

        try:
            self._thread = executor.start(f"raftpy closing {node_id}", run)
        except RuntimeError:
            return
        self._waiting = _Waiting(node_id, closed)
        call_in_child(self._waiting.end)
        closed.add_done_callback(self._report)
        self._task = loop.create_task(self._wait(closed))
        self._task.add_done_callback(self._join)

    async def _wait(self, closed: asyncio.Future[None]) -> None:
        """What holds asyncio.run until the store is closed. Whoever cancels it does not end the closing."""
        while not closed.done():
            try:
                await asyncio.wait([closed])
            except asyncio.CancelledError:
                continue

    def _join(self, task: asyncio.Task[None]) -> None:
        """At once, as the thread has nothing else to do; but a task that is cancelled before its first step waits for
        nothing, and that is the end of asyncio.run."""
        assert self._thread is not None
        self._thread.join()

    def _report(self, closed: asyncio.Future[None]) -> None:
        error = closed.exception()
        try:
            self._ended()
        finally:
            if error is not None and not isinstance(error, NotOwner):  # which a forked child is told
                raise error


class _Waiting:
    """Who waits for the node's store to be opened or closed: in a forked child nobody would ever report."""

    def __init__(self, node_id: int, done: asyncio.Future[Any]) -> None:
        self._node_id = node_id
        self._done = done
        self._pid = process_id()

    def end(self) -> None:
        """In the child."""
        if not self._done.done():
            self._done.set_exception(not_of_this_process(self._node_id, self._pid))
