"""Cores that talk to one another in memory: every message is seen, and may be held back, lost, repeated or reordered.

Each node runs in the driver's form over a MemoryStorage. Storage work is done when the node is asked to (``settle``
does it at once), messages between nodes wait in ``flying`` until they are delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from raftcore import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeV2,
    Config,
    ConfState,
    EntryKind,
    HardState,
    InitialState,
    Message,
    MessageType,
    RawNode,
    StateType,
)
from raftcore.base.errors import RaftError
from raftcore.testing.memory_storage import MemoryStorage

ELECTION_TICK = 10


class Member:
    """One core and its storage; a crash keeps the storage."""

    def __init__(self, node_id: int, voters: Iterable[int], learners: Iterable[int] = (), **options: Any) -> None:
        self.id = node_id
        self.options = options
        self.storage = MemoryStorage()
        self.conf_state = ConfState(voters=tuple(voters), learners=tuple(learners))
        self.applied: list[tuple[int, int, bytes]] = []  # (index, term, command) of normal entries
        self.applied_index = 0
        self.reads: list[tuple[int, bytes]] = []
        self.appends: list[Message] = []  # storage work not done yet
        self.errors: list[Exception] = []
        self.start()

    def start(self) -> None:
        """Begins (again) from what the storage holds; the state machine begins anew."""
        kept = self.storage.initial_state()
        initial = InitialState(
            hard_state=kept.hard_state,
            conf_state=self.conf_state,
            snapshot_index=kept.snapshot_index,
            snapshot_term=kept.snapshot_term,
            last_index=kept.last_index,
            term_runs=kept.term_runs,
            last_time_ms=kept.last_time_ms,
        )
        settings: dict[str, Any] = {"election_tick": ELECTION_TICK, "seed": 1, **self.options}
        self.raw = RawNode(Config(id=self.id, async_storage_writes=True, **settings), initial, self.storage)
        self.appends = []
        self.applied = []
        self.applied_index = kept.snapshot_index

    @property
    def role(self) -> StateType:
        return StateType(self.raw.state)

    def log(self) -> list[tuple[int, int]]:
        """(index, term) of every entry it has."""
        first, last = self.raw.first_index, self.raw.last_index
        return [(index, self.raw.term_at(index) or 0) for index in range(first, last + 1)]


class Network:
    """Members 1 to n (or the ids given) and the messages between them."""

    def __init__(self, ids: int | Iterable[int], *, learners: Iterable[int] = (), **options: Any) -> None:
        voters = list(range(1, ids + 1)) if isinstance(ids, int) else list(ids)
        learners = list(learners)
        self.members = {i: Member(i, voters, learners, **options) for i in voters + learners}
        self.flying: list[Message] = []
        self.sent: list[Message] = []  # all that ever went out
        self.cut: set[tuple[int, int]] = set()  # (from, to) that loses everything
        self.lose: Callable[[Message], bool] = lambda message: False
        self.now_ms = 0
        self.writes_held: set[int] = set()  # whose storage work waits until let go

    def __getitem__(self, node_id: int) -> Member:
        return self.members[node_id]

    # -- what a driver does ------------------------------------------------------------------------------------------

    def collect(self, member: Member) -> None:
        """Takes what the core wants done: messages fly, committed entries are applied, storage work is noted."""
        raw = member.raw
        while raw.has_ready():
            ready = raw.ready()
            member.reads.extend(ready.read_states)
            for message in ready.messages:
                if message.to == LOCAL_APPEND_THREAD:
                    member.appends.append(message)
                elif message.to == LOCAL_APPLY_THREAD:
                    self._apply(member, message)
                else:
                    self._fly(message)
            if member.id not in self.writes_held:
                self.write(member)

    def write(self, member: Member, count: int | None = None) -> None:
        """Does the storage work that waits, in order, and what hangs on it."""
        due = member.appends[:count]
        del member.appends[: len(due)]
        for message in due:
            if message.term or message.vote or message.commit:
                member.storage.set_hard_state(HardState(message.term, message.vote, message.commit))
            if message.snapshot is not None:
                member.storage.apply_snapshot(message.snapshot)
                member.conf_state = message.snapshot.conf_state
                member.applied_index = message.snapshot.index
            if message.entries is not None:
                member.storage.append(message.entries)
            self._respond(member, message.responses or [])

    def _apply(self, member: Member, message: Message) -> None:
        assert message.entries is not None
        for entry in message.entries:
            assert entry.index == member.applied_index + 1
            member.applied_index = entry.index
            if entry.kind == EntryKind.EntryNormal:
                member.applied.append((entry.index, entry.term, entry.data))
            elif entry.kind == EntryKind.EntryConfChange:
                member.conf_state = member.raw.apply_conf_change(ConfChange.decode(entry.data), entry.index)
            elif entry.kind == EntryKind.EntryConfChangeV2:
                member.conf_state = member.raw.apply_conf_change(ConfChangeV2.decode(entry.data), entry.index)
        self._respond(member, message.responses or [])

    def _respond(self, member: Member, responses: list[Message]) -> None:
        for response in responses:
            if response.to == member.id:
                member.raw.step(response)
            else:
                self._fly(response)

    def _fly(self, message: Message) -> None:
        self.sent.append(message)
        if (message.from_, message.to) not in self.cut and not self.lose(message):
            self.flying.append(message)

    # -- what a test does --------------------------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Steps one message at its receiver; what the core says against it is kept in ``errors``."""
        member = self.members[message.to]
        try:
            member.raw.step(message)
        except RaftError as error:
            member.errors.append(error)
        self.collect(member)

    def settle(self, limit: int = 10_000) -> None:
        """Until nothing flies and nobody has anything to do."""
        for member in self.members.values():
            self.collect(member)
        for _ in range(limit):
            if not self.flying:
                return
            message = self.flying.pop(0)
            if (message.from_, message.to) not in self.cut and message.to in self.members:
                self.deliver(message)
        raise AssertionError(f"not settled after {limit} messages")

    def tick(self, node_id: int, count: int = 1, ms: int = 10) -> None:
        """Ticks of one node; the clock of all goes on by ``ms`` each."""
        for _ in range(count):
            self.now_ms += ms
            self[node_id].raw.tick(self.now_ms)
            self.collect(self[node_id])

    def tick_all(self, count: int = 1, ms: int = 10) -> None:
        """A tick of every node at the same time, and all that follows, ``count`` times."""
        for _ in range(count):
            self.now_ms += ms
            for member in self.members.values():
                member.raw.tick(self.now_ms)
                self.collect(member)
            self.settle()

    def campaign(self, node_id: int) -> None:
        self[node_id].raw.campaign()
        self.settle()

    def propose(self, node_id: int, *commands: bytes) -> int:
        first = self[node_id].raw.propose(list(commands), self.now_ms)
        self.settle()
        return first

    def isolate(self, node_id: int) -> None:
        """Cuts one node off from all others."""
        for other in self.members:
            if other != node_id:
                self.cut |= {(node_id, other), (other, node_id)}

    def heal(self) -> None:
        self.cut.clear()

    def crash(self, node_id: int) -> None:
        """The node loses everything that was not written, and begins again."""
        self[node_id].start()

    @property
    def leader(self) -> int:
        """The only leader of the highest term."""
        leaders = [m for m in self.members.values() if m.role == StateType.StateLeader]
        return max(leaders, key=lambda m: m.raw.term).id

    def of_type(self, kind: MessageType) -> list[Message]:
        return [message for message in self.sent if message.type == kind]
