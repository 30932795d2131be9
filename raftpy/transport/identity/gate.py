"""The gate: which datagrams come in, what each of them teaches, and who is to be answered.

The rules stand in rules.py; here they meet the peers. What a living peer is expected to say passes without coming
here (exchange.pyx); a header that is not expected comes to `admit`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from raftcore.wire.codec import DatagramBuilder, Header
from raftpy.contracts.clock import Clock
from raftpy.contracts.types import LocalIdentity, RemovedMember
from raftpy.transport.exchange.counters import NodeCounters
from raftpy.transport.identity.peer import HELD_FOR_S, Peer
from raftpy.transport.identity.refusal import FRAME_REFUSAL, Refusal, encode_refusal, encode_removal
from raftpy.transport.identity.rules import Verdict, judge

MOST_WARNINGS = 100
"""Lines of one kind; what strangers may write into a header must not use up the room for what peers say."""
FOREIGN_FOR_S = 5.0
"""How long a peer that spoke for another cluster, as it does once a second, counts as speaking for it."""

log = logging.getLogger("raftpy.transport")


class Gate:
    """The peers of one incarnation of this node, and the one place where a peer's incarnation is learned.

    ``answer``, ``hello`` and ``refuse`` are emptied by the transport at the end of each pass. ``changed(peer)`` is
    called when another incarnation of a peer is heard than before, or none any more.
    """

    def __init__(
        self,
        own: LocalIdentity,
        clock: Clock,
        pin: Callable[[int, int], None] | None,
        max_datagram: int,
        changed: Callable[[Peer], None],
    ) -> None:
        self.own = own
        self.clock = clock
        self.pin = pin
        self.max_datagram = max_datagram
        self.changed = changed
        self.counters = NodeCounters()
        self.pins = dict(own.pins)
        self.peers: dict[int, Peer] = {}
        self.answer: dict[int, Peer] = {}  # to be sent a bare header
        self.hello: dict[int, Peer] = {}  # newly learned incarnations, to be told who we are
        self.refuse: list[tuple[Peer, bytes]] = []  # datagrams for incarnations that are not the peer's
        self.removed: dict[int, tuple[Peer, RemovedMember]] = {}  # who is a member no more, and is told so
        self._warned: dict[object, set[tuple[object, ...]]] = {}

    def new_peer(self, peer_id: int, address: str) -> Peer:
        """A peer not heard yet; it counts once it is in ``peers``."""
        return Peer(peer_id, address, self.pins.get(peer_id, 0), self.own, self.max_datagram)

    def bind(self, peer_id: int, store_id: int) -> None:
        """The member table says whose store it is. What was heard from another store is forgotten, unheard."""
        self.pins[peer_id] = store_id
        peer = self.peers.get(peer_id)
        if peer is None or peer.incarnation.pinned == store_id:
            return
        if not peer.incarnation.pinned:
            peer.incarnation.pinned = store_id
            return
        self.answer.pop(peer_id, None)
        self.hello.pop(peer_id, None)
        peer.rebind(store_id, self.own)
        self.changed(peer)

    def forget(self, peer_id: int) -> None:
        """The node is no member any more. Its pin stays: an id is for all time."""
        peer = self.peers.pop(peer_id)
        peer.give_up_queued()
        self.changed(peer)

    def admit(self, header: Header) -> Peer | None:
        """Judges a header that is not among the expected: the peer if its datagram is to be given on, or None."""
        own = self.own
        if header.cluster_id != own.cluster_id:
            self.counters.wrong_cluster += 1
            if header.to == own.node_id and (foreign := self.peers.get(header.from_)) is not None:
                foreign.foreign_at_s, foreign.foreign_cluster = self.clock.monotonic(), header.cluster_id
            self.warn_once(
                ("cluster", header.cluster_id),
                f"datagrams of another cluster arrive here (cluster id {header.cluster_id:#x}, ours is "
                f"{own.cluster_id:#x}; they say they are from node {header.from_}): dropped",
            )
            return None
        if header.to != own.node_id:
            self.counters.misdirected += 1
            self.warn_once(
                ("misdirected", header.from_, header.to),
                f"datagrams for node {header.to} arrive here, at node {own.node_id}: dropped; "
                f"node {header.from_} has a wrong address for one of them",
            )
            return None
        if not header.from_store or not header.from_boot:
            self.counters.malformed += 1
            return None
        peer = self.peers.get(header.from_)
        if peer is None:
            self.counters.unknown_peer += 1
            if (former := self.removed.get(header.from_)) is not None:
                self._dismiss(*former, header)
            return None
        return self._judge(peer, header)

    def _dismiss(self, peer: Peer, removed: RemovedMember, header: Header) -> None:
        """Somebody speaks under an id that was removed, from whatever store: an emptied one must not begin anew."""
        self._refuse(peer, header, encode_removal(removed.index))

    def _judge(self, peer: Peer, header: Header) -> Peer | None:
        verdict = judge(self.own.store_id, self.own.boot, peer.incarnation, header)
        if verdict.believed and peer.incarnation.is_news(header):
            self._learn(peer, header)
        if verdict is Verdict.ACCEPT:
            return peer
        counter = verdict.value
        setattr(peer.counters, counter, getattr(peer.counters, counter) + 1)
        if verdict.answered:
            self.answer[peer.id] = peer
        if verdict.refusal is not None:
            self._refuse(peer, header, encode_refusal(verdict.refusal))
        if verdict is Verdict.WRONG_STORE:
            self.warn_once(
                (verdict, peer.id, header.from_store),
                f"node {peer.id} speaks from data directory {header.from_store:#x}, but "
                f"{peer.incarnation.pinned:#x} is its own: dropped; an emptied or replaced data directory comes "
                "back only under a new node id",
            )
        elif verdict is Verdict.FORKED_BOOT:
            self.warn_once(
                (verdict, peer.id, header.from_boot),
                f"node {peer.id} has started twice from the same state of its data directory (boots "
                f"{peer.incarnation.boot:#x} and {header.from_boot:#x}): the second is dropped; is one a copy?",
            )
        return None

    def _refuse(self, peer: Peer, header: Header, body: bytes) -> None:
        """Tells the header's sender, and no other incarnation of the peer, that it is not taken for the peer."""
        if not peer.may_refuse((header.from_store, header.from_boot), self.clock.monotonic()):
            return
        to_it = peer.header_to_start(self.own, header.from_store, header.from_boot)
        builder = DatagramBuilder(to_it, self.max_datagram)
        builder.add_frame(FRAME_REFUSAL, body)
        self.refuse.append((peer, builder.finish()))

    # --- Being refused ------------------------------------------------------------------------------------------

    def refused(self, peer: Peer, reason: Refusal, *, quiet: bool = False) -> None:
        """The peer has told this incarnation that it does not take it for this node; ``quiet``: no line of it."""
        peer.refusal, peer.refusal_when = reason, peer.counters.received
        if quiet:
            return
        self.warn_once(("refused", reason), reason.describe(peer.id))

    def refused_by(self, peer: Peer, reachable: bool) -> str | None:
        """Why the peer does not take this incarnation for this node; None: it took something since, or says nothing."""
        if reachable and peer.refusal is not None and peer.refusal_when == peer.counters.received:
            return peer.refusal.describe(peer.id)
        if not reachable and self.clock.monotonic() < peer.foreign_at_s + FOREIGN_FOR_S:
            return (
                f"node {peer.id}, at {peer.address}, belongs to another cluster (cluster id {peer.foreign_cluster:#x}, "
                f"this node's is {self.own.cluster_id:#x})"
            )
        return None

    def _learn(self, peer: Peer, header: Header) -> None:
        """The peer has begun an incarnation that is new to us. Its pin is durable before anything else is believed."""
        if not peer.incarnation.pinned:
            if self.pin is not None:
                self.pin(peer.id, header.from_store)
            self.pins[peer.id] = header.from_store
        # What waits was meant for the incarnation that has ended; or it has waited too long for this one.
        if peer.expected is not None or peer.held_since_s < self.clock.monotonic() - HELD_FOR_S:
            peer.give_up_queued()
        peer.incarnation.learn(header)
        peer.renew(self.own, self.max_datagram)
        self.changed(peer)
        peer.counters.incarnations += 1
        self.hello[peer.id] = peer
        if peer.presence.begun():
            log.info("node %d: node %d is up, at %s", self.own.node_id, peer.id, peer.address)
        else:
            log.info("node %d: node %d has started again, at %s", self.own.node_id, peer.id, peer.address)

    def warn_once(self, key: tuple[object, ...], text: str) -> None:
        """Warns, once for each key, and at most ``MOST_WARNINGS`` times for those that begin alike, which are one kind.

        A flood of strange datagrams must not become a flood of lines, nor keep the lines of another kind away.
        """
        warned = self._warned.setdefault(key[0], set())
        if key not in warned and len(warned) < MOST_WARNINGS:
            warned.add(key)
            log.warning("node %d: %s", self.own.node_id, text)
