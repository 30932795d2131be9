"""A store that takes long to open is opened in a thread of its own, so that the loop goes on meanwhile.

A log of 18 million entries takes 13 seconds to read. In the loop's thread the program would stand still for so long,
and other nodes of the same loop would lose their leadership.
"""

from __future__ import annotations

import asyncio
from functools import partial

from raftpy.contracts.executor import Executor
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import Recovered, StoreOwner


async def open_store(storage: Storage, bootstrap: StoreOwner, executor: Executor) -> Recovered:
    """What ``storage.open`` returns and raises; in a thread of ``executor`` where the store says ``opens_in_thread``.

    A caller that is cancelled meanwhile waits until the opening has ended, which ``storage.close`` is asked to bring
    about, and closes what may have been opened all the same.
    """
    if not getattr(storage, "opens_in_thread", False):
        return storage.open(bootstrap)
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Recovered] = loop.create_future()

    def run() -> None:
        try:
            recovered = storage.open(bootstrap)
        except BaseException as error:
            report = partial(opened.set_exception, error)
        else:
            report = partial(opened.set_result, recovered)
        if not executor.post(loop, report):
            storage.close()  # the loop is closed: nobody is left to take it

    thread = executor.start(f"raftpy opening {bootstrap.node_id}", run)
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
