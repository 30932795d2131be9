"""What callers of ``propose`` and ``read_index`` wait on: takes part in asyncio as a Future does, and is resumed by the
pass itself. Every test is played with both kinds."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftpy.contracts.errors import Stopped, Timeout
from raftpy.runtime.awaited import Awaited
from tests.node.waiting import Bench, ProposalBench, ReadBench

Kind = Callable[[], Bench]
pytestmark = pytest.mark.parametrize("kind", [ProposalBench, ReadBench], ids=["proposal", "read"])


def via_task(awaited: Awaited[Any]) -> Awaitable[Any]:
    return asyncio.create_task(awaited)


async def via_timeout(awaited: Awaited[Any]) -> Any:
    async with asyncio.timeout(5):
        return await awaited


async def via_group(awaited: Awaited[Any]) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(awaited)
    return task.result()


async def via_gather(awaited: Awaited[Any]) -> Any:
    return (await asyncio.gather(awaited, awaited))[1]


async def via_as_completed(awaited: Awaited[Any]) -> Any:
    return await next(iter(asyncio.as_completed([awaited])))


async def via_wait(awaited: Awaited[Any]) -> Any:
    done, _ = await asyncio.wait([asyncio.create_task(awaited)])
    return done.pop().result()


WAYS: list[Callable[[Awaited[Any]], Awaitable[Any]]] = [
    via_task,
    via_timeout,
    via_group,
    via_gather,
    via_as_completed,
    via_wait,
    asyncio.shield,
    asyncio.ensure_future,
    lambda awaited: asyncio.wait_for(awaited, 5),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("early", [False, True], ids=["pending", "done"])
def test_every_way_of_waiting(kind: Kind, way: Callable[[Awaited[Any]], Awaitable[Any]], early: bool) -> None:
    async def main() -> None:
        bench = kind()
        awaited = bench.call()
        if early:
            bench.soon()
            await asyncio.sleep(0)
            assert awaited.done()
        else:
            asyncio.get_running_loop().call_later(0.001, bench.finish)
        assert await way(awaited) == bench.result

    asyncio.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_waiting_for_an_error(kind: Kind, way: Callable[[Awaited[Any]], Awaitable[Any]]) -> None:
    async def main() -> None:
        bench = kind()
        awaited = bench.call()

        def fail() -> None:
            bench.stop(Stopped)
            bench.waits.resume()

        asyncio.get_running_loop().call_soon(fail)
        with pytest.raises((Stopped, BaseExceptionGroup)) as raised:
            await way(awaited)
        error = raised.value
        assert isinstance(error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error, Stopped)

    asyncio.run(main())


def test_the_task_goes_on_inside_the_pass(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        order: list[str] = []

        async def caller() -> None:
            await bench.call()
            order.append("caller")

        def finish() -> None:
            bench.finish()
            order.append("pass")

        task = asyncio.create_task(caller())
        asyncio.get_running_loop().call_later(0.001, finish)
        await task
        assert order == ["caller", "pass"]

    asyncio.run(main())


def test_no_task_goes_on_before_the_pass_says_so(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        order: list[str] = []

        async def caller() -> None:
            await bench.call()
            order.append("caller")

        def give_results() -> None:
            bench.give_results()
            order.append("finished")
            bench.waits.resume()

        task = asyncio.create_task(caller())
        asyncio.get_running_loop().call_later(0.001, give_results)
        await task
        assert order == ["finished", "caller"]

    asyncio.run(main())


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
def test_what_a_task_ends_resumes_no_other_inside_it(kind: Kind, how: str) -> None:
    async def main() -> None:
        bench = kind()
        awaited = bench.call()
        order: list[str] = []

        async def caller() -> None:
            try:
                await awaited
            finally:
                order.append("caller")

        task = asyncio.create_task(caller())
        await asyncio.sleep(0)
        if how == "cancelled":
            awaited.cancel()
        else:
            bench.stop(Stopped)
            bench.waits.resume_soon()
        order.append("this task")
        with pytest.raises((asyncio.CancelledError, Stopped)):
            await task
        assert order == ["this task", "caller"]

    asyncio.run(main())


def test_the_task_goes_on_in_its_own_context(kind: Kind) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    async def main() -> None:
        bench = kind()

        async def caller(name: str) -> None:
            who.set(name)
            await bench.call()
            assert who.get() == name

        tasks = [asyncio.create_task(caller(name)) for name in "abc"]
        await asyncio.sleep(0)
        bench.soon()
        await asyncio.gather(*tasks)
        assert who.get() == "nobody"

    asyncio.run(main())


def test_a_pass_in_the_waiters_own_context_resumes_it_by_way_of_the_loop(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        context = contextvars.copy_context()

        async def caller() -> Any:
            return await bench.call()

        task = asyncio.get_running_loop().create_task(caller(), context=context)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(bench.finish, context=context)
        assert await task == bench.result

    asyncio.run(main())


def test_schedules_one_pass_for_all_that_comes_before_it(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        for _ in range(3):
            bench.call()
        assert bench.scheduled == 1
        bench.finish()
        bench.call()
        assert bench.scheduled == 2

    asyncio.run(main())


@pytest.mark.parametrize("taken", [False, True])
def test_cancelling_leaves_nothing_behind(kind: Kind, taken: bool) -> None:
    async def main() -> None:
        bench = kind()

        async def caller() -> None:
            await bench.call()

        task = asyncio.create_task(caller())
        await asyncio.sleep(0)
        if taken:
            bench.take()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if not taken:
            bench.take()
        bench.look_at_the_clock()
        assert bench.waiting() == 0

    asyncio.run(main())


def test_cancelling_between_the_result_and_the_wake_up(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        tasks: list[asyncio.Task[Any]] = []

        async def first() -> None:
            await bench.call()
            tasks[0].cancel()  # the other has its result, and has not been resumed yet

        async def second() -> Any:
            return await bench.call()

        canceller = asyncio.create_task(first())
        tasks.append(asyncio.create_task(second()))
        await asyncio.sleep(0)
        bench.soon()
        await canceller
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    asyncio.run(main())


def test_wait_for_and_shield(kind: Kind) -> None:
    async def main() -> None:
        awaited = kind().call()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(awaited), 0.001)
        assert not awaited.done()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(awaited, 0.001)
        assert awaited.cancelled()
        with pytest.raises(asyncio.CancelledError):
            awaited.result()
        with pytest.raises(asyncio.CancelledError):
            awaited.exception()
        assert awaited.cancel() is False

    asyncio.run(main())


def test_gather_passes_a_cancellation_on(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        one, two = bench.call(), bench.call()
        both = asyncio.gather(one, two)
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await both
        assert one.cancelled()
        assert two.cancelled()

    asyncio.run(main())


@pytest.mark.parametrize("message", [None, "why"])
def test_gather_gives_a_cancellation_as_a_result_when_asked_to(kind: Kind, message: str | None) -> None:
    async def main() -> None:
        bench = kind()
        cancelled, other = bench.call(), bench.call()
        both = asyncio.gather(cancelled, other, return_exceptions=True)
        cancelled.cancel(message)
        bench.soon()
        async with asyncio.timeout(5):
            error, result = await both
        assert isinstance(error, asyncio.CancelledError)
        assert error.args == (message or "",)
        assert result == bench.result

    asyncio.run(main())


def test_callbacks(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        called: list[object] = []
        awaited = bench.call()

        def one(done: object) -> None:
            called.append(("one", done))

        def two(done: object) -> None:
            called.append(("two", done))

        def three(done: object) -> None:
            called.append(("three", done))

        for callback in (one, two, three, one):
            awaited.add_done_callback(callback)
        assert awaited.remove_done_callback(one) == 2
        assert awaited.remove_done_callback(one) == 0
        bench.finish()
        assert called == [("two", awaited), ("three", awaited)]
        awaited.add_done_callback(one)
        await asyncio.sleep(0)
        assert called[-1] == ("one", awaited)

    asyncio.run(main())


def test_a_failing_callback_is_reported_and_keeps_nobody_from_his_wake_up(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        loop = asyncio.get_running_loop()
        reported: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        awaited = bench.call()
        awaited.add_done_callback(lambda _: 1 / 0)
        called: list[object] = []
        awaited.add_done_callback(called.append)
        bench.finish()
        assert called == [awaited]
        assert isinstance(reported[0]["exception"], ZeroDivisionError)

    asyncio.run(main())


def test_an_interrupt_in_one_task_keeps_no_other_from_its_wake_up(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        one, two = bench.call(), bench.call()

        def interrupt(_: object) -> None:
            raise KeyboardInterrupt

        called: list[object] = []
        one.add_done_callback(interrupt)
        two.add_done_callback(called.append)
        with pytest.raises(KeyboardInterrupt):
            bench.finish()
        await asyncio.sleep(0)
        assert called == [two]

    asyncio.run(main())


def test_results_before_there_is_one(kind: Kind) -> None:
    async def main() -> None:
        awaited = kind().call()
        with pytest.raises(asyncio.InvalidStateError):
            awaited.result()
        with pytest.raises(asyncio.InvalidStateError):
            awaited.exception()
        assert (awaited.index, awaited.done()) == (0, False)
        assert awaited.get_loop() is asyncio.get_running_loop()

    asyncio.run(main())


def test_the_result_while_another_exception_is_handled(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        awaited = bench.call()
        bench.finish()
        try:
            raise ValueError("something else")
        except ValueError:
            assert await awaited == bench.result

    asyncio.run(main())


def test_timeouts_begin_when_the_driver_takes_it_up(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        short, long, never = bench.call(1.0), bench.call(2.0), bench.call(None)
        bench.now = 10.0
        assert bench.waits.next_deadline == float("inf")
        bench.take()
        assert bench.waits.next_deadline == 11.0
        bench.now = 10.99
        bench.look_at_the_clock()
        assert not short.done()
        bench.now = 11.0
        bench.look_at_the_clock()
        bench.waits.resume()
        with pytest.raises(Timeout):
            await short
        assert not long.done()
        assert bench.waits.next_deadline == 12.0
        bench.now = 1e9
        bench.look_at_the_clock()
        assert long.done()
        assert not never.done()
        assert bench.waits.next_deadline == float("inf")
        bench.finish()
        assert await never == bench.result
        assert bench.waiting() == 0

    asyncio.run(main())


@pytest.mark.parametrize(("timeout", "shown"), [(-1, "-1"), (float("nan"), "nan")])
def test_a_wrong_timeout_is_an_error_of_the_call_itself(kind: Kind, timeout: float, shown: str) -> None:
    async def main() -> None:
        bench = kind()
        with pytest.raises(ValueError, match=f"at least 0 seconds, got {shown}"):
            bench.call(timeout)
        assert bench.waiting() == 0

    asyncio.run(main())


def test_stop_ends_all_and_later_ones_too(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        taken = bench.call()
        bench.take()
        queued = bench.call()
        bench.stop(Stopped)
        assert bench.waiting() == 0
        bench.waits.resume_soon()
        for awaited in (taken, queued, bench.call()):
            with pytest.raises(Stopped):
                await awaited

    asyncio.run(main())


def test_memory_is_used_again_only_when_nobody_holds_the_handle(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()
        held = bench.call()
        bench.finish()
        for _ in range(100):
            later = bench.call()
            assert later is not held
            assert not later.done()
            bench.finish()
            assert await later == bench.result
        assert await held == bench.result

    asyncio.run(main())


def test_nothing_is_held_once_it_is_over(kind: Kind) -> None:
    async def main() -> None:
        bench = kind()

        async def wait() -> None:
            await bench.call()

        tasks = [asyncio.create_task(wait()) for _ in range(5)]
        await asyncio.sleep(0)
        bench.soon()
        await asyncio.gather(*tasks)
        bench.take()
        bench.look_at_the_clock()
        del tasks
        await asyncio.sleep(0)  # the loop's own handle, which has the gathering, ends
        gc.collect()
        loop = asyncio.get_running_loop()
        assert not [o for o in gc.get_objects() if isinstance(o, Awaited) and o.get_loop() is loop]

    asyncio.run(main())


def test_all_kinds_come_from_one_free_list(kind: Kind) -> None:
    async def main() -> None:
        assert type(kind().call()).__basicsize__ == Awaited.__basicsize__

    asyncio.run(main())
