"""What comes in the middle: a pass begun inside a task, a signal between two steps, a task that ends the program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raftpy import Config, Node, Stopped, Timeout
from raftpy.contracts.clock import SystemClock, TimerHandle
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.storage.leveldb.writer import Writer
from raftpy.system.threads import Threads
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Recorder
from tests.node.waiting import ProposalBench


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def alone(loop: asyncio.AbstractEventLoop, clock: SystemClock | None = None) -> Node:
    clock = clock or SystemClock(loop)
    return Node(
        Config(id=1, cluster={1: "127.0.0.1:7101"}),
        Recorder(),
        storage=MemoryStore(MemoryDisk(), clock, 0.0),
        transport=MemoryTransport(MemoryNetwork(clock)),
        clock=clock,
    )


def start(loop: asyncio.AbstractEventLoop, clock: SystemClock | None = None) -> Node:
    node = alone(loop, clock)

    async def up() -> None:
        await node.start()
        await node.wait_for_leader(10)

    loop.run_until_complete(up())
    return node


def go_on(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    timer = loop.call_later(seconds, loop.stop)
    try:
        loop.run_forever()
    finally:
        timer.cancel()


@pytest.mark.parametrize("call", ["propose", "read_index"])
def test_a_pass_begun_inside_a_task(loop: asyncio.AbstractEventLoop, call: str) -> None:
    """A transport made of asyncio streams calls wake from its own task, which cannot resume another."""
    node = start(loop)

    async def both() -> None:
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        node._running.passes.wake()
        await asyncio.wait_for(waiting, 5.0)
        await node.stop()

    async def wait() -> None:
        await (node.propose(b"x") if call == "propose" else node.read_index())

    loop.run_until_complete(both())


def test_a_second_task_on_the_same_proposal_goes_on(loop: asyncio.AbstractEventLoop) -> None:
    node = start(loop)
    tasks: list[asyncio.Task[Any]] = []

    async def both() -> None:
        node._running.proposals.scheduled = True  # as if a pass were on its way: both wait before one comes
        proposal = node.propose(b"x")

        async def ends() -> None:
            await proposal
            raise KeyboardInterrupt

        async def goes_on() -> object:
            return await proposal

        tasks.extend(asyncio.ensure_future(each()) for each in (ends, goes_on))

    with pytest.raises(KeyboardInterrupt):
        loop.create_task(both())
        go_on(loop, 2.0)
    go_on(loop, 0.1)
    assert node.failed is None
    assert tasks[1].done()
    with pytest.raises(KeyboardInterrupt):
        tasks[0].result()
    loop.run_until_complete(node.stop())


def test_the_timer_goes_on(loop: asyncio.AbstractEventLoop) -> None:
    """A pass of the timer's resumes a task that ends the program; if the program goes on all the same, so does time."""
    node = start(loop)
    node._host.storage.submit = lambda batch: False  # type: ignore[method-assign]  # never done: it takes too long

    async def ends() -> None:
        with pytest.raises(Timeout):
            await node.propose(b"x", timeout=0.1)
        raise KeyboardInterrupt

    task = loop.create_task(ends())
    with pytest.raises(KeyboardInterrupt):
        go_on(loop, 2.0)
    with pytest.raises(KeyboardInterrupt):
        task.result()
    go_on(loop, 0.01)  # the pass that was asked for when that one was cut off
    passes: list[int] = []
    receive = node._host.transport.receive

    def counting(limit: int) -> list[bytes]:
        passes.append(1)
        return receive(limit)

    node._host.transport.receive = counting  # type: ignore[method-assign]
    go_on(loop, 0.5)
    assert len(passes) > 1
    assert node.failed is None
    loop.run_until_complete(node.stop())


class Failing(SystemClock):
    """Sets no timer any more once ``error`` is there."""

    error: BaseException | None = None

    def call_later(self, delay: float, callback: Callable[[], object]) -> TimerHandle:
        if self.error is not None:
            raise self.error
        return super().call_later(delay, callback)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()], ids=["a signal", "a clock that fails"])
@pytest.mark.parametrize("timeout", [0.001, None], ids=["for a timeout that ends", "for the next tick"])
def test_who_cannot_set_its_timer_stops(
    loop: asyncio.AbstractEventLoop, error: BaseException, timeout: float | None
) -> None:
    """Nothing would be due any more, and whoever proposes would wait for a pass that does not come."""
    clock = Failing(loop)
    node = start(loop, clock)

    async def proposes(timeout: float) -> None:
        await node.propose(b"x", timeout=timeout)

    clock.error = error
    if timeout is not None:
        loop.create_task(proposes(timeout))
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            go_on(loop, 1.0)
    else:
        go_on(loop, 0.3)
    assert node.failed is error
    with pytest.raises(Stopped):
        loop.run_until_complete(asyncio.wait_for(proposes(5.0), 5.0))
    clock.error = None
    loop.run_until_complete(node.stop())


def test_a_signal_between_take_and_appended() -> None:
    """Ctrl-C cancels the task that waits; what was taken is appended all the same, and stays cancelled."""

    async def main() -> None:
        for refused in (False, True):
            bench = ProposalBench()
            proposals = bench.proposals
            first, second = proposals.propose(b"a"), proposals.propose(b"b")
            assert proposals.take() == [b"a", b"b"]
            assert first.cancel()
            if refused:
                proposals.refused(lambda: RuntimeError("no"))  # type: ignore[arg-type,return-value]
                assert first.cancelled()
                assert isinstance(second.exception(), RuntimeError)
                continue
            proposals.appended(7, 3, 0.0)
            assert (first.index, second.index) == (7, 8)
            assert first.cancelled()
            with pytest.raises(asyncio.CancelledError):
                first.result()
            assert not second.done()

    asyncio.run(main())


def test_submits_reported_together_are_all_reported(loop: asyncio.AbstractEventLoop) -> None:
    reported: list[str] = []

    def report(appends: Any) -> None:
        reported.append(appends)
        if appends == "first":
            raise KeyboardInterrupt

    async def main() -> None:
        writer = Writer(lambda appends: True, "auto", Threads())
        writer.bind(report, None)
        writer._under_way = 3
        with pytest.raises(KeyboardInterrupt):
            writer._done(["first", "second", "third"])  # type: ignore[list-item]
        await asyncio.sleep(0.01)
        assert reported == ["first", "second", "third"]
        assert writer._under_way == 0

    loop.run_until_complete(main())
