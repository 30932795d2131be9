"""BlockingNode offers what Node does: the same names with the same parameters, and they do the same."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from raftcore.base.errors import Unavailable
from raftpy import (
    AddMember,
    BlockingMembers,
    BlockingNode,
    ChangeRefused,
    Config,
    DemoteMember,
    Members,
    Node,
    NotLeader,
    Removed,
    RemoveMember,
    Stopped,
    Timeout,
)
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


def test_both_ask_the_members_for_the_same() -> None:
    of_members = surface(Members)
    del of_members["__init__"]
    assert {name: said for name, said in surface(BlockingMembers).items() if name != "__init__"} == of_members


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


def heard_by(node: BlockingNode, member: int) -> None:
    deadline = time.monotonic() + 20
    while not any(each.heard for each in node.members.list().members if each.id == member):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def led_by_the_first_of_two(first: dict[int, str]) -> Iterator[BlockingNode]:
    """Node 1 of these two, which leads and has heard the other."""
    one, two = (BlockingNode(Config(id=i, cluster=first), Recorder()) for i in first)
    with one, two:
        one.wait_for_leader(20)
        if one.status().leader != 1:
            one.transfer_leadership(1, timeout=20)
        heard_by(one, 2)
        yield one


def test_members_come_and_go() -> None:
    addresses = _free_addresses(4)
    first = {i: addresses[i] for i in (1, 2)}
    with led_by_the_first_of_two(first) as one:
        members = one.members
        with BlockingNode(Config(id=3, cluster=first, udp=addresses[3]), Recorder()) as three:
            index = members.add(3, addresses[3], learner=False)
            assert index <= members.add(3, addresses[3]) <= members.list().index
            three.wait_for_leader(20)
            with pytest.raises(NotLeader):
                three.members.remove(1)
            with pytest.raises(ChangeRefused, match="not 1 as expected"):
                members.demote(3, expected=1)
            members.demote(3)
            assert [(each.id, each.voter) for each in members.list().members] == [(1, True), (2, True), (3, False)]
            members.promote(3)
            members.set_address(3, http="127.0.0.1:9")
            with BlockingNode(Config(id=4, cluster=first, udp=addresses[4]), Recorder()):
                members.change([AddMember(4, addresses[4]), DemoteMember(3)])
                members.add(4, addresses[4], learner=False)
                members.change([RemoveMember(3)])
                assert [each.id for each in members.list().members] == [1, 2, 4]
                assert members.list().removed == (3,)
            deadline = time.monotonic() + 20
            while three.failed is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert isinstance(three.failed, Removed)
    with pytest.raises(Stopped):
        members.list()


def test_a_member_is_replaced() -> None:
    addresses = _free_addresses(3)
    first = {i: addresses[i] for i in (1, 2)}
    with led_by_the_first_of_two(first) as one:
        with pytest.raises(Timeout, match="node 3 was added and does not have the log yet: node 2 is a member"):
            one.members.replace(2, 3, addresses[3], timeout=0.2)
        with BlockingNode(Config(id=3, cluster=first, udp=addresses[3]), Recorder()):
            one.members.replace(2, 3, addresses[3])
            assert [each.id for each in one.members.list().members] == [1, 3]


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
