"""Snapshots of a state machine that keeps its state on a disk of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftpy import Node, StorageDamaged
from raftpy.contracts.snapshots import complete
from raftpy.storage.snapshots.names import whole_name
from tests.node.lone import Lone
from tests.node.loop import run
from tests.node.words import WordsDisk, WordsOnDisk


def test_a_machine_on_disk_is_given_only_what_it_has_not() -> None:
    async def main() -> None:
        disk = WordsDisk()
        lone = Lone(lambda: WordsOnDisk(disk))
        node = await lone.start()
        await lone.propose(b"a", b"b")
        lone.machine.sync()
        later = await lone.propose(b"c")
        await lone.restart()
        assert lone.machine.given == later
        assert lone.machine.restored == []
        assert lone.machine.commands == [b"a", b"b", b"c"]
        node = lone.node
        await node.snapshot()
        later = await lone.propose(b"d")
        await node.snapshot()
        lone.machine.sync()
        last = await lone.propose(b"e")
        await lone.restart()
        assert lone.machine.given == last
        assert lone.machine.restored == []
        assert lone.machine.commands == [b"a", b"b", b"c", b"d", b"e"]
        await lone.stop()

    run(main())


def test_the_log_is_never_cut_beyond_what_a_machine_on_disk_has_synced() -> None:
    async def main() -> None:
        disk = WordsDisk()

        class Lazy(WordsOnDisk):
            def sync(self) -> int:
                return self.disk.applied

        lone = Lone(lambda: Lazy(disk))
        node = await lone.start()
        for word in (b"a", b"b", b"c"):
            await lone.propose(word)
            await node.snapshot()
        await asyncio.sleep(0.1)
        assert lone.log[0] == 1
        WordsOnDisk.sync(lone.machine)
        await lone.propose(b"d")
        await node.snapshot()
        await asyncio.sleep(0.1)
        assert 1 < lone.log[0] <= disk.applied + 1
        await lone.stop()

    run(main())


def test_a_machine_on_disk_that_fell_behind_the_log_is_restored_and_may_be_cut_off_in_it() -> None:
    class Killed(Exception):
        pass

    async def main() -> None:
        disk = WordsDisk()
        lone = Lone(lambda: WordsOnDisk(disk))
        node = await lone.start()
        for word in (b"a", b"b", b"c"):
            await lone.propose(word)
            await node.snapshot()
        await asyncio.sleep(0.1)
        words = list(lone.machine.words)
        assert lone.log[0] > 1
        disk.words, disk.applied = [], 0  # its own disk was lost

        class Dying(WordsOnDisk):
            def restore(self, saved: Any) -> None:
                saved.read(5)
                raise Killed

        lone.make = lambda: Dying(disk)
        with pytest.raises(Killed):
            await lone.restart()
        lone.make = lambda: WordsOnDisk(disk)
        await lone.start()
        assert lone.machine.words == words
        assert lone.machine.restored
        await lone.stop()

    run(main())


def test_a_machine_on_disk_beyond_the_log_is_damage() -> None:
    async def main() -> None:
        disk = WordsDisk(applied=1000)
        lone = Lone(lambda: WordsOnDisk(disk))
        with pytest.raises(StorageDamaged, match="applied entries up to 1000"):
            await lone.start()

    run(main())


def test_a_machine_on_disk_may_come_to_a_snapshot_that_is_there() -> None:
    async def main() -> None:
        disk = WordsDisk()
        lone = Lone(lambda: WordsOnDisk(disk))
        node = await lone.start()
        await lone.propose(b"a")
        await node.snapshot()
        await lone.propose(b"b", b"c")
        index = await node.snapshot()
        # As after a start from the older one, with the machine between the two.
        node._running.snapshots._newest = index - 2
        assert await node.snapshot() == index
        assert node.status().snapshot_index == index
        assert len(lone.files) == 2
        await lone.stop()

    run(main())


def test_one_that_is_there_and_damaged_is_taken_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has read it back since the start: it is not said to be there before that."""

    async def main() -> None:
        disk = WordsDisk()
        lone = Lone(lambda: WordsOnDisk(disk))
        node = await lone.start()
        await lone.propose(b"a")
        await node.snapshot()
        await lone.propose(b"b", b"c")
        index = await node.snapshot()
        snapshots = node._host.storage.snapshots
        ref = snapshots.refs(0)[0]
        lone.disk.snapshots.held[whole_name(ref)][-60] ^= 1
        node._running.snapshots._newest = index - 2
        assert await node.snapshot() == index
        assert complete(snapshots.verify(ref)).file.ref == ref
        assert caplog.text.count("another one is taken") == 1
        await lone.stop()

    run(main())


def applied_of(node: Node) -> int:
    """How far it has handed entries to its machine, 0 before it does so."""
    driver = node._host.driver
    return 0 if driver is None or not driver.groups else driver.groups[0].applying.applied


def test_none_is_taken_while_what_the_machine_had_before_is_passed_over() -> None:
    """Its state is further on than the entries that were handed to it so far: the snapshot would say otherwise."""

    async def main() -> None:
        disk = WordsDisk()
        lone = Lone(lambda: WordsOnDisk(disk))
        await lone.start()
        for number in range(6):
            await lone.propose(bytes([number]) * 900_000)
        lone.machine.sync()
        words = list(disk.words)
        before = lone.node
        starting = asyncio.ensure_future(lone.restart())
        while lone.node is before or not 0 < applied_of(lone.node) < disk.applied:
            assert not starting.done()
            await asyncio.sleep(0)
        assert await lone.node.snapshot() >= disk.applied
        await starting
        disk.words, disk.applied = [], 0  # it is lost: all of it comes from the snapshot and what is behind that
        await lone.restart()
        await asyncio.sleep(1)
        assert lone.machine.words == words
        await lone.stop()

    run(main())


class CannotSync(WordsOnDisk):
    """Raises when it is to sync, while it ``fails``; and never syncs by itself."""

    fails = False

    def sync(self) -> int:
        if self.fails:
            raise ZeroDivisionError
        return self.disk.applied


def test_a_cut_that_fails_does_not_put_the_next_snapshot_off() -> None:
    async def main() -> None:
        disk = WordsDisk()

        lone = Lone(lambda: CannotSync(disk))
        lone.settings = {"snapshot_entries": 2}
        node = await lone.start()
        for word in (b"a", b"b"):
            await lone.propose(word)
            await node.snapshot()
        lone.machine.fails = True
        await asyncio.sleep(30)
        assert node.status().snapshot_failure == "ZeroDivisionError()"
        await lone.propose(b"c", b"d")
        await asyncio.sleep(2)
        assert node.status().snapshot_index == node.status().applied_index
        await lone.stop()

    run(main())


def test_a_machine_that_cannot_sync_costs_the_cut_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        disk = WordsDisk()

        lone = Lone(lambda: CannotSync(disk))
        node = await lone.start()
        for word in (b"a", b"b"):
            await lone.propose(word)
            await node.snapshot()
        lone.machine.fails = True
        await asyncio.sleep(30)
        assert caplog.text.count("no new snapshot, or the log not cut behind it") == 1
        assert node.status().snapshot_failure == "ZeroDivisionError()"
        await lone.propose(b"c")
        lone.machine.fails = False
        WordsOnDisk.sync(lone.machine)
        await asyncio.sleep(60)
        assert lone.log[0] > 1
        assert node.failed is None
        assert node.status().snapshot_failure is None
        await lone.stop()

    run(main())
