"""Reads that wait for a read index (thesis 6.4) and for the state machine to get there.

A request is in one of three places: queued until the next pass, asked until the core has confirmed an index for it,
confirmed until that index is applied. All that are queued in one pass share one question to the core. A question may be
lost on its way to the leader, or with it; one without an answer after a while is put again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from raftcore.errors import RaftError

Waiter = asyncio.Future[int]


@dataclass(slots=True)
class _Question:
    """Reads that wait for the same answer."""

    asked_at: float
    waiters: list[Waiter] = field(default_factory=list)


class Reads:
    """The reads of one node. ``ask(context)`` puts a question to the core, False when there is nobody to ask."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: Callable[[bytes], bool],
        schedule: Callable[[], None],
        retry_s: float,
    ) -> None:
        self._loop = loop
        self._ask = ask
        self._schedule = schedule
        self._retry_s = retry_s
        self._number = 0
        self._queued: list[Waiter] = []
        self._asked: dict[bytes, _Question] = {}
        self._confirmed: deque[tuple[int, list[Waiter]]] = deque()  # by index, ascending

    def request(self) -> Waiter:
        """Resolves to the read index once it is applied here."""
        waiter: Waiter = self._loop.create_future()
        self._queued.append(waiter)
        self._schedule()
        return waiter

    @property
    def has_queued(self) -> bool:
        """Whether ``begin`` has something to ask."""
        return bool(self._queued)

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for an answer or an index."""
        return bool(self._queued or self._asked or self._confirmed)

    def begin(self, now: float) -> None:
        """Puts one question for all that are queued; they stay queued while there is nobody to ask."""
        waiters = [waiter for waiter in self._queued if not waiter.done()]
        self._queued = waiters
        if not waiters:
            return
        self._number += 1
        context = self._number.to_bytes(8, "little")
        question = _Question(now, waiters)
        self._asked[context] = question  # before asking: a single node answers at once
        if self._ask(context):
            self._queued = []
        else:
            del self._asked[context]

    def answered(self, index: int, context: bytes) -> None:
        """The core has confirmed: whoever asked under ``context`` may read what is applied up to ``index``."""
        question = self._asked.pop(context, None)
        if question is None:
            return  # asked again meanwhile
        if self._confirmed and self._confirmed[-1][0] > index:
            index = self._confirmed[-1][0]  # newer is as good, and keeps the order
        self._confirmed.append((index, question.waiters))

    def release(self, applied: int) -> None:
        """Resolves those whose index is applied."""
        while self._confirmed and self._confirmed[0][0] <= applied:
            index, waiters = self._confirmed.popleft()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(index)

    def retry(self, now: float) -> None:
        """Questions without an answer are put again; called now and then."""
        late = [context for context, question in self._asked.items() if now - question.asked_at >= self._retry_s]
        for context in late:
            self._queued.extend(self._asked.pop(context).waiters)

    def stop(self, error: Callable[[], RaftError]) -> None:
        """Nobody will get an answer any more."""
        groups = [self._queued, *(q.waiters for q in self._asked.values()), *(w for _, w in self._confirmed)]
        for waiter in [waiter for group in groups for waiter in group]:
            if not waiter.done():
                waiter.set_exception(error())
        self._queued = []
        self._asked.clear()
        self._confirmed.clear()
