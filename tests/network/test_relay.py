"""The carried network does to packets what it says."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.network.namespaces import Host
from tests.network.relay import RelayedNetwork
from tests.network.test_namespaces import drain, said_over_ipv6, udp

pytestmark = pytest.mark.needs_namespaces


def exchange(a: Host, b: Host, count: int = 200) -> list[int]:
    """Send numbered datagrams from a to b; the numbers that come, as they come."""
    with udp(a) as one, udp(b) as other:
        for number in range(count):
            one.sendto(number.to_bytes(2, "big"), (b.address, 7000))
        other.settimeout(0.3)
        came = []
        while True:
            try:
                came.append(int.from_bytes(other.recv(100), "big"))
            except TimeoutError:
                return came


def test_packets_come_in_order_and_after_their_delay() -> None:
    with RelayedNetwork("a", "b", delay=0.05) as network:
        a, b = network["a"], network["b"]
        assert exchange(a, b) == list(range(200))
        with udp(a) as one, udp(b) as other:
            began = time.monotonic()
            one.sendto(b"there", (b.address, 7000))
            _, back = other.recvfrom(100)
            other.sendto(b"and back", back)
            assert one.recv(100) == b"and back"
            assert time.monotonic() - began >= 0.1


def test_loss_repetition_and_reordering() -> None:
    with RelayedNetwork("a", "b", delay=0.02, loss=0.2, seed=7) as network:
        a, b = network["a"], network["b"]
        lost = exchange(a, b)
        assert 120 < len(lost) < 195
        assert lost == sorted(set(lost))
        network.conditions(delay=0.02, duplicate=0.2)
        twice = exchange(a, b)
        assert len(set(twice)) == 200
        assert 205 < len(twice) < 280
        network.conditions(delay=0.02, reorder=0.2)
        mixed = exchange(a, b)
        assert sorted(mixed) == list(range(200))
        assert mixed != sorted(mixed)


def test_sizes_and_ipv6() -> None:
    with RelayedNetwork("a", "b", larger=1300) as network:
        a, b = network["a"], network["b"]
        with udp(a) as one, udp(b) as other:
            for size in (1272, 1273):
                one.sendto(b"x" * size, (b.address, 7000))
            assert drain(other) == [1272]
        assert said_over_ipv6(a, b, within_s=5) == b"six"


def test_the_program_ends_with_the_network() -> None:
    with RelayedNetwork("a", "b") as network:
        program = network._program
    assert program is not None
    assert program.returncode == 0


def test_of_conditions_told_at_once_the_last_hold() -> None:
    with RelayedNetwork("a", "b") as network:
        for loss in (0.5, 1.0, 0.0, 1.0):
            network.conditions(loss=loss)
        assert exchange(network["a"], network["b"], 50) == []


def test_a_bottleneck_delays_and_loses() -> None:
    """100 packets of 1,028 bytes at 200,000 bytes a second, of which 50,000 may wait."""
    with RelayedNetwork("a", "b", rate=200_000, queue=50_000) as network:
        a, b = network["a"], network["b"]
        with udp(a) as one, udp(b) as other:
            began = time.monotonic()
            for number in range(100):
                one.sendto(number.to_bytes(1000, "big"), (b.address, 7000))
            other.settimeout(0.5)
            came = []
            with contextlib.suppress(TimeoutError):
                while True:
                    came.append(int.from_bytes(other.recv(2000), "big"))
                    took = time.monotonic() - began
        assert came == sorted(came)
        assert 45 <= len(came) < 100
        assert took >= 45 * 1028 / 200_000
