"""Runs the finders over the bugs, several at a time, each in a copy of the tree of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.seeded_bugs.bug import GROUPS, Bug, PatchError
from tests.seeded_bugs.finders import Finder, finders
from tests.seeded_bugs.workshop import Workshop, tail


class FinderError(Exception):
    """A finder that complains of the tree without any bug, or cannot run: what it finds would prove nothing."""


@dataclass(frozen=True)
class Find:
    """Which finder found a bug, what it saw, and how long it took, in seconds."""

    finder: str
    evidence: str
    seconds: float


@dataclass
class Outcome:
    """What became of one bug.

    Attributes:
        found: group -> what found it, for the groups that did.
        asked: the groups that were asked until they found it or had nothing left to try.
        fault: why nothing could be said about this bug; None in a sound list.
    """

    bug: Bug
    found: dict[str, Find] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    build_seconds: float = 0.0
    fault: str | None = None

    @property
    def blind(self) -> list[str]:
        """Groups that are on record as finding this bug, were asked, and did not find it."""
        return [group for group in self.bug.found_by if group in self.asked and group not in self.found]

    @property
    def verdict(self) -> str:
        if self.fault is not None:
            return "error"
        if not self.found:
            return "survived"
        return "missed" if self.blind else "found"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.bug.name,
            "breaks": self.bug.breaks,
            "file": self.bug.file,
            "verdict": self.verdict,
            "found": {group: vars(find) for group, find in self.found.items()},
            "asked": self.asked,
            "build_seconds": round(self.build_seconds, 1),
            "fault": self.fault,
        }


class Baseline:
    """What the finders say of the tree without any bug; each is run on it once, when it is first believed."""

    def __init__(self, clean: Workshop) -> None:
        self.clean = clean
        self.lock = threading.Lock()
        self.passed: dict[tuple[str, ...], tuple[threading.Lock, list[str]]] = {}

    def check(self, finder: Finder) -> None:
        """FinderError when the finder does not pass on the clean tree."""
        with self.lock:
            lock, answers = self.passed.setdefault(finder.arguments, (threading.Lock(), []))
        with lock:
            if not answers:
                done = self.clean.run(finder.arguments, finder.limit * 2)
                answers.append("" if done.status == 0 else f"status {done.status}:\n{tail(done.output)}")
        if answers[0]:
            raise FinderError(f"{finder.label} does not pass on the tree without any bug: {answers[0]}")


class Runner:
    """Puts bugs in and lets finders look, in ``jobs`` copies of the tree at a time, made below ``folder``.

    Args:
        groups: the groups of finders that may be asked.
        every: ask each group, and not only until one has found the bug.
        choose: gives a bug's finders, the cheap ones first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        jobs: int = 1,
        groups: Sequence[str] = GROUPS,
        every: bool = False,
        choose: Callable[[Bug, int], list[Finder]] = finders,
    ) -> None:
        self.seed = seed
        self.groups = groups
        self.every = every
        self.choose = choose
        self.jobs = jobs
        self.baseline = Baseline(Workshop(folder / "clean"))
        self.workshops: SimpleQueue[Workshop] = SimpleQueue()
        for number in range(jobs):
            self.workshops.put(Workshop(folder / f"bench-{number}"))

    def run(self, bugs: Sequence[Bug]) -> Iterator[Outcome]:
        """Outcomes, as they come in."""
        with ThreadPoolExecutor(self.jobs) as pool:
            waiting = [pool.submit(self.try_one, bug) for bug in bugs]
            try:
                for future in as_completed(waiting):
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def try_one(self, bug: Bug) -> Outcome:
        """Puts one bug in, asks, takes it out."""
        outcome = Outcome(bug)
        with self.workshop() as workshop:
            try:
                with workshop.seeded(bug) as outcome.build_seconds:
                    self.ask(workshop, outcome)
            except (PatchError, FinderError) as error:
                outcome.fault = str(error)
        return outcome

    def ask(self, workshop: Workshop, outcome: Outcome) -> None:
        bug = outcome.bug
        chosen = [finder for finder in self.choose(bug, self.seed) if finder.group in self.groups]
        # Those that are known to find it first; otherwise in the order they have, the cheap ones first.
        chosen.sort(key=lambda finder: finder.group not in bug.found_by)
        for finder in chosen:
            if finder.group in outcome.found or (outcome.found and not self.every):
                continue
            done = workshop.run(finder.arguments, finder.limit)
            if finder.failed(done):
                raise FinderError(f"{bug.name}: {finder.label} ended with {done.status}:\n{tail(done.output)}")
            if finder.found(done):
                self.baseline.check(finder)
                outcome.found[finder.group] = Find(finder.label, finder.evidence(done), round(done.seconds, 1))
        outcome.asked = sorted({f.group for f in chosen} if self.every or not outcome.found else outcome.found)

    @contextmanager
    def workshop(self) -> Iterator[Workshop]:
        workshop = self.workshops.get()
        try:
            yield workshop
        finally:
            self.workshops.put(workshop)
