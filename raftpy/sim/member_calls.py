"""Worlds whose members come and go: who changes them, which worlds are so, and what must have come of it.

Beside the first members there are nodes that run from the beginning on, with disks of their own, and are added some
time, or never. Whoever changes the members asks whoever leads, mostly for what would be refused as unsafe if it were,
and so many stay that a majority of them is alive once all is well. Harm is done to no disk meanwhile: what may be lost
then goes by the voters of the moment, which nobody outside knows.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from raftcore.base.errors import RaftError
from raftpy.contracts.errors import ChangeRefused, NotLeader, Removed, Timeout
from raftpy.members.changes import (
    AddMember,
    DemoteMember,
    MemberChange,
    PromoteMember,
    RemoveMember,
    members_of,
)
from raftpy.runtime.member_calls import Members
from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.sim.outcome import Broken
from raftpy.sim.plan import Fault, MemberLoad, Plan

SHARE = 1 / 12
"""Of the worlds."""
HARMS = frozenset(("flipped_bit", "emptied_disk", "older_copy", "harmed_snapshot", "lost_state"))
"""Faults that these worlds leave out."""
SAFE = 0.7
"""How often what is asked for is to be safe."""
TOLD = 0.5
"""Share of these worlds in which each node is told of all others at each start."""
TIMEOUT_S = 1.0
"""How long it is waited for."""
FEWEST = 2
"""Members that stay, at least."""


class MemberCalls:
    """Changes the members until the faults are over, ``MemberLoad.asked_s`` apart in the mean; and what is known of
    them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._source = cluster.world.source("members")
        self._gone: dict[int, int] = {}
        """Node id to the entry that removed it, by the word of who was told so."""
        self._ended: dict[int, int] = {}
        """The same, of the nodes that have ended for it."""

    @property
    def comes_and_goes(self) -> bool:
        """Whether members of this world do."""
        return bool(self._cluster.plan.members.asked_s)

    def start(self) -> None:
        """Begins, where anybody is to call."""
        if self.comes_and_goes:
            self._later()

    def _later(self) -> None:
        pause = self._source.uniform(0.0, 2 * self._cluster.plan.members.asked_s)
        self._cluster.world.after(pause, self._next)

    def _next(self) -> None:
        if self._cluster.healed:
            return
        leader = self._cluster.leader()
        life = None if leader is None else self._cluster.members[leader].life
        if life is not None and life.serves:
            life.process.spawn(self._ask(life, *self._drawn(life)))
        self._later()

    def _drawn(self, life: Life) -> tuple[list[MemberChange], bool]:
        """What is asked for, and whether it is to be safe."""
        source, conf = self._source, life.groups[0].raw.conf_state
        members, voters = sorted(members_of(conf)), sorted(conf.voters)
        others = [node for node in self._cluster.ids if node not in members]
        learners = [node for node in members if node not in voters]
        changes: list[MemberChange] = []
        kind = source.choice(("add", "add", "promote", "promote", "demote", "remove", "joint", "again"))
        if kind in ("add", "again") and (others or kind == "again"):
            node = source.choice(others if kind == "add" else [*members, *others])
            changes = [AddMember(node, address(node))]
        elif kind == "promote" and learners:
            changes = [PromoteMember(source.choice(learners))]
        elif kind == "demote" and len(voters) > FEWEST:
            changes = [DemoteMember(source.choice(voters))]
        elif kind == "remove" and len(voters) > FEWEST:
            found = self._removable(members)
            changes = [RemoveMember(node) for node in source.sample(found, min(1, len(found)))]
        elif kind == "joint" and learners:
            changes = [PromoteMember(node) for node in learners]
            if len(voters) > FEWEST:
                candidates = self._removable(voters)
                gone = source.sample(candidates, min(len(learners), len(voters) - FEWEST, len(candidates)))
                changes += [source.choice((RemoveMember, DemoteMember))(node) for node in gone]
        return changes or [AddMember(node, address(node)) for node in members[:1]], source.random() < SAFE

    def _removable(self, nodes: list[int]) -> list[int]:
        """A node that was told of the first members alone finds the others by one of them."""
        return nodes if self._cluster.plan.members.told else [node for node in nodes if node not in self._cluster.first]

    async def _ask(self, life: Life, changes: list[MemberChange], safe: bool) -> None:
        cluster, members = self._cluster, Members(lambda: life.groups[0])
        try:
            await members.change(changes, safe=safe, timeout=TIMEOUT_S)
        except (ChangeRefused, ValueError):
            cluster.reached("a change of the members was refused")
        except NotLeader:
            if any(isinstance(change, DemoteMember | RemoveMember) for change in changes):
                cluster.reached("a leader that was to go handed over")
        except Timeout:
            cluster.reached("a change of the members had an unknown outcome")
        except RaftError:
            pass  # the node stops, or has failed
        except Exception as error:
            life.process.complain({"message": "somebody changed the members", "exception": error})
        else:
            self._changed(life, changes)

    def _changed(self, life: Life, changes: list[MemberChange]) -> None:
        reached, table = self._cluster.reached, life.groups[0].table
        assert table is not None
        if len(changes) > 1:
            reached("members were changed by joint consensus")
        for change in changes:
            match change:
                case AddMember():
                    reached("a member was added")
                case PromoteMember():
                    reached("a learner was made a voter")
                case DemoteMember():
                    reached("a voter was made a learner")
                case RemoveMember():
                    reached("a member was removed")
                    self._note(self._gone, change.id, table.removed[change.id].index)

    # --- What is known ----------------------------------------------------------------------------------------------

    def ended(self, member: Member, life: Life) -> None:
        """A life is over, perhaps because the node was told that it was removed: then it never begins again."""
        if isinstance(life.error, Removed):
            self._cluster.reached("a node ended because it was removed")
            self._note(self._ended, member.node, life.error.index)
            member.lost = True

    def _note(self, known: dict[int, int], node: int, index: int) -> None:
        if known.setdefault(node, index) != index:
            self._cluster.found("removed once", f"node {node} was removed by entries {known[node]} and {index}")

    def _newest(self) -> Life | None:
        """Who has applied the newest configuration, of those that live."""
        lives = [life for _, life in self._cluster.lives() if life.serves and 0 in life.groups]
        return max(lives, key=lambda life: life.groups[0].raw.conf_index, default=None)

    def belongs(self, member: Member) -> bool:
        """Whether it is a member, as far as anybody that lives knows; always where nobody comes or goes."""
        newest = self._newest() if self.comes_and_goes else None
        return newest is None or member.node in members_of(newest.groups[0].raw.conf_state)

    def still_there(self) -> list[int]:
        """Who was removed, as all members know by now, and has not ended."""
        newest = self._newest() if self.comes_and_goes else None
        table = None if newest is None else newest.groups[0].table
        gone = {} if table is None else table.removed
        return [member.node for member, _ in self._cluster.lives() if member.node in gone and not member.lost]

    def few_voters(self) -> bool:
        """So many voters were taken out that nobody can be elected: they hold nothing, and wait for first members that
        have left meanwhile."""
        newest = self._newest()
        voters = () if newest is None else newest.groups[0].raw.conf_state.voters
        out = [node for node in voters if self._cluster.members[node].lost and node not in self._ended]
        return bool(voters) and 2 * len(out) >= len(voters)

    def check(self, lives: list[Life]) -> None:
        """In the end, on each of the members that are left: what was acknowledged of them is so, and who has ended for
        it was removed. Raises :class:`Broken`."""
        for life in lives:
            table = life.groups[0].table
            assert table is not None
            removed = {node: gone.index for node, gone in table.removed.items()}
            for what, known in (("was told that it is so", self._gone), ("has ended", self._ended)):
                for node, index in known.items():
                    if removed.get(node) != index:
                        text = f"somebody {what} of node {node}, removed by entry {index}, and node "
                        raise Broken("a removal stays", f"{text}{life.process.node} has {removed.get(node)}")
            if both := members_of(life.groups[0].raw.conf_state) & removed.keys():
                raise Broken("a removal stays", f"node {life.process.node} counts {sorted(both)}, removed, as members")


def address(node: int) -> str:
    """Where a node of a world is reached."""
    return f"10.0.0.{node}:7000"


def with_members(plan: Plan, source: Random) -> Plan:
    """The plan, and in some worlds members that come and go. The dice are its own, so that they move nothing else."""
    if source.random() >= SHARE or plan.disk.out_of_order or plan.options.path_sizes or plan.nodes == 1:
        return plan
    spares = source.randint(1, 3)
    load = MemberLoad(asked_s=source.choice((0.02, 0.05, 0.2)), spares=spares, told=source.random() < TOLD)
    faults: list[Fault] = []
    for fault in plan.faults:
        if fault.kind not in HARMS:
            befallen = fault.node and source.choice((fault.node, source.randint(1, plan.nodes + spares)))
            faults.append(replace(fault, node=befallen) if fault.kind in ("kill", "power", "pause", "stop") else fault)
    return replace(plan, members=load, groups=1, faults=tuple(faults), load=replace(plan.load, patient=0.0))
