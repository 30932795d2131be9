"""A member of the measured cluster whose parts are timed from outside: what benchmarks/budget.py starts.

raftpy itself holds no trace points. What a node calls through its contracts (transport, storage, state machine, clock)
and what calls it back through them is wrapped in timers here, which count only while a traced work runs. A pass begins
in one of four ways, each of which comes from outside: the transport wakes it, a write has completed, a timer is due,
the event loop gives it its turn. What a part calls in turn counts there:

    pass ---------------------------------------------->  (what no part took: the core, the pass itself, and the callers
       receive   apply   propose   flush   submit   linger    that go on inside it)

The core is called in C, where nobody outside can look on. So the time of a pass that no part took is told by what came
last before it: after ``transport.receive`` the core takes in what was heard, and so on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.counter import Counter
from benchmarks.load import WORKS, Figures, Options, in_flight, sequential
from benchmarks.member import serve
from raftpy import Config, Node, RaftError
from raftpy.config import parse_cluster
from raftpy.contracts.clock import Clock, SystemClock, TimerHandle
from raftpy.contracts.types import LocalIdentity
from raftpy.runtime.linger import Linger
from raftpy.runtime.passes import Passes
from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.transport.datagram.udp import UdpTransport

PASS = "pass"
CALIBRATIONS = 50


Mark = tuple[int, dict[str, int], dict[str, int]]
"""When a command began, and what had been spent and called until then."""


@dataclass(slots=True)
class Frame:
    """One call of a part that runs now; ``since``: when it began, or its last inner part, ``stage``, ended."""

    part: str
    since: int
    stage: str = ""

    @property
    def row(self) -> str:
        """Under which name the time since then counts."""
        return f"{self.part} after {self.stage}" if self.stage and self.part == PASS else self.part


class Trace:
    """Time by part, without what its inner parts took; of a pass, by the inner part that came before. All in
    nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._open: list[Frame] = []  # what runs now, the innermost last
        self.on = True
        self.spent: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    def wrap(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, timed under the name ``part`` while ``on``."""
        clock, running = self._clock, self._open

        def timed(*arguments: Any, **options: Any) -> Any:
            if not self.on:
                return function(*arguments, **options)
            now = clock()
            if running:
                self._count(running[-1], now)
            frame = Frame(part, now)
            running.append(frame)
            try:
                return function(*arguments, **options)
            finally:
                now = clock()
                self._count(frame, now)
                self.calls[part] = self.calls.get(part, 0) + 1
                if frame in running:
                    running.remove(frame)
                if running:
                    running[-1].since, running[-1].stage = now, part

        return timed

    def _count(self, frame: Frame, now: int) -> None:
        row = frame.row
        self.spent[row] = self.spent.get(row, 0) + now - frame.since
        if row != frame.part:
            self.calls[row] = self.calls.get(row, 0) + 1

    def mark(self) -> Mark:
        """What was measured until now, with what the part that runs now has taken so far."""
        now = self._clock()
        spent = dict(self.spent)
        if self._open:
            frame = self._open[-1]
            spent[frame.row] = spent.get(frame.row, 0) + now - frame.since
        return now, spent, dict(self.calls)

    def reset(self) -> None:
        """Forgets what was measured so far."""
        self.spent.clear()
        self.calls.clear()


def typical(marks: Sequence[Mark]) -> tuple[int, dict[str, int], dict[str, int]]:
    """Time, time by part and calls of the commands between the marks whose time lies in the middle fifth.

    On a machine that does other things too, a few commands that had to wait would be most of a mean over all.
    """
    taken = sorted(zip(marks, marks[1:], strict=False), key=lambda pair: pair[1][0] - pair[0][0])
    middle = taken[len(taken) * 2 // 5 : max(len(taken) * 3 // 5, 1)]
    spent: dict[str, int] = {}
    calls: dict[str, int] = {}
    for (_, spent_before, calls_before), (_, spent_after, calls_after) in middle:
        for total, before, after in ((spent, spent_before, spent_after), (calls, calls_before, calls_after)):
            for part, value in after.items():
                total[part] = total.get(part, 0) + value - before.get(part, 0)
    return sum(after[0] - before[0] for before, after in middle), spent, calls


def timer_cost_ns() -> float:
    """What one call of a wrapped function costs more than one of the bare function."""

    def nothing() -> None: ...

    timed = Trace().wrap("nothing", nothing)

    def a_thousand(function: Callable[[], None]) -> int:
        began = time.perf_counter_ns()
        for _ in range(1000):
            function()
        return time.perf_counter_ns() - began

    # The best of many, because whatever else runs makes it longer.
    bare = min(a_thousand(nothing) for _ in range(CALIBRATIONS))
    return (min(a_thousand(timed) for _ in range(CALIBRATIONS)) - bare) / 1000


class TracedClock(SystemClock):
    """The system's clock, whose timers and whose waiting inside a pass are timed."""

    def __init__(self, trace: Trace, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._trace, self._of = trace, loop

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """A timer of the node's begins a pass."""
        return super().call_later(delay_s, self._trace.wrap(PASS, callback))

    def lingering(self) -> TracedLinger:
        """See ``LingeringClock``."""
        return TracedLinger(Linger(self._of), self._trace)


class TracedLinger:
    """Waiting for answers inside a pass, timed."""

    def __init__(self, linger: Linger, trace: Trace) -> None:
        self.wait = trace.wrap("linger", linger.wait)
        self.found = linger.found


class TracedTransport(UdpTransport):
    """UDP; what it wakes is timed."""

    def __init__(self, trace: Trace, clock: Clock, max_datagram: int | None) -> None:
        super().__init__(clock=clock, max_datagram=max_datagram)
        self._trace = trace

    def start(
        self, identity: LocalIdentity, wake: Callable[[], None], pin: Callable[[int, int], None] | None = None
    ) -> None:
        """See ``Transport.start``."""
        super().start(identity, self._trace.wrap(PASS, wake), pin)


class TracedStorage(LevelDBStorage):
    """LevelDB; what it reports to is timed."""

    def __init__(self, trace: Trace, path: str) -> None:
        super().__init__(path)
        self._trace = trace

    def set_completion(self, callback: Callable[..., None], on_failure: Callable[..., None] | None = None) -> None:
        """See ``Storage.set_completion``."""
        super().set_completion(self._trace.wrap(PASS, callback), on_failure)


def trace_turns(trace: Trace, loop: Any) -> None:
    """The turns that passes ask ``loop`` for are timed from now on."""
    call_soon = loop.call_soon

    def traced(callback: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if type(getattr(callback, "__self__", None)) is Passes:
            callback = trace.wrap(PASS, callback)
        return call_soon(callback, *arguments, **options)

    loop.call_soon = traced


class Wrapped:
    """The parts of a running node, wrapped while the context lasts."""

    def __init__(self, node: Node, trace: Trace) -> None:
        loop: Any = asyncio.get_running_loop()
        self._trace = trace
        self._methods: list[tuple[Any, str, str]] = [
            *((node._host.transport, name, f"transport.{name}") for name in ("receive", "send", "flush")),
            (node._host.storage, "submit", "storage.submit"),
            (node, "propose", "propose"),
            (loop._selector, "select", "select"),
        ]

    def __enter__(self) -> None:
        for owner, name, part in self._methods:
            setattr(owner, name, self._trace.wrap(part, getattr(owner, name)))
        self._trace.on = True

    def __exit__(self, *_: object) -> None:
        self._trace.on = False
        for owner, name, _part in self._methods:
            delattr(owner, name)  # the class's own is in its place again


async def budget(trace: Trace, node: Node, options: Options) -> Figures:
    """A work of benchmarks/load.py, first bare and then timed: one command after the other (the typical ones of them),
    or with ``concurrency`` so many at a time (all of them)."""
    crowd = bool(options.get("concurrency"))
    work = in_flight if crowd else sequential
    marks: list[Mark] = []
    trace.on = False
    bare = await work(node, options)
    with Wrapped(node, trace):
        await asyncio.sleep(0)  # the loop calls the wrapped selector from its next turn on
        trace.reset()
        if not crowd:
            propose: Any = node.propose

            def marking(*arguments: Any) -> Any:
                marks.append(trace.mark())
                return propose(*arguments)

            node.propose = marking  # type: ignore[method-assign]
        began = time.perf_counter_ns()
        timed = await work(node, options)
        elapsed = time.perf_counter_ns() - began
        spent, calls = dict(trace.spent), dict(trace.calls)
    if marks:
        elapsed, spent, calls = typical(marks)
    figures: dict[str, Any] = {"bare": bare, "timed": timed, "elapsed": elapsed, "spent": spent, "calls": calls}
    return {**figures, "timer": timer_cost_ns()}


async def answered(trace: Trace, node: Node, options: Options) -> Figures:
    """``budget``; of a crowd that fails, the first failure."""
    try:
        return await budget(trace, node, options)
    except* RaftError as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
    raise first


async def main() -> None:
    """As benchmarks.member, with the work ``budget`` beside the others."""
    parser = argparse.ArgumentParser(description="a member of the cluster that benchmarks.budget starts")
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--data", required=True, help="directory of the store")
    options = parser.parse_args()
    trace, machine, loop = Trace(), Counter(), asyncio.get_running_loop()
    trace.on = False
    machine.apply = trace.wrap("apply", machine.apply)  # type: ignore[method-assign]
    trace_turns(trace, loop)
    WORKS["budget"] = partial(answered, trace)
    config = Config(id=options.id, cluster=parse_cluster(options.cluster), data_dir=options.data)
    clock = TracedClock(trace, loop)
    transport = TracedTransport(trace, clock, config.max_datagram)
    storage = TracedStorage(trace, options.data)
    async with Node(config, machine, storage=storage, transport=transport, clock=clock) as node:
        print(json.dumps({"started": options.id}), flush=True)
        await serve(node, machine)


if __name__ == "__main__":
    asyncio.run(main())
