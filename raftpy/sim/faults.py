"""The faults of a simulated world: what each kind does, by its name in a plan.

A fault is a function of the cluster and the plan's :class:`Fault`, under the name that plans use. What ends by itself
says so to the world with ``after``, and where two may overlap with ``_last_for``: they end with the last. Everything is
undone when the time for faults is over: see ``heal``.

To add one: write the function, give it a line in ``FAULTS``, and let ``swarm.py`` draw it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from pathlib import PurePath

from raftcore.base.errors import RaftError
from raftpy.contracts.errors import Timeout
from raftpy.sim import at_rest, durable_state, snapshot_calls
from raftpy.sim.cluster import Cluster, Life, Member
from raftpy.sim.data_directory import DIRECTORY
from raftpy.sim.descriptors import give_back, no_descriptors
from raftpy.sim.disk.image import DiskImage
from raftpy.sim.lost_orders import lost_order
from raftpy.sim.path_faults import narrow_path
from raftpy.sim.plan import Fault, Plan

DATA = PurePath(DIRECTORY)
MACHINES = durable_state.DIRECTORY
BETWEEN_S = 0.02
"""How long it takes to copy a disk or to put a copy back, and between two looks at whether that may be done."""
MACHINE_KINDS = ("none", "memory", "disk")
BAD_DISKS = {
    "full": {"no_space": 1.0},
    "broken": {"write_error": 0.5, "sync_error": 0.5},
    "slow": {"slow": 1.0},
    "stalled": {"stall": 1.0},
    "full for a snapshot": {"no_space": 0.5},
    "broken for a snapshot": {"write_error": 0.3, "sync_error": 0.3},
}
"""In which ways a disk is bad for a time, several at once too, and what its rates are then."""

OFTEN_S = 0.0005
"""Between two looks at whether a process that dies again and again is to die."""


def kill(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies, and is started again after ``value`` seconds."""
    cluster.crash(fault.node, "kill", fault.value)


def power(cluster: Cluster, fault: Fault) -> None:
    """The machine of ``node`` loses power: what was not synced is lost in part. It comes back after ``value`` s."""
    cluster.crash(fault.node, "power", fault.value)


def blackout(cluster: Cluster, fault: Fault) -> None:
    """All machines lose power at once; they come back one by one within ``value`` seconds."""
    source = cluster.world.source(f"blackout {fault.at_s}")
    for node in cluster.ids:
        cluster.crash(node, "power", source.uniform(0.0, fault.value))


def kill_in_write(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies ``other`` operations of its disk from now; it comes back ``value`` s after that."""
    member = cluster.members[fault.node]
    if member.life is not None:
        member.die_at = max(fault.other, 1)
        member.down_s = fault.value


def kill_in_turn(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies before the call of its loop that is ``other`` calls from now: at any await, and
    where no time passes. It comes back ``value`` seconds after that."""
    cluster.crash_in_calls(fault.node, fault.other, fault.value)


def kill_in_start(cluster: Cluster, fault: Fault) -> None:
    """The machine of ``node`` loses power, and the start that comes ``value`` seconds later dies after ``other``
    operations of its disk; or the start that is under way does."""
    member = cluster.members[fault.node]
    if member.life is not None and not member.life.started:
        member.die_at = max(fault.other, 1)
        member.down_s = fault.value
        return
    member.die_in_start_at = max(fault.other, 1)
    cluster.crash(fault.node, "power", fault.value)


def crash_loop(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies and is started at once, ``other`` times, each time ``value`` seconds after somebody
    read there: what one life has asked for is under way when the next one asks, and counts anew."""
    _crash_again(cluster, fault, fault.other)


def stop(cluster: Cluster, fault: Fault) -> None:
    """A clean stop of ``node``, whatever it is doing; it is started again after ``value`` seconds."""
    cluster.stop(fault.node, fault.value)


def kill_in_stop(cluster: Cluster, fault: Fault) -> None:
    """A clean stop of ``node``, in which it dies ``other`` operations of its disk from now; it comes back after
    ``value`` seconds."""
    member = cluster.members[fault.node]
    if member.life is not None:
        member.die_at = max(fault.other, 1)
        cluster.stop(fault.node, fault.value)


def pause(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` stands still for ``value`` seconds, while its clock goes on."""
    life = cluster.members[fault.node].life
    if life is not None:
        if not life.process.paused:
            life.paused_at = cluster.world.now
            life.process.pause()
            cluster.world.event(fault.node, "pause")
        _last_for(cluster, fault.value, life, lambda: _resume(cluster, life))


def isolate(cluster: Cluster, fault: Fault) -> None:
    """``node`` hears nobody and is heard by nobody for ``value`` seconds."""
    links = [
        link for other in cluster.ids if other != fault.node for link in ((fault.node, other), (other, fault.node))
    ]
    _cut_for(cluster, links, fault.value)


def cut(cluster: Cluster, fault: Fault) -> None:
    """What ``node`` sends to ``other`` is lost for ``value`` seconds; not the other way round."""
    _cut_for(cluster, [(fault.node, fault.other)], fault.value)


def sever(cluster: Cluster, fault: Fault) -> None:
    """``node`` and ``other`` do not hear one another for ``value`` seconds; all others hear both."""
    _cut_for(cluster, [(fault.node, fault.other), (fault.other, fault.node)], fault.value)


def see_some(cluster: Cluster, fault: Fault) -> None:
    """``node`` and those whose bit is not set in ``other`` do not hear one another for ``value`` seconds; else all
    hear all, so that the two sides overlap."""
    unseen = [node for node in cluster.ids if node != fault.node and not fault.other >> node & 1]
    links = [link for node in unseen for link in ((fault.node, node), (node, fault.node))]
    _cut_for(cluster, links, fault.value)


def mute(cluster: Cluster, fault: Fault) -> None:
    """Everything that ``node`` sends is lost for ``value`` seconds; it hears all."""
    _cut_for(cluster, [(fault.node, other) for other in cluster.ids if other != fault.node], fault.value)


def deafen(cluster: Cluster, fault: Fault) -> None:
    """``node`` is heard, and hears nothing for ``value`` seconds."""
    _cut_for(cluster, [(other, fault.node) for other in cluster.ids if other != fault.node], fault.value)


def split(cluster: Cluster, fault: Fault) -> None:
    """The nodes whose bit is set in ``other`` and the rest do not hear one another for ``value`` seconds."""
    side = {node for node in cluster.ids if fault.other >> node & 1}
    links = [(one, other) for one in cluster.ids for other in cluster.ids if (one in side) != (other in side)]
    _cut_for(cluster, links, fault.value)


def slow_link(cluster: Cluster, fault: Fault) -> None:
    """What ``node`` sends to ``other`` takes ``value`` seconds more, until the faults are over."""
    cluster.network.slow[fault.node, fault.other] = fault.value


def calm(cluster: Cluster, fault: Fault) -> None:
    """The network is good for ``value`` seconds, and then as bad as before."""
    cluster.network.faults = replace(cluster.plan.network, loss=0.0, late=0.0, flipped=0.0, held=0.0)
    _last_for(cluster, fault.value, "calm", lambda: _make_bad(cluster))


def full_disk(cluster: Cluster, fault: Fault) -> None:
    """The disk of ``node`` has no room for ``value`` seconds."""
    _harm_disk(cluster, fault, "full")


def broken_disk(cluster: Cluster, fault: Fault) -> None:
    """Each write and each sync of the disk of ``node`` fails for ``value`` seconds."""
    _harm_disk(cluster, fault, "broken")


def slow_disk(cluster: Cluster, fault: Fault) -> None:
    """Each sync of the disk of ``node`` takes long for ``value`` seconds."""
    _harm_disk(cluster, fault, "slow")


def stalled_disk(cluster: Cluster, fault: Fault) -> None:
    """Syncs of the disk of ``node`` stall, for ``value`` seconds."""
    _harm_disk(cluster, fault, "stalled")


def hand_over(cluster: Cluster, fault: Fault) -> None:
    """Whoever leads is asked to hand over to whom it likes, and goes on."""
    life = _leading(cluster)
    if life is not None:
        life.process.spawn(_hand_over(cluster, life))


def transfer(cluster: Cluster, fault: Fault) -> None:
    """Whoever leads is asked to hand over to ``other``."""
    life = _leading(cluster)
    if life is not None:
        life.process.spawn(_transfer(cluster, life, fault.other))


def transfer_by(cluster: Cluster, fault: Fault) -> None:
    """``node``, whoever leads, is asked to have leadership handed over to ``other``."""
    life = cluster.members[fault.node].life
    if life is not None and life.serves:
        life.process.spawn(_transfer(cluster, life, fault.other))


def stop_starting(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies, is started again at once, and told to stop ``value`` seconds later."""
    cluster.crash(fault.node, "kill", 0.0)
    cluster.world.after(fault.value, cluster.stop, fault.node, 0.1)


def stop_full(cluster: Cluster, fault: Fault) -> None:
    """The disk of ``node`` has no room from now on, for ``value`` seconds, and the node is told to stop."""
    full_disk(cluster, fault)
    cluster.stop(fault.node, fault.value)


def second_start(cluster: Cluster, fault: Fault) -> None:
    """While ``node`` runs, somebody starts another on its directory."""
    member = cluster.members[fault.node]
    if member.life is not None and member.life.serves:
        cluster.start_twice(member)


def smaller_datagrams(cluster: Cluster, fault: Fault) -> None:
    """From its next start on, the largest datagram of ``node`` is ``value`` bytes."""
    cluster.members[fault.node].max_datagram = int(fault.value)


def priority(cluster: Cluster, fault: Fault) -> None:
    """Whoever leads is told that ``other`` has priority ``value``."""
    life = _leading(cluster)
    if life is not None:
        life.process.spawn(_set_priority(cluster, life, fault.other, int(fault.value)))


def max_command(cluster: Cluster, fault: Fault) -> None:
    """Whoever leads is told that commands may have ``value`` bytes."""
    life = _leading(cluster)
    if life is not None:
        life.process.spawn(_set_max_command(cluster, life, int(fault.value)))


def wall_clock(cluster: Cluster, fault: Fault) -> None:
    """The date on ``node`` jumps by ``value`` seconds."""
    member = cluster.members[fault.node]
    member.jump_ms += int(fault.value * 1000)
    if member.life is not None:
        member.life.process.jump_ms = member.jump_ms


def drift(cluster: Cluster, fault: Fault) -> None:
    """From its next start on, the clock of ``node`` runs ``value`` times as fast as time."""
    cluster.members[fault.node].rate = fault.value


def flipped_bit(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies, and a bit of one of its files turns over, of the one that ``other`` says by its
    place among them; it is started again after ``value`` seconds.

    The disk counts as good all the same: it is refused as damaged, or everything is there (design-storage.md).
    """
    member = cluster.members[fault.node]
    cluster.crash(fault.node, "kill", fault.value)
    files = [path for path, file in member.disk.copy().files if file.data and DATA in path.parents]
    if files and not member.lost:
        member.disk.flip_bit(files[fault.other % len(files)])
        member.flipped = True


def emptied_disk(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies, and its directory is emptied; it is started again after ``value`` seconds."""
    member = cluster.members[fault.node]
    if at_rest.may_be_harmed(cluster, member) and member.disk.find(DATA) is not None:
        cluster.crash(fault.node, "kill", fault.value)
        member.trusted, member.emptied = False, True
        for directory in (DATA, MACHINES):
            if member.disk.find(directory) is not None:
                member.disk.empty(directory)


def older_copy(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies, its disk is copied, and it is started again; ``value`` seconds later, or as soon
    after that as nothing can be lost by it (``at_rest.py``), it is killed, and the copy put back in its place."""
    member = cluster.members[fault.node]
    if at_rest.may_be_harmed(cluster, member):
        cluster.crash(fault.node, "kill", BETWEEN_S)
        copy = member.disk.copy()
        if copy.files:
            cluster.world.after(fault.value, _put_back, cluster, member, copy, member.lives)


def snapshot(cluster: Cluster, fault: Fault) -> None:
    """Somebody asks ``node`` for a snapshot of each of its groups."""
    _ask_for_snapshots(cluster, fault.node)


def kill_in_snapshot(cluster: Cluster, fault: Fault) -> None:
    """``node`` is asked for a snapshot, and its process dies ``other`` operations of its disk after the next one was
    begun; it comes back ``value`` seconds after that."""
    member = cluster.members[fault.node]
    member.die_in_snapshot_at = max(fault.other, 1)
    member.down_s = fault.value
    _ask_for_snapshots(cluster, fault.node)


def failing_snapshot(cluster: Cluster, fault: Fault) -> None:
    """``node`` is asked for a snapshot, and while that is written its disk is full, or broken where ``other`` is 1."""
    cluster.members[fault.node].failing_snapshot = "broken for a snapshot" if fault.other % 2 else "full for a snapshot"
    _ask_for_snapshots(cluster, fault.node)


def harmed_snapshot(cluster: Cluster, fault: Fault) -> None:
    """As soon as ``node`` has two snapshots of a group its process dies, and one of them has a bit turned over, is cut,
    is gone, or holds what the other one holds, as ``other`` says; it is started again after ``value`` seconds. As much
    is asked of it as of any other, unless it is refused as damaged."""
    member = cluster.members[fault.node]
    if cluster.healed or member.lost:
        return
    if at_rest.snapshots_of_one_group(member):
        cluster.crash(fault.node, "kill", fault.value)
        at_rest.harm_snapshot(member, fault.other)
    else:
        _ask_first(harmed_snapshot, cluster, fault)


def lost_state(cluster: Cluster, fault: Fault) -> None:
    """As soon as a log of ``node`` begins behind a snapshot its process dies, and all its snapshots are gone, cut, or
    have a bit turned over, as ``other`` says; it is started again after ``value`` seconds, and has to get its state
    from another node."""
    member = cluster.members[fault.node]
    if cluster.healed or not at_rest.may_lose_its_state(cluster, member):
        return
    if at_rest.log_begins_behind_a_snapshot(member):
        cluster.crash(fault.node, "kill", fault.value)
        at_rest.harm_all_snapshots(member, fault.other)
    else:
        _ask_first(lost_state, cluster, fault)


def left_behind(cluster: Cluster, fault: Fault) -> None:
    """``node`` hears nobody and is heard by nobody for ``value`` seconds, in which the others are asked for snapshots
    again and again: their logs are cut, and no more reach back to where it stands."""
    isolate(cluster, fault)
    _ask_others(cluster, fault.node, cluster.world.now + fault.value)


def kill_in_fetch(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies ``other`` operations of its disk after it has begun to receive a snapshot from
    another node; it comes back ``value`` seconds after that."""
    member = cluster.members[fault.node]
    member.die_in_fetch_at, member.down_s = max(fault.other, 1), fault.value


def kill_half_way(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies when ``other`` percent of a snapshot that it receives are there; it comes back
    ``value`` seconds after that."""
    member = cluster.members[fault.node]
    member.die_half_way_at, member.down_s = fault.other, fault.value


def kill_giving(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies ``other`` calls of its loop after it has given bytes of a snapshot to another node;
    it comes back ``value`` seconds after that."""
    member = cluster.members[fault.node]
    member.die_giving_at, member.down_s = max(fault.other, 1), fault.value


def kill_in_restore(cluster: Cluster, fault: Fault) -> None:
    """The process of ``node`` dies while it restores its state machine from another node's snapshot, ``other``
    operations of its disk or calls of its loop from the beginning; it comes back ``value`` seconds after that."""
    member = cluster.members[fault.node]
    member.die_in_restore_at, member.down_s = max(fault.other, 1), fault.value


def wrong_chunk(cluster: Cluster, fault: Fault) -> None:
    """A bit is turned over in each of the next ``other`` chunks of snapshots that ``node`` gives to others."""
    cluster.members[fault.node].wrong_chunks = fault.other


def other_bytes(cluster: Cluster, fault: Fault) -> None:
    """The next snapshot that ``node`` gives to others is of another state, though its size, and all that it says of
    itself, are those of the right one."""
    cluster.members[fault.node].other_bytes = True


FAULTS: dict[str, Callable[[Cluster, Fault], None]] = {
    function.__name__: function
    for function in (
        kill, power, blackout, kill_in_write, kill_in_turn, kill_in_start, kill_in_stop, stop, pause, isolate, cut,
        sever, see_some, mute, deafen, split, slow_link, calm, full_disk, broken_disk, slow_disk, stalled_disk,
        hand_over, transfer, transfer_by, priority, stop_starting, stop_full, second_start, smaller_datagrams,
        max_command, wall_clock, drift, flipped_bit, emptied_disk, older_copy, crash_loop, snapshot, kill_in_snapshot,
        failing_snapshot, harmed_snapshot, left_behind, kill_in_fetch, kill_giving, kill_in_restore, wrong_chunk,
        other_bytes, kill_half_way, lost_state, narrow_path, no_descriptors, lost_order,
    )
}  # fmt: skip
"""By name."""


def unfit(plan: Plan) -> str | None:
    """Why a plan that somebody has written cannot be run; None: it can."""
    if plan.snapshots.machine not in MACHINE_KINDS:
        return f"machine is {plan.snapshots.machine!r}: allowed are {', '.join(MACHINE_KINDS)}"
    for what, number in (("nodes", plan.nodes), ("groups", plan.groups), ("keys", plan.load.keys)):
        if number < 1:
            return f"{what} is {number}: allowed are whole numbers from 1 on"
    for fault in plan.faults:
        if fault.kind not in FAULTS:
            return f"kind is {fault.kind!r}: allowed are {', '.join(FAULTS)}"
        if not 0 <= fault.node <= (last := plan.nodes + plan.members.spares):
            return f"{fault.kind} befalls node {fault.node}: allowed are the nodes 1 to {last}"
    return None


def inflict(cluster: Cluster, fault: Fault) -> None:
    """The fault happens now. Raises ``KeyError`` for a kind that is not known."""
    cluster.world.event(fault.node, "fault", fault.kind, f"other={fault.other} value={fault.value:g}")
    cluster.reached(f"fault: {fault.kind}")
    FAULTS[fault.kind](cluster, fault)


def heal(cluster: Cluster) -> None:
    """Everything is well from now on: links, disks, processes."""
    cluster.world.event(0, "healed")
    # A broadcast takes a good deal less than an election timeout, or nobody is ever elected (paper 5.6).
    cluster.network.heal(cluster.plan.options.election_ms / 1000 / 20)
    for member in cluster.members.values():
        member.die_at = member.die_in_start_at = member.die_in_snapshot_at = None
        member.failing_snapshot = ""
        _set_disk(cluster, member.node)
        if member.life is not None:
            _resume(cluster, member.life)
            give_back(member.life)
        if member.put_back:
            cluster.take_out(member)  # as README.md says: nothing that it does counts, or is promised
        cluster.ensure_started(member.node)


def bad_for_snapshot(cluster: Cluster, node: int, how: str, begins: bool) -> None:
    """The disk of ``node`` is bad in one of ``BAD_DISKS``' ways, or no more, because of a snapshot."""
    cluster.lasting[node, how] += 1 if begins else -1
    _set_disk(cluster, node)


# --- Parts of them ----------------------------------------------------------------------------------------------------


def _crash_again(cluster: Cluster, fault: Fault, times: int) -> None:
    if cluster.healed or not times:
        return
    life = cluster.members[fault.node].life
    again_s = OFTEN_S
    if life is not None and life.serves and life.reads:
        cluster.world.after(fault.value, _crash_life, cluster, life)
        times -= 1
        again_s += fault.value
    cluster.world.after(again_s, _crash_again, cluster, fault, times)


def _crash_life(cluster: Cluster, life: Life) -> None:
    if not cluster.healed and cluster.members[life.process.node].life is life:
        cluster.crash(life.process.node, "kill", 0.0)


def _leading(cluster: Cluster) -> Life | None:
    """The life of whoever leads group 0."""
    leader = cluster.leader()
    return None if leader is None else cluster.members[leader].life


def _last_for(cluster: Cluster, seconds: float, what: Hashable, end: Callable[[], object]) -> None:
    """``end()`` is called ``seconds`` from now, unless something else that has begun the same has not ended then."""
    cluster.lasting[what] += 1
    cluster.world.after(seconds, _over, cluster, what, end)


def _over(cluster: Cluster, what: Hashable, end: Callable[[], object]) -> None:
    cluster.lasting[what] -= 1
    if not cluster.lasting[what]:
        end()


def _cut_for(cluster: Cluster, links: list[tuple[int, int]], seconds: float) -> None:
    cuts = cluster.network.cuts
    cuts.update(links)
    for link in links:
        _last_for(cluster, seconds, link, partial(cuts.discard, link))


def _put_back(cluster: Cluster, member: Member, copy: DiskImage, lives: int) -> None:
    if cluster.healed or not at_rest.may_be_harmed(cluster, member):
        return
    if member.lives == lives or not at_rest.nothing_to_lose(cluster, member):
        cluster.world.after(BETWEEN_S, _put_back, cluster, member, copy, lives)
        return
    cluster.crash(member.node, "kill", BETWEEN_S)
    member.trusted, member.put_back = False, True
    member.disk.restore(copy)
    cluster.reached("an older copy was put back")


def _resume(cluster: Cluster, life: Life) -> None:
    if life.process.paused and life.process.alive:
        cluster.world.event(life.process.node, "resume")
        life.stood_still_s += cluster.world.now - life.paused_at
        life.process.resume()


def _make_bad(cluster: Cluster) -> None:
    if not cluster.healed:
        cluster.network.faults = cluster.plan.network


def _harm_disk(cluster: Cluster, fault: Fault, how: str) -> None:
    _last_for(cluster, fault.value, (fault.node, how), lambda: _set_disk(cluster, fault.node))
    _set_disk(cluster, fault.node)


def _set_disk(cluster: Cluster, node: int) -> None:
    """As bad as the plan has it, and what befalls it now; as good as can be once all is healed."""
    faults = cluster.plan.disk
    for how, rates in BAD_DISKS.items():
        if cluster.lasting[node, how]:
            faults = replace(faults, **rates)  # type: ignore[arg-type]
    if cluster.healed:
        longest = cluster.plan.options.election_ms / 1000 / 10
        sync_s = (min(faults.sync_s[0], longest), min(faults.sync_s[1], longest))
        faults = replace(faults, sync_s=sync_s, write_error=0.0, sync_error=0.0, no_space=0.0, slow=0.0, stall=0.0)
    cluster.members[node].disk.faults = faults


def _ask_for_snapshots(cluster: Cluster, node: int) -> None:
    life = cluster.members[node].life
    if life is not None:
        for group in life.machines:
            snapshot_calls.ask(cluster, life, group)


def _ask_first(again: Callable[[Cluster, Fault], None], cluster: Cluster, fault: Fault) -> None:
    """The node has no snapshot to harm yet: it is asked for one, and the fault is tried again a little later."""
    _ask_for_snapshots(cluster, fault.node)
    cluster.world.after(BETWEEN_S, again, cluster, fault)


def _ask_others(cluster: Cluster, node: int, until_s: float) -> None:
    if cluster.world.now < until_s and not cluster.healed:
        for other in cluster.ids:
            if other != node:
                _ask_for_snapshots(cluster, other)
        cluster.world.after(BETWEEN_S, _ask_others, cluster, node, until_s)


async def _transfer(cluster: Cluster, life: Life, to: int) -> None:
    try:
        await life.calls(0).transfer_leadership(to, timeout=1.0)
        cluster.reached("a transfer was completed")
    except Timeout:
        cluster.reached("a transfer came to nothing in time")
    except RaftError:
        pass  # the node stops
    except ValueError:  # it is no voter any more
        assert cluster.plan.members.asked_s


async def _hand_over(cluster: Cluster, life: Life) -> None:
    try:
        if await life.calls(0).hand_over():
            cluster.reached("a leader handed over and went on")
    except RaftError:
        pass  # the node stops


async def _set_priority(cluster: Cluster, life: Life, node: int, priority: int) -> None:
    try:
        await life.calls(0).set_priority(node, priority, timeout=1.0)
        cluster.reached("a priority was set")
    except RaftError:
        cluster.reached("a priority was not set")
    except ValueError:  # it is no member any more
        assert cluster.plan.members.asked_s


async def _set_max_command(cluster: Cluster, life: Life, size: int) -> None:
    try:
        await life.calls(0).set_max_command(size, timeout=1.0)
        cluster.reached("a limit of commands was set")
    except RaftError:
        cluster.reached("a limit of commands was not set")
