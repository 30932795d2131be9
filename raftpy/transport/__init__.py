"""Transports: how messages reach the peers. ``UdpTransport`` for clusters, ``MemoryTransport`` for tests."""

from raftpy.transport.memory import MemoryNetwork, MemoryTransport
from raftpy.transport.udp import UdpTransport
from raftpy.transport.unreliable import Unreliable

__all__ = ["MemoryNetwork", "MemoryTransport", "UdpTransport", "Unreliable"]
