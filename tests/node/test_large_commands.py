"""Commands that no datagram holds: proposed, sent in fragments, committed and applied like any other."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from raftpy import Config, Node, NotLeader, Timeout, TooLarge
from raftpy.transport import Unreliable
from tests.node.harness import Cluster, Recorder, _free_addresses, play

BAD = Unreliable(delay_ms=(0.1, 2), drop_rate=0.05, long_delay_rate=0.01, duplicate_rate=0.05, reorder_rate=0.05)
"""Five in a hundred datagrams are lost, as many come twice, and as many are overtaken for certain."""


def large(size: int, seed: int = 0) -> bytes:
    return random.Random(f"large {seed}").randbytes(size)


async def proposed(cluster: Cluster, size: int) -> bytes:
    """A command of that size that was committed; where the leadership was lost meanwhile, not the first one."""
    for number in range(20):
        leader, _ = await cluster.single_leader()
        try:
            await cluster.propose(leader, large(size, number), timeout=20)
        except (NotLeader, Timeout):
            continue
        return large(size, number)
    raise AssertionError(f"no command of {size} bytes was committed; seed {cluster.seed}")


@pytest.mark.parametrize("datagram", [1200, 60_000])
def test_large_commands_are_committed_over_a_bad_network(seed: int, datagram: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.network.unreliable = BAD
        for size in (datagram + 1, 300_000, 2_000):
            await cluster.committed(await proposed(cluster, size), 3)

    play("memory", 3, seed, scenario, max_datagram=datagram, check_quorum=True, pre_vote=True)


def test_no_election_starts_while_a_large_command_is_sent(seed: int) -> None:
    """Heartbeats, their answers and small appends overtake it, on links that take several election timeouts for it."""

    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        begun = cluster.clock.monotonic()
        cluster.network.unreliable = Unreliable(delay_ms=(40, 40), long_delay_rate=0, drop_rate=0)
        proposal = cluster.propose(leader, large(4 << 20), timeout=60)
        small = [cluster.propose(leader, b"small %d" % number, timeout=60) for number in range(10)]
        await proposal
        assert cluster.clock.monotonic() - begun > 0.5
        for each in small:
            await each
        assert await cluster.single_leader() == (leader, term)
        await cluster.committed(large(4 << 20), 3)

    play("memory", 3, seed, scenario, max_datagram=1200)


def test_a_follower_that_was_away_is_sent_what_it_missed(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        away = next(i for i in cluster.ids if i != leader)
        await cluster.crash(away)
        commands = [await proposed(cluster, size) for size in (100, 100_000, 5_000, 200, 500_000)]
        await cluster.restart(away)
        for command in commands:
            await cluster.committed(command, 3)

    play("memory-unreliable", 3, seed, scenario, max_datagram=1200)


def test_the_leader_is_lost_in_the_middle_of_a_large_command(seed: int) -> None:
    """It may be committed or not; the others go on, and the old leader's fragments do nothing afterwards."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        cluster.network.unreliable = Unreliable(delay_ms=(5, 5), long_delay_rate=0, drop_rate=0)
        lost = cluster.propose(leader, large(3 << 20), timeout=0.1)
        await cluster.sleep_ms(60)
        cluster.disconnect(leader)
        with pytest.raises(Timeout):
            await lost
        second, _ = await cluster.single_leader()
        await cluster.propose(second, b"after", timeout=20)
        cluster.reconnect(leader)
        await cluster.committed(b"after", 3)
        await cluster.propose(second, large(100_000), timeout=20)
        await cluster.committed(large(100_000), 3)

    play("memory", 3, seed, scenario, max_datagram=1200)


def test_the_largest_command_over_loopback_with_leveldb(tmp_path: Path) -> None:
    """16 MiB, on three nodes with a store on disk each; and again after a restart."""
    command = large(16 << 20)

    async def main() -> None:
        addresses = _free_addresses(3)
        machines = {i: Recorder() for i in addresses}

        def node(i: int) -> Node:
            machines[i] = Recorder()
            return Node(Config(id=i, cluster=addresses, data_dir=tmp_path / str(i)), machines[i])

        nodes = {i: node(i) for i in addresses}
        for each in nodes.values():
            await each.start()
        try:
            leader = await nodes[1].wait_for_leader(timeout=20)
            assert nodes[leader].max_command == len(command)
            with pytest.raises(TooLarge, match=f"{len(command) + 1} bytes.*at most {len(command)} bytes"):
                await nodes[leader].propose(command + b"x")
            index = await nodes[leader].propose(command, timeout=30)
            async with asyncio.timeout(30):
                while not all(machine.commands[-1:] == [command] for machine in machines.values()):
                    await asyncio.sleep(0.01)
            assert {machine.indexes[-1] for machine in machines.values()} == {index}
            follower = leader % 3 + 1
            await nodes[follower].stop()
            nodes[follower] = node(follower)
            await nodes[follower].start()
            async with asyncio.timeout(30):
                while machines[follower].commands[-1:] != [command]:
                    await asyncio.sleep(0.01)
        finally:
            for each in nodes.values():
                await each.stop()

    asyncio.run(main())
