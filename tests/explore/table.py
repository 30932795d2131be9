"""The states a single node can be in, and what each event makes of it: every step of the core, taken once.

A cluster's state is its nodes' states and the messages between them, and a step changes one node only. So the core is
asked once for each (node state, event), however many clusters that node state is part of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftcore import StateType
from raftcore.check.protocol_state import ProtocolState
from raftcore.testing.exploration import protocol_state
from raftcore.testing.memory_storage import MemoryStorage
from tests.explore import rules
from tests.explore.member import Member, Stage
from tests.explore.naming import Numbers, member_key, what_matters
from tests.explore.network import Network, Standing, each
from tests.explore.past import Past
from tests.explore.scope import ANY, Scope

Event = tuple[int, str, Any]  # node, what happens (a method of Stage), its argument


class Local:
    """One state of one node."""

    __slots__ = (
        "broken",
        "committed",
        "compared",
        "deliveries",
        "echoes",
        "inert",
        "index",
        "joined",
        "member",
        "slot",
        "standing",
        "state",
        "steps",
        "tried",
    )

    def __init__(self, index: int, member: Member, state: ProtocolState, joined: int, standing: Standing) -> None:
        self.index = index
        self.member = member
        self.state = state
        self.slot = state.id - 1
        self.joined = joined
        """Its number for fingerprints."""
        self.standing = standing
        self.committed = tuple([term for term, _, _ in state.log.entries[: state.log.committed]])
        self.broken: str | None = None
        self.steps: list[Step] | None = None
        """What it may do by itself; None: not asked yet."""
        self.deliveries: dict[int, Step | None] = {}
        """Message -> what it does here; None: it leads out of the scope."""
        self.echoes: dict[int, int] = {}
        """Messages to it -> what it sends for them without changing."""
        self.inert = 0
        """Set of messages known to do nothing here."""
        self.compared: set[object] = set()
        """Other node states and pasts that it has been compared with."""
        self.tried = 0
        """Set of outgrown messages that were tried on the core."""


class Step:
    """What an event does to one node."""

    __slots__ = ("broken", "event", "reads", "sent", "target", "won")

    def __init__(
        self, event: Event, target: Local, sent: int, won: int, reads: list[tuple[int, bytes]], broken: str | None
    ) -> None:
        self.event = event
        self.target = target
        self.sent = sent
        """Set of messages that leave; with the claim, if the node has become leader."""
        self.won = won
        """The term that the node has become leader of, 0: it has not."""
        self.reads = reads
        self.broken = broken


class Table:
    """All node states and steps met so far."""

    def __init__(
        self, scope: Scope, numbers: Numbers, network: Network, storage: Callable[[], MemoryStorage] = MemoryStorage
    ) -> None:
        self.scope = scope
        self.storage = storage
        self.numbers = numbers
        self.network = network
        self.known: dict[tuple[Any, ...], Local] = {}
        self.locals: list[Local] = []
        self.taken: dict[tuple[int, str, Any], Step | None] = {}

    def first(self) -> list[Local]:
        """Every node at its very first start."""
        return [self.intern(Member.restarted(self.scope, node, self.storage())) for node in self.scope.ids]

    def intern(self, member: Member) -> Local:
        key = member_key(member, self.scope, self.numbers.same)
        found = self.known.get(key)
        if found is None:
            state = what_matters(protocol_state(member.raw), self.scope)
            standing = self.network.standing(state)
            joined = self.numbers.of(lambda renaming: member_key(member, self.scope, renaming))
            found = self.known[key] = Local(len(self.locals), member, state, joined, standing)
            self.locals.append(found)
            found.broken = rules.one_node(member, state, self.scope)
        return found

    # -- what can happen ---------------------------------------------------------------------------------------------

    def own_steps(self, local: Local) -> list[Step]:
        """What the node may do by itself, as often as it likes."""
        if local.steps is None:
            taken = [self.step(local, name, argument) for name, argument in self._own_events(local)]
            local.steps = [step for step in taken if step is not None and self.does_something(local, step)]
        return local.steps

    def _own_events(self, local: Local) -> list[tuple[str, Any]]:
        scope, state = self.scope, local.state
        events: list[tuple[str, Any]] = [("write", None)] if local.member.writes else []
        if state.role != StateType.StateLeader:
            events += [("campaign", None)] if state.term < scope.terms else []
            quiet = scope.check_quorum and state.leader != 0 and not state.timeout_passed
            return events + ([("silence", None)] if quiet else [])
        if state.log.last < scope.log:
            events.append(("propose", None))
        if scope.heartbeats == ANY:
            events.append(("heartbeat", None))
        if scope.leader_timeouts:
            events.append(("leader_timeout", None))
        if scope.unreachable:
            events += [("unreachable", node) for node in scope.ids if node != state.id]
        return events

    def limited_events(self, local: Local, past: Past) -> list[tuple[str, Any]]:
        """What may happen only so many times in all."""
        scope, state = self.scope, local.state
        events: list[tuple[str, Any]] = []
        crashes, heartbeats, transfers, changes = past.spent
        if crashes < scope.crashes:
            events.append(("crash", None))
        if len(past.reads) < scope.reads:
            events.append(("read", b"%d" % len(past.reads)))
        if state.role == StateType.StateLeader:
            if heartbeats < scope.heartbeats:
                events.append(("heartbeat", None))
            if transfers < scope.transfers:
                events += [("transfer", node) for node in scope.ids if node != state.id]
            if scope.change and changes == 0 and state.log.last < scope.log:
                events.append(("change", None))
        return events

    @staticmethod
    def does_something(local: Local, step: Step) -> bool:
        return step.target is not local or bool(step.sent) or bool(step.reads) or step.broken is not None

    def echo(self, local: Local, waiting: int) -> int:
        """What a node sends, of itself or for the messages that wait for it, while it stays as it is."""
        found = local.echoes.get(waiting)
        if found is None:
            found = 0
            for step in self.own_steps(local):
                found |= step.sent if step.target is local else 0
            for message in each(waiting & ~local.inert):
                step = local.deliveries[message] if message in local.deliveries else self.delivery(local, message)
                found |= step.sent if step is not None and step.target is local else 0
            local.echoes[waiting] = found
        return found

    # -- steps -------------------------------------------------------------------------------------------------------

    def step(self, local: Local, name: str, argument: Any = None) -> Step | None:
        """What the event makes of the node; None when that lies beyond the scope."""
        key = (local.index, name, argument)
        if key not in self.taken:
            self.taken[key] = self._take(local, name, argument)
        return self.taken[key]

    def _take(self, local: Local, name: str, argument: Any) -> Step | None:
        given = self.network.messages[argument] if name == "deliver" else argument
        outcome = Stage(self.scope, local.member).run(name, given)
        after = outcome.member
        event = (local.state.id, name, argument)
        if outcome.broken is not None:
            return Step(event, local, 0, 0, [], outcome.broken)
        if after.raw.term > self.scope.terms or self.too_many_reads(after) or self.too_many_writes(after):
            return None
        target = self.intern(after)
        sent = 0
        for message in outcome.sent:
            sent |= self.network.bit(message)
        won = 0
        if target.state.role == StateType.StateLeader and target is not local:
            sent |= self.network.claim(target.state.term, target.state.id)
            if local.state.role != StateType.StateLeader or local.state.term != target.state.term:
                won = target.state.term
        broken = target.broken
        if broken is None and target is not local:
            volatile = name == "crash" and self.scope.async_writes
            broken = rules.one_step(local.member, after, volatile)
        return Step(event, target, sent, won, outcome.reads, broken)

    def too_many_reads(self, member: Member) -> bool:
        """A forwarded read that comes again is a further read to the leader: without a bound it would come for ever."""
        if not self.scope.reads:
            return False
        reads = protocol_state(member.raw).reads
        most = self.scope.reads + 1
        return reads.round > most or len(reads.requests) + len(reads.postponed) > most

    def too_many_writes(self, member: Member) -> bool:
        return self.scope.async_writes and len(member.writes) > self.scope.waiting

    def delivery(self, local: Local, message: int) -> Step | None:
        """What a message does here. One that does nothing is noted in ``local.inert``."""
        step = self._take(local, "deliver", message)
        if step is not None and not self.does_something(local, step):
            local.inert |= 1 << message
            return None
        local.deliveries[message] = step
        return step
