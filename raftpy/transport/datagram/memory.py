"""A network in memory: the same datagrams as on UDP, on any clock, with cuts and faults on demand.

Everything is decided by the order of calls, the clock and the seed, so a run can be repeated exactly. A datagram is
delivered through ``Clock.call_later``, never inside the sender's call, and it is lost if the link is cut when it is
sent or when it arrives. A node that was stopped and made anew under its id gets what was on the way to the old one, as
on a real network; its transport must tell the two incarnations apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random

from raftcore.base.errors import ConfigError
from raftpy.contracts.clock import Clock
from raftpy.transport.datagram.base import DatagramTransport
from raftpy.transport.exchange.unreliable import Unreliable
from raftpy.transport.identity.peer import Peer

RELIABLE = Unreliable(delay_ms=(0, 0), long_delay_rate=0, drop_rate=0)


class MemoryNetwork:
    """Links every attached transport with every other.

    ``unreliable`` may be exchanged at any time; its own ``seed`` is passed over in favour of the network's. ``filter``,
    when set, is asked for every datagram (from, to, bytes) and loses it by returning False. Links count one way each,
    so a cut may be one-sided. ``path_size``, when set before transports are made, is what every path takes, in bytes:
    larger datagrams vanish, and the transports find it out; it may change at any time.
    """

    def __init__(self, clock: Clock, seed: int = 0, unreliable: Unreliable | None = None) -> None:
        self.clock = clock
        self.unreliable = unreliable or RELIABLE
        self.path_size: int | None = None
        self.filter: Callable[[int, int, bytes], bool] | None = None
        self.sent = self.delivered = self.lost = 0
        self._source = Random(seed)
        self._transports: dict[int, MemoryTransport] = {}
        self._off: set[int] = set()
        self._cuts: set[tuple[int, int]] = set()

    def attach(self, node_id: int, transport: MemoryTransport) -> None:
        """Puts ``transport`` at ``node_id``; raises ``ConfigError`` when another is there."""
        if node_id in self._transports:
            raise ConfigError(f"node {node_id} is on the memory network already; close its transport first")
        self._transports[node_id] = transport

    def detach(self, node_id: int) -> None:
        """Nobody is at ``node_id`` from now on; what arrives there is lost."""
        self._transports.pop(node_id, None)

    # --- Faults -------------------------------------------------------------------------------------------------

    def disconnect(self, node_id: int) -> None:
        """Cuts the node off from all others, in both directions."""
        self._off.add(node_id)

    def reconnect(self, node_id: int) -> None:
        """Undoes ``disconnect``; cuts and partitions stay."""
        self._off.discard(node_id)

    def cut(self, from_id: int, to_id: int) -> None:
        """Loses everything from one node to another; not the other way round."""
        self._cuts.add((from_id, to_id))

    def mend(self, from_id: int, to_id: int) -> None:
        """Undoes ``cut``."""
        self._cuts.discard((from_id, to_id))

    def partition(self, groups: Iterable[Iterable[int]]) -> None:
        """Cuts every link between different groups, in place of all earlier cuts. Nodes in no group keep all links.

        Raises ``ConfigError`` for a node in two groups.
        """
        sides: dict[int, int] = {}
        for number, group in enumerate(groups):
            for node_id in group:
                if sides.setdefault(node_id, number) != number:
                    raise ConfigError(f"partition: node {node_id} is in two groups")
        self._cuts = {(one, other) for one in sides for other in sides if sides[one] != sides[other]}

    def heal(self) -> None:
        """Undoes every cut, partition and disconnection."""
        self._cuts.clear()
        self._off.clear()

    def connected(self, from_id: int, to_id: int) -> bool:
        """True when the link in this direction is whole."""
        return from_id not in self._off and to_id not in self._off and (from_id, to_id) not in self._cuts

    # --- Delivery -----------------------------------------------------------------------------------------------

    def carry(self, from_id: int, to_id: int, datagram: bytes) -> None:
        """Takes a datagram from a transport."""
        self.sent += 1
        passes = self.filter is None or self.filter(from_id, to_id, datagram)
        if self.path_size is not None and len(datagram) > self.path_size:
            passes = False
        if not passes or not self.connected(from_id, to_id):
            self.lost += 1
            return
        delays = self.unreliable.draw(self._source)
        self.lost += not delays
        for delay_s in delays:
            self.clock.call_later(delay_s, lambda: self._deliver(from_id, to_id, datagram))

    def _deliver(self, from_id: int, to_id: int, datagram: bytes) -> None:
        transport = self._transports.get(to_id)
        if transport is None or not self.connected(from_id, to_id):
            self.lost += 1
            return
        self.delivered += 1
        transport.arrive(datagram)


class MemoryTransport(DatagramTransport):
    """A ``Transport`` on a :class:`MemoryNetwork`, on whose clock it runs; addresses are not looked at."""

    def __init__(
        self, network: MemoryNetwork, *, max_datagram: int | None = None, unreliable: Unreliable | None = None
    ) -> None:
        self.network = network
        super().__init__(clock=network.clock, max_datagram=max_datagram, unreliable=unreliable)
        self._inbox: deque[bytes] = deque()
        self._woken = False  # True: wake has been called, and receive not since

    def arrive(self, datagram: bytes) -> None:
        """A datagram is there: hostile bytes may be handed in by tests."""
        self._inbox.append(datagram)
        self._wake_once()

    def _wake_once(self) -> None:
        if self._inbox and not self._woken:
            self._woken = True
            self._wake()

    def _searches(self) -> bool:
        return self.network.path_size is not None

    def _open(self) -> None:
        self._inbox.clear()
        self._woken = False
        self.network.attach(self._own.node_id, self)

    def _attach(self, peer: Peer) -> None:
        pass  # the id is the address

    def _pull(self, limit: int) -> list[bytes]:
        inbox = self._inbox
        self._woken = False
        datagrams = [inbox.popleft() for _ in range(min(limit, len(inbox)))]
        if inbox:
            self.clock.call_later(0, self._wake_once)
        return datagrams

    def _put(self, peer: Peer, datagram: bytes) -> None:
        self.network.carry(self._own.node_id, peer.id, datagram)

    def _shut(self) -> None:
        self.network.detach(self._own.node_id)
        self._inbox.clear()
