"""A simulated network: links that lose, repeat, delay, reorder and damage datagrams, and sockets that overflow.

A datagram is a copy of bytes on its way to a node, not to a process: it arrives at whoever lives there by then. Links
count one way each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from raftpy.contracts.entropy import Entropy
from raftpy.sim.plan import NetworkFaults
from raftpy.sim.process import Process
from raftpy.sim.world import World
from raftpy.transport.datagram.base import DatagramTransport
from raftpy.transport.identity.peer import Peer

GOOD = NetworkFaults()


class Network:
    """Carries datagrams between the transports of a world. ``faults`` may be changed while it runs."""

    def __init__(self, world: World, faults: NetworkFaults = GOOD) -> None:
        self.world = world
        self.faults = faults
        self.cuts: set[tuple[int, int]] = set()
        """Links that lose everything, (from, to)."""
        self.slow: dict[tuple[int, int], float] = {}
        """Links that take so many seconds more."""
        self.sent = self.lost = 0
        self.reached: Callable[[str], None] = _nothing
        self.keep: Callable[[int, int, bytes], bool] | None = None
        """Asked with (from, to, datagram) about each that is to be carried: True keeps it off, for ``send_on``, or for
        good. For scenarios that choose what arrives when; None: nobody asks."""
        self.leaving: Callable[[int, bytes], None] = _nothing_leaves
        """Told of each datagram that a node hands over, before anything becomes of it."""
        self.given_on: Callable[[int, list[bytes]], None] = _nothing_given
        """Told which datagrams a node's transport takes for ones that are meant for it."""
        self._source = world.source("network")
        self._transports: dict[int, SimulatedTransport] = {}

    # --- Faults -----------------------------------------------------------------------------------------------------

    def isolate(self, node: int, others: range) -> None:
        """Cuts a node off from the others, both ways."""
        for other in others:
            if other != node:
                self.cuts |= {(node, other), (other, node)}

    def heal(self, slowest_s: float) -> None:
        """No link is cut or slow, and what is sent from now on arrives, within ``slowest_s``; what is on its way stays
        on its way."""
        self.cuts.clear()
        self.slow.clear()
        low, high = self.faults.delay_s
        self.faults = replace(GOOD, delay_s=(min(low, slowest_s), min(high, slowest_s)), buffer_bytes=1 << 24)

    # --- Carrying ---------------------------------------------------------------------------------------------------

    def attach(self, node: int, transport: SimulatedTransport) -> None:
        """``transport`` is at the address of ``node``."""
        self._transports[node] = transport

    def detach(self, node: int, transport: SimulatedTransport) -> None:
        """It is not any more."""
        if self._transports.get(node) is transport:
            del self._transports[node]

    def at(self, node: int) -> SimulatedTransport | None:
        """Who lives at the address of ``node`` and can hear."""
        transport = self._transports.get(node)
        return transport if transport is not None and transport.process.alive else None

    def carry(self, from_id: int, to_id: int, datagram: bytes, late_s: float) -> bool:
        """Takes a datagram that leaves in ``late_s`` seconds. False: nobody is there, and the sender is told."""
        faults, source = self.faults, self._source
        self.sent += 1
        number = self.sent
        self.world.event(from_id, "send", number, to_id, datagram)
        self.leaving(from_id, datagram)
        if (from_id, to_id) in self.cuts:
            self._lose(from_id, number, "cut")
            return True
        if self.keep is not None and self.keep(from_id, to_id, datagram):
            self._lose(from_id, number, "kept")
            return True
        if faults.loss and source.random() < faults.loss:
            self._lose(from_id, number, "lost")
            return True
        if faults.flipped and source.random() < faults.flipped:
            at = source.randrange(len(datagram))
            datagram = datagram[:at] + bytes([datagram[at] ^ 1 << source.randrange(8)]) + datagram[at + 1 :]
            self.reached("a datagram was damaged")
        self._send(number, from_id, to_id, datagram, late_s)
        if faults.duplication and source.random() < faults.duplication:
            self.reached("a datagram arrived twice")
            self._send(number, from_id, to_id, datagram, late_s)
        if self.at(to_id) is None and faults.refused and source.random() < faults.refused:
            self.reached("a sender was told that nobody is there")
            return False
        return True

    def send_on(self, from_id: int, to_id: int, datagram: bytes) -> None:
        """Sends a datagram that was kept, or any other, on its way now; it may be sent on as often as one likes."""
        self.sent += 1
        self.world.event(from_id, "send", self.sent, to_id, datagram)
        self._send(self.sent, from_id, to_id, datagram, 0.0)

    def _send(self, number: int, from_id: int, to_id: int, datagram: bytes, late_s: float) -> None:
        faults, source = self.faults, self._source
        delay = faults.delay_s
        if faults.late and source.random() < faults.late:
            delay = faults.late_s
        if faults.held and source.random() < faults.held:
            delay = faults.held_s
            self.reached("a datagram was held back")
        seconds = late_s + source.uniform(*delay) + self.slow.get((from_id, to_id), 0.0)
        self.world.after(seconds, self._arrive, number, from_id, to_id, datagram)

    def _arrive(self, number: int, from_id: int, to_id: int, datagram: bytes) -> None:
        transport = self.at(to_id)
        if (from_id, to_id) in self.cuts:
            self._lose(to_id, number, "cut")
        elif transport is None:
            self._lose(to_id, number, "nobody there")
        elif not transport.arrive(datagram, self.faults.buffer_bytes):
            self.reached("a socket's buffer overflowed")
            self._lose(to_id, number, "overflow")
        else:
            self.world.event(to_id, "deliver", number)

    def _lose(self, node: int, number: int, why: str) -> None:
        self.lost += 1
        self.world.event(node, "drop", number, why)


class SimulatedTransport(DatagramTransport):
    """The shipped transport of one ``process``, with a :class:`Network` in the place of the socket."""

    def __init__(self, network: Network, process: Process, entropy: Entropy, max_datagram: int | None) -> None:
        super().__init__(clock=process, max_datagram=max_datagram, entropy=entropy)
        self.network = network
        self.process = process
        self._inbox: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._woken = False  # the loop has been told that something can be read, and receive was not called since

    def receive(self, limit: int = 64) -> list[bytes]:
        """See ``Transport.receive``."""
        if not self._inbox:  # asked again until nothing is left
            self._woken = False
            return []
        datagrams = super().receive(limit)
        if datagrams:
            self.network.given_on(self._own.node_id, datagrams)
        return datagrams

    def arrive(self, datagram: bytes, buffer_bytes: int) -> bool:
        """False: the socket's buffer has no room."""
        if self._waiting_bytes and self._waiting_bytes + len(datagram) > buffer_bytes:
            return False
        self._inbox.append(datagram)
        self._waiting_bytes += len(datagram)
        self._tell()
        return True

    def _tell(self) -> None:
        if not self._woken:
            self._woken = True
            self.process.call_soon(self._readable)

    def _readable(self) -> None:
        if self._inbox:
            self._wake()
        else:
            self._woken = False

    def _open(self) -> None:
        self._inbox.clear()
        self._woken = False
        self.network.attach(self._own.node_id, self)

    def _attach(self, peer: Peer) -> None:
        """The id is the address."""

    def _pull(self, limit: int) -> list[bytes]:
        inbox = self._inbox
        self._woken = False
        if len(inbox) <= limit:
            datagrams = list(inbox)
            inbox.clear()
            self._waiting_bytes = 0
        else:
            datagrams = [inbox.popleft() for _ in range(limit)]
            self._waiting_bytes -= sum(map(len, datagrams))
            self._tell()
        return datagrams

    def _put(self, peer: Peer, datagram: bytes) -> None:
        process = self.process
        if process.alive:
            process.count_time()
            if not self.network.carry(self._own.node_id, peer.id, datagram, process.spent):
                process.call_soon(self._report_refused, peer)

    def _shut(self) -> None:
        self.network.detach(self._own.node_id, self)
        self._inbox.clear()


def _nothing_leaves(node: int, datagram: bytes) -> None:
    """Nobody looks."""


def _nothing_given(node: int, datagrams: list[bytes]) -> None:
    """Nobody looks."""


def _nothing(reached: str) -> None:
    """Counts nothing."""
