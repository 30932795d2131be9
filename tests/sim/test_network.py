"""A simulated network does to datagrams what it is told to, about as often as it is told to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from raftpy.sim.network import Network, Socket
from raftpy.sim.plan import NetworkFaults
from raftpy.sim.process import Process
from raftpy.sim.world import World

COUNT = 4_000
"""Datagrams: enough that a rate shows to some hundredths."""
AT_ONCE = (0.001, 0.001)


class Host:
    """Reads at the address of a node what arrives, at once, and keeps it with the time."""

    def __init__(self, network: Network, node: int, alive: bool = True) -> None:
        self.world = network.world
        self.socket = Socket(network, Process(network.world, node))
        self.socket.open(node, self.read)
        self.heard: list[tuple[float, bytes]] = []
        if not alive:
            self.socket.process.kill()

    def read(self) -> None:
        self.heard += [(self.world.now, datagram) for datagram in self.socket.read(64)]

    @property
    def numbers(self) -> list[int]:
        """Which datagrams have come, in this order."""
        return [int.from_bytes(datagram, "big") for _, datagram in self.heard]


def made(**faults: Any) -> tuple[Network, Host]:
    """A network that is as bad as that, and who listens at the address of node 2."""
    network = Network(World(7), NetworkFaults(**{"delay_s": AT_ONCE, **faults}))
    return network, Host(network, 2)


def carried(count: int = COUNT, apart_s: float = 0.0, **faults: Any) -> Host:
    """What has become of so many datagrams from node 1, each a number."""
    network, host = made(**faults)
    for number in range(count):
        assert network.carry(1, 2, number.to_bytes(4, "big"), 0.0)
        network.world.run(network.world.now + apart_s)
    network.world.run(1e6)
    return host


def test_a_good_one_carries_each_once_and_in_order() -> None:
    assert carried().numbers == list(range(COUNT))


@pytest.mark.parametrize("loss", [0.1, 0.3])
def test_some_are_lost(loss: float) -> None:
    heard = carried(loss=loss).numbers
    assert 0.8 * loss < 1 - len(heard) / COUNT < 1.2 * loss
    assert len(set(heard)) == len(heard)


@pytest.mark.parametrize("duplication", [0.1, 0.5])
def test_some_come_twice(duplication: float) -> None:
    times = Counter(carried(duplication=duplication).numbers)
    assert set(times.values()) == {1, 2}
    assert len(times) == COUNT
    assert 0.8 * duplication < sum(count == 2 for count in times.values()) / COUNT < 1.2 * duplication


def test_a_later_one_overtakes_and_all_take_as_long_as_they_are_told_to() -> None:
    host = carried(delay_s=(0.001, 0.01))
    assert host.numbers != sorted(host.numbers) == list(range(COUNT))
    times = [time for time, _ in host.heard]
    assert 0.001 <= times[0] < 0.0012
    assert 0.0098 < times[-1] <= 0.01


def test_two_copies_are_each_late_by_themselves() -> None:
    network, host = made(delay_s=(0.001, 0.1), duplication=1.0)
    network.carry(1, 2, b"", 0.0)
    network.world.run(1.0)
    assert host.heard[0][0] < host.heard[1][0]


@pytest.mark.parametrize("kind", ["late", "held"])
def test_some_come_much_later(kind: str) -> None:
    times = (2.0, 3.0)
    host = carried(late=0.2, late_s=times) if kind == "late" else carried(held=0.2, held_s=times)
    slow = [time for time, _ in host.heard if time >= 2.0]
    assert 0.16 < len(slow) / COUNT < 0.24
    assert max(slow) <= 3.0
    assert len(host.heard) == COUNT


def test_of_some_one_bit_is_turned_over() -> None:
    network, host = made(flipped=0.5)
    for _ in range(COUNT):
        network.carry(1, 2, bytes(4), 0.0)
    network.world.run(1.0)
    bits = Counter(int.from_bytes(datagram, "big") for _, datagram in host.heard)
    unchanged = bits.pop(0)
    assert 0.45 < unchanged / COUNT < 0.55
    assert set(bits) == {1 << bit for bit in range(32)}


def test_what_is_held_back_comes_to_whoever_lives_there_by_then() -> None:
    network, before = made(held=1.0, held_s=(1.0, 1.0))
    network.carry(1, 2, b"\7", 0.0)
    before.socket.close()
    after = Host(network, 2)
    network.world.run(2.0)
    assert (before.numbers, after.numbers) == ([], [7])


@pytest.mark.parametrize("when", ["before it leaves", "on its way"])
def test_a_link_that_is_cut_loses_everything_and_the_other_way_nothing(when: str) -> None:
    network, host = made()
    back = Host(network, 1)
    if when == "before it leaves":
        network.cuts.add((1, 2))
    network.carry(1, 2, b"\1", 0.0)
    network.carry(2, 1, b"\2", 0.0)
    network.cuts ^= {(1, 2)}
    network.world.run(0.002)
    network.cuts.clear()
    network.world.run(1.0)
    assert (host.numbers, back.numbers, network.lost) == ([], [2], 1)


def test_a_slow_link_takes_longer_until_all_is_healed() -> None:
    network, host = made()
    network.slow[1, 2] = 0.5
    network.carry(1, 2, b"\1", 0.0)
    network.heal(0.001)
    network.carry(1, 2, b"\2", 0.25)  # it leaves so much later
    network.world.run(1.0)
    assert [(round(time, 3), datagram) for time, datagram in host.heard] == [(0.251, b"\2"), (0.501, b"\1")]


def test_healed_it_loses_nothing_and_changes_nothing() -> None:
    network, host = made(loss=0.5, duplication=0.5, late=0.5, held=0.5, flipped=0.5, refused=1.0, buffer_bytes=1)
    network.cuts.add((1, 2))
    network.heal(0.01)
    for number in range(COUNT):
        network.carry(1, 2, number.to_bytes(4, "big"), 0.0)
    network.world.run(0.01)
    assert sorted(host.numbers) == list(range(COUNT))
    assert network.lost == 0


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
def test_a_sender_is_told_only_that_nobody_is_there(alive: bool) -> None:
    network, _ = made(refused=0.5)
    Host(network, 2, alive)
    told = sum(not network.carry(1, 2, b"", 0.0) for _ in range(COUNT))
    assert told == 0 if alive else 0.45 < told / COUNT < 0.55


def test_a_socket_takes_what_fits_into_its_buffer_or_one_datagram() -> None:
    world = World(1)
    socket = Socket(Network(world, NetworkFaults(buffer_bytes=1_500)), Process(world, 1))
    assert socket.take(bytes(1_600))
    assert not socket.take(b"1")
    assert socket.read(64) == [bytes(1_600)]
    assert [socket.take(bytes(500)) for _ in range(4)] == [True, True, True, False]
    assert socket.read(1) == [bytes(500)]
    assert socket.take(bytes(500))
    assert not socket.take(b"1")
