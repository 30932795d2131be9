"""The driver: one loop round one core, in passes.

What a pass does is in rounds.pyx, when one begins in passes.pyx; here are the life of a node, and what its parts ask
for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import (
    ConfChangeError,
    DecodeError,
    RaftError,
)
from raftcore.base.types import EntryKind, StateType
from raftcore.values.changes import ConfChange, ConfChangeV2
from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import ApplyFailed, NotLeader, NotOwner, Stopped, StorageFailed, same_error
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import AppendBatch, Storage
from raftpy.contracts.transport import Transport
from raftpy.contracts.types import Standing
from raftpy.members.operations import MemberOperations
from raftpy.runtime.applying import Applying
from raftpy.runtime.commits import CommitFeed
from raftpy.runtime.founding import Founding, asking
from raftpy.runtime.leaving import HandOver
from raftpy.runtime.linger import lingering
from raftpy.runtime.opening import Opened
from raftpy.runtime.owner import Elsewhere, Owner, not_of_this_process
from raftpy.runtime.passes import Passes
from raftpy.runtime.pending_proposals import Proposals
from raftpy.runtime.quarantine import Quarantine
from raftpy.runtime.reads import Reads
from raftpy.runtime.role_log import RoleLog
from raftpy.runtime.rounds import Rounds
from raftpy.runtime.slow_writes import SlowWrites
from raftpy.runtime.stalls import Stalls
from raftpy.runtime.ticks import Ticks
from raftpy.system.forking import thread_id

LEADER = StateType.StateLeader

log = logging.getLogger("raftpy")


class Driver:
    """Runs one opened node until it is stopped or fails. All calls are made in the event loop's thread."""

    def __init__(
        self, config: Config, state_machine: StateMachine, clock: Clock, opened: Opened, passes: Passes
    ) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self.raw: RawNode = opened.raw
        self.storage: Storage = opened.storage
        self.transport: Transport = opened.transport
        self.members = opened.members
        self.clock = clock
        self.member_operations = MemberOperations(
            config, opened.raw, opened.storage, opened.transport, clock, opened.members, opened.store_id
        )
        self.quarantine = Quarantine(config.id, opened.raw, opened.group, opened.transport)
        self.failure: BaseException | None = None
        """Why the node stopped by itself; None while it runs and after ``stop``."""
        self.closed = False
        self.passes = passes
        self.proposals = Proposals(loop, passes.schedule, opened.transport.max_command)
        applied = opened.initial_state.snapshot_index
        self.applying = Applying(state_machine, self.proposals, self._configure, clock.monotonic, applied)
        self.owner = Owner(config.id)
        self.feed = CommitFeed(opened.group.entries, applied, self.owner.check)
        self.reads = Reads(loop, self._schedule_reads, self._ask_for_read, 2 * config.heartbeat_ms / 1000, opened.boot)
        self._loop, self._id = loop, config.id
        self._role_log = RoleLog(config.id)
        self._leader_waiters: list[asyncio.Future[int]] = []
        self._shut_waiter: asyncio.Future[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._handing_over: asyncio.Task[bool] | None = None
        self.ticks = Ticks(clock, config.tick_ms / 1000, config.heartbeat_ticks, self._on_timer)
        self.stalls = Stalls(config, clock)
        self._led = False  # since the timer was last set: a stall may have cost the leadership before it is seen
        self.rounds = Rounds(
            config,
            opened,
            clock,
            self.proposals,
            self.applying,
            self.reads,
            self.ticks,
            self.member_operations,
            lingering(clock, loop),
            self.feed.publish,
            self.not_leader,
            self._role_changed,
            SlowWrites(
                config.id, config.tick_ms / 1000, config.heartbeat_ms / 1000, opened.raw.report_write, clock.monotonic
            ),
            self.owner,
        )
        self._standing = opened.standing
        self.founding: Founding | None = None
        self._asking = asking(opened.transport)
        if opened.standing is Standing.NEW and self._asking is not None:
            self.rounds.takes_part = False
            self.founding = Founding(
                config, opened.members, opened.store_id, self._asking, clock, self._begin, self._fail
            )
        passes.bind(self.proposals, self.rounds, self._fail)

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The first pass, and the ticks."""
        self.storage.set_completion(self._on_written, self._fail)
        self.transport.on_unreachable(self._on_unreachable)
        self.transport.on_heard(self._on_heard)
        if self.quarantine.conflict is not None:
            self.quarantine.say()
            self._refuse_all()
        if self.founding is not None:
            self.founding.start()
        self._plan()
        self.passes.schedule()

    def _begin(self, first: bool) -> None:
        """The founding is over: from now on the core hears what comes, and its clock runs."""
        if first:
            self.raw.report_no_leader(self.clock.wall_ms())
        self.rounds.takes_part = True
        self._stand(Standing.JOINED)

    async def stop(self) -> None:
        """Ends everything: whoever waits gets ``Stopped``. Returns when store and socket are closed.

        A leader hands over first (leaving.py). Who cancels this does not wait for the end; it comes all the same.
        """
        if self.closed:
            return
        if self._shut_waiter is None:
            self._shut_waiter = self._loop.create_future()
            # A task of its own: never inside a pass, which may be what called us, and whoever waits may go.
            self._leaving = self._loop.create_task(self._leave())
            # Not a finally of the task: cancelled before its first step, as at the end of asyncio.run, it runs none.
            self._leaving.add_done_callback(lambda _: self._shut())
        await asyncio.shield(self._shut_waiter)

    async def _leave(self) -> None:
        try:
            await self.hand_over()
        except RaftError:
            pass  # it has failed meanwhile, and has told so whoever waits

    async def hand_over(self) -> bool:
        """If this node leads, leadership goes to the voter best placed; whether another node leads then."""
        if self._handing_over is None or self._handing_over.done():
            self._handing_over = self._loop.create_task(HandOver(self).run())
        return await asyncio.shield(self._handing_over)  # it is one for all who ask

    def _shut(self) -> None:
        if self.closed:
            return
        self.closed = self.rounds.closed = self.passes.closed = True
        self._end_waits()
        try:
            self.transport.close()
        finally:
            try:
                self.storage.close()
            finally:
                self.owner.released = True
                self.feed.close(None if self.failure is None else self._stopped_error())
                if self._shut_waiter is not None and not self._shut_waiter.done():
                    self._shut_waiter.set_result(None)

    def disown(self) -> None:
        """In a forked child: nothing of the parent's is touched any more, and whoever waits in its copy is told so."""
        owner = self.owner
        owner.forked = True
        self.failure = not_of_this_process(self._id, owner.pid)
        self.rounds.disown(Elsewhere(owner))
        self.closed = self.passes.closed = True
        self.storage = self.transport = Elsewhere(owner)
        self._asking = None
        if owner.thread == thread_id():  # the loop's thread has come along; of others the child has no copy
            self._end_waits()
            self.feed.close(self._stopped_error())

    def _end_waits(self) -> None:
        self.ticks.stop()
        if self.founding is not None:
            self.founding.stop()
        self._refuse(self._stopped_error)
        self.member_operations.stop(self._stopped_error)

    def _refuse(self, why: Callable[[], RaftError]) -> None:
        """Whoever has proposed, reads or waits for a leader, now or later, is told why not."""
        self.proposals.stop(why)
        self.proposals.resume_soon()
        self.reads.stop(why)
        self.reads.resume_soon()
        for waiter in self._leader_waiters:
            if not waiter.done():
                waiter.set_exception(why())

    def _fail(self, error: BaseException) -> None:
        """The node stops by itself; everyone who waits hears why."""
        if self.closed:
            return
        self.failure = error
        if isinstance(error, StorageFailed):
            log.error("node %d has stopped: %s", self._id, error)
        else:
            log.error("node %d has stopped: %s", self._id, error, exc_info=error)
        self._shut()

    def _stopped_error(self) -> RaftError:
        """A new one each time: an exception raised in several tasks would collect all their tracebacks."""
        match self.failure:
            case None:
                return Stopped()
            case StorageFailed() | ApplyFailed() | NotOwner():
                return same_error(self.failure)
            case _:
                error = Stopped(f"the node has stopped: {self.failure!r}")
                error.__cause__ = self.failure
                return error

    # --- What the parts ask for ---------------------------------------------------------------------------------

    def require_leader(self) -> None:
        """Raises ``NotLeader`` unless this node leads."""
        if self.closed:
            raise self._stopped_error()
        if self.raw.state != LEADER:
            raise self.not_leader()

    def _ask_for_read(self, context: bytes) -> bool:
        return self.raw.read_index(context, self.clock.wall_ms())

    def _schedule_reads(self) -> None:
        """Reads were queued: asked for in the running pass, or the next."""
        if not self.passes.running:
            self.passes.schedule()

    def not_leader(self) -> RaftError:
        """What to tell whoever proposes here now."""
        if self.quarantine.conflict is not None:
            return self.quarantine.refusal()
        leader = self.raw.leader
        if not leader or leader == self._id:
            return NotLeader(because=self._founding_because() or self.quarantine.of_peers())
        return NotLeader(leader, self.members.get(leader), self.member_operations.http(leader))

    def _founding_because(self) -> str | None:
        return None if self.founding is None else self.founding.because()

    def _configure(self, index: int, kind: int, data: bytes) -> None:
        """A configuration entry is being applied. One that does not fit does nothing, the same on every replica."""
        context = b""
        try:
            change = ConfChange.decode(data) if kind == EntryKind.EntryConfChange else ConfChangeV2.decode(data)
            self.raw.apply_conf_change(change, index)
            context = change.context
        except (ConfChangeError, DecodeError) as error:
            log.warning("node %d: the configuration change at %d does nothing: %s", self._id, index, error)
        self.member_operations.configured(index, context)

    def _on_written(self, batch: AppendBatch) -> None:
        self.rounds.written.extend(appends for _, appends in batch)
        self.passes.wake()

    def _on_heard(self, node_id: int) -> None:
        self.member_operations.heard(node_id)
        self.quarantine.heard(node_id)
        if self.founding is not None:
            self.founding.heard(node_id)

    def _stand(self, standing: Standing) -> None:
        """Peers that ask are told so from now on."""
        self._standing = standing
        if self._asking is not None:
            self._asking.stand(standing)

    def _on_unreachable(self, node_id: int) -> None:
        self.rounds.unreachable.append(node_id)
        if not self.proposals.scheduled:
            self.passes.schedule()

    # --- Time ---------------------------------------------------------------------------------------------------

    def _on_timer(self) -> None:
        try:
            self.passes.run()
            if late_s := self.ticks.take_late():
                self.stalls.note(late_s, self._led)
        finally:
            if not self.closed:
                self._plan()

    def _plan(self) -> None:
        """Sleeps until something may be due: a heartbeat interval at most, so that a stall is told from sleep."""
        self._led = self.raw.state == LEADER
        ticks = min(self.config.heartbeat_ticks, self.raw.ticks_until_due())
        self.ticks.plan(ticks, min(self.proposals.next_deadline, self.reads.next_deadline))

    # --- For Node -----------------------------------------------------------------------------------------------

    async def transfer_leadership(self, to: int) -> None:
        """Asks for it, again and again, until ``to`` leads as far as this node knows."""
        while self.raw.leader != to:
            self._check_serving()
            self.raw.transfer_leader(to)
            self.passes.schedule()
            await self.leader_changed(self.config.heartbeat_ms / 1000)

    async def set_priority(self, node_id: int, priority: int) -> None:
        """On the leader: puts the member's priority into the table and waits until that is applied here."""
        self.require_leader()
        done: asyncio.Future[None] = self._loop.create_future()
        self.member_operations.request_priority(node_id, priority, done)
        self.passes.schedule()
        await done

    async def leader_changed(self, within_s: float) -> None:
        """Waits until this node learns who leads, ``within_s`` seconds at most."""
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._leader_waiters.append(waiter)

        def give_up() -> None:
            if not waiter.done():
                waiter.set_result(self.raw.leader)

        timer = self.clock.call_later(within_s, give_up)
        try:
            await waiter
        finally:
            timer.cancel()
            if waiter in self._leader_waiters:
                self._leader_waiters.remove(waiter)

    def _role_changed(self) -> None:
        """This node's role, or the leader it knows, has changed."""
        if self.quarantine.conflict is not None:  # the last change there is
            self.quarantine.begin()
            self._loop.call_soon(self._refuse_all)  # not inside a pass, which has some of them in hand
        raw = self.raw
        self._led = self._led or raw.state == LEADER
        self._role_log.changed(raw.state, raw.leader, raw.term, stepped_down=self.member_operations.stepped_down)
        self.member_operations.role_changed(self.not_leader)
        if self.raw.leader:
            if self._standing < Standing.ESTABLISHED:
                self._stand(Standing.ESTABLISHED)
            self._announce_leader()
            self.reads.ask_again()

    def _refuse_all(self) -> None:
        """The node is quarantined: whoever waits or comes hears why, and nobody is served any more."""
        if self.closed:
            return
        self._refuse(self.quarantine.refusal)
        self.feed.close(self.quarantine.refusal())

    def _check_serving(self) -> None:
        """Raises why this node serves nobody, if that is so."""
        if self.closed:
            raise self._stopped_error()
        if self.quarantine.conflict is not None:
            raise self.quarantine.refusal()

    def _announce_leader(self) -> None:
        for waiter in self._leader_waiters:
            if not waiter.done():
                waiter.set_result(self.raw.leader)
        self._leader_waiters.clear()

    async def wait_for_leader(self) -> int:
        """The leader of this node's term, as soon as it knows one."""
        self._check_serving()
        if self.raw.leader:
            return self.raw.leader
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._leader_waiters.append(waiter)
        try:
            return await waiter
        finally:
            if waiter in self._leader_waiters:
                self._leader_waiters.remove(waiter)
