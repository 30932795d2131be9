"""What a program asks of the members: to list them, and to change them while commands go on (``Node.members``)."""

# ruff: noqa: A002 (``id`` is a member's everywhere else, too)

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raftpy.contracts.errors import ChangeRefused, NotLeader, Timeout
from raftpy.members.changes import (
    AddMember,
    DemoteMember,
    MemberChange,
    PromoteMember,
    RemoveMember,
    SetAddress,
    next_free_id,
)
from raftpy.members.operations import MemberOperations
from raftpy.runtime.group import Group
from raftpy.runtime.table_changes import change_members

DEFAULT_CHANGE_TIMEOUT = 60.0
"""Seconds: a new member may have to be sent the whole state."""
LOOK_AGAIN_S = 0.05
"""How often it is looked whether a learner has the log."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member, as the configuration and the table of this node have it applied."""

    id: int
    """Its node id."""
    udp: str
    """``host:port`` at which the others reach it; empty: not known."""
    http: str | None
    """``host:port`` or ``https://host:port``; None: it serves none, or none is known."""
    voter: bool
    """It counts in elections and for commits; else it is a learner, which has the log and no vote (thesis 4.2.1)."""
    leaving: bool
    """A joint configuration is about to let it go, or to make it a learner (thesis 4.3)."""
    heard: bool
    """It has been heard: its data directory is known to the cluster, and it can be a voter."""
    priority: int
    """See ``Node.set_priority``."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The members at one moment."""

    index: int
    """Of the entry that made the configuration or the table as it is: what ``expected`` is compared with."""
    members: tuple[Member, ...]
    """By ascending id."""
    next_id: int
    """The smallest id that was never a member's, nor is below one that was."""
    removed: tuple[int, ...]
    """Ids that were members', and are never again."""


class Members:
    """The members of a node's cluster: ``node.members``.

    All calls but ``list`` are for the leader, and raise ``NotLeader``, whose fields name it, elsewhere. Each returns
    when what it asks for is committed, for good, and applied here, with the index of the configuration that this is. A
    call may be repeated: what is so already is done. One change is under way at a time; others wait for it. In common
    they have

    ``expected``
        the index of the configuration that is to be changed (``Membership.index``), else ``ChangeRefused``;
    ``safe``
        True: refused is also what would leave the cluster without a majority of voters that are heard, or make a voter
        of what does not have the log yet;
    ``timeout``
        seconds, None for never: then ``Timeout``, and the change may or may not be made.

    Each raises ``ChangeRefused`` (its text says what is against it; nothing was appended), ``ValueError``,
    ``NotLeader``, ``Timeout`` (also when leadership is lost meanwhile), ``Stopped``, ``StorageFailed``,
    ``Quarantined``.
    """

    def __init__(self, running: Callable[[], Group]) -> None:
        """``running``: gives the group, or raises why it does not run."""
        self._running = running

    @property
    def _operations(self) -> MemberOperations:
        operations = self._running().member_operations
        if operations is None:
            raise ValueError("the members are those of group 0: ask its node or group for them")
        return operations

    def list(self) -> Membership:
        """The members as they are applied here, on any node; a node that is behind knows an older state."""
        group, operations = self._running(), self._operations
        conf, table = group.raw.conf_state, operations.table
        members = []
        for node_id, udp in operations.members.items():
            record = table.get(node_id)
            members.append(
                Member(
                    id=node_id,
                    udp=udp,
                    http=operations.http(node_id),
                    voter=node_id in conf.voters or node_id in conf.voters_outgoing,
                    leaving=node_id in conf.learners_next
                    or (node_id in conf.voters_outgoing and node_id not in conf.voters),
                    heard=record is not None and record.store_id != 0,
                    priority=operations.priority(node_id),
                )
            )
        return Membership(group.raw.conf_index, tuple(members), next_free_id(conf, table), tuple(sorted(table.removed)))

    async def change(
        self,
        changes: Sequence[MemberChange],
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """Several changes at once, of different members; more than one voter changes by joint consensus (thesis 4.3).

        A leader that would be no voter any more hands leadership over first, and raises ``NotLeader`` then: ask the one
        that it names. Raises ``ValueError`` for no change at all, ``ChangeRefused``, ``Timeout``.
        """
        self._running()
        changes = list(changes)
        if not changes:
            raise ValueError("no change of the members is given: one at least is expected")
        try:
            async with asyncio.timeout(timeout):
                await self._give_way(changes)
                return await change_members(self._running(), changes, expected, safe)
        except Timeout:
            raise
        except TimeoutError:
            raise Timeout(f"not done within {timeout} s: the change of the members may or may not be made") from None

    async def _give_way(self, changes: Sequence[MemberChange]) -> None:
        group = self._running()
        group.require_leader()
        conf, own = group.raw.conf_state, group.config.id
        leaves = any(isinstance(change, DemoteMember | RemoveMember) and change.id == own for change in changes)
        if not leaves or own not in conf.voters or len(conf.voters) == 1:
            return
        if not await group.hand_over():
            raise ChangeRefused(
                f"node {own} leads, and would be no voter any more: no other voter has taken over from it"
            )
        group.require_leader()
        raise NotLeader(because="leadership was handed over for the change")

    async def add(
        self,
        id: int,
        udp: str,
        http: str | None = None,
        *,
        learner: bool = True,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """Adds a member that is, or will be, reached at the UDP address ``udp``, as a learner.

        The node itself is started with that id and address (``Config.id``, ``Config.udp``), before or after. With
        ``learner=False`` it is then waited until it was heard and has the log, and it is made a voter; where that takes
        longer than ``timeout`` it stays a learner.
        """
        self._running()
        async with _Deadline(timeout) as deadline:
            index = await self.change([AddMember(id, udp, http)], expected=expected, safe=safe, timeout=None)
            if learner:
                return index
            deadline.said = f"node {id} was added and does not have the log yet: it is a learner"
            await self._until_ready(id)
            return await self.change([PromoteMember(id)], safe=safe, timeout=None)

    async def promote(
        self,
        id: int,
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """Makes a learner a voter. It must have been heard, also with ``safe=False``."""
        return await self.change([PromoteMember(id)], expected=expected, safe=safe, timeout=timeout)

    async def demote(
        self,
        id: int,
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """Makes a voter a learner."""
        return await self.change([DemoteMember(id)], expected=expected, safe=safe, timeout=timeout)

    async def remove(
        self,
        id: int,
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """Takes a member out, voter or learner, for ever: its id is used up. If it runs it is told, and ends with
        ``Removed``."""
        return await self.change([RemoveMember(id)], expected=expected, safe=safe, timeout=timeout)

    async def set_address(
        self,
        id: int,
        udp: str | None = None,
        http: str | None = None,
        *,
        expected: int | None = None,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """The member is reached at another address from now on; None: that one stays. It is itself started again with
        it (``Config.udp``). What a node says of its own HTTP address replaces ``http`` once it is heard."""
        return await self.change([SetAddress(id, udp, http)], expected=expected, timeout=timeout)

    async def replace(
        self,
        old: int,
        new: int,
        udp: str,
        http: str | None = None,
        *,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """Adds ``new``, waits until it was heard and has the log, and then makes it a voter and removes ``old`` in one
        joint change. ``old`` may be down. Where ``new`` is not there in time it stays a learner, beside ``old``."""
        self._running()
        async with _Deadline(timeout) as deadline:
            await self.change([AddMember(new, udp, http)], safe=safe, timeout=None)
            deadline.said = f"node {new} was added and does not have the log yet: node {old} is a member still"
            await self._until_ready(new)
            return await self.change([PromoteMember(new), RemoveMember(old)], safe=safe, timeout=None)

    async def _until_ready(self, node_id: int) -> None:
        """Until the learner was heard, its store stands in the table, and it has nearly all of the log."""
        while True:
            group = self._running()
            group.require_leader()
            if self._operations.could_be_voter(node_id):
                return
            await asyncio.sleep(LOOK_AGAIN_S)


class _Deadline:
    """Within ``timeout`` seconds, or ``Timeout``, with what is ``said`` by then."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._scope = asyncio.timeout(timeout)
        self.said = "the change of the members may or may not be made"

    async def __aenter__(self) -> _Deadline:
        await self._scope.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._scope.__aexit__(*error)  # type: ignore[arg-type]
        except TimeoutError:
            raise Timeout(f"not done within {self._timeout} s: {self.said}") from None
