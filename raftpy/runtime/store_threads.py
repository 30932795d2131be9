"""A store that takes long to open is opened in a thread of its own, so that the loop goes on meanwhile.

A log of 18 million entries takes 13 seconds to read. In the loop's thread the program would stand still for so long,
and other nodes of the same loop would lose their leadership.
"""

from __future__ import annotations

import asyncio
from functools import partial

from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.executor import Executor
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.runtime.owner import not_of_this_process
from raftpy.system.forking import call_in_child, process_id


async def open_store(storage: Storage, bootstrap: StoreOwner, executor: Executor) -> Recovered:
    """What ``storage.open`` returns and raises; in a thread of ``executor`` where the store says ``opens_in_thread``.

    A caller that is cancelled meanwhile waits until the opening has ended, which ``storage.close`` is asked to bring
    about, and closes what may have been opened all the same. Raises ``StorageFailed`` where there is no room for a
    thread, ``NotOwner`` in a child that was forked meanwhile: the thread stays with the parent.
    """
    if not getattr(storage, "opens_in_thread", False):
        return storage.open(bootstrap)
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Recovered] = loop.create_future()
    waiting = _Waiting(bootstrap.node_id, opened)
    call_in_child(waiting.end)

    def run() -> None:
        try:
            recovered = storage.open(bootstrap)
        except BaseException as error:
            report = partial(opened.set_exception, error)
        else:
            report = partial(opened.set_result, recovered)
        if not executor.post(loop, report):
            storage.close()  # the loop is closed: nobody is left to take it

    try:
        thread = executor.start(f"raftpy opening {bootstrap.node_id}", run)
    except RuntimeError as error:
        raise StorageFailed(f"the store was not opened, as the system has no room for a thread: {error}") from error
    cancelled: asyncio.CancelledError | None = None
    while not opened.done():
        try:
            await asyncio.wait([opened])
        except asyncio.CancelledError as error:
            cancelled = error
            storage.close()
    thread.join()  # it has reported, and has nothing else to do
    if cancelled is None:
        return opened.result()
    opened.exception()  # is not what the caller hears
    raise cancelled


class _Waiting:
    """Who waits for the node's store to be ``opened``: in a forked child nobody would ever report."""

    def __init__(self, node_id: int, opened: asyncio.Future[Recovered]) -> None:
        self._node_id = node_id
        self._opened = opened
        self._pid = process_id()

    def end(self) -> None:
        """In the child."""
        if not self._opened.done():
            self._opened.set_exception(not_of_this_process(self._node_id, self._pid))
