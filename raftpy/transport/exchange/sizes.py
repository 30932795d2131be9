"""How large datagrams, messages and commands may be, in bytes: what can be set, and what it is when nobody sets it."""

from __future__ import annotations

SMALLEST_DATAGRAM = 512
LARGEST_DATAGRAM = 65_507
"""What UDP carries on IPv4."""
LOOPBACK_DATAGRAM = 60_000
"""``max_datagram`` where paths are not searched and every member is on this machine: loopback takes 64 KiB at once."""
NETWORK_DATAGRAM = 1_200
"""The same elsewhere: passes every path that IPv6 allows without being cut into fragments."""
USUAL_DATAGRAM = 1_472
"""What most networks take, which are Ethernet: buffers are judged by it."""
LARGEST_MESSAGE = 64 << 20
"""Bytes of the messages of one peer that are put together from fragments at a time, and so of the largest."""
