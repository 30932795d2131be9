"""Clients of a simulated cluster: they ask, remember what they were answered, and doubt what they were not.

A client has one operation under way. It goes to whom it takes for the leader, as a program in that node's process: when
the process dies, the client never hears. Everything becomes a history for the linearizability checker: a write whose
outcome is unknown may take effect at any later time, or never; one that was refused for certain may not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from random import Random

from raftcore.base.errors import RaftError
from raftcore.base.types import StateType
from raftcore.wire.codec import crc32c
from raftpy.contracts.errors import NoState, NotLeader, Overloaded, Quarantined, Stopped, Timeout, TooLarge
from raftpy.replicated import kv_commands
from raftpy.replicated.kv import Kind
from raftpy.replicated.kv import Outcome as Result
from raftpy.runtime.pending_proposals import Proposal
from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.sim.plan import Load

REFUSED = (NotLeader, Overloaded, TooLarge, Quarantined, NoState)
"""What says that nothing has happened, and nothing will."""

READ, WRITE, SWAP = "read", "write", "swap"

PAUSES = (0.4, 0.8, 1.6, 5.2)
"""By which the mean pause is multiplied, and then by an even draw from 0 to 1: mostly short, sometimes long, 1 in the
mean. No logarithm: its last bit differs from machine to machine, and a seed must be the same world on all of them."""
OUTCOMES = {
    "this node lost the leadership": "a proposal was lost with the leadership",
    "no answer in time": "a proposal had no answer in time",
    "no quorum confirmed": "a read was not confirmed in time",
}
"""How the text of a ``Timeout`` begins, and what it says."""
SLACK_S = 0.1
"""An answer may come so much later than the timeout, beside what the process and its disk have stood still."""
FASTEST = 1.1
"""No clock of a process runs so much faster or slower than time."""


@dataclass(slots=True)
class Operation:
    """One operation of a client on one key."""

    number: int
    """Its place in the history."""
    client: int
    """Who asked."""
    group: int
    """Of which group."""
    kind: str
    """read, write or swap."""
    key: int
    """Number of the key."""
    asked_s: float
    """When, in virtual seconds."""
    value: int = 0
    """What is written: another number for each operation; 0 for a read."""
    version: int = 0
    """Of a swap: the version that the key must have; of a read: the one that was found. 0: no key."""
    expected: int = 0
    """Of a swap: the value that was read with that version, 0 for no key."""
    answered_s: float | None = None
    """When it was answered; None: never, so nobody knows whether it happened."""
    found: int = 0
    """What a read found, 0: no key; of a swap 1 if it has happened, 0 if the version was another."""
    refused: bool = False
    """It has not happened, for certain."""
    stale: bool = False
    """A read of what the node at hand has applied, without asking the others."""
    node: int = 0
    """Who answered."""
    index: int = 0
    """Of a write or swap that has happened, its index in the log; of a stale read, what was applied."""
    boot: int = 0
    """Of the process that was asked."""
    checksum: int = 0
    """Of the command that was proposed."""
    there: int = 0
    """Of a swap that has not happened, the version that was there; 0: no key."""
    asked_at: int = 0
    """How many events there had been in the world when it was asked: also within one moment there is an order."""
    answered_at: int = 0
    """The same of its answer."""

    def text(self) -> str:
        """What is asked, for people."""
        if self.kind == READ:
            return f"{'stale ' if self.stale else ''}read k{self.key}"
        if self.kind == WRITE:
            return f"write k{self.key} = {self.value:x}"
        return f"swap k{self.key} from {self.expected:x} to {self.value:x}"

    def answer(self) -> str:
        """What came of it, for people."""
        if self.refused:
            return "refused"
        if self.answered_s is None:
            return "unknown"
        if self.kind == READ:
            return f"{self.found:x}"
        return "done" if self.found else "another version"


class Client:
    """One client. ``history``: where its operations go; ``done``: told of each that has ended."""

    def __init__(self, number: int, cluster: Cluster, load: Load, source: Random, history: list[Operation]) -> None:
        self.number = number
        self.active = True
        self._cluster = cluster
        self._world = cluster.world
        self._load = load
        self._source = source
        self._sizes = cluster.world.source(f"client {number}, large values")
        self._history = history
        self._believed: dict[int, int] = {}  # group: who leads
        self._known: dict[tuple[int, int], tuple[int, int]] = {}  # (group, key): version and value last seen
        self._under_way: list[Operation] = []
        self._life: Life | None = None
        self._number = 0
        self._patient = False  # waits without a limit
        self._begun_s = 0.0  # when the process that was asked took it up
        self._still_s = 0.0  # how long that had stood still by then
        self._task: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether an operation is under way."""
        return bool(self._under_way)

    def begin(self) -> None:
        """Goes on, after a pause for thought."""
        if self.active:
            source = self._source
            self._world.after(source.choice(PAUSES) * source.random() * self._load.think_s, self._ask)

    def _ask(self) -> None:
        if not self.active:
            return
        source, load = self._source, self._load
        group = source.randrange(self._cluster.plan.groups)
        operations = self._draw(group)
        first = operations[0]
        anywhere = first.kind == READ and (first.stale or source.random() < load.follower_reads)
        member = self._target(group, anywhere)
        if member is None or member.life is None:
            self.begin()
            return
        life = member.life
        for operation in operations:
            operation.node = member.node
            operation.boot = member.lives
            operation.asked_at = self._world.trace.count
        self._under_way, self._life, self._begun_s = operations, life, 0.0
        self._history += operations
        for operation in operations:
            self._world.event(member.node, "invoke", operation.number, self.number, operation.text())
        self._task = life.process.spawn(self._work(life, group, operations))
        self._task.add_done_callback(partial(self._work_ended, life, operations))
        if load.cancelled and source.random() < load.cancelled:
            if source.random() < 0.5:
                life.process.loop.call_soon(self._give_up, self._task)  # asked, and no pass has come by yet
            else:
                self._world.after(source.choice((0.0, source.uniform(0.0, 0.05))), self._give_up, self._task)

    def _draw(self, group: int) -> list[Operation]:
        source, load = self._source, self._load
        dice = source.random()
        now = self._world.now
        if dice >= load.writes + load.swaps:
            stale = source.random() < load.stale_reads
            return [
                Operation(len(self._history), self.number, group, READ, source.randrange(load.keys), now, stale=stale)
            ]
        count = source.randint(1, load.burst)
        keys = source.sample(range(load.keys), min(count, load.keys))
        out: list[Operation] = []
        for key in keys:
            number = len(self._history) + len(out)
            self._number += 1
            value = self.number << 32 | self._number
            if dice < load.writes:
                out.append(Operation(number, self.number, group, WRITE, key, now, value))
            else:
                version, expected = self._known.get((group, key), (0, 0))
                out.append(Operation(number, self.number, group, SWAP, key, now, value, version, expected))
        return out

    def _size(self) -> int:
        load = self._load
        return load.large_bytes if load.large and self._sizes.random() < load.large else load.value_bytes

    def _target(self, group: int, anywhere: bool) -> Member | None:
        serving = [member for member, life in self._cluster.lives() if life.serves and group in life.groups]
        if not serving:
            return None
        believed = self._believed.get(group, 0)
        if not anywhere:
            for member in serving:
                if member.node == believed:
                    return member
        return serving[self._source.randrange(len(serving))]

    # --- In the node's process --------------------------------------------------------------------------------------

    async def _work(self, life: Life, group: int, operations: list[Operation]) -> None:
        self._begun_s = self._world.now
        self._still_s = self._stood_still(life) - life.process.spent
        try:
            await self._call(life, group, operations)
        except REFUSED as error:
            if isinstance(error, NotLeader):
                self._cluster.reached(
                    "a client was sent on to the leader" if error.leader_id else "no leader was known"
                )
                if life.serves and life.groups[group].raw.state == StateType.StateLeader:
                    self._cluster.reached("a proposal was refused during a transfer")
                self._believed[group] = error.leader_id or 0
                if error.leader_id == operations[0].node:
                    life.process.complain({"message": "a client was sent on to the node it asked", "exception": error})
            elif isinstance(error, Overloaded):
                self._cluster.reached("a proposal was refused as overloaded")
            elif isinstance(error, TooLarge):
                self._cluster.reached("a command was refused as too large")
            self._end(operations, known=True, refused=True)
        except (RaftError, asyncio.CancelledError) as error:
            # Of a read nothing can have happened; whether a write has, nobody knows.
            if isinstance(error, Timeout):
                for beginning, name in OUTCOMES.items():
                    if str(error).startswith(beginning):
                        self._cluster.reached(name)
            elif isinstance(error, Stopped):
                self._cluster.reached("somebody who waited was told that the node stops")
            self._believed[group] = 0
            self._end(operations, known=False)

    async def _call(self, life: Life, group: int, operations: list[Operation]) -> None:
        calls, store, raw = life.calls(group), life.machines[group].store, life.groups[group].raw
        first = operations[0]
        self._patient = bool(self._load.patient) and self._source.random() < self._load.patient
        timeout = None if self._patient else self._load.timeout_s
        if first.kind == READ:
            if not first.stale:
                await self._read_index(life, group, timeout)
            stored = store.get(key_bytes(first.key))
            value, first.version = (0, 0) if stored is None else (value_of(stored.value), stored.version)
            self._note(first, value, first.version)
            first.index = store.applied_index
        else:
            commands = [self._command(operation) for operation in operations]
            asked: Proposal = (
                calls.propose(commands[0], timeout=timeout)
                if len(commands) == 1
                else calls.propose_many(commands, timeout=timeout)
            )
            try:
                answer = await asked
            except asyncio.CancelledError:
                when = "after" if asked.index else "before"
                self._cluster.reached(f"a proposal was cancelled {when} it was appended")
                raise
            if raw.state != StateType.StateLeader:
                self._cluster.reached("a proposal was answered by a node that leads no more")
            for operation, result in zip(operations, [answer] if len(commands) == 1 else answer, strict=True):
                self._take(operation, result)
        self._end(operations, known=True)

    def _work_ended(self, life: Life, operations: list[Operation], task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # What no call may raise says nothing about what has happened either.
            life.process.complain({"message": "a client was told what no call may raise", "exception": error})
            self._end(operations, known=False)
        self._end(operations, known=True, refused=True)  # if it has not ended: it was given up before its first step

    async def _read_index(self, life: Life, group: int, timeout: float | None) -> None:
        life.reads[group] = life.reads.get(group, 0) + 1
        raw = life.groups[group].raw
        if not raw.leader:
            self._cluster.reached("a read found no leader")
        elif raw.state == StateType.StateLeader and raw.term_at(raw.commit_index) != raw.term:
            self._cluster.reached("a read waited for the first commit of a term")
        committed = self._cluster.committed(group)
        try:
            index = await life.calls(group).read_index(timeout=timeout)
        except asyncio.CancelledError:
            self._cluster.reached("a read was cancelled")
            raise
        if index < committed:
            self._cluster.found(
                "read index",
                f"node {life.process.node} reads at {index}, and {committed} was committed before it asked",
            )

    def _command(self, operation: Operation) -> bytes:
        command = self._encoded(operation)
        operation.checksum = crc32c(command)
        return command

    def _encoded(self, operation: Operation) -> bytes:
        key = key_bytes(operation.key)
        value = operation.value.to_bytes(8, "little").ljust(self._size(), b".")
        if operation.kind == WRITE:
            return kv_commands.put(key, value)
        if operation.version:
            return kv_commands.put_if_version(key, value, operation.version)
        return kv_commands.put_if_absent(key, value)

    def _take(self, operation: Operation, result: Result) -> None:
        operation.index = result.index
        if result.kind is Kind.WRITTEN:
            self._note(operation, operation.value, result.version)
            operation.found = 1
        else:
            operation.there = result.version
            self._cluster.reached("a swap found another version")
            self._known.pop((operation.group, operation.key), None)

    def _note(self, operation: Operation, value: int, version: int) -> None:
        operation.found = value
        self._known[operation.group, operation.key] = (version, value)

    def _end(self, operations: list[Operation], known: bool, refused: bool = False) -> None:
        if self._under_way is not operations:
            return  # it has ended; here for one that was given up before its first step
        self._check_in_time(operations[0])
        self._under_way, self._life, self._task = [], None, None
        for operation in operations:
            # A read that was not answered has changed nothing: it is as if it had not been asked.
            operation.refused = refused or (not known and operation.kind == READ)
            operation.answered_s = self._world.now if known else None
            operation.answered_at = self._world.trace.count
            self._world.event(operation.node, "return", operation.number, operation.answer())
        self.begin()

    def _stood_still(self, life: Life) -> float:
        return life.stood_still_s + self._cluster.members[life.process.node].disk.total_s

    def _check_in_time(self, operation: Operation) -> None:
        life = self._life
        if life is None or life.process.paused or not self._begun_s or self._patient:
            return
        took, still = self._world.now - self._begun_s, self._stood_still(life) - self._still_s
        if took > FASTEST * self._load.timeout_s + SLACK_S + still:
            self._cluster.found(
                "an answer in time",
                f"node {operation.node} answered {operation.text()!r} after {took:.3f} s; at a stop for {still:.3f} s",
            )

    # --- From outside -----------------------------------------------------------------------------------------------

    def _give_up(self, task: asyncio.Task[None]) -> None:
        if task is self._task and not task.done():
            task.cancel()

    def life_ended(self, life: Life) -> None:
        """The process that was asked is gone, and will never answer."""
        if self._life is life:
            operations = self._under_way
            self._cluster.reached("a process died with an operation under way")
            self._under_way, self._life, self._task = [], None, None
            for operation in operations:
                operation.refused = operation.kind == READ
            self._believed.clear()
            self.begin()


def key_bytes(number: int) -> bytes:
    """A key's name."""
    return b"k%d" % number


def value_of(stored: bytes) -> int:
    """The number that was written."""
    return int.from_bytes(stored[:8], "little")


class Clients:
    """All clients of a world, and their history."""

    def __init__(self, cluster: Cluster, load: Load) -> None:
        self.history: list[Operation] = []
        self.clients = [
            Client(number, cluster, load, cluster.world.source(f"client {number}"), self.history)
            for number in range(1, load.clients + 1)
        ]

    def start(self) -> None:
        """They begin to ask."""
        for client in self.clients:
            client.begin()

    def stop(self) -> None:
        """They ask nothing more; what is under way may still be answered."""
        for client in self.clients:
            client.active = False

    def life_ended(self, life: Life) -> None:
        """A process is gone."""
        for client in self.clients:
            client.life_ended(life)

    @property
    def waiting(self) -> int:
        """How many wait for an answer."""
        return sum(client.waits for client in self.clients)
