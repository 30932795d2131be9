"""What must hold in a simulated cluster: looked at after each step of a process, and at the end.

Within one node the core's own invariants (raftcore/check/invariants.pxd). Between nodes, and over crashes, Figure 3 of
the paper: election safety, leader append-only, log matching, leader completeness, state machine safety; and that a vote
once durable is never another one, that a term never goes back, and that a disk has one life at a time, each with a boot
above the last. Each look costs little because it takes up only what has changed since the one before: by induction that
is as good as looking at everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Protocol

from raftcore.api.raw_node import RawNode
from raftcore.base.types import MessageType, StateType
from raftcore.values.message import Message
from raftcore.wire.codec import crc32c, messages
from raftpy.contracts.errors import Stopped, StorageDamaged, StorageFailed, WrongIdentity
from raftpy.runtime.commits import Commit
from raftpy.runtime.driver import Driver
from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.sim.glance import COMMIT, HEAD, LEFT, LOG, ROLE, UNWRITTEN, Glance
from raftpy.sim.outcome import Failure
from raftpy.sim.process import Process
from raftpy.sim.promises import VOTE, VOTED, undurable
from raftpy.sim.signs import Signs
from raftpy.sim.world import Runnable
from raftpy.storage.leveldb.head import Head

HEADER = Struct("<8x7Q")
"""Of a datagram, behind checksum and version: cluster, from, to, store and boot of either (docs/wire-format.md)."""
KIND = 72
"""Where a datagram says what its first frame is."""
VOTES = (bytes([MessageType.MsgVote + 1]), bytes([MessageType.MsgVoteResp + 1]))
LEADER = StateType.StateLeader
ROLES = {
    StateType.StateFollower: "follower",
    StateType.StateCandidate: "candidate",
    StateType.StatePreCandidate: "pre-candidate",
    StateType.StateLeader: "leader",
    StateType.StateQuarantined: "quarantined",
}


class Broken(AssertionError):
    """Something did not hold that must."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check
        self.text = text

    def failure(self, time_s: float) -> Failure:
        """As the outcome of a run says it."""
        return Failure(self.check, self.text, time_s)


class GroupHistory:
    """What all lives of all members have shown in one group."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}
        """Term to node id."""
        self.committed: dict[int, int] = {}
        """Index to term."""
        self.highest = 0
        """The last index that anybody held as committed."""
        self.committed_in: dict[int, int] = {}
        """Index to the lowest term of a node that held it as committed."""
        self.before: dict[tuple[int, int], int] = {}
        """(index, term) of an entry to the term of the one before it: log matching, entry by entry."""
        self.applied: dict[int, int] = {}
        """Index to the checksum of the command."""
        self.commands: dict[int, bytes] = {}
        """Index to the command."""
        self.votes: dict[tuple[int, int], int] = {}
        """(node, term) to the vote that was durable."""
        self.terms: dict[int, int] = {}
        """Node to its highest durable term."""
        self.batches: dict[int, int] = {}
        """Node to the number of the last batch that was durable."""


class Stepped(Protocol):
    """Who is told after each step."""

    def stepped(self, life: Life) -> None:
        """The process of this life has made a step."""
        ...


class Seen(Glance):
    """What one life looked like at the last look, in one group."""

    def __init__(self) -> None:
        self.written = -1
        self.terms: dict[int, int] = {}
        """Index to term, of its log."""


class Checks:
    """The checks of one cluster. Raises :class:`Broken`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        cluster.network.leaving = self.leaving
        cluster.network.given_on = self.given_on
        cluster.on_fed = self.fed
        cluster.committed = self.committed
        self.signs = Signs(cluster)
        cluster.found = self.found
        self.groups = [GroupHistory() for _ in range(cluster.plan.groups)]
        self.wire: Stepped | None = None
        """Told after each step of a process, in worlds that are watched."""
        self._found: Broken | None = None  # inside a node, which would take it for its own failure
        self._boots: dict[int, int] = {}
        self._pins: dict[int, dict[int, int]] = {}  # node: the pins that one of its lives has believed
        self._heard: dict[tuple[int, int], int] = {}  # (node, peer): the newest boot it has taken something from

    # --- After each step ------------------------------------------------------------------------------------------

    def look(self, stepped: Runnable) -> None:
        """A process has done something."""
        assert isinstance(stepped, Process)
        if self._found is not None:
            raise self._found
        member = self.cluster.members[stepped.node]
        life = member.life
        if life is None or life.process is not stepped:
            return
        if stepped.complaints:
            raise Broken("nothing escapes", f"node {member.node}: {stepped.complaints[0]}")
        driver = life.host.driver
        if driver is None:
            return
        if driver.closed:
            self.cluster.watch(member, life)
            return
        storage: Any = life.storage
        logs, unwritten = storage._groups, life.unwritten
        for group, running in driver.groups.items():
            seen = life.seen.get(group)
            if seen is None:
                seen = self._first_look(member, life, group)
            head = logs[group].head if unwritten is None else unwritten[group]  # life.head(group)
            changes = seen.changes(running.raw, head)
            if changes:
                if changes & ~HEAD:
                    self._changed(member, life, running.raw, seen, group, changes)
                if changes & HEAD and storage._failure is None:  # else what it tried to write last is in memory only
                    self._written(member, group, seen, head)
        if not stepped.has_calls:
            self._idle(member, life, driver)
        if self.wire is not None:
            self.signs.step(life)
            self.wire.stepped(life)

    def found(self, check: str, text: str) -> None:
        """To be raised at the next look: whoever finds it inside of a node must not raise it there."""
        if self._found is None:
            self._found = Broken(check, text)

    def _first_look(self, member: Member, life: Life, group: int) -> Seen:
        if not life.seen:
            self._new_life(member, life)
        seen = life.seen[group] = Seen()
        return seen

    def _changed(self, member: Member, life: Life, raw: RawNode, seen: Seen, group: int, changes: int) -> None:
        history = self.groups[group]
        leads = raw.state == LEADER
        if changes & ROLE:
            self.world.event(member.node, "role", raw.term, ROLES[StateType(raw.state)], raw.leader, group)
            if raw.state == StateType.StateQuarantined and member.trusted:
                raise Broken("quarantine", f"node {member.node} is quarantined, and nothing was done to its disk")
            self.signs.role(member, life, group, raw, seen)
            if leads:
                self._leads(member, raw, history)
        if changes & LOG:
            self._log_changed(member, raw, seen, history, leads and seen.role == LEADER and raw.term == seen.term)
        if changes & COMMIT:
            self._commits(member, raw, seen.commit, raw.commit_index, history)
        seen.take(raw)

    def _new_life(self, member: Member, life: Life) -> None:
        assert life.host.driver is not None
        boot = life.host.driver.boot
        if member.trusted and boot <= self._boots.get(member.node, 0):
            raise Broken("one life at a time", f"node {member.node} starts with boot {boot:x}, which is not new")
        self._boots[member.node] = boot
        pinned = life.storage._pins
        for peer, store in self._pins.get(member.node, {}).items():
            if pinned.get(peer) != store and member.trusted:
                raise Broken("a pin stays", f"node {member.node} has forgotten that node {peer} has store {store:x}")

    def _idle(self, member: Member, life: Life, driver: Driver) -> None:
        """Nothing is to be done in a process before something comes: no pass may have left anything, and where no write
        is under way the disk has what the cores promise by."""
        storage: Any = life.storage
        settled = storage._failure is None and not storage._writer._under_way
        for group, running in driver.groups.items():
            head = storage._groups[group].head if settled else None
            found = Glance.rest(running.work, running.reads, running.applying, running.raw, head)
            if found == LEFT:
                raise Broken("nothing is forgotten", f"node {member.node} rests with work to do in group {group}")
            if found == UNWRITTEN:
                raw = running.raw
                core = f"term {raw.term}, vote {raw.vote}, last index {raw.last_index}"
                raise Broken("written", f"node {member.node} in group {group}: {core}; its disk has {head}")
        transport: Any = driver.transport
        gate = transport._gate
        if member.emptied and driver.rounds.takes_part:
            self._nobody_knew(member, gate.own.store_id)
        if len(gate.pins) != len(self._pins.get(member.node, ())):
            self._pins[member.node] = dict(gate.pins)
        for peer in gate.peers.values():
            if peer.ready:
                what = f"{len(peer.ready)} full datagrams for node {peer.id}"
                raise Broken("bounded memory", f"node {member.node} keeps {what}")

    def _nobody_knew(self, member: Member, store: int) -> None:
        for other, life in self.cluster.lives():
            pins: Any = life.storage._pins
            if other.trusted and pins.get(member.node, store) != store:
                what = f"node {member.node} takes part from an emptied disk, and node {other.node} knows the one before"
                raise Broken("an emptied disk takes no part", what)

    def leaving(self, node: int, datagram: bytes) -> None:
        """A vote that is asked for, or given, is on the disk before it leaves (Figure 2; thesis 3.8)."""
        if datagram[KIND : KIND + 1] not in VOTES:
            return
        life = self.cluster.members[node].life
        if life is None or life.storage._failure is not None:
            return
        for group, message in messages(datagram):
            if not isinstance(message, Message) or message.reject or message.type not in (VOTE, VOTED):
                continue
            if (missing := undurable(message, life.head(group))) is not None:
                self._found = Broken("votes are durable", f"node {node} sends {message!r}, and {missing}")

    def given_on(self, node: int, datagrams: Sequence[bytes]) -> None:
        """A transport has taken these for datagrams to this life of its node, of lives that are not over."""
        life = self.cluster.members[node].life
        if life is None or life.host.driver is None:
            return
        own = life.host.driver.boot
        for datagram in datagrams:
            _, peer, _, store, boot, _, to = HEADER.unpack_from(datagram)
            if to != own:
                self._found = Broken("an earlier life is over", f"node {node} takes what was said to boot {to:x}")
            newest = self._heard.get((own, peer), 0)
            if boot < newest:
                self._found = Broken("an earlier life is over", f"node {node} takes what boot {boot:x} of {peer} said")
            elif boot != newest and boot >> 32 == newest >> 32:
                other = f"boots {newest:x} and {boot:x} of node {peer} under one counter"
                self._found = Broken("an older copy is noticed", f"node {node} takes what was said by {other}")
            self._heard[own, peer] = boot
            if self.cluster.members[peer].emptied:
                self._is_pinned(life, peer, store)

    def _is_pinned(self, life: Life, peer: int, store: int) -> None:
        pins: Any = life.storage._pins
        if pins.get(peer, store) != store:
            what = f"store {store:x}, and it has pinned {pins[peer]:x}"
            self._found = Broken(
                "an emptied disk is refused", f"node {life.process.node} takes what {peer} says of {what}"
            )

    def fed(self, life: Life, group: int, commit: Commit) -> None:
        """A commit feed has given this: each command once, in order."""
        before, applied = life.fed.get(group, 0), self.groups[group].applied
        node, index = life.process.node, commit.index
        life.fed[group] = index
        if index <= before:
            self._found = Broken("commit feed", f"node {node} gives {index} after {before}")
        elif any(skipped in applied for skipped in range(before + 1, index)):
            self._found = Broken("commit feed", f"node {node} gives {index} after {before}, and leaves some out")
        elif applied.get(index) != crc32c(commit.command):
            self._found = Broken("commit feed", f"node {node} gives another command at {index} than was applied")

    def _leads(self, member: Member, raw: RawNode, history: GroupHistory) -> None:
        term = raw.term
        first = history.leaders.setdefault(term, member.node)
        if first != member.node:
            raise Broken("election safety", f"term {term} has two leaders, {first} and {member.node}")
        for index, entry_term in history.committed.items():
            if index < raw.first_index or history.committed_in[index] > term:
                continue
            if raw.term_at(index) != entry_term:
                raise Broken(
                    "leader completeness",
                    f"node {member.node} leads term {term} without entry {index} of term {entry_term}, committed",
                )

    def _log_changed(self, member: Member, raw: RawNode, seen: Seen, history: GroupHistory, leads: bool) -> None:
        terms, before = seen.terms, history.before
        last, old_last = raw.last_index, seen.last_index
        changed: list[int] = []
        index = last
        while index >= raw.first_index and terms.get(index) != (term := raw.term_at(index) or 0):
            if leads and index <= old_last:
                raise Broken("leader append-only", f"leader {member.node} of term {raw.term} changed entry {index}")
            terms[index] = term
            changed.append(index)
            index -= 1
        if leads and last < old_last:
            raise Broken("leader append-only", f"leader {member.node} of term {raw.term} cut its log at {last}")
        if last < old_last or (changed and changed[-1] <= old_last):
            self.signs.replaced()
        for gone in range(last + 1, old_last + 1):
            terms.pop(gone, None)
        for index in changed:
            prior = terms.get(index - 1, 0) if index - 1 >= raw.first_index else raw.term_at(index - 1) or 0
            first = before.setdefault((index, terms[index]), prior)
            if first != prior:
                raise Broken(
                    "log matching",
                    f"entry {index} of term {terms[index]} follows one of term {prior} in the log of node "
                    f"{member.node}, and one of term {first} in another",
                )

    def _commits(self, member: Member, raw: RawNode, old: int, commit: int, history: GroupHistory) -> None:
        if commit < old:
            raise Broken("commit index", f"node {member.node} went back from {old} to {commit}")
        self.signs.committed(raw, max(old + 1, raw.first_index))
        for index in range(max(old + 1, raw.first_index), commit + 1):
            term = raw.term_at(index) or 0
            first = history.committed.setdefault(index, term)
            if first != term and member.trusted:
                raise Broken(
                    "state machine safety",
                    f"entry {index} was committed in term {first}, and node {member.node} holds it in term {term}",
                )
            history.committed_in[index] = min(raw.term, history.committed_in.get(index, raw.term))
        if member.trusted:
            history.highest = max(history.highest, commit)
        self.world.event(member.node, "commit", commit)

    def committed(self, group: int) -> int:
        """The last index that is known to be committed by now, by whoever's word."""
        return self.groups[group].highest

    def _written(self, member: Member, group: int, seen: Seen, head: Head) -> None:
        first_look, seen.written = seen.written < 0, head.number
        history = self.groups[group]
        term, vote = head.term, head.vote
        highest = history.terms.get(member.node, 0)
        if term < highest and member.trusted:
            raise Broken("durable term", f"node {member.node} had written term {highest}, and has term {term} now")
        history.terms[member.node] = term
        if vote and history.votes.setdefault((member.node, term), vote) != vote and member.trusted:
            first = history.votes[member.node, term]
            raise Broken("one vote a term", f"node {member.node} voted in term {term} for {first} and for {vote}")
        batch = history.batches.get(member.node, -1)
        if first_look and head.number <= batch and member.trusted:  # a start adds one of its own
            raise Broken("damage is noticed", f"node {member.node} had batch {batch}, and starts with {head.number}")
        history.batches[member.node] = head.number

    def applied(self, life: Life, group: int, first_index: int, commands: Sequence[bytes]) -> None:
        """A state machine is about to apply these."""
        history = self.groups[group].applied
        node, done = life.process.node, life.applied.get(group, 0)
        if first_index <= done:
            self.found("applied once", f"node {node} applies {first_index} after {done}")
        life.applied[group] = first_index + len(commands) - 1
        checksum = 0
        there = self.groups[group].commands
        for index, command in enumerate(commands, first_index):
            checksum = crc32c(command)
            there[index] = command
            if history.setdefault(index, checksum) != checksum and self.cluster.members[node].trusted:
                self.found("state machine safety", f"node {node} applies another command at {index}")
        self.world.event(node, "applied", first_index + len(commands) - 1, checksum)

    # --- When a life ends -----------------------------------------------------------------------------------------

    def ended(self, member: Member, life: Life) -> None:
        """A life is over: a clean stop leaves nothing behind, and only what was done to a disk damages it."""
        self.signs.ended(life)
        try:
            self._look_back_at(member, life)
        except Broken as broken:
            self._found = broken  # where this is called in the node's own loop, a raise would get lost with it

    def _look_back_at(self, member: Member, life: Life) -> None:
        if isinstance(life.error, StorageDamaged):
            if member.trusted and not member.disk.harm:
                raise Broken("undamaged", f"node {member.node}: {life.error}")
            self.cluster.reached("a damaged store was refused")
            member.lost = True
        elif isinstance(life.error, WrongIdentity) and self._has_forgotten(member):
            member.lost = True
        elif life.error is not None and member.trusted:
            disk_failed = isinstance(life.error, StorageFailed) and member.disk.errors > life.errors_before
            if not disk_failed and not isinstance(life.error, Stopped):
                raise Broken("a reason to stop", f"node {member.node}: {type(life.error).__name__}: {life.error}")
        failed_start = life.error is not None and life.host.driver is None
        if life.stopped or failed_start:
            tasks, timers = life.left
            tasks -= sum(not reader.done() for reader in life.readers)  # as tasks of the program they end by themselves
            own = 1 + (failed_start and life.stopping)  # the tasks that start and stop it have one step left
            if tasks > own or timers:
                raise Broken("nothing left behind", f"node {member.node} ended with {tasks} tasks, {timers} timers")
            if life.storage._lock is not None or life.storage._database is not None:
                raise Broken("nothing left behind", f"node {member.node} ended, and its store is still open")

    def _has_forgotten(self, member: Member) -> bool:
        """Whether peers may refuse it: its disk is not what it was, or it holds nothing, and another's was emptied."""
        if member.emptied:
            self.cluster.reached("an emptied disk was refused by the peers")
        promised = any(group.terms.get(member.node) for group in self.groups)
        emptied = any(other.emptied for other in self.cluster.members.values())
        return not member.trusted or (emptied and not promised)

    def look_again(self) -> None:
        """Raises what was found since the last look."""
        if self._found is not None:
            raise self._found
