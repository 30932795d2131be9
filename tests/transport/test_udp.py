"""UDP on real sockets: moving bytes, refusals, buffers, and the errors of opening."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from raftcore.base.errors import ConfigError
from raftpy.contracts.errors import TransportFailed
from raftpy.transport import UdpTransport, Unreliable
from raftpy.transport.datagram import udp
from raftpy.transport.datagram.udp import datagram_cost
from raftpy.transport.exchange.exchange import DatagramIO, pack_address
from tests.transport.support import (
    append,
    bare,
    boot,
    changed,
    commits,
    datagram,
    free_port,
    header,
    heartbeat,
    identity,
    messages,
    node_counts,
    peer_counts,
)


def members_on(host: str = "127.0.0.1", count: int = 2) -> dict[int, str]:
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return {node_id: f"{host}:{free_port(family)}" for node_id in range(1, count + 1)}


class Ends:
    """Nodes on UDP sockets in one loop; what each receives is kept."""

    def __init__(self, members: dict[int, str]) -> None:
        self.members = members
        self.nodes: dict[int, UdpTransport] = {}
        self.received: dict[int, list[bytes]] = {}
        self.passes: dict[int, list[int]] = {}

    def start(self, node_id: int, *, counter: int = 1, limit: int = 64, **settings: Any) -> UdpTransport:
        if node_id in self.nodes:
            self.nodes[node_id].close()
        transport = self.nodes[node_id] = UdpTransport(**settings)
        self.received[node_id], self.passes[node_id] = [], []

        def wake() -> None:
            taken = transport.receive(limit)
            self.passes[node_id].append(len(taken))
            self.received[node_id] += taken

        transport.start(identity(node_id, counter, members=self.members), wake)
        return transport

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits, with an end to it."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    async def pair(self, **settings: Any) -> tuple[UdpTransport, UdpTransport]:
        one, two = self.start(1, **settings), self.start(2, **settings)
        await self.until(lambda: one.http_address(2) is not None and two.http_address(1) is not None)
        return one, two

    def close(self) -> None:
        for transport in self.nodes.values():
            transport.close()


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test that takes Ends on a loop of its own, and closes what it has opened."""

    def run(*arguments: Any, **named: Any) -> None:
        async def whole() -> None:
            ends = Ends(members_on())
            try:
                await test(ends, *arguments, **named)
            finally:
                ends.close()

        asyncio.run(whole())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def ends_for(host: str, test: Callable[[Ends], Awaitable[None]]) -> None:
    async def whole() -> None:
        ends = Ends(members_on(host))
        try:
            await test(ends)
        finally:
            ends.close()

    asyncio.run(whole())


# --- Moving bytes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_messages_both_ways(host: str) -> None:
    async def test(ends: Ends) -> None:
        one, two = await ends.pair()
        assert one.max_datagram == 65_459
        one.send(append(2, 50_000))
        one.send(append(2, 50_000, index=9))
        one.flush()
        two.send(heartbeat(1, 2, commit=3))
        two.flush()
        await ends.until(lambda: len(ends.received[2]) == 2 and len(ends.received[1]) == 1)
        assert [message.index for message in messages(ends.received[2])] == [4, 9]
        assert commits(ends.received[1]) == [3]
        assert one.reachable(2)
        assert peer_counts(one, 2)["send_failed"] == 0

    ends_for(host, test)


@on_loop
async def test_largest_datagram(ends: Ends) -> None:
    one, _ = await ends.pair(max_datagram=65_507)
    one.send(append(2, one.max_command))
    one.flush()
    await ends.until(lambda: bool(ends.received[2]))
    [message] = messages(ends.received[2])
    assert message.entries is not None
    assert message.entries.payload_size == one.max_command


@on_loop
async def test_datagrams_larger_than_our_own_limit_are_read(ends: Ends) -> None:
    one = ends.start(1, max_datagram=60_000)
    ends.start(2, max_datagram=1200)
    await ends.until(lambda: one.reachable(2))
    one.send(append(2, 50_000))
    one.flush()
    await ends.until(lambda: bool(ends.received[2]))


@on_loop
async def test_a_pass_is_bounded_and_what_is_left_wakes_again(ends: Ends) -> None:
    one = ends.start(1)
    ends.start(2, limit=10)
    await ends.until(lambda: one.http_address(2) is not None)
    ends.passes[2].clear()
    for commit in range(95):
        one.send(heartbeat(2, commit=commit))
        one.flush()
    await ends.until(lambda: len(ends.received[2]) == 95)
    assert commits(ends.received[2]) == list(range(95))
    assert max(ends.passes[2]) <= 10
    assert len(ends.passes[2]) >= 10


@on_loop
async def test_the_senders_address_is_not_its_identity(ends: Ends) -> None:
    """Another socket speaks in node 1's name: the answer goes to node 1's configured address."""
    one, two = await ends.pair()
    host, port = ends.members[2].split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        mine, theirs = identity(1, members=ends.members), identity(2, members=ends.members)
        stranger.sendto(datagram(header(mine, theirs), heartbeat(2, commit=5)), (host, int(port)))
        stranger.sendto(bare(header(mine, 2)), (host, int(port)))
        await ends.until(lambda: commits(ends.received[2]) == [5] and peer_counts(two, 1)["answers"] > 0)
        before = peer_counts(one, 2)["received"]
        await asyncio.sleep(0.02)
        assert peer_counts(one, 2)["received"] >= before
        with pytest.raises(BlockingIOError):
            stranger.recv(100)


@on_loop
async def test_hostile_datagrams_only_count(ends: Ends) -> None:
    one, two = await ends.pair()
    host, port = ends.members[2].split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for rubbish in (b"", b"x", b"\0" * 64, b"\xff" * 65_507):
            stranger.sendto(rubbish, (host, int(port)))
    await ends.until(lambda: node_counts(two)["malformed"] == 4)
    one.send(heartbeat(2, commit=6))
    one.flush()
    await ends.until(lambda: commits(ends.received[2]) == [6])


@on_loop
async def test_restart_on_the_same_port(ends: Ends) -> None:
    one, _ = await ends.pair()
    ends.start(2, counter=2)
    await ends.until(lambda: peer_counts(one, 2)["boot"] == boot(2))
    one.send(heartbeat(2, commit=7))
    one.flush()
    await ends.until(lambda: commits(ends.received[2]) == [7])


@on_loop
async def test_unreliable_on_real_sockets(ends: Ends) -> None:
    one = ends.start(1, unreliable=Unreliable(delay_ms=(20, 30), drop_rate=0, long_delay_rate=0))
    ends.start(2)
    await ends.until(lambda: one.reachable(2))
    loop = asyncio.get_running_loop()
    start = loop.time()
    one.send(heartbeat(2, commit=1))
    one.flush()
    await ends.until(lambda: bool(ends.received[2]))
    assert loop.time() - start >= 0.019


@on_loop
async def test_nothing_is_left_behind_by_close(ends: Ends) -> None:
    one, two = await ends.pair()
    loop = asyncio.get_running_loop()
    number = one._socket.fileno() if one._socket else -1
    one.close()
    assert loop.remove_reader(number) is False
    one.send(heartbeat(2))
    one.flush()
    assert one.receive() == []
    assert one.stats()["wire"]["receive_buffer_drops"] is None
    ends.start(1, counter=2)  # the port is free again
    await ends.until(lambda: peer_counts(two, 1)["boot"] == boot(2))


# --- Refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_nobody_listening_is_reported_at_once(host: str) -> None:
    async def test(ends: Ends) -> None:
        one, two = await ends.pair()
        # Nothing is on its way any more that would show the other one to be there once it is not.
        await ends.until(lambda: peer_counts(one, 2)["path"] == peer_counts(two, 1)["path"] == "complete")
        refused: list[int] = []
        one.on_unreachable(refused.append)
        two.close()
        assert one.reachable(2)
        one.send(heartbeat(2))
        one.flush()
        await ends.until(lambda: refused == [2])
        assert not one.reachable(2)
        assert peer_counts(one, 2)["send_refused"] >= 1
        ends.start(2, counter=2)
        await ends.until(lambda: one.reachable(2))

    ends_for(host, test)


def test_a_refusal_costs_no_datagram_to_another_peer() -> None:
    """The system reports a refusal in place of the next send, whomever that goes to."""

    async def whole() -> None:
        ends = Ends(members_on(count=3))
        try:
            one = ends.start(1)
            ends.start(3)
            await ends.until(lambda: one.http_address(3) is not None)
            refused: list[int] = []
            one.on_unreachable(refused.append)
            before = peer_counts(one, 3)
            for commit in range(50):
                one.send(heartbeat(2))
                one._gate.peers[2].probed_at_s = float("-inf")  # each flush probes
                one.send(heartbeat(3, commit=commit))
                one.flush()
            await ends.until(lambda: len(ends.received[3]) == 50)
            await ends.until(lambda: len(refused) >= 50)
            assert set(refused) == {2}
            counted = changed(before, peer_counts(one, 3))
            assert counted.keys() & {"send_failed", "send_refused"} == set()
        finally:
            ends.close()

    asyncio.run(whole())


@on_loop
async def test_refusals_do_not_keep_the_loop_busy(ends: Ends) -> None:
    ends.start(1)  # probes node 2, which is not there
    await asyncio.sleep(0.05)
    before = len(ends.passes[1])
    await asyncio.sleep(0.2)
    assert len(ends.passes[1]) - before <= 2


@on_loop
async def test_the_error_queue_is_asked_only_when_something_failed(ends: Ends) -> None:
    one, two = await ends.pair()
    asked: list[bool] = []
    read_errors = one._read_errors

    def counting() -> bool:
        asked.append(read_errors())
        return asked[-1]

    one._read_errors = counting  # type: ignore[method-assign]
    for commit in range(20):
        assert one.receive() == []  # as after a write that nobody has answered
        two.send(heartbeat(1, 2, commit=commit))
        two.flush()
        await ends.until(lambda: len(ends.received[1]) > commit)  # noqa: B023 - called here and now
    assert asked == []
    two.close()
    one.send(heartbeat(2))
    one.flush()
    await ends.until(lambda: asked == [True])


def test_a_datagram_too_long_for_the_path_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test(ends: Ends) -> None:
        one, _ = await ends.pair()
        one._gate.peers[2].path = None  # nothing is found out about it, as with a peer of an earlier version
        for _ in range(2):
            one._put(one._gate.peers[2], b"x" * 66_000)
        assert peer_counts(one, 2)["send_failed"] == 2
        [line] = [record.getMessage() for record in caplog.records]
        assert line.startswith(f"node 1: cannot send to node 2 at {ends.members[2]}: EMSGSIZE")
        assert "set a smaller max_datagram" in line

    ends_for("127.0.0.1", test)


class FullSocket:
    """Takes nothing, as a socket whose buffer is full."""

    def __init__(self, number: int) -> None:
        self.number = number

    def write(self, datagram: bytes, address: bytes) -> int:
        return self.number


class NarrowPath(FullSocket):
    """Takes small datagrams only, as a path does that allows no fragments."""

    def __init__(self, io: DatagramIO) -> None:
        super().__init__(errno.EMSGSIZE)
        self.io = io
        self.limit = 1500

    def write(self, datagram: bytes, address: bytes) -> int:
        return self.number if len(datagram) > self.limit else self.io.write(datagram, address)

    def read(self, limit: int) -> list[bytes]:
        return self.io.read(limit)


@on_loop
async def test_an_oversized_datagram_that_the_system_refuses_is_known_until_it_takes_one(ends: Ends) -> None:
    one, _ = await ends.pair(max_datagram=1200)
    one._peers[2].takes = None  # node 2 is of a version that knows no fragments
    assert one._io is not None
    path = NarrowPath(one._io)
    one._io = path  # type: ignore[assignment]
    one.send(append(2, 40_000, index=7))
    one.flush()
    oversized = one.oversized(2)
    assert oversized is not None
    assert oversized.index == 8
    assert oversized.refused == f"EMSGSIZE: a datagram of {oversized.size} bytes is too long for the path"
    path.limit = 65_507
    one.send(append(2, 40_000, index=7))
    one.flush()
    await ends.until(lambda: [message.index for message in messages(ends.received[2])] == [7])
    assert one.oversized(2) == replace(oversized, refused="")
    assert peer_counts(one, 2)["oversized"] == 2


@on_loop
async def test_full_send_buffer_is_counted_and_not_waited_for(ends: Ends) -> None:
    one, _ = await ends.pair()
    io = one._io
    for number in (errno.EAGAIN, errno.ENOBUFS):
        one._io = FullSocket(number)  # type: ignore[assignment]
        one.send(heartbeat(2, commit=1))
        one.flush()
    one._io = io
    assert peer_counts(one, 2)["send_buffer_full"] == 2
    one.send(heartbeat(2, commit=2))
    one.flush()
    await ends.until(lambda: commits(ends.received[2]) == [2])


# --- The system calls ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
@pytest.mark.parametrize("size", [0, 1, 1200, 65_507])
def test_datagram_io(family: int, host: str, size: int) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        io = DatagramIO(udp.fileno())
        assert io.read(10) == []
        address = pack_address(udp.getsockname())
        sent = [bytes([number % 256]) * size for number in range(5)]
        assert [io.write(each, address) for each in sent] == [0] * 5
        assert io.read(0) == io.read(-1) == []
        assert io.read(2) + io.read(2) + io.read(2) == sent


def test_datagram_io_says_when_something_else_than_a_datagram_may_wait() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        io = DatagramIO(udp.fileno())
        address = pack_address(udp.getsockname())
        for _ in range(3):  # a datagram starts the count anew
            assert [(io.read(1), io.may_have_error) for _ in range(3)] == [([], False)] * 3
            assert io.write(b"x", address) == 0
            assert (io.read(1), io.may_have_error) == ([b"x"], False)
        assert [(io.read(1), io.may_have_error) for _ in range(8)] == ([([], False)] * 3 + [([], True)]) * 2
    assert (io.read(1), io.may_have_error) == ([], True)  # the descriptor is closed


def test_datagram_io_gives_the_errors_number() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        io = DatagramIO(udp.fileno())
        address = pack_address(("127.0.0.1", 9))
        assert io.write(b"x" * 65_508, address) == errno.EMSGSIZE
        assert io.write(b"x", address[:3]) == errno.EINVAL
        assert io.write(b"x", pack_address(("255.255.255.255", 9))) == errno.EACCES
    assert io.write(b"x", address) == errno.EBADF
    assert io.read(1) == []


@pytest.mark.parametrize("address", [("localhost", 1), ("::1", 1), ("127.0.0.1", 1, 0, 0), ("", 1)])
def test_pack_address_takes_numbers_only(address: Any) -> None:
    with pytest.raises(ValueError, match="is no numeric address"):
        pack_address(address)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_pack_address_refuses_a_port_out_of_range(port: int) -> None:
    with pytest.raises(OverflowError):
        pack_address(("127.0.0.1", port))


# --- Buffers ------------------------------------------------------------------------------------------------------


@on_loop
async def test_buffers_are_asked_for_and_read_back(ends: Ends) -> None:
    one = ends.start(1)
    wire = one.stats()["wire"]
    assert one._socket is not None
    assert wire["receive_buffer"] == one._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert wire["send_buffer"] == one._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert wire["receive_buffer_datagrams"] == wire["receive_buffer"] // datagram_cost(65_459)


def start_with_buffer(caplog: pytest.LogCaptureFixture, asked: int, max_datagram: int) -> list[str]:
    async def whole() -> None:
        ends = Ends(members_on())
        with caplog.at_level(logging.WARNING, "raftpy.transport"):
            ends.start(1, receive_buffer=asked, max_datagram=max_datagram)
        ends.close()

    asyncio.run(whole())
    return [record.getMessage() for record in caplog.records]


def test_a_small_receive_buffer_is_warned_about_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    [line] = start_with_buffer(caplog, 100_000, 60_000)
    for word in ("node 1", "holds 3 full datagrams of 60000 bytes", "100000 asked", "net.core.rmem_max=100000"):
        assert word in line


def test_the_same_buffer_does_for_small_datagrams(caplog: pytest.LogCaptureFixture) -> None:
    assert start_with_buffer(caplog, 100_000, 1200) == []


@pytest.mark.parametrize("size", [64, 300, 1200, 9000, 16_000, 16_001, 33_000, 60_000, 65_507])
def test_the_buffer_holds_what_we_say(size: int) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as writer,
    ):
        reader.bind(("127.0.0.1", 0))
        reader.setblocking(False)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        said = reader.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // datagram_cost(size)
        for _ in range(said):
            writer.sendto(b"x" * size, reader.getsockname())
        held = 0
        while held < said:
            reader.recv(65_536)
            held += 1
        assert held == said > 0


@on_loop
async def test_what_the_system_threw_away_is_known(ends: Ends) -> None:
    two = UdpTransport(receive_buffer=20_000)
    two.start(identity(2, members=ends.members), lambda: None)
    try:
        one = ends.start(1)
        host, port = ends.members[2].split(":")
        assert one._socket is not None
        for _ in range(100):
            one._socket.sendto(b"x" * 1000, (host, int(port)))
        drops = two.stats()["wire"]["receive_buffer_drops"]
        assert drops > 0
        while two.receive() or node_counts(two)["malformed"] + drops < 100:
            pass
        assert node_counts(two)["malformed"] + drops == 100
    finally:
        two.close()


# --- Opening ------------------------------------------------------------------------------------------------------


def opening_fails(members: dict[int, str], **settings: Any) -> str:
    async def whole() -> str:
        transport = UdpTransport(**settings)
        with pytest.raises((TransportFailed, ConfigError)) as caught:
            transport.start(identity(1, members=members), lambda: None)
        assert transport._socket is None, "nothing stays open"
        return str(caught.value)

    line = asyncio.run(whole())
    assert "\n" not in line
    return line


def test_port_in_use() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        assert opening_fails({1: address}) == (
            f"node 1 cannot listen at UDP address {address}: the port is in use; stop the process that has it, "
            "or give the node another address"
        )


def test_address_of_another_machine() -> None:
    line = opening_fails({1: "192.0.2.1:7101"})
    assert line.startswith("node 1 cannot listen at UDP address 192.0.2.1:7101: it is no address of this machine")


def test_own_name_unknown() -> None:
    assert opening_fails({1: "nowhere.invalid:7101"}).startswith(
        "node 1's own address nowhere.invalid:7101 does not resolve"
    )


def test_peer_of_another_family() -> None:
    line = opening_fails({1: f"127.0.0.1:{free_port()}", 2: "[::1]:7102"})
    assert "node 2's address [::1]:7102 does not resolve to an IPv4 address" in line
    assert "all members must be of one family" in line


def test_malformed_address() -> None:
    assert opening_fails({1: "127.0.0.1"}).startswith("address '127.0.0.1' has no port")


def test_listen_elsewhere_than_at_the_published_address() -> None:
    async def whole() -> None:
        port = free_port()
        transport = UdpTransport(listen=f"0.0.0.0:{port}")
        transport.start(identity(1, members={1: f"192.0.2.1:{port}"}), lambda: None)
        assert transport._socket is not None
        assert transport._socket.getsockname() == ("0.0.0.0", port)
        wire = transport.stats()["wire"]
        usual = wire["receive_buffer"] // datagram_cost(1472)
        assert wire["receive_buffer_datagrams"] == usual, "the members are not all on loopback"
        transport.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("others", "size"),
    [({}, 60_000), ({2: "127.0.0.2:1", 3: "localhost:1"}, 60_000), ({2: "10.0.0.1:1"}, 1200)],
)
def test_max_datagram_goes_by_the_addresses(others: dict[int, str], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not say what a path takes."""
    monkeypatch.setattr(udp, "_LINUX", False)

    async def whole() -> None:
        transport = UdpTransport()
        transport.start(identity(1, members={1: f"127.0.0.1:{free_port()}", **others}), lambda: None)
        assert transport.max_datagram == size
        transport.close()

    asyncio.run(whole())
