"""The size of the path to each peer is found out on networks of the kernel's own: by what it refuses, by what routers
say (ICMP), and where nobody says anything; and again when it changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from raftpy.transport.datagram.udp import UdpTransport
from tests.network.namespaces import Network
from tests.transport.support import append, identity, messages

pytestmark = pytest.mark.needs_namespaces

SEALING = 48
HEADERS = {4: 28, 6: 48}
"""Bytes of IP and UDP before a datagram."""
PATIENCE_S = 30.0
SILENCE_S = 3.0
"""What it takes to find out that a size does not pass where nobody says so: three probes, a second each."""


class Ends:
    """A transport in each of two hosts, and what came."""

    def __init__(self, network: Network, family: int, **settings: object) -> None:
        hosts = {1: network["a"], 2: network["b"]}
        addresses = {i: f"[{h.address6}]:7001" if family == 6 else f"{h.address}:7001" for i, h in hosts.items()}
        self.transports: dict[int, UdpTransport] = {}
        self.received: dict[int, list[bytes]] = {1: [], 2: []}
        for node_id, host in hosts.items():
            with host.inside():
                self.start(node_id, addresses, settings)

    def start(self, node_id: int, addresses: dict[int, str], settings: dict[str, object]) -> None:
        transport = self.transports[node_id] = UdpTransport(**settings)  # type: ignore[arg-type]

        def wake() -> None:
            while datagrams := transport.receive():
                self.received[node_id] += datagrams

        transport.start(identity(node_id, members=addresses), wake)

    def close(self) -> None:
        for transport in self.transports.values():
            transport.close()

    def size(self, node_id: int = 1) -> int:
        """Bytes of the datagrams to the other."""
        found = self.transports[node_id].stats()["peers"][3 - node_id]["datagram"]
        assert isinstance(found, int)
        return found

    def phase(self, node_id: int = 1) -> str | None:
        found = self.transports[node_id].stats()["peers"][3 - node_id]["path"]
        assert found is None or isinstance(found, str)
        return found

    def count(self, name: str, node_id: int = 1) -> int:
        return int(self.transports[node_id].stats()["peers"][3 - node_id][name])

    async def until(self, condition: Callable[[], bool]) -> float:
        """How many seconds it took until the condition held."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() < began + PATIENCE_S, self.transports[1].stats()
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def until_settled(self, datagram: int) -> float:
        return await self.until(lambda: (self.size(), self.phase()) == (datagram, "complete"))

    async def repeat_until(self, bytes_of_command: int, condition: Callable[[], bool]) -> float:
        """Says the same again and again, as Raft does, until the condition holds; how many seconds it took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() < began + PATIENCE_S, self.transports[1].stats()
            self.transports[1].send(append(2, bytes_of_command, index=1))
            self.transports[1].flush()
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def carries(self, bytes_of_command: int) -> None:
        """A message of that size arrives."""
        before = len(self.received[2])
        self.transports[1].send(append(2, bytes_of_command, index=before + 1))
        self.transports[1].flush()
        await self.until(lambda: len(self.received[2]) > before)
        assert messages(self.received[2])[-1].index == before + 1


@contextmanager
def hosts(mtu: int = 1500) -> Iterator[Network]:
    with Network("a", "b", mtu=mtu) as network:
        yield network


def on(network: Network, test: Callable[[Ends], Awaitable[None]], family: int = 4, **settings: object) -> None:
    async def whole() -> None:
        ends = Ends(network, family, **settings)
        try:
            await test(ends)
        finally:
            ends.close()

    asyncio.run(whole())


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mtu", [1400, 1500, 9000])
def test_what_the_own_link_takes_is_found_within_a_few_round_trips(mtu: int, family: int) -> None:
    async def test(ends: Ends) -> None:
        assert await ends.until_settled(mtu - HEADERS[family] - SEALING) < SILENCE_S
        await ends.carries(200)
        await ends.carries(20_000)
        assert ends.count("send_failed") == ends.count("path_narrowed") == 0
        assert ends.count("too_long") == 1

    with hosts(mtu) as network:
        on(network, test, family)


def test_what_a_router_takes_is_found_by_its_word() -> None:
    async def test(ends: Ends) -> None:
        assert await ends.until_settled(1400 - HEADERS[4] - SEALING) < SILENCE_S
        await ends.carries(20_000)
        assert ends.count("too_long") >= 2  # the own link's refusal, and the router's

    with hosts(9000) as network:
        network["b"].link.mtu(1400)
        on(network, test)


def test_what_passes_silently_is_found_as_well() -> None:
    async def test(ends: Ends) -> None:
        # Nobody says what 8,972 bytes, which the own link takes, have met: that takes three probes.
        await ends.until(lambda: ends.size() == 1472 - SEALING)
        await ends.carries(20_000)
        assert ends.phase() == "searching"

    with hosts(9000) as network:
        network["b"].link.drop_larger(1500)
        on(network, test)


@pytest.mark.parametrize("family", [4, 6])
def test_a_path_that_becomes_narrower_and_says_so(family: int) -> None:
    async def test(ends: Ends) -> None:
        await ends.until_settled(9000 - HEADERS[family] - SEALING)
        network["b"].link.mtu(1400)
        await ends.repeat_until(8000, lambda: ends.size() == 1400 - HEADERS[family] - SEALING)
        await ends.carries(1000)
        await ends.carries(20_000)
        assert ends.count("path_narrowed") == 1
        assert ends.count("send_failed") == 0

    with hosts(9000) as network:
        on(network, test, family)


@pytest.mark.parametrize("family", [4, 6])
def test_a_run_that_the_own_link_no_longer_takes(family: int) -> None:
    """Fragments that are handed to the system at once say one by one that they are too long: runs go on."""

    async def test(ends: Ends) -> None:
        await ends.until_settled(9000 - HEADERS[family] - SEALING)
        await ends.carries(100_000)
        network["a"].link.mtu(1400)
        before = len(ends.received[2])
        await ends.repeat_until(100_000, lambda: len(ends.received[2]) > before)
        assert ends.size() == 1400 - HEADERS[family] - SEALING
        await ends.carries(100_000)
        assert ends.transports[1].runs
        assert ends.count("too_long") > 1
        assert ends.count("send_failed") == 0

    with hosts(9000) as network:
        on(network, test, family)


@pytest.mark.parametrize("size", [8000, 100_000])
def test_a_black_hole_in_mid_run(size: int) -> None:
    """Datagrams of 8,000 bytes, of which nothing says that they arrive, and fragments, of which something does."""

    async def test(ends: Ends) -> None:
        await ends.until_settled(8972 - SEALING)
        await ends.carries(size)
        network["b"].link.drop_larger(1500)
        before = len(ends.received[2])
        took_s = await ends.repeat_until(size, lambda: len(ends.received[2]) > before)
        assert took_s < 10.0, "a second until it is asked, three probes, and an answer; fragments tell sooner"
        assert ends.count("path_narrowed") == 1
        await ends.carries(1000)

    with hosts(9000) as network:
        on(network, test)


def test_a_false_alarm_costs_next_to_nothing() -> None:
    async def test(ends: Ends) -> None:
        await ends.until_settled(8972 - SEALING)
        one = ends.transports[1]
        peer = one._peers[2]
        one._paths.lost(peer)
        assert ends.size() == 8972 - SEALING, "nothing was heard since: the peer may be away"

        def narrowed() -> bool:
            one._paths.lost(peer)  # said again and again, as the fragments do
            return ends.size() == 1200 - SEALING

        await ends.until(narrowed)
        assert await ends.until_settled(8972 - SEALING) < SILENCE_S

    with hosts(9000) as network:
        on(network, test)


def test_a_path_narrower_than_the_base() -> None:
    async def test(ends: Ends) -> None:
        await ends.until(lambda: ends.phase() == "error")
        assert ends.size() == 512 - SEALING
        await ends.carries(20_000)

    with hosts(1000) as network:
        on(network, test)


def test_the_size_that_is_set_is_the_most() -> None:
    async def test(ends: Ends) -> None:
        await ends.until_settled(2000)
        await ends.carries(1800)

    with hosts(9000) as network:
        on(network, test, max_datagram=2000)
