"""Brings a snapshot from another node into this node's store, from file to file (paper 7).

    which file is it?      asked until the other node says its size and its digest
    what is there?         what an earlier attempt has left is read, checked, and not asked for again
    its bytes              asked for chunk by chunk, WINDOW bytes at a time, and written as they come, in a thread
    is it that?            all of it is read back and checked; then it is a snapshot like any other, durably

This node asks, so nobody keeps a memory of how far it has come: the other one may be restarted, or another node may
take its place. What is lost is asked for again, as RFC 9002 has it for datagrams: when one that was asked for later by
``OVERTAKEN`` requests has come; and when nothing comes for a time that follows what answers took (RFC 6298), the oldest
alone, whose answer shows what becomes of the others. Nothing is held in memory but the window.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from raftcore.base.errors import RaftError
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import FetchFailed, NotUnderstood, SnapshotDamaged, SnapshotFailed, Stopped
from raftpy.contracts.executor import Executor
from raftpy.contracts.fetching import (
    NotGiven,
    SnapshotAnswer,
    SnapshotChunk,
    SnapshotQuestion,
    SnapshotRefusal,
    SnapshotRequest,
    SnapshotTalk,
    SnapshotUseless,
)
from raftpy.contracts.snapshots import SnapshotFile, SnapshotReceiver, SnapshotRef, Snapshots, Steps
from raftpy.contracts.transport import FetchingTransport, Transport
from raftpy.runtime.beside import Beside, retrieve
from raftpy.runtime.snapshot_source import SnapshotSource

CHUNK_BYTES = 128 << 10
"""What one request asks for."""
WINDOW = 1 << 20
"""Bytes that are asked for and not written yet."""
OVERTAKEN = 3
"""So many later requests answered before it, and a request or its answer counts as lost."""
GIVE_UP_S = 15.0
"""Nothing new for so long, and the attempt is given up."""
FIRST_WAIT_S = 1.0
"""For an answer, before any has come."""
LEAST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
"""For an answer, whatever earlier ones took."""
SHORTEST_LOOK_S = 0.001
"""Until the next look: what is left of a wait may be less than the clock can tell."""
ASK_AGAIN_S = 0.25
"""Between two questions which file it is."""
RESTING_SHARE = 1.0
"""What is written is followed by so many times as long a rest: others sync on the same disk, and want the processor."""
SAY_S = 1.0
"""While this node's disk is at work, be it for minutes, the source hears so often that this goes on (offering.py)."""

Said = SnapshotQuestion | SnapshotAnswer | SnapshotUseless
"""What is for the groups to hear and to say."""
Talk = Callable[[int, Said], object]
"""``talk(node_id, what)``: what that node asks, has answered, or cannot use."""

_T = TypeVar("_T")


class Waits:
    """How long an answer is waited for: RFC 6298, by what answers took."""

    def __init__(self) -> None:
        self._smoothed_s = self._variation_s = 0.0

    def note(self, took_s: float) -> None:
        """An answer came so long after it was asked for, once."""
        if not self._smoothed_s:
            self._smoothed_s, self._variation_s = took_s, took_s / 2
            return
        self._variation_s += (abs(self._smoothed_s - took_s) - self._variation_s) / 4
        self._smoothed_s += (took_s - self._smoothed_s) / 8

    def wait_s(self, fruitless: int) -> float:
        """For anything to come, after so many requests in a row that nothing came for; seconds."""
        usual_s = self._smoothed_s + 4 * self._variation_s if self._smoothed_s else FIRST_WAIT_S
        return min(max(usual_s, LEAST_WAIT_S) * (1 << fruitless), LONGEST_WAIT_S)


@dataclass(slots=True)
class _Asked:
    """A chunk that was asked for and has not come."""

    offset: int
    size: int
    number: int  # of the request, the newest for this chunk
    at_s: float
    again: bool  # it is not the first request


class Fetch:
    """One attempt to bring one snapshot from one node. All calls but ``end`` are made in the loop's thread."""

    def __init__(
        self,
        source: int,
        ref: SnapshotRef,
        transport: FetchingTransport,
        snapshots: Snapshots,
        clock: Clock,
        beside: Beside,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.source = source
        self.ref = ref
        self.offered: SnapshotFile | None = None
        """What the source has said it is."""
        self.position = 0
        """How many bytes of it are written."""
        self.ignored = 0
        """Chunks that nobody had asked for, or that were there already."""
        self.task: asyncio.Task[SnapshotFile] | None = None
        self._transport = transport
        self._snapshots = snapshots
        self._clock = clock
        self._beside = beside
        self._chunk_bytes = chunk_bytes
        self._receiver: SnapshotReceiver | None = None
        self._failed: str | None = None  # why it is given up
        self._bell: asyncio.Future[None] | None = None
        self._progress_s = self._asked_s = clock.monotonic()  # when something came last, and was asked for last
        self._fruitless = 0  # requests since then that only time has brought about
        self._asked: dict[int, _Asked] = {}  # by offset, in the order of asking
        self._number = 0
        self._next = 0  # offset of what was never asked for
        self._arrived: dict[int, bytes | memoryview] = {}  # by offset; not written
        self._unwritten = 0  # bytes asked for, arrived or being written
        self._waits = Waits()
        self._why: Callable[[], RaftError] = Stopped

    @property
    def has_ended(self) -> bool:
        """Nothing is at work any more, and no file is open."""
        return self._receiver is None and not self._beside.stopped

    # --- What comes ---------------------------------------------------------------------------------------------

    def take(self, talk: SnapshotChunk | SnapshotRefusal) -> None:
        """The source answers."""
        if self.offered is not None and self.position == self.offered.size:
            self.ignored += 1  # all of it is here
        elif isinstance(talk, SnapshotRefusal):
            self.give_up(FetchFailed.NOT_THERE if talk.reason is NotGiven.NOT_THERE else FetchFailed.UNREADABLE)
        elif self.offered is None:
            self.offered = talk.file
            self._ring()
        elif talk.file != self.offered:
            self.give_up(FetchFailed.CHANGED)
        else:
            self._take_chunk(talk)

    def _take_chunk(self, chunk: SnapshotChunk) -> None:
        asked = self._asked.get(chunk.offset)
        if asked is None or asked.size != len(chunk.data):
            self.ignored += 1
            return
        del self._asked[chunk.offset]
        now_s = self._progress_s = self._clock.monotonic()
        self._fruitless = 0
        if not asked.again:  # of others nobody knows which request was answered
            self._waits.note(now_s - asked.at_s)
        self._arrived[chunk.offset] = chunk.data
        for other in [other for other in self._asked.values() if other.number + OVERTAKEN <= asked.number]:
            self._ask(other.offset, other.size, again=True)
        if chunk.offset == self.position:
            self._ring()

    def give_up(self, why: str) -> None:
        """Ends the attempt soon; what has come stays."""
        self._failed = self._failed or why
        self._ring()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    # --- What is asked for --------------------------------------------------------------------------------------

    def _ask(self, offset: int, size: int, *, again: bool = False) -> None:
        self._number += 1
        self._asked_s = self._clock.monotonic()
        self._asked.pop(offset, None)
        self._asked[offset] = _Asked(offset, size, self._number, self._asked_s, again)
        self._transport.send_snapshot_talk(self.source, SnapshotRequest(self.ref, offset, size))

    def _ask_more(self) -> None:
        assert self.offered is not None
        while self._next < self.offered.size and self._unwritten < WINDOW:
            size = min(self._chunk_bytes, self.offered.size - self._next)
            self._ask(self._next, size)
            self._next += size
            self._unwritten += size

    def _ask_for_oldest(self) -> float:
        """Asks for it again, where nothing has come for long; in how many seconds to look again."""
        now_s = self._clock.monotonic()
        since_s = max(self._progress_s, self._asked_s)
        if now_s >= since_s + self._waits.wait_s(self._fruitless):
            self._fruitless += 1
            oldest = next(iter(self._asked.values()))
            self._ask(oldest.offset, oldest.size, again=True)
            since_s = now_s
        return max(since_s + self._waits.wait_s(self._fruitless) - now_s, SHORTEST_LOOK_S)

    # --- The attempt --------------------------------------------------------------------------------------------

    async def run(self) -> SnapshotFile:
        """The snapshot, when it is in the store. Raises what ``Fetching.fetch`` does."""
        beside = self._beside
        try:
            there = await beside.call(self._look)
            if there is not None:
                return there
            await self._find_out()
            there = await self._saying(self._open)
            if there is not None:
                return there
            await self._bring()
            return await self._saying(self._finish)
        except SnapshotDamaged as error:
            raise self._error(FetchFailed.DAMAGED) from error
        except (asyncio.CancelledError, GeneratorExit):  # as the loop ends, or is gone: a thread may be at work still,
            beside.stop(Stopped)  # so ``end`` lets go
            raise
        finally:
            self._arrived.clear()
            if self._receiver is not None and not beside.stopped:
                await self._leave()

    async def _saying(self, function: Callable[[], _T]) -> _T:
        """In a thread; the source is asked for one byte now and then, or it took this attempt for given up."""

        def say() -> None:
            self._transport.send_snapshot_talk(self.source, SnapshotRequest(self.ref, 0, 1))
            timers.append(self._clock.call_later(SAY_S, say))

        timers = deque([self._clock.call_later(SAY_S, say)], 1)
        try:
            return await self._beside.call(function)
        finally:
            timers.pop().cancel()

    async def _leave(self) -> None:
        try:
            await self._beside.call(self._let_go)
        except SnapshotFailed:  # the system has no room for a thread
            self._let_go()
        except RaftError:
            if not self._beside.stopped:
                raise

    def _let_go(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()

    def _look(self) -> SnapshotFile | None:
        """The snapshot, if it is here already, and whole."""
        if self.ref not in self._snapshots.refs(self.ref.group):
            return None
        try:
            return self._complete(self._snapshots.verify(self.ref)).file
        except (SnapshotDamaged, NotUnderstood):
            return None

    async def _find_out(self) -> None:
        self._progress_s = self._clock.monotonic()
        while self.offered is None:
            self._transport.send_snapshot_talk(self.source, SnapshotRequest(self.ref, 0, 0))
            await self._wait(ASK_AGAIN_S)

    def _open(self) -> SnapshotFile | None:
        assert self.offered is not None
        try:
            self._receiver = self._complete(self._snapshots.receive(self.offered))
        except ValueError:
            if (there := self._look()) is None:
                raise
            return there  # it was taken here meanwhile
        self.position = self._next = self._receiver.position
        return None

    async def _bring(self) -> None:
        assert self.offered is not None
        self._progress_s = self._clock.monotonic()
        while self.position < self.offered.size:
            self._ask_more()
            if part := self._take_part():
                size = sum(map(len, part))
                await self._saying(partial(self._write, part))
                self._check()
                self._progress_s = self._clock.monotonic()  # a disk that takes long is no silence of the source
                self.position += size
                self._unwritten -= size
                continue
            await self._wait(self._ask_for_oldest())

    def _take_part(self) -> list[bytes | memoryview]:
        """What has come and is next in the file."""
        part: list[bytes | memoryview] = []
        at = self.position
        while at in self._arrived:
            part.append(self._arrived.pop(at))
            at += len(part[-1])
        return part

    def _write(self, part: list[bytes | memoryview]) -> None:
        """In a thread."""
        assert self._receiver is not None
        since_s = self._clock.monotonic()
        for data in part:
            if self._beside.stopped or self._failed:
                break
            self._receiver.write(data)
            since_s = self._beside.rest(self._clock, since_s, RESTING_SHARE)
        part.clear()

    def _finish(self) -> SnapshotFile:
        assert self._receiver is not None
        return self._complete(self._receiver.finish())

    def _complete(self, steps: Steps[_T]) -> _T:
        """In a thread: makes all steps, unless the attempt is given up or the node ends between two of them."""
        return self._beside.complete(steps, self._check_given_up)

    async def _wait(self, within_s: float) -> None:
        """Until something has come, for so long at most. Raises why the attempt is given up."""
        self._check()
        left_s = self._progress_s + GIVE_UP_S - self._clock.monotonic()
        if left_s <= 0:
            raise self._error(FetchFailed.SILENT)
        bell = self._bell = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(max(0.0, min(within_s, left_s)), self._ring)
        try:
            await bell
        finally:
            timer.cancel()
            self._bell = None
        self._check()

    def _check(self) -> None:
        if self._beside.stopped:
            raise self._why()
        self._check_given_up()

    def _check_given_up(self) -> None:
        if self._failed is not None:
            raise self._error(self._failed)

    def _error(self, why: str) -> FetchFailed:
        return FetchFailed(self.source, self.ref, why)

    # --- The end ------------------------------------------------------------------------------------------------

    def stop(self, why: Callable[[], RaftError]) -> None:
        """See ``Fetching.stop``."""
        self._why = why
        self._beside.stop(why)
        self._ring()

    def disown(self, error: RaftError) -> None:
        """See ``Fetching.disown``."""
        self._why = lambda: error
        self._beside.disown(error)
        self._ring()

    def end(self) -> None:
        """See ``Fetching.end``."""
        self._beside.wait()
        self._let_go()


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far a snapshot has come."""

    source: int
    """From which node."""
    ref: SnapshotRef
    """Which it is."""
    position: int
    """Bytes of it that are here."""
    size: int | None
    """Bytes of it; None: the other node has not said yet."""


class Fetching:
    """Snapshots that come to this node, one of each group at a time, and those that it gives to others.

    ``rate``: bytes a second that it gives out at most (``Config.snapshot_rate``). ``chunk_bytes``: what one request
    asks for, at most ``LARGEST_CHUNK``. ``talk``: which snapshots there are is for the groups to ask and to say. All
    calls but ``end`` are made in the loop's thread.
    """

    def __init__(
        self,
        node_id: int,
        transport: Transport,
        snapshots: Snapshots,
        clock: Clock,
        executor: Executor,
        rate: int | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        talk: Talk = lambda node_id, what: None,
    ) -> None:
        self._id = node_id
        self._talk = talk
        self._transport = fetching_over(transport)
        self._snapshots = snapshots
        self._clock = clock
        self._executor = executor.background()
        self._chunk_bytes = chunk_bytes
        self._wanted: dict[int, Fetch] = {}  # the newest attempt, by group
        self._under_way: set[Fetch] = set()  # all that have not ended
        self._why: Callable[[], RaftError] | None = None  # it has stopped
        self.ignored = 0
        """Answers of nodes that were not asked."""
        self.given: SnapshotSource | None = None
        """What is given to others; None on a transport that carries no snapshots."""
        if self._transport is not None:
            self.given = SnapshotSource(node_id, self._transport, snapshots, clock, executor, rate)

    def start(self) -> None:
        """From now on others are answered."""
        if self._transport is not None:
            self._transport.on_snapshot_talk(self._take)

    async def fetch(self, source: int, ref: SnapshotRef) -> SnapshotFile:
        """Brings a snapshot from node ``source`` into this node's store; returns when it is there, whole and durable.

        One that is here already is checked, and is the result. What an earlier attempt has left is gone on with, also
        one in an earlier life of this process, as long as ``source`` has the very same bytes. A later call for the
        same group ends this one. Cancelled, it ends soon; what has come stays.

        Raises ``FetchFailed``, which says why; ``SnapshotFailed`` where this node's disk refuses or has no room,
        ``NotUnderstood`` for the format of a later release, ``ValueError`` where a snapshot of the group is being
        received by somebody else, and why the node has stopped.
        """
        if self._why is not None:
            raise self._why()
        if self._transport is None:
            raise FetchFailed(source, ref, FetchFailed.CANNOT)
        beside = Beside(self._executor, f"raftpy fetch {self._id}")
        fetch = Fetch(source, ref, self._transport, self._snapshots, self._clock, beside, self._chunk_bytes)
        former = self._wanted.get(ref.group)
        self._wanted[ref.group] = fetch
        self._under_way.add(fetch)
        if former is not None:
            former.give_up(FetchFailed.SUPERSEDED)
        task = fetch.task = asyncio.get_running_loop().create_task(self._run(fetch, former))
        task.add_done_callback(retrieve)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            fetch.give_up(FetchFailed.SUPERSEDED)
            raise

    async def _run(self, fetch: Fetch, former: Fetch | None) -> SnapshotFile:
        try:
            if former is not None and former.task is not None:
                await asyncio.wait([former.task])
            return await fetch.run()
        finally:
            if self._wanted.get(fetch.ref.group) is fetch:
                del self._wanted[fetch.ref.group]
            if fetch.has_ended:
                self._under_way.discard(fetch)

    def say(self, source: int, ref: SnapshotRef) -> None:
        """What node ``source`` has is being worked on here, though nothing more is needed: it is asked for one byte."""
        if self._why is None and self._transport is not None:
            self._transport.send_snapshot_talk(source, SnapshotRequest(ref, 0, 1))

    def tell(self, node_id: int, what: Said) -> None:
        """A group asks the node for a snapshot, answers it, or cannot use what it was offered. May be lost."""
        if self._why is None and self._transport is not None:
            self._transport.send_snapshot_talk(node_id, what)

    def progress(self, group: int) -> FetchProgress | None:
        """How far the group's snapshot has come; None where none is on its way."""
        fetch = self._wanted.get(group)
        if fetch is None:
            return None
        size = None if fetch.offered is None else fetch.offered.size
        return FetchProgress(fetch.source, fetch.ref, fetch.position, size)

    def _take(self, node_id: int, talk: SnapshotTalk) -> None:
        if self._why is not None:
            return
        if isinstance(talk, SnapshotRequest):
            if self.given is not None:
                self.given.take(node_id, talk)
            return
        if isinstance(talk, (SnapshotQuestion, SnapshotAnswer, SnapshotUseless)):
            self._talk(node_id, talk)
            return
        ref = talk.file.ref if isinstance(talk, SnapshotChunk) else talk.ref
        fetch = self._wanted.get(ref.group)
        if fetch is None or fetch.source != node_id or fetch.ref != ref:
            self.ignored += 1
        else:
            fetch.take(talk)

    # --- The end ------------------------------------------------------------------------------------------------

    def stop(self, why: Callable[[], RaftError]) -> None:
        """The node ends: whoever waits hears ``why()``. Before the store is closed, ``end`` is called."""
        self._why = why
        for fetch in self._under_way:
            fetch.stop(why)
        if self.given is not None:
            self.given.stop(why)

    def disown(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self._why = lambda: error
        for fetch in self._under_way:
            fetch.disown(error)
        if self.given is not None:
            self.given.disown(error)

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is read or written any more, and no file is open. What
        has come stays for the next life."""
        for fetch in tuple(self._under_way):
            fetch.end()
        if self.given is not None:
            self.given.end()


def fetching_over(transport: Transport) -> FetchingTransport | None:
    """The transport, if it is one over which snapshots go."""
    return cast(FetchingTransport, transport) if hasattr(transport, "send_snapshot_talk") else None
