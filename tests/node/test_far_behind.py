"""A follower that is far behind is fed from the store, beside the loop, and holds up nobody; so is a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from raftpy.runtime.paged_view import AHEAD_BYTES, KEPT_BYTES, PAGE_BYTES, PagedView
from raftpy.storage import MemoryStore
from tests.node.harness import Cluster, Recorder, play
from tests.node.test_commits import commit

CACHE = 64 << 10
"""Bytes of log in memory: a few hundred of the entries here."""
COMMAND = b"x" * 100


class DiskStore(MemoryStore):
    """Is read as if it asked a disk."""

    reads_in_thread = True


class Counter(Recorder):
    """The state machine: takes many commands at a time."""

    @property
    def count(self) -> int:
        return len(self.commands)

    def apply_batch(self, first: int, commands: list[bytes]) -> list[int]:
        self.indexes.extend(range(first, first + len(commands)))
        self.commands.extend(commands)
        return list(range(first, first + len(commands)))


def group(cluster: Cluster, node_id: int) -> Any:
    driver = cluster.nodes[node_id]._host.driver
    assert driver is not None
    return driver.groups[0]


def view(cluster: Cluster, node_id: int) -> PagedView:
    found = group(cluster, node_id).view
    assert isinstance(found, PagedView)
    return found


async def write(cluster: Cluster, leader: int, count: int) -> None:
    for _ in range(0, count, 1000):
        await cluster.nodes[leader].propose_many([COMMAND] * 1000)


async def commit_s(cluster: Cluster, leader: int) -> float:
    begun = cluster.clock.monotonic()
    await cluster.propose(leader, b"one")
    return cluster.clock.monotonic() - begun


def test_a_follower_100_000_entries_behind_holds_up_nobody(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        behind = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(behind)
        await write(cluster, leader, 100_000)
        await cluster.sleep_ms(1000)
        quiet = [await commit_s(cluster, leader) for _ in range(50)]
        assert view(cluster, leader).pages == 0
        cluster.reconnect(behind)
        during: list[float] = []
        most = 0
        while cluster.machines[behind].count < 100_000:
            during.append(await commit_s(cluster, leader))
            most = max(most, sum(stream.held for stream in view(cluster, leader)._streams))
        pages = 100_000 * 104 / PAGE_BYTES
        assert pages <= view(cluster, leader).pages < 2 * pages
        assert 0 < most <= PAGE_BYTES + AHEAD_BYTES + KEPT_BYTES
        assert len(during) > 20
        assert max(during) <= 1.5 * max(quiet)
        total = cluster.machines[leader].count
        await cluster.until(lambda: cluster.machines[behind].count == total, "as much as the leader has")
        await cluster.sleep_ms(3000)
        assert view(cluster, leader)._streams == []
        assert cluster.nodes[leader].status().role == "leader"

    play(
        "memory", 3, seed, scenario, machine=Counter, store=DiskStore, log_cache_bytes=CACHE, catch_up_rate=None
    )  # fmt: skip


RATE = 1 << 20
"""Bytes a second: of the commands here about ten thousand entries."""


async def left_behind(cluster: Cluster, count: int) -> tuple[int, int]:
    """A leader, and a follower that lacks so many entries and is heard again, by a leader that knows it as spare."""
    leader, _ = await cluster.single_leader()
    behind = next(i for i in cluster.ids if i != leader)
    cluster.disconnect(behind)
    await write(cluster, leader, count)
    await cluster.sleep_ms(1000)
    assert view(cluster, leader).rests == 0
    cluster.reconnect(behind)
    return leader, behind


async def seconds_until(cluster: Cluster, node_id: int, count: int) -> float:
    begun = cluster.clock.monotonic()
    while cluster.machines[node_id].count < count:
        await cluster.sleep_ms(10)
    return cluster.clock.monotonic() - begun


def play_paced(seed: int, scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    """Three members, of which one that is far behind is fed at ``RATE``."""
    play("memory", 3, seed, scenario, machine=Counter, store=DiskStore, log_cache_bytes=CACHE, catch_up_rate=RATE)


def test_a_follower_that_nobody_waits_for_is_fed_at_the_rate(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, behind = await left_behind(cluster, 50_000)
        took = await seconds_until(cluster, behind, 50_000)
        assert took > 0.9 * 50_000 * 104 / RATE
        assert took < 1.5 * 50_000 * 104 / RATE + 1
        assert view(cluster, leader).rests > 20

    play_paced(seed, scenario)


def test_it_gets_there_although_the_log_grows_faster_than_the_rate(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, behind = await left_behind(cluster, 20_000)
        written = 20_000
        while cluster.machines[behind].count < written - 2000:
            await write(cluster, leader, 1000)
            written += 1000
            await cluster.sleep_ms(50)  # twice the rate
            assert written < 60_000, cluster.machines[behind].count
        assert written > 25_000

    play_paced(seed, scenario)


def test_a_follower_without_which_nothing_is_committed_is_fed_as_fast_as_it_goes(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, behind = await left_behind(cluster, 100_000)
        (other,) = set(cluster.ids) - {leader, behind}
        cluster.disconnect(other)
        begun = cluster.clock.monotonic()
        await cluster.propose(leader, b"one")
        assert cluster.clock.monotonic() - begun < 0.5 * 100_000 * 104 / RATE
        assert cluster.machines[leader].commands[-1] == b"one"

    play_paced(seed, scenario)


def test_it_catches_up_over_a_bad_network(seed: int) -> None:
    """Lost messages begin new streams, and more leaders than one may have to read."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        behind = next(i for i in cluster.ids if i != leader)
        cluster.disconnect(behind)
        for number in range(60):
            await commit(cluster, b"%d" % number)
        cluster.reconnect(behind)
        await cluster.committed(b"59", 3)

    play(
        "memory-unreliable", 3, seed, scenario, machine=Counter, store=DiskStore, log_cache_bytes=0, max_datagram=1200
    )  # fmt: skip


def test_what_is_applied_after_a_restart_is_read_in_pages(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await write(cluster, leader, 20_000)
        await cluster.sleep_ms(500)
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        for node_id in cluster.ids:
            await cluster.restart(node_id)
        await cluster.until(lambda: all(m.count == 20_000 for m in cluster.machines.values()), "all of it again")
        for node_id in cluster.ids:
            assert view(cluster, node_id).pages >= 20_000 * 104 / PAGE_BYTES
        leader, _ = await cluster.single_leader()
        await cluster.propose(leader, b"one")

    play("memory", 3, seed, scenario, machine=Counter, store=DiskStore, log_cache_bytes=CACHE)


def test_a_store_that_asks_no_disk_is_read_at_once(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        assert not hasattr(group(cluster, leader).view, "entries_at_hand")

    play("memory", 3, seed, scenario, machine=Counter, log_cache_bytes=CACHE)
