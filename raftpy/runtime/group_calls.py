"""What a program asks of one group: the methods that a Node and each group of a Host have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from raftcore.base.conflict import Conflict
from raftcore.base.errors import Unavailable
from raftpy.contracts.errors import Stopped, Timeout
from raftpy.members.table import LARGEST_COMMAND, MAX_PRIORITY
from raftpy.runtime.awaited import DEFAULT_TIMEOUT
from raftpy.runtime.calls import NOT_STARTED, Calls
from raftpy.runtime.commits import Commit
from raftpy.runtime.describe import describe
from raftpy.runtime.group import Group
from raftpy.runtime.member_calls import Members
from raftpy.runtime.status import NodeStatus
from raftpy.runtime.table_changes import set_max_command, set_priority


class GroupCalls(Calls):
    """One group of a host that runs or is to be started; a Node has one only, and speaks of itself as the node."""

    _group: Group | None = None

    def _serve(self, group: Group) -> None:
        """The host has been started: whom the calls go to."""
        self._group = group
        self._bind(group.proposals, group.reads, group.passes, group.owner)

    @property
    def _running(self) -> Group:
        if self._group is None:
            raise Stopped(NOT_STARTED)
        self._group.owner.check()
        return self._group

    @property
    def failed(self) -> BaseException | None:
        """Why the node has stopped by itself (``StorageFailed``, ``ApplyFailed`` or a bug), or None: before ``start``,
        while it runs, and after ``stop``. Of one group of several also why that group alone has ended."""
        group = self._group
        if group is None:
            return None
        group.owner.check_process()
        return group.why_ended

    @property
    def quarantine(self) -> Conflict | None:
        """Why this node is quarantined, or None.

        Then it has found its committed entries in contradiction to its cluster's, and every call that proposes, reads
        or waits raises ``Quarantined``, also after a restart; ``status`` answers. What the state machine holds must not
        be served either: whoever reads it without ``read_index`` looks here first.
        """
        group = self._group
        if group is None:
            return None
        group.owner.check_process()
        return group.quarantine.conflict

    @property
    def lacks_state(self) -> bool:
        """Whether this node has its log and no state to go with it: none of its snapshots was whole at the start, and
        it gets one from another member (``status().without_state`` says how that goes).

        Until then ``read_index``, ``commits`` and ``snapshot`` raise ``NoState``, and proposals ``NotLeader``. What the
        state machine holds must not be served either: whoever reads it without ``read_index`` looks here first. False
        before ``start``.
        """
        group = self._group
        if group is None:
            return False
        group.owner.check_process()
        return group.lacks_state

    # --- Proposing, reading and leading (propose, propose_many and read_index are those of Calls) ------------------

    @property
    def max_command(self) -> int:
        """Bytes in the largest command; what is larger is refused with ``TooLarge``.

        The cluster has agreed on it: 16 MiB, until ``set_max_command`` changes it. It is what this node has applied of
        that in group 0, also for any other group of a host, so a little old where the node is behind. On a transport of
        one's own that sends no fragments it is at most what one datagram carries. Raises ``Stopped`` before ``start``.
        """
        group = self._group
        if group is None:
            raise Stopped(NOT_STARTED)
        group.owner.check_process()
        return group.proposals.max_command

    def require_leader(self) -> None:
        """Raises ``NotLeader``, with the leader's id and addresses as far as known, unless this node leads;
        ``Stopped``.

        It tells what this node knows now: another may lead already (``read_index`` is sure).
        """
        self._running.require_leader()

    async def transfer_leadership(self, to: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Hands leadership over to the voter ``to`` (thesis 3.10); from any node. Returns when ``to`` leads, as far as
        is known here: at once when it does already. The leader refuses proposals (``NotLeader``) until then, for the
        shortest election timeout at most; when nothing has come of it, it takes them for as long before the next
        attempt. A leader attempts nothing while it cannot reach ``to``.

        Raises ``ValueError`` when ``to`` is no voter of the configuration applied here, ``Timeout`` when it has not
        taken over after ``timeout`` seconds, None for never (who leads then is for ``status`` to say), ``Stopped``,
        ``Quarantined``.
        """
        group = self._running
        voters = group.raw.conf_state.voters
        if to not in voters:
            raise ValueError(f"leadership can go to a voter, {', '.join(map(str, voters))}, not to {to}")
        try:
            async with asyncio.timeout(timeout):
                await group.transfer_leadership(to)
        except TimeoutError:
            raise Timeout(f"node {to} has not become leader within {timeout} s") from None

    async def hand_over(self) -> bool:
        """Gives leadership to the voter best placed, if this node leads; whether another node leads afterwards, as far
        as is known here. On a node that does not lead that is the answer at once.

        Of the voters that are reachable and have everything that is committed, the one with the highest priority, then
        the one with the longest log. What was proposed here before gets its result first; what is proposed meanwhile
        raises ``NotLeader``, never appended. Returns after a few milliseconds, at once where there is nobody to hand
        over to, and after the shortest election timeout at the latest: False then, and this node goes on as leader.
        Calls at the same time share one attempt. Where this node has the highest priority, leadership comes back after
        two election timeouts: whoever means to stop does so before.
        """
        return await self._running.hand_over()

    async def set_priority(self, member: int, priority: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Sets which member is preferred as leader; on the leader. Returns when it is replicated and applied here.

        Of the voters that are up and hold all that is committed, the one with the highest ``priority`` (0, as at first,
        to 65,535) takes over, within about two election timeouts; nothing is forced, and a cluster without it elects
        another. The priority is remembered by the cluster, also across restarts.

        Raises ``ValueError`` (no such member, a priority that is not allowed, or addresses of the member that the table
        cannot hold), ``NotLeader`` (nothing has happened; its fields name the leader), ``Timeout`` (it may or may not
        be set: after ``timeout`` seconds, None for never, or when leadership is lost; it can be set again),
        ``Stopped``, ``StorageFailed``, ``Quarantined``.
        """
        group = self._running
        if group.member_operations is None:
            raise ValueError("priorities stand in the member table, which is group 0's: set them there")
        _check_member(member, group.host.members)
        _check_priority(priority)
        try:
            async with asyncio.timeout(timeout):
                await set_priority(group, member, priority)
        except Timeout:
            raise
        except TimeoutError:
            raise Timeout(f"not done within {timeout} s: the priority may or may not be set") from None

    async def set_max_command(self, size: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Sets how large a command may be, 1 to 33,554,432 bytes, in every group; on the leader. Returns when it is
        replicated and applied here; every other member takes it over as it applies the entry.

        It bounds commands that are handed in from then on, and nothing else: whatever is in a log is sent, taken and
        applied, so it may be lowered below what is there. Remembered by the cluster, also across restarts.

        Raises ``ValueError`` (a size that is not allowed, or another group than 0), ``NotLeader`` (nothing has
        happened; its fields name the leader), ``Timeout`` (it may or may not be set: after ``timeout`` seconds, None
        for never, or when leadership is lost; it can be set again), ``Stopped``, ``StorageFailed``, ``Quarantined``.
        """
        group = self._running
        if group.member_operations is None:
            raise ValueError("the largest command stands in the member table, which is group 0's: set it there")
        _check_size(size)
        try:
            async with asyncio.timeout(timeout):
                await set_max_command(group, size)
        except Timeout:
            raise
        except TimeoutError:
            raise Timeout(f"not done within {timeout} s: the largest command may or may not be set") from None

    @property
    def members(self) -> Members:
        """The members of the cluster, and what changes them: see :class:`raftpy.Members`. Of a host's other groups than
        0 there is none yet (``ValueError``)."""
        return Members(lambda: self._running)

    # --- Snapshots ----------------------------------------------------------------------------------------------

    async def snapshot(self) -> int:
        """Takes a snapshot of what is applied here now, and cuts the log behind it as far as may be. Returns the index
        that it is of once it is durable: 0 where nothing was ever applied, that of the last one where nothing was
        since. This node's alone: the others take theirs.

        The log stays whole behind the snapshot before, and before that stays what members still need, within
        ``Config.trailing_bytes``. Calls at the same time share one. Commands go on meanwhile.

        Raises ``NoSnapshots`` where the state machine gives out no state, ``SnapshotFailed`` where it could not be
        written or read back (what was there before still is), what the state machine raised, ``Stopped``,
        ``StorageFailed``, ``ApplyFailed``, ``Quarantined``, ``NoState``.
        """
        return await self._running.snapshot()

    # --- Looking on ---------------------------------------------------------------------------------------------

    def commits(self, start_index: int | None = None) -> AsyncIterator[Commit]:
        """Committed commands as (index, term, command), in order: from now on, or from ``start_index``, at least 1
        (ValueError).

        Commands only: indexes of other entries are left out. A reader that falls behind reads older entries from the
        store; it never holds the node up. Ends when the node stops, and raises why when it failed; ``Stopped`` when it
        has stopped with entries that were not read here, ``Quarantined`` in quarantine, ``NoState`` at once, and
        ``raftcore.base.errors.Compacted`` where the log was cut behind the next one to read: it begins at
        ``status().first_index``.
        """
        group = self._running
        if group.lacks_state and not group.closed:
            raise group.pulling.refusal()
        return group.feed.subscribe(start_index)

    async def wait_for_leader(self, timeout: float | None = None) -> int:
        """The id of the leader, as soon as this node knows one. ``timeout`` in seconds, None for never: TimeoutError
        after that, the builtin one. Raises ``Stopped``, ``StorageFailed``, ``ApplyFailed``, ``Quarantined``."""
        group = self._running
        async with asyncio.timeout(timeout):
            return await group.wait_for_leader()

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


def _check_size(size: object) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST_COMMAND:
        raise ValueError(
            f"the largest command is {size!r}: allowed is a whole number from 1 to {LARGEST_COMMAND:,} bytes"
        )
