"""Resting: a node is woken where its loop waits, if that can be."""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import time
from collections import deque
from typing import Any

import pytest

from raftpy import Config, Node
from raftpy.contracts.clock import SystemClock
from raftpy.runtime.passes import Passes, Ticks
from raftpy.runtime.rest import Rest, can_rest, rest
from tests.node.harness import Cluster, Recorder, _free_addresses, play
from tests.node.loop import VirtualClock, run
from tests.node.resting import FAR_S, SOON_S, TICK_S, Sleeper, both, play_resting

# --- It rests ---------------------------------------------------------------------------------------------------


def test_a_timer_is_called_where_the_loop_waits() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper(lambda: len(sleeper.called_by) == 5 and done.set(), again=1) as sleeper:
            sleeper.due_in(1)
            await done.wait()
            assert sleeper.called_by == ["_run_once"] * 5

    play_resting(scenario)


def test_a_timer_is_called_in_time() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper(done.set) as sleeper:
            began = time.monotonic()
            sleeper.due_in(10)
            await done.wait()
            assert time.monotonic() - began >= 9 * TICK_S
            assert sleeper.called_by == ["_run_once"]

    play_resting(scenario)


def test_when_the_last_has_left_the_selector_is_as_it_was() -> None:
    async def scenario() -> None:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        own = selector.select
        with Sleeper() as one, Sleeper() as two:
            assert one.rest is not None
            assert one.rest is two.rest
            assert selector.select is one.rest
            one.leave()
            assert selector.select is two.rest
            two.leave()
            assert "select" not in vars(selector)
            assert selector.select == own

    play_resting(scenario)


def test_the_timer_of_one_who_has_left_is_the_loops_again() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper(done.set) as sleeper:
            sleeper.due_in(3)
            assert sleeper.rest is not None
            sleeper.rest.leave(sleeper.passes)
            await done.wait()
            assert sleeper.called_by == ["_run"]

    play_resting(scenario)


def test_a_select_of_somebody_else_stays_when_the_last_has_left() -> None:
    async def scenario() -> None:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        with Sleeper() as sleeper:
            inner = selector.select
            selector.select = wrapped = lambda timeout: inner(timeout)
            await asyncio.sleep(0.01)
            sleeper.leave()
            assert selector.select is wrapped
            await asyncio.sleep(0.01)
            del selector.select

    play_resting(scenario)


def test_two_that_rest_are_both_woken() -> None:
    async def scenario() -> None:
        with Sleeper(again=1) as one, Sleeper(again=2) as two:
            one.due_in(1)
            two.due_in(1)
            await asyncio.sleep(0.5)
            assert len(one.called_by) >= 5
            assert len(two.called_by) >= 5
            two.leave()
            one.called_by.clear()
            await asyncio.sleep(0.1)
            assert one.called_by != []

    play_resting(scenario)


def test_it_sees_what_its_maker_saw() -> None:
    variable = contextvars.ContextVar("variable", default="nothing")

    async def scenario() -> None:
        done = asyncio.Event()
        seen: list[str] = []

        def act() -> None:
            seen.append(variable.get())
            done.set()

        variable.set("mine")
        with Sleeper(act) as sleeper:
            sleeper.due_in(1)
            await done.wait()
        assert seen == ["mine"]

    play_resting(scenario)


# --- A loop with something to do --------------------------------------------------------------------------------


@both
def test_a_task_that_takes_every_turn_gets_them_and_timers_are_called_between(flooded: bool) -> None:
    async def scenario() -> None:
        with Sleeper(flooded=flooded, again=1) as sleeper:
            sleeper.due_in(1)
            turns = 0
            while len(sleeper.called_by) < 10:
                await asyncio.sleep(0)
                turns += 1
            assert set(sleeper.called_by) == {"_run"}
            assert turns >= 10

    play_resting(scenario)


def test_a_timer_that_the_loop_was_given_to_call_can_be_put_off() -> None:
    async def scenario() -> None:
        with Sleeper() as sleeper:
            sleeper.due_in(1)
            time.sleep(2 * TICK_S)  # noqa: ASYNC251 - it is due now
            sleeper.loop.call_soon(sleeper.due_in, 1000)  # comes before it
            await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            assert sleeper.called_by == []

    play_resting(scenario)


def test_who_waits_in_a_pass_waits_alone() -> None:
    """A loop in a loop, as some programs have it."""

    async def scenario() -> None:
        done = asyncio.Event()
        found: list[list[Any]] = []

        def act() -> None:
            if len(sleeper.called_by) == 1:
                sleeper.due_in(1)
                found.append(sleeper.loop._selector.select(5 * TICK_S))  # type: ignore[attr-defined]
                assert sleeper.called_by == ["_run_once"]
            else:
                done.set()

        with Sleeper(act) as sleeper:
            sleeper.due_in(1)
            await done.wait()
            assert found == [[]]

    play_resting(scenario)


@both
def test_a_loop_run_in_a_task_finds_what_the_selector_does(flooded: bool) -> None:
    """No pass runs while a task does: it could not resume another one."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        tasks: list[object] = []
        with Sleeper(lambda: tasks.append(asyncio.current_task()), flooded=flooded, again=1) as sleeper:
            sleeper.due_in(1)
            for _ in range(5):
                found = loop._selector.select(3 * TICK_S)  # type: ignore[attr-defined]
                assert [key.fd for key, _ in found] == [sleeper.fileno()] * flooded
                time.sleep(TICK_S)  # noqa: ASYNC251
            assert sleeper.called_by == []
            assert not sleeper.passes.wanted
            await asyncio.sleep(0.1)
            assert sleeper.called_by[0] == "_run"
            assert set(tasks) == {None}

    play_resting(scenario)


@pytest.mark.parametrize("called_by", ["_run", "_run_once"])
def test_a_loop_in_a_pass_calls_what_is_due_and_rest_goes_on(called_by: str) -> None:
    async def scenario() -> None:
        told: list[object] = []
        loop: Any = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context))

        def act() -> None:
            if len(sleeper.called_by) == 1:
                sleeper.due_in(1)
                if called_by == "_run":
                    loop._selector.select(5 * TICK_S)
                else:
                    time.sleep(2 * TICK_S)
                    loop.call_soon(lambda: None)
                    loop._run_once()
                assert len(sleeper.called_by) == 2

        with Sleeper(act) as sleeper:
            sleeper.due_in(1)
            if called_by == "_run":
                time.sleep(2 * TICK_S)  # noqa: ASYNC251 - it is due now, and handed over
                await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            assert told == []
            assert sleeper.called_by[0] == called_by
            assert len(sleeper.called_by) == 2
            sleeper.due_in(1)
            await asyncio.sleep(0.1)
            assert sleeper.called_by[2:] == ["_run_once"]

    play_resting(scenario)


# --- Failures ---------------------------------------------------------------------------------------------------


def test_what_a_pass_raises_goes_to_the_loops_handler_and_everything_goes_on() -> None:
    async def scenario() -> None:
        told: list[dict[str, Any]] = []
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context))

        def act() -> None:
            if len(sleeper.called_by) == 3:
                done.set()
            raise ValueError("a mistake")

        with Sleeper(act, again=1) as sleeper:
            sleeper.due_in(1)
            await done.wait()
            assert sleeper.called_by == ["_run_once"] * 3
        assert [str(context["exception"]) for context in told] == ["a mistake"] * 3

    play_resting(scenario)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_meant_for_the_process_comes_out_of_the_loop(kind: type[BaseException]) -> None:
    def act() -> None:
        raise kind

    async def main() -> None:
        with Sleeper(act) as sleeper:
            sleeper.due_in(1)
            await asyncio.sleep(FAR_S)

    began = time.monotonic()
    with pytest.raises(kind):
        asyncio.run(main())
    assert time.monotonic() - began < SOON_S


# --- Where nobody rests -----------------------------------------------------------------------------------------


class Foreign(asyncio.SelectorEventLoop):
    """A loop of somebody else's, which may do anything between two turns."""


class Bare:
    """As uvloop's: with none of asyncio's own business."""

    def get_debug(self) -> bool:
        return False


def replaced() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    selector = loop._selector  # type: ignore[attr-defined]
    selector.select = lambda timeout=None, own=selector.select: own(timeout)
    return loop


def lacking(name: str, value: object) -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    setattr(loop, name, value)
    return loop


def in_debug_mode() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    loop.set_debug(True)
    return loop


def test_other_loops_are_left_alone() -> None:
    own = asyncio.SelectorEventLoop()
    assert can_rest(own)
    loops: list[Any] = [
        Foreign(),
        Bare(),
        asyncio.SelectorEventLoop(selectors.PollSelector()),
        replaced(),
        lacking("_ready", []),
        lacking("_scheduled", ()),
        lacking("_stopping", None),
        in_debug_mode(),
    ]
    assert [type(loop) for loop in loops if can_rest(loop)] == []
    for loop in [own, *loops]:
        if not isinstance(loop, Bare):
            loop._ready, loop._scheduled = deque(), []
            loop.close()


def test_a_node_on_another_loop_runs_all_the_same() -> None:
    async def main() -> None:
        async with Node(Config(id=1, cluster=_free_addresses(1)), Recorder()) as node:
            await node.wait_for_leader()
            assert await node.propose(b"x") > 0
            assert "select" not in vars(asyncio.get_running_loop()._selector)  # type: ignore[attr-defined]

    for loop in (Foreign(), asyncio.SelectorEventLoop(selectors.PollSelector()), in_debug_mode()):
        loop.run_until_complete(main())
        loop.close()


def test_a_node_on_virtual_time_does_not_rest() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        passes, clock = Passes(loop), VirtualClock(loop)
        assert rest(loop, clock, _Readable(), passes, Ticks(clock, TICK_S, 5, passes.wake)) is None

    run(main())


def test_a_clock_or_a_transport_of_another_kind_does_without() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        other = asyncio.SelectorEventLoop()
        passes = Passes(loop)
        ticks = Ticks(SystemClock(), TICK_S, 5, passes.wake)
        for clock, transport in (
            (SystemClock(other), _Readable()),
            (VirtualClock(loop), _Readable()),
            (SystemClock(), _Readable(-1)),
            (SystemClock(), object()),
        ):
            assert rest(loop, clock, transport, passes, ticks) is None  # type: ignore[arg-type]
        taken = rest(loop, SystemClock(loop), _Readable(), passes, ticks)  # type: ignore[arg-type]
        assert taken is not None
        taken.leave(passes)
        other.close()

    asyncio.run(main())


class _Readable:
    """A transport, as far as it says what it reads from."""

    def __init__(self, descriptor: int = 1000) -> None:
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor


def test_when_debug_mode_begins_the_loop_calls_everything_itself() -> None:
    async def scenario() -> None:
        with Sleeper(again=1) as sleeper:
            sleeper.loop.set_debug(True)
            await asyncio.sleep(0)
            sleeper.due_in(1)
            await asyncio.sleep(0.2)
            assert set(sleeper.called_by) == {"_run"}
            assert len(sleeper.called_by) >= 4
            sleeper.loop.set_debug(False)
            sleeper.called_by.clear()
            await asyncio.sleep(0.2)
            assert "_run_once" in sleeper.called_by

    play_resting(scenario)


# --- Nodes ------------------------------------------------------------------------------------------------------


def test_quiet_nodes_take_no_turns_of_their_loop(seed: int) -> None:
    """Three heartbeats, answers and timers a twentieth of a second; what remains is what transports do once in one."""

    async def scenario(cluster: Cluster) -> None:
        loop: Any = asyncio.get_running_loop()
        await cluster.single_leader()
        await cluster.sleep_ms(500)
        turns, one = 0, loop._run_once

        def counting() -> None:
            nonlocal turns
            turns += 1
            one()

        loop._run_once = counting
        await asyncio.sleep(2)
        del loop._run_once
        assert turns <= 60
        assert type(loop._selector.select) is Rest

    play("udp", 3, seed, scenario)


def test_what_a_peer_sends_is_heard_at_rest(seed: int) -> None:
    """A leader at rest is asked from another loop, and its followers at rest hear of it from there."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        for number in range(20):
            await cluster.sleep_ms(10)
            await cluster.propose(leader, b"%d" % number)
            await cluster.committed(b"%d" % number, 3)

    play("udp", 3, seed, scenario)


def test_a_cluster_leaves_the_loop_as_it_was(seed: int) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with Cluster("udp", 3, seed) as cluster:
            await cluster.single_leader()
            assert type(loop._selector.select) is Rest
            await cluster.crash(2)
            assert type(loop._selector.select) is Rest
        assert "select" not in vars(loop._selector)

    asyncio.run(main())
