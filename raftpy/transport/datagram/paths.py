"""How large the datagrams to each peer are: the search of raftcore.wire.path_size, with a clock and the wire.

A peer that says in its hello that it answers probes is sent some: beside everything else, one at a time. As soon as one
is answered, datagrams to that peer are as large, less what is left free for sealing. A peer of an earlier version says
nothing, and is spoken to in datagrams of the base size.

Where datagrams larger than the base go to a peer and their arrival is not known from fragments, they are confirmed once
a second by a probe of the size in use. Where fragments show a black hole, that is not waited for.

A peer that is away answers nothing, which says nothing of the path: what is known of it stands until the peer is back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from raftcore.base.errors import DecodeError
from raftcore.wire.datagram import frame_datagram
from raftcore.wire.path_size import BASE_SIZE, LARGEST_SIZE, SEALING, PathSize, Phase
from raftpy.contracts.clock import Clock
from raftpy.transport.datagram.due import MICROSECONDS, Due
from raftpy.transport.exchange.probe_frames import (
    FRAME_PROBE,
    FRAME_PROBE_ANSWER,
    decode_probe,
    encode_answer,
    encode_probe,
)
from raftpy.transport.identity.peer import Peer

HOLE_US = 2 * MICROSECONDS
"""What is not said again for so long is over."""

ROUND_TRIPS = 4
"""Of so many of the last probes that were answered the fastest tells how far the peer is."""

log = logging.getLogger("raftpy.transport")


class Paths:
    """The paths from one node to its peers, in one incarnation of it.

    ``most``: bytes of the largest datagram that frames may fill. ``searches``: sizes are found out; else each path is
    taken to carry ``most`` bytes and no more, and datagrams to every peer are as large, less what is left free for
    sealing, from the beginning. ``transmit(peer, datagram)`` puts a datagram on the wire;
    ``resized(peer)`` is called when another size holds for a peer than before, and ``measured(peer)`` when its round
    trips have become known, or are not any more.
    """

    def __init__(
        self,
        clock: Clock,
        most: int,
        *,
        searches: bool,
        transmit: Callable[[Peer, bytes], None],
        resized: Callable[[Peer], None],
        measured: Callable[[Peer], None],
    ) -> None:
        self.most = most
        self.searches = searches
        self.largest = min(most + SEALING, LARGEST_SIZE)  # of the datagrams on the wire
        self.least = min(most, BASE_SIZE - SEALING) if searches else most - SEALING
        """What frames may fill before anything is found out."""
        self._transmit = transmit
        self._resized = resized
        self._measured = measured
        self._trying: dict[int, Peer] = {}  # whose machine has something to do at some time
        self._due = Due(clock, self._on_due)

    def close(self) -> None:
        """Nothing is sent any more."""
        self._trying.clear()
        self._due.stop()

    def forget(self, peer: Peer) -> None:
        """Nothing is known of the path to the peer, which is new, or in a new incarnation."""
        self._trying.pop(peer.id, None)
        peer.path = None
        peer.repeated = None  # the search begins with a hello
        peer.large_looked_at = peer.large
        peer.builder.limit(self.least)
        peer.path_probe = 0
        peer.round_trips.clear()
        self._measured(peer)

    def moved(self, peer: Peer) -> None:
        """The peer has another address. Nothing is known of the path there, and the search for it begins."""
        before = peer.builder.max_datagram
        self.forget(peer)
        if peer.builder.max_datagram != before:
            self._resized(peer)
        self.hello(peer)

    # --- What happens -------------------------------------------------------------------------------------------

    def hello(self, peer: Peer) -> None:
        """The peer has said what it is: perhaps that it answers probes."""
        if self.searches and peer.probes and peer.path is None:
            peer.path = PathSize(self.largest)
            peer.path.start(peer.probes, self._due.now_us())
            self._go_on(peer)

    def take(self, peer: Peer, kind: int, group: int, body: memoryview, size: int) -> None:
        """Takes a frame with a probe or an answer, out of a datagram of ``size`` bytes."""
        try:
            number, told = decode_probe(kind, group, body, size)
        except DecodeError:
            peer.counters.malformed_probes += 1
            return
        if kind == FRAME_PROBE:
            answer = encode_answer(number, told)
            self._transmit(peer, frame_datagram(peer.builder.header, FRAME_PROBE_ANSWER, 0, answer))
        elif peer.path is not None:
            now_us = self._due.now_us()
            if number == peer.path_probe:
                self._measure(peer, now_us - peer.path_probed_us)
            peer.path.answered(number, told, now_us)
            self._go_on(peer)

    def _measure(self, peer: Peer, took_us: int) -> None:
        """A probe has been answered."""
        peer.path_probe = 0
        peer.round_trips.append(took_us)
        del peer.round_trips[:-ROUND_TRIPS]
        self._measured(peer)

    def told(self, peer: Peer, limit: int, refused: int = 0) -> bool:
        """The system did not take a datagram of ``refused`` bytes, or the network one, and none of more than ``limit``;
        0: not said. False: nothing is being found out about this path."""
        if peer.path is None:
            return False
        peer.path.told(limit, refused, self._due.now_us())
        self._go_on(peer)
        return True

    def lost(self, peer: Peer) -> None:
        """No fragment larger than the base has arrived for a second; said again for as long as that is so. It is a
        black hole once something else of the peer is heard meanwhile."""
        if peer.path is None:
            return
        now_us = self._due.now_us()
        if now_us > peer.hole_us + HOLE_US:
            peer.hole_when = peer.counters.received
        peer.hole_us = now_us
        if peer.hole_when != peer.counters.received:
            peer.hole_when = peer.counters.received
            peer.path.lost(now_us)
            self._go_on(peer)

    def look(self, peer: Peer) -> None:
        """Once a second: is the peer back? Is what large datagrams there were known to have arrived?"""
        if peer.path is None or not peer.presence.reachable:
            return
        if peer.id not in self._trying and peer.path.deadline() is not None:
            peer.path_probed_when = peer.counters.received  # what it did not answer while it was away does not count
            self._go_on(peer)
        if peer.large == peer.large_looked_at:
            return
        peer.large_looked_at = peer.large
        now_us = self._due.now_us()
        if peer.outgoing is None or peer.outgoing.large_us < now_us - MICROSECONDS:
            peer.path.confirm(now_us)
            self._go_on(peer)

    # --- Probes -------------------------------------------------------------------------------------------------

    def _go_on(self, peer: Peer) -> None:
        """Takes up what the peer's machine has decided, sends the probe that is due, and sees to the next; to a peer
        that is not reachable, none."""
        path = peer.path
        assert path is not None
        probe = None
        if peer.presence.reachable:
            self._trying[peer.id] = peer
            probe = path.probe(self._due.now_us(), silent=peer.counters.received == peer.path_probed_when)
        else:
            self._trying.pop(peer.id, None)
        size = min(self.most, path.size - SEALING)
        if size != peer.builder.max_datagram:
            self._resize(peer, size)
        if probe is not None:
            peer.counters.path_probes += 1
            peer.path_probed_when = peer.counters.received
            peer.path_probe, peer.path_probed_us = probe[0], self._due.now_us()
            self._transmit(peer, frame_datagram(peer.builder.header, FRAME_PROBE, 0, *encode_probe(*probe)))
        self._plan()

    def _resize(self, peer: Peer, size: int) -> None:
        path, before = peer.path, peer.builder.max_datagram
        assert path is not None
        peer.counters.path_narrowed = path.narrowed
        peer.builder.limit(size)
        self._resized(peer)
        if size < before:
            log.info("node %d takes datagrams of %d bytes only, no longer of %d", peer.id, size, before)
        elif path.phase is Phase.COMPLETE:
            log.debug("node %d takes datagrams of %d bytes", peer.id, size)

    def _plan(self) -> None:
        """Sees to what is due first."""
        due_us: int | None = None
        for peer in list(self._trying.values()):
            at_us = None if peer.path is None else peer.path.deadline()
            if at_us is None:
                del self._trying[peer.id]
            elif due_us is None or at_us < due_us:
                due_us = at_us
        self._due.set(due_us, self._due.now_us())

    def _on_due(self) -> None:
        for peer in list(self._trying.values()):
            if peer.path is not None:
                self._go_on(peer)
        self._plan()
