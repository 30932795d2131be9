"""What ends a rest at once: everything that is the loop's business."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import time
from functools import partial

import pytest

from raftpy.contracts.clock import SystemClock
from raftpy.runtime.passes import Passes, Ticks
from raftpy.runtime.rest import rest
from tests.node.resting import FAR_S, NEVER, SOON_S, TICK_S, Sleeper, a_thread, both, play_resting


@both
def test_a_call_of_a_thread(flooded: bool) -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper(flooded=flooded) as sleeper, a_thread(lambda: sleeper.loop.call_soon_threadsafe(done.set)):
            await done.wait()

    play_resting(scenario)


@both
def test_a_timer_of_the_loop(flooded: bool) -> None:
    async def scenario() -> None:
        with Sleeper(flooded=flooded):
            began = time.monotonic()
            await asyncio.sleep(0.05)
            assert time.monotonic() - began >= 0.049

    play_resting(scenario)


async def hear_from_another() -> None:
    """Waits for what a thread sends to a descriptor of this loop that is no node's."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    done = asyncio.Event()
    with near, far:
        loop.add_reader(near, done.set)
        with a_thread(lambda: far.send(b"x")):
            await done.wait()
        loop.remove_reader(near)


@both
def test_another_descriptor(flooded: bool) -> None:
    async def scenario() -> None:
        with Sleeper(flooded=flooded):
            await hear_from_another()

    play_resting(scenario)


def test_another_descriptor_beside_more_than_are_looked_at_at_once() -> None:
    async def scenario() -> None:
        sleepers = [Sleeper(flooded=True) for _ in range(40)]
        await hear_from_another()
        for sleeper in sleepers:
            sleeper.__exit__()

    play_resting(scenario)


@both
def test_a_signal_that_the_loop_handles(flooded: bool) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, done.set)
        with Sleeper(flooded=flooded), a_thread(lambda: os.kill(os.getpid(), signal.SIGUSR1)):
            await done.wait()
        loop.remove_signal_handler(signal.SIGUSR1)

    play_resting(scenario)


@both
def test_a_signal_that_a_plain_handler_handles(flooded: bool) -> None:
    """It is called at once, where nothing else happens; and the loop sees what it has ordered."""
    loop = asyncio.SelectorEventLoop()
    called: list[float] = []

    def handle(*_: object) -> None:
        called.append(time.monotonic())
        loop.stop()

    async def settle() -> Sleeper:
        return Sleeper(flooded=flooded)

    before = signal.signal(signal.SIGUSR1, handle)
    sleeper = loop.run_until_complete(settle())
    try:
        far = loop.call_later(FAR_S, loop.stop)
        began = time.monotonic()
        with a_thread(lambda: os.kill(os.getpid(), signal.SIGUSR1)):
            loop.run_forever()
        assert time.monotonic() - began < SOON_S
        assert len(called) == 1
        far.cancel()
    finally:
        signal.signal(signal.SIGUSR1, before)
        sleeper.__exit__()
        loop.close()


def test_a_signal_in_a_pass_in_which_nothing_interpreted_runs() -> None:
    """The interpreter looks for one only there: its handler does not wait for the next timer."""
    called: list[float] = []

    async def scenario() -> None:
        loop, clock = asyncio.get_running_loop(), SystemClock()
        done = asyncio.Event()
        passes = Passes(loop)
        ticks = Ticks(clock, TICK_S, 5, partial(ctypes.PyDLL(None)["raise"], int(signal.SIGUSR1)))
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.setblocking(False)
        loop.add_reader(near, passes.wake)
        resting = rest(loop, clock, near, passes, ticks)  # type: ignore[arg-type]
        assert resting is not None
        ticks.take(time.monotonic())
        ticks.put_off(2, NEVER + time.monotonic())
        last = loop.call_later(1, done.set)
        await done.wait()
        assert called
        assert called[0] < last.when() - 0.5
        resting.leave(passes)
        ticks.stop()
        loop.remove_reader(near)
        near.close()
        far.close()

    before = signal.signal(signal.SIGUSR1, lambda *_: called.append(time.monotonic()))
    try:
        play_resting(scenario)
    finally:
        signal.signal(signal.SIGUSR1, before)


@both
def test_what_a_plain_handler_raises_comes_out_of_the_loop(flooded: bool) -> None:
    class Rung(Exception):
        pass

    def ring(*_: object) -> None:
        raise Rung

    async def main() -> None:
        with Sleeper(flooded=flooded), a_thread(lambda: os.kill(os.getpid(), signal.SIGUSR1)):
            await asyncio.sleep(FAR_S)

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        began = time.monotonic()
        with pytest.raises(Rung):
            asyncio.run(main())
        assert time.monotonic() - began < SOON_S
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- Passes that take longer than until the node's next timer: others get their turn all the same ---------------


def slow() -> Sleeper:
    """For as long as whoever is to have a turn may wait for it, and no longer: a test that fails is to end."""
    began = time.monotonic()

    def act() -> None:
        time.sleep(2 * TICK_S)
        if time.monotonic() - began > SOON_S:
            sleeper.again = 0

    sleeper = Sleeper(act, again=1)
    sleeper.due_in(1)
    return sleeper


def test_a_timer_of_the_loop_beside_slow_passes() -> None:
    async def scenario() -> None:
        with slow() as sleeper:
            await asyncio.sleep(0.1)
            assert len(sleeper.called_by) >= 2

    play_resting(scenario)


def test_another_descriptor_beside_slow_passes() -> None:
    async def scenario() -> None:
        with slow():
            await hear_from_another()

    play_resting(scenario)


def test_what_is_sent_to_another_node_beside_slow_passes() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with slow() as sleeper, Sleeper() as other:
            act = sleeper.act

            def look() -> None:
                act()
                if other.passes.wanted or not sleeper.again:
                    done.set()

            sleeper.act = look
            with a_thread(lambda: other.far.send(b"x")):
                await done.wait()
            assert other.passes.wanted

    play_resting(scenario)


def test_a_call_that_a_pass_has_asked_for() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        with Sleeper(lambda: loop.call_soon(done.set)) as sleeper:
            sleeper.due_in(1)
            await done.wait()
            assert sleeper.called_by == ["_run_once"]

    play_resting(scenario)


def test_a_timer_that_a_pass_has_set() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        with Sleeper(lambda: loop.call_later(0.02, done.set)) as sleeper:
            sleeper.due_in(1)
            await done.wait()
            assert sleeper.called_by == ["_run_once"]

    play_resting(scenario)


def test_a_timer_that_a_pass_has_set_after_a_loop_in_it_has_dropped_another() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        cancelled = loop.call_later(FAR_S / 2, done.set)

        def act() -> None:
            cancelled.cancel()
            loop.call_soon(lambda: None)
            loop._run_once()  # type: ignore[attr-defined]
            loop.call_later(0.02, done.set)

        with Sleeper(act) as sleeper:
            sleeper.due_in(1)
            await done.wait()
            assert sleeper.called_by == ["_run_once"]

    play_resting(scenario)


def test_a_timer_that_a_pass_has_set_after_the_loop_has_thrown_many_away() -> None:
    """It makes its list of timers anew then."""

    async def scenario() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        with Sleeper(lambda: loop.call_later(0.02, done.set)) as sleeper:
            await asyncio.sleep(2 * TICK_S)
            for timer in [loop.call_later(FAR_S, done.set) for _ in range(1000)]:
                timer.cancel()
            before = loop._scheduled  # type: ignore[attr-defined]
            await asyncio.sleep(2 * TICK_S)
            assert loop._scheduled is not before  # type: ignore[attr-defined]
            sleeper.due_in(1)
            await done.wait()
            assert sleeper.called_by == ["_run_once"]

    play_resting(scenario)


def test_an_order_to_stop_that_a_pass_has_given() -> None:
    loop = asyncio.SelectorEventLoop()

    async def settle() -> Sleeper:
        sleeper = Sleeper(loop.stop)
        sleeper.due_in(1)
        return sleeper

    sleeper = loop.run_until_complete(settle())
    far = loop.call_later(FAR_S, loop.stop)
    began = time.monotonic()
    loop.run_forever()
    assert time.monotonic() - began < SOON_S
    assert sleeper.called_by == ["_run_once"]
    far.cancel()
    sleeper.__exit__()
    loop.close()


def test_after_one_has_left_in_a_pass_it_goes_on() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper(lambda: sleeper.leave()) as sleeper:
            sleeper.due_in(1)
            with a_thread(lambda: sleeper.loop.call_soon_threadsafe(done.set)):
                await done.wait()
            assert sleeper.called_by == ["_run_once"]
            assert "select" not in vars(sleeper.loop._selector)  # type: ignore[attr-defined]

    play_resting(scenario)
