"""One peer as the transport sees it: where it is, which incarnation of it was heard, and what waits to go to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raftcore.base.conflict import Conflict
from raftcore.wire.codec import CHECKSUM_SIZE, DatagramBuilder, Header, frames
from raftcore.wire.datagram import frame_datagram
from raftcore.wire.incoming import Incoming
from raftcore.wire.outgoing import Outgoing
from raftcore.wire.path_size import PathSize
from raftpy.contracts.types import Heard, LocalIdentity, Oversized, Standing
from raftpy.transport.exchange.address import SocketAddress
from raftpy.transport.exchange.counters import PeerCounters
from raftpy.transport.exchange.exchange import Link
from raftpy.transport.exchange.lanes import Arrivals, Lane
from raftpy.transport.identity.hello import FRAME_HELLO, Hello, Takes
from raftpy.transport.identity.presence import Presence
from raftpy.transport.identity.refusal import MOST_REFUSED, REFUSED_AGAIN_S, Refusal
from raftpy.transport.identity.rules import PeerIncarnation

HELD_FOR_S = 1.0
"""How long messages wait for a peer that has not been heard: older ones are given up."""
PROBE_PERIOD_S = 0.02
"""The least time between two probes of the same peer, whatever waits for it."""
NEVER = float("-inf")


class Peer(Link):
    """A member other than this node; what is looked at for every datagram is in :class:`Link`.

    1. ``ready`` is empty while the peer has not been heard: at most one open datagram is held for it, for
       ``HELD_FOR_S`` at most. When it is full, or too old, it is given up for what comes now; the newest matter most.
    2. ``bare`` is a whole datagram, right for ``incarnation``; ``expected`` is what the header of each datagram from
       that incarnation to ours looks like behind the checksum (None: not heard).
    3. What the peer has told (``http_address``, ``conflicts``, ``standing``, ``answered``) was told by ``incarnation``
       to ours. Standing and answers only rise, whatever comes late.
    """

    __slots__ = (
        "address",
        "answered",
        "arrivals",
        "asked",
        "bare",
        "conflicts",
        "foreign_at_s",
        "foreign_cluster",
        "held_since_s",
        "hello",
        "hole_us",
        "hole_when",
        "http_address",
        "incarnation",
        "incoming",
        "lane",
        "lanes",
        "large_looked_at",
        "outgoing",
        "oversized",
        "parity",
        "path",
        "path_probe",
        "path_probed_us",
        "path_probed_when",
        "presence",
        "probed_at_s",
        "probes",
        "queued",
        "refusal",
        "refusal_when",
        "refused",
        "round_trips",
        "said",
        "standing",
        "takes",
        "target",
    )

    counters: PeerCounters
    """What has been sent to and read from the peer."""

    def __init__(self, peer_id: int, address: str, pinned: int, own: LocalIdentity, max_datagram: int) -> None:
        super().__init__(peer_id)
        self.address = address  # as configured
        self.target: SocketAddress | None = None  # the address looked up, where there is one
        self.incarnation = PeerIncarnation(pinned)
        self.counters = PeerCounters()
        self._forget_hello()
        self.builder = DatagramBuilder(self.header_to(own), max_datagram)
        self.queued = False  # True: in the transport's list of peers not heard for whom something waits
        self.probed_at_s = NEVER
        self.held_since_s = NEVER
        self.presence = Presence(self.counters)
        self.oversized: Oversized | None = None  # what was last too large for the builder
        self.outgoing: Outgoing | None = None  # what goes to its incarnation in fragments,
        self.incoming: Incoming | None = None  # and comes from it
        self.lane: Lane | None = None  # where appends go while it is far,
        self.arrivals: Arrivals | None = None  # and what comes from it in one
        self.round_trips: list[int] = []  # of the last few probes of the path that it has answered
        self.path_probe = 0  # the number of the last probe of the path,
        self.path_probed_us = 0  # and when it left
        self.path: PathSize | None = None  # how large datagrams to it may be; None: as large as to anybody
        self.path_probed_when = 0  # counters.received when the last probe of the path left
        self.hole_us = NEVER  # when fragments last seemed to fall into a black hole,
        self.hole_when = 0  # and counters.received when they first did
        self.large_looked_at = 0  # ``large`` when it was last asked whether they arrive
        self.refusal: Refusal | None = None  # said to this incarnation; stands while nothing else is received of it
        self.refusal_when = 0  # counters.received then
        self.refused: dict[tuple[int, int], float] = {}  # (store, boot): when it was refused here, less than 1 s ago
        self.foreign_at_s = NEVER  # when its id was last heard in another cluster,
        self.foreign_cluster = 0  # and in which
        self.bare: bytes = self.builder.bare()

    def _forget_hello(self) -> None:
        self.repeated = None
        self.said: tuple[object, ...] = ()  # what the last hello to it says that may change,
        self.hello = b""  # and the whole datagram
        self.http_address: str | None = None  # empty: it serves none; None: its present incarnation has not told
        self.conflicts: Mapping[int, Conflict] = {}  # why it is quarantined, by group
        self.standing: Standing | None = None  # None: not told
        self.asked = 0  # the newest number it has asked us; every hello to it answers it
        self.answered = 0  # the newest of our numbers that it has answered
        self.takes: Takes | None = None  # in fragments; None: none, or it has not told
        self.lanes = 0  # messages of a lane that it takes at a time; 0: it knows none, or it has not told
        self.parity = 0  # datagrams in a group of which it makes up for one; 0: it does not, or it has not told
        self.probes = 0  # bytes of the largest datagram it takes, if it answers probes; 0: not, or it has not told

    @property
    def far(self) -> bool:
        """Its answers take long: appends to it go in a lane."""
        return self.builder.refuses_appends

    @property
    def round_trip_us(self) -> int:
        """The least of late; 0: not known. The first alone says little: whoever starts is slow to answer."""
        return max(1, min(self.round_trips)) if len(self.round_trips) > 1 else 0

    def header_to(self, own: LocalIdentity) -> Header:
        """What stands over everything said to the peer, with its incarnation as last heard."""
        return self.header_to_start(own, self.incarnation.store, self.incarnation.boot)

    def header_to_start(self, own: LocalIdentity, store: int, boot: int) -> Header:
        """What stands over what is said to one start of one data directory under the peer's id, whether it is the
        peer's own or not."""
        return Header(
            cluster_id=own.cluster_id,
            from_=own.node_id,
            to=self.id,
            from_store=own.store_id,
            from_boot=own.boot,
            to_store=store,
            to_boot=boot,
        )

    def renew(self, own: LocalIdentity, max_datagram: int) -> None:
        """Renews all that depends on the peer's incarnation, after each change of it; forgets what the last told."""
        self._forget_hello()
        header = self.header_to(own)
        self.builder.set_header(header)
        self.bare = self.builder.bare()
        theirs = self.incarnation
        to_us = Header(
            cluster_id=own.cluster_id,
            from_=self.id,
            to=own.node_id,
            from_store=theirs.store,
            from_boot=theirs.boot,
            to_store=own.store_id,
            to_boot=own.boot,
        )
        self.expected = DatagramBuilder(to_us, max_datagram).bare()[CHECKSUM_SIZE:]

    def rebind(self, store_id: int, own: LocalIdentity) -> None:
        """Belongs to this store from now on, of which nothing has been heard."""
        self.give_up_queued()
        self.incarnation = PeerIncarnation(store_id)
        self._forget_hello()
        self.expected = None
        self.builder.set_header(self.header_to(own))
        self.bare = self.builder.bare()

    def hello_datagram(self, own: LocalIdentity, hello_body: bytes) -> bytes:
        """The datagram that tells its present incarnation who we are."""
        return frame_datagram(self.header_to(own), FRAME_HELLO, 0, hello_body)

    def take_hello(self, hello: Hello) -> bool:
        """Takes in what its hello says; True when something of it is new."""
        before = self.heard()
        self.http_address = hello.http_address
        self.conflicts = hello.conflicts
        self.takes = hello.takes
        self.probes = hello.probes
        self.lanes = hello.lanes
        self.parity = hello.parity
        if hello.standing is not None:
            self.standing = max(hello.standing, self.standing or hello.standing)
            self.asked = max(self.asked, hello.asks)
            self.answered = max(self.answered, hello.answers)
        return self.heard() != before

    def heard(self) -> Heard:
        """What is known of it by its own word."""
        refuses = self.refusal is not None and self.refusal_when == self.counters.received
        return Heard(
            self.incarnation.pinned,
            self.http_address,
            self.conflicts,
            self.standing,
            self.answered,
            refuses,
            refuses and self.refusal is not Refusal.OTHER_STORE,
            self.incarnation.boot,
        )

    def may_refuse(self, incarnation: tuple[int, int], now_s: float) -> bool:
        """Whether this incarnation, (store, boot), may be told now that it is refused; then it counts as told."""
        self.refused = {other: when for other, when in self.refused.items() if now_s < when + REFUSED_AGAIN_S}
        if incarnation in self.refused or len(self.refused) >= MOST_REFUSED:
            return False
        self.refused[incarnation] = now_s
        return True

    def give_up_queued(self) -> None:
        """Throws away what waits, and counts it."""
        if self.builder.frames:
            self.counters.messages_dropped += self.builder.frames
            self.builder.finish()
        self.give_up(self.ready)
        self.ready = []

    def give_up(self, datagrams: Iterable[bytes]) -> None:
        """Counts the messages in full datagrams that will not be sent."""
        for datagram in datagrams:
            self.counters.messages_dropped += sum(1 for _ in frames(datagram))
