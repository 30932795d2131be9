"""Strands: calls beside the loop of a simulated process that are made piece by piece, while the world goes on.

A call stands before each thing that it does to its disk, before a sync is durable, and before it posts into the loop,
as long as what it did before takes, or longer, where it does not get a processor at once. Meanwhile its own loop, the
network and the other processes go on, and the process may die.

What keeps a call where it stands is a thread of the system. Only one thread runs at any moment, all the same: who lets
a strand go on waits until it stands again or has ended. When that is the world decides, so that each run is the same,
to the last event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from raftpy.sim.process import Died, Process
from raftpy.sim.world import Due, World
from raftpy.system.forking import is_undivided


class _Carrier:
    """A thread that makes one call after another, a piece at a time."""

    def __init__(self) -> None:
        self.call: Callable[[], object] | None = None
        self._forth, self._back = threading.Lock(), threading.Lock()
        self._forth.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._run, name="raftpy sim strand", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._forth.acquire()
            if self.call is None:
                return
            self.call()
            self._back.release()

    def go_on(self) -> None:
        """Returns once the call stands, or has ended."""
        self._forth.release()
        try:
            self._back.acquire()
        except KeyboardInterrupt:
            self._back.acquire()  # whoever hears of it must not go on beside the call
            raise

    def stand(self) -> None:
        """For the call: returns once it is to go on."""
        self._back.release()
        self._forth.acquire()

    def end(self) -> None:
        """No call is under way, and none will be."""
        self.call = None
        self._forth.release()
        self._thread.join()


class Strand:
    """One call of ``process``; ``ended(delay_s)`` is called once it has ended, with what its last piece took."""

    def __init__(
        self, process: Process, run: Callable[[], object], ended: Callable[[float], object], carrier: _Carrier
    ) -> None:
        self.process = process
        self.ended = ended
        self.done = False
        self.error: BaseException | None = None
        """What it let through."""
        self.longer_s = 0.0
        """How much longer it stands this time than it must."""
        self.until = 0.0
        """It stands so long, in seconds of the world."""
        self.due: Due | None = None
        self.tells = False
        """It stands before it tells the loop what has come of its work, which is done."""
        self.waited_for = False
        """Somebody stands still until it has ended, so it stands no more."""
        self.carrier = carrier
        self._run = run
        carrier.call = self._call

    def _call(self) -> None:
        try:
            self._run()
        except Died:
            pass
        except BaseException as error:
            self.error = error
        self.done = True


class Strands:
    """All strands of a ``world``. ``longer_s(process)`` draws how much longer one stands than it must; ``reached`` is
    for SOMETIMES. To be ended, lest threads be left behind."""

    def __init__(
        self, world: World, longer_s: Callable[[Process], float], reached: Callable[[str], object] = lambda name: None
    ) -> None:
        self._world = world
        self._longer_s = longer_s
        self._reached = reached
        self._running: Strand | None = None
        self._strands: dict[Strand, None] = {}
        self._idle: list[_Carrier] = []
        self._over = False

    @property
    def running(self) -> Strand | None:
        """Whose piece is being made; None in a loop's turn, and outside of all processes."""
        return self._running

    def of(self, process: Process) -> bool:
        """Whether a strand of the process stands."""
        return any(strand.process is process and strand is not self._running for strand in self._strands)

    def at_work(self, process: Process) -> bool:
        """Whether a strand of the process stands that has not done its work yet."""
        return any(strand.process is process and not strand.tells for strand in self._strands)

    def tell(self) -> None:
        """For a strand that is about to tell the loop something: as ``stand``."""
        strand = self._running
        if strand is not None:
            strand.tells = True
            self.stand()
            strand.tells = False

    def begin(self, process: Process, run: Callable[[], object], ended: Callable[[float], object]) -> Strand:
        """Makes the call's first piece."""
        strand = Strand(process, run, ended, self._idle.pop() if self._idle else _Carrier())
        self._strands[strand] = None
        self._go_on(strand)
        return strand

    def stand(self) -> None:
        """For a strand, where others may come in between; for anybody else, nothing. Raises ``Died``.

        Nobody comes in between where no fork may, under a lock that all nodes of this very process share.
        """
        strand = self._running
        if strand is None:
            return
        process = strand.process
        self._check(process)
        if strand.waited_for or is_undivided():
            return
        process.count_time()
        strand.longer_s = self._longer_s(process)
        if process.spent or strand.longer_s:
            strand.carrier.stand()
            self._check(process)

    def _check(self, process: Process) -> None:
        if not process.alive or self._over:
            raise Died

    def finish(self, strand: Strand) -> None:
        """The caller, another thread of the same process, stands still until the strand has ended: that costs it the
        time. Raises ``Died`` when the process has died meanwhile."""
        if strand.done:
            return
        process = strand.process
        self._reached("a thread in the middle of its work was waited for")
        process.count_time()
        process.spent = max(process.spent, strand.until - self._world.now)
        if strand.due is not None:
            strand.due.cancel()
        strand.waited_for = True
        process.spent = self._piece(strand, process.spent)
        strand.ended(process.spent)
        self._check(process)

    def end(self) -> None:
        """The world is over: all of them die."""
        self._over = True
        for strand in list(self._strands):
            if strand.done:  # one that died before had waited for it
                continue
            if strand.due is not None:
                strand.due.cancel()
            self._piece(strand, 0.0)
        for carrier in self._idle:
            carrier.end()
        self._idle.clear()

    def _go_on(self, strand: Strand) -> None:
        took = self._piece(strand, 0.0)
        if strand.done:
            strand.ended(took)
        else:
            strand.until = self._world.now + took + strand.longer_s
            strand.due = self._world.at(strand.until, self._go_on, strand)

    def _piece(self, strand: Strand, spent: float) -> float:
        """Lets it go on, ``spent`` seconds after the world's time, until it stands or ends; how many it are then."""
        process, outer = strand.process, self._running
        before, process.spent = process.spent, spent
        self._running = strand
        try:
            strand.carrier.go_on()
        finally:
            self._running = outer
            process.count_time()
            spent, process.spent = process.spent, before
        if strand.done:
            del self._strands[strand]
            self._idle.append(strand.carrier)
            if strand.error is not None:
                raise strand.error
        return spent


class StrandLock:
    """A lock between the strands of a process and its loop: who finds it taken waits until its holder has ended."""

    def __init__(self, strands: Strands) -> None:
        self._strands = strands
        self._holder: Strand | None = None

    def __enter__(self) -> StrandLock:
        holder = self._holder
        if holder is not None:
            self._strands.finish(holder)
        self._holder = self._strands.running
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder = None
