"""Reads of one node: the questions to the core, and what becomes of them. How they are waited for is in
test_awaited.py."""

from __future__ import annotations

import asyncio

import pytest

from raftpy.contracts.errors import Timeout
from raftpy.runtime.awaited import Awaited
from raftpy.runtime.reads import Read
from tests.node.waiting import RETRY_S
from tests.node.waiting import ReadBench as Bench


def test_all_that_are_queued_share_one_question() -> None:
    async def main() -> None:
        bench = Bench()
        reads = [bench.reads.request() for _ in range(5)]
        bench.take()
        assert len(bench.asked) == 1
        bench.take()
        assert len(bench.asked) == 1  # nobody new
        bench.finish()
        assert [await read for read in reads] == [7] * 5
        assert reads[0].index == 7

    asyncio.run(main())


def test_a_read_that_comes_after_the_question_gets_one_of_its_own() -> None:
    async def main() -> None:
        bench = Bench()
        early = bench.reads.request()
        bench.take()
        late = bench.reads.request()
        bench.answer()
        bench.reads.release(7)
        assert early.done()
        assert not late.done()
        bench.finish()
        assert await late == 7

    asyncio.run(main())


def test_a_read_waits_until_its_index_is_applied() -> None:
    async def main() -> None:
        bench = Bench()
        read = bench.reads.request()
        bench.take()
        bench.answer(9)
        bench.reads.release(8)
        assert not bench.reads.has_finished
        bench.reads.release(10)
        assert bench.reads.resume() == 1
        assert await read == 9
        assert not bench.reads.waiting

    asyncio.run(main())


def test_answers_in_another_order_release_no_read_too_early() -> None:
    async def main() -> None:
        bench = Bench()
        reads = []
        for _ in range(2):
            reads.append(bench.reads.request())
            bench.take()
        first, second = bench.asked
        bench.reads.answered(9, second)
        bench.reads.answered(5, first)
        bench.reads.release(8)
        assert not bench.reads.has_finished  # the one with 5 waits for 9 as well, which is as good
        bench.reads.release(9)
        assert [read.result() for read in reads] == [9, 9]

    asyncio.run(main())


def test_they_stay_queued_while_there_is_nobody_to_ask() -> None:
    async def main() -> None:
        bench = Bench()
        bench.leader = False
        read = bench.reads.request(1.0)
        bench.now = 5.0
        bench.take()
        assert not bench.reads.wanted
        bench.leader = True
        bench.now = 5.01
        bench.look_at_the_clock()
        assert bench.reads.wanted
        bench.take()
        assert bench.reads.next_deadline == 6.0, "its timeout began when it was taken up first"
        bench.finish()
        assert await read == 7

    asyncio.run(main())


def test_the_timeout_runs_while_there_is_nobody_to_ask() -> None:
    async def main() -> None:
        bench = Bench()
        bench.leader = False
        read = bench.reads.request(1.5)
        bench.take()
        bench.now = 1.5
        bench.look_at_the_clock()
        bench.reads.resume()
        with pytest.raises(Timeout, match="no quorum confirmed the read within 1.5 s; nothing happened"):
            await read
        assert not bench.reads.waiting

    asyncio.run(main())


def test_a_question_without_an_answer_is_put_again_under_another_name() -> None:
    async def main() -> None:
        bench = Bench()
        read = bench.reads.request()
        bench.take()
        (lost,) = bench.asked
        bench.now = RETRY_S - 0.001
        bench.look_at_the_clock()
        assert not bench.reads.wanted
        bench.now = RETRY_S
        bench.look_at_the_clock()
        assert bench.reads.wanted
        bench.take()
        bench.asked.remove(lost)
        bench.finish()
        assert await read == 7
        bench.reads.answered(3, lost)  # not lost after all
        bench.reads.release(3)
        assert read.result() == 7

    asyncio.run(main())


def test_an_answer_that_comes_after_its_question_was_put_again_is_as_good() -> None:
    """Where a round takes longer than a question waits, every answer comes late."""

    async def main() -> None:
        bench = Bench()
        early, late = bench.reads.request(None), None
        for number in range(1, 30):
            bench.take()
            bench.now += RETRY_S
            bench.look_at_the_clock()
            if number == 25:
                late = bench.reads.request(None)
        bench.take()
        bench.reads.answered(3, bench.asked[0])
        bench.reads.release(3)
        assert not early.done()  # of long ago: nobody keeps questions without bound
        bench.reads.answered(3, bench.asked[-8])
        bench.reads.release(3)
        assert early.result() == 3
        assert late is not None
        assert not late.done()  # asked after that question was put
        bench.look_at_the_clock()
        bench.reads.answered(5, bench.asked[-1])
        bench.reads.release(5)
        assert late.result() == 5
        bench.look_at_the_clock()
        assert not bench.reads.waiting

    asyncio.run(main())


def test_a_new_leader_is_asked_at_once() -> None:
    async def main() -> None:
        bench = Bench()
        asked = bench.reads.request()
        bench.take()
        bench.leader = False
        queued = bench.reads.request()
        bench.take()
        bench.leader = True
        bench.asked.clear()
        bench.reads.ask_again()
        assert bench.reads.wanted
        bench.finish()
        assert (await asked, await queued) == (7, 7)

    asyncio.run(main())


def test_a_new_leader_is_not_asked_for_nobody() -> None:
    async def main() -> None:
        bench = Bench()
        bench.reads.ask_again()
        assert not bench.reads.wanted

    asyncio.run(main())


@pytest.mark.parametrize("place", ["queued", "asked", "confirmed"])
def test_the_cancelled_and_the_late_are_forgotten_wherever_they_are(place: str) -> None:
    async def main() -> None:
        bench = Bench()
        bench.leader = place != "queued"
        cancelled, late = bench.reads.request(), bench.reads.request(1.0)
        bench.take()
        if place == "confirmed":
            bench.answer()
        cancelled.cancel()
        bench.now = 1.0
        bench.look_at_the_clock()
        assert not bench.reads.waiting
        bench.reads.release(7)
        assert bench.reads.resume() == 1
        assert cancelled.cancelled()
        with pytest.raises(Timeout):
            await late

    asyncio.run(main())


def test_nothing_is_asked_for_those_who_were_cancelled_before() -> None:
    async def main() -> None:
        bench = Bench()
        bench.reads.request().cancel()
        bench.take()
        assert bench.asked == []
        assert not bench.reads.waiting

    asyncio.run(main())


def test_a_cancelled_one_gets_no_result() -> None:
    async def main() -> None:
        bench = Bench()
        cancelled, other = bench.reads.request(), bench.reads.request()
        bench.take()
        cancelled.cancel()
        bench.finish()
        assert cancelled.cancelled()
        assert await other == 7

    asyncio.run(main())


def test_what_it_shows() -> None:
    async def main() -> None:
        bench = Bench()
        read = bench.reads.request()
        assert repr(read) == "<Read queued>"
        bench.take()
        assert repr(read) == "<Read waiting>"
        bench.finish()
        assert repr(read) == "<Read returned at 7>"

    asyncio.run(main())


def test_a_read_is_made_by_the_node_only() -> None:
    with pytest.raises(TypeError, match="made by Node.read_index"):
        Read()
    with pytest.raises(TypeError, match="made by the node only"):
        Awaited()
