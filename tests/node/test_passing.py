"""A node that lacks descriptors, memory or threads for a moment goes on, says so, and does later what it could not.

Its store's side of it is in tests/storage/test_passing.py.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

from raftcore import Entries
from raftcore.base.errors import LogTemporarilyUnavailable
from raftpy.contracts.errors import RestoreFailed, SnapshotFailed
from raftpy.contracts.executor import Thread
from raftpy.contracts.snapshots import SnapshotReader, SnapshotRef
from raftpy.storage.snapshots.store import SnapshotStore
from tests.node.copying import Copies
from tests.node.harness import Cluster, play
from tests.node.steps import LoopSteps
from tests.node.test_far_behind import CACHE, Counter, DiskStore, write
from tests.node.test_installing import caught_up, copies, leave_behind, of
from tests.node.test_pulling import cut_all, has_its_state, lose
from tests.node.test_restoring import Given, log, on_disk
from tests.node.words import Words

__all__ = ["copies"]


class Lacking(DiskStore):
    """Reads nothing of its log while ``lacks`` is set; how often it was asked then."""

    lacks = False
    refused = 0

    def group(self, group_id: int) -> Any:
        found = super().group(group_id)
        entries = found.entries

        def read(lo: int, hi: int, max_bytes: int) -> Entries:
            if Lacking.lacks:
                Lacking.refused += 1
                raise LogTemporarilyUnavailable("reading group 0: [Errno 24] Too many open files")
            given: Entries = entries(lo, hi, max_bytes)
            return given

        found.entries = read
        return found


@pytest.fixture(autouse=True)
def has_all() -> None:
    Lacking.lacks, Lacking.refused = False, 0


def said(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [line.getMessage() for line in caplog.records if words in line.getMessage()]


class TestReadingTheLog:
    def test_a_follower_that_is_far_behind_is_fed_later(self, seed: int, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "raftpy")

        async def scenario(cluster: Cluster) -> None:
            leader, _ = await cluster.single_leader()
            behind = next(i for i in cluster.ids if i != leader)
            cluster.disconnect(behind)
            await write(cluster, leader, 20_000)
            await cluster.sleep_ms(1000)
            Lacking.lacks = True
            cluster.reconnect(behind)
            await cluster.until(lambda: Lacking.refused > 10, "it is tried again and again")
            await cluster.sleep_ms(5000)
            assert cluster.machines[behind].count < 20_000
            assert cluster.nodes[leader].failed is None
            await cluster.propose(leader, b"the others go on")
            assert len(said(caplog, "the log cannot be read for now")) == 1
            assert Lacking.refused < 100, "ten times a second"
            Lacking.lacks = False
            await cluster.until(lambda: cluster.machines[behind].count == 20_001, "it has caught up")
            assert (await cluster.single_leader())[0] == leader

        play("memory", 3, seed, scenario, machine=Counter, store=Lacking, log_cache_bytes=CACHE)

    def test_what_a_restart_applies_is_applied_later(self, seed: int) -> None:
        async def scenario(cluster: Cluster) -> None:
            leader, _ = await cluster.single_leader()
            await write(cluster, leader, 2_000)
            await cluster.sleep_ms(500)
            await cluster.crash(leader)
            Lacking.lacks = True
            await cluster.restart(leader)
            await cluster.until(lambda: Lacking.refused > 10, "it is tried again and again")
            assert cluster.nodes[leader].failed is None
            assert cluster.machines[leader].count == 0
            Lacking.lacks = False
            await cluster.until(lambda: cluster.machines[leader].count == 2_000, "all of it again")

        play("memory", 3, seed, scenario, machine=Counter, store=Lacking, log_cache_bytes=CACHE)

    def test_a_stop_waits_for_nothing(self, seed: int) -> None:
        async def scenario(cluster: Cluster) -> None:
            leader, _ = await cluster.single_leader()
            await write(cluster, leader, 2_000)
            await cluster.crash(leader)
            Lacking.lacks = True
            await cluster.restart(leader)
            await cluster.until(lambda: Lacking.refused > 2, "it is tried again")
            reading = cluster.nodes[leader]._host.driver.reading
            await cluster.nodes[leader].stop()
            refused = Lacking.refused
            await cluster.sleep_ms(2000)
            assert Lacking.refused == refused
            assert reading._waiting == []

        play("memory", 3, seed, scenario, machine=Counter, store=Lacking, log_cache_bytes=CACHE)

    def test_a_snapshot_is_taken_later(self, seed: int) -> None:
        """The time of the last entry stands in the log alone."""

        async def scenario(cluster: Cluster) -> None:
            leader, _ = await cluster.single_leader()
            await cluster.propose(leader, b"one")
            Lacking.lacks = True
            with pytest.raises(SnapshotFailed, match="Too many open files"):
                await cluster.nodes[leader].snapshot()
            assert "Too many open files" in str(cluster.nodes[leader].status().snapshot_failure)
            Lacking.lacks = False
            assert await cluster.nodes[leader].snapshot() == cluster.nodes[leader].status().applied_index
            assert cluster.nodes[leader].status().snapshot_failure is None

        play("memory", 3, seed, scenario, machine=Words, store=Lacking)


class Opening:
    """Opening a snapshot fails with ``number`` as long as ``times`` are left, once ``begun``."""

    def __init__(self, number: int = errno.EMFILE, times: int = 3) -> None:
        self.number, self.times = number, times
        self.begun: Callable[[], bool] = lambda: True

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = SnapshotStore.open

        def open_it(snapshots: SnapshotStore, ref: SnapshotRef) -> SnapshotReader:
            if self.times and self.begun():
                self.times -= 1
                raise SnapshotFailed(str(ref), "opening it failed") from OSError(self.number, os.strerror(self.number))
            return opened(snapshots, ref)

        monkeypatch.setattr(SnapshotStore, "open", open_it)


async def left_behind(cluster: Cluster, copies: Copies) -> int:
    """A follower that hears nobody, and needs a snapshot by now."""
    of(cluster, copies)
    leader, _ = await cluster.single_leader()
    lost = next(i for i in cluster.ids if i != leader)
    cluster.disconnect(lost)
    await leave_behind(cluster, lost)
    return lost


class TestRestoring:
    def test_in_the_place_of_the_log(
        self, seed: int, copies: Copies, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log is the leader's snapshot by then, and the state machine has to follow."""
        opening = Opening(times=5)

        async def scenario(cluster: Cluster) -> None:
            lost = await left_behind(cluster, copies)
            opening.begun = lambda: cluster.nodes[lost].status().first_index > 1
            opening.use(monkeypatch)
            cluster.reconnect(lost)
            await caught_up(cluster, lost)
            assert opening.times == 0
            assert cluster.nodes[lost].failed is None
            assert len(said(caplog, "restoring waits, and is tried again")) == 1

        play("memory", 3, seed, scenario, machine=Words)

    def test_without_room_for_a_thread(self, seed: int, copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
        async def scenario(cluster: Cluster) -> None:
            lost = await left_behind(cluster, copies)
            node = cluster.nodes[lost]
            steps = node._host.executor
            assert isinstance(steps, LoopSteps)
            start, left = steps.start, [3]

            def refuse(name: str, run: Callable[[], object]) -> Thread:
                if name.startswith("raftpy restoring") and node.status().first_index > 1 and left[0]:
                    left[0] -= 1
                    raise RuntimeError("can't start new thread")
                return start(name, run)

            monkeypatch.setattr(steps, "start", refuse)
            cluster.reconnect(lost)
            await caught_up(cluster, lost)
            assert left == [0]

        play("memory", 3, seed, scenario, machine=Words)

    def test_a_disk_that_does_not_give_it_stops_the_node_as_before(
        self, seed: int, copies: Copies, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opening = Opening(errno.EIO, times=1)

        async def scenario(cluster: Cluster) -> None:
            lost = await left_behind(cluster, copies)
            opening.begun = lambda: cluster.nodes[lost].status().first_index > 1
            opening.use(monkeypatch)
            cluster.reconnect(lost)
            error = await cluster.until(lambda: cluster.nodes[lost].failed, "the node has stopped")
            assert isinstance(error, RestoreFailed)
            await cluster.crash(lost)

        play("memory", 3, seed, scenario, machine=Words)

    def test_a_stop_does_not_wait_for_it(self, seed: int, copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
        opening = Opening(times=1 << 30)

        async def scenario(cluster: Cluster) -> None:
            lost = await left_behind(cluster, copies)
            opening.begun = lambda: cluster.nodes[lost].status().first_index > 1
            opening.use(monkeypatch)
            cluster.reconnect(lost)
            await cluster.until(lambda: opening.times < (1 << 30) - 2, "it is tried again")
            task = cluster.nodes[lost]._running.installing._task
            assert task is not None
            opening.begun = lambda: True
            await cluster.nodes[lost].stop()
            await asyncio.sleep(0)
            assert task.done()

        play("memory", 3, seed, scenario, machine=Words)

    def test_of_a_node_that_lacks_its_state(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        opening = Opening(times=6)

        async def scenario(cluster: Cluster) -> None:
            leader, _ = await cluster.single_leader()
            await cut_all(cluster, cluster.ids)
            lost = next(i for i in cluster.ids if i != leader)
            await lose(cluster, lost)
            opening.begun = lambda: cluster.nodes[lost]._running.pulling.size is not None  # it is here, and whole
            opening.use(monkeypatch)
            await has_its_state(cluster, lost)
            assert opening.times == 0

        play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


class TestAStart:
    """It says what it lacked; it neither calls that damage nor goes without its state."""

    @pytest.mark.parametrize("others", [False, True])
    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
    def test_what_it_cannot_read_is_not_damaged(
        self, number: int, monkeypatch: pytest.MonkeyPatch, *, others: bool
    ) -> None:
        """Nor is another node asked for it, where there is one."""
        given = Given(10, 20)
        folder_open = type(given.folder).open

        def refuse(*_: object) -> object:
            raise SnapshotFailed("10", "opening it failed") from OSError(number, os.strerror(number))

        monkeypatch.setattr(type(given.folder), "open", refuse)
        with pytest.raises(SnapshotFailed, match="opening it failed"):
            given.start(Words(), log(10, 30), others=others)
        monkeypatch.setattr(type(given.folder), "open", folder_open)
        assert given.start(Words(), log(10, 30)).applied == 20

    def test_a_log_that_is_whole_needs_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given = Given(10, 20)

        def refuse(*_: object) -> object:
            raise SnapshotFailed("10", "opening it failed") from OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(type(given.folder), "open", refuse)
        assert given.start(Words(), log(0, 30)).applied == 0
        assert given.start(on_disk(25), log(0, 30)).known == 25
