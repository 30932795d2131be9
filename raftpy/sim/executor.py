"""What a simulated process does beside its loop: ``raftpy.contracts.executor`` on virtual time.

A call, and each round of a worker, is one step that happens at one moment, drawn from the world's dice. What it has
cost in time, by the disk, shows in when it is heard of: what it posts into the loop arrives so much later, and
the worker begins no other round before.

With :class:`raftpy.sim.strand.Strands` they are made piece by piece, and the loop goes on in between.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

from raftpy.contracts.executor import Thread, Worker
from raftpy.sim.process import Died, Process
from raftpy.sim.strand import Strand, StrandLock, Strands

_Item = TypeVar("_Item")

WRITER = "raftpy storage"
"""The name of the worker that writes what is submitted to a store."""
READING = "raftpy reading"
"""How the worker's name begins that writes nothing."""
LONGEST_WAKE_UP_S = 0.0002
"""Until a thread runs that was woken, at most."""


class _Beside:
    """Runs calls beside the loop of ``process``: in steps, one after the other, or in pieces, as ``strands``."""

    def __init__(
        self,
        process: Process,
        delay_s: Callable[[], float],
        reached: Callable[[str], object],
        strands: Strands | None,
    ) -> None:
        self.process = process
        self.reached = reached
        self.strands = strands
        self.on_round: Callable[[bool], object] = _nothing
        self._delay_s = delay_s

    def run(self, call: Callable[[], object], ended: Callable[[float], object]) -> Strand | None:
        """Begins the call; ``ended(delay_s)`` is called once it has been made, with how long its end takes, in virtual
        seconds. None: it has."""
        if self.strands is not None:
            return self.strands.begin(self.process, call, ended)
        ended(self.step(call))
        return None

    def step(self, run: Callable[[], object]) -> float:
        """Makes the call, in a thread of its own as far as it can tell; what it took, in virtual seconds."""
        process = self.process
        outer = events._get_running_loop()
        events._set_running_loop(None)
        spent, process.spent = process.spent, 0.0
        try:
            run()
        except Died:
            pass
        finally:
            process.count_time()
            took, process.spent = process.spent, spent
            events._set_running_loop(outer)
        return took

    def soon(self, call: Callable[[], object]) -> None:
        """Makes the call when the thread wakes up."""
        self.process.world.after(self._delay_s(), call)


class SimulatedThread:
    """A ``Thread``: a call that is made at some moment."""

    def __init__(self, beside: _Beside, run: Callable[[], object]) -> None:
        self._beside = beside
        self._run = run
        self._ended = False
        self._strand: Strand | None = None
        beside.soon(self._begin)

    def _begin(self) -> None:
        if self._beside.process.alive:
            self._strand = self._beside.run(self._run, self._end)

    def _end(self, delay_s: float) -> None:
        self._ended = True

    def join(self) -> None:
        """Whoever waits for it has been told that it has ended, or stands still until it has."""
        if self._strand is not None and self._beside.strands is not None:
            self._beside.strands.finish(self._strand)
        elif not self._ended:
            raise AssertionError("a thread is waited for that has not ended: the loop would stand still")


class SimulatedWorker(Generic[_Item]):
    """A ``Worker``: rounds, each a step or a strand. ``writes``: it is the one that writes what is submitted."""

    def __init__(self, beside: _Beside, work: Callable[[list[_Item]], bool], writes: bool) -> None:
        self._beside = beside
        self._writes = writes
        self._work = work
        self._items: list[_Item] = []
        self._due = False
        self._given_up = False
        self._round_under_way: Strand | None = None

    def put(self, item: _Item) -> None:
        self._items.append(item)
        if not self._due and not self._given_up:
            self._due = True
            self._beside.soon(self._round)

    def _round(self) -> None:
        if self._beside.process.alive:
            self._round_under_way = self._beside.run(self._do, self._ended)

    def _ended(self, delay_s: float) -> None:
        self._beside.process.world.after(delay_s, self._again)

    def _again(self) -> None:
        self._due = False
        if self._items and not self._given_up and self._beside.process.alive:
            self._due = True
            self._beside.soon(self._round)

    def _do(self) -> None:
        items, self._items = self._items, []
        if len(items) > 1 and self._writes:
            self._beside.reached("several submits became one write")
        if items and not self._given_up:
            if self._writes:
                self._beside.on_round(True)
            try:
                self._given_up = not self._work(items)
            except Exception as error:
                self._given_up = True
                self._beside.process.complain({"message": "in a worker", "exception": error})
            finally:
                if self._writes:
                    self._beside.on_round(False)

    def close(self) -> None:
        """What is still there is worked off now; it costs the caller the time."""
        if self._beside.strands is not None and self._round_under_way is not None:
            self._beside.strands.finish(self._round_under_way)
        self._do()


class SimulatedExecutor:
    """``Executor`` of a process. ``delay_s`` draws how long a thread takes to wake up; ``reached`` is for SOMETIMES.

    With ``strands`` nothing is made in one step, and ``on_round`` is told True when the worker that writes begins a
    round, and False when that has ended. The worker that reads logs has no part in ``delay_s`` and ``reached``:
    ``reading_delay_s`` is its own.
    """

    def __init__(
        self,
        process: Process,
        delay_s: Callable[[], float],
        reached: Callable[[str], object] = lambda name: None,
        strands: Strands | None = None,
        on_round: Callable[[bool], object] | None = None,
        reading_delay_s: Callable[[], float] | None = None,
    ) -> None:
        self._beside = _Beside(process, delay_s, reached, strands)
        self._reading = _Beside(process, reading_delay_s or delay_s, _nothing, strands)
        if on_round is not None:
            self._beside.on_round = on_round
        self._posted_until = 0.0

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        """See ``Executor.start``."""
        return SimulatedThread(self._beside, run)

    def worker(self, name: str, work: Callable[[list[_Item]], bool]) -> Worker[_Item]:
        """See ``Executor.worker``."""
        beside = self._reading if name.startswith(READING) else self._beside
        return SimulatedWorker(beside, work, writes=name == WRITER)

    def background(self) -> SimulatedExecutor:
        """See ``Executor.background``. Nothing here wants a processor that something else has."""
        return self

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        """See ``Executor.post``. The loop hears of it when the step that posts has taken the time it takes."""
        process = self._beside.process
        if self._beside.strands is not None:
            self._beside.strands.tell()
        if loop.is_closed():
            return False
        world = process.world
        # Never before what was posted earlier: posts keep their order.
        process.count_time()
        moment = max(world.now + process.spent, self._posted_until)
        self._posted_until = moment
        world.at(moment, process.call_soon, call, *arguments)
        return True

    def lock(self) -> AbstractContextManager[object]:
        """Steps are never interrupted, so nobody waits for it; strands may stand while they hold it."""
        strands = self._beside.strands
        return nullcontext() if strands is None else StrandLock(strands)


def _nothing(said: object) -> None:
    """Nobody asks."""
