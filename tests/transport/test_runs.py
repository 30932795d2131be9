"""Datagrams that are handed to the system, and taken from it, at once (UDP_SEGMENT, UDP_GRO): on real sockets, with
them and without, and where the system refuses them. Of Linux."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from raftpy.transport import UdpTransport, Unreliable
from raftpy.transport.exchange.exchange import DatagramIO, pack_address
from tests.transport.support import append, messages, peer_counts
from tests.transport.test_udp import Ends, on_loop

SIZE = 1200
RUN_DATAGRAMS, RUN_BYTES = 64, 65_507
SO_NO_CHECK = 11
"""Without a checksum in its datagrams a socket is refused runs (EINVAL), and nothing else."""
SOL_UDP, UDP_GRO = 17, 104


def system_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the runs that any transport hands over from now on."""
    runs: list[int] = []
    real = UdpTransport._transmit_run

    def noted(self: UdpTransport, peer: Any, datagrams: list[bytes]) -> None:
        runs.append(len(datagrams))
        real(self, peer, datagrams)

    monkeypatch.setattr(UdpTransport, "_transmit_run", noted)
    return runs


def joins(transport: UdpTransport) -> bool:
    """Whether the system hands over several datagrams at once to this node."""
    assert transport._socket is not None
    return bool(transport._socket.getsockopt(SOL_UDP, UDP_GRO))


async def carries(ends: Ends, size: int = 300_000, index: int = 1) -> None:
    """A message of that size arrives, from node 1 to node 2."""
    before = len(ends.received[2])
    ends.nodes[1].send(append(2, size, index=index))
    ends.nodes[1].flush()
    await ends.until(lambda: len(ends.received[2]) > before)
    assert [message.index for message in messages(ends.received[2][before:])] == [index]


# --- The transport ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("there", "here"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_message_arrives_whoever_takes_runs(there: bool, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = system_calls(monkeypatch)

    @on_loop
    async def test(ends: Ends) -> None:
        for node_id, takes in ((1, there), (2, here)):
            monkeypatch.setattr(UdpTransport, "runs", takes)
            ends.start(node_id, max_datagram=SIZE)
        one, two = ends.nodes[1], ends.nodes[2]
        await ends.until(lambda: one.http_address(2) is not None and two.http_address(1) is not None)
        before = peer_counts(one, 2)
        for index in range(1, 4):
            await carries(ends, index=index)
        counts = peer_counts(one, 2)
        assert (one.runs, two.runs) == (there, here)
        assert max(lengths) > 1
        assert joins(two) is here, "once small fragments have come"
        assert not joins(one), "to which none have"
        fragments = counts["fragments_sent"] - before["fragments_sent"]
        assert fragments >= 3 * 300_000 // SIZE
        assert counts["sent"] - before["sent"] >= fragments
        assert counts["sent_bytes"] - before["sent_bytes"] > 3 * 300_000
        assert counts["send_failed"] == counts["too_long"] == 0
        assert peer_counts(two, 1)["fragments_received"] == counts["fragments_sent"]
        assert peer_counts(two, 1)["malformed_fragments"] == 0

    test()


@on_loop
async def test_on_loopback_nothing_comes_in_runs(ends: Ends) -> None:
    one, two = await ends.pair()
    await carries(ends, size=5_000_000)
    await carries(ends, size=100)
    assert one.runs
    assert not joins(two), "a datagram of 64 KiB is read by the same call as ever"


@on_loop
async def test_a_system_that_refuses_runs_is_handed_datagrams_one_by_one(ends: Ends) -> None:
    one, two = await ends.pair(max_datagram=SIZE)
    assert one._socket is not None
    one._socket.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    await carries(ends)
    assert not one.runs
    one._socket.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 0)
    await carries(ends, index=2)
    assert not one.runs, "for good"
    counts = peer_counts(one, 2)
    assert counts["send_failed"] == counts["send_buffer_full"] == 0
    assert counts["sent"] >= counts["fragments_sent"]
    assert peer_counts(two, 1)["fragments_received"] == counts["fragments_sent"], "each was sent, and once"


@on_loop
async def test_what_none_of_its_datagrams_passes_says_nothing_of_runs(ends: Ends) -> None:
    """The address of the peer is one to which datagrams may not go at all: each of the run says so by itself."""
    one, _ = await ends.pair(max_datagram=SIZE)
    peer = one._peers[2]
    right, peer.packed = peer.packed, pack_address(("255.255.255.255", 9))
    one.send(append(2, 20_000, index=1))
    one.flush()
    failed = peer_counts(one, 2)["send_failed"]
    assert failed > 1
    assert one.runs
    peer.packed = right


@on_loop
async def test_what_passes_a_bad_network_goes_one_by_one(ends: Ends) -> None:
    """Each is lost or kept by itself."""
    one, _ = await ends.pair(max_datagram=SIZE, unreliable=Unreliable(drop_rate=0.05, seed=3))
    for index in range(1, 6):
        await carries(ends, size=100_000, index=index)
    counts = peer_counts(one, 2)
    assert 0 < counts["dropped"] < 0.2 * counts["sent"]


@on_loop
async def test_a_pass_takes_no_more_than_one_run_above_its_limit(ends: Ends) -> None:
    ends.start(1, max_datagram=SIZE)
    ends.start(2, max_datagram=SIZE)
    one, two = ends.nodes[1], ends.nodes[2]
    await ends.until(lambda: one.http_address(2) is not None and two.http_address(1) is not None)
    await carries(ends)
    assert joins(two)
    io, most = two._io, 0
    assert io is not None

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(io, name)

        def read(self, limit: int) -> list[bytes]:
            nonlocal most
            taken = io.read(limit)
            assert len(taken) < limit + RUN_DATAGRAMS
            most = max(most, len(taken))
            return taken

    two._io = Counted()  # type: ignore[assignment]
    await carries(ends, size=5_000_000, index=2)
    assert most > 1
    two._io = io


# --- The system calls ---------------------------------------------------------------------------------------------


def sockets(test: Callable[[DatagramIO, DatagramIO, bytes], None], family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as two:
        two.bind((host, 0))
        two.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        io = DatagramIO(two.fileno())
        test(DatagramIO(one.fileno()), io, pack_address(two.getsockname()))


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
@pytest.mark.parametrize(
    ("count", "size", "last"), [(1, 1200, 1200), (2, 1200, 1), (54, 1200, 1200), (RUN_DATAGRAMS, 1000, 999)]
)
def test_a_run_arrives_as_its_datagrams(family: int, host: str, count: int, size: int, last: int) -> None:
    def test(one: DatagramIO, two: DatagramIO, address: bytes) -> None:
        run = [bytes([number]) * (size if number < count - 1 else last) for number in range(count)]
        assert sum(map(len, run)) <= RUN_BYTES
        assert one.write_run(run, address) == 0
        found: list[bytes] = []
        while some := two.read(10):
            assert len(some) <= 10
            found += some
        assert found == run

    sockets(test, family, host)


@pytest.mark.parametrize(
    "run", [[], [b"x"] * (RUN_DATAGRAMS + 1), [b"xx", b"xxx"], [b"xx", b"x", b"xx"], [b"xx", b"x", b"x"]]
)
def test_what_is_no_run_is_refused(run: list[bytes]) -> None:
    def test(one: DatagramIO, two: DatagramIO, address: bytes) -> None:
        with pytest.raises(ValueError, match="datagram"):
            one.write_run(run, address)
        assert two.read(1) == []

    sockets(test, socket.AF_INET, "127.0.0.1")


def test_a_run_that_is_not_sent_gives_the_errors_number() -> None:
    def test(one: DatagramIO, two: DatagramIO, address: bytes) -> None:
        assert one.write_run([b"x" * 30_000] * 3, address) == errno.EMSGSIZE
        assert one.write_run([b"x", b"x"], address[:3]) == errno.EINVAL
        assert two.read(1) == []

    sockets(test, socket.AF_INET, "127.0.0.1")
