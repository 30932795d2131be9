"""BlockingNode offers what Node does: the same names with the same parameters, and they do the same."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from raftcore.base.errors import Unavailable
from raftpy import BlockingNode, Config, Node, NotLeader, Stopped, Timeout
from tests.node.harness import Recorder, _free_addresses

Parameters = list[tuple[str, object, object]]


def surface(kind: type) -> dict[str, Parameters | str]:
    """Public name -> its parameters (name, kind, default), or what else it is; and how one is made."""
    found: dict[str, Parameters | str] = {}
    for name in ["__init__", *(name for name in dir(kind) if not name.startswith("_"))]:
        value = inspect.getattr_static(kind, name)
        if callable(value):
            given = list(inspect.signature(value).parameters.values())
            found[name] = [(parameter.name, parameter.kind, parameter.default) for parameter in given]
        else:
            found[name] = type(value).__name__
    return found


def attributes(node: Node | BlockingNode) -> set[str]:
    return {name for name in vars(node) if not name.startswith("_")}


def test_both_have_the_same_names_parameters_and_defaults() -> None:
    assert surface(BlockingNode) == surface(Node)
    config = Config(id=1, cluster={1: "127.0.0.1:7101"})
    assert attributes(BlockingNode(config, Recorder())) == attributes(Node(config, Recorder()))


def test_both_are_entered_and_left() -> None:
    for blocking, awaited in (("__enter__", "__aenter__"), ("__exit__", "__aexit__")):
        assert hasattr(BlockingNode, blocking)
        assert hasattr(Node, awaited)


@pytest.fixture
def cluster() -> Iterator[dict[int, BlockingNode]]:
    addresses = _free_addresses(3)
    nodes = {i: BlockingNode(Config(id=i, cluster=addresses), Recorder()) for i in addresses}
    try:
        for node in nodes.values():
            node.start()
        yield nodes
    finally:
        for node in nodes.values():
            node.stop()


def leader_of(cluster: dict[int, BlockingNode]) -> BlockingNode:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for node in cluster.values():
            try:
                node.require_leader()
            except NotLeader:
                time.sleep(0.01)
            else:
                return node
    raise AssertionError("no leader")


def test_reads_and_leadership_from_any_thread(cluster: dict[int, BlockingNode]) -> None:
    leader = leader_of(cluster)
    index = leader.propose(b"x")
    for node in cluster.values():
        assert node.read_index(timeout=10) >= index
        assert node.term_at(index) == leader.term_at(index) >= 1
    with pytest.raises(Unavailable):
        leader.term_at(1_000_000)
    successor = next(node for node in cluster.values() if node is not leader)
    leader.transfer_leadership(successor.config.id, timeout=10)
    assert successor.wait_for_leader(10) == successor.config.id
    with pytest.raises(NotLeader) as refused:
        leader.require_leader()
    assert refused.value.leader_id == successor.config.id
    with pytest.raises(ValueError, match="not to 9"):
        leader.transfer_leadership(9)


def test_errors_come_out_of_the_call() -> None:
    addresses = _free_addresses(2)
    with BlockingNode(Config(id=1, cluster=addresses), Recorder()) as node:
        with pytest.raises(Timeout, match="0.05 s"):
            node.read_index(timeout=0.05)
        with pytest.raises(Timeout, match="node 2"):
            node.transfer_leadership(2, timeout=0.05)
        with pytest.raises(ValueError, match="-1"):
            node.read_index(timeout=-1)
    for call in (node.read_index, node.require_leader, lambda: node.term_at(1), lambda: node.transfer_leadership(2)):
        with pytest.raises(Stopped):
            call()


def test_a_question_that_is_over_before_it_has_begun_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it ends that comes in while the node's loop is about to close: its task is cancelled at once."""
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(node.status())
        except BaseException as error:
            answers.append(error)

    with BlockingNode(Config(id=1, cluster=_free_addresses(2)), Recorder()) as node:
        loop, inner = node._loop, node._node
        assert loop is not None
        assert inner is not None

        def call(function: Callable[[Node], None]) -> None:
            def begin_and_cancel(node: Node) -> None:
                before = asyncio.all_tasks()
                function(node)
                for task in asyncio.all_tasks() - before:
                    task.cancel()

            loop.call_soon_threadsafe(begin_and_cancel, inner)

        monkeypatch.setattr(node, "_call", call)
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(5)
    assert [type(answer) for answer in answers] == [Stopped]
