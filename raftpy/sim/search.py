"""Many seeds over several processes, each seed twice: the second time with another PYTHONHASHSEED.

Two runs of a seed must not differ in anything: if they do, a failure found today could not be replayed tomorrow, so
that is a failure of its own. A process that dies, or that finds no end, is one as well, of the seed that it was at.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable, Iterator

from raftpy.sim.outcome import Failure
from raftpy.sim.totals import NOT_REPLAYED, Found, Totals
from raftpy.sim.worker_process import Answer, Worker

RUN = "raftpy.sim.run:run"
DRAW = "raftpy.sim.swarm:draw_plan"
LIMIT_S = 300.0
"""So long a run may take, in real seconds."""
LOOK_EVERY_S = 0.25
"""Between two looks at the clock, when nothing else happens."""


class Job:
    """Runs one seed after the other: each on its first process and then, unless ``once``, on its second."""

    def __init__(self, number: int, once: bool, run: str, draw: str) -> None:
        hash_seeds = (1,) if once else (1, number + 2)
        self.workers = [Worker(hash_seed, run, draw) for hash_seed in hash_seeds]
        self.answers: list[Answer] = []

    @property
    def worker(self) -> Worker:
        """The one that works."""
        return self.workers[len(self.answers)]

    def begin(self, seed: int) -> None:
        """With a new seed."""
        self.answers.clear()
        self.worker.ask(seed)

    def takes(self, answer: Answer) -> bool:
        """An answer was given. True: the seed is done; False: its second run has begun."""
        seed = self.worker.seed
        self.answers.append(answer)
        if len(self.answers) == len(self.workers) or not answer.hash:
            return True  # of a run that has not come to an end there is nothing to compare
        self.worker.ask(seed)
        return False


def search(
    seeds: Iterable[int],
    jobs: int,
    *,
    once: bool = False,
    run: str = RUN,
    draw: str = DRAW,
    limit_s: float = LIMIT_S,
    tell: Callable[[Totals], object] = lambda totals: None,
) -> Totals:
    """Runs all seeds, ``jobs`` at a time, and adds up what came of them.

    ``once``: each seed one time only. ``run`` and ``draw``: ``module:function``, see worker.py. ``limit_s``: so long
    one run may take. ``tell`` is called often, with the totals so far. KeyboardInterrupt ends the search early, and no
    exception comes of it: the totals say so.
    """
    return _Search(iter(seeds), jobs, once, run, draw, limit_s, tell).run()


class _Search:
    def __init__(
        self,
        seeds: Iterator[int],
        jobs: int,
        once: bool,
        run: str,
        draw: str,
        limit_s: float,
        tell: Callable[[Totals], object],
    ) -> None:
        self._seeds, self._limit, self._tell = seeds, limit_s, tell
        self._jobs = [Job(number, once, run, draw) for number in range(jobs)]
        self._totals = Totals()
        self._began = time.monotonic()

    def run(self) -> Totals:
        busy = []
        try:
            busy = [job for job in self._jobs if self._next(job)]
            while busy:
                busy = [job for job in busy if self._goes_on(job)] if self._wait(busy) else busy
                self._totals.elapsed_s = time.monotonic() - self._began
                self._tell(self._totals)
        except KeyboardInterrupt:
            self._totals.interrupted = True
        finally:
            self._totals.elapsed_s = time.monotonic() - self._began
            for job in self._jobs:
                for worker in job.workers:
                    worker.stop()
        return self._totals

    def _next(self, job: Job) -> bool:
        seed = next(self._seeds, None)
        if seed is None:
            return False
        job.begin(seed)
        return True

    def _wait(self, busy: list[Job]) -> bool:
        """Until there is an answer or it is time to look at the clock."""
        self._answers: dict[int, Answer] = {}
        with selectors.DefaultSelector() as selector:
            for job in busy:
                selector.register(job.worker.output, selectors.EVENT_READ, job)
            for key, _ in selector.select(LOOK_EVERY_S):
                job = key.data
                if (answer := job.worker.answer()) is not None:
                    self._answers[id(job)] = answer
        for job in busy:
            if id(job) not in self._answers and time.monotonic() - job.worker.since > self._limit:
                self._answers[id(job)] = job.worker.give_up(self._limit)
        return bool(self._answers)

    def _goes_on(self, job: Job) -> bool:
        """Whether the job has more to do, after what was answered."""
        answer = self._answers.get(id(job))
        if answer is None:
            return True
        seed = job.worker.seed
        self._add(answer)
        if not job.takes(answer):
            return True
        self._judge(seed, job)
        return self._next(job)

    def _add(self, answer: Answer) -> None:
        totals = self._totals
        totals.runs += 1
        totals.events += answer.events
        totals.virtual_s += answer.virtual_s
        totals.worked_s += answer.seconds

    def _judge(self, seed: int, job: Job) -> None:
        """A seed is done."""
        first, *others = job.answers
        self._totals.seeds += 1
        self._totals.count_reached(first.reached)
        if first.failure is not None:
            self._totals.found.append(Found(seed, first.failure))
        for worker, other in zip(job.workers[1:], others, strict=False):
            if (other.hash, _check(other)) != (first.hash, _check(first)):
                text = (
                    f"PYTHONHASHSEED={job.workers[0].hash_seed}: {_told(first)}\n"
                    f"PYTHONHASHSEED={worker.hash_seed}: {_told(other)}"
                )
                self._totals.found.append(Found(seed, Failure(NOT_REPLAYED, text, 0.0)))


def _check(answer: Answer) -> str:
    return answer.failure.check if answer.failure is not None else ""


def _told(answer: Answer) -> str:
    failure = f", fails: {answer.failure.check}: {answer.failure.text}" if answer.failure is not None else ""
    return f"{answer.events} events, hash {answer.hash or 'unknown'}{failure}"
