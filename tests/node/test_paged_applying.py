"""What is to be applied is read in several pages at a time, where the store says where each of them ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest

from raftcore.base.errors import Compacted, LogTemporarilyUnavailable
from raftcore.values.message import Entries
from raftpy.runtime.paged_view import AT_ONCE, MOST_STREAMS, PAGE_BYTES, PagedView
from raftpy.system.threads import Threads
from tests.node.steps import LoopSteps
from tests.node.test_paged_view import LAST, SIZE, Log, Paging, on_a_loop


class AtOnce(Log):
    """A ``PagedGroupLog`` that reads 50 entries at once, and fails for those that are ``gone``."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int, int, int]] = []
        self.gone = range(0)

    def entries_at_once(self, lo: int, hi: int, max_bytes: int, overhead: int) -> Entries:
        self.asked.append((lo, hi, max_bytes, overhead))
        if lo in self.gone:
            raise Compacted
        return self.entries(lo, min(hi, lo + 50), 1 << 30)


def at_once(paging: Paging) -> AtOnce:
    """Its log from now on."""
    log = paging.log = AtOnce()
    stored: Any = log
    paging.view = PagedView(stored, None, "node 1", paging.reading, lambda: paging.term, paging.report)
    return log


def to_apply(p: Paging, lo: int, hi: int = LAST + 1) -> Entries | None:
    """What of it is at hand, None for nothing."""
    try:
        return p.view.committed_at_hand(lo, hi, 60_000)
    except LogTemporarilyUnavailable:
        return None


async def all_applied(p: Paging, pause_s: float = 0) -> list[Entries]:
    """All that is to be applied, in the order and in the pieces in which it is at hand; each goes on where the one
    before it ends. ``pause_s``: how long threads may read before it is asked for again."""
    pieces: list[Entries] = []
    index = 1
    while index <= LAST:
        found = to_apply(p, index)
        if found is None:
            await asyncio.sleep(pause_s)
            continue
        assert found.first == index
        pieces.append(found)
        index = found.last + 1
    return pieces


@on_a_loop
async def test_what_is_to_be_applied_is_given_as_it_was_read(p: Paging) -> None:
    """Counted as the core counts what is being applied, and in order. Where a page ends its reading alone tells."""
    log = at_once(p)
    pieces = await all_applied(p)
    assert [(found.first, found.last) for found in pieces] == [(lo, lo + 49) for lo in range(1, LAST + 1, 50)]
    assert log.asked == [(lo, LAST + 1, 60_000, 16) for lo in range(1, LAST + 1, 50)]
    assert p.failures == []


class Paged(AtOnce):
    """A ``PagedGroupLog`` that knows where its pages of ``each`` entries end, but for those from ``unknown`` on.
    ``reading`` is called in the thread that reads one, with its first index."""

    def __init__(self, each: int = 50) -> None:
        super().__init__()
        self.each = each
        self.unknown = LAST + 1
        self.pages: list[tuple[int, int]] = []
        self.reading: Callable[[int], object] = lambda lo: None

    def page_end(self, lo: int, hi: int, page_bytes: int) -> int | None:
        assert page_bytes == PAGE_BYTES
        return None if lo >= self.unknown else min(lo + self.each, hi)

    def page(self, lo: int, hi: int, max_bytes: int, overhead: int) -> list[Entries]:
        assert (max_bytes, overhead) == (60_000, 16)
        self.reading(lo)
        self.pages.append((lo, hi))
        if lo in self.gone:
            raise Compacted
        half = self.each // 2
        return [self.entries(first, min(first + half, hi), 1 << 30) for first in range(lo, hi, half)]


def paged(paging: Paging, each: int = 50) -> Paged:
    """Its log from now on."""
    log = paging.log = Paged(each)
    stored: Any = log
    paging.view = PagedView(stored, None, "node 1", paging.reading, lambda: paging.term, paging.report)
    return log


@on_a_loop
async def test_there_are_other_pages_to_read_when_one_is_read(p: Paging) -> None:
    log = paged(p)
    assert to_apply(p, 1) is None
    for _turn in range(3):
        await asyncio.sleep(0)
    assert sorted(log.pages) == [(lo, lo + 50) for lo in range(1, 1 + 50 * AT_ONCE, 50)]
    assert p.reported == 1
    assert to_apply(p, 1, 80) is not None  # what is asked for last has its end before the page at hand
    assert to_apply(p, 26, 80) is not None
    assert to_apply(p, 51, 80) is not None
    for _turn in range(3):
        await asyncio.sleep(0)
    assert to_apply(p, 76, 80) is not None
    assert to_apply(p, 80) is not None


def another(p: Paging) -> tuple[Paging, Paged]:
    """Another group of the same host."""
    other = copy(p)
    return other, paged(other)


async def turns(count: int = 3) -> None:
    for _turn in range(count):
        await asyncio.sleep(0)


@on_a_loop
async def test_one_group_of_a_host_at_a_time_has_many_pages_ahead(p: Paging) -> None:
    """Or where many groups start, as many pages as they have in the memory before any of them is applied."""
    first, (other, second) = paged(p), another(p)
    assert (to_apply(p, 1), to_apply(other, 1)) == (None, None)
    await turns()
    assert len(first.pages) == AT_ONCE
    assert second.pages == [(1, 51)]
    index = 1
    while index <= LAST - 200:  # all but the last pages are there, and all that is there is much
        found = to_apply(p, index)
        index = index if found is None else found.last + 1
        await turns(1)
    assert (to_apply(other, 1), to_apply(other, 26)) != (None, None)
    await turns()
    assert second.pages == [(1, 51), (51, 101)]
    await finish(p, index)
    assert len(first.pages) == LAST // 50
    assert (to_apply(other, 51), to_apply(other, 76)) != (None, None)
    await turns()
    assert len(second.pages) == 2 + AT_ONCE


@on_a_loop
async def test_a_group_that_has_read_all_but_applied_little_is_still_the_one(p: Paging) -> None:
    first, (other, second) = paged(p, 1000), another(p)
    last = 1000 * AT_ONCE
    assert (to_apply(p, 1, last + 1), to_apply(other, 1)) == (None, None)
    await turns()
    assert (len(first.pages), second.pages) == (AT_ONCE, [(1, 51)])
    assert (to_apply(p, 1, last + 1), to_apply(other, 1)) != (None, None)
    await turns()
    assert second.pages == [(1, 51), (51, 101)]


async def finish(p: Paging, index: int) -> None:
    while index <= LAST:
        found = to_apply(p, index)
        index = index if found is None else found.last + 1
        await asyncio.sleep(0)


@on_a_loop
async def test_a_group_that_ends_lets_another_one_have_many_pages_ahead(p: Paging) -> None:
    paged(p)
    other, second = another(p)
    assert to_apply(p, 1) is None
    await turns()
    p.view.forget()
    assert to_apply(other, 1) is None
    await turns()
    assert len(second.pages) == AT_ONCE


@on_a_loop
async def test_so_does_one_that_asks_no_more(p: Paging) -> None:
    """As what it has not applied yet is in the memory: at the second look, as it had asked before the first."""
    paged(p)
    other, second = another(p)
    assert to_apply(p, 1) is None
    await turns()
    p.view.forget_idle()
    assert to_apply(other, 1) is None
    await turns()
    assert second.pages == [(1, 51)]
    p.view.forget_idle()
    assert (to_apply(other, 1), to_apply(other, 26)) != (None, None)
    await turns()
    assert len(second.pages) == 1 + AT_ONCE


@on_a_loop
async def test_so_does_one_that_asks_no_more_while_a_page_is_read(p: Paging) -> None:
    """By a slow disk."""
    paged(p)
    other, second = another(p)
    assert to_apply(p, 1) is None
    await turns()
    assert to_apply(p, 1) is not None
    assert p.view._streams[-1].reading
    p.view.forget_idle()
    p.view.forget_idle()
    assert not p.view._streams
    assert to_apply(other, 1) is None
    await turns()
    assert len(second.pages) == AT_ONCE


@on_a_loop
async def test_so_does_one_whose_stream_goes_on_to_a_follower(p: Paging) -> None:
    first, (other, second) = paged(p), another(p)
    assert to_apply(p, 1) is None
    await turns()
    assert len(first.pages) == AT_ONCE
    assert p.ask(1) is not None
    assert to_apply(other, 1) is None
    await turns()
    assert len(second.pages) == AT_ONCE


@on_a_loop
async def test_so_does_one_whose_stream_is_one_too_many(p: Paging) -> None:
    paged(p)
    other, second = another(p)
    assert to_apply(p, 1) is None
    await turns()
    for lo in range(501, 501 + 501 * MOST_STREAMS, 501):
        p.ask(lo)
    assert to_apply(other, 1) is None
    await turns()
    assert len(second.pages) == AT_ONCE


@on_a_loop
async def test_so_does_one_whose_entries_are_gone(p: Paging) -> None:
    first, (other, second) = paged(p), another(p)
    first.gone = range(LAST)
    assert to_apply(p, 1) is None
    await turns()
    assert to_apply(other, 1) is None
    await turns()
    assert len(second.pages) == AT_ONCE


@pytest.mark.parametrize("executor", [LoopSteps, Threads])
def test_one_that_begins_anew_in_another_term_has_many_pages_ahead_again(executor: Callable[[], Any]) -> None:
    async def main() -> None:
        p = Paging(executor())
        first, most = paged(p), 0
        index = 1
        while index <= LAST:
            if index == 501:
                p.term, most = 2, 0
            found = to_apply(p, index)
            index = index if found is None else found.last + 1
            most = max(most, len(p.view._streams[-1].reading))
            if found is None:
                await asyncio.sleep(0.001)
        assert p.view.given_up == 1
        assert most == AT_ONCE
        assert len(first.pages) >= LAST // 50
        p.reading.stop()
        p.reading.end()

    asyncio.run(main())


@on_a_loop
async def test_all_pages_come_in_order_and_once(p: Paging) -> None:
    """Also where the store does not know any more where the next one ends."""
    log = paged(p)
    log.unknown = 2001
    for found in await all_applied(p):
        assert found.commands()[0] == found.first.to_bytes(4, "big") * 250
    assert sorted(log.pages) == [(lo, lo + 50) for lo in range(1, 2001, 50)]
    assert [lo for lo, *_ in log.asked] == list(range(2001, LAST + 1, 50))
    assert p.failures == []


def test_two_pages_are_read_beside_one_another_and_given_in_order() -> None:
    async def main() -> None:
        p = Paging(Threads())
        log = paged(p)
        second = threading.Event()
        threads: dict[int, int] = {}
        waited: list[bool] = []

        def reading(lo: int) -> None:
            threads[lo] = threading.get_ident()
            if lo == 1:
                waited.append(second.wait(30.0))
            elif lo == 51 and not second.is_set():
                loop.call_soon_threadsafe(held)

        def held() -> None:
            loop.call_later(0.05, look)

        def look() -> None:
            if not second.is_set():
                early.append((p.reported, to_apply(p, 1), to_apply(p, 51)))
            second.set()

        loop = asyncio.get_running_loop()
        early: list[tuple[int, Entries | None, Entries | None]] = []
        for lo in range(1000, LAST, 1000):  # what was read before leaves neither thread behind
            while p.ask(lo) is None:
                await asyncio.sleep(0.001)
        p.reported = 0
        log.reading = reading
        await all_applied(p, 0.001)
        assert waited == [True]  # the second page was read while the first was being read
        assert early == [(0, None, None)]  # and waited for it
        assert len(set(threads.values())) == 2
        p.reading.stop()
        p.reading.end()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("raftpy reading 1")]

    asyncio.run(main())


def test_what_need_not_be_quick_is_read_by_one_thread() -> None:
    async def main() -> None:
        p = Paging(Threads())
        threads: set[int] = set()
        entries = p.log.entries

        def watched(lo: int, hi: int, max_bytes: int) -> Entries:
            threads.add(threading.get_ident())
            return entries(lo, hi, max_bytes)

        p.view.entries = watched
        for lo in range(1, LAST, 1000):
            assert p.ask(lo) is None
        while p.view.awaited:
            await asyncio.sleep(0.001)
        assert len(threads) == 1
        p.reading.stop()
        p.reading.end()

    asyncio.run(main())


def test_where_there_is_room_for_one_thread_that_reads_all_pages() -> None:
    async def main() -> None:
        def refuse(item: object) -> None:
            raise RuntimeError("can't start new thread")

        p = Paging(Threads())
        log = paged(p)
        p.reading._workers[1].put = refuse  # type: ignore[method-assign]
        threads: set[int] = set()
        log.reading = lambda lo: threads.add(threading.get_ident())
        await all_applied(p, 0.001)
        assert len(threads) == 1
        assert threads != {threading.get_ident()}
        p.reading.stop()
        p.reading.end()

    asyncio.run(main())


@on_a_loop
async def test_pages_that_were_asked_for_and_are_there_already_are_not_read_again(p: Paging) -> None:
    log = at_once(p)
    assert to_apply(p, 1, 51) is None
    for _turn in range(3):
        await asyncio.sleep(0)
    assert [lo for lo, *_ in log.asked] == [1]
    assert to_apply(p, 1, 51) is not None
    assert p.failures == []


@on_a_loop
async def test_nothing_is_asked_for_behind_what_may_be_applied(p: Paging) -> None:
    log = paged(p)
    assert to_apply(p, 1, 81) is None
    for _turn in range(3):
        await asyncio.sleep(0)
    assert (sorted(log.pages), log.asked) == ([(1, 51), (51, 81)], [])


@on_a_loop
async def test_a_message_is_full_all_the_same(p: Paging) -> None:
    log = at_once(p)
    assert p.ask(1) is None
    for _turn in range(3):
        await asyncio.sleep(0)
    found = p.ask(1)
    assert found is not None
    assert len(found.data) <= 10_100 < len(found.data) + SIZE + 4
    assert log.asked == [(1, LAST + 1, PAGE_BYTES, 4)]


@pytest.mark.parametrize("how", [at_once, paged])
@pytest.mark.parametrize("gone", [range(101, LAST), range(51, 101), range(101, 151), range(151, 201)])
def test_what_was_read_before_the_rest_is_gone_is_given_and_the_rest_asked_for_again(
    how: Callable[[Paging], AtOnce], gone: range
) -> None:
    async def main() -> None:
        p = Paging()
        log = how(p)
        log.gone = gone
        index = 1
        for _turn in range(30):
            found = to_apply(p, index)
            index = index if found is None else found.last + 1
            await asyncio.sleep(0)
        assert index == gone.start
        assert p.failures == []
        log.gone = range(0)
        for _turn in range(5):
            found = to_apply(p, index)
            await asyncio.sleep(0)
        assert found is not None
        assert found.first == gone.start

    asyncio.run(main())
