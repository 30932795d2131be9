"""A small world for transports: incarnations, headers, datagrams, and memory networks on virtual time."""

from __future__ import annotations

import socket
from typing import Any

from raftcore.base.types import EntryKind, MessageType
from raftcore.values.message import Entries, Entry, Message
from raftcore.wire.codec import DatagramBuilder, Header, decode_message, frames
from raftpy.contracts.clock import ManualClock
from raftpy.contracts.types import LocalIdentity
from raftpy.transport import MemoryNetwork, MemoryTransport, Unreliable
from raftpy.transport.identity.peer import Peer

CLUSTER = 0xC1C1
MEMBERS = {1: "127.0.0.1:7101", 2: "127.0.0.1:7102", 3: "127.0.0.1:7103"}


def boot(counter: int, low: int = 7) -> int:
    """A boot: its counter, and the random half."""
    return counter << 32 | low


def store(node_id: int) -> int:
    """The store id of a node's own data directory."""
    return 0x5700 + node_id


def identity(node_id: int, counter: int = 1, **changes: Any) -> LocalIdentity:
    """An incarnation of a node; any field can be given otherwise."""
    fields: dict[str, Any] = {
        "node_id": node_id,
        "store_id": store(node_id),
        "boot": boot(counter),
        "cluster_id": CLUSTER,
        "members": MEMBERS,
        "http_address": f"127.0.0.1:{8100 + node_id}",
    }
    return LocalIdentity(**(fields | changes))


def header(speaker: LocalIdentity, spoken_to: LocalIdentity | int, /, **changes: int) -> Header:
    """What ``speaker`` puts over a datagram to ``spoken_to``: an incarnation it has heard, or else a node's id."""
    fields = {
        "cluster_id": speaker.cluster_id,
        "from_": speaker.node_id,
        "to": spoken_to.node_id if isinstance(spoken_to, LocalIdentity) else spoken_to,
        "from_store": speaker.store_id,
        "from_boot": speaker.boot,
        "to_store": spoken_to.store_id if isinstance(spoken_to, LocalIdentity) else 0,
        "to_boot": spoken_to.boot if isinstance(spoken_to, LocalIdentity) else 0,
    }
    return Header(**(fields | changes))


def bare(head: Header) -> bytes:
    """A datagram of the header alone."""
    return DatagramBuilder(head, 1200).bare()


def datagram(head: Header, *messages: Message) -> bytes:
    """A datagram with these messages, or with one heartbeat."""
    builder = DatagramBuilder(head, 60_000)
    for message in messages or (heartbeat(head.to, head.from_),):
        assert builder.add(message)
    return builder.finish()


def heartbeat(to: int, from_: int = 1, commit: int = 5) -> Message:
    return Message(type=MessageType.MsgHeartbeat, to=to, from_=from_, term=3, commit=commit)


def append(to: int, size: int, from_: int = 1, index: int = 4) -> Message:
    """A MsgApp with one command of ``size`` bytes."""
    entries = Entries.build([Entry(3, index + 1, EntryKind.EntryNormal, b"x" * size)])
    return Message(
        type=MessageType.MsgApp, to=to, from_=from_, term=3, log_term=3, index=index, commit=index, entries=entries
    )


def messages(datagrams: list[bytes]) -> list[Message]:
    """The messages in datagrams that were given on."""
    return [decode_message(kind, body) for each in datagrams for _, kind, body in frames(each, 64) if kind < 128]


def commits(datagrams: list[bytes]) -> list[int]:
    """The commit indexes of the heartbeats in them, which tests use as names."""
    return [message.commit for message in messages(datagrams)]


class EarlierTransport(MemoryTransport):
    """Of a version that knows no fragments: it does not say that it takes any."""

    def _takes(self, peer: Peer) -> None:
        return None


class World:
    """Memory transports on one network and a clock that moves by hand; what is received is kept by node."""

    def __init__(self, seed: int = 0, unreliable: Unreliable | None = None) -> None:
        self.clock = ManualClock()
        self.network = MemoryNetwork(self.clock, seed, unreliable)
        self.transports: dict[int, MemoryTransport] = {}
        self.received: dict[int, list[bytes]] = {}
        self.wakes: dict[int, int] = {}
        self.pinned: list[tuple[int, int, int]] = []

    def start(self, own: LocalIdentity, *, earlier: bool = False, **settings: Any) -> MemoryTransport:
        """Begins an incarnation, in place of an earlier one of the same node; ``earlier``: of an earlier version."""
        node_id = own.node_id
        if node_id in self.transports:
            self.transports[node_id].close()
        kind = EarlierTransport if earlier else MemoryTransport
        transport = self.transports[node_id] = kind(self.network, **settings)
        self.received.setdefault(node_id, [])
        self.wakes[node_id] = 0

        def wake() -> None:
            self.wakes[node_id] += 1
            self.received[node_id] += transport.receive()

        transport.start(own, wake, lambda peer, its_store: self.pinned.append((node_id, peer, its_store)))
        return transport

    def settle(self, seconds: float = 0.0) -> None:
        """Delivers what is under way, and lets time pass."""
        self.clock.advance(seconds)

    def take(self, node_id: int) -> list[bytes]:
        """What the node was given since the last time."""
        taken, self.received[node_id] = self.received[node_id], []
        return taken

    def pair(self) -> tuple[MemoryTransport, MemoryTransport]:
        """Nodes 1 and 2, who know each other."""
        one, two = self.start(identity(1)), self.start(identity(2))
        self.settle()
        assert one.reachable(2)
        assert two.reachable(1)
        return one, two


def peer_counts(transport: Any, peer_id: int) -> dict[str, Any]:
    """A peer's counters."""
    counts: dict[str, Any] = transport.stats()["peers"][peer_id]
    return counts


def node_counts(transport: Any) -> dict[str, int]:
    """The counters that belong to no peer."""
    counts: dict[str, int] = transport.stats()["node"]
    return counts


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    """What has been counted between the two."""
    return {
        name: after[name] - before[name]
        for name in after
        if type(after[name]) is int and type(before[name]) is int and after[name] != before[name]
    }


def free_port(family: int = socket.AF_INET) -> int:
    """A UDP port nobody has at this moment."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        return int(probe.getsockname()[1])
