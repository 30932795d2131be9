"""The commit feed: committed commands as an async iterator, for those who want the starting text's commit channel.

What is applied is offered to each reader as the very ``Entries`` object the log holds, nothing is copied. A reader
that does not keep up loses its queue, not its place: past a bound the queue is dropped, and what it held is read back
from the store in pages when the reader gets there, beside the loop where the store asks a disk. So the node neither
waits for a reader nor holds more than the bound for it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

from raftcore.base.types import EntryKind
from raftcore.values.message import Entries
from raftpy.contracts.errors import Quarantined, Stopped
from raftpy.runtime.log_reading import LogReading

QUEUE_BYTES = 1 << 20
"""What a reader may have in memory, in bytes of entries, before it is sent to the store instead."""
PAGE_BYTES = 1 << 18
"""What is read back from the store at a time."""


class Commit(NamedTuple):
    """One committed command, as it stands in the log."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a record
    """Its place in the log, the same on every node."""
    term: int
    """The term of the leader that appended it."""
    command: bytes
    """As it was proposed."""


class CommitFeed:
    """All readers of one node.

    ``read(lo, hi, max_bytes)`` gives entries from the store, and is called by ``reading``; None: it takes no time, and
    is called in the loop. ``applied`` is the last index on offer; ``check()`` raises when the caller may not ask.
    """

    def __init__(
        self,
        read: Callable[[int, int, int], Entries],
        applied: int,
        check: Callable[[], None] = lambda: None,
        reading: LogReading | None = None,
    ) -> None:
        self.read = read
        self.reading = reading
        self.check = check
        self.applied = applied
        self.readers: list[weakref.ref[CommitReader]] = []
        self.closed = False
        self.failure: BaseException | None = None

    def publish(self, entries: Entries) -> None:
        """Offers applied entries, which follow the ones offered before."""
        self.applied = entries.last
        for reference in self.readers:  # the list is replaced, never changed: a reader may go at any moment
            if (reader := reference()) is not None:
                reader.offer(entries)

    def skip(self, index: int) -> None:
        """A snapshot has taken the place of the entries up to ``index``: a reader that has not got past it hears
        ``Compacted``."""
        self.applied = max(self.applied, index)
        for reference in self.readers:
            if (reader := reference()) is not None:
                reader.awake()

    def subscribe(self, start_index: int | None) -> CommitReader:
        """A reader of what is applied from now on, or from ``start_index`` on, at least 1 (ValueError)."""
        if start_index is not None and start_index < 1:
            raise ValueError(f"start_index must be at least 1, got {start_index}")
        reader = CommitReader(self, self.applied + 1 if start_index is None else start_index)
        if not self.closed:
            self.readers = [*self.readers, weakref.ref(reader, self._forget)]
        return reader

    def _forget(self, reference: weakref.ref[CommitReader]) -> None:
        self.readers = [other for other in self.readers if other is not reference]

    def close(self, failure: BaseException | None) -> None:
        """No more will come; ``failure`` is what a reader raises at the end, None ends it quietly."""
        self.closed = True
        self.failure = failure
        for reference in self.readers:
            if (reader := reference()) is not None:
                reader.awake()
        self.readers = []


class CommitReader(AsyncIterator[Commit]):
    """One reader's place in the log. Used by one task; dropped when closed or no longer referred to."""

    def __init__(self, feed: CommitFeed, next_index: int) -> None:
        self._feed = feed
        self._next = next_index
        self._queue: deque[Entries] = deque()
        self._queued_bytes = 0
        self._page: Iterator[Commit] = iter(())
        self._waiter: asyncio.Future[None] | None = None
        self._asked = False  # a page is being read
        self._answer: Entries | BaseException | None = None  # that page, or why there is none

    def offer(self, entries: Entries) -> None:
        """Called by the feed."""
        self._queue.append(entries)
        self._queued_bytes += len(entries.data)
        if self._queued_bytes > QUEUE_BYTES:
            self._queue.clear()
            self._queued_bytes = 0
        self.awake()

    def awake(self) -> None:
        """Something has changed that a waiting task should see."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> CommitReader:
        return self

    async def __anext__(self) -> Commit:
        while True:
            if isinstance(self._feed.failure, Quarantined):
                raise Quarantined(self._feed.failure.node_id, self._feed.failure.conflict)
            for commit in self._page:
                return commit
            self._feed.check()
            if (entries := self._next_page()) is not None:
                self._page = _commands(entries)
                await asyncio.sleep(0)  # a long backlog must not keep the loop from the node
            elif self._feed.closed:
                await self.aclose()
                if self._feed.failure is not None:
                    raise self._feed.failure
                raise StopAsyncIteration
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter

    def _next_page(self) -> Entries | None:
        """The next entries of this reader, from its queue or from the store; None when there are none yet, or they are
        being read."""
        feed = self._feed
        while self._queue and self._queue[0].last < self._next:
            self._drop_first()
        if self._next > feed.applied:
            return None
        if self._queue and self._queue[0].first <= self._next:
            entries = self._drop_first()
            if entries.first < self._next:
                entries = entries.slice(self._next, entries.last + 1)
        elif self._answer is not None:
            answer, self._answer = self._answer, None
            if isinstance(answer, BaseException):
                raise answer
            entries = answer
        elif feed.closed:
            raise Stopped(f"stopped with entries {self._next} to {feed.applied} committed but not read here")
        else:
            read = self._read(self._next, self._queue[0].first if self._queue else feed.applied + 1)
            if read is None:
                return None
            entries = read
        self._next = entries.last + 1
        return entries

    def _read(self, lo: int, hi: int) -> Entries | None:
        """A page from the store; None: it is being read, and ``awake`` is called when it is there."""
        feed, reading = self._feed, self._feed.reading
        if reading is None:
            return feed.read(lo, hi, PAGE_BYTES)
        if self._asked:
            return None

        def read() -> list[Entries]:
            return [feed.read(lo, hi, PAGE_BYTES)]

        pages = reading.ask(read, self._has_read, self._answered)
        self._asked = pages is None
        return None if pages is None else pages[0]

    def _has_read(self, pages: list[Entries]) -> None:
        self._answered(pages[0])

    def _answered(self, answer: Entries | BaseException) -> None:
        self._asked, self._answer = False, answer
        self.awake()

    def _drop_first(self) -> Entries:
        entries = self._queue.popleft()
        self._queued_bytes -= len(entries.data)
        return entries

    async def aclose(self) -> None:
        """Ends the subscription."""
        self._feed.readers = [reference for reference in self._feed.readers if reference() is not self]
        self._queue.clear()
        self._queued_bytes = 0


def _commands(entries: Entries) -> Iterator[Commit]:
    position = 0
    for first, count, term, kind, _ in entries.runs():
        if kind == EntryKind.EntryNormal:
            for index in range(first, first + count):
                yield Commit(index, term, entries.payload(index - entries.first))
        position += count
