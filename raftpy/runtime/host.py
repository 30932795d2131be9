"""Host: many groups in one process, with one socket and one store.

    async with Host(config, {0: machine_0, 1: machine_1}) as host:
        value = await host.group(1).propose(b"a command")

A host is one process' part in a table of hosts, ``config.cluster``. Each of its groups is a Raft group of its own, with
its log, its leader and its state machine, over all of these hosts or over some of them. What they share is what would
cost most per group: the socket and its datagrams, the synced write, the timer, and what is known of the peers. A
:class:`raftpy.Node` is a host with one group.

There is no placement and no quiescence yet: which hosts a group is on is decided by whoever founds it, every host must
be told the same, and an idle group sends its heartbeats as any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from types import TracebackType

from raftcore.base.errors import ConfigError
from raftpy.config import Config
from raftpy.contracts.clock import Clock, SystemClock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import Stopped, StorageFailed
from raftpy.contracts.executor import Executor
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.contracts.types import MAX_GROUP
from raftpy.runtime.calls import NOT_STARTED
from raftpy.runtime.defaults import check_first_start, default_storage, default_transport
from raftpy.runtime.driver import Driver
from raftpy.runtime.group_calls import GroupCalls
from raftpy.runtime.opening import GivingUp, open_host
from raftpy.runtime.passes import Passes
from raftpy.runtime.starting import StartProgress
from raftpy.system.entropy import SystemEntropy
from raftpy.system.forking import call_in_child
from raftpy.system.threads import Threads

GIVEN_UP = "the node was stopped while it was being started"


class Host:
    """Runs replicas of state machines, one for each group, by group id; group 0 must be among them.

    Args:
        config: as of a :class:`raftpy.Node`; the times and limits hold for each group.
        state_machines: group id (0 to 2**64 - 1) to state machine.
        storage, transport, clock, executor, entropy: as of a Node.
        members: group id to the node ids of its first members, for groups that are not on all hosts of
            ``config.cluster``; the same on every host. Counts when a group is first started here.
    """

    def __init__(
        self,
        config: Config,
        state_machines: Mapping[int, StateMachine],
        *,
        storage: Storage | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        executor: Executor | None = None,
        entropy: Entropy | None = None,
        members: Mapping[int, Collection[int]] | None = None,
    ) -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.executor: Executor = executor or Threads()
        self.entropy: Entropy = entropy or SystemEntropy()
        self.storage = storage or default_storage(config, self.executor, self.entropy)
        self.transport = transport or default_transport(config, self.clock, self.executor, self.entropy)
        self.driver: Driver | None = None
        self._state_machines = dict(state_machines)
        self._members = _checked_groups(config, self._state_machines, members or {})
        self._calls = {group_id: GroupCalls() for group_id in self._state_machines}
        self._starting: asyncio.Future[None] | None = None  # done when the start that is under way has ended
        self._given_up = False  # stopped before the start had ended
        self._giving_up = GivingUp(self.storage)

    # --- Life cycle ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens store and transport and begins to take part in every group, as ``Node.start`` does.

        ``RuntimeError`` when it was started before, ``Stopped`` when ``stop`` was called meanwhile, ``StorageFailed``
        and what else ``Node.start`` raises.
        """
        if self.driver is not None:
            self.driver.owner.check_process()
        if self.driver is not None or self._starting is not None or self._given_up:
            raise RuntimeError("this node was started before: make a new one to start it again")
        loop = asyncio.get_running_loop()
        ended = self._starting = loop.create_future()
        try:
            await self._start(loop)
        except (StorageFailed, Stopped):
            if self._given_up:
                raise Stopped(GIVEN_UP) from None
            raise
        finally:
            self._starting = None
            if not ended.done():
                ended.set_result(None)

    async def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        passes = Passes(loop)
        check_first_start(self.config, self.transport)
        opened = await open_host(
            self.config,
            self.storage,
            self.transport,
            self.executor,
            passes.wake,
            self._members,
            self._state_machines,
            self._giving_up,
        )
        try:
            if self._given_up:
                raise Stopped(GIVEN_UP)
            driver = Driver(self.config, self._state_machines, self.clock, self.executor, self.entropy, opened, passes)
            driver.start()
        except BaseException:
            opened.transport.close()
            opened.storage.close()
            raise
        self.driver = driver
        for group_id, calls in self._calls.items():
            calls._serve(driver.groups[group_id])
        call_in_child(self._in_child)

    def _in_child(self) -> None:
        """This is a forked child: the host stays with the parent."""
        for calls in self._calls.values():
            calls._unbind()
        if self.driver is not None:
            self.driver.disown()

    async def stop(self) -> None:
        """Leaves: where it leads a group it hands over first; store and socket are closed on return."""
        if self.driver is not None:
            self.driver.owner.check()
            await self.driver.stop()
        elif self._starting is not None:
            self._given_up = True
            self._giving_up.ask()
            await asyncio.wait([self._starting])

    async def __aenter__(self) -> Host:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.driver is not None and self.driver.owner.forked:
            return  # a forked child leaves the block: the host is not its own to stop
        await self.stop()

    # --- Groups -------------------------------------------------------------------------------------------------

    def group(self, group_id: int) -> GroupCalls:
        """The calls of one group, which are those of a :class:`raftpy.Node`. Raises ``KeyError`` for any other id."""
        try:
            return self._calls[group_id]
        except KeyError:
            raise KeyError(f"this host has no group {group_id}") from None

    def serve_by(self, calls: GroupCalls) -> None:
        """Before the start: ``calls`` are those of group 0 from then on, as of a Node."""
        self._calls[0] = calls

    @property
    def starting(self) -> StartProgress | None:
        """How far the start has come, also where it has not begun or has failed; None once the host has started."""
        if self.driver is None:
            return self._giving_up.progress
        self.driver.owner.check_process()
        return None

    @property
    def failed(self) -> BaseException | None:
        """Why the host has stopped by itself, or None. A group that ended while others went on says so itself."""
        if self.driver is None:
            return None
        self.driver.owner.check_process()
        return self.driver.failure

    @property
    def unknown_frames(self) -> int:
        """Frames received so far of groups that this host does not have, or has no more. Each is passed over; a host
        with one group does so without counting. Raises ``Stopped`` before ``start``."""
        if self.driver is None:
            raise Stopped(NOT_STARTED)
        self.driver.owner.check()
        return self.driver.rounds.strangers


def _checked_groups(
    config: Config, machines: Mapping[int, StateMachine], members: Mapping[int, Collection[int]]
) -> dict[int, Collection[int]]:
    """The first members of each group with a state machine. Raises ``ConfigError``."""
    if 0 not in machines:
        raise ConfigError("group 0 is missing: it holds the table of hosts, and every host has it")
    for group_id in machines:
        if not 0 <= group_id <= MAX_GROUP:
            raise ConfigError(f"group id {group_id}: allowed is a whole number from 0 to {MAX_GROUP:,}")
    for group_id, ids in members.items():
        if group_id not in machines:
            raise ConfigError(f"group {group_id} has members, and no state machine")
        if strangers := sorted(set(ids) - set(config.addresses)):
            raise ConfigError(f"group {group_id} names node {strangers[0]}, which is not in the cluster")
        if config.id not in ids:
            raise ConfigError(f"group {group_id} has no place for node {config.id}: leave it out on this node")
    if 0 in members and set(members[0]) != set(config.addresses):
        raise ConfigError("group 0 holds the table of hosts: all of them are its members")
    return {group_id: tuple(sorted(members.get(group_id, config.addresses))) for group_id in machines}
