"""Gives snapshots to other nodes, which ask for them chunk by chunk.

One task at a time reads what is wanted, in a thread, a batch of one node after a batch of the next, and hands it to the
transport, which paces it. A file stays open from one batch to the next, also when its store deletes it meanwhile, and
is closed when nobody has asked for a while. Nothing is checked as it is given, as whoever gets it checks all of it. But
who has been given all of a snapshot and asks for it anew has found it damaged: then it is read back here, once, and
given no more where that is so. What is in memory for one node is bounded: by the requests that are kept,
by one batch, and by what the transport holds for it. A request that is passed over is made again.

What each node has asked for last is known for ten minutes: so long it may come back and go on with what it has begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from raftcore.base.errors import DecodeError, RaftError
from raftcore.values.message import Snapshot
from raftpy.contracts.clock import Clock, TimerHandle
from raftpy.contracts.errors import NotUnderstood, SnapshotDamaged, SnapshotFailed, Stopped
from raftpy.contracts.executor import Executor
from raftpy.contracts.fetching import NotGiven, SnapshotChunk, SnapshotRefusal, SnapshotRequest
from raftpy.contracts.snapshots import SnapshotReader, SnapshotRef, Snapshots
from raftpy.contracts.transport import FetchingTransport
from raftpy.runtime.beside import Beside
from raftpy.storage.snapshots.metadata import read_metadata

MOST_WANTED = 32
"""Requests of one node that are kept; what it asks for beyond that is passed over."""
MOST_BACKLOG = 4 << 20
"""Bytes under way to one node beyond which it gets no more."""
BATCH_BYTES = 512 << 10
"""What is read for one node before it is the next one's turn."""
IDLE_S = 30.0
"""A file that nobody has asked for in so long is closed."""
BEGUN_S = 600.0
"""So long after its last request a node may come back for the rest of a snapshot; it is kept meanwhile, where there is
room for the log behind it (snapshotting.py)."""

log = logging.getLogger("raftpy")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a node has asked for last, of one group's snapshots."""

    ref: SnapshotRef
    """Which snapshot."""
    at_s: float
    """When, by the clock."""
    looked: bool
    """It is known whether that snapshot is here."""
    snapshot: Snapshot | None
    """What it says of itself; None: it is not here, cannot be read, or was not looked at yet."""


@dataclass(slots=True)
class _Wanting:
    """What one node wants of one group's snapshots."""

    node_id: int
    requests: deque[SnapshotRequest] = field(default_factory=deque)
    reader: SnapshotReader | None = None
    ref: SnapshotRef | None = None  # whose reader it is, or was tried to be
    snapshot: Snapshot | None = None  # what that one says of itself
    asked_s: float = 0.0

    def close(self) -> None:
        """Lets go of its file; garbage is all that a failure leaves."""
        reader, self.reader, self.ref, self.snapshot = self.reader, None, None, None
        if reader is not None:
            with suppress(SnapshotFailed):
                reader.close()


def _close_all(wanting: list[_Wanting]) -> None:
    for each in wanting:
        each.close()


class SnapshotSource:
    """What a node's ``snapshots`` give to its peers. All calls but ``end`` are made in the loop's thread.

    ``rate``: bytes a second for all of them together; None: as fast as it goes.
    """

    def __init__(
        self,
        node_id: int,
        transport: FetchingTransport,
        snapshots: Snapshots,
        clock: Clock,
        executor: Executor,
        rate: int | None = None,
    ) -> None:
        self._transport = transport
        self._snapshots = snapshots
        self._clock = clock
        self._beside = Beside(executor.background(), f"raftpy snapshots from {node_id}")
        self._wanting: dict[tuple[int, int], _Wanting] = {}  # by node and group, whose turn is next first
        self._asked: dict[tuple[int, int], Asked] = {}  # by node and group, only of groups that have snapshots here
        self._given_whole: dict[tuple[int, int], SnapshotRef] = {}  # by node and group: whose end was given last
        self._read_back: set[SnapshotRef] = set()  # since it was given whole, and found whole
        self._damaged: set[SnapshotRef] = set()  # and found damaged: looked at anew for each who wants to begin
        self._task: asyncio.Task[None] | None = None
        self._timer: TimerHandle | None = None
        self._held_back = False  # by the rate, until the timer says so
        self._allowance = Allowance(rate, clock.monotonic()) if rate is not None else None
        self.given = 0
        """Bytes of snapshots given out."""
        self.passed_over = 0
        """Requests that were not kept."""

    def take(self, node_id: int, request: SnapshotRequest) -> None:
        """A node asks."""
        if self._beside.stopped:
            return
        ref = request.ref
        key = node_id, ref.group
        wanting = self._wanting.get(key)
        now_s = self._clock.monotonic()
        there = self._snapshots.refs(ref.group)
        if ref not in there and (wanting is None or wanting.ref != ref):
            if there:
                self._asked[key] = Asked(ref, now_s, True, None)
            self._transport.send_snapshot_talk(node_id, SnapshotRefusal(ref, NotGiven.NOT_THERE))
            return
        if wanting is None:
            wanting = self._wanting[key] = _Wanting(node_id)
        wanting.asked_s = now_s
        self._asked[key] = Asked(ref, now_s, False, None)
        if wanting.requests and wanting.requests[0].ref != ref:
            wanting.requests.clear()  # it wants another one now
        if (
            len(wanting.requests) >= MOST_WANTED
            or request in wanting.requests
            or self._transport.answers_already(node_id, request)
        ):
            self.passed_over += 1
            return
        wanting.requests.append(request)
        if not self._held_back:
            self._begin()

    def is_damaged(self, ref: SnapshotRef) -> bool:
        """Whether it was found damaged here, as far as is known."""
        return ref in self._damaged

    def asked(self, node_id: int, group: int) -> Asked | None:
        """What the node has asked for last, of the group's snapshots; None: nothing for long."""
        asked, wanting = self._asked.get((node_id, group)), self._wanting.get((node_id, group))
        if asked is None or asked.at_s < self._clock.monotonic() - BEGUN_S:
            self._asked.pop((node_id, group), None)
            return None
        if wanting is not None and wanting.ref == asked.ref and wanting.snapshot is not None:
            return replace(asked, looked=True, snapshot=wanting.snapshot)
        return asked

    def begun(self, group: int) -> dict[int, SnapshotRef]:
        """By node id: which of the group's snapshots that node may come back for."""
        nodes = [node_id for node_id, of in tuple(self._asked) if of == group]
        asked = {node_id: self.asked(node_id, group) for node_id in nodes}
        return {node_id: each.ref for node_id, each in asked.items() if each is not None}

    def _begin(self) -> None:
        if self._task is None and not self._beside.stopped:
            self._stop_timer()
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Called a turn of the loop after the task's end: what came meanwhile is not begun by ``take``.
        self._task = None
        if task.cancelled():
            self._beside.stop(Stopped)  # as the loop ends: a thread may be at work still, so ``end`` lets go
        elif (error := task.exception()) is not None and not self._beside.stopped:
            if isinstance(error, RaftError):  # no room for a thread
                log.warning("snapshots are not given to other nodes for the moment: %s", error)
            else:
                log.error("snapshots are not given to other nodes for the moment", exc_info=error)
            for wanting in self._wanting.values():
                wanting.requests.clear()  # they are asked for again
        elif not self._held_back and any(wanting.requests for wanting in self._wanting.values()):
            self._begin()

    # --- Giving -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        beside = self._beside
        try:
            if idle := self._take_idle():
                await beside.call(lambda: _close_all(idle))
            while (wanting := self._next()) is not None:
                batch = self._batch(wanting)
                if not batch:
                    return  # the timer goes on
                for answer in await beside.call(partial(self._read, wanting, batch)):
                    if isinstance(answer, SnapshotChunk):
                        self.given += len(answer.data)
                    self._transport.send_snapshot_talk(wanting.node_id, answer)
                    await asyncio.sleep(0)  # the loop has its turn between any two
                    if beside.stopped:
                        return
        except RaftError:
            if not beside.stopped:
                raise
        if self._wanting and not beside.stopped:
            self._timer = self._clock.call_later(IDLE_S, self._on_timer)

    def _next(self) -> _Wanting | None:
        """Whose turn it is; it is behind all others then."""
        for key, wanting in list(self._wanting.items()):
            if not wanting.requests:
                continue
            if self._transport.snapshot_backlog(wanting.node_id) > MOST_BACKLOG:
                self.passed_over += len(wanting.requests)
                wanting.requests.clear()
                continue
            del self._wanting[key]
            self._wanting[key] = wanting
            return wanting
        return None

    def _batch(self, wanting: _Wanting) -> list[SnapshotRequest]:
        """What is read now; nothing where the rate does not allow it yet."""
        batch: list[SnapshotRequest] = []
        size = 0
        while wanting.requests and size < BATCH_BYTES:
            request = wanting.requests[0]
            if self._allowance is not None:
                wait_s = self._allowance.take(request.size, self._clock.monotonic())
                if wait_s:
                    if not batch:
                        self._held_back = True
                        self._timer = self._clock.call_later(wait_s, self._on_timer)
                    break
            size += request.size
            batch.append(wanting.requests.popleft())
        return batch

    def _read(self, wanting: _Wanting, batch: list[SnapshotRequest]) -> list[SnapshotChunk | SnapshotRefusal]:
        """In a thread."""
        answers: list[SnapshotChunk | SnapshotRefusal] = []
        for request in batch:
            if self._beside.stopped:
                break
            try:
                answers.append(self._read_one(wanting, request))
            except (SnapshotFailed, NotUnderstood) as error:
                log.warning("node %d cannot be given a snapshot: %s", wanting.node_id, error)
                answers.append(SnapshotRefusal(request.ref, NotGiven.UNREADABLE))
                wanting.close()
        return answers

    def _read_one(self, wanting: _Wanting, request: SnapshotRequest) -> SnapshotChunk | SnapshotRefusal:
        ref = request.ref
        there = ref in self._snapshots.refs(ref.group)
        begins = not request.size and there  # of one that was found damaged there may be another file by now
        if wanting.reader is None or wanting.ref != ref or begins:
            wanting.close()
            if not there:
                return SnapshotRefusal(ref, NotGiven.NOT_THERE)
            wanting.reader, wanting.ref = self._snapshots.open(ref), ref
            with suppress(DecodeError, NotUnderstood, SnapshotDamaged):  # whoever receives it will find out
                wanting.snapshot = read_metadata(wanting.reader)
        file = wanting.reader.file
        if request.offset > file.size:
            return SnapshotRefusal(ref, NotGiven.NOT_THERE)
        if not request.size:
            self._check(wanting.node_id, ref)
        data = wanting.reader.read_range(request.offset, min(request.size, file.size - request.offset))
        if data and request.offset + len(data) == file.size:
            self._given_whole[wanting.node_id, ref.group] = ref
        return SnapshotChunk(file, request.offset, data)

    def _check(self, node_id: int, ref: SnapshotRef) -> None:
        """In a thread: a node begins with a snapshot. Raises ``SnapshotDamaged`` where it had better not."""
        anew = self._given_whole.get((node_id, ref.group)) == ref and ref not in self._read_back
        there = self._snapshots.refs(ref.group)
        if (anew or ref in self._damaged) and ref in there:
            for known in (self._read_back, self._damaged):  # of what is gone nobody asks any more
                known -= {each for each in known if each.group == ref.group and each not in there}
            self._damaged.add(ref)  # until it is known better
            self._beside.complete(self._snapshots.verify(ref))
            self._damaged.discard(ref)
            self._read_back.add(ref)

    # --- Time ---------------------------------------------------------------------------------------------------

    def _on_timer(self) -> None:
        self._timer = None
        self._held_back = False
        self._begin()

    def _take_idle(self) -> list[_Wanting]:
        """Those that have not asked for long; they are forgotten."""
        before_s = self._clock.monotonic() - IDLE_S
        idle = {key: each for key, each in self._wanting.items() if each.asked_s <= before_s and not each.requests}
        for key in idle:
            del self._wanting[key]
        return list(idle.values())

    # --- The end ------------------------------------------------------------------------------------------------

    def stop(self, why: Callable[[], RaftError]) -> None:
        """The node ends: nobody is given anything any more. Before the store is closed, ``end`` is called."""
        self._stop_timer()
        self._beside.stop(why)

    def disown(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self._stop_timer()
        self._beside.disown(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is read any more, and no file is open."""
        self._beside.wait()
        _close_all(list(self._wanting.values()))


class Allowance:
    """Bytes that may be given, at ``rate`` a second; a tenth of a second's at once."""

    def __init__(self, rate: int, now_s: float) -> None:
        self._rate = rate
        self._bytes = 0.0
        self._filled_s = now_s

    def take(self, size: int, now_s: float) -> float:
        """Takes ``size`` bytes, and gives 0; or takes none, and gives in how many seconds to ask again."""
        self._bytes = min(self._bytes + self._rate * (now_s - self._filled_s), max(self._rate / 10, size))
        self._filled_s = now_s
        if self._bytes + 1 < size:  # what is less than a byte may be less than the clock can show
            return (size - self._bytes) / self._rate
        self._bytes = max(0.0, self._bytes - size)
        return 0.0
