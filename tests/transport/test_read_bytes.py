"""One read takes a bounded number of bytes, so that large datagrams do not hold a pass for long."""

from __future__ import annotations

import socket

from raftpy.transport.exchange.exchange import DatagramIO, pack_address


def test_a_read_of_large_datagrams_takes_about_half_a_mebibyte() -> None:
    """What follows from them, a synced write above all, comes before the rest: other work goes in between."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        io = DatagramIO(udp.fileno())
        address = pack_address(udp.getsockname())
        for _ in range(20):
            assert io.write(bytes(60_000), address) == 0
        taken = [len(io.read(64)) for _ in range(4)]
        roomy = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 4 << 20  # else some were thrown away
        assert taken == [9, 9, 2, 0] if roomy else max(taken) <= 9


def test_small_datagrams_are_bounded_in_number_alone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        io = DatagramIO(udp.fileno())
        address = pack_address(udp.getsockname())
        for _ in range(150):
            assert io.write(b"x" * 100, address) == 0
        assert [len(io.read(64)) for _ in range(4)] == [64, 64, 22, 0]
