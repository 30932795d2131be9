"""What can be changed of the members, and what such a change comes to: entries of the log, or a reason against it.

    AddMember        a learner: it gets the log, and has no vote (thesis 4.2.1)
    PromoteMember    a learner that holds (nearly) all of the log becomes a voter
    DemoteMember     a voter becomes a learner
    RemoveMember     neither any more, and its id is used up
    SetAddress       reached at another address from now on

Several at once change the voters through a joint configuration (thesis 4.3), which the core enters and leaves. `plan`
looks at the configuration and the table as they are applied on the leader; nothing is in the log before it has found
nothing against it. A change that is there already comes to nothing, so whoever does not know whether it was made asks
for it again.

Why a voter's store must be known: an emptied disk under a voter's id would deny what the id has promised. Everybody who
counts a member as a voter has applied, before, the entry that binds its id to one store, and speaks to no other
(docs/design.md, decision 5). So a member begins as a learner, and stays one until it has been heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from raftcore.base.types import LARGEST_ID
from raftcore.membership.quorum import VoteResult, vote_result
from raftcore.values.changes import ConfChange, ConfChangeType
from raftcore.values.message import ConfState
from raftpy.config import check_udp, checked_http
from raftpy.contracts.errors import ChangeRefused
from raftpy.members.table import MemberRecord, MemberTable

KEEPS_UP = 1000
"""Entries of the log that a learner may lack when it becomes a voter: so many it gets in a few round trips."""


@dataclass(frozen=True, slots=True)
class AddMember:
    """Makes ``id``, reached at the UDP address ``udp`` (``host:port``), a learner."""

    id: int
    udp: str
    http: str | None = None
    """Where its clients reach it; None: it says so itself."""


@dataclass(frozen=True, slots=True)
class PromoteMember:
    """Makes the learner ``id`` a voter."""

    id: int


@dataclass(frozen=True, slots=True)
class DemoteMember:
    """Makes the voter ``id`` a learner."""

    id: int


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Takes ``id`` out of the cluster, for ever."""

    id: int


@dataclass(frozen=True, slots=True)
class SetAddress:
    """``id`` is reached at other addresses from now on; None: that one stays."""

    id: int
    udp: str | None = None
    """``host:port``."""
    http: str | None = None
    """Where its clients reach it; what it says of itself takes the place of this."""


MemberChange = AddMember | PromoteMember | DemoteMember | RemoveMember | SetAddress


@dataclass(frozen=True, slots=True)
class Situation:
    """The members as the leader knows them now."""

    own_id: int
    """The leader."""
    conf: ConfState
    """The configuration as applied."""
    table: MemberTable
    """As applied."""
    addresses: Mapping[int, str]
    """Where each member is reached, by node id; empty: not known."""
    reachable: Callable[[int], bool]
    """Whether a member is heard."""
    lacks: Callable[[int], int | None]
    """How many entries of the log it lacks; None: that is not known, or it is not being sent them."""
    begun_alone: bool = False
    """The cluster was begun by one node."""
    other_groups: bool = False
    """Its hosts have other groups than the one whose members these are."""


@dataclass(slots=True)
class Plan:
    """What the entry says."""

    changes: list[ConfChange] = field(default_factory=list)
    """Of the configuration; none where only the table changes."""
    records: dict[int, MemberRecord] = field(default_factory=dict)
    """Of the table, by node id."""

    def __bool__(self) -> bool:
        return bool(self.changes or self.records)


def plan(changes: Sequence[MemberChange], now: Situation, *, safe: bool) -> Plan:
    """What ``changes``, in their order, come to; an empty plan where all of it is so already.

    ``safe``: also refused is what leaves the cluster without a majority that is up and has the log. Raises
    ``ChangeRefused`` with the reason, ``ValueError`` for what cannot be meant.
    """
    return _Planning(now).run(changes, safe)


class _Planning:
    def __init__(self, now: Situation) -> None:
        self.now = now
        self.plan = Plan()
        self.voters = set(now.conf.voters)
        self.learners = {*now.conf.learners, *now.conf.learners_next}
        self.addresses = dict(now.addresses)
        self.used_up = set(now.table.removed)
        self.named: set[int] = set()

    def run(self, changes: Sequence[MemberChange], safe: bool) -> Plan:
        for change in changes:
            if not isinstance(change, MemberChange):
                raise TypeError(f"a change of the members was expected, got {change!r}")
            _check_id(change.id)
            if change.id in self.named:
                raise ValueError(f"node {change.id} is named twice: one change of a member at a time")
            self.named.add(change.id)
            match change:
                case AddMember():
                    self._add(change)
                case PromoteMember():
                    self._promote(change.id, safe)
                case DemoteMember():
                    self._demote(change.id)
                case RemoveMember():
                    self._remove(change.id)
                case SetAddress():
                    self._move(change)
        if not self.voters:
            raise ChangeRefused("no voter would be left: a cluster has one at least")
        if self.now.own_id not in self.voters:
            raise ChangeRefused(
                f"node {self.now.own_id} leads, and would be no voter any more: hand leadership over first"
            )
        self._check_heard()
        if safe and self.plan.changes:
            self._check_quorum()
        return self.plan

    def _change(self, kind: ConfChangeType, node_id: int) -> None:
        self.plan.changes.append(ConfChange(kind, node_id))

    def _record(self, node_id: int) -> MemberRecord:
        return self.now.table.get(node_id) or MemberRecord(self.addresses.get(node_id, ""))

    def _known(self, node_id: int) -> bool:
        return node_id in self.voters or node_id in self.learners

    def _require(self, node_id: int) -> None:
        if node_id in self.used_up:
            raise ChangeRefused(f"node {node_id} was removed: its id is never used again")
        if not self._known(node_id):
            raise ValueError(f"node {node_id} is no member: {_listed(self.voters | self.learners)} are")

    def _free(self, udp: str, node_id: int) -> None:
        for other, address in self.addresses.items():
            if other != node_id and address == udp and other not in self.used_up:
                raise ChangeRefused(f"{udp} is the address of node {other}: each member needs its own")

    def _add(self, change: AddMember) -> None:
        node_id, udp = change.id, change.udp
        if node_id in self.used_up:
            raise ChangeRefused(
                f"node {node_id} was removed, and an id is never used again: the next free one is {self._next_id()}"
            )
        if self._known(node_id):
            if self.addresses.get(node_id) != udp:
                raise ChangeRefused(
                    f"node {node_id} is a member already, at {self.addresses.get(node_id) or 'an unknown address'}: "
                    f"to reach it at {udp} set its address"
                )
            return
        check_udp(f"the UDP address of node {node_id}", udp)
        if self.now.begun_alone:
            raise ChangeRefused(
                "this cluster was begun by one node, which has nobody to ask at a start: were its directory emptied, "
                "it would begin another cluster beside this one; begin with two nodes at least where more are to come"
            )
        self._free(udp, node_id)
        self.learners.add(node_id)
        self.addresses[node_id] = udp
        self._change(ConfChangeType.AddLearner, node_id)
        self.plan.records[node_id] = MemberRecord(udp, checked_http(change.http) if change.http else "")

    def _promote(self, node_id: int, safe: bool) -> None:
        self._require(node_id)
        if node_id in self.voters:
            return
        if not self._record(node_id).store_id:
            raise ChangeRefused(
                f"node {node_id} has not been heard yet, so that its data directory is not known: start it, at "
                f"{self.addresses.get(node_id) or 'an address that is known'}"
            )
        if safe:
            self._check_keeps_up(node_id)
        self.learners.discard(node_id)
        self.voters.add(node_id)
        self._change(ConfChangeType.AddNode, node_id)

    def _check_keeps_up(self, node_id: int) -> None:
        if not self.now.reachable(node_id):
            raise ChangeRefused(f"node {node_id} is not heard, and would be a voter that is down")
        lacks = self.now.lacks(node_id)
        if lacks is None or lacks > KEEPS_UP:
            how_many = "" if lacks is None else f": it lacks {lacks:,} entries, and {KEEPS_UP:,} are allowed"
            raise ChangeRefused(f"node {node_id} does not have the log yet{how_many}")

    def _demote(self, node_id: int) -> None:
        self._require(node_id)
        if node_id in self.learners:
            return
        self.voters.discard(node_id)
        self.learners.add(node_id)
        self._change(ConfChangeType.AddLearner, node_id)

    def _remove(self, node_id: int) -> None:
        if node_id in self.used_up:
            return
        self._require(node_id)
        if self.now.other_groups:
            raise ChangeRefused(
                f"node {node_id} may be a member of the other groups that hosts of this cluster have, and these keep "
                "their members: it would be missed there"
            )
        self.voters.discard(node_id)
        self.learners.discard(node_id)
        self.addresses.pop(node_id, None)
        self._change(ConfChangeType.RemoveNode, node_id)

    def _move(self, change: SetAddress) -> None:
        node_id = change.id
        self._require(node_id)
        known = self._record(node_id)
        udp = known.udp if change.udp is None else change.udp
        if change.udp is not None:
            check_udp(f"the UDP address of node {node_id}", udp)
            self._free(udp, node_id)
            self.addresses[node_id] = udp
        record = replace(known, udp=udp, http=checked_http(change.http) if change.http else known.http)
        if record != self.now.table.get(node_id):
            self.plan.records[node_id] = record

    def _check_heard(self) -> None:
        """A first member that holds nothing waits, at its start, for a word of all others that there were first."""
        gone = [change.node_id for change in self.plan.changes if change.type == ConfChangeType.RemoveNode]
        new = sorted(node_id for node_id in self.voters if not self._record(node_id).store_id)
        if gone and new:
            raise ChangeRefused(
                f"node {new[0]} has not been heard yet, and would wait for node {gone[0]} when it is started: start "
                "it, or remove it first"
            )

    def _check_quorum(self) -> None:
        up = {node_id for node_id in self.voters if node_id == self.now.own_id or self.now.reachable(node_id)}
        if vote_result([True if node_id in up else None for node_id in self.voters]) != VoteResult.VoteWon:
            missing = sorted(self.voters - up)
            raise ChangeRefused(
                f"of the voters {_listed(self.voters)} {_listed(missing)} {'is' if len(missing) == 1 else 'are'} not "
                "heard: no majority would be up"
            )

    def _next_id(self) -> int:
        return next_free_id(self.now.conf, self.now.table)


def members_of(conf: ConfState) -> set[int]:
    """Node ids of all that a configuration names, also those that it is about to let go."""
    return {*conf.voters, *conf.voters_outgoing, *conf.learners, *conf.learners_next}


def next_free_id(conf: ConfState, table: MemberTable) -> int:
    """The smallest id above all that were ever a member's."""
    ids: list[int] = [0, *members_of(conf), *table, *table.removed]
    return max(ids) + 1


def _check_id(node_id: object) -> None:
    if not isinstance(node_id, int) or isinstance(node_id, bool) or not 1 <= node_id <= LARGEST_ID:
        raise ValueError(f"node id {node_id!r}: allowed is a whole number from 1 to {LARGEST_ID}")


def _listed(node_ids: set[int] | list[int]) -> str:
    return ", ".join(map(str, sorted(node_ids))) or "none"
