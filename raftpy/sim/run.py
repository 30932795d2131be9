"""Runs a plan: a world from its beginning until everything has to be well, and what has come of it."""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from raftcore.base.errors import InvariantViolation, RaftError
from raftpy.contracts.errors import TooLarge
from raftpy.replicated import kv_commands
from raftpy.sim import ending, faults, snapshots
from raftpy.sim.checks import Checks
from raftpy.sim.clients import READ, Clients, Operation, key_bytes, value_of
from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.sim.lost_orders import passed_over
from raftpy.sim.member_calls import MemberCalls
from raftpy.sim.outcome import Broken, Failure, Outcome
from raftpy.sim.path_faults import FOUND_S, SIZES, narrow_all
from raftpy.sim.plan import Plan
from raftpy.sim.readers import Readers
from raftpy.sim.snapshot_calls import SnapshotCalls
from raftpy.sim.sometimes import SOMETIMES, Watch, unlisted
from raftpy.sim.trace import Trace
from raftpy.sim.wire import Wire
from raftpy.sim.world import Stuck, World

WRITES_WAITED_FOR = 8
"""Of the longest kind: so much a node without a leader adds to its election timeout (raftcore/algorithm/roles.pyx)."""
MOST_SETTLES = 6
"""Times ``settle_s`` until all replicas are alike, at the most."""
QUIET_S = 2.0
"""Virtual seconds in which a cluster of which nobody asks anything comes to rest."""
DARK_S = 0.1
"""How long all machines are without power, in the end."""
ELECTIONS = 10
"""Election timeouts, the longest, after which a healed cluster must have a leader."""
ALL_COLLECTED_EVERY = 16
"""Of so many worlds, one at whose end also what was there before it is looked at: that takes longer than most."""
_worlds = count(1)


class Run:
    """One run of a plan. ``record`` keeps all events."""

    def __init__(self, plan: Plan, record: bool = False) -> None:
        self.plan = plan
        self.trace = Trace(record)
        self.world = World(plan.seed, self.trace)
        self.reached: Counter[str] = Counter()
        self.cluster = Cluster(self.world, plan, self._reach)
        self.cluster.network.searched = plan.options.path_sizes
        self.checks = Checks(self.cluster)
        self.clients = Clients(self.cluster, plan.load)
        self.world.look = self.checks.look
        self.cluster.on_applied = self.checks.applied
        self.cluster.on_ended = self._ended
        self.cluster.on_started = self._started_one
        self.members = MemberCalls(self.cluster)
        self.readers: Readers | None = None
        self.wire: Wire | None = None
        if plan.watched:
            self.wire = Wire(self.cluster)
            self.cluster.make_transport = self.wire.transport
            self.checks.wire = self.wire
            self.readers = Readers(self.cluster)

    def _reach(self, name: str) -> None:
        self.reached[name] += 1

    def _ended(self, member: object, life: object) -> None:
        self.checks.ended(member, life)  # type: ignore[arg-type]
        self.members.ended(member, life)  # type: ignore[arg-type]
        self.clients.life_ended(life)  # type: ignore[arg-type]

    def _started_one(self, member: Member, life: Life) -> None:
        if self.readers is not None:
            self.readers.started(member, life)
        self.checks.snapshots.started(life)

    def run(self) -> Outcome:
        """All of it. Raises ``ValueError`` for a rare branch that was reached and is not in ``SOMETIMES``."""
        failure: Failure | None = None
        with Watch(self._reach, None if self.wire is None else self.wire.traced):
            try:
                self._act()
            except Broken as broken:
                failure = broken.failure(self.world.now)
            except InvariantViolation as broken:
                failure = Failure("invariant of a node", str(broken), self.world.now)
            except Stuck as stuck:
                failure = Failure("time goes on", str(stuck), self.world.now)
            except Exception as error:  # of the simulator itself: what led to it is to be seen like any other failure
                failure = Failure.by(error, self.world.now)
            finally:
                self.cluster.end()
        if strange := unlisted(self.reached):
            raise ValueError(f"raftpy.sim.sometimes does not list {strange[0]!r}")
        return Outcome(
            failure,
            self.trace.hash,
            self.trace.count,
            {name: self.reached.get(name, 0) for name in SOMETIMES},
            self.world.now,
            self.trace.events,
        )

    def _act(self) -> None:
        plan, world, cluster = self.plan, self.world, self.cluster
        for fault in plan.faults:
            world.at(fault.at_s, faults.inflict, cluster, fault)
        for node in cluster.ids:
            cluster.start(node)
        self.clients.start()
        SnapshotCalls(cluster).start()
        self.members.start()
        world.run(plan.duration_s)
        cluster.healed = True
        faults.heal(cluster)
        self._settle()
        self._finish()

    # --- Once all is healed -----------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Liveness: a leader soon, an answer to everybody who waits, and the same state everywhere."""
        plan, world = self.plan, self.world
        longest = 2 * plan.options.election_ms / 1000
        if not self._come_up():
            self.clients.stop()
            return
        # What was asked for in the bad times is answered, or its time runs out.
        world.run(world.now + 2 * longest)
        self.clients.stop()
        if not world.run(world.now + plan.settle_s + plan.load.timeout_s, lambda: not self.clients.waiting):
            raise Broken("an answer to everybody", f"{self.clients.waiting} clients still wait")
        if plan.last_blackout and not self._black_out():
            return
        self._write_one()
        self._wait_until_alike()
        self._lead_by_priority()
        if plan.options.path_sizes:
            self._narrow()
        self._read_all()
        self._rest()

    def _come_up(self) -> bool:
        """All start that can, and elect a leader in each group. False: so few can that nobody is ever elected."""
        world, cluster, longest = self.world, self.cluster, 2 * self.plan.options.election_ms / 1000
        if not world.run(world.now + self._grace(), self._started):
            if not self._waits_for_the_lost():
                raise Broken("a start in time", self._differences())
            for member, life in cluster.lives():
                if not life.takes_part:
                    cluster.take_out(member)
        if self._too_few():
            return False
        if not world.run(world.now + self._standing() + ELECTIONS * longest, self._led):
            if self._too_few(lacking=True):
                return False
            raise Broken("a leader in time", f"none within {ELECTIONS} election timeouts after all was healed")
        return True

    def _black_out(self) -> bool:
        """All machines lose power at once, now that nothing that was acknowledged is under way any more, though perhaps
        not every node has it. False: so few of them came back that nobody is ever elected."""
        for node in self.cluster.ids:
            self.cluster.crash(node, "power", DARK_S)
        if not self._come_up():
            return False
        self._reach("all power was lost at the end")
        return True

    def _rest(self) -> None:
        """Nobody is kept waiting, and nothing is kept, where nobody asks."""
        if not self.world.run(self.world.now + QUIET_S, lambda: self._unrest() is None):
            raise Broken("comes to rest", str(self._unrest()))

    def _unrest(self) -> str | None:
        lost = {member.node for member in self.cluster.members.values() if member.lost}
        for member, life in self.cluster.lives():
            if not life.serves or not self.members.belongs(member):
                continue
            kept = ending.unrest(life, self.checks, lost)
            for group in life.groups:
                kept = kept or snapshots.unrest(member, life, group)
            if kept is not None:
                return f"node {member.node}: {kept}"
        return None

    def _write_one(self) -> None:
        """Each group takes a command, whatever it has been through."""
        world, cluster, longest = self.world, self.cluster, 2 * self.plan.options.election_ms / 1000
        limit = ELECTIONS * longest + 1.0
        for group in range(self.plan.groups):
            until = world.now + 2 * limit
            while not self._written(cluster.leader(group), group, limit):
                if world.now > until:
                    raise Broken("a write in time", f"none in group {group} within {ELECTIONS} election timeouts")
                world.run(world.now + longest / 10)

    def _lead_by_priority(self) -> None:
        """Whom the members prefer leads, however often it was told to stand in vain: each try makes the pause before
        the next one twice as long, which so is as long as all before it together, and the first one, of ten election
        timeouts, more."""
        world, longest = self.world, 2 * self.plan.options.election_ms / 1000
        for group in range(self.plan.groups):
            until_s = 2 * world.now + 2 * ELECTIONS * longest
            if not world.run(until_s, partial(self._leads_by_priority, group)):
                text = f"of group {group}: it should be {passed_over(self._kept(), group)}"
                raise Broken("the preferred member leads", text)

    def _leads_by_priority(self, group: int) -> bool:
        return passed_over(self._kept(), group) is None

    def _narrow(self) -> None:
        """All is well, and paths become narrower: commands of any size are on all nodes soon all the same.

        Each group counts for itself, as each may have another leader, which has other paths."""
        world, plan = self.world, self.plan
        narrow_all(self.cluster, world.source("paths"))
        for group in range(plan.groups):
            end = world.now + FOUND_S + 2 * (2 * plan.options.election_ms / 1000)
            for size in SIZES:
                while not self._written(self.cluster.leader(group), group, max(end - world.now, 0.01), bytes(size)):
                    if world.now >= end:
                        raise Broken("large commands get through", f"one of {size} bytes was not answered in time")
                    world.run(world.now + plan.options.election_ms / 1000)
            if not world.run(max(world.now, end), self._alike):
                raise Broken("large commands get through", self._differences())
        self._reach("large commands got through paths that had just become narrower")

    def _written(self, leader: int | None, group: int, limit: float, value: bytes = b"") -> bool:
        """Whether ``leader`` has taken a command and answered; at the latest after ``limit`` seconds. One that is
        larger than the members have agreed on counts as taken."""
        life = None if leader is None else self.cluster.members[leader].life
        if life is None:
            return False
        calls, answered = life.calls(group), []

        async def write() -> None:
            try:
                answered.append(await calls.propose(kv_commands.put(b"last", value), timeout=limit))
            except TooLarge:
                answered.append(None)
            except RaftError:
                pass  # the leadership was lost: another time

        task = life.process.spawn(write())
        self.world.run(self.world.now + limit, lambda: task.done() or not life.process.alive)
        return bool(answered)

    def _grace(self) -> float:
        """How long members may take until all have started: those that are down, and those whose disk was stalled when
        they began, at each of an opening's many writes."""
        down = max((member.down_s for member in self.cluster.members.values()), default=0.0)
        return down + 50 * self.plan.disk.stall_s[1] + 10.0

    def _standing(self) -> float:
        """What is held back may take so long to arrive, and a node that has seen a slow write to stand: it waits for
        several of them (``report_write`` of the core)."""
        network, disk, kinds = self.plan.network, self.plan.disk, {fault.kind for fault in self.plan.faults}
        slowest = disk.sync_s[1]
        if disk.slow or "slow_disk" in kinds:
            slowest = max(slowest, disk.slow_s[1])
        if disk.stall or "stalled_disk" in kinds:
            slowest = max(slowest, disk.stall_s[1])
        return network.held_s[1] * (network.held > 0) + WRITES_WAITED_FOR * slowest

    def _too_few(self, *, lacking: bool = False) -> bool:
        """So many disks are damaged that nobody can be elected any more. ``lacking``: that may be because nodes have no
        state to lead with, and no other has the state that their logs go on from (docs/design-storage.md)."""
        if self.members.comes_and_goes:
            return self.members.few_voters()
        lost = sum(
            member.lost or (lacking and member.life is not None and _lacks_state(member.life))
            for member in self.cluster.members.values()
        )
        return 2 * lost >= len(self.cluster.ids)

    def _started(self) -> bool:
        return all(
            member.lost
            or (member.life is not None and member.life.serves and member.life.takes_part)
            or not self.members.belongs(member)
            for member in self.cluster.members.values()
        )

    def _waits_for_the_lost(self) -> bool:
        """All have started that can, and those that take no part hold nothing: they wait for the word of a member that
        is lost, for ever (design.md, decision 5)."""
        members = self.cluster.members.values()
        return any(member.lost for member in members) and all(
            member.lost
            or (
                member.life is not None
                and member.life.serves
                and (member.life.takes_part or not any(group.raw.term for group in member.life.groups.values()))
            )
            for member in members
        )

    def _kept(self) -> list[Life]:
        """The lives of those that were not taken out, and are members."""
        return [life for member, life in self.cluster.lives() if not member.lost and self.members.belongs(member)]

    def _led(self) -> bool:
        return all(self.cluster.leader(group) is not None for group in range(self.plan.groups))

    def _wait_until_alike(self) -> None:
        """One that is far behind may take its time, as long as it gets on."""
        before = -1
        for _ in range(MOST_SETTLES):
            if self.world.run(self.world.now + self.plan.settle_s, self._alike):
                return
            if before == (before := self._progress()):
                break
        raise Broken("replicas alike", self._differences())

    def _progress(self) -> int:
        return sum(
            group.raw.commit_index + group.raw.applied_index
            for _, life in self.cluster.lives()
            for group in life.groups.values()
        )

    def _alike(self) -> bool:
        if self.members.still_there():
            return False
        lives = self._kept()
        members = self.cluster.members.values()
        if len(lives) < sum(not member.lost and self.members.belongs(member) for member in members):
            return False
        for group in range(self.plan.groups):
            if any(not life.serves or group not in life.groups for life in lives):
                return False
            if any(life.groups[group].raw.awaits_state for life in lives):
                return False  # the core counts as applied what its machine is being restored from
            commits = {life.groups[group].raw.commit_index for life in lives}
            applied = {life.groups[group].raw.applied_index for life in lives}
            if len(commits | applied) > 1:
                return False
            if len({life.machines[group].fingerprint() for life in lives}) > 1:
                raise Broken("replicas alike", f"group {group}: the same index applied, and other states")
            if len({self._configured(life, group) for life in lives}) > 1:
                raise Broken("replicas alike", f"group {group}: the same index applied, and other configurations")
        return True

    def _configured(self, life: Life, group: int) -> tuple[object, ...]:
        running = life.groups[group]
        table = None if running.table is None else running.table.encode()
        return running.raw.conf_index, repr(running.raw.conf_state), table

    def _differences(self) -> str:
        seen = []
        for member in self.cluster.members.values():
            life = member.life
            if life is None:
                seen.append(f"node {member.node} is down")
            elif not life.serves:
                seen.append(f"node {member.node} does not serve: {life.host.failed or life.error}")
            else:
                raw = life.groups[0].raw
                if member.node in self.members.still_there():
                    seen.append(f"node {member.node} was removed, and has not ended")
                seen.append(f"node {member.node}: commit {raw.commit_index}, applied {raw.applied_index}")
        return "; ".join(seen)

    def _read_all(self) -> None:
        """What is there in the end belongs to the history."""
        lives = self._kept()
        for group in range(self.plan.groups):
            store = lives[0].machines[group].store
            for key in range(self.plan.load.keys):
                stored = store.get(key_bytes(key))
                operation = Operation(0, 0, group, READ, key, self.world.now, answered_s=self.world.now)
                operation.asked_at = operation.answered_at = self.trace.count
                if stored is not None:
                    operation.found = value_of(stored.value)
                    operation.version = stored.version
                self.clients.history.append(operation)

    def _finish(self) -> None:
        history, commands = self.clients.history, [group.commands for group in self.checks.groups]
        ending.durable(history, commands, [] if self._too_few(lacking=True) else self._kept())
        self.members.check(self._kept())
        ending.stale_reads(history, commands)
        ending.linearizable(history, commands)
        there, not_there = ending.unknown_outcomes(history, commands)
        if there:
            self._reach("a proposal of unknown outcome took effect")
        if not_there:
            self._reach("a proposal of unknown outcome never took effect")
        self.cluster.over = True
        for node in self.cluster.ids:
            self.cluster.stop(node)
        if not self.world.run(self.world.now + 10.0, lambda: not self.cluster.lives()):
            left = [member.node for member, _ in self.cluster.lives()]
            raise Broken("a clean stop ends", f"nodes {left} have not stopped within 10 s")
        self.checks.look_again()


def _lacks_state(life: Life) -> bool:
    return any(group.raw.awaits_state for group in life.groups.values())


@contextmanager
def collected_at_the_end() -> Iterator[None]:
    """A world runs in here: what it leaves behind is garbage, and is collected once, when it is over."""
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    if not frozen:
        gc.freeze()  # what is there already is not the world's
    try:
        yield
    finally:
        if not frozen and next(_worlds) % ALL_COLLECTED_EVERY == 0:
            gc.unfreeze()
        with warnings.catch_warnings():
            # The coroutines of processes that were killed are never awaited again.
            warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
            gc.collect()
        if not frozen:
            gc.unfreeze()
        if enabled:
            gc.enable()


def run(plan: Plan, record: bool = False) -> Outcome:
    """Runs ``plan`` once. ``record``: the outcome has all events. The same plan has the same outcome, always."""
    with collected_at_the_end():
        return Run(plan, record).run()
