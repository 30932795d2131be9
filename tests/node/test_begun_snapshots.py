"""A follower that has a part of a snapshot goes on with that one, though its leader has newer ones by then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftpy.contracts.snapshots import SnapshotRef
from raftpy.runtime.fetching import WINDOW
from raftpy.runtime.installing import MOST_ANSWERED
from raftpy.runtime.snapshot_source import IDLE_S
from tests.node.harness import Cluster, play
from tests.node.test_commits import commit
from tests.node.test_installing import caught_up, cut
from tests.node.words import Words

LARGE = b"x" * 60_000
RATE = 1 << 20
ENOUGH = 2_000_000
"""Bytes that are here when something befalls the one or the other: about two thirds of them."""


async def leave_behind(cluster: Cluster, lost: int) -> None:
    """Goes on without the node for three megabytes, until the others' logs begin behind its own."""
    cluster.disconnect(lost)
    for number in range(5):
        await commit(cluster, *(b"%d %d " % (number, i) + LARGE for i in range(10)))
    await take_snapshots(cluster, lost)
    for node_id in cluster.connected:
        cut(cluster, node_id)


async def take_snapshots(cluster: Cluster, lost: int, times: int = 1) -> None:
    """The others do, and each time there is something more in them."""
    for number in range(times):
        if number:
            await commit(cluster, b"still more %d" % number, nodes=2)
        for node_id in cluster.connected:
            if node_id != lost:
                await cluster.nodes[node_id].snapshot()


async def on_its_way(cluster: Cluster) -> tuple[int, int, SnapshotRef]:
    """The leader, a follower that receives its snapshot, and which one that is."""
    leader, _ = await cluster.single_leader()
    lost = next(i for i in cluster.ids if i != leader)
    await leave_behind(cluster, lost)
    cluster.reconnect(lost)

    def coming() -> bool:
        snapshot = cluster.nodes[lost].status().incoming_snapshot
        return snapshot is not None and snapshot.position > ENOUGH

    await cluster.until(coming, "most of it is here")
    begun = cluster.nodes[lost]._host.storage.snapshots.begun(0)
    assert begun is not None
    return leader, lost, begun.ref


def installed(caplog: pytest.LogCaptureFixture, node_id: int) -> list[str]:
    """What the node has restored its state from, in its own words."""
    start = f"node {node_id}: restored from the snapshot of "
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith(start)]
    return [line.removeprefix(start).rpartition(", ")[0] for line in lines]


def source(cluster: Cluster, node_id: int) -> Any:
    return cluster.nodes[node_id]._host.driver.fetching.given


def test_a_follower_that_was_restarted(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """The leader has kept it, with the log behind it, and gives no more of it than was missing."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost, begun = await on_its_way(cluster)
        await cluster.crash(lost)
        await asyncio.sleep(15)
        assert cluster.nodes[leader]._running.raw.pending_snapshots() == [], "the leader has given it up"
        await take_snapshots(cluster, lost, times=4)
        assert cluster.nodes[leader]._host.storage.snapshots.refs(0)[-1] == begun
        await cluster.restart(lost)
        await caught_up(cluster, lost)
        assert installed(caplog, lost) == [str(begun)]
        size = sum(len(word) for word in cluster.machines[leader].commands)
        assert source(cluster, leader).given < size + 1.5 * WINDOW < size + ENOUGH, "what was under way went twice"
        assert (await cluster.single_leader())[0] == leader
        # It is needed no more.
        await commit(cluster, b"afterwards")
        await cluster.nodes[leader].snapshot()
        assert begun not in cluster.nodes[leader]._host.storage.snapshots.refs(0)

    with caplog.at_level("INFO", "raftpy"):
        play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)


def test_a_follower_that_was_restarted_at_once_goes_on_at_once(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """The leader hears that it has begun anew, and waits no longer for what its former life has asked for."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost, begun = await on_its_way(cluster)
        await cluster.crash(lost)
        await cluster.restart(lost)
        raw = cluster.nodes[leader]._running.raw
        assert [node_id for node_id, _ in raw.pending_snapshots()] == [lost]
        await asyncio.sleep(1)
        coming = cluster.nodes[lost].status().incoming_snapshot
        assert coming is not None, "what it is offered is being received"
        await caught_up(cluster, lost)
        assert installed(caplog, lost) == [str(begun)]

    with caplog.at_level("INFO", "raftpy"):
        play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)


def test_what_it_tells_its_leader_is_told_again_where_that_was_lost(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: Cluster) -> None:
        _, lost, begun = await on_its_way(cluster)
        await cluster.crash(lost)
        await commit(cluster, b"more", nodes=2)
        await take_snapshots(cluster, lost)
        await asyncio.sleep(15)
        await cluster.restart(lost)
        installing = cluster.nodes[lost]._running.installing
        say, told = installing._say, []

        def lose_the_first(node_id: int, ref: SnapshotRef) -> None:
            told.append(ref)
            if len(told) > 1:
                say(node_id, ref)

        installing._say = lose_the_first
        await caught_up(cluster, lost)
        assert installed(caplog, lost) == [str(begun)]
        assert told[:2] == [begun, begun]

    with caplog.at_level("INFO", "raftpy"):
        play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)


def test_a_leader_that_was_restarted(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever leads then has it as well, and offers it when it hears what the follower has, not its newest one."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost, begun = await on_its_way(cluster)
        await commit(cluster, b"more", nodes=2)
        await take_snapshots(cluster, lost)
        await cluster.crash(leader)
        await asyncio.sleep(1)
        await cluster.restart(leader)
        await caught_up(cluster, lost)
        assert installed(caplog, lost) == [str(begun)]

    with caplog.at_level("INFO", "raftpy"):
        play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)


def test_one_that_the_leader_has_no_more(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """It says so, the follower takes the newest, and nothing is left of what it had."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost, begun = await on_its_way(cluster)
        await cluster.crash(lost)
        await commit(cluster, b"more", nodes=2)
        await take_snapshots(cluster, lost, times=2)
        snapshots = cluster.nodes[leader]._host.storage.snapshots
        snapshots.discard(begun)
        await asyncio.sleep(1.5 * IDLE_S)  # its file is closed by then
        newest = snapshots.refs(0)[0]
        await cluster.restart(lost)
        await cluster.until(lambda: installed(caplog, lost), "it was brought up")
        assert installed(caplog, lost) == [str(newest)]
        assert cluster.nodes[lost]._host.storage.snapshots.begun(0) is None

    with caplog.at_level("INFO", "raftpy"):
        play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)


def test_one_behind_which_the_leaders_log_does_not_go_on(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """It has the file still, and may not offer it: what follows could not be sent."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost, begun = await on_its_way(cluster)
        await cluster.crash(lost)
        await commit(cluster, b"more", nodes=2)
        await take_snapshots(cluster, lost)
        assert cut(cluster, leader) > begun.index
        assert begun in cluster.nodes[leader]._host.storage.snapshots.refs(0)
        await asyncio.sleep(15)
        newest = cluster.nodes[leader]._host.storage.snapshots.refs(0)[0]
        await cluster.restart(lost)
        await cluster.until(lambda: installed(caplog, lost), "it was brought up")
        assert installed(caplog, lost) == [str(newest)]

    with caplog.at_level("INFO", "raftpy"):
        play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)


def test_a_network_that_is_cut_again_and_again(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each time for longer than the leader waits, which offers its newest one then."""

    async def scenario(cluster: Cluster) -> None:
        _, lost, begun = await on_its_way(cluster)
        at = ENOUGH

        def goes_on() -> bool:
            snapshot = cluster.nodes[lost].status().incoming_snapshot
            return snapshot is not None and snapshot.position > at

        for number in range(3):
            cluster.disconnect(lost)
            await commit(cluster, b"more %d" % number, nodes=2)
            await take_snapshots(cluster, lost)
            await asyncio.sleep(20)
            cluster.reconnect(lost)
            at += 150_000
            await cluster.until(lambda: goes_on() or installed(caplog, lost), "more of it is here")
        await caught_up(cluster, lost)
        assert installed(caplog, lost) == [str(begun)]

    with caplog.at_level("INFO", "raftpy"):
        play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)


def test_a_leader_is_not_asked_for_ever(seed: int) -> None:
    """One that offers what it is asked for and then does not give it, whatever the reason."""

    async def scenario(cluster: Cluster) -> None:
        leader, lost, begun = await on_its_way(cluster)
        installing = cluster.nodes[lost]._running.installing
        said: list[SnapshotRef] = []
        installing._say = lambda node_id, ref: said.append(ref)
        offer = installing.offer
        newest = cluster.nodes[leader]._running.view.newest
        assert offer is not None
        assert newest is not None
        other = type(offer)(
            offer.type, to=offer.to, from_=offer.from_, term=offer.term,
            snapshot=type(newest)(newest.index + 1, newest.term, newest.conf_state, newest.conf_index),
        )  # fmt: skip
        for _ in range(MOST_ANSWERED):
            assert installing._has_another(other)
            assert not installing._has_another(other), "once, as long as it does not offer that one"
            assert not installing._has_another(offer)
        assert not installing._has_another(other)
        assert said == [begun] * MOST_ANSWERED

    play("memory", 3, seed, scenario, machine=Words, snapshot_rate=RATE)
