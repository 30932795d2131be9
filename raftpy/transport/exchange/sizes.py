"""How large datagrams, messages and commands may be, in bytes: what can be set, and what it is when nobody sets it."""

from __future__ import annotations

SMALLEST_DATAGRAM = 512
LARGEST_DATAGRAM = 65_507
"""What UDP carries on IPv4."""
LOOPBACK_DATAGRAM = 60_000
"""``max_datagram`` where every member is on this machine: loopback takes 64 KiB in one piece."""
NETWORK_DATAGRAM = 1_200
"""``max_datagram`` elsewhere: passes every path that IPv6 allows without being cut into fragments."""
LARGEST_MESSAGE = 64 << 20
"""Bytes of the messages of one peer that are put together from fragments at a time, and so of the largest."""
