"""What a group's core asks of a store on a disk: what has left the memory is read in pages, beside the loop.

A follower that is far behind takes the log from one index on, and so does the state machine after a restart. Each is a
stream: the pieces that it is given next, and the page behind them, which is read while these are sent::

        next                 tail                     hi
    ------|==================|-------- page ---------|.......... durable end
          pieces at hand      being read

A piece is what the core asked for: a message, or what is applied at a time. The last ones that were given are kept, for
a message may be lost or overtaken; whoever needs older ones begins a stream of its own. So what is at hand is bounded:
by what is kept and a page and a half for each stream, and by their number; and one stream of a host that is applied
has three pages more.

What nobody waits for is given at a pace (pace.py): until the next piece may be, the core is told to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from raftcore.base.errors import Compacted, LogTemporarilyUnavailable, Unavailable
from raftcore.log.slices import OVERHEAD
from raftcore.values.message import Entries, Snapshot
from raftcore.wire.codec import LENGTH_SIZE
from raftpy.contracts.storage import GroupLog
from raftpy.runtime.log_reading import LogReading
from raftpy.runtime.pace import Pace
from raftpy.runtime.stored_view import StoredView

PAGE_BYTES = 2 << 20
"""What is read at a time; a larger entry is read alone. With a quarter of it a start takes half as long again to
apply its log, as the loop and the thread take turns more often."""
PACED_PAGE_BYTES = 256 << 10
"""Where nobody waits for it: to read a page of ``PAGE_BYTES`` takes the thread three milliseconds of the processor, in
which the loop gets the interpreter's lock late."""
AHEAD_BYTES = PAGE_BYTES // 2
"""The next page is read when so much of those before is left, or half a page where those are smaller."""
KEPT_BYTES = 2 << 20
"""What was given last and is kept: more than is on its way to a follower (``max_inflight_bytes``), so that it need not
be read again where messages overtake one another; and it serves another follower that is a little further behind."""
AT_ONCE = 4
"""How many pages of what is to be applied are asked for at a time, each no larger than what is applied at a time, where
the store says where each of them ends: so two threads read on, and need not wait for the loop, which holds the
interpreter's lock while it applies the one before. One stream of a host at a time: where many groups start, the threads
have enough to do with one page of each."""
FEW_ENTRIES = 256
"""So many are not worth a page, as long as there is something to send before them."""
MOST_STREAMS = 8
"""The one that was asked least lately goes when there are more: it begins anew when it is asked again."""


class _Page:
    """What is being read of a stream, from ``lo`` on; ``pieces``: what has come of it, None as long as nothing has."""

    __slots__ = ("lo", "pieces")

    def __init__(self, lo: int) -> None:
        self.lo = lo
        self.pieces: list[Entries] | None = None


class _Stream:
    """Entries from ``next`` on: ``pieces`` of ``held`` bytes up to ``tail``, where the next page begins; before them
    those that were ``given`` last, ``kept`` bytes of them.

    ``hi``, ``max_bytes`` and ``overhead`` (bytes that each entry counts for beside its payload) are as they were asked
    for last, and ``page`` bytes are read at a time. ``reading``: the pages of it that are being read, in their order,
    in which they need not come; ``begin``: where the one behind them begins, None where the last of them has to be
    there for that. ``awaited``: the core was told that it has to wait for one. ``resting``: it has to wait for its
    ``pace``. ``asked``: since it was last looked at.
    """

    __slots__ = (
        "asked", "awaited", "begin", "given", "held", "hi", "kept", "max_bytes", "next", "overhead",
        "pace", "page", "pieces", "reading", "resting", "tail",
    )  # fmt: skip

    def __init__(self, lo: int) -> None:
        self.next = self.tail = lo
        self.hi = self.max_bytes = 0
        self.page = PAGE_BYTES
        self.overhead = LENGTH_SIZE
        self.begin: int | None = lo
        self.reading: deque[_Page] = deque()
        self.given: deque[Entries] = deque()
        self.pieces: deque[Entries] = deque()
        self.kept = self.held = 0
        self.awaited = self.resting = self.asked = False
        self.pace: Pace | None = None

    def put(self, page: _Page, pieces: list[Entries]) -> None:
        """What has come of a page: at hand once all that was being read before it is. Nothing where it was given up."""
        page.pieces = pieces
        while self.reading and (come := self.reading[0].pieces) is not None:
            self.reading.popleft()
            for piece in come:
                self.pieces.append(piece)
                self.held += len(piece.data)
                self.tail = piece.last + 1
        if not self.reading:
            self.begin = self.tail

    def give_up(self, page: _Page) -> None:
        """It cannot be read; nor is what was to follow it of any use then."""
        if page in self.reading:
            while self.reading.pop() is not page:
                pass
            self.begin = page.lo

    def seek(self, lo: int) -> bool:
        """Goes to ``lo``, back or on; False where that is not at hand, and not where the next page begins."""
        if not (self.given[0].first if self.given else self.next) <= lo <= self.tail:
            return False
        while self.next > lo:
            self._give_back(self.given.pop())
        while self.next < lo:
            piece = self.pieces.popleft()
            self.held -= len(piece.data)
            if piece.last >= lo:
                piece = self._cut(piece, [piece.slice(piece.first, lo), piece.slice(lo, piece.last + 1)])
            self._give(piece)
        return True

    def take(self) -> Entries:
        """The next entries, within what was asked for."""
        piece = self.pieces.popleft()
        self.held -= len(piece.data)
        if piece.last >= self.hi:
            piece = self._cut(piece, [piece.slice(piece.first, self.hi), piece.slice(self.hi, piece.last + 1)])
        if len(piece.data) > self.max_bytes:
            piece = self._cut(piece, piece.split(self.max_bytes))
        self._give(piece)
        return piece

    def _cut(self, piece: Entries, parts: list[Entries]) -> Entries:
        for part in reversed(parts[1:]):
            self.pieces.appendleft(part)
            self.held += len(part.data)
        return parts[0]

    def _give(self, piece: Entries) -> None:
        self.given.append(piece)
        self.kept += len(piece.data)
        self.next = piece.last + 1
        while self.kept > KEPT_BYTES:
            self.kept -= len(self.given.popleft().data)

    def _give_back(self, piece: Entries) -> None:
        self.kept -= len(piece.data)
        self.pieces.appendleft(piece)
        self.held += len(piece.data)
        self.next = piece.first


class PagedView(StoredView):
    """A group's log (``raftcore.PagedStorageView``), read by ``reading``.

    ``term()`` is the core's term; ``read()`` is called when the core need wait no longer: pages have come in, or what
    is given at ``rate`` bytes a second, None for no bound, may go on.
    """

    def __init__(
        self,
        stored: GroupLog,
        newest: Snapshot | None,
        name: str,
        reading: LogReading,
        term: Callable[[], int],
        read: Callable[[], object],
        rate: int | None = None,
    ) -> None:
        super().__init__(stored, newest, name)
        self._reading = reading
        self._term = term
        self._read = read
        self._rate = rate
        self._of = 0  # the term in which the streams began
        self._streams: list[_Stream] = []  # that was asked last comes last
        self.pages = 0
        """Read so far."""
        self.given_up = 0
        """How often pages were given up because they were of a former term."""
        self.rests = 0
        """How often somebody had to wait for the pace."""

    @property
    def awaited(self) -> bool:
        """Whether the core waits for a page."""
        return any(stream.awaited for stream in self._streams)

    def entries_at_hand(self, lo: int, hi: int, max_bytes: int, urgent: bool) -> Entries:
        """See ``PagedStorageView``. Raises ``LogTemporarilyUnavailable``, and has them read or waits for the pace."""
        return self._at_hand(lo, hi, max_bytes, LENGTH_SIZE, urgent)

    def committed_at_hand(self, lo: int, hi: int, max_bytes: int) -> Entries:
        """Likewise, of what is to be applied."""
        return self._at_hand(lo, hi, max_bytes, OVERHEAD, True)

    def _at_hand(self, lo: int, hi: int, max_bytes: int, overhead: int, urgent: bool) -> Entries:
        term = self._term()
        if term != self._of:
            # A leader's log only grows; who followed another one meanwhile may have given up what was read.
            self.given_up += bool(self._streams)
            self.forget()
            self._of = term
        stream = self._stream_at(lo)
        stream.hi, stream.max_bytes, stream.overhead, stream.asked = hi, max_bytes, overhead, True
        stream.page = PAGE_BYTES if urgent or self._rate is None else PACED_PAGE_BYTES
        self._read_ahead(stream)
        if not stream.pieces:
            stream.awaited = True
            raise LogTemporarilyUnavailable
        if not urgent and self._rate is not None:
            self._keep_pace(stream, self._rate)
        entries = stream.take()
        if stream.pace is not None:
            stream.pace.gave(len(entries.data))
        self._read_ahead(stream)
        return entries

    def forget_idle(self) -> None:
        """Forgets the streams that were not asked since the last call: who has caught up is given the rest from memory,
        and who is gone needs nothing."""
        for stream in self._streams:
            if not stream.asked:
                self._reading.falls_back(stream)
        self._streams = [stream for stream in self._streams if stream.asked or stream.awaited or stream.resting]
        for stream in self._streams:
            stream.asked = False

    def forget(self) -> None:
        """Forgets all streams: nothing of them is to be given any more."""
        for stream in self._streams:
            self._reading.falls_back(stream)
        self._streams.clear()

    def _stream_at(self, lo: int) -> _Stream:
        for position, stream in enumerate(self._streams):
            if stream.seek(lo):
                del self._streams[position]
                break
        else:
            stream = _Stream(lo)
            while len(self._streams) >= MOST_STREAMS:
                self._reading.falls_back(self._streams.pop(0))
        self._streams.append(stream)
        return stream

    def _keep_pace(self, stream: _Stream, rate: int) -> None:
        """Raises ``LogTemporarilyUnavailable`` where the next piece has to wait."""
        now_s = self._reading.monotonic()
        if stream.pace is None:
            stream.pace = Pace(rate, now_s, stream.hi)
        wait_s = stream.pace.wait_s(now_s, stream.next, stream.hi)
        if not wait_s:
            return
        if not stream.resting:
            stream.resting = True
            self.rests += 1
            self._reading.call_later(wait_s, partial(self._has_rested, stream))
        raise LogTemporarilyUnavailable

    def _has_rested(self, stream: _Stream) -> None:
        """Also for a stream that is not needed any more: the core may still wait, and asks anew then."""
        stream.resting = False
        self._read()

    def _read_ahead(self, stream: _Stream) -> None:
        to_apply = stream.overhead == OVERHEAD
        if not to_apply:  # what a state machine had asked for may go on to a follower
            self._reading.falls_back(stream)
        while len(stream.reading) < (AT_ONCE if to_apply and self._reading.is_foremost(stream) else 1):
            if stream.held > min(AHEAD_BYTES, stream.page // 2) or stream.begin is None:
                return
            if stream.begin >= stream.hi or (stream.pieces and stream.hi - stream.tail < FEW_ENTRIES):
                if not stream.reading:
                    self._reading.falls_back(stream)
                return
            self._read_page(stream, stream.begin, to_apply)

    def _read_page(self, stream: _Stream, lo: int, to_apply: bool) -> None:
        hi, max_bytes, overhead = stream.hi, stream.max_bytes, stream.overhead
        page_bytes = stream.page
        end = self.page_end(lo, hi, page_bytes) if to_apply else None

        def read() -> list[Entries]:
            if end is not None:
                return self.page(lo, end, max_bytes, overhead)
            if to_apply:
                return [self.entries_at_once(lo, hi, max_bytes, overhead)]
            return self.entries_at_once(lo, hi, page_bytes, overhead).split(max_bytes)

        def report(pieces: list[Entries]) -> None:
            stream.put(page, pieces)
            self._has_read(stream)

        def refuse(error: BaseException) -> None:
            if isinstance(error, Compacted | Unavailable):
                stream.give_up(page)
                if stream in self._streams and not stream.pieces and not stream.reading:
                    self._streams.remove(stream)
                    self._reading.falls_back(stream)
                self._has_read(stream)

        page = _Page(lo)
        pieces = self._reading.ask(read, report, refuse, beside=end is not None)
        stream.reading.append(page)
        stream.begin = end
        if pieces is not None:
            stream.put(page, pieces)

    def _has_read(self, stream: _Stream) -> None:
        """Also for a stream that is not needed any more: the core may still wait, and asks anew then."""
        self.pages += 1
        if stream.awaited and (stream.pieces or not stream.reading):
            stream.awaited = False
            self._read()
