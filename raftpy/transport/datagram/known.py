"""What a datagram transport knows of its peers, and of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftcore.wire.codec import max_command
from raftpy.contracts.types import Heard, LocalIdentity, Oversized
from raftpy.transport.datagram.paths import Paths
from raftpy.transport.exchange.counters import NodeCounters
from raftpy.transport.exchange.exchange import Exchange
from raftpy.transport.exchange.lanes import FAR_US
from raftpy.transport.exchange.sizes import LARGEST_MESSAGE
from raftpy.transport.identity.gate import Gate
from raftpy.transport.identity.peer import Peer


class KnownPeers(Exchange):
    """The part of a ``Transport`` that only looks: see there for what its methods promise."""

    counters: NodeCounters
    """Of datagrams that belong to no peer."""
    _own: LocalIdentity
    _gate: Gate
    _peers: dict[int, Peer]
    _paths: Paths
    _far: frozenset[int] = frozenset()
    _far_callback: Callable[[frozenset[int]], None] | None = None

    def _wire_stats(self) -> dict[str, Any]:
        """What the wire knows of itself."""
        return {}

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
