"""The event loop of a simulated process."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any


class ProcessLoop(asyncio.AbstractEventLoop):
    """Calls, timers, futures and tasks of a :class:`raftpy.sim.process.Process`, which has the calls and timers itself.
    No sockets and no threads.
    """

    def __init__(self, process: Any) -> None:
        self._process = process
        self.tasks: dict[asyncio.Task[Any], None] = {}
        """Those that are not done, in the order of their making."""
        self.time = process.monotonic  # type: ignore[method-assign]
        self.call_soon = self.call_soon_threadsafe = process.call_soon  # type: ignore[method-assign]
        self.call_at = process.call_at  # type: ignore[method-assign]
        self.call_later = process.call_in  # type: ignore[method-assign]

    def create_future(self) -> asyncio.Future[Any]:
        """As asyncio's."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None, **more: Any
    ) -> asyncio.Task[Any]:
        """As asyncio's; it is listed in ``tasks`` until it is done."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self.tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)

    def is_running(self) -> bool:
        """Whether it is making calls at this moment."""
        return bool(self._process.running)

    def is_closed(self) -> bool:
        """Whether the process is dead."""
        return not self._process.alive

    def get_debug(self) -> bool:
        """No."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A finding: nothing may escape."""
        self._process.complain(context)
