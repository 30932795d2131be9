"""The awaitable of a proposal: takes part in asyncio as a Future does, and is resumed by the pass itself."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftcore import Entries, Entry, EntryKind
from raftpy.errors import NotLeader, Stopped, Timeout, TooLarge
from raftpy.runtime.applying import Applying
from raftpy.runtime.proposal import Proposal, Proposals

MAX_COMMAND = 100


class Echo:
    """Gives the command back; ``fail`` makes it raise instead."""

    fail: BaseException | None = None

    def apply(self, index: int, command: bytes) -> bytes:
        if self.fail is not None:
            raise self.fail
        return command


class Bench:
    """Proposals and Applying without a core: ``finish`` appends what is queued, applies it and resumes."""

    def __init__(self) -> None:
        self.scheduled = 0
        self.proposals = Proposals(asyncio.get_running_loop(), self.schedule, MAX_COMMAND)
        self.machine = Echo()
        self.applying = Applying(self.machine, self.proposals, lambda *_: None, lambda: 0.0)
        self.next = 1
        self.now = 0.0

    def schedule(self) -> None:
        self.scheduled += 1

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

    def finish(self) -> None:
        self.apply(self.append())
        self.proposals.resume()

    def soon(self) -> None:
        """Finishes from a callback of the loop, where no task is running, as the driver does."""
        asyncio.get_running_loop().call_soon(self.finish)


def test_await_gives_what_apply_returned() -> None:
    async def main() -> None:
        bench = Bench()
        bench.soon()
        assert await bench.proposals.propose(b"x") == b"x"

    asyncio.run(main())


def via_task(proposal: Proposal) -> Awaitable[Any]:
    return asyncio.create_task(proposal)  # type: ignore[arg-type]


async def via_timeout(proposal: Proposal) -> Any:
    async with asyncio.timeout(5):
        return await proposal


async def via_group(proposal: Proposal) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(proposal)  # type: ignore[arg-type,var-annotated]
    return task.result()


async def via_gather(proposal: Proposal) -> Any:
    return (await asyncio.gather(proposal, proposal))[1]


async def via_as_completed(proposal: Proposal) -> Any:
    return await next(iter(asyncio.as_completed([proposal])))


async def via_wait(proposal: Proposal) -> Any:
    done, _ = await asyncio.wait([asyncio.create_task(proposal)])  # type: ignore[arg-type]
    return done.pop().result()


WAYS: list[Callable[[Proposal], Awaitable[Any]]] = [
    via_task,
    via_timeout,
    via_group,
    via_gather,
    via_as_completed,
    via_wait,
    asyncio.shield,
    asyncio.ensure_future,
    lambda proposal: asyncio.wait_for(proposal, 5),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("early", [False, True], ids=["pending", "done"])
def test_every_way_of_waiting(way: Callable[[Proposal], Awaitable[Any]], early: bool) -> None:
    async def main() -> None:
        bench = Bench()
        proposal = bench.proposals.propose(b"x")
        if early:
            bench.soon()
            await asyncio.sleep(0)
            assert proposal.done()
        else:
            asyncio.get_running_loop().call_later(0.001, bench.finish)
        assert await way(proposal) == b"x"

    asyncio.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_waiting_for_an_error(way: Callable[[Proposal], Awaitable[Any]]) -> None:
    async def main() -> None:
        bench = Bench()
        proposal = bench.proposals.propose(b"x")

        def refuse() -> None:
            bench.proposals.take()
            bench.proposals.refused(NotLeader)
            bench.proposals.resume()

        asyncio.get_running_loop().call_soon(refuse)
        with pytest.raises((NotLeader, BaseExceptionGroup)) as raised:
            await way(proposal)
        error = raised.value
        assert isinstance(error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error, NotLeader)

    asyncio.run(main())


def test_the_task_goes_on_inside_the_pass() -> None:
    async def main() -> None:
        bench = Bench()
        order: list[str] = []

        async def caller() -> None:
            await bench.proposals.propose(b"x")
            order.append("caller")

        def finish() -> None:
            bench.finish()
            order.append("pass")

        task = asyncio.create_task(caller())
        asyncio.get_running_loop().call_later(0.001, finish)
        await task
        assert order == ["caller", "pass"]

    asyncio.run(main())


def test_the_task_goes_on_in_its_own_context() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    async def main() -> None:
        bench = Bench()

        async def caller(name: str) -> None:
            who.set(name)
            await bench.proposals.propose(b"x")
            assert who.get() == name

        tasks = [asyncio.create_task(caller(name)) for name in "abc"]
        await asyncio.sleep(0)
        bench.soon()
        await asyncio.gather(*tasks)
        assert who.get() == "nobody"

    asyncio.run(main())


def test_a_pass_in_the_waiters_own_context_resumes_it_by_way_of_the_loop() -> None:
    async def main() -> None:
        bench = Bench()
        context = contextvars.copy_context()

        async def caller() -> bytes:
            result: bytes = await bench.proposals.propose(b"x")
            return result

        task = asyncio.get_running_loop().create_task(caller(), context=context)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(bench.finish, context=context)
        assert await task == b"x"

    asyncio.run(main())


def test_schedules_one_pass_for_all_that_is_proposed_before_it() -> None:
    async def main() -> None:
        bench = Bench()
        for _ in range(3):
            bench.proposals.propose(b"x")
        assert bench.scheduled == 1
        bench.finish()
        bench.proposals.propose(b"x")
        assert bench.scheduled == 2

    asyncio.run(main())


@pytest.mark.parametrize("appended", [False, True])
def test_cancelling_leaves_nothing_behind(appended: bool) -> None:
    async def main() -> None:
        bench = Bench()

        async def caller() -> None:
            await bench.proposals.propose(b"x")

        task = asyncio.create_task(caller())
        other = asyncio.create_task(bench.proposals.propose(b"y"))  # type: ignore[arg-type,var-annotated]
        await asyncio.sleep(0)
        commands = bench.append() if appended else []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if not appended:
            commands = bench.append()
            assert commands == [b"y"]  # it never comes into the log
        bench.proposals.expire(0.0)
        assert len(bench.proposals) == 1
        bench.apply(commands)
        bench.proposals.resume_soon()
        assert await other == b"y"
        assert len(bench.proposals) == 0

    asyncio.run(main())


def test_cancelling_between_the_result_and_the_wake_up() -> None:
    async def main() -> None:
        bench = Bench()
        tasks: list[asyncio.Task[bytes]] = []

        async def first() -> None:
            await bench.proposals.propose(b"1")
            tasks[0].cancel()  # the other has its result, and has not been resumed yet

        async def second() -> bytes:
            result: bytes = await bench.proposals.propose(b"2")
            return result

        canceller = asyncio.create_task(first())
        tasks.append(asyncio.create_task(second()))
        await asyncio.sleep(0)
        bench.soon()
        await canceller
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    asyncio.run(main())


def test_wait_for_and_shield() -> None:
    async def main() -> None:
        bench = Bench()
        proposal = bench.proposals.propose(b"x")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(proposal), 0.001)
        assert not proposal.done()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(proposal, 0.001)
        assert proposal.cancelled()
        with pytest.raises(asyncio.CancelledError):
            proposal.result()
        with pytest.raises(asyncio.CancelledError):
            proposal.exception()
        assert proposal.cancel() is False

    asyncio.run(main())


def test_gather_passes_a_cancellation_on() -> None:
    async def main() -> None:
        bench = Bench()
        one, two = bench.proposals.propose(b"1"), bench.proposals.propose(b"2")
        both = asyncio.gather(one, two)
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await both
        assert one.cancelled()
        assert two.cancelled()

    asyncio.run(main())


def test_callbacks() -> None:
    async def main() -> None:
        bench = Bench()
        called: list[object] = []
        proposal = bench.proposals.propose(b"x")

        def one(done: Proposal) -> None:
            called.append(("one", done))

        def two(done: Proposal) -> None:
            called.append(("two", done))

        def three(done: Proposal) -> None:
            called.append(("three", done))

        for callback in (one, two, three, one):
            proposal.add_done_callback(callback)
        assert proposal.remove_done_callback(one) == 2
        assert proposal.remove_done_callback(one) == 0
        bench.finish()
        assert called == [("two", proposal), ("three", proposal)]
        proposal.add_done_callback(one)
        await asyncio.sleep(0)
        assert called[-1] == ("one", proposal)

    asyncio.run(main())


def test_a_failing_callback_is_reported_and_keeps_nobody_from_his_wake_up() -> None:
    async def main() -> None:
        bench = Bench()
        loop = asyncio.get_running_loop()
        reported: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        proposal = bench.proposals.propose(b"x")
        proposal.add_done_callback(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
        called: list[Proposal] = []
        proposal.add_done_callback(called.append)
        bench.finish()
        assert called == [proposal]
        assert isinstance(reported[0]["exception"], ZeroDivisionError)

    asyncio.run(main())


def test_an_interrupt_in_one_task_keeps_no_other_from_its_wake_up() -> None:
    async def main() -> None:
        bench = Bench()
        one, two = bench.proposals.propose(b"1"), bench.proposals.propose(b"2")

        def interrupt(_: Proposal) -> None:
            raise KeyboardInterrupt

        called: list[Proposal] = []
        one.add_done_callback(interrupt)
        two.add_done_callback(called.append)
        with pytest.raises(KeyboardInterrupt):
            bench.finish()
        await asyncio.sleep(0)
        assert called == [two]

    asyncio.run(main())


def test_results_before_there_is_one() -> None:
    async def main() -> None:
        proposal = Bench().proposals.propose(b"x")
        with pytest.raises(asyncio.InvalidStateError):
            proposal.result()
        with pytest.raises(asyncio.InvalidStateError):
            proposal.exception()
        assert (proposal.index, proposal.term, proposal.done()) == (0, 0, False)
        assert proposal.get_loop() is asyncio.get_running_loop()

    asyncio.run(main())


def test_a_command_that_does_not_fit_is_refused_before_anything_happens() -> None:
    async def main() -> None:
        bench = Bench()
        with pytest.raises(TooLarge, match="101 bytes.*at most 100"):
            await bench.proposals.propose(bytes(101))
        with pytest.raises(TooLarge):
            await bench.proposals.propose_many([b"x", bytes(101)])
        assert len(bench.proposals) == 0
        assert bench.append() == []
        bench.soon()
        assert await bench.proposals.propose(bytes(100)) == bytes(100)

    asyncio.run(main())


def test_wrong_arguments_are_errors_of_the_call_itself() -> None:
    async def main() -> None:
        proposals = Bench().proposals
        with pytest.raises(TypeError, match="got str"):
            proposals.propose("text")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at least 0 seconds, got -1"):
            proposals.propose(b"x", -1)
        with pytest.raises(ValueError, match="got nan"):
            proposals.propose(b"x", float("nan"))
        assert len(proposals) == 0

    asyncio.run(main())


def test_bytes_like_commands_are_copied() -> None:
    async def main() -> None:
        bench = Bench()
        command = bytearray(b"abc")
        proposal = bench.proposals.propose(command)
        command[:] = b"xyz"
        bench.finish()
        assert await proposal == b"abc"

    asyncio.run(main())


def test_timeouts_begin_when_the_command_is_appended() -> None:
    async def main() -> None:
        bench = Bench()
        short = bench.proposals.propose(b"1", 1.0)
        long = bench.proposals.propose(b"2", 2.0)
        never = bench.proposals.propose(b"3", None)
        bench.now = 10.0
        commands = bench.append()
        bench.proposals.expire(10.99)
        assert not short.done()
        bench.proposals.expire(11.0)
        bench.proposals.resume()
        with pytest.raises(Timeout, match="may or may not be committed"):
            await short
        assert not long.done()
        bench.proposals.expire(1e9)
        assert long.done()
        assert not never.done()
        bench.apply(commands)
        bench.proposals.resume()
        assert await never == b"3"
        assert len(bench.proposals) == 0

    asyncio.run(main())


def test_leadership_lost() -> None:
    async def main() -> None:
        bench = Bench()
        committed, lost = bench.proposals.propose(b"1"), bench.proposals.propose(b"2")
        commands = bench.append()
        bench.proposals.lose(1)
        bench.proposals.resume()
        with pytest.raises(Timeout, match="lost the leadership"):
            await lost
        bench.apply(commands)
        bench.proposals.resume()
        assert await committed == b"1"

    asyncio.run(main())


def test_another_leaders_entry_at_the_same_place_is_no_answer() -> None:
    async def main() -> None:
        bench = Bench()
        proposal = bench.proposals.propose(b"mine")
        bench.append(term=1)
        bench.apply([b"theirs"], term=2)
        bench.proposals.resume()
        with pytest.raises(Timeout, match="another leader's entry"):
            await proposal

    asyncio.run(main())


def test_entries_nobody_waits_for_pass_by() -> None:
    async def main() -> None:
        bench = Bench()
        bench.next = 4
        bench.apply([b"a", b"b", b"c"], term=1)
        proposal = bench.proposals.propose(b"x")
        bench.append(term=2)
        bench.next += 2
        bench.apply([b"x", b"y", b"z"], term=2)
        bench.proposals.resume()
        assert await proposal == b"x"
        assert (proposal.index, proposal.term) == (4, 2)

    asyncio.run(main())


def test_stop_ends_all_and_later_ones_too() -> None:
    async def main() -> None:
        bench = Bench()
        appended = bench.proposals.propose(b"1")
        bench.append()
        queued = bench.proposals.propose(b"2")
        bench.proposals.stop(Stopped)
        bench.proposals.resume_soon()
        later = bench.proposals.propose(b"3")
        for proposal in (appended, queued, later, bench.proposals.propose_many([b"4"])):
            with pytest.raises(Stopped):
                await proposal

    asyncio.run(main())


def test_propose_many_of_nothing() -> None:
    async def main() -> None:
        assert await Bench().proposals.propose_many([]) == []

    asyncio.run(main())


def test_memory_is_used_again_only_when_nobody_holds_the_handle() -> None:
    async def main() -> None:
        bench = Bench()
        held = bench.proposals.propose(b"held")
        bench.finish()
        for number in range(100):
            later = bench.proposals.propose(b"%d" % number)
            assert later is not held
            bench.finish()
            assert await later == b"%d" % number
        assert await held == b"held"

    asyncio.run(main())


def test_what_was_waited_for_is_let_go() -> None:
    class Result:
        pass

    async def main() -> None:
        bench = Bench()
        bench.machine.apply = lambda *_: Result()  # type: ignore[method-assign,assignment,return-value]
        applying = Applying(bench.machine, bench.proposals, lambda *_: None, lambda: 0.0)
        bench.applying = applying

        async def wait() -> None:
            await bench.proposals.propose(b"x")

        tasks = [asyncio.create_task(wait()) for _ in range(5)]
        await asyncio.sleep(0)
        bench.soon()
        await asyncio.gather(*tasks)
        del tasks
        await asyncio.sleep(0)  # the loop's own handle, which has the gathering, ends
        gc.collect()
        assert not [o for o in gc.get_objects() if isinstance(o, Result)]

    asyncio.run(main())


def test_a_proposal_is_made_by_the_node_only() -> None:
    with pytest.raises(TypeError, match="made by Node.propose"):
        Proposal()
