"""Proposals and reads without a core, for tests of what their callers wait on."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from raftcore import Entries, Entry, EntryKind
from raftpy.contracts.state_machine import StateMachine
from raftpy.runtime.applying import Applying
from raftpy.runtime.awaited import Awaited, Waits
from raftpy.runtime.pending_proposals import Proposals
from raftpy.runtime.reads import Reads

MAX_COMMAND = 100
RETRY_S = 0.1


class Echo:
    """Gives the command back."""

    def apply(self, index: int, command: bytes) -> bytes:
        return command


class Bench(ABC):
    """One kind of thing to wait on. ``call`` makes one that waits, ``finish`` gives all of them their results."""

    result: Any
    waits: Waits

    def __init__(self) -> None:
        self.scheduled = 0
        self.now = 0.0

    def schedule(self) -> None:
        self.scheduled += 1

    @abstractmethod
    def call(self, timeout: float | None = 5.0) -> Awaited[Any]:
        """One that waits."""

    @abstractmethod
    def take(self) -> None:
        """The driver takes whatever is queued, at ``now``."""

    @abstractmethod
    def give_results(self) -> None:
        """All there is gets its result, and waits for ``resume``."""

    @abstractmethod
    def look_at_the_clock(self) -> None:
        """A tick of the driver, at ``now``."""

    @abstractmethod
    def stop(self, error: Callable[[], Exception]) -> None:
        """As the node stops."""

    @abstractmethod
    def waiting(self) -> int:
        """How many wait, as far as anybody remembers them."""

    def finish(self) -> None:
        self.give_results()
        self.waits.resume()

    def soon(self) -> None:
        """Finishes from a callback of the loop, where no task is running, as the driver does."""
        asyncio.get_running_loop().call_soon(self.finish)


class ProposalBench(Bench):
    """``finish`` appends what is queued and applies it."""

    result = b"x"

    def __init__(self, machine: StateMachine | None = None) -> None:
        super().__init__()
        self.waits = self.proposals = Proposals(asyncio.get_running_loop(), self.schedule, MAX_COMMAND)
        self.applying = Applying(machine or Echo(), self.proposals, lambda *_: None, lambda: 0.0)
        self.next = 1
        self.appended: list[bytes] = []

    def call(self, timeout: float | None = 5.0) -> Awaited[Any]:
        return self.proposals.propose(b"x", timeout)

    def append(self, term: int = 1) -> list[bytes]:
        commands = self.proposals.take()
        self.proposals.appended(self.next, term, self.now)
        self.proposals.scheduled = False
        self.next += len(commands)
        return commands

    def apply(self, commands: list[bytes], term: int = 1) -> None:
        first = self.next - len(commands)
        entries = Entries.build([Entry(term, first + i, EntryKind.EntryNormal, c) for i, c in enumerate(commands)])
        self.applying.push(entries)
        self.applying.begin()
        assert self.applying.run() is not None

    def take(self) -> None:
        self.appended += self.append()

    def give_results(self) -> None:
        self.take()
        if self.appended:
            self.apply(self.appended)
            self.appended = []

    def look_at_the_clock(self) -> None:
        self.proposals.expire(self.now)

    def stop(self, error: Callable[[], Exception]) -> None:
        self.proposals.stop(error)  # type: ignore[arg-type]

    def waiting(self) -> int:
        return len(self.proposals)


class ReadBench(Bench):
    """``finish`` asks for what is queued, answers every question with index 7, and has that applied."""

    result = 7

    def __init__(self) -> None:
        super().__init__()
        self.waits = self.reads = Reads(asyncio.get_running_loop(), self.schedule, RETRY_S)
        self.leader = True
        self.asked: list[bytes] = []
        self.contexts: set[bytes] = set()

    def ask(self, context: bytes) -> bool:
        assert context not in self.contexts, "a late answer to an earlier question would pass for this one's"
        self.contexts.add(context)
        if self.leader:
            self.asked.append(context)
        return self.leader

    def call(self, timeout: float | None = 5.0) -> Awaited[Any]:
        return self.reads.request(timeout)

    def take(self) -> None:
        context = self.reads.begin(self.now)
        if context is not None and not self.ask(context):
            self.reads.take_back(context)

    def answer(self, index: int = 7) -> None:
        for context in self.asked:
            self.reads.answered(index, context)
        self.asked = []

    def give_results(self) -> None:
        self.take()
        self.answer()
        self.reads.release(7)

    def look_at_the_clock(self) -> None:
        self.reads.tick(self.now)

    def stop(self, error: Callable[[], Exception]) -> None:
        self.reads.stop(error)  # type: ignore[arg-type]

    def waiting(self) -> int:
        return int(self.reads.waiting)
