"""The driver: one loop round one core, in passes.

A pass takes all that waits and carries everything that follows from it as far as it goes:

    datagrams, finished writes, ticks  -> core
    what the core decided              -> messages queued, appends and committed entries noted
    committed entries, if somebody waits for them -> state machine -> the waiting tasks go on, here and now
    the proposals these tasks make     -> core -> messages queued
    messages                           -> wire        (a notice of the commit and the next append share a datagram)
    appends                            -> store       (while the followers write the same)
    what depended on the write         -> core, wire
    committed entries nobody waits for -> state machine

and begins again as long as a write has been done meanwhile, because answers may have come in during it. So a proposal
costs no turn of the event loop beyond the ones the network imposes, and whatever arrives during one sync goes into the
next one together.

There is no rule of Raft here. What may be sent before a write and what only after it is the core's to say: it hangs the
latter on the append as responses (architecture, "The one-way road").
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from raftcore.changes import ConfChange, ConfChangeV2
from raftcore.errors import (
    ConfChangeError,
    DecodeError,
    InvariantViolation,
    ProposalDropped,
    RaftError,
    StepPeerNotFound,
)
from raftcore.message import Message
from raftcore.raw_node import RawNode
from raftcore.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, EntryKind, StateType
from raftpy.config import Config
from raftpy.errors import ApplyFailed, NotLeader, Overloaded, Stopped, StorageFailed
from raftpy.interfaces import Clock, StateMachine, Storage, TimerHandle, Transport
from raftpy.runtime.applying import Applying
from raftpy.runtime.commits import CommitFeed
from raftpy.runtime.membership import Membership
from raftpy.runtime.opening import Opened
from raftpy.runtime.proposal import Proposals
from raftpy.runtime.reads import Reads

DATAGRAMS = 64
"""Datagrams taken at a time."""
ROUNDS = 16
"""Rounds of one pass before the event loop gets a turn."""
FREE_ROUNDS = 2
"""Rounds before a pass begins to look at the clock."""
PASS_S = 0.02
"""Seconds after which a pass ends at its next round, so that timers and other tasks get their turn."""
HEADER_SIZE = 64
"""Where a datagram's frames begin."""

LEADER = StateType.StateLeader

log = logging.getLogger("raftpy")


class Driver:
    """Runs one opened node until it is stopped or fails. All calls are made in the event loop's thread."""

    def __init__(self, config: Config, state_machine: StateMachine, clock: Clock, opened: Opened) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self.raw: RawNode = opened.raw
        self.storage: Storage = opened.storage
        self.transport: Transport = opened.transport
        self.members = opened.members
        self.clock = clock
        self.membership = Membership(
            config, opened.raw, opened.storage, opened.transport, clock, opened.members, opened.store_id
        )
        self.failure: BaseException | None = None
        """Why the node stopped by itself; None while it runs and after ``stop``."""
        self.closed = False
        self.proposals = Proposals(loop, self._schedule, opened.transport.max_command)
        applied = opened.initial_state.snapshot_index
        self.applying = Applying(state_machine, self.proposals, self._configure, clock.monotonic, applied)
        self.feed = CommitFeed(opened.storage.entries, applied)
        self.reads = Reads(loop, self._ask_for_read, self._schedule_reads, 2 * config.heartbeat_ms / 1000)
        self._loop = loop
        self._id = config.id
        self._in_pass = False
        self._resuming = False  # tasks that wait for results run now
        self._queued = False  # messages wait in the transport
        self._wanted = False  # another pass was asked for while this one ran
        self._reads_wanted = False  # reads wait to be asked for
        self._appends: list[Message] = []  # MsgStorageAppend not yet submitted
        self._written: list[Sequence[Message]] = []  # submits that have completed since
        self._unreachable: list[int] = []
        self._term = 0  # the one in which this node appended last
        self._leader_waiters: list[asyncio.Future[int]] = []
        self._shut_waiter: asyncio.Future[None] | None = None
        self._timer: TimerHandle | None = None
        self._tick_s = config.tick_ms / 1000
        self._tick_due = 0.0  # when, by the clock
        self._ticks = 0  # due now

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The first pass, and the ticks. ``wake`` may be called from now on."""
        self.storage.set_completion(self._on_written, self._fail)
        self.transport.on_unreachable(self._unreachable.append)
        self.transport.on_heard(self.membership.heard)
        self._tick_due = self.clock.monotonic() + self._tick_s
        self._timer = self.clock.call_later(self._tick_s, self._on_tick)
        self._schedule()

    def wake(self) -> None:
        """Something waits to be read: called by the transport, in the loop."""
        self._pass()

    async def stop(self) -> None:
        """Ends everything: whoever waits gets ``Stopped``. Returns when store and socket are closed."""
        if self.closed:
            return
        if self._shut_waiter is None:
            self._shut_waiter = self._loop.create_future()
            self._loop.call_soon(self._shut)  # never inside a pass, which may be what called us
        await asyncio.shield(self._shut_waiter)

    def _shut(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.proposals.stop(self._stopped_error)
        self.proposals.resume_soon()
        self.reads.stop(self._stopped_error)
        self.membership.stop(self._stopped_error)
        for waiter in self._leader_waiters:
            if not waiter.done():
                waiter.set_exception(self._stopped_error())
        try:
            self.transport.close()
        finally:
            try:
                self.storage.close()
            finally:
                self.feed.close(None if self.failure is None else self._stopped_error())
                if self._shut_waiter is not None and not self._shut_waiter.done():
                    self._shut_waiter.set_result(None)

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
        error: RaftError
        match self.failure:
            case None:
                return Stopped()
            case StorageFailed():
                error = StorageFailed(str(self.failure))
            case ApplyFailed():
                error = ApplyFailed(self.failure.index)
            case _:
                error = Stopped(f"the node has stopped: {self.failure!r}")
        error.__cause__ = self.failure
        return error

    # --- The pass -----------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Asks for a pass at the loop's next turn."""
        self.proposals.scheduled = True
        self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        if self._in_pass or self.closed:
            self._wanted = True
            return
        self._in_pass = True
        self._wanted = False
        self.proposals.scheduled = True
        try:
            self._rounds()
        except (KeyboardInterrupt, SystemExit) as error:
            if self._resuming:  # of a task that was resumed: not the node's, and it has lost nothing
                self._wanted = True
            else:  # the pass was cut off somewhere: what it had in hand may be lost
                self._fail(error)
            raise
        except InvariantViolation as error:
            self._fail(error)
            raise
        except Exception as error:
            self._fail(error)
        finally:
            self._in_pass = False
            self._resuming = False
            self._go_on()

    def _go_on(self) -> None:
        """A pass has ended: is another one due?"""
        self.proposals.scheduled = False
        waiting = self.proposals.has_queued or self.applying.pending or self._reads_wanted or self._appends
        if not self.closed and (self._wanted or waiting):
            self._schedule()

    def _rounds(self) -> None:
        raw, proposals, applying, transport = self.raw, self.proposals, self.applying, self.transport
        look = True  # at the socket
        until = self.clock.monotonic() + PASS_S
        for number in range(ROUNDS):
            if number >= FREE_ROUNDS and self.clock.monotonic() > until:
                break
            # Take what waits.
            if look:
                for datagram in transport.receive(DATAGRAMS):
                    raw.step_frames(datagram, HEADER_SIZE)
            while self._written:
                self._deliver_responses(self._written.pop(0))
            if self._ticks or self._unreachable:
                self._tick()
            if self._reads_wanted:
                self._reads_wanted = False
                self.reads.begin(self.clock.monotonic())
            self._collect()
            # Those who wait for a result make the next proposals.
            if proposals.has_waiting:
                if raw.term != self._term or raw.state != LEADER:
                    proposals.lose(raw.commit_index)
                if applying.pending:
                    self._apply()
            if proposals.has_settled:
                self._resume()
            if proposals.has_queued:
                self._append_proposals()
                self._collect()
            # Send, write, send what depended on the write.
            if self._queued:
                self._flush()
            look = False
            if self._appends:
                appends, self._appends = self._appends, []
                if self.storage.submit(appends):
                    self._deliver_responses(appends)
                    self._collect()
                    if self._queued:
                        self._flush()
                    # While this node wrote, the others did: answers somebody waits for may be there. Otherwise it is
                    # cheaper to be woken.
                    look = proposals.has_waiting
            # What only the state machine waits for.
            if applying.pending:
                self._apply()
                self._collect()
            if self.membership.due and self.membership.propose():
                self._collect()
            if self.reads.waiting:
                self.reads.release(applying.applied)
            if proposals.has_settled:
                self._resume()
            if self.closed or not (look or proposals.has_queued or self._appends or self._reads_wanted):
                break
        if self._queued:
            self._flush()

    def _resume(self) -> None:
        self._resuming = True
        self.proposals.resume()
        self._resuming = False

    def _flush(self) -> None:
        self._queued = False
        self.transport.flush()

    def _collect(self) -> None:
        """Takes what the core has decided: messages are queued, work for the store and the state machine noted."""
        raw = self.raw
        while raw.has_ready():
            ready = raw.ready()
            for message in ready.messages:
                to = message.to
                if to == LOCAL_APPEND_THREAD:
                    self._appends.append(message)
                elif to == LOCAL_APPLY_THREAD:
                    self.applying.push(message)
                else:
                    self.transport.send(message)
                    self._queued = True
            for index, context in ready.read_states:
                self.reads.answered(index, context)
            if ready.soft_state is not None:
                self.membership.role_changed(self._not_leader)
                if self._leader_waiters and raw.leader:
                    self._announce_leader()

    def _deliver_responses(self, done: Sequence[Message]) -> None:
        """What hung on storage work that is done now: to this node itself, or out."""
        for message in done:
            for response in message.responses or ():
                if response.to == self._id:
                    try:
                        self.raw.step(response)
                    except StepPeerNotFound:
                        pass  # its own acknowledgement, after its own removal
                else:
                    self.transport.send(response)
                    self._queued = True

    def _apply(self) -> None:
        """Applies for a slice of time; a message that is through gives its responses to the core."""
        applying = self.applying
        applying.begin()
        while (message := applying.run()) is not None:
            self._deliver_responses((message,))
            assert message.entries is not None
            self.feed.publish(message.entries)

    def _append_proposals(self) -> None:
        commands = self.proposals.take()
        if not commands:
            return
        try:
            first = self.raw.propose(commands, self.clock.wall_ms())
        except ProposalDropped as error:
            overloaded = error.reason == "uncommitted_limit"
            self.proposals.refused(Overloaded if overloaded else self._not_leader)
        else:
            self._term = self.raw.term
            self.proposals.appended(first, self._term, self.clock.monotonic())

    def require_leader(self) -> None:
        """Raises ``NotLeader`` unless this node leads."""
        if self.closed:
            raise self._stopped_error()
        if self.raw.state != LEADER:
            raise self._not_leader()

    def _ask_for_read(self, context: bytes) -> bool:
        return self.raw.read_index(context, self.clock.wall_ms())

    def _schedule_reads(self) -> None:
        """Reads were queued: asked for in the running pass, or the next."""
        if not self._reads_wanted:
            self._reads_wanted = True
            if not self._in_pass:
                self._schedule()

    def _not_leader(self) -> NotLeader:
        leader = self.raw.leader
        if not leader or leader == self._id:
            return NotLeader()
        return NotLeader(leader, self.members.get(leader), self.membership.http(leader))

    def _configure(self, index: int, kind: int, data: bytes) -> None:
        """A configuration entry is being applied. One that does not fit does nothing, the same on every replica."""
        context = b""
        try:
            change = ConfChange.decode(data) if kind == EntryKind.EntryConfChange else ConfChangeV2.decode(data)
            self.raw.apply_conf_change(change, index)
            context = change.context
        except (ConfChangeError, DecodeError) as error:
            log.warning("node %d: the configuration change at %d does nothing: %s", self._id, index, error)
        self.membership.configured(index, context)

    def _on_written(self, appends: Sequence[Message]) -> None:
        self._written.append(appends)
        self._pass()

    # --- Time ---------------------------------------------------------------------------------------------------

    def _on_tick(self) -> None:
        late = self.clock.monotonic() - self._tick_due
        ticks = 1 + int(late / self._tick_s) if late > 0 else 1
        self._tick_due += ticks * self._tick_s
        # After a stall (of this process, or of the whole machine) a leader gets the time from its next heartbeat to
        # the shortest election timeout to be heard: the ticks slept through beyond one heartbeat are forgotten.
        self._ticks = min(ticks, self.config.heartbeat_ticks)
        self._timer = self.clock.call_later(self._tick_due - self.clock.monotonic(), self._on_tick)
        self._pass()

    def _tick(self) -> None:
        """Tells the core of the time that has passed; first of everything that was said meanwhile."""
        raw, ticks = self.raw, self._ticks
        self._ticks = 0
        while self._unreachable:
            raw.report_unreachable(self._unreachable.pop())
        if ticks > 1:
            self._drain()
        now_ms = self.clock.wall_ms()
        for _ in range(ticks):
            raw.tick(now_ms)
        now = self.clock.monotonic()
        self.proposals.expire(now)
        self.membership.tick()
        if self.reads.waiting:
            self.reads.retry(now)
            self._reads_wanted = self.reads.has_queued

    def _drain(self) -> None:
        for _ in range(DATAGRAMS):
            datagrams = self.transport.receive(DATAGRAMS)
            for datagram in datagrams:
                self.raw.step_frames(datagram, HEADER_SIZE)
            if not datagrams:
                return

    # --- For Node -----------------------------------------------------------------------------------------------

    async def transfer_leadership(self, to: int) -> None:
        """Asks for it, again and again, until ``to`` leads as far as this node knows."""
        while self.raw.leader != to:
            if self.closed:
                raise self._stopped_error()
            self.raw.transfer_leader(to)
            self._schedule()
            await self._leader_changed(self.config.heartbeat_ms / 1000)

    async def set_priority(self, node_id: int, priority: int) -> None:
        """On the leader: puts the member's priority into the table and waits until that is applied here."""
        self.require_leader()
        done: asyncio.Future[None] = self._loop.create_future()
        self.membership.request_priority(node_id, priority, done)
        self._schedule()
        await done

    async def _leader_changed(self, within_s: float) -> None:
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

    def _announce_leader(self) -> None:
        for waiter in self._leader_waiters:
            if not waiter.done():
                waiter.set_result(self.raw.leader)
        self._leader_waiters.clear()

    async def wait_for_leader(self) -> int:
        """The leader of this node's term, as soon as it knows one."""
        if self.closed:
            raise self._stopped_error()
        if self.raw.leader:
            return self.raw.leader
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._leader_waiters.append(waiter)
        try:
            return await waiter
        finally:
            if waiter in self._leader_waiters:
                self._leader_waiters.remove(waiter)
