"""Peers given by name: a name that does not resolve is no reason not to start, and is looked up again."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from raftpy.system.threads import Threads
from raftpy.transport import UdpTransport
from raftpy.transport.datagram.names import Names
from raftpy.transport.exchange.address import SocketAddress
from raftpy.transport.identity.peer import Peer
from tests.transport.support import commits, heartbeat, identity

NAME = "two.example"


class NameServer:
    """In place of the system's: what the name stands for (None: nothing), and how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host: str | None = None
        self.asked = 0
        self.threads: set[int] = set()
        self.answering = threading.Event()
        self.answering.set()
        self._system = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: str, *arguments: Any, **options: Any) -> Any:
        if host != NAME:
            return self._system(host, *arguments, **options)
        self.asked += 1
        self.threads.add(threading.get_ident())
        assert self.answering.wait(10)
        if self.host is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._system(self.host, *arguments, **options)


class FastClock:
    """The loop's time, so many times as fast."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def monotonic(self) -> float:
        return time.monotonic() * self.factor

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s / self.factor, callback)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer(monkeypatch)
    yield server
    server.answering.set()


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    found = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(count)]
    for each in found:
        each.bind((host, 0))
    ports = [int(each.getsockname()[1]) for each in found]
    for each in found:
        each.close()
    return ports


async def until(condition: Callable[[], object], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)


class Pair:
    """Node 1, to which node 2 is known by name, and node 2, to which node 1 is known by number."""

    def __init__(self, factor: float = 50) -> None:
        one, two = free_ports(2)
        self.members = {1: f"127.0.0.1:{one}", 2: f"{NAME}:{two}"}
        self.factor = factor
        self.received: dict[int, list[bytes]] = {1: [], 2: []}
        self.unreachable: list[int] = []
        self._open: list[UdpTransport] = []

    def start(self, node_id: int, listen: str | None = None) -> UdpTransport:
        transport = UdpTransport(clock=FastClock(self.factor), listen=listen)
        transport.start(
            identity(node_id, members=self.members), lambda: self.received[node_id].extend(transport.receive())
        )
        self._open.append(transport)
        if node_id == 1:
            transport.on_unreachable(self.unreachable.append)
        return transport

    def start_two(self, host: str = "127.0.0.1") -> UdpTransport:
        return self.start(2, listen=f"{host}:{self.members[2].rpartition(':')[2]}")

    def close(self) -> None:
        for transport in self._open:
            transport.close()


def run(test: Callable[[Pair], Coroutine[Any, Any, None]], **settings: float) -> None:
    async def whole() -> None:
        pair = Pair(**settings)
        try:
            await test(pair)
        finally:
            pair.close()

    asyncio.run(whole())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_starts_says_so_once_and_finds_the_peer_later(names: NameServer, caplog: pytest.LogCaptureFixture) -> None:
    async def test(pair: Pair) -> None:
        one = pair.start(1)
        await until(lambda: names.asked >= 4)
        assert not one.reachable(2)
        assert one.stats()["peers"][2]["reachable"] is False
        (line,) = warnings(caplog)
        assert line.startswith(f"node 1: node 2's address {pair.members[2]} does not resolve to an IPv4 address: ")
        assert "counts as unreachable until it does" in line
        names.host = "127.0.0.1"
        pair.start_two()
        await until(lambda: one.reachable(2))
        one.send(heartbeat(2, commit=7))
        one.flush()
        await until(lambda: commits(pair.received[2]) == [7])
        assert len(warnings(caplog)) == 1

    run(test)


def test_the_loop_does_not_wait_for_name_servers(names: NameServer) -> None:
    names.answering.clear()

    async def test(pair: Pair) -> None:
        began = time.monotonic()
        one = pair.start(1)
        await until(lambda: names.asked)
        await asyncio.sleep(0.05)  # as long as many looks
        assert names.asked == 1, "one lookup at a time"
        assert threading.get_ident() not in names.threads
        one.close()
        assert time.monotonic() - began < 2

    run(test)


def test_without_room_for_a_thread_it_goes_on_and_looks_the_name_up_later(
    names: NameServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of threads is no reason to stop probing the peers, for this one or any other."""
    start = threading.Thread.start
    refused = 0

    def no_room(thread: threading.Thread) -> None:
        nonlocal refused
        if thread.name.startswith("raftpy-name"):
            refused += 1
            raise RuntimeError("can't start new thread")
        start(thread)

    async def test(pair: Pair) -> None:
        monkeypatch.setattr(threading.Thread, "start", no_room)
        one = pair.start(1)
        await until(lambda: refused >= 3)
        (line,) = warnings(caplog)
        assert line.startswith(f"node 1: node 2's address {pair.members[2]} is not looked up: can't start new thread")
        names.host = "127.0.0.1"
        monkeypatch.setattr(threading.Thread, "start", start)
        pair.start_two()
        await until(lambda: one.reachable(2))

    run(test)


def test_the_answer_to_an_old_question_changes_nothing(names: NameServer, caplog: pytest.LogCaptureFixture) -> None:
    names.answering.clear()

    async def test(pair: Pair) -> None:
        one = pair.start(1)
        await until(lambda: names.asked)
        pair.members[2] = f"127.0.0.1:{free_ports(1)[0]}"
        one.change_peers(pair.members)
        names.host = "127.0.0.1"  # with the port of before, where nobody is
        names.answering.set()
        await until(lambda: not any(thread.name == "raftpy-name-2" for thread in threading.enumerate()))
        await asyncio.sleep(0.01)  # the loop has got the answer
        pair.start(2)
        await until(lambda: one.reachable(2))
        assert warnings(caplog) == []
        assert one.stats()["peers"][2]["address"] == pair.members[2]

    run(test)


def test_pauses_between_lookups_double_up_to_half_a_minute(names: NameServer) -> None:
    async def test(pair: Pair) -> None:
        pair.start(1)
        began = time.monotonic()
        await until(lambda: names.asked >= 8)  # after 1, 3, 7, 15, 31, 61, 91 s of its time
        assert (time.monotonic() - began) * pair.factor > 85
        asked, began = names.asked, time.monotonic()
        await until(lambda: names.asked >= asked + 2)
        assert (time.monotonic() - began) * pair.factor < 120

    run(test, factor=50)


def test_a_peer_that_was_up_is_looked_up_as_soon_as_ever_when_it_is_gone(names: NameServer) -> None:
    """What pauses had grown to before it was found is over: it may have moved, and nobody waits half a minute."""
    now_s = 0.0

    class AtOnce(Threads):
        def start(self, name: str, run: Callable[[], object]) -> Any:
            run()

        def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
            call(*arguments)
            return True

    def found(peer: Peer, target: SocketAddress) -> None:
        peer.target = target

    async def main() -> None:
        nonlocal now_s
        peer = SimpleNamespace(id=2, address=f"{NAME}:7102", target=None, presence=SimpleNamespace(up=False))
        searching = Names(1, socket.AF_INET, asyncio.get_running_loop(), lambda: now_s, AtOnce(), found)

        def seconds(count: int) -> list[float]:
            """When it was looked up, in so many seconds with a look in each."""
            nonlocal now_s
            when = []
            for _ in range(count):
                now_s += 1
                asked = names.asked
                searching.look(cast(Peer, peer))
                when.extend([now_s] * (names.asked - asked))
            return when

        searching.change_peers({2: cast(Peer, peer)})
        assert seconds(16) == [1, 3, 7, 15]
        names.host = "127.0.0.1"
        assert seconds(15) == [31]
        peer.presence.up = True
        assert seconds(60) == []
        peer.presence.up = False
        assert seconds(8) == [92, 93, 95, 99]

    asyncio.run(main())


def test_a_peer_that_has_moved_is_found_at_its_new_address(names: NameServer) -> None:
    names.host = "127.0.0.1"

    async def test(pair: Pair) -> None:
        two = pair.start_two()
        one = pair.start(1)
        await until(lambda: one.reachable(2))
        asked = names.asked
        await asyncio.sleep(0.2)  # ten seconds of its time
        assert names.asked == asked, "a peer that is up is not looked for"
        two.close()
        names.host = "127.0.0.2"
        pair.start_two("127.0.0.2")
        one.send(heartbeat(2, commit=9))
        one.flush()
        await until(lambda: one._peers[2].target == ("127.0.0.2", int(pair.members[2].rpartition(":")[2])))
        await until(lambda: one.reachable(2))

    run(test)


def test_a_peer_that_was_found_keeps_its_address_when_the_name_server_fails(
    names: NameServer, caplog: pytest.LogCaptureFixture
) -> None:
    names.host = "127.0.0.1"

    async def test(pair: Pair) -> None:
        one = pair.start(1)
        await until(lambda: one._peers[2].target)
        names.host = None
        await until(lambda: names.asked >= 3)
        pair.start_two()
        await until(lambda: one.reachable(2))
        assert warnings(caplog) == []

    run(test)


def test_a_peer_that_is_heard_while_its_name_does_not_resolve(names: NameServer) -> None:
    """It knows where we are, but what we say does not arrive: unreachable, and the core is told so."""

    async def test(pair: Pair) -> None:
        one = pair.start(1)
        two = pair.start_two()
        await until(lambda: one._peers[2].expected is not None)
        assert not one.reachable(2)
        pair.unreachable.clear()
        one.send(heartbeat(2))
        one.flush()
        assert pair.unreachable == [2]
        assert one.stats()["peers"][2]["unresolved"] >= 1
        assert not one.reachable(2)
        names.host = "127.0.0.1"
        await until(lambda: one.reachable(2) and two.reachable(1))

    run(test)
