"""The blocking twin: the same node from threads without an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from raftpy import ApplyError, BlockingNode, Config, NotLeader, Stopped, StorageFailed, Timeout, TooLarge
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.system.threads import Threads
from tests.node.harness import Recorder, _free_addresses
from tests.node.test_errors import Picky


@pytest.fixture
def cluster() -> Iterator[dict[int, BlockingNode]]:
    addresses = _free_addresses(3)
    nodes = {i: BlockingNode(Config(id=i, cluster=addresses), Picky()) for i in addresses}
    for node in nodes.values():
        node.start()
    try:
        yield nodes
    finally:
        for node in nodes.values():
            node.stop()


def leader_of(cluster: dict[int, BlockingNode]) -> BlockingNode:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        node = cluster[cluster[1].wait_for_leader(timeout=10)]
        if node.status().role == "leader":
            return node
        time.sleep(0.01)
    raise AssertionError("no leader")


def test_propose_from_many_threads(cluster: dict[int, BlockingNode]) -> None:
    leader = leader_of(cluster)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: leader.propose(b"%d" % number), range(100)))
    assert len(set(results)) == 100
    assert leader.propose_many([b"a", b"b"]) == [max(results) + 1, max(results) + 2]
    with pytest.raises(ApplyError):
        leader.propose(b"no")
    follower = next(node for node in cluster.values() if node is not leader)
    with pytest.raises(NotLeader) as refused:
        follower.propose(b"x")
    assert refused.value.leader_id == leader.config.id
    with pytest.raises(TooLarge):
        leader.propose(bytes(leader.max_command + 1))
    with pytest.raises(TypeError, match="got str"):
        leader.propose("text")  # type: ignore[arg-type]


def test_commits(cluster: dict[int, BlockingNode]) -> None:
    leader = leader_of(cluster)
    others = [node.commits(1) for node in cluster.values()]
    leader.propose_many([b"a", b"b", b"c"])
    for reader in others:
        assert [next(reader).command for _ in range(3)] == [b"a", b"b", b"c"]
    ended = threading.Event()

    def read_on() -> None:
        for _ in others[0]:
            pass
        ended.set()

    thread = threading.Thread(target=read_on)
    thread.start()
    cluster[1].stop()
    thread.join(10)
    assert ended.is_set()


def test_stop_ends_the_wait_of_other_threads() -> None:
    addresses = _free_addresses(2)
    node = BlockingNode(Config(id=1, cluster=addresses), Recorder())
    with node:
        with pytest.raises(TimeoutError):
            node.wait_for_leader(timeout=0.05)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(node.wait_for_leader)
            time.sleep(0.05)
            node.stop()
            with pytest.raises(Stopped):
                waiting.result(10)
    for call in (lambda: node.propose(b"x"), node.status, node.wait_for_leader):
        with pytest.raises(Stopped):
            call()
    node.stop()
    with pytest.raises(RuntimeError, match="started before"):
        node.start()


class BehindTheLastTurn(Threads):
    """What is posted while this is ``closing`` comes after the loop's last turn and before its close: it is taken, and
    never called. ``at`` is called then."""

    closing = False
    at: Callable[[], object]

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        if not self.closing:
            return super().post(loop, call, *arguments)
        self.closing = False
        self.at()
        return True


@pytest.mark.parametrize("ended", [False, True], ids=["before the end", "behind the end"])
@pytest.mark.parametrize("ask", [BlockingNode.status, BlockingNode.read_index], ids=["question", "read"])
def test_a_call_behind_the_last_turn_of_the_loop_hears_that_the_node_has_stopped(
    ask: Callable[[BlockingNode], object], ended: bool
) -> None:
    executor = BehindTheLastTurn()
    node = BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder(), executor=executor)
    node.start()
    node.wait_for_leader()
    posted = threading.Event()
    executor.at = node.stop if ended else posted.set
    executor.closing = True
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, node)
        assert ended or posted.wait(10)
        try:
            if not ended:
                node.stop()
            with pytest.raises(Stopped):
                waiting.result(10)
        finally:
            for future in tuple(node._waited):
                future.cancel()


def test_timeout() -> None:
    addresses = _free_addresses(1)
    disk = MemoryDisk()
    with BlockingNode(Config(id=1, cluster=addresses), Recorder(), storage=MemoryStore(disk)) as node:
        node.wait_for_leader(10)
        assert node.propose(b"x", timeout=None) == 3
        disk.fault = "no space left"
        with pytest.raises(StorageFailed, match="no space left"):
            node.propose(b"y")
        assert isinstance(node.failed, StorageFailed)
        with pytest.raises(StorageFailed):
            node.propose(b"z")


def test_a_failed_start_is_raised_by_start() -> None:
    disk = MemoryDisk()
    disk.damaged = "a record is missing"
    node = BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder(), storage=MemoryStore(disk))
    with pytest.raises(StorageFailed, match="a record is missing"):
        node.start()
    with pytest.raises(Stopped):
        node.propose(b"x")
    node.stop()


def test_before_start() -> None:
    node = BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder())
    for call in (lambda: node.propose(b"x"), node.status, node.wait_for_leader, lambda: node.max_command):
        with pytest.raises(Stopped, match="not been started"):
            call()
    node.stop()
    assert node.failed is None


def test_calls_from_the_nodes_own_thread_are_refused_and_not_waited_for() -> None:
    class Selfish(Recorder):
        node: BlockingNode
        caught: BaseException | None = None

        def apply(self, index: int, command: bytes) -> int:
            for call in (lambda: self.node.propose(b"y"), self.node.stop):
                try:
                    call()
                except RuntimeError as error:
                    self.caught = error
            return super().apply(index, command)

    machine = Selfish()
    with BlockingNode(Config(id=1, cluster=_free_addresses(1)), machine) as node:
        machine.node = node
        node.wait_for_leader(10)
        node.propose(b"x")
    assert "own thread" in str(machine.caught)
    assert issubclass(Timeout, TimeoutError)


def test_priorities_are_set_from_any_thread() -> None:
    with BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder(), storage=MemoryStore(MemoryDisk())) as node:
        node.wait_for_leader(10)
        node.set_priority(1, 4)
        assert node.status().members[0].priority == 4
        with pytest.raises(ValueError, match="not for 2"):
            node.set_priority(2, 4)
