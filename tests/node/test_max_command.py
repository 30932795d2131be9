"""The largest command: in the member table, raised and lowered by an entry, the same for all members and groups."""

from __future__ import annotations

import asyncio

import pytest

from raftpy import NotLeader, Timeout, TooLarge
from raftpy.members.table import MemberTable
from tests.node.harness import Cluster, play
from tests.node.served import operations
from tests.node.test_groups import Hosts
from tests.node.test_groups import play as play_groups

DEFAULT = 16 << 20
LARGEST = 32 << 20


def limits(cluster: Cluster) -> list[int]:
    return [node.max_command for node in cluster.nodes.values()]


async def same(cluster: Cluster, size: int) -> None:
    await cluster.until(lambda: limits(cluster) == [size] * 3, "the same everywhere")


async def refused(cluster: Cluster, node_id: int, size: int) -> None:
    last = cluster.nodes[node_id].status().last_index
    with pytest.raises(TooLarge, match=f"{size + 1} bytes.*at most {size} bytes"):
        await cluster.propose(node_id, bytes(size + 1))
    assert cluster.nodes[node_id].status().last_index == last


def test_all_members_take_over_what_is_set_and_refuse_what_exceeds_it(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        assert limits(cluster) == [DEFAULT] * 3
        for size in (1000, 2000, 1):
            await cluster.nodes[leader].set_max_command(size)
            assert cluster.nodes[leader].max_command == size  # at once, where it was set
            await same(cluster, size)
            await refused(cluster, leader, size)
            await cluster.propose(leader, bytes(size))
        second = leader % 3 + 1
        await cluster.nodes[second].transfer_leadership(second)
        await refused(cluster, second, 1)

    play("memory", 3, seed, scenario)


def test_it_can_be_raised_above_what_it_is_at_first(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await refused(cluster, 1, DEFAULT)
        await cluster.nodes[1].set_max_command(LARGEST)
        await refused(cluster, 1, LARGEST)
        await cluster.propose(1, bytes(DEFAULT + 1), timeout=30)
        assert [len(command) for command in cluster.machines[1].commands] == [DEFAULT + 1]

    play("memory", 1, seed, scenario)


def test_it_comes_back_after_a_restart(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].set_max_command(5000)
        for node_id in cluster.ids:
            await cluster.crash(node_id)
            await cluster.restart(node_id)
        await cluster.until(lambda: limits(cluster) == [5000] * 3, "what was set")

    play("memory", 3, seed, scenario)


def test_it_comes_back_with_a_table_that_has_no_member_yet(seed: int) -> None:
    """A leader may set it before it has put its members into the table, and a snapshot may be taken in between."""

    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        operations(cluster.nodes[1]).restore(MemberTable({}, 5000))
        assert limits(cluster) == [5000]

    play("memory", 1, seed, scenario)


def test_a_follower_takes_what_is_larger_than_the_limit_it_knows(seed: int) -> None:
    """The entry that raises the limit, and one that needs it, come to it in one message, or the former is not applied
    yet; and what is there is taken when the limit was lowered behind it."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].set_max_command(1000)
        away = leader % 3 + 1
        await cluster.crash(away)
        await cluster.nodes[leader].set_max_command(50_000)
        await cluster.propose(leader, b"large" * 10_000)
        await cluster.nodes[leader].set_max_command(2000)
        await cluster.restart(away)
        await cluster.committed(b"large" * 10_000, 3)
        await cluster.until(lambda: limits(cluster) == [2000] * 3, "the last limit")

    play("memory", 3, seed, scenario)


def test_commands_that_were_handed_in_before_it_was_lowered_are_taken(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        lowered = asyncio.ensure_future(cluster.nodes[leader].set_max_command(10))
        before = cluster.propose(leader, b"x" * 100)
        await lowered
        await before
        await refused(cluster, leader, 10)

    play("memory", 3, seed, scenario)


def test_what_is_set_already_and_several_at_a_time(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader]
        last = node.status().last_index
        await node.set_max_command(DEFAULT)
        assert node.status().last_index == last  # it says so already
        await asyncio.gather(node.set_max_command(1), node.set_priority(leader, 5), node.set_max_command(3000))
        assert node.max_command == 3000
        assert node.status().members[leader - 1].priority == 5

    play("memory", 3, seed, scenario)


def test_limits_that_cannot_be_set(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        node = cluster.nodes[leader]
        for size in (0, -1, LARGEST + 1, 1.5, True, "1"):
            with pytest.raises(ValueError, match="from 1 to 33,554,432 bytes"):
                await node.set_max_command(size)  # type: ignore[arg-type]
        with pytest.raises(NotLeader) as caught:
            await cluster.nodes[leader % 3 + 1].set_max_command(1)
        assert caught.value.leader_id == leader
        cluster.isolate(leader)
        await cluster.sleep_ms(20)
        with pytest.raises(Timeout, match=r"within 0.05 s: the largest command may or may not be set"):
            await node.set_max_command(1, timeout=0.05)
        waiting = asyncio.ensure_future(node.set_max_command(2, timeout=None))
        await asyncio.sleep(0)
        cluster.reconnect(leader)
        _ = await asyncio.wait({waiting}, timeout=10)
        assert waiting.exception() is None or isinstance(waiting.exception(), (NotLeader, Timeout))

    play("memory", 3, seed, scenario)


def test_a_leader_that_is_replaced_says_that_nobody_knows(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        cluster.disconnect(leader)
        request = asyncio.ensure_future(cluster.nodes[leader].set_max_command(1000, timeout=None))
        await cluster.sleep_ms(20)
        _, newer = await cluster.single_leader()
        assert newer > term
        cluster.reconnect(leader)
        with pytest.raises(Timeout, match="the largest command may or may not have been set"):
            await request
        await cluster.single_leader()
        assert limits(cluster) == [DEFAULT] * 3

    play("memory", 3, seed, scenario, pre_vote=False)


def test_it_holds_in_every_group_of_a_host(seed: int) -> None:
    async def scenario(all_hosts: Hosts) -> None:
        await all_hosts.propose(0, b"x")
        await all_hosts.hosts[await all_hosts.leader(0)].group(0).set_max_command(100)

        def same() -> bool:
            return all(host.group(g).max_command == 100 for host in all_hosts.hosts.values() for g in all_hosts.groups)

        await all_hosts.until(same, "the limit in all groups")
        for group in all_hosts.groups:
            leader = all_hosts.hosts[await all_hosts.leader(group)].group(group)
            with pytest.raises(TooLarge, match="at most 100 bytes"):
                await leader.propose(bytes(101))
        with pytest.raises(ValueError, match="group 0"):
            await all_hosts.hosts[1].group(1).set_max_command(5)

    play_groups(lambda: Hosts(seed, range(3)), scenario)
