"""A member of the measured cluster whose parts are timed from outside: what benchmarks/budget.py starts.

raftpy itself holds no trace points, so they cost nothing where nobody asks. Here the parts that a pass calls are
wrapped in timers for as long as a traced work runs, and unwrapped after it. What a part calls in turn counts there:

    pass ---------------------------------------------------->  (what no part took: the pass itself, and the callers
       receive   propose   collect   flush   submit   written    that go on inside it)

A pass calls what stands in the place of a part through Python, so between the parts it takes a little longer than one
that nobody watches.
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
from raftpy.runtime.linger import Linger
from raftpy.runtime.rounds import Rounds

PASS = "pass"
CORE = ("step_frames", "propose", "collect", "written", "applied", "tick")
CALIBRATIONS = 50


Mark = tuple[int, dict[str, int], dict[str, int]]
"""When a command began, and what had been spent and called until then."""


@dataclass(slots=True)
class Frame:
    """One call of a part that runs now: when it began, and what its inner parts that have ended took."""

    part: str
    began: int
    inner: int = 0


class Trace:
    """Time by part, without what its inner parts took. All in nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._open: list[Frame] = []  # what runs now, the innermost last
        self.spent: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    def wrap(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, timed under the name ``part``."""
        clock, running, spent, calls = self._clock, self._open, self.spent, self.calls

        def timed(*arguments: Any, **options: Any) -> Any:
            frame = Frame(part, clock())
            running.append(frame)
            try:
                return function(*arguments, **options)
            finally:
                took = clock() - frame.began
                running.pop()
                spent[part] = spent.get(part, 0) + took - frame.inner
                calls[part] = calls.get(part, 0) + 1
                if running:
                    running[-1].inner += took

        return timed

    def mark(self) -> Mark:
        """What was measured until now, with what the parts that run now have taken so far."""
        now = self._clock()
        spent = dict(self.spent)
        until = now
        for frame in reversed(self._open):
            spent[frame.part] = spent.get(frame.part, 0) + until - frame.began - frame.inner
            until = frame.began
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


class TracedCore:
    """The core, with the calls that a pass makes timed."""

    def __init__(self, raw: Any, trace: Trace) -> None:
        self._raw = raw
        for name in CORE:
            setattr(self, name, trace.wrap(f"core.{name}", getattr(raw, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class TracedRounds:
    """What a pass runs, timed."""

    def __init__(self, rounds: Rounds, trace: Trace) -> None:
        self._rounds = rounds
        self.run = trace.wrap(PASS, rounds.run)

    @property
    def pending(self) -> bool:
        """See ``Rounds.pending``."""
        return self._rounds.pending

    @property
    def resuming(self) -> bool:
        """See ``Rounds.resuming``."""
        return self._rounds.resuming


class TracedLinger:
    """Waiting for answers inside a pass, timed."""

    def __init__(self, linger: Linger, trace: Trace) -> None:
        self.wait = trace.wrap("linger", linger.wait)
        self.found = linger.found


class Wrapped:
    """The parts of a running node, wrapped while the context lasts."""

    def __init__(self, node: Node, trace: Trace) -> None:
        driver: Any = node._driver
        loop: Any = asyncio.get_running_loop()
        self._trace = trace
        self._passes = driver.passes
        self._rounds = driver.rounds
        self._methods = [
            *((driver.transport, name, f"transport.{name}") for name in ("receive", "send", "flush")),
            (driver.storage, "submit", "storage.submit"),
            (node, "propose", "propose"),
            (loop._selector, "select", "select"),
        ]

    def __enter__(self) -> None:
        for owner, name, part in self._methods:
            setattr(owner, name, self._trace.wrap(part, getattr(owner, name)))
        self._raw = self._rounds.raw
        self._rounds.raw = TracedCore(self._raw, self._trace)
        self._linger = self._rounds.linger
        self._rounds.linger = TracedLinger(self._linger, self._trace)
        self._passes.rounds = TracedRounds(self._rounds, self._trace)

    def __exit__(self, *_: object) -> None:
        self._passes.rounds = self._rounds
        self._rounds.linger = self._linger
        self._rounds.raw = self._raw
        for owner, name, _part in self._methods:
            delattr(owner, name)  # the class's own is in its place again


async def budget(trace: Trace, node: Node, options: Options) -> Figures:
    """A work of benchmarks/load.py, first bare and then timed: one command after the other (the typical ones of them),
    or with ``concurrency`` so many at a time (all of them)."""
    crowd = bool(options.get("concurrency"))
    work = in_flight if crowd else sequential
    marks: list[Mark] = []
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
    trace, machine = Trace(), Counter()
    machine.apply = trace.wrap("apply", machine.apply)  # type: ignore[method-assign]
    WORKS["budget"] = partial(answered, trace)
    config = Config(id=options.id, cluster=parse_cluster(options.cluster), data_dir=options.data)
    async with Node(config, machine) as node:
        print(json.dumps({"started": options.id}), flush=True)
        await serve(node, machine)


if __name__ == "__main__":
    asyncio.run(main())
