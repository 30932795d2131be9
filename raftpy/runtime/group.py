"""Group: one Raft group of a host, as it runs: its core, its state machine, and all who propose to it or read from it.

    host (driver.py)   socket, store, clock, passes, who the peers are, the founding, slow disks, stalls
    group              core, state machine, proposals, reads, commit feed, quarantine, who waits for a leader, its end

What a pass does for a group is in group_work.pyx. Group 0 also has the table of members, which is the host's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import ConfChangeError, DecodeError, RaftError
from raftcore.base.types import EntryKind, StateType
from raftcore.values.changes import ConfChange, ConfChangeV2
from raftcore.values.message import Snapshot
from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import (
    ApplyFailed,
    NotLeader,
    NotOwner,
    NotUnderstood,
    RestoreFailed,
    Stopped,
    StorageFailed,
    same_error,
)
from raftpy.contracts.executor import Executor
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import GroupLog, Storage
from raftpy.contracts.transport import Transport
from raftpy.members.operations import MemberOperations
from raftpy.members.own_entries import records_in
from raftpy.members.table import DEFAULT_COMMAND, MemberTable
from raftpy.runtime.applying import Applying
from raftpy.runtime.beside import Beside
from raftpy.runtime.commits import CommitFeed
from raftpy.runtime.fetching import Fetching
from raftpy.runtime.group_work import GroupWork
from raftpy.runtime.installing import Fetch, Installing
from raftpy.runtime.leaving import HandOver
from raftpy.runtime.log_reading import LogReading
from raftpy.runtime.offering import Offering
from raftpy.runtime.opening import core_config, largest_command, name_of
from raftpy.runtime.owner import Owner
from raftpy.runtime.paged_view import PagedView
from raftpy.runtime.passes import Passes
from raftpy.runtime.pending_proposals import Proposals
from raftpy.runtime.quarantine import Quarantine
from raftpy.runtime.reads import Reads
from raftpy.runtime.restoring import Start
from raftpy.runtime.role_log import RoleLog
from raftpy.runtime.snapshot_policy import SnapshotPolicy, share_of
from raftpy.runtime.snapshot_source import Asked
from raftpy.runtime.snapshotting import Snapshotting
from raftpy.runtime.stored_view import StoredView
from raftpy.runtime.trailing import Trailing

GETS_SNAPSHOT_S = 2.5
"""Whoever has asked for bytes of a snapshot in so many seconds lacks its state: it asks at least once a second."""

log = logging.getLogger("raftpy")


class Hosting(Protocol):
    """The host of a group, as far as the group needs it.

    Its parts are there under the driver's names (``config``, ``storage``, ``transport``, ``clock``, ``executor``,
    ``entropy``, ``passes``, ``owner``, ``fetching``, ``reading``), its ``boot`` and its table of first ``members``,
    node id to UDP address. ``closed``: it has ended, by itself where there is a ``failure``.
    """

    config: Config
    storage: Storage
    transport: Transport
    clock: Clock
    executor: Executor
    entropy: Entropy
    passes: Passes
    owner: Owner
    fetching: Fetching
    reading: LogReading
    boot: int
    members: Mapping[int, str]
    closed: bool
    failure: BaseException | None

    @property
    def waits_for(self) -> tuple[int, ...]:
        """The members whose word a new node waits for."""
        ...

    def http(self, node_id: int) -> str | None:
        """The HTTP address of a member, as far as known."""
        ...

    def priority(self, node_id: int) -> int:
        """The priority of a member, as the table has it."""
        ...

    def without_leader_because(self) -> str | None:
        """Why no leader is known in any group, in words; None when there is nothing to say."""
        ...

    def role_changed(self, group: Group) -> None:
        """This node's role in the group, or the leader it knows there, has changed."""
        ...

    def group_failed(self, group: Group, error: ApplyFailed) -> bool:
        """The group's state machine has failed. False: the host ends with it."""
        ...

    def fail(self, error: BaseException) -> None:
        """The host ends by itself, with all its groups."""
        ...

    @property
    def fetch(self) -> Fetch | None:
        """Brings snapshots of other nodes; None where nothing does."""
        ...

    def asked(self, node_id: int, group_id: int) -> Asked | None:
        """What the node has asked for last, of the group's snapshots; None: nothing for long."""
        ...

    def begun(self, group_id: int) -> Mapping[int, SnapshotRef]:
        """By node id: which of the group's snapshots that node may come back for."""
        ...


class Group:
    """Runs from its making until the host or the group itself ends. All calls are made in the event loop's thread."""

    def __init__(
        self,
        host: Hosting,
        group_id: int,
        state_machine: StateMachine,
        start: Start,
        stored: GroupLog,
        groups: int,
    ) -> None:
        """``start``: from where it goes on. ``groups``: how many the host has."""
        config, loop = host.config, asyncio.get_running_loop()
        self.id = group_id
        self.host = host
        self.config = config
        self.stored = stored
        self.transport = host.transport
        self.clock = host.clock
        self.passes = host.passes
        self.owner = host.owner
        self.fetching = host.fetching
        core = core_config(config, host.transport, host.boot, host.entropy, group_id, start.applied, groups)
        self.view = self._view(stored, start)
        self.raw = RawNode(core, start.initial, self.view)
        self.name = name_of(config.id, group_id)
        self.quarantine = Quarantine(config.id, group_id, self.raw, stored, host.transport)
        self.failure: BaseException | None = None
        """Why this group alone has ended; see ``why_ended``."""
        self.closed = False
        self.member_operations: MemberOperations | None = None
        """Group 0's, which the host sets."""
        self.feed = CommitFeed(stored.entries, start.applied, host.owner.check)
        self.work = GroupWork(
            group_id,
            self.raw,
            host.passes.note,
            self.feed.publish,
            self.not_leader,
            self._role_changed,
            self._failed,
        )
        self.proposals = Proposals(loop, self.work.queued, largest_command(DEFAULT_COMMAND, host.transport))
        self.applying = Applying(
            state_machine,
            self.proposals,
            self._configure,
            host.clock.monotonic,
            start.applied,
            shared=groups > 1,
            known=start.known,
        )
        self.reads = Reads(loop, self.work.queued, 2 * config.heartbeat_ms / 1000, host.boot)
        self.snapshots = self._make_snapshots(state_machine, start)
        self.installing = self._make_installing(state_machine)
        self.offering = Offering(self, host.asked, self.snapshots.doubt)
        self.work.bind(self.proposals, self.applying, self.reads, self.installing.offered, self.installing.installed)
        self._loop = loop
        self._role_log = RoleLog(self.name)
        self._leader_waiters: list[asyncio.Future[int]] = []
        self._handing_over: asyncio.Task[bool] | None = None

    def _view(self, stored: GroupLog, start: Start) -> StoredView:
        """The log as the core sees it. A store that asks no disk has everything at hand."""
        if not getattr(self.host.storage, "reads_in_thread", False):
            return StoredView(stored, start.snapshot)
        return PagedView(stored, start.snapshot, self.host.reading, lambda: self.raw.term, self._has_read)

    def _has_read(self) -> None:
        """Entries are at hand that the core waits for, or are no more."""
        if not self.closed:
            self.raw.report_entries()
            self.schedule()

    def _make_snapshots(self, state_machine: StateMachine, start: Start) -> Snapshotting:
        return Snapshotting(
            self,
            state_machine,
            self.host.storage.snapshots,
            Beside(self.host.executor, f"raftpy snapshot {self.config.id}"),
            start,
            SnapshotPolicy(self.config.snapshot_bytes, self.config.snapshot_entries, self.config.trailing_bytes),
            share_of(self.config.id, self.host.members),
            Trailing(
                self,
                self.raw.first_index - 1,
                self.config.trailing_bytes,
                self.transport.reachable,
                carried=self.host.fetch is not None,
            ),
            lambda: self.host.begun(self.id),
        )

    def _make_installing(self, state_machine: StateMachine) -> Installing:
        return Installing(
            self,
            state_machine,
            self.host.storage.snapshots,
            Beside(self.host.executor, f"raftpy restoring {self.config.id}"),
            self.snapshots,
            self.host.fetch,
            self.fetching.say,
        )

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Before the first pass: a group that is quarantined refuses everything from the start."""
        if self.quarantine.conflict is not None:
            self.quarantine.say()
            self._refuse_all()

    async def hand_over(self) -> bool:
        """If this node leads, leadership goes to the voter best placed; whether another node leads then."""
        if self._handing_over is None or self._handing_over.done():
            self._handing_over = self._loop.create_task(HandOver(self).run())
        return await asyncio.shield(self._handing_over)  # it is one for all who ask

    def end_waits(self) -> None:
        """The group takes part no more: whoever waits, or comes, hears why."""
        self.closed = self.work.closed = True
        self._refuse(self.stopped_error)
        self.snapshots.stop(self.stopped_error)
        self.installing.stop(self.stopped_error)

    def close_feed(self) -> None:
        """No more will be committed here."""
        self.feed.close(None if self.why_ended is None else self.stopped_error())

    def _refuse(self, why: Callable[[], RaftError]) -> None:
        """Whoever has proposed, reads, sets a priority or waits for a leader is told why not; who comes to propose or
        read, too."""
        self.proposals.stop(why)
        self.proposals.resume_soon()
        self.reads.stop(why)
        self.reads.resume_soon()
        for waiter in self._leader_waiters:
            if not waiter.done():
                waiter.set_exception(why())
        if self.member_operations is not None:
            self.member_operations.stop(why)

    def _failed(self, error: ApplyFailed) -> bool:
        """The state machine has failed, in a pass. False: no other group is left, and the host ends."""
        return self.host.group_failed(self, error)

    def end(self, error: ApplyFailed) -> None:
        """This group has ended by itself; the host and its other groups go on."""
        self.failure = failure = error.of_group(self.id)
        log.error("node %d: %s", self.config.id, failure, exc_info=failure)
        self.end_waits()
        self.close_feed()

    @property
    def why_ended(self) -> BaseException | None:
        """Why the host, or this group alone, has ended by itself; None while it runs and after ``stop``."""
        return self.host.failure or self.failure

    def stopped_error(self) -> RaftError:
        """A new one each time: an exception raised in several tasks would collect all their tracebacks."""
        match self.why_ended:
            case None:
                return Stopped()
            case (StorageFailed() | ApplyFailed() | NotOwner() | NotUnderstood()) as failure:
                return same_error(failure)
            case failure:
                error = Stopped(f"the node has stopped: {failure!r}")
                error.__cause__ = failure
                return error

    # --- Snapshots ----------------------------------------------------------------------------------------------

    @property
    def table(self) -> MemberTable | None:
        """The member table as applied, of group 0; None for any other."""
        return None if self.member_operations is None else self.member_operations.table

    async def snapshot(self) -> int:
        """Takes one now; see ``Node.snapshot``."""
        self.check_serving()
        return await self.snapshots.take()

    def look_at_snapshots(self) -> None:
        """Time has passed: what is due for its snapshots is done."""
        self.snapshots.look()
        self.installing.look()
        self.offering.look()

    def end_snapshots(self) -> None:
        """After ``end_waits``, in any thread: returns when nothing is at work on the store's snapshots any more."""
        self.snapshots.end()
        self.installing.end()

    def disown_snapshots(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self.snapshots.disown(error)
        self.installing.disown(error)

    def replaced(self, snapshot: Snapshot, table: MemberTable | None, size: int) -> None:
        """The leader's snapshot, in a file of ``size`` bytes, is the log, durably, and now the machine's state."""
        for entries in self.applying.replaced(snapshot.index):
            self.raw.applied(entries)
        self.raw.state_restored(snapshot)
        self.feed.skip(snapshot.index)
        self.snapshots.installed(snapshot, size)
        if self.member_operations is not None:
            self.member_operations.restore(table)
        self.schedule()

    def restore_failed(self, error: BaseException) -> None:
        """What the leader has sent in the place of the log cannot be restored: there is nothing to go on with."""
        if self.closed:
            return
        if isinstance(error, StorageFailed | NotUnderstood):
            self.host.fail(error)
            return
        failure = RestoreFailed(self.raw.first_index - 1)
        failure.__cause__ = error
        if not self.host.group_failed(self, failure):
            self.host.fail(failure)

    # --- What the parts ask for ---------------------------------------------------------------------------------

    def gets_snapshot(self, node_id: int) -> bool:
        """Whether the peer is being brought to a state by a snapshot: it asks for bytes of one, here, until it is."""
        return self.clock.monotonic() - self.host.asked(node_id, self.id) < GETS_SNAPSHOT_S

    def schedule(self) -> None:
        """Something was ordered of the core. Where the pass under way is past noticing it, there is another."""
        self.work.moved = True
        self.passes.note(self.work)

    def require_leader(self) -> None:
        """Raises ``NotLeader`` unless this node leads."""
        if self.closed:
            raise self.stopped_error()
        if self.raw.state != StateType.StateLeader:
            raise self.not_leader()

    def not_leader(self) -> RaftError:
        """What to tell whoever proposes here now."""
        if self.quarantine.conflict is not None:
            return self.quarantine.refusal()
        leader = self.raw.leader
        if not leader or leader == self.config.id:
            return NotLeader(because=self.host.without_leader_because() or self.quarantine.of_peers())
        return NotLeader(leader, self.host.members.get(leader), self.host.http(leader))

    def _configure(self, index: int, kind: int, data: bytes) -> None:
        """A configuration entry is being applied. One that does not fit does nothing, the same on every replica.

        Raises ``NotUnderstood`` for one that says what must be understood, and is not: before anything of it is done.
        """
        records = b""
        try:
            change = ConfChange.decode(data) if kind == EntryKind.EntryConfChange else ConfChangeV2.decode(data)
            said = records_in(change.context, f"{self.name}: entry {index}")
            self.raw.apply_conf_change(change, index)
            records = said
        except (ConfChangeError, DecodeError) as error:
            log.warning("%s: the configuration change at %d does nothing: %s", self.name, index, error)
        if self.member_operations is not None:
            self.member_operations.configured(index, records)

    def _role_changed(self) -> None:
        """This node's role in the group, or the leader it knows, has changed."""
        if self.quarantine.conflict is not None:  # the last change there is
            self.quarantine.begin()
            self._loop.call_soon(self._refuse_all)  # not inside a pass, which has some of them in hand
        raw, operations = self.raw, self.member_operations
        stepped_down = operations is not None and operations.stepped_down
        self._role_log.changed(raw.state, raw.leader, raw.term, stepped_down=stepped_down)
        if operations is not None:
            operations.role_changed(self.not_leader)
        self.host.role_changed(self)
        if raw.leader:
            self._announce_leader()
            self.reads.ask_again()

    def _refuse_all(self) -> None:
        """The node is quarantined here: whoever waits or comes hears why, and nobody is served any more."""
        if self.closed:
            return
        self._refuse(self.quarantine.refusal)
        self.feed.close(self.quarantine.refusal())

    def check_serving(self) -> None:
        """Raises why this node serves nobody in this group, if that is so."""
        if self.closed:
            raise self.stopped_error()
        if self.quarantine.conflict is not None:
            raise self.quarantine.refusal()

    # --- Leadership ---------------------------------------------------------------------------------------------

    async def transfer_leadership(self, to: int) -> None:
        """Asks for it, again and again, until ``to`` leads as far as this node knows.

        Each time the leader takes no proposals until ``to`` leads, for an election timeout at most (thesis 3.10). For
        as long it takes them again before it is asked anew, and it is not asked while it is this node and knows that
        it cannot reach ``to``: a target that never takes over must not cost the cluster all its writes.
        """
        self.check_serving()  # whom it knew to lead last does not count any more
        while self.raw.leader != to:
            self.check_serving()
            if self.raw.state == StateType.StateLeader and not self.transport.reachable(to):
                await self.leader_changed(self.config.heartbeat_ms / 1000)
                continue
            self.raw.transfer_leader(to)
            self.schedule()
            await self.leader_changed(2 * self.config.election_ms[0] / 1000)

    async def set_priority(self, node_id: int, priority: int) -> None:
        """On the leader of group 0: puts the member's priority into the table and waits until that is applied here."""
        await self._change_table(lambda operations, done: operations.request_priority(node_id, priority, done))

    async def set_max_command(self, max_command: int) -> None:
        """On the leader of group 0: puts the largest command into the table and waits until that is applied here."""
        await self._change_table(lambda operations, done: operations.request_limit(max_command, done))

    async def _change_table(self, request: Callable[[MemberOperations, asyncio.Future[None]], object]) -> None:
        """``request`` hands in a change; returns when it is applied here."""
        assert self.member_operations is not None
        self.require_leader()
        done: asyncio.Future[None] = self._loop.create_future()
        request(self.member_operations, done)
        self.schedule()
        await done

    def limit(self, max_command: int) -> None:
        """Larger commands are refused from now on; those handed in already are not looked at again."""
        self.proposals.limit(largest_command(max_command, self.transport))

    async def leader_changed(self, within_s: float) -> None:
        """Waits until this node learns who leads, ``within_s`` seconds at most."""
        waiter: asyncio.Future[int] = self._loop.create_future()

        def give_up() -> None:
            if not waiter.done():
                waiter.set_result(self.raw.leader)

        timer = self.clock.call_later(within_s, give_up)
        try:
            await self._next_leader(waiter)
        finally:
            timer.cancel()

    async def _next_leader(self, waiter: asyncio.Future[int]) -> int:
        """What ``waiter`` is given: the leader that this node learns of next, or before that what its maker says."""
        self._leader_waiters.append(waiter)
        try:
            return await waiter
        finally:
            if waiter in self._leader_waiters:
                self._leader_waiters.remove(waiter)

    def _announce_leader(self) -> None:
        for waiter in self._leader_waiters:
            if not waiter.done():
                waiter.set_result(self.raw.leader)
        self._leader_waiters.clear()

    async def wait_for_leader(self) -> int:
        """The leader of this node's term, as soon as it knows one."""
        self.check_serving()
        return self.raw.leader or await self._next_leader(self._loop.create_future())
