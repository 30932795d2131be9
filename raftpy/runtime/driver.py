"""The driver: one loop round all the groups of one host, in passes.

What a pass does is in rounds.pyx, when one begins in passes.pyx, what belongs to one group in group.py; here is what
all groups share: socket, store, clock, the founding, slow disks, stalls, and the end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from raftcore.base.errors import RaftError
from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import ApplyFailed, NotUnderstood, Removed, StorageFailed
from raftpy.contracts.executor import Executor
from raftpy.contracts.fetching import SnapshotQuestion, SnapshotUseless
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import AppendBatch, Storage
from raftpy.contracts.transport import Transport
from raftpy.contracts.types import Standing
from raftpy.members.operations import MemberOperations
from raftpy.runtime.beside import Beside
from raftpy.runtime.disk_space import DiskSpace
from raftpy.runtime.fetching import Fetching, Said
from raftpy.runtime.founding import Founding, asking
from raftpy.runtime.group import Group
from raftpy.runtime.installing import Fetch
from raftpy.runtime.linger import lingering
from raftpy.runtime.log_reading import LogReading
from raftpy.runtime.opening import Opened, append_size
from raftpy.runtime.owner import Elsewhere, Owner, not_of_this_process
from raftpy.runtime.passes import Passes, Ticks
from raftpy.runtime.rest import Rest, rest
from raftpy.runtime.rounds import Rounds
from raftpy.runtime.scrubbing import Scrubbing
from raftpy.runtime.slow_writes import SlowWrites
from raftpy.runtime.snapshot_source import Asked
from raftpy.runtime.stalls import Stalls
from raftpy.runtime.store_threads import StoreClosing
from raftpy.system.forking import thread_id

log = logging.getLogger("raftpy")


class Driver:
    """Runs one opened host until it is stopped or fails. All calls are made in the event loop's thread."""

    def __init__(
        self,
        config: Config,
        state_machines: Mapping[int, StateMachine],
        clock: Clock,
        executor: Executor,
        entropy: Entropy,
        opened: Opened,
        passes: Passes,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self.storage: Storage = opened.storage
        self.transport: Transport = opened.transport
        self.boot, self._met = opened.boot, opened.met  # of this start; whom the transport speaks to, at which address
        self._boots: dict[int, int] = {}  # the peers', as last heard
        self.clock = clock
        self.executor = executor
        self.entropy = entropy
        self.passes = passes
        self.owner = Owner(config.id)
        self.failure: BaseException | None = None
        """Why the host stopped by itself; None while it runs and after ``stop``."""
        self.closed = False
        self.fetching, self.space = self._make_fetching(), DiskSpace(opened.storage.snapshots, clock)
        self.reading = LogReading(executor.background(), clock, config.id, self.fail)
        self.groups = {
            group_id: Group(
                self,
                group_id,
                state_machines[group_id],
                start,
                opened.storage.group(group_id),
                len(opened.groups),
            )
            for group_id, start in opened.groups.items()
        }
        self.first = self.groups[0]
        self._loop, self._id = loop, config.id
        self.member_operations = self.first.member_operations = self._make_member_operations(opened)
        self.member_operations.restore(opened.groups[0].table)
        self._shut_waiter: asyncio.Future[None] = loop.create_future()  # done when store and socket are closed
        self._leaving: asyncio.Task[None] | None = None
        self._closing: StoreClosing | None = None
        self._rest: Rest | None = None
        self.ticks = Ticks(clock, config.tick_ms / 1000, config.quiet_heartbeat_ticks, passes.timer_due)
        self.stalls = Stalls(config, clock)
        self.scrubbing = Scrubbing(
            f"node {config.id}",
            opened.storage,
            self.groups,
            clock,
            Beside(executor.background(), f"raftpy scrubbing {config.id}"),
            config.scrub_rate,
        )
        self.rounds = self._make_rounds(opened)
        self._standing, self._asking = opened.standing, asking(opened.transport)
        self.founding = self._founding(opened)
        chores = getattr(opened.transport, "do_chores", None)  # see PatientTransport
        passes.bind(self.rounds, self.ticks, self.fail, self.stalls.note, self._look_round, chores)

    def _make_member_operations(self, opened: Opened) -> MemberOperations:
        return MemberOperations(
            self.config,
            self.first.raw,
            opened.storage,
            opened.transport,
            self.clock,
            opened.addresses,
            opened.store_id,
            self._prefer,
            self._limit,
            self._meet_soon,
            several=len(self.groups) > 1,
        )

    def _make_fetching(self) -> Fetching:
        snapshots, rate = self.storage.snapshots, self.config.snapshot_rate
        return Fetching(self.config.id, self.transport, snapshots, self.clock, self.executor, rate, talk=self._on_talk)

    def _make_rounds(self, opened: Opened) -> Rounds:
        return Rounds(
            self.config,
            opened,
            self.clock,
            [group.work for group in self.groups.values()],
            self.member_operations,
            lingering(self.clock, self._loop),
            SlowWrites(
                self._id,
                self.config.tick_ms / 1000,
                self.config.heartbeat_ms / 1000,
                self._report_write,
                self.clock.monotonic,
            ),
            self.owner,
        )

    def _founding(self, opened: Opened) -> Founding | None:
        if opened.standing is not Standing.NEW or self._asking is None:
            return None
        self.rounds.takes_part = False
        return Founding(
            self.config,
            opened.members,
            self.config.contacts,
            opened.store_id,
            self._asking,
            self.clock,
            self._begin,
            self.fail,
        )

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The first pass, and the ticks."""
        self.storage.set_completion(self._on_written, self.fail)
        self.transport.on_unreachable(self._on_unreachable)
        self.transport.on_heard(self._on_heard)
        told = getattr(self.transport, "on_removed", None)  # see DismissingTransport
        if told is not None:
            told(self._on_removed)
        self._meet()
        sizing = getattr(self.transport, "on_datagram_size", None)  # see SizingTransport
        if sizing is not None:
            sizing(self._on_datagram_size)
            self.transport.on_far(self._on_far)  # type: ignore[attr-defined]
        self.fetching.start()
        for group in self.groups.values():
            group.start()
            self.rounds.note(group.work)
        if self.founding is not None:
            self.founding.start()
        self._rest = rest(self._loop, self.clock, self.transport, self.passes, self.ticks)
        self.passes.plan()
        self.passes.schedule()

    def _begin(self, first: bool) -> None:
        """The founding is over: from now on the cores hear what comes, and their clocks run."""
        if first:
            for group in self.groups.values():
                group.raw.report_no_leader(self.clock.wall_ms())
        self.rounds.takes_part = True
        self._stand(Standing.JOINED)

    async def stop(self) -> None:
        """Ends everything: whoever waits gets ``Stopped``. Returns when store and socket are closed.

        A leader hands over first (leaving.py). Who cancels this does not wait for the end; it comes all the same.
        """
        if not self.closed and self._leaving is None:
            # A task of its own: never inside a pass, which may be what called us, and whoever waits may go.
            self._leaving = self._loop.create_task(self._leave())
            # Also where it has not got to that: cancelled before its first step, as at the end of asyncio.run, no code
            # of the task runs at all.
            self._leaving.add_done_callback(self._left)
        if not self._shut_waiter.done():
            await asyncio.shield(self._shut_waiter)

    async def _leave(self) -> None:
        groups = [group for group in self.groups.values() if not group.closed]
        # Those that fail meanwhile have told so whoever waits.
        left = await asyncio.gather(*(group.hand_over() for group in groups), return_exceptions=True)
        # Here already, and not a turn later: asyncio.run, which may be at its end, waits for the tasks there are.
        self._shut()
        for error in left:
            if isinstance(error, BaseException) and not isinstance(error, RaftError):
                raise error

    def _left(self, leaving: asyncio.Task[None]) -> None:
        # Cancelled as the loop ends, whose next turn may never come: then the store is closed before this one is over.
        self._shut(beside=not leaving.cancelled())

    def _shut(self, *, beside: bool = True) -> None:
        """``beside``: where the store is closed in a thread, the loop goes on; else it is closed on return."""
        if self.closed:
            return
        self.closed = self.rounds.closed = self.passes.closed = True
        self.reading.stop()
        self._end_waits()
        for group in self.groups.values():
            group.close_feed()  # what a reader has not got to it would look for in the store
        try:
            self.transport.close()
        finally:
            if beside:
                self._closing = StoreClosing(self.storage, self.executor, self._id, self._ended, self._end_beside)
            else:
                try:
                    self._end_beside()
                    self.storage.close()
                finally:
                    self._ended()

    def _end_beside(self) -> None:
        """Nothing is at work on the store's logs and snapshots any more. Perhaps in another thread."""
        self.reading.end()
        self.fetching.end()
        self.scrubbing.end()
        for group in self.groups.values():
            group.end_snapshots()

    def _ended(self) -> None:
        """Store and socket are closed."""
        self.owner.released = True
        if not self._shut_waiter.done():
            self._shut_waiter.set_result(None)

    def disown(self) -> None:
        """In a forked child: nothing of the parent's is touched any more, and whoever waits in its copy is told so."""
        owner = self.owner
        owner.forked = True
        self.failure = not_of_this_process(self._id, owner.pid)
        elsewhere: Any = Elsewhere(owner)
        self.rounds.disown(elsewhere)
        self.closed = self.passes.closed = True
        self.storage = self.transport = elsewhere
        self._asking = None
        self.reading.disown()
        self.fetching.disown(not_of_this_process(self._id, owner.pid))
        self.scrubbing.disown(not_of_this_process(self._id, owner.pid))
        for group in self.groups.values():
            group.stored = group.transport = elsewhere
            group.closed = True
            group.disown_snapshots(not_of_this_process(self._id, owner.pid))
        if owner.thread == thread_id():  # the loop's thread has come along; of others the child has no copy
            self._end_waits()
            for group in self.groups.values():
                group.close_feed()
            if not self._shut_waiter.done():
                self._shut_waiter.set_exception(self.failure)
                self._shut_waiter.exception()  # perhaps nobody waits

    def _end_waits(self) -> None:
        self.ticks.stop()
        if self._rest is not None:
            self._rest.leave(self.passes)
        if self.founding is not None:
            self.founding.stop()
        for group in self.groups.values():
            group.end_waits()
        self.fetching.stop(self.first.stopped_error)
        self.scrubbing.stop(self.first.stopped_error)

    def fail(self, error: BaseException) -> None:
        """The host stops by itself, with all its groups; everyone who waits hears why."""
        if self.closed:
            return
        self.failure = error
        if isinstance(error, Removed):
            log.warning("node %d has stopped: %s", self._id, error)
        elif isinstance(error, StorageFailed | NotUnderstood):
            log.error("node %d has stopped: %s", self._id, error)
        else:
            log.error("node %d has stopped: %s", self._id, error, exc_info=error)
        self._shut()

    # --- What the groups ask for (Hosting, in group.py) ----------------------------------------------------------

    @property
    def members(self) -> Mapping[int, str]:
        """UDP address of each member, by node id, as applied; empty where none is known."""
        return self.member_operations.members

    def http(self, node_id: int) -> str | None:
        """The HTTP address of a member, as far as known."""
        return self.member_operations.http(node_id)

    def priority(self, node_id: int) -> int:
        """The priority of a member, as the table has it."""
        return self.member_operations.priority(node_id)

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged of that which is stored, as far as it was read back."""
        return self.scrubbing.damage

    @property
    def waits_for(self) -> tuple[int, ...]:
        """The members whose word a new node waits for."""
        return () if self.founding is None else self.founding.waits_for

    def without_leader_because(self) -> str | None:
        """Why no leader is known in any group, in words; None when there is nothing to say."""
        return None if self.founding is None else self.founding.because()

    def role_changed(self, group: Group) -> None:
        """This node's role in a group, or the leader it knows there, has changed."""
        self.passes.led = self.passes.led or self.rounds.leads
        if group.raw.leader and self._standing < Standing.ESTABLISHED:
            self._stand(Standing.ESTABLISHED)

    @property
    def fetch(self) -> Fetch | None:
        """Brings snapshots of other nodes; None where nothing does."""
        return None if self.fetching.given is None else self.fetching.fetch

    def _on_talk(self, node_id: int, what: Said) -> None:
        group = self.groups.get(what.ref.group if isinstance(what, SnapshotUseless) else what.group)
        if group is None or group.closed or group.quarantine.conflict is not None:
            return
        if isinstance(what, SnapshotQuestion):
            group.asked_for_snapshot(node_id, what)
        elif isinstance(what, SnapshotUseless):
            group.offering.useless(node_id, what.ref)
        else:
            group.pulling.answered(node_id, what)

    def asked(self, node_id: int, group_id: int) -> Asked | None:
        """What the node has asked for last, of the group's snapshots; None: nothing for long."""
        return None if self.fetching.given is None else self.fetching.given.asked(node_id, group_id)

    def begun(self, group_id: int) -> Mapping[int, SnapshotRef]:
        """By node id: which of the group's snapshots that node may come back for."""
        return {} if self.fetching.given is None else self.fetching.given.begun(group_id)

    def group_failed(self, group: Group, error: ApplyFailed) -> bool:
        """A state machine has failed: its group ends, and where no other is left, so does the host.

        What came from outside of the state machine, as a signal's KeyboardInterrupt does, is meant for the process and
        not for the group that happened to be at work: the host ends then, too.
        """
        if not isinstance(error.__cause__, Exception):
            return False
        if all(other.closed for other in self.groups.values() if other is not group):
            return False
        group.end(error)
        return True

    # --- What the parts ask for ---------------------------------------------------------------------------------

    def _prefer(self, priorities: Mapping[int, int]) -> None:
        """The table says who is preferred as leader: so he is in the other groups, as far as he is a voter there.

        Who is a witness it says of group 0 alone. A preference may come at any moment; a witness holds no commands, and
        is one from its addition on, which only the group's own log says at the same place to all of its members.
        """
        for group in self.groups.values():
            if group is not self.first:
                group.raw.set_members(frozenset(), priorities)

    def _meet_soon(self) -> None:
        """Whom this node speaks to has changed. Not inside the pass that has applied it: that has datagrams for them in
        hand."""
        self._loop.call_soon(self._meet)

    def _meet(self) -> None:
        if self.closed:
            return
        peers = self.member_operations.peers
        for node_id in self._boots.keys() - peers.keys():
            del self._boots[node_id]
        met = {node_id: address for node_id, address in peers.items() if self._met.get(node_id) == address}
        for node_id in peers.keys() - met.keys():
            try:
                self.transport.change_peers({**met, node_id: peers[node_id]})
                met[node_id] = peers[node_id]
            except RaftError as error:  # an address that this host cannot use must not keep it from the others
                log.warning("node %d: node %d is not spoken to: %s", self._id, node_id, error)
        if met.keys() != self._met.keys():
            self.transport.change_peers(met)
        self._met = met
        dismiss = getattr(self.transport, "dismiss", None)  # see DismissingTransport
        if dismiss is not None:
            dismiss(self.member_operations.gone)

    def _on_removed(self, node_id: int, index: int) -> None:
        """A member says that the configuration entry at ``index`` has removed this node, which may end now."""
        known = self.member_operations.table.removed.get(self._id)
        if index > self.first.raw.conf_index or (known is not None and known.index == index):
            self.fail(Removed(self._id, index))

    def _limit(self, max_command: int) -> None:
        """The table says how large a command may be: so it may in every group of this host."""
        for group in self.groups.values():
            group.limit(max_command)

    def _report_write(self, ticks: int) -> None:
        for group in self.groups.values():
            group.raw.report_write(ticks)

    def _on_written(self, batch: AppendBatch) -> None:
        self.rounds.written.append(batch)
        self.passes.wake()

    def _on_datagram_size(self, max_datagram: int) -> None:
        """What a datagram to any of the peers holds has become known, or has changed."""
        for group in self.groups.values():
            group.raw.limit_messages(append_size(max_datagram))

    def _on_far(self, node_ids: frozenset[int]) -> None:
        """Which peers are far has become known, or has changed."""
        for group in self.groups.values():
            group.raw.set_far(node_ids)

    def _on_heard(self, node_id: int) -> None:
        self.member_operations.heard(node_id)
        before, boot = self._boots.get(node_id, 0), self.transport.heard(node_id).boot
        self._boots[node_id] = boot
        for group in self.groups.values():
            group.quarantine.heard(node_id)
            if before not in (0, boot):
                group.peer_started(node_id)
        if self.founding is not None:
            self.founding.heard(node_id)

    def _stand(self, standing: Standing) -> None:
        """Peers that ask are told so from now on."""
        self._standing = standing
        if self._asking is not None:
            self._asking.stand(standing)

    def _on_unreachable(self, node_id: int) -> None:
        self.rounds.unreachable.append(node_id)
        self.passes.request()

    # --- Time ---------------------------------------------------------------------------------------------------

    def _look_round(self) -> None:
        """Once a second at what needs no haste: whether a snapshot is due, and what is kept for who is far behind."""
        self.scrubbing.look()
        for group in self.groups.values():
            if not group.closed:
                group.look_at_snapshots()
                group.view.forget_idle()
