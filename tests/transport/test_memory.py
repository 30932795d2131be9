"""The network in memory: cuts, faults, and that a run can be repeated."""

from __future__ import annotations

import random

import pytest

from raftcore.base.errors import ConfigError
from raftpy.transport import MemoryTransport, Unreliable
from tests.transport.support import World, commits, heartbeat, identity

THREE = (1, 2, 3)


def trio(seed: int = 0) -> World:
    world = World(seed)
    for node_id in THREE:
        world.start(identity(node_id))
    world.settle()
    for node_id in THREE:
        world.take(node_id)
    return world


def heard(world: World) -> set[tuple[int, int]]:
    """Which links work, tried with one heartbeat each."""
    for node_id in THREE:
        for other in THREE:
            if other != node_id:
                world.transports[node_id].send(heartbeat(other, node_id, commit=node_id))
        world.transports[node_id].flush()
    world.settle()
    return {(commit, node_id) for node_id in THREE for commit in commits(world.take(node_id))}


ALL = {(a, b) for a in THREE for b in THREE if a != b}


def test_all_linked() -> None:
    assert heard(trio()) == ALL


def test_disconnect_and_reconnect() -> None:
    world = trio()
    world.network.disconnect(2)
    assert heard(world) == {(1, 3), (3, 1)}
    world.network.reconnect(2)
    assert heard(world) == ALL


def test_one_sided_cut() -> None:
    world = trio()
    world.network.cut(1, 2)
    assert heard(world) == ALL - {(1, 2)}
    world.network.mend(1, 2)
    assert heard(world) == ALL


def test_partition_and_heal() -> None:
    world = trio()
    world.network.partition([[1, 2], [3]])
    assert heard(world) == {(1, 2), (2, 1)}
    world.network.partition([[1], [3]])
    assert heard(world) == ALL - {(1, 3), (3, 1)}, "node 2 is in no group and keeps its links"
    world.network.disconnect(2)
    world.network.heal()
    assert heard(world) == ALL
    with pytest.raises(ConfigError, match="node 1 is in two groups"):
        world.network.partition([[1, 2], [1, 3]])


def test_what_is_on_the_way_when_the_link_is_cut_is_lost() -> None:
    world = trio()
    world.network.unreliable = Unreliable((10, 10), drop_rate=0, long_delay_rate=0)
    world.transports[1].send(heartbeat(2))
    world.transports[1].flush()
    world.settle(0.005)
    lost = world.network.lost
    world.network.disconnect(2)
    world.settle(0.01)
    world.network.reconnect(2)
    world.settle(0.01)
    assert commits(world.take(2)) == []
    assert world.network.lost == lost + 1


def test_what_is_sent_while_the_link_is_cut_is_lost() -> None:
    world = trio()
    world.network.unreliable = Unreliable((10, 10), drop_rate=0, long_delay_rate=0)
    world.network.cut(1, 2)
    world.transports[1].send(heartbeat(2))
    world.transports[1].flush()
    world.network.mend(1, 2)
    world.settle(0.02)
    assert commits(world.take(2)) == []


def test_filter_sees_every_datagram() -> None:
    world = trio()
    seen: list[tuple[int, int]] = []

    def only_to_one(from_id: int, to_id: int, datagram: bytes) -> bool:
        seen.append((from_id, to_id))
        return to_id == 1

    world.network.filter = only_to_one
    assert heard(world) == {(2, 1), (3, 1)}
    assert sorted(seen) == sorted(ALL)


def test_delivery_is_never_inside_the_senders_call() -> None:
    world = trio()
    wakes = dict(world.wakes)
    world.transports[1].send(heartbeat(2))
    world.transports[1].flush()
    assert world.wakes == wakes
    world.settle()
    assert world.wakes[2] == wakes[2] + 1


def test_one_node_id_holds_one_transport() -> None:
    world = trio()
    with pytest.raises(ConfigError, match="node 1 is on the memory network already"):
        MemoryTransport(world.network).start(identity(1), lambda: None)


def test_counts_add_up() -> None:
    world = trio()
    world.network.unreliable = Unreliable(drop_rate=0.3, long_delay_rate=0)
    for _ in range(50):
        heard(world)
    world.settle(1)
    network = world.network
    world.network.unreliable = Unreliable((0, 0), drop_rate=0, long_delay_rate=0)
    world.settle(0.1)
    assert network.sent == network.delivered + network.lost
    assert network.lost > 50


def history(seed: int) -> list[tuple[float, int, bytes]]:
    """Everything that is delivered, when and to whom, in two seconds of random traffic, cuts and restarts."""
    source = random.Random(seed)
    world = World(seed, Unreliable(drop_rate=0.1, duplicate_rate=0.1, reorder_rate=0.1))
    log: list[tuple[float, int, bytes]] = []
    counters = dict.fromkeys(THREE, 1)
    for node_id in THREE:
        world.start(identity(node_id))
    for _ in range(200):
        match source.randrange(10):
            case 0:
                world.network.disconnect(source.choice(THREE))
            case 1:
                world.network.heal()
            case 2:
                who = source.choice(THREE)
                counters[who] += 1
                world.start(identity(who, counter=counters[who]))
            case _:
                who, other = source.sample(THREE, 2)
                world.transports[who].send(heartbeat(other, who, commit=source.randrange(1000)))
                world.transports[who].flush()
        world.settle(0.01)
        log += [(world.clock.monotonic(), node_id, each) for node_id in THREE for each in world.take(node_id)]
    return log


def test_a_seed_repeats_everything(seed: int) -> None:
    first = history(seed)
    assert first == history(seed)
    assert first != history(seed + 1)
    assert len(first) > 20
