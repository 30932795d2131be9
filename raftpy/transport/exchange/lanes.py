"""Appends to a far peer: repeated below Raft when they are lost, and handed out in their order.

Over a short path an append is a datagram of its own, which overtakes others or is lost, and Raft repeats it. Over a
long one each loss would cost a leader round trips: the follower refuses all that comes behind the gap, and what was
under way is sent again. So appends to a peer whose answers take ``FAR_US`` or longer go as messages in fragments,
which the transport repeats, and a number tells the receiver their order: it holds back what has come too early. To
Raft that is a network which delays messages, as any may. Everything else overtakes a lane: heartbeats, votes, answers.

What is to leave while much is on its way is gathered: frames of many appends make one message then. So many messages
may be under way that one of them is always done soon.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from raftcore.values.message import Message
from raftcore.wire.codec import DATAGRAM_HEADER_SIZE
from raftcore.wire.datagram import DatagramBuilder, frame_datagram, whole_datagram
from raftcore.wire.header import Header
from raftcore.wire.outgoing import Outgoing
from raftpy.transport.exchange.lane_frames import FRAME_LANE, encode_place

FAR_US = 10_000
"""Round trips from which on a peer is far."""
GATHERED = 32 << 10
"""Bytes of a message that is gathered from several appends, at most."""
MOST_UNDER_WAY = 100
"""Messages of one lane that a receiver takes at a time, beside others."""
MOST_APART = 400
"""From the oldest that is under way to the newest: fewer than a receiver remembers as done."""
HELD_US = 3_000_000
"""What is missing for so long is waited for no longer: a few repetitions have been lost by then."""
MOST_HELD = MOST_APART * GATHERED
"""Bytes that wait at the receiver for what is missing; beyond it, and beyond ``MOST_APART`` messages, they wait no
longer. One always may."""


class Lane:
    """The appends to one incarnation of a peer; ``number`` is above that of all lanes there were to it, ``most`` of its
    messages are under way at a time, and none has more than ``room`` bytes, ``GATHERED`` at least."""

    def __init__(self, number: int, header: Header, most: int, room: int) -> None:
        self.number = number
        self._header = header
        self._most = min(most, MOST_UNDER_WAY)
        self._room = room
        self._gathering = DatagramBuilder(header, GATHERED)
        self._next = 1
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._under_way: dict[int, None] = {}  # in their order
        self._keys: dict[int, list[Hashable]] = {}  # of what waits or is under way, by number
        self.size = 0  # bytes that wait

    def holds(self, key: Hashable) -> bool:
        """Whether a message with this key waits or is on its way."""
        return any(key in keys for keys in self._keys.values())

    def add(self, message: Message, group: int, key: Hashable) -> int:
        """Takes a message, which waits; its bytes. ``key`` for those that must not be sent again meanwhile, or None.
        ValueError for one that must not travel, or for which the peer has no room."""
        gathering = self._gathering
        try:
            if self._gather(message, group, key):
                return gathering.size
            self._finish()
            if self._gather(message, group, key):
                return gathering.size
        except ValueError:
            pass  # larger than what is gathered: it is a message by itself
        self._finish()
        place = frame_datagram(self._header, FRAME_LANE, 0, self._place())[DATAGRAM_HEADER_SIZE:]
        datagram = whole_datagram(self._header, message, group, place)
        if len(datagram) - DATAGRAM_HEADER_SIZE > self._room:
            raise ValueError(
                f"a message of {len(datagram)} bytes is larger than what the peer puts together, {self._room}"
            )
        self._note(key)
        self._queue(datagram)
        return len(datagram)

    def _gather(self, message: Message, group: int, key: Hashable) -> bool:
        gathering = self._gathering
        if gathering.frames == 0:
            gathering.add_frame(FRAME_LANE, self._place())
        if not gathering.add(message, group):
            return False
        self._note(key)
        return True

    def _place(self) -> bytes:
        oldest = (
            next(iter(self._under_way)) if self._under_way else self._waiting[0][0] if self._waiting else self._next
        )
        return encode_place(self.number, self._next, oldest)

    def _note(self, key: Hashable) -> None:
        if key is not None:
            self._keys.setdefault(self._next, []).append(key)

    def _finish(self) -> None:
        """What was gathered is a message, if it is more than its place."""
        if self._gathering.frames > 1:
            self._queue(self._gathering.finish())
        elif self._gathering.frames:
            self._gathering.finish()

    def _queue(self, datagram: bytes) -> None:
        self._waiting.append((self._next, datagram))
        self.size += len(datagram)
        self._next += 1

    def next_message(self, outgoing: Outgoing) -> tuple[bytes, Hashable] | None:
        """The next message that may be under way, and its key there; None: none is."""
        for done in outgoing.take_done():
            assert isinstance(done, int)
            self._under_way.pop(done, None)
            self._keys.pop(done, None)
        if len(self._under_way) >= self._most:
            return None
        if not self._waiting:
            self._finish()
            if not self._waiting:
                return None
        number, datagram = self._waiting[0]
        if self._under_way and number - next(iter(self._under_way)) >= MOST_APART:
            return None
        self._waiting.popleft()
        self.size -= len(datagram)
        self._under_way[number] = None
        return datagram, number

    def give_up(self) -> None:
        """Nothing waits any more; what is under way has been given up."""
        self._gathering.finish()
        self._waiting.clear()
        self._under_way.clear()
        self._keys.clear()
        self.size = 0


class Arrivals:
    """What comes in the lanes of one incarnation of a peer."""

    def __init__(self) -> None:
        self._lane = 0
        self._next = 1  # what is handed out next
        self._held: dict[int, tuple[int, bytes]] = {}  # number -> when it came, and the datagram
        self._size = 0
        self.given_up = 0  # gaps that were waited for in vain

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return self._size

    def take(self, place: tuple[int, int, int], datagram: bytes, now_us: int) -> list[bytes]:
        """Takes a datagram; what is to be handed out now, in this order."""
        lane, number, oldest = place
        out: list[bytes] = []
        if lane < self._lane:
            return [datagram]  # of a lane that is over: late, as a datagram may be
        if lane > self._lane:
            self._skip_to(max(self._held, default=0) + 1, out)
            self._lane, self._next = lane, 1
        self._skip_to(oldest, out)
        if number < self._next or number in self._held:
            out.append(datagram)  # given up here, and come all the same
            return out
        self._held[number] = (now_us, datagram)
        self._size += len(datagram)
        self._skip_to(self._next, out)
        while self._held and (self._is_too_much() or now_us - self._oldest_us() > HELD_US):
            self.given_up += 1
            self._skip_to(min(self._held), out)
        return out

    def expire(self, before_us: int) -> None:
        """Gives up what came before that and still waits: its sender is silent."""
        if self._held and self._oldest_us() < before_us:
            self.given_up += 1
            self._next = max(self._held) + 1
            self._held.clear()
            self._size = 0

    def _is_too_much(self) -> bool:
        return len(self._held) > MOST_APART or (self._size > MOST_HELD and len(self._held) > 1)

    def _oldest_us(self) -> int:
        return min(when_us for when_us, _ in self._held.values())

    def _skip_to(self, number: int, out: list[bytes]) -> None:
        """Nothing before ``number`` is waited for any more."""
        for each in sorted(each for each in self._held if each < number):
            out.append(self._release(each))
        self._next = max(self._next, number)
        while self._next in self._held:
            out.append(self._release(self._next))
            self._next += 1

    def _release(self, number: int) -> bytes:
        _, datagram = self._held.pop(number)
        self._size -= len(datagram)
        return datagram
