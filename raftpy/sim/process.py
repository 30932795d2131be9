"""A simulated process: an event loop of its own, a clock of its own, and a death that runs no code.

Each node has a process. Because each has its own loop, a crash is nothing but a loop that never runs again: no
``finally``, no callback, nothing that a killed process would not do either. A pause keeps the loop from running while
time, and the clock of the process, go on.
"""

from __future__ import annotations

import asyncio
import traceback
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from raftpy.contracts.clock import TimerHandle
from raftpy.sim.world import Due, World


class Died(BaseException):
    """The process dies in the middle of a call."""


class Call:
    """A call that the loop has taken; ``asyncio.Handle`` without its debugging."""

    __slots__ = ("arguments", "call", "context")

    def __init__(self, call: Callable[..., object], arguments: tuple[Any, ...], context: Context | None) -> None:
        self.call: Callable[..., object] | None = call
        self.arguments = arguments
        self.context = context

    def cancel(self) -> None:
        """It is not made."""
        self.call = None

    def cancelled(self) -> bool:
        """Whether it is not made."""
        return self.call is None


class LoopTimer:
    """A call at a later time; what ``call_later`` gives."""

    __slots__ = ("_call", "_due", "_process", "_when")

    def __init__(self, process: Process, when: float, call: Call) -> None:
        self._process = process
        self._when = when
        self._call = call
        self._due: Due = process.at(when, self._ring)
        process.timers.add(self)

    def _ring(self) -> None:
        self._process.timers.discard(self)
        self._process.post(self._call)

    def cancel(self) -> None:
        """It is not made."""
        self._call.cancel()
        self._due.cancel()
        self._process.timers.discard(self)

    def cancelled(self) -> bool:
        """Whether it is not made."""
        return self._call.cancelled()

    def when(self) -> float:
        """Seconds of the loop's ``time``."""
        return self._when


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of a :class:`Process`: calls, timers, futures and tasks. No sockets and no threads."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in the order of their making, until they are done
        self.time = process.monotonic  # type: ignore[method-assign]

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Call:
        """Has it called at the loop's next turn."""
        call = Call(callback, args, context)
        self._process.post(call)
        return call

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> LoopTimer:
        """Has it called in ``delay`` seconds of the process's clock."""
        return LoopTimer(self._process, self.time() + delay, Call(callback, args, context))

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> LoopTimer:
        """Has it called when the process's clock shows ``when``."""
        return LoopTimer(self._process, when, Call(callback, args, context))

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
        return self._process.running

    def is_closed(self) -> bool:
        """Whether the process is dead."""
        return not self._process.alive

    def get_debug(self) -> bool:
        """No."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A finding: nothing may escape."""
        self._process.complain(context)


class Process:
    """One life of node ``node``: from a start to a stop or a crash.

    ``offset_s`` and ``rate``: what its clock shows at the beginning of the world, and how many of its seconds pass in
    one; ``jump_ms`` is by how much its idea of the date is wrong.
    """

    def __init__(self, world: World, node: int, *, offset_s: float = 0.0, rate: float = 1.0, jump_ms: int = 0) -> None:
        self.world = world
        self.node = node
        self.alive = True
        self.running = False
        self.paused = False
        self.jump_ms = jump_ms
        self.complaints: list[str] = []
        self.timers: set[LoopTimer] = set()
        """Those that are due later; never iterated over but to count them."""
        self.spent = 0.0
        """Seconds that the step under way has taken so far: what a write inside it took."""
        self.took: Callable[[], float] = _nothing
        """What the disk took since it was last asked, in seconds."""
        self._offset = offset_s
        self._rate = rate
        self._calls: deque[Call] = deque()
        self._awake = False  # the world knows that there is something to do
        self._busy: Due | None = None
        self.loop = ProcessLoop(self)  # type: ignore[abstract] # what it lacks, no node asks for

    # --- Clock ----------------------------------------------------------------------------------------------------

    def monotonic(self) -> float:
        """Its own seconds."""
        return self._offset + (self.world.now + self.spent) * self._rate

    def count_time(self) -> None:
        """What the disk has taken meanwhile counts as time of the step under way."""
        self.spent += self.took()

    def stopwatch(self) -> float:
        """``monotonic``, also within a step in which the disk was waited for."""
        self.count_time()
        return self.monotonic()

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as this process believes."""
        return 1_700_000_000_000 + self.jump_ms + int((self.world.now + self.spent) * self._rate * 1000)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """See ``Clock.call_later``."""
        return self.loop.call_soon(callback) if delay_s <= 0 else self.loop.call_later(delay_s, callback)

    def at(self, own_time: float, call: Callable[..., object], *arguments: Any) -> Due:
        """Has the call made when its clock shows ``own_time``."""
        return self.world.at((own_time - self._offset) / self._rate, call, *arguments)

    # --- Work -----------------------------------------------------------------------------------------------------

    def post(self, call: Call) -> None:
        """The loop is to make the call soon; a dead process makes none."""
        if not self.alive:
            return
        self._calls.append(call)
        if not self._awake and not self.paused and self._busy is None:
            self._awake = True
            self.world.wake(self)

    def spawn(self, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task in its loop."""
        return self.loop.create_task(main)

    def step(self) -> bool:
        """One turn of the loop: the calls that waited when it began."""
        calls = self._calls
        self.running = True
        outer = events._get_running_loop()
        events._set_running_loop(self.loop)
        try:
            for _ in range(len(calls)):
                if not self.alive or self.paused:
                    break
                entry = calls.popleft()
                call = entry.call
                if call is None:
                    continue
                try:
                    if entry.context is None:
                        call(*entry.arguments)
                    else:
                        entry.context.run(call, *entry.arguments)
                except Died:
                    break
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    self.complain({"message": f"in {call!r}", "exception": error})
                self.count_time()
        finally:
            events._set_running_loop(outer)
            self.running = False
        if not self.alive:
            self._awake = False
            return False
        if self.spent > 0:
            self._awake = False
            self._busy = self.world.after(self.spent, self._go_on)
            self.spent = 0.0
            return False
        self._awake = bool(calls) and not self.paused
        return self._awake

    def _go_on(self) -> None:
        self._busy = None
        self._wake()

    def _wake(self) -> None:
        if self.alive and self._calls and not self._awake and not self.paused and self._busy is None:
            self._awake = True
            self.world.wake(self)

    # --- Faults ---------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stands still (SIGSTOP, a swapped-out machine) while time goes on."""
        self.paused = True

    def resume(self) -> None:
        """Goes on."""
        self.paused = False
        self._wake()

    def kill(self) -> None:
        """Is gone, at this instant."""
        self.alive = False
        self._calls.clear()
        for timer in list(self.timers):
            timer.cancel()

    def complain(self, context: dict[str, Any]) -> None:
        """Something went wrong that nobody took care of, as an exception in a callback; a finding, while it lives."""
        if self.alive:
            error = context.get("exception")
            trace = traceback.format_exception(error) if isinstance(error, BaseException) else []
            self.complaints.append(f"{context.get('message')}: {error!r}\n{''.join(trace)}")


def _nothing() -> float:
    return 0.0
