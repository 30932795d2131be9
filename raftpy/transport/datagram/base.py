"""Everything a datagram transport does but move bytes: coalescing, getting to know the peers, keeping them informed.

A subclass opens an address and moves bytes through hooks (`_open`, `_attach`, `_pull`, `_put`, `_shut`). What
comes in passes the gate (gate.py: checksum, cluster, both identities); what goes out is coalesced, datagram by
datagram, and leaves in `flush`. What runs for every datagram is in exchange.pyx.

Getting to know each other costs Raft no time: `start` sends every peer a probe, which is a bare header, so that the
peers' incarnations are known when the first election comes. A message for a peer not heard yet waits, within bounds
(see peer.py), while probes are repeated; the answer to one sends it on its way within the same `receive`. Once a second
each peer that has been heard is sent a hello, and each other peer a probe.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from random import Random

from raftcore.base.conflict import Conflict
from raftcore.base.errors import ConfigError, DecodeError
from raftcore.values.message import Message
from raftcore.wire.codec import (
    DATAGRAM_HEADER_SIZE,
    FRAME_HEADER_SIZE,
    FRAME_TRANSPORT,
    frames,
    parse_header,
)
from raftcore.wire.datagram import frame_datagram
from raftcore.wire.parity import GROUP
from raftcore.wire.path_size import BASE_SIZE, LARGEST_SIZE, SEALING
from raftpy.contracts.clock import Clock, SystemClock, TimerHandle
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.fetching import SnapshotRequest, SnapshotTalk
from raftpy.contracts.types import LocalIdentity, Standing
from raftpy.system.entropy import SystemEntropy
from raftpy.transport.datagram.fragments import Fragments
from raftpy.transport.datagram.known import KnownPeers
from raftpy.transport.datagram.oversized import note_oversized, oversized_datagram
from raftpy.transport.datagram.paths import Paths
from raftpy.transport.exchange.exchange import FIRST_KIND
from raftpy.transport.exchange.lane_frames import FRAME_LANE
from raftpy.transport.exchange.lanes import MOST_UNDER_WAY
from raftpy.transport.exchange.probe_frames import PROBE_FRAMES
from raftpy.transport.exchange.sizes import LARGEST_DATAGRAM, LARGEST_MESSAGE, LOOPBACK_DATAGRAM, SMALLEST_DATAGRAM
from raftpy.transport.exchange.snapshot_frames import (
    SNAPSHOT_FRAMES,
    decode_talk,
    encode_talk,
    group_of_talk,
    key_of_talk,
)
from raftpy.transport.exchange.unreliable import Unreliable, carry, seed_of
from raftpy.transport.identity.gate import Gate
from raftpy.transport.identity.hello import FRAME_HELLO, Hello, Takes, decode_hello, encode_hello
from raftpy.transport.identity.peer import HELD_FOR_S, PROBE_PERIOD_S, Peer
from raftpy.transport.identity.presence import SILENT_LOOKS
from raftpy.transport.identity.refusal import FRAME_REFUSAL, Refusal, decode_refusal, decode_removal

HELLO_PERIOD_S = 1.0

SOCKET_BYTES = 1 << 20
"""What a socket is taken to hold for each peer where nothing better is known."""

HEADER_SIZE: int = DATAGRAM_HEADER_SIZE

log = logging.getLogger("raftpy.transport")


class DatagramTransport(KnownPeers):
    """See the ``Transport`` protocol for what the public methods promise.

    ``clock`` gives the time and calls back (None: the system's); ``max_datagram`` is in bytes, 512 to 65,507, the most
    where a subclass finds out what each path takes (None: the subclass says); ``unreliable`` makes the wire bad on
    purpose, by draws from its own seed or, where it has none, from one that ``entropy`` gives (None: the system's).
    Raises ``ConfigError``.
    """

    _patient = False  # somebody else sees to it that hellos are sent

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        max_datagram: int | None = None,
        unreliable: Unreliable | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        if max_datagram is not None and not SMALLEST_DATAGRAM <= max_datagram <= LARGEST_DATAGRAM:
            raise ConfigError(
                f"max_datagram={max_datagram!r}: allowed is {SMALLEST_DATAGRAM} to {LARGEST_DATAGRAM} bytes"
            )
        self.clock: Clock = clock or SystemClock()
        self._max_datagram = max_datagram or 0
        self._unreliable = unreliable
        self._source = Random(seed_of(unreliable, entropy or SystemEntropy()))
        self._wake: Callable[[], None] = _nothing
        self._talk_callback: Callable[[int, SnapshotTalk], None] | None = None
        self._size_callback: Callable[[int], None] | None = None
        self._common = 0
        self._timer: TimerHandle | None = None
        self._enter(LocalIdentity(0, 0, 0, 0, {}), None)

    def _enter(self, own: LocalIdentity, pin: Callable[[int, int], None] | None) -> None:
        """Takes on an identity, with no peers yet."""
        encode_hello(Hello(own.http_address))  # an address that peers would refuse is refused here
        self._own = own
        self._standing = own.standing
        self._conflicts = dict(own.conflicts)
        self._gate = Gate(own, self.clock, pin, self._max_datagram, self._changed)
        self._peers = self._gate.peers
        self._paths = Paths(
            self.clock,
            self._max_datagram or LOOPBACK_DATAGRAM,
            searches=self._searches(),
            transmit=self._transmit,
            resized=self._resized,
            measured=self._measured,
        )
        self._fragments = Fragments(self.clock, self._transmit, self._transmit_run, self._paths.lost)
        self.counters = self._gate.counters
        self._heard = []
        self._waiting = []
        self._lend()

    def _changed(self, peer: Peer) -> None:
        """Another incarnation of the peer is heard than before, or none any more."""
        peer.give_up(self._take_back(peer.id))
        self._fragments.forget(peer)
        self._paths.forget(peer)
        self._heard = sorted((p for p in self._peers.values() if p.expected is not None), key=lambda p: p.id)
        self._lend()
        self._agree_on_size()

    def _resized(self, peer: Peer) -> None:
        """Datagrams to the peer have another size."""
        self._fragments.resize(peer)
        self._agree_on_size()

    def _agree_on_size(self) -> None:
        """Tells what size of datagrams all peers take that are reachable, if it is another one than before; if none is,
        all that were."""
        heard = [peer for peer in self._peers.values() if peer.expected is not None]
        reachable = [peer for peer in heard if peer.presence.reachable] or heard
        common = min((peer.builder.max_datagram for peer in reachable), default=self._paths.least)
        if common != self._common and self._size_callback is not None:
            self._common = common
            self._size_callback(common)

    # --- What a subclass provides -------------------------------------------------------------------------------

    def _open(self) -> None:
        """Takes hold of this node's address; everything of ``_own`` is set."""
        raise NotImplementedError

    def _pull(self, limit: int) -> list[bytes]:
        """Reads at most ``limit`` datagrams; sees to it that ``_wake`` is called again if more wait.

        Not called where ``_io`` is set.
        """
        raise NotImplementedError

    def _put(self, peer: Peer, datagram: bytes) -> None:
        """Hands one datagram to the wire; counts failures and never raises for them."""
        raise NotImplementedError

    def _shut(self) -> None:
        """Lets go of the address."""
        raise NotImplementedError

    def _default_max_datagram(self, addresses: Iterable[str]) -> int:
        return LARGEST_DATAGRAM if self._searches() else LOOPBACK_DATAGRAM

    def _send_cut_by_ip(self, peer: Peer, datagram: bytes) -> None:
        """Sends a datagram that the path may not take in one piece."""
        peer.ready.append(datagram)

    def _searches(self) -> bool:
        """Whether this wire tells a datagram that is too large from others, so that sizes can be found out."""
        return False

    def _takes(self, peer: Peer) -> Takes | None:
        """What this node takes in fragments from the peer; None: it does not say that it does."""
        return Takes(LARGEST_MESSAGE, SOCKET_BYTES)

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(
        self, identity: LocalIdentity, wake: Callable[[], None], pin: Callable[[int, int], None] | None = None
    ) -> None:
        """See ``Transport.start``; RuntimeError when it runs already."""
        if self._running:
            raise RuntimeError("the transport has been started already")
        for name in ("node_id", "store_id", "boot"):
            if not 0 < getattr(identity, name) < 2**64:
                raise ConfigError(f"{name}={getattr(identity, name)!r}: allowed is 1 to 2**64 - 1")
        if identity.node_id not in identity.members:
            raise ConfigError(f"node {identity.node_id} has no address: members are {sorted(identity.members)}")
        self._max_datagram = self._max_datagram or self._default_max_datagram(identity.members.values())
        if self._searches():
            self._max_datagram = min(self._max_datagram, LARGEST_SIZE - SEALING)
        self._enter(identity, pin)
        self._wake = wake
        self._open()
        self._running = True
        try:
            self.change_peers(identity.members)
        except BaseException:
            self.close()
            raise
        self._timer = self.clock.call_later(HELLO_PERIOD_S, self._hello_or_probe_all)

    def close(self) -> None:
        """See ``Transport.close``."""
        if not self._running:
            return
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        self._fragments.close()
        self._paths.close()
        self._wake = _nothing
        self._shut()

    def _in_child(self) -> None:
        """This is a forked child: nothing is read or sent in the parent's name."""
        self._running = False
        self._timer = None
        self._wake = _nothing
        self._io = None

    def change_peers(self, members: Mapping[int, str]) -> None:
        """See ``Transport.change_peers``. A peer whose address alone changed keeps its incarnation and what waits;
        the size of the path to it is found out anew.

        Either all of it happens or, when an address is refused (``ConfigError``, ``TransportFailed``), nothing.
        """
        others = {peer_id: address for peer_id, address in members.items() if peer_id != self._own.node_id}
        fresh: list[Peer] = []
        for peer_id, address in others.items():
            old = self._peers.get(peer_id)
            if old is None or old.address != address:
                peer = self._gate.new_peer(peer_id, address)
                self._attach(peer)
                fresh.append(peer)
        for peer_id in self._peers.keys() - others.keys():
            self._gate.forget(peer_id)
        for peer in fresh:
            if (old := self._peers.get(peer.id)) is not None:
                old.address, old.target, old.packed = peer.address, peer.target, peer.packed
                self._paths.moved(old)
            else:
                self._paths.forget(peer)
                self._peers[peer.id] = peer
                self._probe(peer, self.clock.monotonic())

    # --- Receiving ----------------------------------------------------------------------------------------------

    def _admit(self, datagram: bytes) -> Peer | None:
        """A datagram that does not open as expected of anybody: its sender, if it is to be given on."""
        try:
            header = parse_header(datagram)
        except DecodeError:
            self.counters.malformed += 1
            return None
        return self._gate.admit(header)

    def _after_receive(self) -> None:
        self._fragments.answer()
        if self._gate.answer or self._gate.hello or self._gate.refuse:
            self._reply()

    def _reply(self) -> None:
        """Answers once for each peer and pass; sends a hello to new incarnations, and sends what was held for them."""
        for peer in self._gate.answer.values():
            peer.counters.answers += 1
            self._transmit(peer, peer.bare)
        self._gate.answer.clear()
        for peer in self._gate.hello.values():
            self._send_hello(peer)
            if peer.builder.frames:
                self._transmit(peer, peer.builder.finish())
        self._gate.hello.clear()
        for peer, refusal in self._gate.refuse:
            peer.counters.refusals += 1
            self._transmit(peer, refusal)
        self._gate.refuse.clear()

    def _take_own(self, peer: Peer, datagram: bytes) -> bool:
        """Reads the transport's frame that opens the datagram; True when there is more behind it."""
        try:
            group, kind, body = next(iter(frames(datagram, HEADER_SIZE)))
            more = len(datagram) > HEADER_SIZE + FRAME_HEADER_SIZE + len(body)
            if kind in SNAPSHOT_FRAMES:
                self._take_talk(peer, group, kind, body)
                return more
            if kind in PROBE_FRAMES:
                self._paths.take(peer, kind, group, body, len(datagram))
                return False  # such a frame is alone
            if kind == FRAME_HELLO:
                hello = decode_hello(body)
                news = self._take_hello(peer, hello)
                peer.repeated = None if more or hello.asks else datagram
            elif kind == FRAME_REFUSAL:
                news = self._take_refusal(peer, decode_refusal(body), body)
            else:
                news = False  # a later version's
        except DecodeError:
            peer.counters.malformed_hello += 1
            return True
        if news and self._heard_callback is not None:
            self._heard_callback(peer.id)
        return more

    def _take_fragment(self, peer: Peer, datagram: bytes) -> list[bytes]:
        """Takes a datagram with a fragment, a parity, or an acknowledgement of some; the whole ones that are to be
        handed out now, when some have become whole, and are not the transport's own."""
        out: list[bytes] = []
        for whole in self._fragments.take(peer, datagram):
            if len(whole) > FIRST_KIND and whole[FIRST_KIND] == FRAME_LANE:
                out += self._fragments.arrange(peer, whole)
            elif len(whole) <= FIRST_KIND or whole[FIRST_KIND] < FRAME_TRANSPORT or self._take_own(peer, whole):
                out.append(whole)
        return out

    def _take_hello(self, peer: Peer, hello: Hello) -> bool:
        """True when it says something new; one that asks is answered at once."""
        news = peer.take_hello(hello)
        self._fragments.hello(peer)
        self._paths.hello(peer)
        if hello.asks:
            self._send_hello(peer)
        return news

    def _take_refusal(self, peer: Peer, reason: Refusal, body: memoryview) -> bool:
        """True when it is new. A new node stops for it, and says so itself."""
        if reason is Refusal.REMOVED:  # whether it is old the node itself knows
            index = decode_removal(body)
            if self._removed_callback is not None:
                self._removed_callback(peer.id, index)
            return False
        news = reason is not peer.refusal
        self._gate.refused(peer, reason, quiet=self._standing.is_new)
        return news

    # --- Sending ------------------------------------------------------------------------------------------------

    def send(self, message: Message, group: int = 0) -> None:
        """See ``Transport.send``."""
        peer = self._peers.get(message.to)
        if peer is None:
            self.counters.unknown_target += 1
            return
        if peer.expected is None:
            self._hold(peer)
        try:
            if peer.builder.add(message, group):
                return
            if peer.expected is None:
                peer.give_up_queued()
                peer.held_since_s = self.clock.monotonic()
            else:
                peer.ready.append(peer.builder.finish())
            peer.builder.add(message, group)
        except ValueError:
            self._send_oversized(peer, message, group)

    def _send_oversized(self, peer: Peer, message: Message, group: int) -> None:
        """No datagram of the usual size holds it: it goes in fragments, or gets a datagram of its own, behind what was
        queued before it."""
        if peer.expected is None:
            peer.counters.messages_dropped += 1  # nothing of the kind waits for a peer that may never be heard
            return
        if peer.takes is not None:
            self._send_in_fragments(peer, message, group)
            return
        try:
            datagram = oversized_datagram(peer, message, group, self.clock.monotonic())
        except ValueError as error:
            self._warn_too_large(peer, error)
            return
        if peer.builder.frames:
            peer.ready.append(peer.builder.finish())
        self._send_cut_by_ip(peer, datagram)
        self._gate.warn_once(
            ("oversized", peer.id),
            f"node {peer.id} needs a datagram of {len(datagram)} bytes, above max_datagram for it, "
            f"{peer.builder.max_datagram}, and "
            "does not say that it puts fragments together; it is sent all the same, in fragments of IP where the path "
            "takes less",
        )

    def _send_in_fragments(self, peer: Peer, message: Message, group: int) -> None:
        try:
            self._fragments.send(peer, message, group)
        except ValueError as error:
            peer.counters.too_large += 1
            note_oversized(peer, message, self.clock.monotonic(), 0, str(error))
            self._warn_too_large(peer, error)
            return
        if not peer.queued:
            peer.queued = True
            self._waiting.append(peer)

    def _warn_too_large(self, peer: Peer, error: ValueError) -> None:
        self._gate.warn_once(("too large", peer.id), f"a message for node {peer.id} is dropped: {error}")

    def _hold(self, peer: Peer) -> None:
        """Something is about to wait for a peer not heard yet; what waits too long already is given up."""
        if not peer.queued:
            peer.queued = True
            self._waiting.append(peer)
        now = self.clock.monotonic()
        if not peer.builder.frames:
            peer.held_since_s = now
        elif peer.held_since_s < now - HELD_FOR_S:
            peer.give_up_queued()
            peer.held_since_s = now

    def _flush_waiting(self) -> None:
        """Probes the peers not heard for whom something waits, and sends fragments to the others."""
        waiting = self._waiting
        self._waiting = []
        for peer in waiting:
            assert isinstance(peer, Peer)
            peer.queued = False
            if peer.expected is None:
                now = self.clock.monotonic()
                if peer.probed_at_s <= now - PROBE_PERIOD_S:
                    self._probe(peer, now)
        self._fragments.flush()

    def _transmit(self, peer: Peer, datagram: bytes) -> None:
        counters = peer.counters
        counters.sent += 1
        counters.sent_bytes += len(datagram)
        if self._unreliable is None:
            self._put(peer, datagram)
            return
        delays = self._unreliable.draw(self._source)
        counters.dropped += not delays
        counters.duplicated += len(delays) > 1
        counters.delayed += any(delays)
        carry(delays, self.clock.call_later, lambda: self._put_late(peer, datagram))

    def _transmit_run(self, peer: Peer, datagrams: list[bytes]) -> None:
        """Sends several, all as large as the first but the last, which may be smaller."""
        for datagram in datagrams:
            self._transmit(peer, datagram)

    def _put_late(self, peer: Peer, datagram: bytes) -> None:
        if self._running:
            self._put(peer, datagram)

    def _probe(self, peer: Peer, now_s: float) -> None:
        peer.probed_at_s = now_s
        peer.counters.probes_sent += 1
        self._transmit(peer, peer.bare)

    def _send_hello(self, peer: Peer, asks: int = 0) -> None:
        """Tells the peer who we are; with ``asks``, the number of a question, it is to tell the same."""
        said = (self._standing, asks, peer.asked, peer.builder.max_datagram, *self._conflicts.items())
        if peer.said != said:
            peer.said, peer.hello = said, peer.hello_datagram(self._own, self._hello(peer, asks))
        self._transmit(peer, peer.hello)

    def _hello(self, peer: Peer, asks: int) -> bytes:
        takes, probes = self._takes(peer), LARGEST_SIZE if self._paths.searches else 0
        known = (takes, probes, *((MOST_UNDER_WAY, GROUP) if takes is not None else (0, 0)))
        hello = Hello(self._own.http_address, self._standing, asks, peer.asked, self._conflicts, *known)
        room = peer.builder.max_datagram - HEADER_SIZE - FRAME_HEADER_SIZE
        return encode_hello(hello, room)

    def _hello_or_probe_all(self) -> None:
        """Once in HELLO_PERIOD_S: makes up for probes and hellos that were lost, and for a peer that came up since."""
        if not self._running:
            return
        for peer in self._peers.values():
            self._look_at(peer)
            self._fragments.expire(peer)
            self._paths.look(peer)
            if peer.expected is None:
                self._probe(peer, self.clock.monotonic())
            else:
                self._send_hello(peer)
        self._agree_on_size()
        if not self._patient:
            self._timer = self.clock.call_later(HELLO_PERIOD_S, self._hello_or_probe_all)

    def _look_at(self, peer: Peer) -> None:
        change = peer.presence.look()
        if change:
            log.info("node %d: node %d is up again, at %s", self._own.node_id, peer.id, peer.address)
        elif change is False:
            silent_s = SILENT_LOOKS * HELLO_PERIOD_S
            log.info("node %d: node %d is down: nothing heard for %g s", self._own.node_id, peer.id, silent_s)

    # --- Snapshots on their way ---------------------------------------------------------------------------------

    def on_snapshot_talk(self, callback: Callable[[int, SnapshotTalk], None]) -> None:
        """See ``FetchingTransport.on_snapshot_talk``."""
        self._talk_callback = callback

    def _take_talk(self, peer: Peer, group: int, kind: int, body: memoryview) -> None:
        try:
            talk = decode_talk(kind, group, body)
        except DecodeError:
            peer.counters.malformed_snapshot_frames += 1
            return
        if self._talk_callback is not None:
            self._talk_callback(peer.id, talk)

    def send_snapshot_talk(self, node_id: int, talk: SnapshotTalk) -> None:
        """See ``FetchingTransport.send_snapshot_talk``."""
        peer = self._peers.get(node_id)
        if peer is None or not self._running:
            self.counters.unknown_target += peer is None
            return
        kind, head, data = encode_talk(talk)
        datagram = frame_datagram(peer.builder.header, kind, group_of_talk(talk), head, data)
        if peer.expected is None:
            peer.counters.snapshot_frames_dropped += 1
        elif len(datagram) <= peer.builder.max_datagram:
            peer.large += len(datagram) > BASE_SIZE
            self._transmit(peer, datagram)
        elif peer.takes is None:
            peer.counters.snapshot_frames_dropped += 1
        else:
            self._fragments.send_whole(peer, datagram, key_of_talk(talk))
            self._fragments.flush()

    def answers_already(self, node_id: int, request: SnapshotRequest) -> bool:
        """See ``FetchingTransport.answers_already``."""
        peer = self._peers.get(node_id)
        return peer is not None and peer.outgoing is not None and peer.outgoing.holds(key_of_talk(request))

    def snapshot_backlog(self, node_id: int) -> int:
        """See ``FetchingTransport.snapshot_backlog``."""
        peer = self._peers.get(node_id)
        return 0 if peer is None or peer.outgoing is None else peer.outgoing.waiting

    # --- Asking -------------------------------------------------------------------------------------------------

    def stand(self, standing: Standing) -> None:
        """See ``AskingTransport.stand``. The next hello says it; who waits for it asks."""
        self._standing = standing

    def ask(self, number: int, node_ids: Collection[int]) -> None:
        """See ``AskingTransport.ask``."""
        if not self._running:
            return
        for node_id in node_ids:
            peer = self._peers.get(node_id)
            if peer is None:
                continue
            if peer.expected is None:
                self._probe(peer, self.clock.monotonic())
            else:
                self._send_hello(peer, number)

    # --- Who is told, and what ----------------------------------------------------------------------------------

    def _report_refused(self, peer: Peer) -> None:
        peer.counters.send_refused += 1
        if peer.presence.refused():
            log.info("node %d: node %d is down: %s refuses datagrams", self._own.node_id, peer.id, peer.address)
        self._tell_unreachable(peer)

    def quarantine(self, conflict: Conflict, group: int = 0) -> None:
        """See ``Transport.quarantine``."""
        self._conflicts[group] = conflict
        for peer in self._peers.values():
            if peer.expected is not None:
                self._send_hello(peer)

    def pin(self, node_id: int, store_id: int) -> None:
        """See ``Transport.pin``."""
        self._gate.bind(node_id, store_id)

    def on_datagram_size(self, callback: Callable[[int], None]) -> None:
        """See ``SizingTransport.on_datagram_size``."""
        self._size_callback = callback
        self._agree_on_size()


def _nothing() -> None:
    """Whom an idle transport wakes."""
