"""A node on a simulated disk that takes snapshots, and dies at each step of it: each write, sync, rename and deletion.

What was acknowledged is there at the next start, once, in order, and nothing was made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from raftpy import Config, Node
from raftpy.sim.disk.files import Disk, DiskFiles
from raftpy.storage.leveldb.store import make_directory
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.loop import VirtualClock, run
from tests.node.steps import LoopSteps
from tests.node.words import Words, WordsDisk, WordsOnDisk
from tests.storage.power import fail_at_each_step
from tests.storage.test_simulated import NODE, store

LONG_S = 1.0


class Life:
    """One word after the other, each followed by a snapshot; ``told``: how many were acknowledged."""

    def __init__(self, machine: Callable[[], Any]) -> None:
        self.machine = machine
        self.told = self.begun = 0
        self.cut = False

    def node(self, files: DiskFiles, seed: int = 1) -> tuple[Node, Any]:
        machine = self.machine()
        clock = VirtualClock(asyncio.get_running_loop())
        steps = LoopSteps()
        node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101"}, seed=1),
            machine,
            storage=store(files, seed, executor=steps),
            transport=MemoryTransport(MemoryNetwork(clock, 1)),
            clock=clock,
            executor=steps,
        )
        return node, machine

    def act(self, files: DiskFiles) -> None:
        self.told = self.begun = 0
        disk = files.disk

        async def live() -> None:
            node, _ = self.node(files)
            await node.start()
            await node.wait_for_leader()
            for number in range(4):
                self.begun = number + 1
                await node.propose(b"%d" % number)
                self.told = number + 1
                await node.snapshot()
            await asyncio.sleep(0.01)
            assert node.status().first_index > 1
            self.cut = True
            await node.stop()

        async def watched() -> None:
            living = asyncio.ensure_future(live())
            while not living.done() and not disk.stopped:
                await asyncio.sleep(0.001)
            if not disk.stopped:
                await living
            elif living.done():
                living.exception()  # it goes as it may: its process is dead

        run(watched())

    def check(self, files: DiskFiles, done: bool) -> None:
        async def next_life() -> None:
            node, machine = self.node(files, seed=2)
            await node.start()
            await node.wait_for_leader(LONG_S)
            await node.read_index()
            count = len(machine.commands)
            assert machine.commands == [b"%d" % number for number in range(count)]
            assert self.told <= count <= self.begun
            await node.propose(b"%d" % count)
            await node.snapshot()
            await node.stop()

        run(next_life())


@pytest.mark.parametrize("end", [Disk.kill, Disk.power_failure])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_is_lost_wherever_a_node_dies_that_takes_snapshots(end: Callable[[Disk], None]) -> None:
    life = Life(Words)
    steps = fail_at_each_step(
        lambda files: make_directory(files, NODE.parent), life.act, life.check, sources=range(2), end=end
    )
    assert life.cut
    assert steps > 100


def test_nor_with_a_machine_that_has_a_disk_of_its_own() -> None:
    disks: list[WordsDisk] = []

    def before(files: DiskFiles) -> None:
        make_directory(files, NODE.parent)
        disks.append(WordsDisk())

    life = Life(lambda: WordsOnDisk(disks[-1]))
    steps = fail_at_each_step(before, life.act, life.check, sources=range(1), end=Disk.kill)
    assert life.cut
    assert steps > 100
