"""Group: one Raft group of a host, as it runs: its core, its state machine, and all who propose to it or read from it.

    host (driver.py)   socket, store, clock, passes, who the peers are, the founding, slow disks, stalls
    group              core, state machine, proposals, reads, commit feed, quarantine, who waits for a leader, its end

What a pass does for a group is in group_work.pyx. Group 0 also has the table of members, which is the host's.
"""

from __future__ import annotations

import asyncio
import logging
import math
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
    Removed,
    RestoreFailed,
    Stopped,
    StorageFailed,
    same_error,
)
from raftpy.contracts.executor import Executor
from raftpy.contracts.fetching import SnapshotAnswer, SnapshotQuestion
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
from raftpy.runtime.disk_space import DiskSpace
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
from raftpy.runtime.pulling import Pulling
from raftpy.runtime.quarantine import Quarantine
from raftpy.runtime.reads import Reads
from raftpy.runtime.restoring import Start
from raftpy.runtime.role_log import RoleLog
from raftpy.runtime.snapshot_policy import SnapshotPolicy
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
    ``entropy``, ``passes``, ``owner``, ``fetching``, ``reading``, ``space``), and its ``boot``. ``closed``: it has
    ended, by itself where there is a ``failure``.
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
    space: DiskSpace
    boot: int
    closed: bool
    failure: BaseException | None

    @property
    def members(self) -> Mapping[int, str]:
        """UDP address of each member, by node id, as applied; empty where none is known."""
        ...

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged of that which is stored, as far as it was read back."""
        ...

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
        self.name = name_of(config.id, group_id)
        self.view = self._view(stored, start)
        self.raw = RawNode(core, start.initial, self.view)
        self.quarantine = Quarantine(config.id, group_id, self.raw, stored, host.transport)
        self.failure: BaseException | None = None
        """Why this group alone has ended; see ``why_ended``."""
        self.lacks_state = start.initial.awaits_state
        """It started without a state, and has none yet."""
        self.closed = False
        self.member_operations: MemberOperations | None = None
        """Group 0's, which the host sets."""
        reading = host.reading if getattr(host.storage, "reads_in_thread", False) else None
        self.feed = CommitFeed(self.view.entries, start.applied, host.owner.check, reading)
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
        self.applying = self._make_applying(state_machine, start, shared=groups > 1)
        self.reads = Reads(loop, self.work.queued, 2 * config.heartbeat_ms / 1000, host.boot)
        self.snapshots = self._make_snapshots(state_machine, start)
        self.restoring = asyncio.Lock()
        self.installing = self._make_installing(state_machine)
        self.pulling = self._make_pulling(state_machine)
        self._lacking: dict[int, float] = {}  # member -> when it asked for a snapshot because it lacks its state
        self.offering = Offering(self, host.asked, self.snapshots.doubt)
        self.work.bind(self.proposals, self.applying, self.reads, self.installing.offered, self.installing.installed)
        self._loop = loop
        self._role_log = RoleLog(self.name)
        self._leader_waiters: list[asyncio.Future[int]] = []
        self._handing_over: asyncio.Task[bool] | None = None

    def _view(self, stored: GroupLog, start: Start) -> StoredView:
        """The log as the core sees it. A store that asks no disk has everything at hand."""
        if not getattr(self.host.storage, "reads_in_thread", False):
            return StoredView(stored, start.snapshot, self.name)
        reading, rate = self.host.reading, self.config.catch_up_rate
        return PagedView(stored, start.snapshot, self.name, reading, lambda: self.raw.term, self._has_read, rate)

    def _has_read(self) -> None:
        """Entries are at hand that the core waits for, or are no more."""
        if not self.closed:
            self.raw.report_entries()
            self.schedule()

    def _make_applying(self, state_machine: StateMachine, start: Start, *, shared: bool) -> Applying:
        return Applying(
            state_machine,
            self.proposals,
            self._configure,
            self.clock.monotonic,
            start.applied,
            shared=shared,
            known=start.known,
        )

    def _make_snapshots(self, state_machine: StateMachine, start: Start) -> Snapshotting:
        begins, most, reachable = self.raw.first_index - 1, self.config.trailing_bytes, self.transport.reachable
        trailing = Trailing(self, begins, most, reachable, carried=self.host.fetch is not None)
        return Snapshotting(
            self,
            state_machine,
            self.host.storage.snapshots,
            Beside(self.host.executor.background(), f"raftpy snapshot {self.config.id}"),
            start,
            SnapshotPolicy.of(self.config),
            trailing,
            self.host.space,
            lambda: self.host.begun(self.id),
            lambda ref: self.fetching.given is not None and self.fetching.given.is_damaged(ref),
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
            self.fetching.tell,
        )

    def _make_pulling(self, state_machine: StateMachine) -> Pulling:
        return Pulling(
            self,
            state_machine,
            self.host.storage.snapshots,
            Beside(self.host.executor.background(), f"raftpy pulling {self.config.id}"),
            self.host.fetch,
            self.fetching.tell,
        )

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Before the first pass: a group that is quarantined refuses everything from the start, and one without a state
        all that needs one."""
        if self.quarantine.conflict is not None:
            self.quarantine.say()
            self._refuse_all()
        elif self.lacks_state:
            self.applying.hold()
            self.reads.refuse(self.pulling.refusal)
            self.pulling.start()

    async def hand_over(self) -> bool:
        """If this node leads, leadership goes to the voter best placed; whether another node leads then."""
        if self._handing_over is None or self._handing_over.done():
            self._handing_over = self._loop.create_task(HandOver(self).run())
        return await asyncio.shield(self._handing_over)  # it is one for all who ask

    def end_waits(self) -> None:
        """The group takes part no more: whoever waits, or comes, hears why."""
        self.closed = self.work.closed = True
        self._refuse(self.stopped_error)
        self.view.forget()
        self.snapshots.stop(self.stopped_error)
        self.installing.stop(self.stopped_error)
        self.pulling.stop(self.stopped_error)

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
            case (StorageFailed() | ApplyFailed() | NotOwner() | NotUnderstood() | Removed()) as failure:
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
        self.check_state()
        return await self.snapshots.take()

    def replace_snapshot(self, ref: SnapshotRef) -> None:
        """One of the group's snapshots was found damaged: another one is taken."""
        self.snapshots.replace(ref)

    def look_at_snapshots(self) -> None:
        """Time has passed: what is due for its snapshots is done."""
        self.snapshots.look()
        self.installing.look()
        self.pulling.look()
        self.offering.look()

    def peer_started(self, node_id: int) -> None:
        """A peer was started again: what was begun with its former life is begun anew."""
        self.raw.report_started(node_id)
        self.offering.peer_started(node_id)

    def end_snapshots(self) -> None:
        """After ``end_waits``, in any thread: returns when nothing is at work on the store's snapshots any more."""
        self.snapshots.end()
        self.installing.end()
        self.pulling.end()

    def disown_snapshots(self, error: RaftError) -> None:
        """In a forked child: nothing of the parent's is touched."""
        self.snapshots.disown(error)
        self.installing.disown(error)
        self.pulling.disown(error)

    def replaced(self, snapshot: Snapshot, table: MemberTable | None, size: int) -> None:
        """The leader's snapshot, in a file of ``size`` bytes, is the log, durably, and now the machine's state."""
        self.raw.state_restored(snapshot)
        self._begin_at(snapshot, table, size)
        self.snapshots.replaced(snapshot.index)

    def pulled(self, snapshot: Snapshot, table: MemberTable | None, size: int) -> bool:
        """The state machine has the state of another node's snapshot, in a file of ``size`` bytes, and the log goes on
        from there. False: the log has become another one meanwhile."""
        if not self.raw.state_restored(snapshot):
            return False
        self.view.newest = snapshot
        self._begin_at(snapshot, table, size)
        log.info("%s: restored from the snapshot of entry %d, %d bytes: the log goes on from there", self.name,
                 snapshot.index, size)  # fmt: skip
        return True

    def _begin_at(self, snapshot: Snapshot, table: MemberTable | None, size: int) -> None:
        for entries in self.applying.replaced(snapshot.index):
            self.raw.applied(entries)
        self.feed.skip(snapshot.index)
        self.snapshots.installed(snapshot, size)
        if self.member_operations is not None:
            self.member_operations.restore(table)
        if self.lacks_state and self.quarantine.conflict is None and not self.closed:
            self.reads.refuse(None)
        self.lacks_state = False
        self.schedule()

    def restore_failed(self, error: BaseException, index: int | None = None) -> None:
        """What another node has sent, of entry ``index`` (None: in the place of the log), cannot be restored: there is
        nothing to go on with."""
        if self.closed:
            return
        if isinstance(error, StorageFailed | NotUnderstood):
            self.host.fail(error)
            return
        failure = RestoreFailed(self.raw.first_index - 1 if index is None else index)
        failure.__cause__ = error
        if not self.host.group_failed(self, failure):
            self.host.fail(failure)

    # --- What the parts ask for ---------------------------------------------------------------------------------

    def gets_snapshot(self, node_id: int) -> bool:
        """Whether the peer is being brought to a state by a snapshot: it asks for one, or for bytes of one, until it
        has it."""
        asked, asked_s = self.host.asked(node_id, self.id), self._lacking.get(node_id, -math.inf)
        if asked is not None:
            asked_s = max(asked_s, asked.at_s)
        return self.clock.monotonic() - asked_s < GETS_SNAPSHOT_S

    def asked_for_snapshot(self, node_id: int, question: SnapshotQuestion) -> None:
        """A member lacks its state, and asks for a snapshot that its log goes on from. Where there are only older ones,
        one is taken."""
        self._lacking[node_id] = self.clock.monotonic()
        ref = self.snapshots.newest_between(question.first, question.last)
        self.fetching.tell(node_id, SnapshotAnswer(self.id, ref))
        if ref is None and question.first <= self.applying.applied:
            self.snapshots.provide(question.first)

    @property
    def peers(self) -> list[int]:
        """Ids of the other members of the host's table."""
        return [node_id for node_id in self.host.members if node_id != self.config.id]

    def gets_leaders(self) -> bool:
        """Whether the leader offers a snapshot in the place of the log, which is being brought or restored."""
        return self.installing.offer is not None

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

    def check_state(self) -> None:
        """Raises why this node serves nobody in this group, or nothing of its state, if that is so."""
        self.check_serving()
        if self.lacks_state:
            raise self.pulling.refusal()

    # --- Leadership ---------------------------------------------------------------------------------------------

    async def transfer_leadership(self, to: int) -> None:
        """Asks for it, again and again, until ``to`` leads as far as this node knows.

        Each time the leader takes no proposals until ``to`` leads, for an election timeout at most (thesis 3.10). For
        as long it takes them again before it is asked anew, and it is not asked while it is this node and knows that
        it cannot reach ``to``, or that ``to`` still lacks its state: a target that never takes over must not cost the
        cluster all its writes.
        """
        self.check_serving()  # whom it knew to lead last does not count any more
        while self.raw.leader != to:
            self.check_serving()
            waits = not self.transport.reachable(to) or self.gets_snapshot(to)
            if waits and self.raw.state == StateType.StateLeader:
                await self.leader_changed(self.config.heartbeat_ms / 1000)
                continue
            self.raw.transfer_leader(to)
            self.schedule()
            await self.leader_changed(2 * self.config.election_ms[0] / 1000)

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
