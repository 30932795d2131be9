"""One node under exploration: a core, its storage, and the writes that wait; each event makes a new one.

An event is carried out to its end: the whole Ready is taken, what it wants applied is applied, what may leave is
handed back. With atomic steps the writes are done as well; with ``async_writes`` they wait for an event of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftcore import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    EntryKind,
    HardState,
    InitialState,
    Message,
    MessageType,
    RawNode,
    StateType,
)
from raftcore.base.errors import (
    InvariantViolation,
    PeerFault,
    ProposalDropped,
    RaftError,
    StepPeerNotFound,
)
from raftcore.testing.exploration import set_elapsed
from raftcore.testing.memory_storage import MemoryStorage
from tests.explore.scope import ELECTION_TICK, HEARTBEAT_TICK, Scope


class Broken(Exception):
    """A rule does not hold; the text names it."""


@dataclass
class Outcome:
    """What an event made of a member."""

    member: Member
    sent: list[Message] = field(default_factory=list)
    reads: list[tuple[int, bytes]] = field(default_factory=list)
    broken: str | None = None


class Member:
    """Never changed once it has been handed out: events work on a copy."""

    __slots__ = ("committed_only", "raw", "storage", "writes")

    def __init__(self, raw: RawNode, storage: MemoryStorage, writes: list[Message], committed_only: HardState | None):
        self.raw = raw
        self.storage = storage
        self.writes = writes
        """Storage work handed out and not done, oldest first."""
        self.committed_only = committed_only
        """A hard state that need not be durable: it rides in the next write that must be."""

    @classmethod
    def restarted(cls, scope: Scope, node_id: int, storage: MemoryStorage) -> Member:
        """Begins from what the storage holds. Of the commit index nothing is known: it is volatile (Figure 2)."""
        kept = storage.initial_state()
        initial = InitialState(
            hard_state=HardState(kept.hard_state.term, kept.hard_state.vote, 0),
            conf_state=scope.conf_state,
            last_index=kept.last_index,
            term_runs=kept.term_runs,
            last_time_ms=kept.last_time_ms,
        )
        return cls(RawNode(scope.config(node_id), initial, storage), storage, [], None)

    def copy(self) -> Member:
        storage = self.storage.clone()
        return Member(self.raw.clone(storage), storage, list(self.writes), self.committed_only)


class Stage:
    """Carries out one event on a copy of a member."""

    def __init__(self, scope: Scope, member: Member) -> None:
        self.scope = scope
        self.member = member.copy()
        self.outcome = Outcome(self.member)

    # -- the events --------------------------------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        self.member.raw.step(message)

    def campaign(self) -> None:
        """The election timeout passes."""
        self.member.raw.campaign()

    def heartbeat(self) -> None:
        set_elapsed(self.member.raw, 0, HEARTBEAT_TICK - 1)
        self.member.raw.tick()
        set_elapsed(self.member.raw, 0)

    def leader_timeout(self) -> None:
        """An election timeout passes at a leader; heartbeats are events of their own.

        How long a voter is left alone that did not stand by priority is time, which passes at once: else it would be
        part of every state, and there would be hundreds of times as many.
        """
        set_elapsed(self.member.raw, ELECTION_TICK - 1)
        self.member.raw.tick()
        for voter in self.scope.ids:
            self.member.raw.report_started(voter)
        if self.member.raw.state == StateType.StateLeader:
            set_elapsed(self.member.raw, 0)

    def silence(self) -> None:
        """So much time passes without word of a leader that this node may vote again; it does not stand yet."""
        set_elapsed(self.member.raw, ELECTION_TICK)

    def propose(self) -> None:
        """A command that nobody else can have proposed: a term has one leader."""
        raw = self.member.raw
        raw.propose([b"%d.%d" % (raw.term, raw.last_index + 1)])

    def change(self) -> None:
        self.member.raw.propose_conf_change(self.scope.conf_change)

    def transfer(self, target: int) -> None:
        self.member.raw.transfer_leader(target)

    def read(self, context: bytes) -> None:
        self.member.raw.read_index(context)

    def unreachable(self, node_id: int) -> None:
        self.member.raw.report_unreachable(node_id)

    def write(self) -> None:
        """The oldest write reaches the disk."""
        self.collect()
        self.write_one()

    def crash(self) -> None:
        """All that is not on the disk is gone; the node begins again."""
        raw, storage = self.member.raw, self.member.storage
        self.member = self.outcome.member = Member.restarted(self.scope, raw.id, storage)

    # -- the driver's part -------------------------------------------------------------------------------------------

    def run(self, event: str, argument: object = None) -> Outcome:
        """The event and all that follows from it on this node."""
        try:
            getattr(self, event)(*(() if argument is None else (argument,)))
            self.collect()
            while self.member.writes and not self.scope.async_writes:
                self.write_one()
        except (ProposalDropped, StepPeerNotFound):
            self.collect()
        except PeerFault as error:
            self.outcome.broken = f"F1: a correct peer is accused: {error}"
        except (InvariantViolation, Broken) as error:
            self.outcome.broken = str(error)
        except RaftError as error:
            self.outcome.broken = f"F2: {type(error).__name__}: {error}"
        return self.outcome

    def collect(self) -> None:
        """Takes what the core wants done until it wants nothing more."""
        raw = self.member.raw
        while raw.has_ready():
            ready = raw.ready()
            self.outcome.reads.extend(ready.read_states)
            for message in ready.messages:
                if message.to == LOCAL_APPEND_THREAD:
                    self.member.writes.append(message)
                elif message.to == LOCAL_APPLY_THREAD:
                    self.apply(message)
                else:
                    self.outcome.sent.append(message)

    def write_one(self) -> None:
        """Does the oldest storage work, then what hangs on it."""
        message = self.member.writes.pop(0)
        storage = self.member.storage
        if message.term or message.vote or message.commit:
            self.member.committed_only = HardState(message.term, message.vote, 0)
        if message.must_sync:
            if self.member.committed_only is not None:
                storage.set_hard_state(self.member.committed_only)
                self.member.committed_only = None
            if message.entries is not None:
                storage.append(message.entries)
        for response in message.responses or []:
            self.promise_is_durable(response)
            if response.to == self.member.raw.id:
                self.member.raw.step(response)
            else:
                self.outcome.sent.append(response)
        self.collect()

    def promise_is_durable(self, response: Message) -> None:
        """D1, D2: what a vote or an acknowledgement promises is on the disk before it leaves (thesis 3.8)."""
        storage, hard = self.member.storage, self.member.storage.hard_state
        me = self.member.raw.id
        if response.reject:
            return
        voted = hard.term > response.term or (hard.term, hard.vote) == (response.term, response.to)
        if response.type == MessageType.MsgVoteResp and not voted:
            raise Broken(f"D1: node {me} votes for {response.to} in term {response.term}, its disk says {hard!r}")
        behind = hard.term < response.term or storage.last_index < response.index
        if response.type == MessageType.MsgAppResp and behind:
            raise Broken(
                f"D2: node {me} acknowledges {response.index} in term {response.term}, its disk holds entries up "
                f"to {storage.last_index} and {hard!r}"
            )

    def apply(self, message: Message) -> None:
        assert message.entries is not None
        for entry in message.entries:
            if entry.kind == EntryKind.EntryConfChange:
                self.member.raw.apply_conf_change(ConfChange.decode(entry.data), entry.index)
        for response in message.responses or []:
            self.member.raw.step(response)
