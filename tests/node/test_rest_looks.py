"""What a rest has seen as it ended: where nothing had come, the pass of a timer does not look for it again.

Before its ticks count a pass hears what was said meanwhile: a heartbeat that waits to be read must come before the
election timeout that it puts off. So the look may be left out only where it cannot find anything.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

from raftpy import Config, Node
from raftpy.contracts.clock import SystemClock
from raftpy.runtime.passes import Ticks
from tests.node.harness import Recorder, _free_addresses
from tests.node.resting import SOON_S, TICK_S, Sleeper, play_resting

ROOT = Path(__file__).parents[2]
HEARTBEAT_S = 0.05
"""As often something is due on a leader."""


def watching(sleeper: Sleeper, done: asyncio.Event, times: int = 1) -> list[bool]:
    """Has the timer note whether anything may wait to be read."""
    seen: list[bool] = []

    def act() -> None:
        seen.append(sleeper.passes.nothing_waits)
        if len(seen) >= times:
            done.set()

    sleeper.act = act
    return seen


def test_where_a_wait_was_in_vain_nothing_waits() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper(again=2) as sleeper:
            # The first time, where the machine does nothing else.
            sleeper.act = lambda: sleeper.passes.nothing_waits and done.set()
            sleeper.due_in(2)
            await done.wait()
            assert set(sleeper.called_by) == {"_run_once"}
            assert not sleeper.passes.nothing_waits  # when it is over nobody has seen anything

    play_resting(scenario)


def test_where_something_has_come_something_may_wait() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper(flooded=True, again=1) as sleeper:
            seen = watching(sleeper, done, 5)
            sleeper.due_in(1)
            await done.wait()
            assert seen == [False] * 5

    play_resting(scenario)


def test_where_nobody_has_waited_something_may_wait() -> None:
    """Neither where the loop itself calls what is due, nor where it is due as the rest begins."""

    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper() as sleeper:
            seen = watching(sleeper, done, 1)
            sleeper.due_in(1)
            time.sleep(3 * TICK_S)  # noqa: ASYNC251
            await asyncio.sleep(0)
            await done.wait()
            assert sleeper.called_by == ["_run"]
            assert seen == [False]

    play_resting(scenario)


HELD_UP = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/epoll.h>
#include <unistd.h>
int held_up_us;
int epoll_wait(int fd, struct epoll_event *found, int most, int ms)
{
    int (*real)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, "epoll_wait");
    int count = real(fd, found, most, ms), us = held_up_us;
    if (count == 0 && us) {
        held_up_us = 0;
        usleep(us);
    }
    return count;
}
"""
"""A machine that stands still between the system's last look and the return of the call that waits, once."""
IN_VAIN = """
import asyncio, ctypes, threading, time
from tests.node.resting import Sleeper, play_resting

async def scenario():
    done = asyncio.Event()
    with Sleeper() as sleeper:
        sleeper.act = lambda: (seen.append(sleeper.passes.nothing_waits), done.set())
        ctypes.c_int.in_dll(ctypes.CDLL(None), "held_up_us").value = 200_000
        sleeper.due_in(5)
        heartbeat = threading.Timer(0.15, sleeper.far.send, (b"heartbeat",))
        heartbeat.start()
        await done.wait()
        heartbeat.join()

seen = []
play_resting(scenario)
assert seen == [False], seen
"""


def test_where_a_wait_was_in_vain_long_ago_something_may_wait(tmp_path: Path) -> None:
    source, library = tmp_path / "held_up.c", tmp_path / "held_up.so"
    source.write_text(HELD_UP)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    subprocess.run([sys.executable, "-c", IN_VAIN], check=True, cwd=ROOT, env=environment, timeout=60)


def test_what_an_earlier_rest_has_seen_is_over() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        with Sleeper() as one, Sleeper() as other:
            seen = watching(other, done)

            def act() -> None:
                other.due_in(1)
                loop.call_soon(time.sleep, 3 * TICK_S)  # so that it is due as the next rest begins

            one.act = act
            one.due_in(1)
            await done.wait()
            assert seen == [False]

    play_resting(scenario)


def test_after_a_pass_of_another_node_something_may_wait() -> None:
    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper() as one, Sleeper() as other:
            one.ticks.origin = other.ticks.origin = time.monotonic()  # due at the same moment
            seen = watching(other, done)
            one.act = lambda: time.sleep(TICK_S / 2)
            one.due_in(5)
            other.due_in(5)
            await done.wait()
            assert seen == [False]

    play_resting(scenario)


def test_who_could_not_go_on_at_once_looks() -> None:
    """Something else of the program has the interpreter as the wait ends: meanwhile anything may come."""

    async def scenario() -> None:
        done = asyncio.Event()
        with Sleeper() as sleeper:
            seen = watching(sleeper, done)
            sleep = ctypes.PyDLL(None).usleep  # which keeps the interpreter to itself

            def run() -> None:
                time.sleep(0.05)
                sleep(500_000)

            thread = threading.Thread(target=run)
            thread.start()
            sleeper.due_in(30)
            await done.wait()
            thread.join()
            assert seen == [False]

    play_resting(scenario)


def test_a_node_at_rest_reads_nothing_for_its_ticks() -> None:
    async def main() -> None:
        async with Node(Config(id=1, cluster=_free_addresses(1)), Recorder()) as node:
            await node.wait_for_leader()
            await node.propose(b"x")
            transport, looked_s = node._host.transport, time.monotonic()
            receive = transport.receive

            def noting(limit: int) -> list[bytes]:
                nonlocal looked_s
                looked_s = time.monotonic()
                return list(receive(limit))

            transport.receive = noting  # type: ignore[method-assign,assignment]
            began = time.monotonic()
            while time.monotonic() - looked_s < 2.5 * HEARTBEAT_S:  # sooner or later, on whatever machine
                assert time.monotonic() - began < SOON_S
                await asyncio.sleep(3.3 * HEARTBEAT_S)
            assert await node.propose(b"y") > 0

    asyncio.run(main())


# --- The clock that is read without a call ------------------------------------------------------------------------


class Shifted(SystemClock):
    """Somebody else's."""

    monotonic = staticmethod(lambda: 7.0)


def test_the_systems_clock_is_read_as_python_reads_it() -> None:
    before = time.monotonic()
    ticks = [Ticks(SystemClock(), TICK_S, 5, lambda: None).origin for _ in range(1000)]
    after = time.monotonic()
    assert [before, *ticks, after] == sorted([before, *ticks, after])


def test_any_other_clock_is_asked() -> None:
    assert Ticks(Shifted(), TICK_S, 5, lambda: None).origin == 7.0
