"""What a datagram transport knows of its peers, and of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from raftcore.base.errors import RaftError
from raftcore.wire.codec import max_command
from raftpy.contracts.types import Heard, LocalIdentity, Oversized, RemovedMember
from raftpy.transport.datagram.paths import Paths
from raftpy.transport.exchange.counters import NodeCounters
from raftpy.transport.exchange.exchange import Exchange
from raftpy.transport.exchange.lanes import FAR_US
from raftpy.transport.exchange.sizes import LARGEST_MESSAGE
from raftpy.transport.identity.gate import Gate
from raftpy.transport.identity.peer import Peer


class KnownPeers(Exchange):
    """The part of a ``Transport`` that looks, and tells what it sees: see there for what its methods promise."""

    counters: NodeCounters
    """Of datagrams that belong to no peer."""
    _own: LocalIdentity
    _gate: Gate
    _peers: dict[int, Peer]
    _paths: Paths
    _far: frozenset[int] = frozenset()
    _far_callback: Callable[[frozenset[int]], None] | None = None
    _unreachable_callback: Callable[[int], None] | None = None
    _heard_callback: Callable[[int], None] | None = None
    _removed_callback: Callable[[int, int], None] | None = None

    def _wire_stats(self) -> dict[str, Any]:
        """What the wire knows of itself."""
        return {}

    def _attach(self, peer: Peer) -> None:
        """A subclass looks ``peer.address`` up: sets ``peer.target`` and ``peer.packed``."""
        raise NotImplementedError

    def reachable(self, node_id: int) -> bool:
        """See ``Transport.reachable``."""
        peer = self._peers.get(node_id)
        return peer is not None and peer.expected is not None and peer.presence.reachable

    def refused_by(self, node_id: int) -> str | None:
        """See ``Transport.refused_by``."""
        peer = self._peers.get(node_id)
        return None if peer is None else self._gate.refused_by(peer, self.reachable(node_id))

    def oversized(self, node_id: int) -> Oversized | None:
        """See ``Transport.oversized``."""
        peer = self._peers.get(node_id)
        return None if peer is None else peer.oversized

    def http_address(self, node_id: int) -> str | None:
        """See ``Transport.http_address``; this node's own id gives its own."""
        if node_id == self._own.node_id:
            return self._own.http_address or None
        peer = self._peers.get(node_id)
        return (peer.http_address or None) if peer is not None else None

    def heard(self, node_id: int) -> Heard:
        """See ``Transport.heard``."""
        peer = self._peers.get(node_id)
        return Heard() if peer is None else peer.heard()

    # --- Who is told of them ------------------------------------------------------------------------------------

    def on_unreachable(self, callback: Callable[[int], None]) -> None:
        """See ``Transport.on_unreachable``."""
        self._unreachable_callback = callback

    def _tell_unreachable(self, peer: Peer) -> None:
        if self._unreachable_callback is not None:
            self._unreachable_callback(peer.id)

    def on_heard(self, callback: Callable[[int], None]) -> None:
        """See ``Transport.on_heard``."""
        self._heard_callback = callback

    def on_removed(self, callback: Callable[[int, int], None]) -> None:
        """See ``DismissingTransport.on_removed``."""
        self._removed_callback = callback

    def dismiss(self, removed: Mapping[int, RemovedMember]) -> None:
        """See ``DismissingTransport.dismiss``. Who is spoken to as a peer still is told once he is none."""
        for node_id, member in removed.items():
            if node_id not in self._gate.removed and member.udp:
                peer = self._gate.new_peer(node_id, member.udp)
                with suppress(RaftError):  # of an address that this node cannot use it was never heard
                    self._attach(peer)
                self._gate.removed[node_id] = peer, member

    # --- Who is far ---------------------------------------------------------------------------------------------

    def on_far(self, callback: Callable[[frozenset[int]], None]) -> None:
        """See ``SizingTransport.on_far``."""
        self._far_callback = callback
        callback(self._far)

    def _measured(self, peer: Peer) -> None:
        """It has become known how far the peer is, or is not known any more."""
        told = peer.takes is not None and peer.lanes > 0
        peer.builder.refuses_appends = told and peer.round_trip_us >= FAR_US and not self._is_near(peer)
        far = frozenset(other.id for other in self._peers.values() if other.far)
        if far != self._far:
            self._far = far
            if self._far_callback is not None:
                self._far_callback(far)

    def _is_near(self, peer: Peer) -> bool:
        """Whether the peer is near however long it takes to answer."""
        return False

    @property
    def max_datagram(self) -> int:
        """Bytes in the largest datagram; see ``Transport.max_datagram``."""
        return self._paths.most

    @property
    def max_command(self) -> int:
        """Bytes in the largest command that fits one datagram to anybody."""
        return max_command(self._paths.least)

    @property
    def max_message(self) -> int:
        """Bytes in the largest message; see ``FragmentingTransport.max_message``."""
        return LARGEST_MESSAGE

    def stats(self) -> dict[str, Any]:
        """See ``Transport.stats``."""
        return {
            "node": self.counters.as_dict(),
            "peers": {
                peer.id: {
                    "address": peer.address,
                    "http": peer.http_address or None,
                    "store_id": peer.incarnation.store,
                    "boot": peer.incarnation.boot,
                    "reachable": self.reachable(peer.id),
                    "datagram": peer.builder.max_datagram,
                    "path": None if peer.path is None else peer.path.phase.value,
                    "round_trip_us": peer.round_trip_us or None,
                    "far": peer.far,
                    **peer.counters.as_dict(),
                }
                for peer in self._peers.values()
            },
            "wire": {"max_datagram": self._paths.most, **self._wire_stats()},
        }
