"""Messages that no datagram of ``max_datagram`` bytes holds go in fragments, to peers that put them together.

Such a message is encoded as one datagram, which is cut (raftcore.wire.outgoing) and put together again
(raftcore.wire.incoming). Each peer has one of either, for its present incarnation; this module gives them the clock,
the wire and a timer. Everything else a node says leaves in its own datagrams as ever and waits for no fragment: so
heartbeats, votes, answers and small appends overtake a large message. To a far peer all appends go this way, in a lane
(lanes.py).

Raft repeats what is not answered, as often as with every heartbeat. A message that is on its way is not taken again:
the receiver learns nothing from a second copy that it does not learn from the first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from raftcore.base.errors import DecodeError
from raftcore.base.types import MessageType
from raftcore.values.message import Message
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE, FRAME_HEADER_SIZE, crc32c, frames
from raftcore.wire.datagram import frame_datagram, whole_datagram
from raftcore.wire.fragment import FRAME_FRAGMENT_ACK
from raftcore.wire.incoming import Incoming
from raftcore.wire.outgoing import GIVE_UP_US, Outgoing
from raftcore.wire.parity import FRAME_PARITY, GROUP
from raftpy.contracts.clock import Clock
from raftpy.transport.datagram.due import Due
from raftpy.transport.datagram.oversized import note_given_up, note_oversized
from raftpy.transport.exchange.lane_frames import decode_place
from raftpy.transport.exchange.lanes import GATHERED, Arrivals, Lane
from raftpy.transport.exchange.sizes import LARGEST_MESSAGE
from raftpy.transport.identity.peer import Peer

MOST_WAITING = 2 * LARGEST_MESSAGE
"""Bytes of messages that wait or are under way to one peer; beyond it they are dropped, and Raft repeats them."""
SILENT_US = 2 * GIVE_UP_US
"""An unfinished message of which nothing came for so long is given up: its sender has given it up before."""


class Fragments:
    """The fragments from and to all peers of one transport, in one incarnation of this node.

    ``transmit(peer, datagram)`` puts a datagram on the wire, ``transmit_run(peer, datagrams)`` several, all as large as
    the first but the last, which may be smaller; ``black_hole(peer)`` is called when large ones do not seem to arrive.
    """

    def __init__(
        self,
        clock: Clock,
        transmit: Callable[[Peer, bytes], None],
        transmit_run: Callable[[Peer, list[bytes]], None],
        black_hole: Callable[[Peer], None],
    ) -> None:
        self._clock = clock
        self._transmit = transmit
        self._transmit_run = transmit_run
        self._black_hole = black_hole
        self._number = 0  # of the newest message; it only grows, also when a peer goes and comes back
        self._busy: dict[int, Peer] = {}  # to whom something is under way
        self._heard: dict[int, Peer] = {}  # of whom fragments came that are not acknowledged
        self._due = Due(clock, self._on_due)

    def close(self) -> None:
        """Nothing is sent any more."""
        self._busy.clear()
        self._heard.clear()
        self._due.stop()

    def forget(self, peer: Peer) -> None:
        """Another incarnation of the peer is heard than before, or none any more: what was under way was to and from
        the former."""
        if peer.outgoing is not None:
            peer.counters.fragmented_given_up += peer.outgoing.give_up()
            self._number = max(self._number, peer.outgoing.last)
        peer.outgoing = peer.incoming = None
        peer.lane = peer.arrivals = None
        self._busy.pop(peer.id, None)
        self._heard.pop(peer.id, None)

    def expire(self, peer: Peer) -> None:
        """Gives up what has not come whole; to be called now and then."""
        if peer.incoming is not None and peer.incoming.held:
            peer.incoming.expire(self._due.now_us() - SILENT_US)
        if peer.arrivals is not None:
            before = peer.arrivals.given_up
            peer.arrivals.expire(self._due.now_us() - SILENT_US)
            peer.counters.lane_gaps += peer.arrivals.given_up - before

    # --- Sending ------------------------------------------------------------------------------------------------

    def send(self, peer: Peer, message: Message, group: int) -> None:
        """Takes a message for a peer that has told what it takes; it leaves with ``flush``. ValueError when it is
        larger than that."""
        outgoing = self._outgoing(peer)
        lane = self._lane(peer, outgoing, message)
        entries = message.entries
        # In a lane there are small ones as well: those are not worth a look at whether they are on their way.
        large = lane is None or (entries is not None and entries.payload_size > peer.builder.max_datagram)
        key = key_of(message, group) if large else None
        if key is not None and (lane or outgoing).holds(key):
            peer.counters.fragmented_again += 1
            return
        if outgoing.waiting + (lane.size if lane else 0) > MOST_WAITING:
            peer.counters.messages_dropped += 1
            return
        if lane is None:
            datagram = whole_datagram(peer.builder.header, message, group)
            self.send_whole(peer, datagram, key)
            size = len(datagram)
        else:
            size = lane.add(message, group, key)
            self._busy[peer.id] = peer
            if not large or entries is None or entries.count > 1:
                return
        note_oversized(peer, message, self._clock.monotonic(), size, cut=True)

    def _lane(self, peer: Peer, outgoing: Outgoing, message: Message) -> Lane | None:
        """The lane that the message goes in; None: in none."""
        if not (peer.far and message.type == MessageType.MsgApp and outgoing.room >= GATHERED):
            return None
        if peer.lane is None:
            self._number += 1
            peer.lane = Lane(self._number, peer.builder.header, peer.lanes, outgoing.room)
        return peer.lane

    def send_whole(self, peer: Peer, datagram: bytes, key: Hashable = None, *, urgent: bool = False) -> None:
        """Takes a whole datagram for such a peer, before those that are not ``urgent``; the rest as of ``send``."""
        self._outgoing(peer).add(datagram, self._number + 1, key, self._due.now_us(), urgent)
        self._number += 1
        peer.counters.fragmented += 1
        self._busy[peer.id] = peer

    def _outgoing(self, peer: Peer) -> Outgoing:
        if peer.outgoing is None:
            assert peer.takes is not None
            seed = crc32c(peer.expected or b"")  # both incarnations: paths wait for differently long, and runs repeat
            peer.outgoing = Outgoing(peer.builder.max_datagram, peer.takes.room, peer.takes.burst, seed)
            peer.outgoing.parity.takes = peer.parity == GROUP
        return peer.outgoing

    def resize(self, peer: Peer) -> None:
        """Another size of datagrams holds for the peer than before."""
        if peer.outgoing is not None:
            self._number += peer.outgoing.resize(peer.builder.max_datagram, self._number + 1)
            self._number = max(self._number, peer.outgoing.last)

    def hello(self, peer: Peer) -> None:
        """The peer has told what it takes, which may have changed."""
        if peer.outgoing is not None and peer.takes is not None:
            peer.outgoing.burst = peer.takes.burst
            peer.outgoing.parity.takes = peer.parity == GROUP

    def flush(self) -> None:
        """Sends what may leave now."""
        if self._busy:
            now_us = self._due.now_us()
            for peer in self._busy.values():
                self._send_to(peer, now_us)
            self._plan(now_us)

    def _send_to(self, peer: Peer, now_us: int) -> None:
        outgoing = peer.outgoing
        assert outgoing is not None
        if outgoing.black_hole(now_us):
            self._black_hole(peer)
        if peer.lane is not None:
            while (following := peer.lane.next_message(outgoing)) is not None:
                self.send_whole(peer, *following, urgent=True)
        while run := outgoing.next_run(now_us):
            peer.counters.fragments_sent += len(run)
            self._transmit_run(peer, run)

    # --- Time ---------------------------------------------------------------------------------------------------

    def _plan(self, now_us: int) -> None:
        """Sees to what is due first."""
        due_us: int | None = None
        for peer in list(self._busy.values()):
            assert peer.outgoing is not None
            at_us = peer.outgoing.deadline(now_us)
            if at_us is None:
                del self._busy[peer.id]
            elif due_us is None or at_us < due_us:
                due_us = at_us
        self._due.set(due_us, now_us)

    def _on_due(self) -> None:
        now_us = self._due.now_us()
        for peer in self._busy.values():
            assert peer.outgoing is not None
            if given_up := peer.outgoing.tick(now_us):
                peer.counters.fragmented_given_up += given_up
                note_given_up(peer)
                if peer.lane is not None:
                    peer.lane.give_up()
            self._send_to(peer, now_us)
        self._plan(now_us)

    # --- Receiving ----------------------------------------------------------------------------------------------

    def take(self, peer: Peer, datagram: bytes) -> list[bytes]:
        """Takes a datagram with a fragment, a parity or an acknowledgement; gives the datagrams that are whole now."""
        try:
            _, kind, body = next(iter(frames(datagram)))
            if DATAGRAM_HEADER_SIZE + FRAME_HEADER_SIZE + len(body) != len(datagram):
                raise DecodeError("a fragment and an acknowledgement have a datagram for themselves")
            if kind != FRAME_FRAGMENT_ACK:
                return self._take_fragment(peer, kind, body)
            if peer.outgoing is not None:
                peer.outgoing.ack(body, self._due.now_us())
        except DecodeError:
            peer.counters.malformed_fragments += 1
        return []

    def _take_fragment(self, peer: Peer, kind: int, body: memoryview) -> list[bytes]:
        incoming = peer.incoming
        if incoming is None:
            assert peer.expected is not None
            incoming = peer.incoming = Incoming(peer.expected, LARGEST_MESSAGE)
        peer.counters.fragments_received += 1
        self._heard[peer.id] = peer
        now_us = self._due.now_us()
        out: list[bytes] = []
        if kind == FRAME_PARITY:
            incoming.take_parity(body)
        elif (whole := incoming.take(body, now_us)) is not None:
            out.append(whole)
        try:
            while (whole := incoming.restore(now_us)) is not None:
                out.append(whole)
        except DecodeError:
            peer.counters.malformed_fragments += 1  # a parity that was no sum of them
        peer.counters.fragmented_received += len(out)
        return out

    def arrange(self, peer: Peer, datagram: bytes) -> list[bytes]:
        """Takes a datagram of a lane, which opens with its place there: what is to be handed out now, in this order."""
        if peer.arrivals is None:
            peer.arrivals = Arrivals()
        try:
            group, _, place = next(iter(frames(datagram)))
            before = peer.arrivals.given_up
            whole = peer.arrivals.take(decode_place(group, place), datagram, self._due.now_us())
            peer.counters.lane_gaps += peer.arrivals.given_up - before
            return whole
        except DecodeError:
            peer.counters.malformed_fragments += 1
            return []

    def answer(self) -> None:
        """Acknowledges what has come in one pass, and sends what acknowledgements have made room for."""
        for peer in self._heard.values():
            assert peer.incoming is not None
            while (ack := peer.incoming.ack()) is not None:
                self._transmit(peer, frame_datagram(peer.builder.header, FRAME_FRAGMENT_ACK, 0, ack))
        self._heard.clear()
        self.flush()


def key_of(message: Message, group: int) -> Hashable:
    """The same for two messages of which the second says nothing new; None: each is its own.

    A leader sends what it has in its log, and within one term that does not change. An append with the same entries may
    have a later commit index; its receiver hears that in the next heartbeat.
    """
    what = (group, message.type, message.term, message.index, message.conf_index)
    if message.type == MessageType.MsgApp and message.entries is not None:
        return (*what, message.entries.count, message.entries.payload_size)
    if message.snapshot is not None:
        return (*what, message.snapshot.index, message.snapshot.term)
    return None
