"""A fork does not take a node along: the child is told so at once, and touches neither socket nor store.

Each child reports through a pipe and leaves by os._exit or, where its end is what is tested, as a program of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from raftpy import BlockingNode, Config, Node, NotOwner, StorageFailed
from raftpy.contracts.types import StoreOwner
from raftpy.runtime.group_calls import GroupCalls
from raftpy.runtime.host import Host
from raftpy.storage.leveldb.segment import Made, Write
from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.transport.datagram.udp import UdpTransport
from tests.node.every_call import calls, group_calls, host_calls
from tests.node.harness import Recorder, _free_addresses
from tests.stalls import without_stalls
from tests.storage.late import LateExecutor

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

PATIENCE = 10.0
QUICK = 1.0
"""Seconds in which a child must have been told; a call that hangs takes at least its timeout."""


def in_child(act: Callable[[], Any]) -> Any:
    """What ``act`` returned in a forked child; fails with the child's traceback when it raised or hung."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        report(write, act)
    os.close(write)
    return outcome(pid, read)


def report(write: int, act: Callable[[], Any]) -> None:
    """The child: says what came of it, and ends."""
    signal.alarm(int(PATIENCE))
    try:
        said = {"result": act()}
    except BaseException:
        said = {"error": traceback.format_exc()}
    os.write(write, json.dumps(said).encode())
    os._exit(0)


def outcome(pid: int, read: int) -> Any:
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the child hung"
    answer = json.loads(said)
    assert "error" not in answer, answer["error"]
    return answer["result"]


def refusals(calls: dict[str, Callable[[], Any]]) -> dict[str, str]:
    """What each call raised; each must raise NotOwner, and soon."""
    told = {}
    for name, call in calls.items():
        begun = time.monotonic()
        try:
            call()
        except NotOwner as error:
            told[name] = str(error)
        assert name in told, name
        assert time.monotonic() - begun < QUICK, name
    return told


def blocking_calls(node: BlockingNode, commits: Any) -> dict[str, Callable[[], Any]]:
    return {
        **calls(node),
        **looked_up(node),
        "a reader": lambda: next(commits),
        "start": node.start,
    }


def awaited_calls(node: Node) -> dict[str, Callable[[], Any]]:
    return begun({**calls(node), **looked_up(node), "start": node.start})


def every_host_call(host: Host, group_ids: Iterable[int]) -> dict[str, Callable[[], Any]]:
    looked_up_there = {
        f"{name} of group {group_id}": call
        for group_id in group_ids
        for name, call in looked_up(host.group(group_id)).items()
    }
    looked_up_here = {"failed": lambda: host.failed, "starting": lambda: host.starting}
    return begun({**host_calls(host), **looked_up_there, **looked_up_here, "start": host.start})


def looked_up(of: GroupCalls | BlockingNode) -> dict[str, Callable[[], Any]]:
    """What may be asked for from another thread, and not in another process."""
    return {
        "max_command": lambda: of.max_command,
        "members": lambda: of.members.list(),
        "failed": lambda: of.failed,
        "quarantine": lambda: of.quarantine,
        "lacks_state": lambda: of.lacks_state,
        **({"starting": lambda: of.starting} if isinstance(of, Node | BlockingNode) else {}),
    }


def begun(calls: dict[str, Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
    """What is a coroutine is begun by hand, for there is no event loop in a child. What changes members has a deadline,
    for which there must be one."""

    def begin(name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if not isinstance(answer, Coroutine):
            return answer
        return asyncio.run(answer) if name.startswith("members.") else answer.send(None)

    return {name: partial(begin, name, call) for name, call in calls.items()}


def named(told: dict[str, str], parent: int) -> None:
    """Each text names the process that started the node, and the other one."""
    for name, text in told.items():
        assert f"process {parent}," in text, name
        assert len({int(word.strip(",:")) for word in text.split() if word.strip(",:").isdigit()}) == 3, text


def test_the_lists_of_calls_here_are_complete() -> None:
    config = Config(id=1, cluster={1: "127.0.0.1:7101"})
    blocking, node = BlockingNode(config, Recorder()), Node(config, Recorder())
    for listed in (blocking_calls(blocking, None), awaited_calls(node)):
        assert {name for name in dir(Node) if not name.startswith("_")} <= set(listed)
    listed_of_host = set(every_host_call(Host(config, {0: Recorder(), 5: Recorder()}), [0, 5]))
    of_groups = {f"{name} of group {g}" for g in (0, 5) for name in dir(GroupCalls) if not name.startswith("_")}
    of_host = {name for name in dir(Host) if not name.startswith("_")} - {"group", "serve_by"}  # ask nothing of it
    assert of_groups | of_host <= listed_of_host


def test_every_call_of_a_blocking_node_is_refused_in_a_child(tmp_path: Path) -> None:
    config = Config(id=1, cluster=_free_addresses(1), data_dir=tmp_path / "data")
    with BlockingNode(config, Recorder()) as node:
        node.wait_for_leader(PATIENCE)
        commits = node.commits(1)
        node.propose(b"before")
        named(in_child(lambda: refusals(blocking_calls(node, commits))), os.getpid())
        node.propose(b"after")
        assert [next(commits).command for _ in range(2)] == [b"before", b"after"]


def test_a_node_that_was_not_started_belongs_to_nobody_yet() -> None:
    def use() -> str:
        with node:
            node.wait_for_leader(PATIENCE)
            return str(node.propose(b"x"))

    node = BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder())
    assert in_child(use) == "3"
    node.stop()


def test_every_call_of_a_node_is_refused_in_a_child() -> None:
    async def main() -> None:
        async with Node(Config(id=1, cluster=_free_addresses(1)), Recorder()) as node:
            await node.wait_for_leader()
            waiting = node.propose(b"under way at the fork")
            reader = node.commits(1)

            def act() -> dict[str, str]:
                told = refusals(awaited_calls(node))
                more = {"a reader": lambda: reader.__anext__().send(None), "a proposal": waiting.result}
                return told | refusals(more)

            named(in_child(act), os.getpid())
            assert await waiting == 3

    asyncio.run(main())


def test_every_call_of_a_host_and_of_each_of_its_groups_is_refused_in_a_child() -> None:
    async def main() -> None:
        groups = range(20)
        async with Host(Config(id=1, cluster=_free_addresses(1)), {g: Recorder() for g in groups}) as host:
            for group_id in groups:
                await host.group(group_id).wait_for_leader()
            waiting = {g: host.group(g).propose(b"under way at the fork") for g in groups}
            readers = {g: host.group(g).commits(1) for g in groups}

            def act() -> dict[str, str]:
                told = refusals(every_host_call(host, groups))
                begin_reading = {f"a reader of group {g}": readers[g].__anext__ for g in groups}
                results = {f"a proposal of group {g}": waiting[g].result for g in groups}
                return told | refusals(begun(begin_reading)) | refusals(results)

            begun_at = time.monotonic()
            told = in_child(act)
            assert time.monotonic() - begun_at < PATIENCE / 2, "at once, however many groups there are"
            named(told, os.getpid())
            elsewhere = await asyncio.to_thread(in_child, lambda: refusals(every_host_call(host, groups)))
            named(elsewhere, os.getpid())
            for group_id in groups:
                index = await waiting[group_id]
                assert (await anext(readers[group_id])).index == index, "and the parent's groups go on"

    asyncio.run(main())


class Watched:
    """A store or a transport that says on ``pipe`` when another process than the one that made it uses it."""

    def __init__(self, part: Any, pipe: int) -> None:
        self._part, self._pipe, self._pid = part, pipe, os.getpid()

    def __getattr__(self, name: str) -> Any:
        if os.getpid() != self._pid:
            os.write(self._pipe, f"{type(self._part).__name__}.{name} ".encode())
        return getattr(self._part, name)


class Forking(Recorder):
    """Forks in the middle of a pass, in apply; the child goes on with the pass."""

    fork: Callable[[], None] | None = None

    def apply(self, index: int, command: bytes) -> int:
        if command == b"fork" and self.fork is not None:
            self.fork()
        return super().apply(index, command)


def test_a_fork_in_the_middle_of_a_pass_takes_every_group_away() -> None:
    """Where it is not asked who calls, since only tasks of the pass can: in the child they call nobody."""
    told: list[dict[str, str]] = []

    async def main() -> None:
        machines = {g: Forking() for g in (0, 1, 2)}
        async with Host(Config(id=1, cluster=_free_addresses(1)), machines) as host:
            for group_id in machines:
                await host.group(group_id).wait_for_leader()
            calls = {
                f"{name} of group {g}": call
                for g in machines
                for name, call in group_calls(host.group(g)).items()
                if name in ("propose", "propose_many", "read_index")
            }
            machines[1].fork = lambda: told.append(in_child(lambda: refusals(calls)))
            await host.group(1).propose(b"fork")
            await asyncio.gather(*(await_it(host, g) for g in machines))

    async def await_it(host: Host, group_id: int) -> None:
        await host.group(group_id).propose(b"after")

    asyncio.run(main())
    (refused,) = told
    named(refused, os.getpid())


@pytest.mark.parametrize("where", ["in apply", "in a task that a pass has resumed", "in a task of the loop's"])
def test_a_child_that_goes_on_touches_neither_socket_nor_store(where: str, tmp_path: Path) -> None:
    """It goes on with whatever the parent was doing, the event loop included, for a while."""
    touched, pipe = os.pipe()
    os.set_blocking(touched, False)
    parent = os.getpid()
    children: list[int] = []

    def fork() -> None:
        if (pid := os.fork()) == 0:
            signal.alarm(int(PATIENCE))
        else:
            children.append(pid)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        machine = Forking()
        storage: Any = Watched(LevelDBStorage(tmp_path), pipe)
        transport: Any = Watched(UdpTransport(), pipe)
        node = Node(Config(id=1, cluster=_free_addresses(1)), machine, storage=storage, transport=transport)
        await node.start()
        await node.wait_for_leader()
        if where == "in apply":
            machine.fork = fork
        elif where == "in a task that a pass has resumed":
            await node.propose(b"x")
            fork()
        else:
            await asyncio.sleep(0.01)
            fork()
        try:
            await node.propose(b"fork")
        except NotOwner:
            assert os.getpid() != parent
        if os.getpid() != parent:
            later = loop.create_future()  # asyncio.sleep knows of no running loop here
            loop.call_later(0.3, later.set_result, None)
            await later
            del node, storage, transport
            gc.collect()
            os._exit(0)
        assert os.getpid() == parent
        await asyncio.sleep(0.4)
        await node.propose(b"after")
        await node.stop()

    asyncio.run(main())
    for pid in children:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(children) == 1
    os.close(pipe)
    try:
        assert os.read(touched, 10_000) == b""
    finally:
        os.close(touched)


PROGRAM = """
import gc, os, sys
from raftpy import BlockingNode, Config
from tests.node.harness import Recorder

def main(data, address, way):
    node = BlockingNode(Config(id=1, cluster={1: address}, data_dir=data), Recorder())
    with node:
        node.wait_for_leader(10)
        for number in range(200):
            node.propose(b"%d" % number)
        if (pid := os.fork()) == 0:
            if way == "leaves the block":
                return
            if way == "is ended inside the block":
                sys.exit(0)
            if way == "drops everything":
                node._node = None
                gc.collect()
                sys.exit(0)
        for number in range(200, 400):
            node.propose(b"%d" % number)
        _, status = os.waitpid(pid, 0)
        print("child", os.waitstatus_to_exitcode(status), flush=True)
        for number in range(400, 600):
            node.propose(b"%d" % number)
        print("applied", node.status().applied_index, flush=True)

main(*sys.argv[1:])
"""


@pytest.mark.parametrize("way", ["leaves the block", "is ended inside the block", "drops everything"])
def test_the_end_of_a_child_changes_nothing(way: str, tmp_path: Path) -> None:
    """Whatever finalizers run then: the parent goes on, and everything is there after its restart."""
    (address,) = _free_addresses(1).values()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "data"), address, way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert without_stalls(done.stderr) == ""
    assert done.stdout.splitlines() == ["child 0", "applied 602"]
    machine = Recorder()
    with BlockingNode(Config(id=1, cluster={1: address}, data_dir=tmp_path / "data"), machine) as node:
        node.wait_for_leader(PATIENCE)
        node.read_index()
        assert machine.commands == [b"%d" % number for number in range(600)]


def test_a_child_that_lives_on_holds_neither_the_address_nor_the_data_directory(tmp_path: Path) -> None:
    config = Config(id=1, cluster=_free_addresses(1), data_dir=tmp_path / "data")
    with BlockingNode(config, Recorder()) as node:
        node.wait_for_leader(PATIENCE)
        there, here = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(here, b"!")  # what a child gives up is given up before fork() returns in it
            time.sleep(2 * PATIENCE)
            os._exit(0)
        assert os.read(there, 1) == b"!"
        os.close(there)
        os.close(here)
        node.propose(b"x")
    try:
        machine = Recorder()
        with BlockingNode(config, machine) as node:
            node.wait_for_leader(PATIENCE)
            node.read_index()
            assert machine.commands == [b"x"]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_fork_in_the_middle_of_a_write_ends_it_in_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever forks there, a signal handler say: the child writes nothing to what the parent goes on writing."""
    store = LevelDBStorage(tmp_path, executor=LateExecutor(), mode="inline")
    store.open(StoreOwner(1, {1: "127.0.0.1:7101"}))
    write, children = Made.write, []

    def forking(made: Made, writes: list[Write]) -> list[int]:
        read, told = os.pipe()
        children.append((os.fork(), read))
        if children[0][0] == 0:
            monkeypatch.undo()
            try:
                write(made, writes)
            except OSError as error:
                os.write(told, os.strerror(error.errno or 0).encode())
            finally:
                os._exit(0)
        os.close(told)
        return write(made, writes)

    monkeypatch.setattr(Made, "write", forking)
    store.pin(2, 7)
    monkeypatch.undo()
    ((pid, read),) = children
    os.waitpid(pid, 0)
    assert os.read(read, 100) == b"Bad file descriptor"
    os.close(read)
    store.close()


def test_the_copy_of_a_store_writes_nothing(tmp_path: Path) -> None:
    """However it goes, it leaves the files as they are, which the parent goes on writing."""
    store = [LevelDBStorage(tmp_path, executor=LateExecutor())]  # no thread changes a file meanwhile
    store[0].open(StoreOwner(1, {1: "127.0.0.1:7101"}))
    store[0].pin(2, 7)

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}

    def drop() -> str:
        with pytest.raises(StorageFailed, match="the process that forked"):
            store[0].group(0).entries(1, 2, 100)
        with pytest.raises(StorageFailed, match="the process that forked"):
            store[0].pin(3, 7)
        store[0].close()
        store.clear()
        gc.collect()
        return "dropped"

    before = files()
    assert in_child(drop) == "dropped"
    assert files() == before
    store[0].pin(3, 8)
    store[0].close()
    again = LevelDBStorage(tmp_path)
    assert again.open(StoreOwner(1, {1: "127.0.0.1:7101"})).pins == {2: 7, 3: 8}
    again.close()
