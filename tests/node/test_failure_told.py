"""Why a node has stopped by itself: everyone who waits is told the same as ``Node.failed``, cause included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from raftpy import ApplyFailed, Config, Node, StateMachine, StorageDamaged
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Recorder
from tests.node.loop import VirtualClock, run


def alone(machine: StateMachine) -> Node:
    """A cluster of one, in memory, inside a virtual loop."""
    clock = VirtualClock(asyncio.get_running_loop())
    return Node(
        Config(id=1, cluster={1: "127.0.0.1:7101"}),
        machine,
        storage=MemoryStore(MemoryDisk()),
        transport=MemoryTransport(MemoryNetwork(clock)),
        clock=clock,
    )


class Batching(Recorder):
    """Raises for a batch that holds the word bug."""

    def __init__(self) -> None:
        super().__init__()
        self.bug = KeyError("a bug of the state machine")

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> list[int]:
        if b"bug" in list(commands):
            raise self.bug
        return [self.apply(index, command) for index, command in enumerate(commands, first_index)]


def test_everyone_who_waits_is_told_the_same_as_the_node_itself() -> None:
    """Class, text and cause: a proposer, a later one, a read, a reader of commits and whoever asks for the leader."""

    async def main() -> None:
        machine = Batching()
        node = alone(machine)
        await node.start()
        await node.wait_for_leader()
        commits = node.commits()
        read = node.read_index()
        proposals = [node.propose_many([b"a", b"bug", b"c"]), node.propose(b"behind"), read]
        for proposal in proposals:
            await said(node, machine.bug, proposal)
        await said(node, machine.bug, node.propose(b"late"))
        await said(node, machine.bug, anext(commits))
        await said(node, machine.bug, node.wait_for_leader())

    async def said(node: Node, bug: BaseException, call: Awaitable[object]) -> None:
        with pytest.raises(ApplyFailed, match="entries 3 to 6") as failed:
            await call
        assert failed.value.__cause__ is bug
        assert failed.value is not node.failed
        assert (failed.value.index, str(failed.value)) == (3, str(node.failed))

    run(main())


def test_damage_found_while_the_node_runs_is_named_to_whoever_waits() -> None:
    async def main() -> None:
        node = alone(Recorder())
        await node.start()
        await node.wait_for_leader()
        assert node._host.driver is not None
        origin = OSError(5, "a block cannot be read")
        damage = StorageDamaged("its checksum does not hold", "leveldb: entry 7")
        damage.__cause__ = origin
        node._host.driver.fail(damage)
        with pytest.raises(StorageDamaged) as told:
            await node.propose(b"x")
        assert (told.value.what, told.value.where) == (damage.what, damage.where)
        assert str(told.value) == str(damage)
        assert told.value.__cause__ is origin

    run(main())
