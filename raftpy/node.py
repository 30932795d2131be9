"""Node: one member of a cluster, for asyncio programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from types import TracebackType

from raftcore.base.conflict import Conflict
from raftcore.base.errors import Unavailable
from raftpy.config import Config
from raftpy.contracts.clock import Clock, SystemClock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import Stopped, StorageFailed, Timeout
from raftpy.contracts.executor import Executor
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.members.table import MAX_PRIORITY
from raftpy.runtime.awaited import DEFAULT_TIMEOUT as DEFAULT_TIMEOUT  # noqa: PLC0414 (for what builds on it, too)
from raftpy.runtime.calls import NOT_STARTED, Calls
from raftpy.runtime.commits import Commit
from raftpy.runtime.defaults import default_storage, default_transport
from raftpy.runtime.describe import describe
from raftpy.runtime.driver import Driver
from raftpy.runtime.opening import open_node
from raftpy.runtime.passes import Passes
from raftpy.runtime.status import NodeStatus
from raftpy.system.entropy import SystemEntropy
from raftpy.system.forking import call_in_child
from raftpy.system.threads import Threads

GIVEN_UP = "the node was stopped while it was being started"


class Node(Calls):
    """A replica of ``state_machine``, kept equal to the others of the cluster by Raft.

    ``async with Node(config, state_machine) as node:`` starts it in the running event loop and stops it at the end.
    ``storage``, ``transport`` and ``clock`` default to LevelDB under ``config.data_dir`` (memory without one), UDP at
    the node's own address, and the system's clock; ``executor``, what runs beside the event loop, and ``entropy``, what
    is drawn at random, to the process's threads and the system's random source, also for the default of the store and
    the transport. A node is started once; a new one is made for the next time.

    Calls before ``start`` raise ``Stopped``, those in a forked child, another thread or on another event loop
    ``NotOwner``. Those that propose, read or wait raise ``Stopped`` after ``stop``, why the node has stopped where it
    did so by itself (``StorageFailed``, ``ApplyFailed``, ``Stopped``), and ``Quarantined`` in quarantine. What else
    they raise stands at each of them.
    """

    def __init__(
        self,
        config: Config,
        state_machine: StateMachine,
        *,
        storage: Storage | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        executor: Executor | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self.config = config
        self._state_machine = state_machine
        self._clock: Clock = clock or SystemClock()
        self._executor: Executor = executor or Threads()
        self._entropy: Entropy = entropy or SystemEntropy()
        self._storage = storage or default_storage(config, self._executor, self._entropy)
        self._transport = transport or default_transport(config, self._clock, self._executor, self._entropy)
        self._driver: Driver | None = None
        self._starting: asyncio.Future[None] | None = None  # done when the start that is under way has ended
        self._given_up = False  # stopped before the start had ended

    # --- Life cycle ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens store and transport and begins to take part; returns then, before there is a leader
        (``wait_for_leader``).

        LevelDB is opened in a thread, since reading a long log takes seconds: the event loop goes on meanwhile. Where
        the call is cancelled then, or ``stop`` is called (it raises ``Stopped``), the opening is given up first.

        From here on the node is for this process and the running event loop: calls in a forked child, in another thread
        or on another loop raise ``NotOwner``.

        Raises ``StorageLocked``, ``StorageDamaged``, ``WrongIdentity``, ``ForeignDirectory``, ``StorageFailed``,
        ``TransportFailed``, ``ConfigError``; nothing is left open then. ``RuntimeError`` when it was started before.
        """
        if self._driver is not None:
            self._driver.owner.check_process()
        if self._driver is not None or self._starting is not None or self._given_up:
            raise RuntimeError("this node was started before: make a new one to start it again")
        loop = asyncio.get_running_loop()
        ended = self._starting = loop.create_future()
        try:
            await self._start(loop)
        except StorageFailed:
            if self._given_up:
                raise Stopped(GIVEN_UP) from None
            raise
        finally:
            self._starting = None
            if not ended.done():
                ended.set_result(None)

    async def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        passes = Passes(loop)
        opened = await open_node(
            self.config, self._storage, self._transport, self._executor, self._entropy, passes.wake
        )
        try:
            if self._given_up:
                raise Stopped(GIVEN_UP)
            driver = Driver(self.config, self._state_machine, self._clock, opened, passes)
            driver.start()
        except BaseException:
            opened.transport.close()
            opened.storage.close()
            raise
        self._driver = driver
        self._bind(driver.proposals, driver.reads, passes, driver.owner)
        call_in_child(self._in_child)

    def _in_child(self) -> None:
        """This is a forked child: the node stays with the parent."""
        self._unbind()
        if self._driver is not None:
            self._driver.disown()

    async def stop(self) -> None:
        """Leaves: whoever waits gets ``Stopped``, store and socket are closed on return. May be called again.

        A leader hands over first, as ``hand_over`` does, for as long as the shortest election timeout at most
        (``Config.election_ms``). Where the call is cancelled, the node stops all the same, a little later. A node that
        has failed has stopped already, and hands nothing over.
        """
        if self._driver is not None:
            self._driver.owner.check()
            await self._driver.stop()
        elif self._starting is not None:
            self._given_up = True
            self._storage.close()  # which ends an opening
            await asyncio.wait([self._starting])

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._driver is not None and self._driver.owner.forked:
            return  # a forked child leaves the block: the node is not its own to stop
        await self.stop()

    @property
    def _running(self) -> Driver:
        if self._driver is None:
            raise Stopped(NOT_STARTED)
        self._driver.owner.check()
        return self._driver

    @property
    def failed(self) -> BaseException | None:
        """Why the node has stopped by itself (``StorageFailed``, ``ApplyFailed`` or a bug), or None: before ``start``,
        while it runs, and after ``stop``."""
        if self._driver is None:
            return None
        self._driver.owner.check_process()
        return self._driver.failure

    @property
    def quarantine(self) -> Conflict | None:
        """Why this node is quarantined, or None.

        Then it has found its committed entries in contradiction to its cluster's, and every call that proposes, reads
        or waits raises ``Quarantined``, also after a restart; ``status`` answers. What the state machine holds must not
        be served either: whoever reads it without ``read_index`` looks here first.
        """
        if self._driver is None:
            return None
        self._driver.owner.check_process()
        return self._driver.quarantine.conflict

    # --- Proposing, reading and leading (propose, propose_many and read_index are those of Calls) ------------------

    @property
    def max_command(self) -> int:
        """Bytes in the largest command; what is larger is refused with ``TooLarge``. It follows from the largest
        datagram. Raises ``Stopped`` before ``start``."""
        if self._driver is None:
            raise Stopped(NOT_STARTED)
        self._driver.owner.check_process()
        return self._driver.proposals.max_command

    def require_leader(self) -> None:
        """Raises ``NotLeader``, with the leader's id and addresses as far as known, unless this node leads;
        ``Stopped``.

        It tells what this node knows now: another may lead already (``read_index`` is sure).
        """
        self._running.require_leader()

    async def transfer_leadership(self, to: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Hands leadership over to the voter ``to`` (thesis 3.10); from any node. Returns when ``to`` leads, as far as
        is known here: at once when it does already. The leader refuses proposals meanwhile (``NotLeader``).

        Raises ``ValueError`` when ``to`` is no voter of the configuration applied here, ``Timeout`` when it has not
        taken over after ``timeout`` seconds, None for never (who leads then is for ``status`` to say), ``Stopped``,
        ``Quarantined``.
        """
        driver = self._running
        voters = driver.raw.conf_state.voters
        if to not in voters:
            raise ValueError(f"leadership can go to a voter, {', '.join(map(str, voters))}, not to {to}")
        try:
            async with asyncio.timeout(timeout):
                await driver.transfer_leadership(to)
        except TimeoutError:
            raise Timeout(f"node {to} has not become leader within {timeout} s") from None

    async def hand_over(self) -> bool:
        """Gives leadership to the voter best placed, if this node leads; whether another node leads afterwards, as far
        as is known here. On a node that does not lead that is the answer at once.

        Of the voters that are reachable and have everything that is committed, the one with the highest priority, then
        the one with the longest log. What was proposed here before gets its result first; what is proposed meanwhile
        raises ``NotLeader``, never appended. Returns after a few milliseconds, at once where there is nobody to hand
        over to, and after the shortest election timeout at the latest: False then, and this node goes on as leader.
        Calls at the same time share one attempt.
        """
        return await self._running.hand_over()

    async def set_priority(self, member: int, priority: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Sets which member is preferred as leader; on the leader. Returns when it is replicated and applied here.

        Of the voters that are up and caught up, the one with the highest ``priority`` (0, as at first, to 65,535) takes
        over, within about two election timeouts; nothing is forced, and a cluster without it elects another. The
        priority is remembered by the cluster, also across restarts.

        Raises ``ValueError`` (no such member, a priority that is not allowed, or addresses of the member that the table
        cannot hold), ``NotLeader`` (nothing has happened; its fields name the leader), ``Timeout`` (it may or may not
        be set: after ``timeout`` seconds, None for never, or when leadership is lost; it can be set again),
        ``Stopped``, ``StorageFailed``, ``Quarantined``.
        """
        driver = self._running
        _check_member(member, driver.members)
        _check_priority(priority)
        try:
            async with asyncio.timeout(timeout):
                await driver.set_priority(member, priority)
        except Timeout:
            raise
        except TimeoutError:
            raise Timeout(f"not done within {timeout} s: the priority may or may not be set") from None

    # --- Looking on ---------------------------------------------------------------------------------------------

    def commits(self, start_index: int | None = None) -> AsyncIterator[Commit]:
        """Committed commands as (index, term, command), in order: from now on, or from ``start_index``, at least 1
        (ValueError).

        Commands only: indexes of other entries are left out. A reader that falls behind reads older entries from the
        store; it never holds the node up. Ends when the node stops, and raises why when it failed; ``Stopped`` when it
        has stopped with entries that were not read here, ``Quarantined`` in quarantine.
        """
        return self._running.feed.subscribe(start_index)

    async def wait_for_leader(self, timeout: float | None = None) -> int:
        """The id of the leader, as soon as this node knows one. ``timeout`` in seconds, None for never: TimeoutError
        after that, the builtin one. Raises ``Stopped``, ``StorageFailed``, ``ApplyFailed``, ``Quarantined``."""
        driver = self._running
        async with asyncio.timeout(timeout):
            return await driver.wait_for_leader()

    def term_at(self, index: int) -> int:
        """The term of the entry at index, committed or not. Raises ``Unavailable`` where it is not known: beyond the
        log, or compacted. Of index 0, before the first entry, it is 0."""
        term = self._running.raw.term_at(index)
        if term is None:
            raise Unavailable
        return term

    def status(self) -> NodeStatus:
        """This node now; after it has stopped, by itself or not, its role says so, and the rest is as it was then.
        Nobody else is asked for it. Raises ``Stopped`` before ``start``."""
        return describe(self._running)


def _check_member(member: object, members: Collection[int]) -> None:
    if not isinstance(member, int) or member not in members:
        raise ValueError(f"priority is for a member, {', '.join(map(str, members))}, not for {member!r}")


def _check_priority(priority: object) -> None:
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= MAX_PRIORITY:
        raise ValueError(f"priority is {priority!r}: allowed is a whole number from 0 to {MAX_PRIORITY:,}")
