"""Snapshots of one group, taken while it runs, and the log cut behind them (paper 7).

    in the loop, between two commands   index, configuration, member table and the machine's view, all of one moment
    in slices, or in a thread           the view's chunks -> a file, durable before it has its name
    in a thread                         of those kept the oldest is read back, older ones are deleted
    in the loop                         core and store are told how far the log is cut
    with the group's next batch         the log begins there, durably: this one step decides

A crash before that step leaves snapshots that the log does not need yet, one behind it a log that begins at a snapshot
which was durable and whole. Nothing here holds the loop for longer than a slice.

What stays of the log behind the oldest snapshot that is kept is in trailing.py. A snapshot that is on its way to a
member is kept, too, as long as what was applied behind it may stay; so is one of which a member has a part, for as long
as it may come back (snapshot_source.py).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import Compacted, LogTemporarilyUnavailable, RaftError, Unavailable
from raftcore.base.types import StateType
from raftcore.values.message import Snapshot
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import NoSnapshots, SnapshotDamaged, SnapshotFailed, Stopped, same_error
from raftpy.contracts.files import Data
from raftpy.contracts.snapshots import EVERY_INDEX, KEPT, SnapshotRef, Snapshots, SnapshotWriter
from raftpy.contracts.state_machine import StateMachine, StateView
from raftpy.contracts.storage import GroupLog
from raftpy.members.table import MemberTable
from raftpy.runtime.applying import Applying
from raftpy.runtime.beside import Beside, retrieve
from raftpy.runtime.capturing import Capturing, capturing
from raftpy.runtime.disk_space import DiskSpace
from raftpy.runtime.group_work import GroupWork
from raftpy.runtime.log_clock import LogClock
from raftpy.runtime.restoring import Start
from raftpy.runtime.sections import members_header, state_header
from raftpy.runtime.snapshot_policy import Behind, SnapshotPolicy, cut_to, is_due, is_short, matters, share_of
from raftpy.runtime.stored_view import StoredView
from raftpy.runtime.trailing import Trailing, on_their_way, others
from raftpy.storage.snapshots.metadata import ref_of, write_metadata

SLICE_S = 0.001
"""For how long chunks are taken in the loop before commands are applied again."""
SLICE_BYTES = 1 << 20
"""And how many bytes at most, which are in memory until they are written."""
PASSING_S = 0.01
"""Until the next look whether what a machine had before is passed over."""
AGAIN_S = 60.0
"""Until the next attempt, where one has failed."""

log = logging.getLogger("raftpy")


class Snapshotted(Protocol):
    """A group, as far as its snapshots need it: its ``id``, its ``name`` for the log, its parts under the group's names
    (``raw``, ``stored``, ``view``, ``clock``, ``applying``, ``work``), and whether it is ``closed``."""

    id: int
    name: str
    raw: RawNode
    stored: GroupLog
    view: StoredView
    clock: Clock
    applying: Applying
    work: GroupWork
    closed: bool

    @property
    def table(self) -> MemberTable | None:
        """The member table as applied, of group 0; None for any other."""
        ...

    def schedule(self) -> None:
        """A pass has to look at the group."""
        ...


class Snapshotting:
    """Takes one snapshot at a time. All calls but ``end`` are made in the loop's thread.

    ``policy`` says when one is due (snapshot_policy.py). ``start``: from where the group went on. ``space``: what the
    groups of the host share of the disk.
    ``begun()``: node id to the snapshot that this node may come back for.
    ``is_damaged(ref)``: one was found damaged as it was given out.
    """

    def __init__(
        self,
        group: Snapshotted,
        machine: StateMachine,
        snapshots: Snapshots,
        beside: Beside,
        start: Start,
        policy: SnapshotPolicy,
        trailing: Trailing,
        space: DiskSpace,
        begun: Callable[[], Mapping[int, SnapshotRef]] = dict,
        is_damaged: Callable[[SnapshotRef], bool] = lambda ref: False,
    ) -> None:
        self._group = group
        self._snapshots = snapshots
        self._beside = beside
        self._trailing = trailing
        self._space = space
        self._begun = begun
        self._is_damaged = is_damaged
        self._policy = policy
        self._log_clock = LogClock(group.clock)
        self._offered: Capturing | None = None
        self._why_not: NoSnapshots | None = None
        try:
            self._offered = capturing(machine)
        except NoSnapshots as error:
            self._why_not = error
        self._newest = start.applied
        self._size = start.size
        self._bytes_before = 0  # applied by this process when the newest was captured
        self._given = 0  # bytes of the state that the one being written was given
        self._tried_s = self._not_before_s = self._doubted_s = self._provided_s = -math.inf
        self._cut_again_s = -math.inf
        self._kept = 0  # index of the oldest one kept, once it was read back
        self._short = False  # of space, at the last look
        self._retained = False  # what is there was looked at since the last one was taken, or the start
        self._said = False
        self._not_taken: str | None = None  # why the last attempt at one came to nothing
        self._not_cut: str | None = None  # why nothing was cut behind one
        self._task: asyncio.Task[int] | None = None
        self._resting: asyncio.Future[None] | None = None  # done when snapshots are taken again
        self._writer: SnapshotWriter | None = None
        self._view: StateView | None = None

    @property
    def newest(self) -> int:
        """Index of the newest snapshot, 0 for none."""
        return self._newest

    @property
    def failure(self) -> str | None:
        """Why there is no newer snapshot, or why the log was not cut, when that was tried last; None: it was done."""
        return self._not_taken or self._not_cut

    # --- When ---------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Takes a snapshot, or cuts the log further, where that is due. To be called every now and then."""
        if self._rests() or self._group.raw.state == StateType.StateQuarantined:
            return
        self._trailing.look()
        if self._group.clock.monotonic() < self._not_before_s:
            return
        self._log_clock.seen(self._group.raw.last_time_ms)
        behind, share = self._behind(), self._share()
        self._short = is_short(share, behind)
        if self._short or is_due(self._policy, share, behind, self._log_clock.seconds()):
            if self._offered is not None:
                self._claim()
                self._begin(self._take).add_done_callback(self._report)
            elif not self._said:
                self._said = True
                log.warning("%s: %s, so the log is kept whole, and each start applies all of it", self._group.name,
                            self._why_not)  # fmt: skip
        elif self._may_retain():
            self._begin(self._retain).add_done_callback(self._report)
        elif self._group.clock.monotonic() >= self._cut_again_s:
            try:
                self._cut()
            except Exception as error:  # of a machine that cannot sync; the next snapshot does not wait for that
                self._not_cut = _words(error)
                self._cut_again_s = self._group.clock.monotonic() + AGAIN_S
                self._say(error)
            else:
                self._not_cut = None

    def _may_retain(self) -> bool:
        """Whether those of an earlier life may let the log be cut: reading one back is much work for nothing else."""
        raw, applied, kept = self._group.raw, self._group.applying.applied, self._policy.kept
        refs = [ref for ref in self._snapshots.refs(self._group.id) if ref.index <= applied]
        return (
            not self._retained
            and self._offered is not None
            and len(refs) >= kept
            and min(refs[kept - 1].index, self._trailing.cut_to(refs[kept - 1].index)) >= raw.first_index
        )

    def _behind(self) -> Behind:
        """What lies behind the newest one, and, where it is so much that it matters, what room another one finds."""
        group, applying, space = self._group, self._group.applying, self._space
        entries, size = applying.applied - self._newest, applying.applied_bytes - self._bytes_before
        behind = Behind(entries, size, self._size, group.clock.monotonic() - self._tried_s)
        if not entries or self._offered is None or not matters(size, self._size):
            space.needs_none(group.id)
            return behind
        room = space.room(group.id, behind.next_size, size)
        if room is None:
            return behind
        return replace(behind, free=room.free, others=room.others, others_log=room.others_log)

    def _share(self) -> float | None:
        """The node's place among the members; None: there is no other."""
        raw, members = self._group.raw, others(self._group.raw)
        return share_of(raw.id, {*members, raw.id}) if members else None

    def _rests(self) -> bool:
        """Whether nothing may be begun now: something is at work, or the state is another node's to bring."""
        return self._beside.stopped or self._busy() or self._resting is not None or self._group.raw.awaits_state

    def _busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def _begin(self, work: Callable[[], Coroutine[object, object, int]]) -> asyncio.Task[int]:
        self._task = asyncio.get_running_loop().create_task(work())
        self._task.add_done_callback(retrieve)
        self._task.add_done_callback(lambda task: self._space.written(self._group.id))
        return self._task

    def _claim(self) -> None:
        """What the next one will take is not free for other groups from now on, until it is there, or given up."""
        size = self._size + self._group.applying.applied_bytes - self._bytes_before
        self._given = 0
        self._space.writes(self._group.id, lambda: size - self._given)

    def _report(self, task: asyncio.Task[int]) -> None:
        """Nobody else hears of the failure of what was done by itself; the node goes on with what it has."""
        if task.cancelled() or self._beside.stopped:
            return
        error = task.exception()
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._not_before_s = self._group.clock.monotonic() + AGAIN_S
        self._say(error)

    def _say(self, error: BaseException) -> None:
        if isinstance(error, RaftError):
            log.warning("%s: no new snapshot, or the log not cut behind it: %s", self._group.name, error)
        else:
            log.error("%s: no new snapshot, or the log not cut behind it", self._group.name, exc_info=error)

    # --- Taking one ---------------------------------------------------------------------------------------------

    async def take(self) -> int:
        """Takes a snapshot now; returns when it is durable, and the log cut as far as may be. The index it is of.

        Calls at the same time share one. Where nothing was applied since the last one, that is it; 0 where nothing ever
        was. Raises ``NoSnapshots``, ``SnapshotFailed``, why the node has stopped, and what the state machine raises.
        """
        if self._why_not is not None:
            raise same_error(self._why_not)
        while self._busy() or self._resting is not None:
            if self._resting is not None:
                await asyncio.shield(self._resting)
                continue
            assert self._task is not None
            index = await asyncio.shield(self._task)
            if index:
                return index
        return await asyncio.shield(self._begin(self._take))

    async def _take(self) -> int:
        if self._beside.stopped:
            raise Stopped
        self._tried_s = self._group.clock.monotonic()
        self._trailing.look()
        index = await self._stands_at()
        if index > self._newest:
            await self._write(index)
        await self._retain()
        return index

    async def _stands_at(self) -> int:
        """Of which entry the machine's state is. A machine on disk stands further than what this process has handed to
        it, until what it had before is passed over."""
        applying = self._group.applying
        while applying.applied < applying.known:
            await self._beside.pause(self._group.clock, PASSING_S)
        return applying.applied

    async def _write(self, index: int) -> None:
        group, beside, offered = self._group, self._beside, self._offered
        assert offered is not None
        # All of one moment: nothing is awaited before the view is there.
        known, bytes_before = self._known(index), group.applying.applied_bytes
        members = None if group.table is None else group.table.encode()
        begun_s = group.clock.monotonic()
        try:
            view = self._view = offered.machine.capture()
        except Exception as error:
            self._not_taken = _words(error)
            raise
        self._claim()

        def begin() -> SnapshotWriter | None:
            ref = ref_of(group.id, known)
            try:
                writer = self._writer = self._snapshots.begin(ref)
            except ValueError:
                if ref not in self._snapshots.refs(group.id):
                    raise
                # A machine on disk stood before it when the node started, and nobody has read it back yet.
                try:
                    beside.complete(self._snapshots.verify(ref))
                except SnapshotDamaged as error:
                    log.error("%s: %s; another one is taken", group.name, error)
                    writer = self._writer = self._snapshots.begin(ref)
                else:
                    return None
            write_metadata(writer, known)
            if members is not None:
                writer.section(members_header(members))
                writer.write(members)
            writer.section(state_header(offered.version))
            return writer

        try:
            writer = await beside.call(begin)
            if writer is not None:
                await self._write_state(view, writer)
                self._size = (await beside.call(writer.commit)).size
                self._writer = None
                seconds = group.clock.monotonic() - begun_s
                log.info("%s: a snapshot at entry %d is taken, %d bytes in %.1f s", group.name, index, self._size,
                         seconds)  # fmt: skip
        except asyncio.CancelledError:  # as the loop ends: a thread may be at work still, so ``end`` lets go
            beside.stop(Stopped)
            raise
        except Exception as error:
            self._not_taken = _words(error)
            raise
        finally:
            if not beside.stopped:
                self._let_go()
        self._newest, self._bytes_before, self._not_taken = index, bytes_before, None
        group.view.newest = known
        self._retained = False

    async def _write_state(self, view: StateView, writer: SnapshotWriter) -> None:
        beside, chunks = self._beside, view.write()

        def write(part: Iterator[Data] | list[Data]) -> None:
            for chunk in part:
                if beside.stopped:
                    return
                writer.write(chunk)
                self._given += len(chunk)

        if getattr(view, "writes_in_thread", False):
            await beside.call(partial(write, chunks))
            return
        while part := self._slice(chunks):
            await beside.call(partial(write, part))

    def _slice(self, chunks: Iterator[Data]) -> list[Data]:
        """The next chunks; none at the end."""
        monotonic = self._group.clock.monotonic
        until = monotonic() + SLICE_S
        part: list[Data] = []
        size = 0
        if self._beside.stopped:  # then the view belongs to ``end``
            return part
        for chunk in chunks:
            part.append(chunk)
            size += len(chunk)
            if size >= SLICE_BYTES or monotonic() >= until:
                break
        return part

    def _known(self, index: int) -> Snapshot:
        """What the core knows of the state as it is applied."""
        raw = self._group.raw
        term = raw.term_at(index)
        assert term is not None  # it is applied, and the log is cut no further than the snapshot before
        try:
            *_, (_, _, _, _, time_ms) = self._group.view.entries(index, index + 1, 1).runs()
        except LogTemporarilyUnavailable as error:
            self._not_taken = _words(error)
            raise SnapshotFailed(str(SnapshotRef(self._group.id, index, term)), str(error)) from error
        return Snapshot(index, term, raw.conf_state, raw.conf_index, time_ms)

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        view, self._view = self._view, None
        try:
            if writer is not None:
                writer.abort()
        finally:
            if view is not None:
                view.close()

    # --- One that may be damaged --------------------------------------------------------------------------------

    def doubt(self) -> None:
        """The newest one may be damaged: it is read back, and where it is, another one is taken. Once a minute."""
        now = self._group.clock.monotonic()
        if self._rests() or now < self._doubted_s + AGAIN_S:
            return
        self._doubted_s = now
        self._begin(self._look_at_newest).add_done_callback(self._report)

    def replace(self, ref: SnapshotRef) -> None:
        """This one was found damaged, and counts no more: another one is taken, where something was applied since."""
        if self._beside.stopped or self._busy() or self._resting is not None or self._offered is None:
            return  # one is being taken, or comes; the next pass over all of them will see
        if ref.index == self._newest or self._group.applying.applied > self._newest:
            self._begin(self._another).add_done_callback(self._report)

    async def _another(self) -> int:
        await self._write(await self._stands_at())
        return await self._retain()

    async def _look_at_newest(self) -> int:
        group, snapshots = self._group, self._snapshots
        newest = [ref for ref in snapshots.refs(group.id) if ref.index == self._newest]
        try:
            for ref in newest:
                steps = snapshots.verify(ref)
                await self._beside.call(partial(self._beside.complete, steps))
        except SnapshotDamaged as error:
            log.error("%s: %s; another one is taken", group.name, error)
            await self._write(await self._stands_at())
            await self._retain()
        return 0

    # --- For one that lacks its state ---------------------------------------------------------------------------

    def newest_between(self, first: int, last: int) -> SnapshotRef | None:
        """The newest one between these entries that may be given out; None for none."""
        for ref in self._snapshots.refs(self._group.id):
            if first <= ref.index <= min(last, self._group.applying.applied) and not self._is_damaged(ref):
                return ref
        return None

    def provide(self, first: int) -> None:
        """A member needs one of entry ``first`` or later, and none may be given out to it. Where the newest is older or
        damaged, another one is taken now, once a minute; a newer one will do for it soon."""
        now = self._group.clock.monotonic()
        if self._offered is None or self._rests() or now < self._provided_s + AGAIN_S:
            return
        newest = [ref for ref in self._snapshots.refs(self._group.id) if ref.index == self._newest]
        if self._newest >= first and newest and not any(map(self._is_damaged, newest)):
            return
        self._provided_s = now
        again = self._newest == self._group.applying.applied
        self._begin(self._look_at_newest if again else self._take).add_done_callback(self._report)

    # --- Another node's in its place ----------------------------------------------------------------------------

    async def rest(self) -> None:
        """Returns when none is being taken any more; none is begun before ``go_on``."""
        self._resting = asyncio.get_running_loop().create_future()
        if self._busy():
            assert self._task is not None
            await asyncio.wait([self._task])

    def go_on(self) -> None:
        """Snapshots are taken again."""
        resting, self._resting = self._resting, None
        if resting is not None and not resting.done():
            resting.set_result(None)

    def replaced(self, index: int) -> None:
        """The log begins behind ``index``, where another node's snapshot has taken its place."""
        self._trailing.replaced(index)

    def installed(self, snapshot: Snapshot, size: int) -> None:
        """A snapshot of another node, in a file of ``size`` bytes, has become this group's state."""
        self._newest, self._size, self._kept, self._not_taken = snapshot.index, size, 0, None
        self._bytes_before = self._group.applying.applied_bytes
        self._retained = False

    # --- Cutting the log ----------------------------------------------------------------------------------------

    async def _retain(self) -> int:
        """Keeps the newest snapshots, reads the oldest of them back, and cuts the log behind it. 0."""
        self._retained = True
        snapshots, beside = self._snapshots, self._beside
        count, up_to = self._count(), self._group.applying.applied

        def retain() -> tuple[SnapshotRef | None, int]:
            kept = beside.complete(snapshots.retain(self._group.id, count, up_to))
            return kept, 0 if kept is None else snapshots.free_space()

        try:
            kept, free = await beside.call(retain)
            self._kept = 0 if kept is None else kept.index
            if kept is not None:
                self._space.share(self._group.id, self._trailing, self._policy.trailing_bytes, free)
                self._cut()
        except Exception as error:
            self._not_cut = _words(error)
            raise
        self._not_cut = None
        return 0

    def _count(self) -> int:
        """How many are kept: those on their way to a member, too, and those of which one has a part. Where the disk is
        short no more than have to be: the log is cut behind the oldest of them."""
        applied = self._group.applying.applied
        refs = [ref for ref in self._snapshots.refs(self._group.id) if ref.index <= applied]
        needed = {index for index in on_their_way(self._group.raw, self._begun()) if self._trailing.within(index)}
        kept = KEPT if self._short else self._policy.kept
        return max(kept, *(place for place, ref in enumerate(refs, 1) if ref.index in needed), 0)

    def _cut(self) -> None:
        group, offered = self._group, self._offered
        raw = group.raw
        first = raw.first_index
        if self._kept < first or offered is None or group.closed or raw.state == StateType.StateQuarantined:
            return
        needless = self._trailing.cut_to(self._kept)
        if needless < first:
            return
        durable = EVERY_INDEX if offered.on_disk is None else offered.on_disk.sync()
        to = cut_to(first, min(self._kept, raw.applied_index), durable, needless)
        if not to:
            return
        try:
            raw.compact(to)  # first: the core must not ask for what the store may have given up
            group.stored.compact(to)
        except (Compacted, Unavailable) as error:
            log.debug("%s: the log is not cut at %d yet: %r", group.name, to, error)
            return
        group.work.cuts = True
        group.schedule()

    # --- The end ------------------------------------------------------------------------------------------------

    def stop(self, why: Callable[[], RaftError]) -> None:
        """The node ends: whoever waits hears ``why()``. Before the store is closed, ``end`` is called."""
        self._beside.stop(why)
        self._space.leave(self._group.id)
        self.go_on()

    def disown(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self._beside.disown(error)
        self.go_on()

    def end(self) -> None:
        """After ``stop``, in any thread: returns when nothing is at work on a snapshot any more, and none is begun."""
        self._beside.wait()
        try:
            self._let_go()
        except SnapshotFailed as error:  # the next start removes it
            log.warning("%s: %s", self._group.name, error)


def _words(error: BaseException) -> str:
    """The error for people to read."""
    return str(error) or repr(error)
