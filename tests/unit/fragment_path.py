"""A sender and a receiver of fragments, and a path between them, on virtual time: whole microseconds."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator

from raftcore.base.errors import DecodeError
from raftcore.wire.bbr import Bbr
from raftcore.wire.codec import DatagramBuilder, Header, crc32c, frames
from raftcore.wire.fragment import FRAME_FRAGMENT
from raftcore.wire.incoming import Incoming
from raftcore.wire.outgoing import Outgoing
from raftcore.wire.parity import FRAME_PARITY

HEADER = Header(cluster_id=1, from_=1, to=2, from_store=11, from_boot=12, to_store=21, to_boot=22)
OPENING = DatagramBuilder(HEADER, 256).bare()[4:]


def whole(content: bytes) -> bytes:
    """A datagram of any size whose bytes behind the header are ``content``."""
    rest = OPENING + content
    return crc32c(rest).to_bytes(4, "little") + rest


def fragment_body(datagram: bytes) -> bytes:
    """The body of the one frame of a datagram, which is a fragment."""
    [(group, kind, body)] = list(frames(datagram))
    assert (group, kind) == (0, FRAME_FRAGMENT)
    return bytes(body)


class Path:
    """Carries fragments one way and acknowledgements back.

    ``rate``: bytes a second of the bottleneck, which queues ``queue`` bytes and loses what comes beyond; 0: none.
    ``largest``: datagrams of more bytes vanish. ``parity``: the receiver makes up for losses.
    ``delay_us``: each way; ``jitter_us``: at most so much more, each datagram by itself. ``drops``, when set, is asked
    for each datagram with a fragment, and loses it by returning True. Where ``read_us`` is set the receiver looks at
    its socket that often and reads at most ``read`` bytes; the socket holds ``burst``, and what comes beyond is lost.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        datagram: int = 1200,
        room: int = 1 << 26,
        burst: int = 1 << 20,
        delay_us: int = 500,
        jitter_us: int = 0,
        loss: float = 0.0,
        duplication: float = 0.0,
        rate: int = 0,
        queue: int = 1 << 18,
        largest: int = 1 << 30,
        parity: bool = False,
        read_us: int = 0,
        read: int = 1 << 30,
    ) -> None:
        self.outgoing = Outgoing(datagram, room, burst)
        self.outgoing.parity.takes = parity
        self.incoming = Incoming(OPENING, room)
        self.now = 1_000_000
        self.arrived: list[bytes] = []
        self.faults = 0
        self.loss = loss
        self.sent_bytes = 0
        self.most_on_the_way = 0
        self.rate, self.delay_us = rate, delay_us
        self.drops: Callable[[], bool] = lambda: False
        self._jitter, self._duplication = jitter_us, duplication
        self._queue = queue
        self._free_us = 0
        self._source = random.Random(f"path {seed}")
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._datagram = datagram
        self.largest = largest
        self.most_bytes = 0
        self.overruns = 0
        self._burst, self._read_us, self._read = burst, read_us, read
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0

    def send(self, content: bytes, number: int, key: object = None, *, urgent: bool = False) -> None:
        self.outgoing.add(whole(content), number, key, self.now, urgent)

    def after(self, delay_us: int, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + delay_us, self._count, call))

    def carry(self, size: int, call: Callable[[], None], limited: bool) -> None:
        if self._source.random() < self.loss or size > self.largest or (limited and self.drops()):
            return
        wait = 0
        if limited and self.rate:
            wait = max(0, self._free_us - self.now)
            if wait * self.rate // 1_000_000 + size > self._queue:
                return
            self._free_us = self.now + wait + size * 1_000_000 // self.rate
            wait = self._free_us - self.now
        copies = 1 + (self._source.random() < self._duplication)
        for _ in range(copies):
            self.after(wait + self.delay_us + self._source.randint(0, self._jitter), call)

    def _come(self, datagram: bytes) -> None:
        if not self._read_us:
            self._deliver(datagram)
        elif self._unread_bytes + len(datagram) > self._burst:
            self.overruns += 1
        else:
            if not self._unread:
                self.after(self._read_us - self.now % self._read_us, self._look)
            self._unread.append(datagram)
            self._unread_bytes += len(datagram)

    def _look(self) -> None:
        least = self._unread_bytes - self._read
        while self._unread and self._unread_bytes > least:
            datagram = self._unread.popleft()
            self._unread_bytes -= len(datagram)
            self._deliver(datagram)
        if self._unread:
            self.after(self._read_us, self._look)

    def _deliver(self, datagram: bytes) -> None:
        [(_, kind, body)] = list(frames(datagram))
        try:
            if kind == FRAME_PARITY:
                self.incoming.take_parity(body)
            elif (got := self.incoming.take(body, self.now)) is not None:
                self.arrived.append(got)
            while (got := self.incoming.restore(self.now)) is not None:
                self.arrived.append(got)
        except DecodeError:
            self.faults += 1
        ack = self.incoming.ack()
        assert ack is not None
        self.carry(len(ack), lambda: self.outgoing.ack(ack, self.now), False)

    def step(self, until_us: int) -> bool:
        """One thing that happens; False: nothing does any more until then."""
        while (datagram := self.outgoing.next_datagram(self.now)) is not None:
            assert len(datagram) <= self._datagram
            self.most_bytes = max(self.most_bytes, len(datagram))
            self.sent_bytes += len(datagram)
            self.most_on_the_way = max(self.most_on_the_way, self.outgoing.congestion.model.in_flight)
            self.carry(len(datagram), lambda whole=datagram: self._come(whole), True)  # type: ignore[misc]
        due = self.outgoing.deadline(self.now)
        if due is not None and (not self._events or due < self._events[0][0]):
            if due > until_us:
                return False
            self.now = max(due, self.now)
            self.outgoing.tick(self.now)
            return True
        if not self._events or self._events[0][0] > until_us:
            return False
        self.now, _, call = heapq.heappop(self._events)
        call()
        return True

    def steps(self, seconds: float) -> Iterator[Bbr]:
        """Goes on for so long, if so much is to be sent; what is known of the path after everything that happens."""
        until_us = self.now + int(seconds * 1_000_000)
        while self.step(until_us):
            yield self.outgoing.congestion.model

    def run(self, seconds: float = 100.0) -> None:
        """Until nothing happens any more, or the time is over."""
        until_us = self.now + int(seconds * 1_000_000)
        while self.step(until_us):
            pass
        if self.outgoing.waiting:
            self.now = until_us

    def run_until_whole(self, count: int, seconds: float = 100.0) -> float:
        """Until so many messages have arrived; the seconds it took."""
        begun, until_us = self.now, self.now + int(seconds * 1_000_000)
        while len(self.arrived) < count:
            assert self.step(until_us), f"{len(self.arrived)} of {count} messages have arrived"
        return (self.now - begun) / 1_000_000
