"""A Node is for the event loop that started it: elsewhere every call says so at once, and nothing happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftpy import Config, Members, Node, NotOwner, Stopped
from raftpy.runtime.group_calls import GroupCalls
from raftpy.runtime.host import Host
from tests.node.every_call import calls, group_calls, host_calls, member_calls
from tests.node.harness import Recorder, _free_addresses


def new_node() -> Node:
    return Node(Config(id=1, cluster=_free_addresses(1)), Recorder())


def new_host() -> Host:
    return Host(Config(id=1, cluster=_free_addresses(1)), {g: Recorder() for g in (0, 5)})


async def refused(call: Callable[[], Any], where: str) -> None:
    with pytest.raises(NotOwner, match=f"node 1 was called {where}"):
        answer = call()
        if isinstance(answer, Awaitable):
            await answer


async def all_refused(calls: dict[str, Callable[[], Any]], where: str) -> None:
    for call in calls.values():
        await refused(call, where)


def in_thread(act: Callable[[], Any]) -> None:
    """Runs it to its end, and raises what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def test_the_list_of_calls_here_is_complete() -> None:
    public = {name for name in dir(Node) if not name.startswith("_")}
    elsewhere = {"start", "starting", "failed", "quarantine", "lacks_state", "max_command", "members"}
    assert public - set(calls(new_node())) == elsewhere
    of_members = {name for name in dir(Members) if not name.startswith("_")}
    assert of_members == set(member_calls(new_node().members))
    of_host = {name for name in dir(Host) if not name.startswith("_")}
    host = new_host()
    assert of_host - set(host_calls(host)) == {"start", "starting", "failed", "group", "serve_by"}
    of_group = {name for name in dir(GroupCalls) if not name.startswith("_")}
    assert of_group - set(group_calls(host.group(5))) == elsewhere - {"start", "starting"}


def test_on_another_loop_after_its_own_has_ended() -> None:
    """As after ``asyncio.run`` twice, with a node made in the first."""
    node = new_node()

    async def begin() -> None:
        await node.start()
        await node.wait_for_leader()

    asyncio.run(begin())
    asyncio.run(all_refused(calls(node), "after its event loop was closed"))
    assert node.failed is None
    node._host.transport.close()


def test_on_another_loop_of_the_same_thread_while_its_own_rests() -> None:
    loop = asyncio.new_event_loop()
    node = new_node()
    try:
        loop.run_until_complete(node.start())
        loop.run_until_complete(node.wait_for_leader())
        loop.run_until_complete(node.propose(b"x"))
        asyncio.run(all_refused(calls(node), "on another event loop"))
        queued = node.propose(b"y")  # no loop runs: its own will, and nothing else can be meant
        assert loop.run_until_complete(queued) == 4
        loop.run_until_complete(node.stop())
    finally:
        loop.close()


def test_in_another_thread() -> None:
    async def main() -> None:
        async with new_node() as node:
            await node.wait_for_leader()
            await node.propose(b"x")

            def elsewhere() -> None:
                asyncio.run(all_refused(calls(node), "in another thread"))
                for name in ("propose", "read_index", "status"):  # and without a loop there
                    with pytest.raises(NotOwner, match="in another thread"):
                        calls(node)[name]()
                assert node.failed is None
                assert node.max_command > 0

            await asyncio.to_thread(elsewhere)
            assert await node.propose(b"y") == 4

    asyncio.run(main())


def test_a_host_and_its_groups_in_another_thread() -> None:
    async def main() -> None:
        async with new_host() as host:
            for group_id in (0, 5):
                await host.group(group_id).wait_for_leader()

            def elsewhere() -> None:
                asyncio.run(all_refused(host_calls(host), "in another thread"))
                assert host.failed is None
                assert host.group(5).max_command > 0

            await asyncio.to_thread(elsewhere)
            assert host.unknown_frames == 0
            assert await host.group(5).propose(b"x") == await host.group(5).propose(b"y") - 1

    asyncio.run(main())


def test_a_host_and_its_groups_after_its_loop_has_ended() -> None:
    host = new_host()

    async def begin() -> None:
        await host.start()
        await host.group(5).wait_for_leader()

    asyncio.run(begin())
    asyncio.run(all_refused(host_calls(host), "after its event loop was closed"))
    assert host.group(5).failed is None
    host.transport.close()


def test_in_another_thread_while_a_pass_runs() -> None:
    class Waiting(Recorder):
        node: Node
        told: list[BaseException]

        def apply(self, index: int, command: bytes) -> int:
            for call in (lambda: self.node.propose(b"y"), self.node.read_index):
                with pytest.raises(NotOwner, match="in another thread"):
                    in_thread(call)
            return super().apply(index, command)

    async def main() -> None:
        machine = Waiting()
        machine.node = Node(Config(id=1, cluster=_free_addresses(1)), machine)
        async with machine.node as node:
            await node.wait_for_leader()
            assert await node.propose(b"x") == 3
            assert node.status().last_index == 3

    asyncio.run(main())


def test_a_reader_of_commits_goes_with_its_node() -> None:
    async def main() -> None:
        async with new_node() as node:
            await node.wait_for_leader()
            reader = node.commits(1)
            await node.propose(b"x")

            def elsewhere() -> None:
                asyncio.run(refused(lambda: anext(reader), "in another thread"))

            await asyncio.to_thread(elsewhere)
            assert (await anext(reader)).command == b"x"

    asyncio.run(main())


def test_a_node_that_has_stopped_may_be_looked_at_from_anywhere() -> None:
    node = new_node()

    async def main() -> None:
        async with node:
            await node.wait_for_leader()

    async def after() -> None:
        assert node.status().commit_index == 2
        with pytest.raises(Stopped):
            await node.propose(b"x")
        await node.stop()

    asyncio.run(main())
    asyncio.run(after())
    assert node.status().term == 1
    in_thread(node.status)
