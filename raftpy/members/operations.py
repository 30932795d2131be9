"""Operations on the member table: how it comes about on a node, and what it means to it.

    hellos, pins, own addresses --(the leader, when they differ from the table)--> a change that updates a member
    set_priority, set_max_command --(the leader, when asked)------------------------> such a change, too
    changes of the members        --(the leader, when asked; changes.py)------------> a change of the configuration
    the change, applied         --> table --> whom the transport speaks to, and pins (store and transport), HTTP
                                              addresses, priorities and witnesses, and the largest command

Only the leader proposes: one change at a time, with all the records that differ, and only once it has applied an entry
of its own term, so that its table is as new as any. What it hears itself counts; so after its change is applied nothing
differs, and it is silent until something new is heard. Two leaders that have heard different addresses each say so at
most once in their term.

A change of the members is done once an entry behind it is committed. A configuration counts from where its entry is
applied (etcd/raft), so a node that starts again must know that it was committed; the commit index is written with the
next entry only. The entry behind is acknowledged by a majority of the new configuration, each of which has written with
it that the change is committed: so whatever is switched off then, the new members find one another. Who was removed
is told so, and ends, no sooner: until then what is elected after a crash may need its vote. The leader sees to an entry
behind each removal, also one of a former leader's.

The table changes nothing of what was promised before it. Why a pin that it contradicts is replaced, why that ends a
leadership, and why a node that it does not know stops: docs/design.md, decision 5.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from raftcore.api.raw_node import RawNode
from raftcore.base.errors import ConfigError, DecodeError, ProposalDropped, RaftError
from raftcore.base.types import StateType
from raftcore.values.changes import ConfChange, ConfChangeType, ConfChangeV2
from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.errors import ChangeRefused, Timeout, WrongIdentity
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.contracts.types import RemovedMember
from raftpy.members.addresses import Addresses
from raftpy.members.changes import KEEPS_UP, MemberChange, Plan, Situation, members_of, plan
from raftpy.members.due import Due
from raftpy.members.table import MemberRecord, MemberTable, encode_records

CHANGE_OVERHEAD = 32
"""More than a configuration change of one node takes beside its context."""

log = logging.getLogger("raftpy")


@dataclass(slots=True)
class PriorityRequest:
    """A ``priority`` that somebody waits to be set for the member ``node_id``: until ``done`` has an outcome.
    ``index``: of the entry it went into, 0 while it is in none."""

    node_id: int
    priority: int
    done: asyncio.Future[None]
    index: int = 0

    def __str__(self) -> str:
        return f"the priority of node {self.node_id}"


@dataclass(slots=True)
class LimitRequest:
    """A largest command of ``max_command`` bytes that somebody waits to be set; ``done`` and ``index`` as above."""

    max_command: int
    done: asyncio.Future[None]
    index: int = 0

    def __str__(self) -> str:
        return "the largest command"


@dataclass(slots=True)
class ChangeRequest:
    """``changes`` of the members that somebody waits for; ``done`` and ``index`` as above, with the index of the
    configuration that it has come to. ``confirmed_by``: of the entry behind it; 0: there is none yet."""

    changes: Sequence[MemberChange]
    expected: int | None
    """The index of the configuration that it is meant for; None: whichever it is."""
    safe: bool
    """Whether it is refused, too, where no majority would be up."""
    done: asyncio.Future[int]
    index: int = 0
    applied: bool = False
    """The configuration is as it was asked for, and it has been left if it was a joint one."""
    confirmed_by: int = 0

    def __str__(self) -> str:
        return "the change of the members"


_Request = PriorityRequest | LimitRequest | ChangeRequest

_Wanted = tuple[Sequence[_Request], ConfChangeV2]
"""What the next entry is to say, and whose requests it answers."""


class MemberOperations(Due):
    """What one node knows of the members. All calls are made in the event loop's thread.

    ``stepped_down``: since the last change of its role this node was made to give up leadership or candidacy here.
    ``members``: node id to UDP address of the members; ``peers``: of all whom this node speaks to, itself among them.
    ``gone``: who was removed, and may end.
    """

    def __init__(
        self,
        config: Config,
        raw: RawNode,
        storage: Storage,
        transport: Transport,
        clock: Clock,
        addresses: Addresses,
        store_id: int,
        prefer: Callable[[Mapping[int, int]], object] = lambda _: None,
        limit: Callable[[int], object] = lambda _: None,
        meet: Callable[[], object] = lambda: None,
        *,
        several: bool = False,
    ) -> None:
        """``prefer``: told the priorities, by node id, whenever they change, for the host's other groups. ``limit``:
        told the largest command in bytes whenever that changes, for all of them. ``meet``: called whenever ``peers``
        or ``gone`` changes. ``several``: the host has several groups."""
        super().__init__()
        self.table = MemberTable()
        self.stepped_down = False
        self._config = config
        self._raw = raw
        self._storage = storage
        self._transport = transport
        self._clock = clock
        self._addresses = addresses
        self._store_id = store_id
        self._prefer = prefer
        self._limit = limit
        self._meet = meet
        self._several = several
        self._conf = raw.conf_state  # as applied last
        self.members = addresses.members(self._conf, self.table)
        self.peers = addresses.peers(self._conf, self.table)
        self.gone: dict[int, RemovedMember] = {}
        self._term = 0  # in which the requests were taken
        self._http: dict[int, str] = {}  # the last word on each peer, its own or the table's; empty: it serves none
        self._requests: list[_Request] = []
        self._warned: set[object] = set()

    def restore(self, table: MemberTable | None) -> None:
        """The table as it stands in the snapshot that this node goes on from, if any: at a start, before anything else,
        and when the leader's snapshot has taken the place of what was here.

        Raises ``WrongIdentity`` where it knows this node's id by another store, and ``StorageFailed``.
        """
        before, self.table = self.table, MemberTable() if table is None else table
        self._conf = self._raw.conf_state
        self._changed(before)

    # --- What is known ------------------------------------------------------------------------------------------

    def http(self, node_id: int) -> str | None:
        """HTTP address of a member, None when it serves none or none is known.

        The newer word counts: what the peer itself has told since the table last changed it, else the table's.
        """
        if node_id == self._config.id:
            return self._config.http
        return self._http.get(node_id) or None

    def priority(self, node_id: int) -> int:
        """The member's election priority; 0 unless it was set."""
        record = self.table.get(node_id)
        return 0 if record is None else record.priority

    # --- What happens -------------------------------------------------------------------------------------------

    def heard(self, node_id: int) -> None:
        """A peer has told something new of itself (``Transport.on_heard``)."""
        told = self._transport.heard(node_id).http_address
        if told is not None:
            self._http[node_id] = told
        self.due = self._raw.state == StateType.StateLeader

    def role_changed(self, not_leader: Callable[[], RaftError]) -> None:
        """This node's role, or the leader it knows, has changed; ``not_leader`` makes what a request is told."""
        leads = self._raw.state == StateType.StateLeader
        self.stepped_down = False
        if self._requests and not (leads and self._raw.term == self._term):
            requests, self._requests = self._requests, []
            for request in requests:
                _fail(request, not_leader() if not request.index else _unknown_outcome(request))
        self.due = leads

    def tick(self) -> None:
        """Time has passed: what was refused for a while may be tried again."""
        if self.retry:
            self.retry = False
            self.due = self._raw.state == StateType.StateLeader

    def stop(self, error: Callable[[], RaftError]) -> None:
        """Whoever waits hears ``error()``."""
        for request in self._requests:
            _fail(request, error())
        self._requests = []

    def configured(self, index: int, records: bytes) -> None:
        """The configuration entry at ``index`` has been applied; ``records`` of members are what it says beside it.

        Raises ``WrongIdentity`` when the table now knows this node's id by another store, and ``StorageFailed``.
        """
        before = self.table.copy()
        conf, self._conf = self._conf, self._raw.conf_state
        for node_id in sorted(members_of(conf) - members_of(self._conf)):
            self.table.remove(node_id, index)
        if records:
            self._take(index, records)
        self._changed(before)
        for request in self._requests:
            self._has_applied(request, index)
        self._forget_done()
        self.due = self._raw.state == StateType.StateLeader

    def _has_applied(self, request: _Request, index: int) -> None:
        if not 0 < request.index <= index or request.done.done():
            return
        if not isinstance(request, ChangeRequest):
            request.done.set_result(None)
        elif 0 < request.confirmed_by <= index:
            request.done.set_result(self._raw.conf_index)
        else:
            request.applied = not self._raw.conf_state.voters_outgoing

    # --- The table, applied -------------------------------------------------------------------------------------

    def _take(self, index: int, records: bytes) -> None:
        try:
            refused = self.table.apply(records)
        except DecodeError as error:
            self._warn_once("context", f"the context of the configuration change at {index} does nothing: {error}")
            return
        for node_id in refused:
            self._warn_once(
                ("store", node_id),
                f"the change at {index} names another store for node {node_id}, or another kind of member: "
                "it does nothing",
            )

    def _changed(self, before: MemberTable) -> None:
        for node_id in self.table:
            record = self.table.get(node_id)
            if record is not None and record != (known := before.get(node_id)):
                self._adopt(node_id, record, known or MemberRecord())
        if self.table.witnesses() != before.witnesses() or self.table.priorities() != before.priorities():
            self._raw.set_members(self.table.witnesses(), self.table.priorities())
            self._prefer(self.table.priorities())
        if self.table.max_command != before.max_command:
            self._limit(self.table.max_command)
        self.members = self._addresses.members(self._conf, self.table)
        peers = self._addresses.peers(self._conf, self.table)
        gone = {
            node_id: member for node_id, member in self.table.removed.items() if member.index < self._raw.conf_index
        }
        if peers != self.peers or gone != self.gone:
            self.peers, self.gone = peers, gone
            self._meet()

    def _adopt(self, node_id: int, record: MemberRecord, known: MemberRecord) -> None:
        if node_id == self._config.id:
            if record.store_id not in (0, self._store_id):
                # Kept as a pin of our own id, so that the next start does not even begin to take part.
                self._storage.pin(node_id, record.store_id, replace=True)
                raise contradicted(node_id, self._store_id, record.store_id)
            return
        if record.http != known.http:
            self._http[node_id] = record.http
        if record.store_id:
            self._pin(node_id, record.store_id)

    def _pin(self, node_id: int, store_id: int) -> None:
        pinned = self._transport.heard(node_id).store_id
        if pinned == store_id:
            return
        self._storage.pin(node_id, store_id, replace=True)
        self._transport.pin(node_id, store_id)
        if pinned:
            log.warning(
                "node %d: node %d was known here by data directory %#x; the cluster has agreed on %#x, which counts",
                self._config.id,
                node_id,
                pinned,
                store_id,
            )
            # Votes and acknowledgements of the other store must not count for this one.
            self.stepped_down = True
            self._raw.step_down()

    # --- Proposing ----------------------------------------------------------------------------------------------

    def propose(self) -> bool:
        """Puts what the table does not say yet into the log, if this node leads and may now. Has something gone in?"""
        raw = self._raw
        if raw.state != StateType.StateLeader:
            self.due = False
            return False
        if not self._may_propose():
            return False  # due until it may: something under way has to be applied first
        self.due = False
        unlisted = any(self.table.get(node_id) is None for node_id in self.members)
        wanted = (
            self._wanted_limit()
            or (self._wanted_records() if unlisted else None)  # whoever is removed is told so at the address there
            or self._wanted_change()
            or self._wanted_records()
            or self._wanted_behind()
        )
        if wanted is None:
            return False
        requests, change = wanted
        try:
            proposed = raw.propose_conf_change(change, self._clock.wall_ms(), expected_conf_index=raw.conf_index)
        except ProposalDropped:
            self.retry = True  # leadership is being handed over, or too much is uncommitted
            return False
        if proposed.refused is not None:  # in spite of _may_propose: not again before something new happens
            self._warn_once(proposed.refused, f"a change of the member table was refused: {proposed.refused}")
            return True
        for waiting in self._to_be_confirmed():
            waiting.confirmed_by = proposed.index
        for request in requests:
            request.index = proposed.index
        return True

    def _may_propose(self) -> bool:
        """Is the table as new as any, and would the core take a change now?"""
        raw = self._raw
        applied = raw.applied_index
        return (
            raw.term_at(applied) == raw.term
            and raw.pending_conf_index <= applied
            and not raw.conf_state.voters_outgoing
        )

    def _wanted_limit(self) -> _Wanted | None:
        """The largest command that was asked for last, in an entry of its own: a release that does not know that form
        takes nothing from it, and must not miss a record."""
        requests = [each for each in self._asked() if isinstance(each, LimitRequest)]
        if not requests:
            return None
        if requests[-1].max_command == self.table.max_command:
            for request in requests:
                request.done.set_result(None)
            self._forget_done()
            return None
        return requests, self._update(self._config.id, encode_records({}, requests[-1].max_command))

    def _update(self, node_id: int, context: bytes = b"") -> ConfChangeV2:
        # One change only: two would go through a joint configuration (thesis 4.3), whatever they are.
        return ConfChangeV2((ConfChange(ConfChangeType.UpdateNode, node_id),), context=context)

    def _wanted_change(self) -> _Wanted | None:
        """The members as they were asked to be first, if nothing is against it."""
        for request in [each for each in self._asked() if isinstance(each, ChangeRequest)]:
            try:
                planned = self._plan(request)
            except (ChangeRefused, ValueError, TypeError) as error:
                _fail(request, error)
                continue
            context = encode_records(planned.records) if planned.records else b""
            if planned.changes:
                return [request], ConfChangeV2(tuple(planned.changes), context=context)
            if planned.records:
                return [request], self._update(next(iter(planned.records)), context)
            request.index, request.applied = self._raw.conf_index, True
        self._forget_done()
        return None

    def _plan(self, request: ChangeRequest) -> Plan:
        raw = self._raw
        if request.expected is not None and request.expected != raw.conf_index:
            raise ChangeRefused(
                f"the configuration is that of index {raw.conf_index}, and not {request.expected} as expected"
            )
        planned = plan(request.changes, self._situation(), safe=request.safe)
        if len(encode_records(planned.records)) > self._transport.max_command - CHANGE_OVERHEAD * len(request.changes):
            raise ValueError(f"{len(request.changes)} changes do not fit one entry: ask for fewer at a time")
        return planned

    def _situation(self) -> Situation:
        progress, last = self._raw.status().progress, self._raw.last_index

        def lacks(node_id: int) -> int | None:
            member = progress.get(node_id)
            return None if member is None or member.state != "StateReplicate" else last - member.match

        return Situation(
            self._config.id,
            self._conf,
            self.table,
            self.members,
            self._transport.reachable,
            lacks,
            self._addresses.begun_alone,
            self._several,
        )

    def could_be_voter(self, node_id: int) -> bool:
        """On the leader: whether the learner was heard and has the log, or is a voter. Raises ``ChangeRefused`` where
        it is no member any more."""
        if node_id in self._conf.voters:
            return True
        if node_id not in self.members:
            raise ChangeRefused(f"node {node_id} was removed meanwhile")
        record = self.table.get(node_id)
        lacks = self._situation().lacks(node_id)
        known = record is not None and record.store_id != 0
        return known and self._transport.reachable(node_id) and lacks is not None and lacks <= KEEPS_UP

    def _wanted_behind(self) -> _Wanted | None:
        """An entry that says nothing, where one is wanted behind a change of the members."""
        raw = self._raw
        alone = any(member.index == raw.conf_index for member in self.table.removed.values())
        return ((), self._update(self._config.id)) if alone or self._to_be_confirmed() else None

    def _to_be_confirmed(self) -> list[ChangeRequest]:
        return [
            each
            for each in self._requests
            if isinstance(each, ChangeRequest) and each.applied and not each.confirmed_by and not each.done.done()
        ]

    def _wanted_records(self) -> _Wanted | None:
        """The records that differ, with the node that the change "updates"."""
        records = self._differing()
        if not records:
            return None
        requests = [each for each in self._priorities() if each.node_id in records]
        return requests, self._update(next(iter(records)), encode_records(records))

    def _asked(self) -> Iterator[_Request]:
        """The requests that are in no entry yet, and wanted still."""
        return (request for request in self._requests if not request.index and not request.done.done())

    def _priorities(self) -> list[PriorityRequest]:
        """Of these, those for a priority."""
        return [request for request in self._asked() if isinstance(request, PriorityRequest)]

    def _forget_done(self) -> None:
        self._requests = [request for request in self._requests if not request.done.done()]

    def _differing(self) -> dict[int, MemberRecord]:
        """What this leader knows better than the table, as much as one entry carries; requests come first."""
        room = self._transport.max_command - CHANGE_OVERHEAD
        first = {request.node_id: None for request in self._requests if isinstance(request, PriorityRequest)}
        records: dict[int, MemberRecord] = {}
        for node_id in {**first, **self.members}:
            if node_id not in self.members:
                self._give_up(node_id, f"node {node_id} is no member any more")
                continue
            try:
                record = self._desired(node_id)
            except ValueError as error:
                self._give_up(node_id, f"node {node_id} gets no place in the member table: {error}")
                continue
            if record == self.table.get(node_id):
                self._fulfil(node_id)
                continue
            if len(encode_records({**records, node_id: record})) <= room:
                records[node_id] = record
            elif records:
                break  # the rest goes into the next one, when this is applied
            else:
                self._give_up(node_id, f"node {node_id}'s member record is too large for {room} bytes")
        return records

    def _desired(self, node_id: int) -> MemberRecord:
        known = self.table.get(node_id) or MemberRecord()
        if node_id == self._config.id:
            http: str | None = self._config.http or ""
            store_id = self._store_id
        else:
            heard = self._transport.heard(node_id)
            http, store_id = heard.http_address, heard.store_id
        wanted = [request.priority for request in self._priorities() if request.node_id == node_id]
        return replace(
            known,
            udp=known.udp or self.members.get(node_id, ""),
            http=known.http if http is None else http,
            store_id=known.store_id or store_id,  # a pin is for ever
            priority=wanted[-1] if wanted else known.priority,
        )

    # --- What is asked for --------------------------------------------------------------------------------------

    def request_priority(self, node_id: int, priority: int, done: asyncio.Future[None]) -> None:
        """On the leader: wants this priority for a member; ``done`` when it is in the table and applied here."""
        self._request(PriorityRequest(node_id, priority, done))

    def request_limit(self, max_command: int, done: asyncio.Future[None]) -> None:
        """On the leader: wants commands of up to ``max_command`` bytes to be taken; ``done`` as above."""
        self._request(LimitRequest(max_command, done))

    def request_change(
        self, changes: Sequence[MemberChange], expected: int | None, safe: bool, done: asyncio.Future[int]
    ) -> None:
        """On the leader: wants the members to be changed, see ``plan``; ``done`` gives the index of the configuration
        that they then have, once it is committed for good and applied here, or why there was nothing of it."""
        self._request(ChangeRequest(changes, expected, safe, done))

    def _request(self, request: _Request) -> None:
        self._term = self._raw.term
        self._requests.append(request)
        self.due = True

    def _fulfil(self, node_id: int) -> None:
        """The table says of this member what was asked for."""
        for request in self._priorities():
            if request.node_id == node_id:
                request.done.set_result(None)
        self._forget_done()

    def _give_up(self, node_id: int, text: str) -> None:
        """No record can be made of this member: whoever asked for one hears why."""
        self._warn_once(("record", node_id), text)
        for request in self._priorities():
            if request.node_id == node_id:
                _fail(request, ConfigError(text))
        self._forget_done()

    def _warn_once(self, key: object, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            log.warning("node %d: %s", self._config.id, text)


def _fail(request: _Request, error: Exception) -> None:
    if not request.done.done():
        request.done.set_exception(error)


def _unknown_outcome(request: _Request) -> Timeout:
    if isinstance(request, ChangeRequest):
        return Timeout(f"leadership was lost: {request} may or may not have been made; it may be asked for again")
    return Timeout(f"leadership was lost: {request} may or may not have been set")


def contradicted(node_id: int, store_id: int, agreed: int) -> WrongIdentity:
    """The member table knows ``node_id`` by the store ``agreed``, and this is ``store_id``."""
    return WrongIdentity(
        f"node {node_id} is known to its cluster by data directory {agreed:#x}, and this one is {store_id:#x}: it was "
        "emptied, replaced or copied; bring the node back under a new node id with an empty directory"
    )
