"""The power fails, or the process is killed, at each step in which a state machine on a disk is restored.

Until all of a snapshot is there and synced the machine says that it has no state. Then its node restores it again, from
the same snapshot, and goes on as if nothing had been: at a start, and where a node that runs is brought up by a
snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import PurePath
from random import Random

import pytest

from raftpy.contracts.errors import RestoreFailed
from raftpy.contracts.state_machine import SavedState
from raftpy.sim.disk.files import Disk, DiskFiles, PowerFailure
from tests.node.copying import Copies
from tests.node.harness import Cluster, play
from tests.node.lone import Lone
from tests.node.loop import run
from tests.node.test_commits import commit
from tests.node.test_installing import caught_up, copies, leave_behind, of
from tests.node.words import CHUNK, Words
from tests.storage.power import failing_at

__all__ = ["copies"]

HOME = PurePath("/words")
APPLIED = HOME / "applied"
"""Up to which index all words are there, durably. Where it is missing there is no state."""
ENDS = [(Disk.power_failure, range(8)), (Disk.kill, range(1))]
"""How it dies, and seeds of what that leaves of what was not synced."""


class Killed(Exception):
    """In the place of ``PowerFailure``, so that what runs the machine hears of it."""


class WordsInFiles(Words):
    """Keeps each word in a file of its own, under its index, and syncs when it is asked to."""

    def __init__(self, files: DiskFiles) -> None:
        super().__init__()
        self.files = files
        if not files.is_directory(HOME):
            files.make_directory(HOME)
            files.sync_directory(HOME.parent)
        self.applied = int(files.read(APPLIED)) if files.exists(APPLIED) else 0
        there = sorted(int(name) for name in files.names(HOME) if name.isdigit())
        self.words = [(index, files.read(HOME / str(index))) for index in there if index <= self.applied]

    def applied_index(self) -> int:
        return self.applied

    def sync(self) -> int:
        for index, word in self.words:
            if index > self.applied:
                self._write(HOME / str(index), word)
        if self.words and self.words[-1][0] > self.applied:
            self._complete(self.words[-1][0])
        return self.applied

    def restore(self, saved: SavedState) -> None:
        try:
            self._restore(saved)
        except PowerFailure as failure:
            raise Killed from failure

    def _restore(self, saved: SavedState) -> None:
        files = self.files
        if files.exists(APPLIED):
            files.remove(APPLIED)
            files.sync_directory(HOME)
        self.words, self.applied = [], 0
        for name in files.names(HOME):
            files.remove(HOME / name)
        while head := saved.read(CHUNK.size):
            index, size = CHUNK.unpack(head)
            self.words.append((index, saved.read(size)))
            self._write(HOME / str(index), self.words[-1][1])
        self._complete(self.words[-1][0])
        self.restored.append(saved.size)

    def _complete(self, index: int) -> None:
        """All words up to this one are written: now they are durable, and then it is said."""
        new = HOME / "new"
        self.files.sync_directory(HOME)
        self._write(new, b"%d" % index)
        self.files.replace(new, APPLIED)
        self.files.sync_directory(HOME)
        self.applied = index

    def _write(self, path: PurePath, data: bytes) -> None:
        file = self.files.open(path, "rewrite")
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()


def left(disk: Disk, end: Callable[[Disk], None]) -> WordsInFiles:
    """The machine that the next life finds."""
    disk.on_step = None
    end(disk)
    return WordsInFiles(disk.files(pid=2))


def check_seen(stood: list[int]) -> None:
    """It died at many steps: as it was, without a state, and perhaps restored already, and it was not told."""
    assert len(stood) > 15
    assert stood[0] > 0, "its state is there as long as nothing was done to it"
    assert 0 in stood
    assert len(set(stood)) <= 3


async def restored_at_a_start(step: int, end: Callable[[Disk], None], source: int) -> tuple[int, ...]:
    """A node whose machine is an older copy of itself, from before its log begins, dies at this step of restoring it.
    Where the machine stood when it died, () where it got through."""
    disk = Disk(Random(source))
    lone = Lone(lambda: WordsInFiles(disk.files()))
    await lone.start()
    (first,) = await lone.propose(b"first")
    lone.machine.sync()
    older = disk.copy()
    for word in (b"a", b"b", b"c"):
        (snapshot,) = await lone.propose(word)
        await lone.node.snapshot()
    await asyncio.sleep(0.1)
    assert lone.log[0] > first + 1
    behind = await lone.propose(b"d", b"e")
    words = list(lone.machine.words)
    disk.restore(older)
    assert WordsInFiles(disk.files()).words == words[:1]
    failing_at(disk, step)
    stood: tuple[int, ...] = ()
    try:
        await lone.restart()
    except Killed:
        lone.disk.crash()
        machine = left(disk, end)
        stood = (machine.applied_index(),)
        assert stood[0] in (0, first, snapshot)
        assert machine.words == [(index, word) for index, word in words if index <= stood[0]]
        await lone.start()
        assert bool(lone.machine.restored) is (stood[0] != snapshot)
    disk.on_step = None
    assert lone.machine.given == behind
    assert lone.machine.words == words
    # And it goes on from there.
    await lone.propose(b"f")
    lone.machine.sync()
    await lone.restart()
    assert (lone.machine.restored, lone.machine.commands[-1]) == ([], b"f")
    await lone.stop()
    return stood


@pytest.mark.parametrize(("end", "sources"), ENDS)
def test_wherever_a_start_that_restores_is_cut_off(end: Callable[[Disk], None], sources: range) -> None:
    seen = []
    for step in count():
        stood = [index for source in sources for index in run(restored_at_a_start(step, end, source))]
        if not stood:
            break
        seen += stood
    check_seen(seen)
    assert len(set(seen)) == 3


def restored_while_running(
    step: int, end: Callable[[Disk], None], source: int, seed: int, copies: Copies
) -> tuple[int, ...]:
    """The same where a follower is brought up by the leader's snapshot."""
    disks: list[Disk] = []
    stood: list[int] = []

    def new() -> WordsInFiles:
        disks.append(Disk(Random(source)))
        return WordsInFiles(disks[-1].files())

    async def scenario(cluster: Cluster) -> None:
        of(cluster, copies)
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await commit(cluster, b"before")
        machine = cluster.machines[lost]
        first = machine.sync()
        assert first > 0
        cluster.disconnect(lost)
        to = await leave_behind(cluster, lost, 3)
        await commit(cluster, b"behind it")
        disk = machine.files.disk
        failing_at(disk, step)
        node = cluster.nodes[lost]
        cluster.reconnect(lost)
        await cluster.until(lambda: node.failed or machine.restored, "it is restored, or has died of it")
        if node.failed is not None:
            assert isinstance(node.failed, RestoreFailed)
            assert isinstance(node.failed.__cause__, Killed)
            await cluster.crash(lost)
            found = left(disk, end)
            stood.append(found.applied_index())
            assert stood[0] in (0, first, to)
            words = cluster.machines[leader].words
            assert found.words == [(index, word) for index, word in words if index <= stood[0]]
            cluster.machine = lambda: WordsInFiles(disk.files(pid=3))
            await cluster.restart(lost)
            assert bool(cluster.machines[lost].restored) is (stood[0] != to)
        disk.on_step = None
        await caught_up(cluster, lost)
        assert [call[:2] for call in copies.done] == [(lost, leader)], "what has come once is used again"
        await commit(cluster, b"and it goes on")
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=new)
    copies.calls.clear()
    copies.done.clear()
    return tuple(stood)


@pytest.mark.parametrize(("end", "sources"), ENDS)
def test_wherever_a_node_that_takes_a_snapshot_is_cut_off(
    end: Callable[[Disk], None], sources: range, seed: int, copies: Copies
) -> None:
    seen = []
    for step in count():
        drawn = sources[:2]  # each takes three nodes
        stood = [index for source in drawn for index in restored_while_running(step, end, source, seed, copies)]
        if not stood:
            break
        seen += stood
    check_seen(seen)
