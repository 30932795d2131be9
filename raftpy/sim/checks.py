"""What must hold in a simulated cluster: looked at after each step of a process, and at the end.

Within one node the core's own invariants (raftcore/check/invariants.pxd). Between nodes, and over crashes, Figure 3 of
the paper: election safety, leader append-only, log matching, leader completeness, state machine safety; and that a vote
once durable is never another one, that a term never goes back, and that a disk has one life at a time, each with a boot
above the last. Each look costs little because it takes up only what has changed since the one before: by induction that
is as good as looking at everything.
"""

from __future__ import annotations

from typing import Any, NoReturn

from raftcore.api.raw_node import RawNode
from raftcore.base.types import StateType
from raftcore.values.message import Message
from raftcore.wire.codec import messages, parse_header
from raftpy.contracts.errors import Removed, SnapshotFailed, Stopped, StorageDamaged, StorageFailed, WrongIdentity
from raftpy.runtime.commits import Commit
from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.sim.glance import LEFT, Glance, GroupHistory, Looks
from raftpy.sim.outcome import Broken
from raftpy.sim.promises import VOTE, VOTED, undurable
from raftpy.sim.signs import Signs
from raftpy.sim.snapshots import SnapshotChecks
from raftpy.storage.leveldb.floor import Floor
from raftpy.transport.exchange.exchange import Link

LEADER = StateType.StateLeader
ROLES = {
    StateType.StateFollower: "follower",
    StateType.StateCandidate: "candidate",
    StateType.StatePreCandidate: "pre-candidate",
    StateType.StateLeader: "leader",
    StateType.StateQuarantined: "quarantined",
}


class Checks(Looks):
    """The checks of one cluster. Raises :class:`Broken`. Its looks are in glance.pyx: they call what is here when
    something has changed, or is not as it must be."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        cluster.network.leaving = self.leaving
        cluster.network.given_on = self.given_on
        cluster.on_fed = self.fed
        cluster.committed = self.committed
        self.signs = Signs(cluster)
        cluster.found = self.found
        self.snapshots = SnapshotChecks(cluster, self.groups)
        self._boots: dict[int, int] = {}

    # --- After each step ------------------------------------------------------------------------------------------

    def _escaped(self, member: Member, life: Life) -> NoReturn:
        raise Broken("nothing escapes", f"node {member.node}: {life.process.complaints[0]}")

    def found(self, check: str, text: str) -> None:
        """To be raised at the next look: whoever finds it inside of a node must not raise it there."""
        if self._found is None:
            self._found = Broken(check, text)

    def _role_changed(self, member: Member, life: Life, raw: RawNode, seen: Glance, group: int) -> None:
        self.world.event(member.node, "role", raw.term, ROLES[StateType(raw.state)], raw.leader, group)
        if raw.state == StateType.StateQuarantined and member.trusted:
            raise Broken("quarantine", f"node {member.node} is quarantined, and nothing was done to its disk")
        self.signs.role(member, life, group, raw, seen)
        if raw.state == LEADER:
            self._leads(member, raw, self.groups[group])

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

    def _rests_too_early(self, member: Member, life: Life, group: int, found: int) -> NoReturn:
        if found == LEFT:
            raise Broken("nothing is forgotten", f"node {member.node} rests with work to do in group {group}")
        raw, storage = life.groups[group].raw, life.storage
        core = f"term {raw.term}, vote {raw.vote}, last index {raw.last_index}"
        what = f"{core}; its disk has {storage._groups[group].head}"
        raise Broken("written", f"node {member.node} in group {group}: {what}")

    def _begins_elsewhere(self, member: Member, group: int, prior: int, begins: int, first_look: bool) -> None:
        if begins < prior:
            if member.trusted:
                raise Broken("a cut log stays cut", f"node {member.node} began behind {prior}, and begins at {begins}")
        elif member.life is not None:
            self.snapshots.cut(member, member.life, group, begins, first_look)

    def _keeps_datagrams(self, member: Member, peer: Link) -> NoReturn:
        what = f"{len(peer.ready)} full datagrams for node {peer.id}"
        raise Broken("bounded memory", f"node {member.node} keeps {what}")

    def _nobody_knew(self, member: Member, store: int) -> None:
        for other, life in self.cluster.lives():
            pins: Any = life.storage._pins
            if other.trusted and pins.get(member.node, store) != store:
                what = f"node {member.node} takes part from an emptied disk, and node {other.node} knows the one before"
                raise Broken("an emptied disk takes no part", what)

    def _vote_leaves(self, node: int, datagram: bytes) -> None:
        life = self.cluster.members[node].life
        if life is None or life.storage._failure is not None:
            return
        for group, message in messages(datagram):
            if not isinstance(message, Message) or message.reject or message.type not in (VOTE, VOTED):
                continue
            if (missing := undurable(message, life.head(group))) is not None:
                self._found = Broken("votes are durable", f"node {node} sends {message!r}, and {missing}")

    def _hears_another(self, node: int, own: int, peer: int, newest: int, datagram: bytes) -> None:
        """The life with boot ``own`` takes something that is not from the newest boot of a peer that it has heard, or
        not for itself."""
        header = parse_header(datagram)
        boot = header.from_boot
        if header.to_boot != own:
            what = f"node {node} takes what was said to boot {header.to_boot:x}"
            self._found = Broken("an earlier life is over", what)
        if boot < newest:
            self._found = Broken("an earlier life is over", f"node {node} takes what boot {boot:x} of {peer} said")
        elif boot != newest and boot >> 32 == newest >> 32:
            other = f"boots {newest:x} and {boot:x} of node {peer} under one counter"
            self._found = Broken("an older copy is noticed", f"node {node} takes what was said by {other}")

    def _is_pinned(self, life: Life, peer: int, store: int) -> None:
        pins: Any = life.storage._pins
        if pins.get(peer, store) != store:
            what = f"store {store:x}, and it has pinned {pins[peer]:x}"
            self._found = Broken(
                "an emptied disk is refused", f"node {life.process.node} takes what {peer} says of {what}"
            )

    def fed(self, life: Life, group: int, commit: Commit) -> None:
        """A commit feed has given this: each command once, in order."""
        before, commands = life.fed.get(group, 0), self.groups[group].commands
        node, index = life.process.node, commit.index
        life.fed[group] = index
        if index <= before:
            self._found = Broken("commit feed", f"node {node} gives {index} after {before}")
        elif any(skipped in commands for skipped in range(before + 1, index)):
            self._found = Broken("commit feed", f"node {node} gives {index} after {before}, and leaves some out")
        elif commands.get(index) != commit.command:
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

    def committed(self, group: int) -> int:
        """The last index that is known to be committed by now, by whoever's word."""
        return self.groups[group].highest

    # --- When a life ends -----------------------------------------------------------------------------------------

    def ended(self, member: Member, life: Life) -> None:
        """A life is over: a clean stop leaves nothing behind, and only what was done to a disk damages it."""
        self.signs.ended(life)
        self.snapshots.ended(life)
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
        elif "has format" in str(life.error) and any(what.endswith(f"/{Floor.FILE}") for what in member.disk.harm):
            member.lost = True  # the bit that was turned over is one of the number of its format
        elif isinstance(life.error, Removed):
            pass  # whether it was is known in the end (member_calls.py)
        elif life.error is not None and member.trusted:
            disk_failed = isinstance(life.error, StorageFailed) and member.disk.errors > life.errors_before
            lacked = life.host.driver is None and member.disk.lacked > life.lacked_before  # in a start alone
            if lacked and isinstance(life.error, StorageFailed | SnapshotFailed):
                self.cluster.reached("a start was refused for want of descriptors")
            elif not disk_failed and not isinstance(life.error, Stopped):
                raise Broken("a reason to stop", f"node {member.node}: {type(life.error).__name__}: {life.error}")
        failed_start = life.error is not None and life.host.driver is None
        if life.stopped or failed_start:
            tasks, timers = life.left
            tasks -= sum(not reader.done() for reader in life.readers)  # as tasks of the program they end by themselves
            own = failed_start + (failed_start and life.stopping)  # what starts and stops it has one step left then
            if tasks > own or timers:
                raise Broken("nothing left behind", f"node {member.node} ended with {tasks} tasks, {timers} timers")
            for group in life.groups.values():
                unanswered = sum(not waiter.done() for waiter in group._leader_waiters)
                if waiting := len(group.proposals) + group.reads.waiting + unanswered:
                    raise Broken("nothing left behind", f"node {member.node} ended, and {waiting} still wait for it")
            if life.storage._lock is not None or life.storage._row is not None:
                raise Broken("nothing left behind", f"node {member.node} ended, and its store is still open")
            self._works_no_more(member, life)

    def _works_no_more(self, member: Member, life: Life) -> None:
        """Whatever a node has begun in a thread has ended before its stop does, and let go of its files."""
        if self.cluster.strands is not None and self.cluster.strands.at_work(life.process):
            raise Broken("nothing left behind", f"node {member.node} ended, and a thread of it is still at work")
        files: Any = life.storage._files
        if still_open := sorted(str(path) for path in files.opened.values()):
            raise Broken("nothing left behind", f"node {member.node} ended, and still has {', '.join(still_open)} open")

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
