"""What has left the memory is read in pages beside the loop, a page ahead, and forgotten when it was given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from raftcore.base.errors import Compacted, LogTemporarilyUnavailable, Unavailable
from raftcore.base.types import EntryKind
from raftcore.values.message import Entries, Entry
from raftpy.contracts.clock import Clock, ManualClock, SystemClock
from raftpy.contracts.errors import StorageDamaged
from raftpy.runtime.log_reading import LogReading
from raftpy.runtime.paged_view import AHEAD_BYTES, KEPT_BYTES, MOST_STREAMS, PACED_PAGE_BYTES, PAGE_BYTES, PagedView
from raftpy.system.threads import Threads
from tests.node.steps import LoopSteps

SIZE = 1000
LAST = 5000


class Log:
    """A ``GroupLog``'s read side over 5,000 entries of 1,000 bytes."""

    def __init__(self) -> None:
        self.read: list[tuple[int, int]] = []
        self.term = 1
        self.error: Exception | None = None

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        self.read.append((lo, hi))
        if self.error is not None:
            raise self.error
        hi = min(hi, lo + max(1, (max_bytes - 40) // (SIZE + 4)))
        found = [
            Entry(self.term, index, EntryKind.EntryNormal, index.to_bytes(4, "big") * 250) for index in range(lo, hi)
        ]
        return Entries.build(found)


class Paging:
    """A view, and what it reports."""

    def __init__(self, executor: Any = None, clock: Clock | None = None, rate: int | None = None) -> None:
        self.log: Log = Log()
        self.term = 1
        self.failures: list[BaseException] = []
        self.reported = 0
        self.steps = executor or LoopSteps()
        self.clock = clock or SystemClock()
        self.reading = LogReading(self.steps, self.clock, 1, self.failures.append)
        stored: Any = self.log
        self.view = PagedView(stored, None, "node 1", self.reading, lambda: self.term, self.report, rate)

    def report(self) -> None:
        self.reported += 1

    def ask(self, lo: int, hi: int = LAST + 1, max_bytes: int = 10_100, *, urgent: bool = True) -> Entries | None:
        """What is at hand, None for nothing."""
        try:
            return self.view.entries_at_hand(lo, hi, max_bytes, urgent)
        except LogTemporarilyUnavailable:
            return None

    async def have(self, lo: int, hi: int = LAST + 1, max_bytes: int = 10_100) -> Entries:
        """What is at hand, after it was read where it was not."""
        for _ in range(20):
            if (entries := self.ask(lo, hi, max_bytes)) is not None:
                return entries
            await asyncio.sleep(0)
        raise AssertionError(f"{lo} is never at hand")

    async def step(self, lo: int) -> int:
        """Takes what is given from ``lo`` on to whom nobody waits for, until it has to wait; what comes next then."""
        await self.have(lo)
        while (entries := self.ask(lo, urgent=False)) is not None:
            lo = entries.last + 1
        return lo


def on_a_loop(test: Callable[[Paging], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test(Paging())

        asyncio.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_loop
async def test_the_first_question_has_a_page_read_and_the_loop_goes_on(p: Paging) -> None:
    assert p.ask(1) is None
    assert p.log.read == []  # not in the call
    assert p.ask(1) is None
    for _ in range(3):
        await asyncio.sleep(0)
    assert p.log.read == [(1, LAST + 1)]
    assert p.reported == 1
    entries = p.ask(1)
    assert entries is not None
    assert entries.first == 1
    assert len(entries.data) <= 10_100 < len(entries.data) + SIZE + 4


@on_a_loop
async def test_the_whole_log_comes_in_order_and_each_entry_is_read_once(p: Paging) -> None:
    index = 1
    while index <= LAST:
        entries = await p.have(index)
        assert entries.first == index
        assert entries.commands()[0] == index.to_bytes(4, "big") * 250
        index = entries.last + 1
    begins = [lo for lo, _ in p.log.read]
    assert begins == sorted(set(begins))
    assert p.failures == []


@on_a_loop
async def test_the_next_page_is_read_while_the_one_before_is_sent(p: Paging) -> None:
    await p.have(1)
    index, asked = 11, len(p.log.read)
    waited = p.reported
    while len(p.log.read) == asked:
        entries = await p.have(index)
        index = entries.last + 1
        await asyncio.sleep(0)  # as the loop's other tasks
    await asyncio.sleep(0)
    assert p.ask(index) is not None
    assert p.reported == waited  # nobody had to wait for it
    assert index * SIZE > PAGE_BYTES - AHEAD_BYTES - 20_000


@on_a_loop
async def test_what_is_at_hand_is_bounded(p: Paging) -> None:
    """However many places of the log are asked for."""
    for begin in range(1, 200 * LAST, 2 * LAST):
        await p.have(begin, hi=begin + LAST)
        for _ in range(3):
            await asyncio.sleep(0)
    streams = p.view._streams
    assert len(streams) == MOST_STREAMS
    assert all(stream.held <= PAGE_BYTES + AHEAD_BYTES for stream in streams)


@on_a_loop
async def test_what_was_given_lately_is_given_again(p: Paging) -> None:
    """A message was lost, or came behind a later one: the leader goes back to what is known to match."""
    first = await p.have(1)
    second = await p.have(11)
    asked = len(p.log.read)
    assert p.ask(1) == first
    assert p.ask(11) == second
    part = p.ask(5)
    assert part is not None
    assert (part.first, part.last) == (5, 10)
    assert p.ask(31) is not None  # another follower, further on
    assert p.ask(11) == second
    assert len(p.log.read) == asked
    assert len(p.view._streams) == 1


@on_a_loop
async def test_what_was_given_earlier_is_read_again(p: Paging) -> None:
    first = await p.have(1)
    index = 11
    while index * SIZE < KEPT_BYTES + 20_000:
        index = (await p.have(index)).last + 1
    assert p.ask(1) is None
    assert p.ask(index) is not None  # the one before goes on
    for _ in range(3):
        await asyncio.sleep(0)
    assert p.ask(1) == first
    assert all(stream.kept <= KEPT_BYTES for stream in p.view._streams)


@on_a_loop
async def test_who_has_caught_up_or_is_gone_is_forgotten(p: Paging) -> None:
    await p.have(LAST - 5)
    p.view.forget_idle()
    assert len(p.view._streams) == 1
    assert p.ask(1) is None
    p.view.forget_idle()
    p.view.forget_idle()
    assert [stream.next for stream in p.view._streams] == [1]  # somebody waits for it
    for _ in range(3):
        await asyncio.sleep(0)
    p.view.forget_idle()
    assert p.view._streams == []


@on_a_loop
async def test_a_page_of_a_former_term_is_not_used(p: Paging) -> None:
    """As a follower this node may have given up what it had read as a leader."""
    await p.have(1)
    p.term = p.log.term = 3
    assert p.ask(11) is None
    entries = await p.have(11)
    assert entries.first_term == 3


@on_a_loop
async def test_a_page_asked_for_in_a_former_term_is_not_used(p: Paging) -> None:
    assert p.ask(1) is None
    p.term = 3
    assert p.ask(1) is None
    p.log.term = 1
    for _ in range(3):
        await asyncio.sleep(0)
    assert p.reported == 2  # whoever waited asks anew
    assert p.log.read == [(1, LAST + 1)] * 2


# --- What nobody waits for is given at a pace -------------------------------------------------------------------------


RATE = 1_000_000
"""Bytes a second: a piece each ten milliseconds."""


def at_a_pace(test: Callable[[Paging, ManualClock], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            clock = ManualClock()
            await test(Paging(clock=clock, rate=RATE), clock)

        asyncio.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@at_a_pace
async def test_the_next_piece_waits_for_the_one_before(p: Paging, clock: ManualClock) -> None:
    next = await p.step(1)
    reported = p.reported
    assert p.ask(next, urgent=False) is None
    assert p.ask(next, urgent=False) is None
    assert next == 11
    assert clock.advance(0.009) == 0
    assert clock.advance(0.002) == 1  # one timer, however often it was asked
    assert p.reported == reported + 1
    assert await p.step(next) == 21
    assert p.view.rests == 2


@at_a_pace
async def test_what_somebody_waits_for_waits_for_nothing(p: Paging, clock: ManualClock) -> None:
    """Also of a stream that was given at a pace up to now."""
    next = await p.step(1)
    for index in range(next, next + 100, 10):
        assert p.ask(index) is not None


@at_a_pace
async def test_who_becomes_needed_in_a_long_wait_is_fed_soon(p: Paging, clock: ManualClock) -> None:
    """Nobody but the core knows, and it asks when it is told to."""
    before = await p.have(1, max_bytes=300_000)
    entries = p.ask(before.last + 1, max_bytes=300_000, urgent=False)
    assert entries is not None
    assert p.ask(entries.last + 1, urgent=False) is None  # of a wait of 0.25 s and more
    reported = p.reported
    clock.advance(0.05)
    assert p.reported == reported + 1
    assert p.ask(entries.last + 1, urgent=False) is None, "the rate is what it was"
    assert p.ask(entries.last + 1, urgent=True) is not None


@at_a_pace
async def test_who_waits_for_the_pace_is_not_forgotten(p: Paging, clock: ManualClock) -> None:
    await p.step(1)
    for _ in range(3):
        p.view.forget_idle()
    assert len(p.view._streams) == 1
    clock.advance(0.2)
    p.view.forget_idle()
    assert p.view._streams == []


@at_a_pace
async def test_where_the_host_ends_nobody_is_told_any_more(p: Paging, clock: ManualClock) -> None:
    await p.step(1)
    reported = p.reported
    p.reading.stop()
    assert clock.next_due() is None
    clock.advance(1.0)
    assert p.reported == reported


@at_a_pace
async def test_in_a_forked_child_the_timer_is_the_parents(p: Paging, clock: ManualClock) -> None:
    await p.step(1)
    reported = p.reported
    p.reading.disown()
    clock.advance(1.0)
    assert p.reported == reported


@at_a_pace
async def test_pages_are_small_where_nobody_waits(p: Paging, clock: ManualClock) -> None:
    """The thread that reads them has the interpreter's lock for a while."""
    assert p.ask(1, urgent=False) is None
    for _ in range(3):
        await asyncio.sleep(0)
    assert 0.9 * PACED_PAGE_BYTES < p.view._streams[0].held <= 1.02 * PACED_PAGE_BYTES  # split, each has a header


@on_a_loop
async def test_without_a_rate_nothing_waits(p: Paging) -> None:
    index = 1
    await p.have(1)
    while index < 1000:
        entries = p.ask(index, urgent=False)
        assert entries is not None
        index = entries.last + 1
    assert p.view.rests == 0


@on_a_loop
async def test_no_more_is_given_than_was_asked_for(p: Paging) -> None:
    """A follower is sent what is durable, the state machine is given what is committed, perhaps out of one page."""
    await p.have(1)
    entries = await p.have(11, hi=13)
    assert (entries.first, entries.last) == (11, 12)
    entries = await p.have(13, max_bytes=3000)
    assert (entries.first, entries.last) == (13, 14)
    entries = await p.have(15, max_bytes=1)
    assert (entries.first, entries.last) == (15, 15)
    assert len({lo for lo, _ in p.log.read}) == 1


@pytest.mark.parametrize("error", [Compacted(), Unavailable()])
def test_what_is_not_there_any_more_is_reported_as_well(error: Exception) -> None:
    """The core then sends a snapshot, or nothing."""

    async def main() -> None:
        p = Paging()
        p.log.error = error
        assert p.ask(1) is None
        for _ in range(3):
            await asyncio.sleep(0)
        assert p.reported == 1
        assert p.view._streams == []
        assert p.failures == []

    asyncio.run(main())


@on_a_loop
async def test_a_store_that_cannot_be_read_ends_the_host(p: Paging) -> None:
    p.log.error = StorageDamaged("its checksum does not hold", "leveldb")
    assert p.ask(1) is None
    for _ in range(3):
        await asyncio.sleep(0)
    assert p.failures == [p.log.error]
    assert p.reported == 0


@on_a_loop
async def test_what_cannot_be_used_ends_the_host(p: Paging) -> None:
    def refuse() -> None:
        raise ValueError("no")

    p.view._read = refuse
    assert p.ask(1) is None
    for _ in range(3):
        await asyncio.sleep(0)
    assert [type(error) for error in p.failures] == [ValueError]


@on_a_loop
async def test_without_room_for_a_thread_the_loop_reads(p: Paging) -> None:
    def refuse(item: object) -> None:
        raise RuntimeError("can't start new thread")

    for worker in p.reading._workers:
        worker.put = refuse  # type: ignore[method-assign]
    entries = p.ask(1)
    assert entries is not None
    assert entries.first == 1
    assert p.reported == 0


@on_a_loop
async def test_nothing_is_reported_after_the_stop(p: Paging) -> None:
    assert p.ask(1) is None
    await asyncio.sleep(0)
    p.reading.stop()
    p.reading.end()
    for _ in range(3):
        await asyncio.sleep(0)
    assert p.reported == 0


def test_it_is_read_in_another_thread() -> None:
    async def main() -> None:
        p = Paging(Threads())
        inside: list[int] = []
        entries = p.log.entries

        def watched(lo: int, hi: int, max_bytes: int) -> Entries:
            inside.append(threading.get_ident())
            return entries(lo, hi, max_bytes)

        p.view.entries = watched
        assert p.ask(1) is None
        while not p.reported:
            await asyncio.sleep(0.001)
        assert p.ask(1) is not None
        p.reading.stop()
        p.reading.end()
        assert inside
        assert threading.get_ident() not in inside
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("raftpy reading 1")]

    asyncio.run(main())
