"""A follower behind the log is brought up by a snapshot that comes over the network, be it good or bad."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from raftpy.contracts.executor import Thread
from raftpy.runtime.snapshot_source import Allowance
from raftpy.storage.snapshots.names import whole_name
from tests.node.harness import KINDS, Cluster, play
from tests.node.steps import LoopSteps
from tests.node.test_commits import commit
from tests.node.test_installing import caught_up
from tests.node.test_installing import leave_behind as leave_behind_a_cut_log
from tests.node.words import Words

LARGE = b"x" * 60_000


async def leave_behind(cluster: Cluster, lost: int, words: int = 3, large: int = 0) -> None:
    """Goes on without the node until the others' logs begin behind its own."""
    holds = cluster.nodes[lost].status().last_index
    cluster.disconnect(lost)
    for number in range(words):
        await commit(cluster, b"without it %d" % number, *(b"%d %d " % (number, i) + LARGE for i in range(large)))
        for node_id in cluster.connected:
            await cluster.nodes[node_id].snapshot()
    await cluster.until(
        lambda: all(cluster.nodes[i].status().first_index > holds + 1 for i in cluster.connected), "logs are cut"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await commit(cluster, b"before")
        await leave_behind(cluster, lost)
        cluster.reconnect(lost)
        await caught_up(cluster, lost)
        assert cluster.machines[lost].restored
        await commit(cluster, b"afterwards")
        await caught_up(cluster, lost)

    play(kind, 3, seed, scenario, machine=Words, trailing_bytes=0)


@pytest.mark.parametrize("leads", [False, True], ids=["follower", "leader"])
def test_one_of_the_two_is_killed_while_it_comes(seed: int, *, leads: bool) -> None:
    """A megabyte at that many a second: it takes its time. The follower goes on with what it had; another leader gives
    what it has."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await leave_behind(cluster, lost, large=10)
        cluster.reconnect(lost)

        def coming() -> bool:
            snapshot = cluster.nodes[lost].status().incoming_snapshot
            return snapshot is not None and snapshot.position > 200_000

        await cluster.until(coming, "some of it is here")
        assert not cluster.machines[lost].restored
        killed = leader if leads else lost
        await cluster.crash(killed)
        await asyncio.sleep(1)
        await cluster.restart(killed)
        await caught_up(cluster, lost)
        assert cluster.machines[lost].restored
        await commit(cluster, b"afterwards")
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0, snapshot_rate=1 << 20)


def test_a_damaged_one_of_the_leaders_is_noticed_and_another_one_taken(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Though nothing is proposed any more, so that the new one is of the same entry."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await leave_behind(cluster, lost, large=2)
        group = cluster.nodes[leader]._running
        ref = cluster.nodes[leader]._host.storage.snapshots.refs(0)[0]
        cluster.disks[leader].snapshots.held[whole_name(ref)][-100_000] ^= 1
        cluster.reconnect(lost)
        await asyncio.sleep(40)
        await caught_up(cluster, lost)
        assert (await cluster.single_leader())[0] == leader, "else another one has given its own"
        assert group.snapshots.newest == ref.index
        assert cluster.machines[lost].restored
        lines = [record.getMessage() for record in caplog.records if "another one is taken" in record.getMessage()]
        assert len(lines) == 1
        assert lines[0].startswith(f"node {leader}: ")

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0)


def test_a_rate_always_lets_time_pass_until_it_allows_more() -> None:
    """However little is missing: a clock that does not move by so little would be asked for ever."""
    for now in (0.1, 1e5 + 0.1):
        allowance = Allowance(1 << 20, now)
        for size in (262_144, 99_999, 1_000_003):
            while (wait_s := allowance.take(size, now)) > 0:
                assert now + wait_s > now
                now += wait_s


def test_two_at_once(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        first, second = [i for i in cluster.ids if i != leader][:2]
        cluster.disconnect(second)
        await leave_behind(cluster, first, large=5)
        for node_id in (first, second):
            cluster.reconnect(node_id)
        for node_id in (first, second):
            await caught_up(cluster, node_id)
            assert cluster.machines[node_id].restored
        assert await cluster.single_leader() == (leader, term)

    play("memory", 5, seed, scenario, machine=Words, trailing_bytes=0, snapshot_rate=1 << 20)


def test_a_cluster_that_takes_snapshots_all_the_time_brings_up_who_is_behind(seed: int) -> None:
    """Every snapshot is another one, and the one that comes is kept until it is here."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        await leave_behind(cluster, lost, large=5)
        cluster.reconnect(lost)
        number = 0
        while not cluster.machines[lost].restored:
            await commit(cluster, b"more %d" % number, nodes=2)
            for node_id in cluster.connected:
                if node_id != lost:
                    await cluster.nodes[node_id].snapshot()
            await asyncio.sleep(0.05)
            number += 1
            assert number < 500
        await caught_up(cluster, lost)

    play("memory", 3, seed, scenario, machine=Words, trailing_bytes=0, snapshot_rate=1 << 20)


@pytest.mark.parametrize(
    ("slow", "call"),
    [("raftpy fetch", 2), ("raftpy fetch", 3), ("raftpy fetch", 4), ("raftpy restoring", 1)],
    ids=["what there is", "written", "read back", "read back once more"],
)
def test_whose_disk_takes_long_is_not_taken_for_one_who_has_given_up(
    seed: int, slow: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call takes twenty seconds, as reading some gigabytes does; the leader takes another snapshot each second. It
    goes on to keep the one that it has offered, and the log behind it."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lost = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(lost)
        await leave_behind_a_cut_log(cluster, lost)
        node = cluster.nodes[lost]
        steps = node._host.executor
        assert isinstance(steps, LoopSteps)
        start = steps.start
        calls: list[str] = []

        def start_late(name: str, run: Callable[[], object]) -> Thread:
            if name.startswith(slow):
                calls.append(name)
                if len(calls) == call:
                    cluster.clock.call_later(20, lambda: start(name, run))
                    return Late()
            return start(name, run)

        monkeypatch.setattr(steps, "start", start_late)
        cluster.reconnect(lost)

        async def more() -> None:
            number = 0
            while True:
                await commit(cluster, b"more %d" % number, nodes=2)
                await cluster.nodes[leader].snapshot()
                await asyncio.sleep(1)
                number += 1

        busy = asyncio.ensure_future(more())
        await asyncio.sleep(30)
        busy.cancel()
        assert node.status().first_index > 1
        await caught_up(cluster, lost)
        assert len(calls) < 7, "it was fetched once"
        assert len(cluster.machines[lost].restored) == 1

    play("memory", 3, seed, scenario, machine=Words)


class Late:
    """A thread that has not begun."""

    def join(self) -> None:
        """Nobody waits for it here."""
