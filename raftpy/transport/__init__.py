"""Transports: how messages reach the peers. ``UdpTransport`` for clusters, ``MemoryTransport`` for tests."""

from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from raftpy.transport.datagram.udp import UdpTransport
from raftpy.transport.exchange.unreliable import Unreliable

__all__ = ["MemoryNetwork", "MemoryTransport", "UdpTransport", "Unreliable"]
