"""From a seed to a plan: which kind of world it will be (swarm testing).

Each fault, and each way in which disks and network are bad, is in a given world or is not, by a draw of its own. A
world that has all of them hardly ever gets anywhere; one that leaves most of them out goes deep into what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from raftpy.sim.descriptors import with_few_descriptors
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.lost_orders import with_lost_orders
from raftpy.sim.member_calls import with_members
from raftpy.sim.path_faults import with_paths
from raftpy.sim.plan import Fault, Load, NetworkFaults, Options, Plan, SnapshotLoad

SILENT = 0.02
"""Share of worlds in which a node is isolated until the others notice that it is silent; they take longer."""
SILENT_S = 6.5
"""For so long."""
LARGE = 1 / 8
"""Share of worlds in which some values are larger than a datagram."""
SMALL_CACHE = 1 / 4
"""Share of worlds in which next to nothing of a log stays in memory."""
SLOWLY_FED = 0.5
"""Share of worlds in which a follower that lacks what has left the memory has to be waited for, if nobody needs it."""
AT_REST = 1 / 12
"""Share of worlds in which a disk is harmed while nobody has it open."""
LOST_REQUESTS = 1 / 40
"""Share of worlds in which nobody hears anybody while a priority is to be set, where there is room for it."""
ALONE_S = 1.1
"""For so long: longer than whoever asks for it waits."""
LARGE_ENTRIES = 1 / 40
"""Share of worlds whose logs hold what is larger than a datagram of later, where there is room for it."""
CRASH_LOOPS = 1 / 15
"""Share of worlds in which a process dies again and again, where there is room for it."""
LAST_BLACKOUT = 0.25
"""Share of worlds in which all machines lose power once everybody was answered."""
ONE_BY_ONE = 0.2
"""Share of worlds whose state machines take one command at a time."""
INTERLEAVED = 0.2
"""Share of worlds in which others go on while a thread stands between two operations of its disk."""
SNAPSHOTS = 0.35
"""Share of worlds whose state machines give out their state."""
SHORT_LOGS = 0.7
"""Share of these in which nothing stays of a log behind the snapshots for members that are behind."""
LOST_STATES = 0.4
"""Share of these in which nodes lose all their snapshots."""
ASKED_IN_VAIN = 1 / 30
"""Share of the others in which somebody asks for snapshots all the same."""
RESUMED = 1 / 20
"""Share of worlds, where there is room for it, in which a node dies half way through a snapshot that brings it up."""
SMALL_PIECES = 0.8
"""Share of those with short logs in which snapshots have several blocks, or come in several chunks."""
HALF_WAY = 0.7
"""How often, in these, who is left behind dies half way through the snapshot that brings it up."""
ANOTHER_GIVEN = 0.3
"""Share of these, where somebody is left behind, in which a node gives another snapshot than it says."""
SEVERAL_GROUPS = 0.15
"""Share of these that have several groups though they were drawn with one."""
LIMITS = 1 / 10
"""Share of worlds in which the largest command is changed."""
HARMED_SNAPSHOTS = 0.4
"""Share of these in which one node's snapshots are harmed while nobody has them open, unless its disk is otherwise."""


MOST_BYTES = 200_000
"""Of a large value."""
MEAN_BYTES = 2_000
"""What large values add to the mean of all, at most: a simulated disk merges its tables byte by byte."""


def draw_plan(seed: int) -> Plan:
    """The plan of ``seed``, the same on every machine."""
    source = Random(f"raftpy.sim {seed}")
    nodes = source.choices((1, 2, 3, 4, 5), (1, 1, 10, 2, 5))[0]
    duration = source.uniform(1.0, 4.0)
    silent = source.random() < SILENT and nodes > 1
    if silent:
        duration += SILENT_S
    options = _options(source, nodes)
    # Where a broadcast and a sync do not take a good deal less than an election timeout, nobody is ever elected (paper
    # 5.6), and all that is left of the world is its elections. A few may be so.
    patience_s = options.election_ms / 1000 * (1.0 if source.random() < 0.9 else 20.0)
    plan = Plan(
        seed=seed,
        nodes=nodes,
        groups=source.choices((1, 2, 5), (8, 1, 1))[0],
        duration_s=round(duration, 3),
        settle_s=10.0,
        options=options,
        network=_network(source, patience_s / 10),
        disk=_disk(source, patience_s / 20),
        load=_load(source),
        faults=_faults(source, nodes, duration, silent),
        watched=source.random() < 0.25,
    )
    plan = _with_large_values(plan, Random(f"raftpy.sim large {seed}"))
    plan = _with_lost_request(plan, Random(f"raftpy.sim lost request {seed}"))
    plan = _with_large_entries(plan, Random(f"raftpy.sim large entries {seed}"))
    plan = _with_crash_loop(plan, Random(f"raftpy.sim crash loop {seed}"))
    plan = _with_harm(plan, Random(f"raftpy.sim at rest {seed}"))
    plan = _with_strands(plan, Random(f"raftpy.sim interleaved {seed}"))
    plan = _with_snapshots(plan, Random(f"raftpy.sim snapshots {seed}"))
    plan = _with_short_logs(plan, Random(f"raftpy.sim short logs {seed}"))
    plan = _with_one_to_resume(plan, Random(f"raftpy.sim one to resume {seed}"))
    plan = _with_pieces(plan, Random(f"raftpy.sim pieces of snapshots {seed}"))
    plan = _with_limits(plan, Random(f"raftpy.sim limits of commands {seed}"))
    plan = _with_small_cache(plan, Random(f"raftpy.sim log cache {seed}"))
    plan = _with_pace(plan, Random(f"raftpy.sim pace {seed}"))
    plan = _with_lost_states(plan, Random(f"raftpy.sim lost states {seed}"))
    plan = with_paths(plan, Random(f"raftpy.sim paths {seed}"))
    plan = with_few_descriptors(plan, Random(f"raftpy.sim descriptors {seed}"), int(_room(plan)))
    plan = with_lost_orders(plan, Random(f"raftpy.sim lost orders {seed}"))
    plan = with_members(plan, Random(f"raftpy.sim members {seed}"))
    return replace(
        plan,
        last_blackout=Random(f"raftpy.sim last blackout {seed}").random() < LAST_BLACKOUT,
        one_by_one=Random(f"raftpy.sim one by one {seed}").random() < ONE_BY_ONE,
    )


def _with_large_values(plan: Plan, source: Random) -> Plan:
    """The plan, and in some worlds values that go from node to node in fragments, few or many. Dice of its own."""
    if source.random() >= LARGE or plan.nodes == 1:
        return plan
    size = min(MOST_BYTES, int(plan.options.max_datagram * source.choice((1.2, 4.0, 30.0))))
    share = min(source.choice((0.02, 0.1, 0.5)), MEAN_BYTES / size)
    return replace(plan, load=replace(plan.load, large=round(share, 4), large_bytes=size))


def _with_small_cache(plan: Plan, source: Random) -> Plan:
    """The plan, and in some worlds logs that are read back for each follower that lags a little. Dice of its own."""
    share, size = source.random(), source.choice((0, 300, 3000))
    return replace(plan, options=replace(plan.options, log_cache_bytes=size)) if share < SMALL_CACHE else plan


def _with_pace(plan: Plan, source: Random) -> Plan:
    """The plan, and in half of the worlds a follower that is far behind is sent next to nothing. Dice of its own."""
    slow = source.random() < SLOWLY_FED
    return replace(plan, options=replace(plan.options, catch_up_rate=1 << 16)) if slow else plan


def _maybe(source: Random, chance: float, draw: Callable[[], float]) -> float:
    """A drawn number, mostly 0; both dice are always thrown, so that a changed chance moves nothing else."""
    dice, value = source.random(), draw()
    return round(value, 6) if dice < chance else 0.0


def _options(source: Random, nodes: int) -> Options:
    tick = source.choice((5, 10, 10, 20))
    heartbeat = tick * source.randint(1, 5)
    largest = source.choice((600, 1200, 60_000))
    return Options(
        tick_ms=tick,
        heartbeat_ms=heartbeat,
        election_ms=heartbeat * source.randint(3, 5),
        pre_vote=source.random() < 0.7,
        check_quorum=source.random() < 0.8,
        max_datagram=largest,
        max_inflight_messages=source.choice((1, 2, 8, 256)),
        max_inflight_bytes=source.choice((1, 10, 100)) * largest,
        max_uncommitted_bytes=source.choice((200, 2_000, 64 << 20, 64 << 20)),
        write_mode=source.choice(("auto", "auto", "inline", "thread")),
        segment_size=source.choice((1 << 12, 1 << 14, 1 << 20)),
    )


def _network(source: Random, slowest_s: float) -> NetworkFaults:
    longest = round(min(source.choice((0.0005, 0.002, 0.01, 0.03)), slowest_s), 6)
    return NetworkFaults(
        delay_s=(round(longest * source.uniform(0.05, 0.9), 6), longest),
        late=_maybe(source, 0.3, lambda: source.uniform(0.0, 0.2)),
        late_s=(0.02, round(source.uniform(0.05, 0.8), 3)),
        loss=_maybe(source, 0.4, lambda: source.uniform(0.0, 0.3)),
        duplication=_maybe(source, 0.4, lambda: source.uniform(0.0, 0.5)),
        flipped=_maybe(source, 0.2, lambda: source.uniform(0.0, 0.05)),
        held=_maybe(source, 0.3, lambda: source.uniform(0.0, 0.02)),
        held_s=(0.5, round(source.uniform(1.0, 3.0), 3)),
        refused=_maybe(source, 0.5, lambda: 1.0),
        buffer_bytes=source.choice((1 << 20, 1 << 20, 4_000, 1_500)),
    )


def _disk(source: Random, slowest_s: float) -> DiskFaults:
    usual = round(min(source.choice((0.0001, 0.0005, 0.003, 0.02)), slowest_s), 6)
    return DiskFaults(
        sync_s=(usual, round(usual * source.uniform(1.5, 5.0), 6)),
        slow=_maybe(source, 0.3, lambda: source.uniform(0.0, 0.1)),
        stall=_maybe(source, 0.1, lambda: source.uniform(0.0, 0.01)),
        write_error=_maybe(source, 0.1, lambda: source.uniform(0.0, 0.003)),
        sync_error=_maybe(source, 0.1, lambda: source.uniform(0.0, 0.005)),
        no_space=_maybe(source, 0.1, lambda: source.uniform(0.0, 0.003)),
    )


def _load(source: Random) -> Load:
    writes = source.uniform(0.1, 0.7)
    return Load(
        clients=source.randint(1, 8),
        keys=source.randint(1, 6),
        think_s=round(source.choice((0.002, 0.01, 0.03, 0.1)), 6),
        burst=source.choice((1, 1, 4, 10)),
        writes=round(writes, 3),
        swaps=round(source.uniform(0.0, 0.9 - writes), 3),
        stale_reads=_maybe(source, 0.5, lambda: source.uniform(0.0, 0.5)),
        follower_reads=_maybe(source, 0.6, lambda: source.uniform(0.0, 1.0)),
        timeout_s=source.choice((0.1, 0.5, 2.0)),
        cancelled=_maybe(source, 0.3, lambda: source.uniform(0.0, 0.3)),
        value_bytes=source.choice((8, 16, 100, 380)),
        patient=_maybe(source, 0.3, lambda: source.uniform(0.0, 1.0)),
        apply_s=_maybe(source, 0.2, lambda: source.choice((0.00001, 0.0001, 0.0003, 0.002))),
        feed=source.random() < 0.2,
    )


def _seconds(source: Random) -> float:
    """How long something lasts, or a member is down: mostly short against an election, sometimes long."""
    return round(source.choice((0.02, 0.1, 0.3, 1.0)) * source.uniform(0.5, 1.5), 4)


FAULTS: dict[str, tuple[float, Callable[[Random, int], tuple[int, float]]]] = {
    "kill": (0.4, lambda source, nodes: (0, _seconds(source))),
    "power": (0.4, lambda source, nodes: (0, _seconds(source))),
    "blackout": (0.15, lambda source, nodes: (0, _seconds(source))),
    "kill_in_write": (0.4, lambda source, nodes: (source.randint(1, 40), _seconds(source))),
    "kill_in_turn": (0.3, lambda source, nodes: (source.randint(1, 100), _seconds(source))),
    "kill_in_start": (0.3, lambda source, nodes: (source.randint(1, 60), _seconds(source))),
    "kill_in_stop": (0.2, lambda source, nodes: (source.randint(1, 20), _seconds(source))),
    "stop": (0.3, lambda source, nodes: (0, _seconds(source))),
    "pause": (0.3, lambda source, nodes: (0, _seconds(source))),
    "isolate": (0.3, lambda source, nodes: (0, _seconds(source))),
    "cut": (0.3, lambda source, nodes: (source.randint(1, nodes - 1), _seconds(source))),
    "sever": (0.3, lambda source, nodes: (source.randint(1, nodes - 1), _seconds(source))),
    "see_some": (0.3, lambda source, nodes: (source.randint(1, 2 ** (nodes - 1) - 2), _seconds(source))),
    "mute": (0.2, lambda source, nodes: (0, _seconds(source))),
    "deafen": (0.2, lambda source, nodes: (0, _seconds(source))),
    "split": (0.3, lambda source, nodes: (2 * source.randint(1, 2**nodes - 2), _seconds(source))),
    "slow_link": (0.2, lambda source, nodes: (source.randint(1, nodes - 1), round(source.uniform(0.01, 0.2), 4))),
    "calm": (0.2, lambda source, nodes: (0, _seconds(source))),
    "full_disk": (0.1, lambda source, nodes: (0, _seconds(source))),
    "broken_disk": (0.1, lambda source, nodes: (0, _seconds(source))),
    "slow_disk": (0.2, lambda source, nodes: (0, _seconds(source))),
    "stalled_disk": (0.15, lambda source, nodes: (0, _seconds(source))),
    "hand_over": (0.2, lambda source, nodes: (0, 0.0)),
    "transfer": (0.3, lambda source, nodes: (source.randint(1, nodes), 0.0)),
    "transfer_by": (0.15, lambda source, nodes: (source.randint(1, nodes), 0.0)),
    "stop_starting": (0.15, lambda source, nodes: (0, round(source.uniform(0.0, 0.02), 4))),
    "second_start": (0.1, lambda source, nodes: (0, 0.0)),
    "stop_full": (0.1, lambda source, nodes: (0, _seconds(source))),
    "smaller_datagrams": (0.15, lambda source, nodes: (0, 512.0)),
    "priority": (0.2, lambda source, nodes: (source.randint(1, nodes), float(source.randint(0, 3)))),
    "wall_clock": (0.2, lambda source, nodes: (0, round(source.uniform(-1e4, 1e4), 3))),
    "drift": (0.2, lambda source, nodes: (0, round(source.uniform(0.97, 1.03), 5))),
}
"""By name: how many worlds have it, and what to draw for ``other`` and ``value``. ``other`` as a node at the other end
of a link, or as bits of nodes that are seen, counts them from the one behind ``node`` on."""
LINKS = {"cut": 2, "sever": 2, "see_some": 3, "slow_link": 2, "isolate": 2, "mute": 2, "deafen": 2, "split": 2}
"""What befalls links, and how many nodes there must be for it to have an effect of its own."""


FIRST_START = frozenset({"kill_in_start", "kill_in_turn"})
"""What may befall the very first start as well: in half of the worlds it does, half of the time."""
EARLIEST_S = 0.4
"""By then most worlds have a leader."""
MOST_FAULTS = 6
"""In a second: with more of them, no leader lasts long enough to be asked for anything."""


def _others(plan: Plan, node: int) -> list[int]:
    """All nodes but that one."""
    return [other for other in range(1, plan.nodes + 1) if other != node]


def _behind(node: int, places: int, nodes: int) -> int:
    """So many places behind ``node``, in a ring."""
    return (node - 1 + places) % nodes + 1


def _faults(source: Random, nodes: int, duration: float, silent: bool) -> tuple[Fault, ...]:
    enabled = [
        (name, draw)
        for name, (share, draw) in FAULTS.items()
        if source.random() < share and nodes >= LINKS.get(name, 1)
    ]
    count = min(source.choice((0, 2, 5, 12, 25)), int(MOST_FAULTS * duration))
    first_starts = source.random() < 0.5
    within = duration * source.choice((1.0,) * 9 + (0.02,))  # most at the beginning, when all are new
    found = []
    if silent:
        found.append(Fault(at_s=0.2, kind="isolate", node=source.randint(1, nodes), value=SILENT_S))
    for _ in range(count if enabled else 0):
        name, draw = source.choice(enabled)
        other, value = draw(source, nodes)
        at = round(source.uniform(0.0, within), 5)
        if name in FIRST_START and source.random() < 0.5 and first_starts:
            at = 0.0
        node = source.randint(1, nodes)
        if name in ("cut", "sever", "slow_link"):
            other = _behind(node, other, nodes)
        elif name == "see_some":
            other = sum(1 << _behind(node, place, nodes) for place in range(1, nodes) if other >> place - 1 & 1)
        found.append(Fault(at_s=at, kind=name, node=node, other=other, value=value))
    return _in_order(*found)


def _in_order(*faults: Fault) -> tuple[Fault, ...]:
    """As a plan has them: by time, and those of one moment as they were given."""
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _room(plan: Plan) -> float:
    """How many faults more a plan may have for its duration."""
    return MOST_FAULTS * plan.duration_s - len(plan.faults)


def _with_lost_request(plan: Plan, source: Random) -> Plan:
    """The plan, and in a few worlds nobody hears anybody while whoever leads is asked to set a priority, until nobody
    waits for it any more. The dice are its own, so that they move nothing else."""
    latest_s = plan.duration_s - ALONE_S
    if source.random() >= LOST_REQUESTS or plan.nodes == 1 or latest_s < EARLIEST_S or plan.nodes + 1 > _room(plan):
        return plan
    at_s = round(source.uniform(EARLIEST_S, latest_s), 5)
    found = [Fault(at_s=at_s, kind="isolate", node=node, value=ALONE_S) for node in range(1, plan.nodes + 1)]
    asked = float(source.randint(1, 3))
    found.append(Fault(at_s=at_s, kind="priority", other=source.randint(1, plan.nodes), value=asked))
    return replace(plan, faults=_in_order(*plan.faults, *found))


def _with_large_entries(plan: Plan, source: Random) -> Plan:
    """The plan, and in a few worlds one node misses entries that are larger than any datagram may be once all have
    started anew. The dice are its own, so that they move nothing else."""
    latest_s = plan.duration_s - 2 * EARLIEST_S
    if source.random() >= LARGE_ENTRIES or plan.nodes < 3 or latest_s < EARLIEST_S or plan.nodes + 2 > _room(plan):
        return plan
    at_s, missing_s = round(source.uniform(EARLIEST_S, latest_s), 5), EARLIEST_S
    found = [Fault(at_s=at_s, kind="smaller_datagrams", node=node, value=512.0) for node in range(1, plan.nodes + 1)]
    found.append(Fault(at_s=at_s, kind="isolate", node=source.randint(1, plan.nodes), value=missing_s))
    found.append(Fault(at_s=round(at_s + missing_s - 0.02, 5), kind="blackout", value=0.02))
    return replace(
        plan,
        options=replace(plan.options, max_datagram=1200, max_uncommitted_bytes=64 << 20),
        load=replace(plan.load, value_bytes=600, think_s=min(plan.load.think_s, 0.01)),
        faults=_in_order(*plan.faults, *found),
    )


def _with_crash_loop(plan: Plan, source: Random) -> Plan:
    """The plan, and in a few worlds a process that dies again and again while what it has asked for is under way: the
    minority without which nothing is decided while it is down answers late. The dice are its own, so that they move
    nothing else."""
    slow = (plan.nodes - 1) // 2
    if source.random() >= CRASH_LOOPS or not slow or slow * plan.nodes > _room(plan):
        return plan
    node, at_s = source.randint(1, plan.nodes), round(source.uniform(0.2, 0.5) * plan.duration_s, 5)
    delay_s = round(source.uniform(0.05, 0.4) * plan.options.election_ms / 1000, 4)
    low, high = plan.network.delay_s
    found = [
        Fault(at_s=at_s, kind="slow_link", node=late, other=other, value=delay_s)
        for late in (_behind(node, step, plan.nodes) for step in range(1, slow + 1))
        for other in range(1, plan.nodes + 1)
        if other != late
    ]
    # So that what it asks has come, and what is asked of it in turn has not.
    value = round(source.uniform(high, max(high, 2 * low)), 6)
    found.append(Fault(at_s=at_s, kind="crash_loop", node=node, other=source.randint(5, 40), value=value))
    return replace(
        plan,
        load=replace(plan.load, follower_reads=1.0, think_s=0.002, clients=8),
        disk=replace(plan.disk, sync_s=(0.0001, 0.0003)),
        faults=_in_order(*plan.faults, *found),
    )


HARM: dict[str, Callable[[Random, float], Fault]] = {
    "flipped_bit": lambda source, duration: Fault(
        at_s=round(source.uniform(0.0, duration), 5),
        kind="flipped_bit",
        other=source.randrange(1000),
        value=_seconds(source),
    ),
    "emptied_disk": lambda source, duration: Fault(
        at_s=round(source.uniform(0.0, duration), 5), kind="emptied_disk", value=_seconds(source)
    ),
    "older_copy": lambda source, duration: Fault(
        at_s=round(source.uniform(0.0, 0.5 * duration), 5),
        kind="older_copy",
        value=round(source.uniform(0.05, 0.4) * duration, 4),
    ),
}
"""What is done to a disk at rest, by name, and how it is drawn."""


def _with_harm(plan: Plan, source: Random) -> Plan:
    """The plan, and in a few worlds one kind of harm to the disk of one member; or the disks of all lose, with the
    power, what was not synced in any order. The dice are its own, so that they move nothing else.

    One of two members is no minority, and one alone has no peers that could refuse an emptied disk, or an older one.
    """
    room = int(MOST_FAULTS * plan.duration_s) + 1 - len(plan.faults)
    if source.random() >= AT_REST or plan.nodes == 2 or not room:
        return plan
    kind = source.choice([*HARM, "out_of_order"] if plan.nodes > 2 else ["flipped_bit", "out_of_order"])
    node, count = source.randint(1, plan.nodes), min(source.randint(1, 3), room)
    if kind == "out_of_order":
        plan = replace(plan, disk=replace(plan.disk, out_of_order=round(source.uniform(0.2, 1.0), 3)))
        found = [
            Fault(
                at_s=round(source.uniform(0.0, plan.duration_s), 5),
                kind="power",
                node=source.randint(1, plan.nodes),
                value=_seconds(source),
            )
            for _ in range(count)
        ]
    else:
        times = count if kind == "flipped_bit" else 1  # most bits are noticed only in a file that is read again
        found = [replace(HARM[kind](source, plan.duration_s), node=node) for _ in range(times)]
    return replace(plan, faults=_in_order(*plan.faults, *found))


def _with_strands(plan: Plan, source: Random) -> Plan:
    """The plan, and in some worlds threads that stand between two operations; half of them have a store that writes in
    a thread whatever its disk takes. The dice are its own, so that they move nothing else."""
    if source.random() >= INTERLEAVED:
        return plan
    mode = "thread" if source.random() < 0.5 else plan.options.write_mode
    return replace(plan, interleaved=True, options=replace(plan.options, write_mode=mode))


SNAPSHOT_FAULTS: dict[str, Callable[[Random], tuple[int, float]]] = {
    "snapshot": lambda source: (0, 0.0),
    "kill_in_snapshot": lambda source: (source.randint(1, 25), _seconds(source)),
    "failing_snapshot": lambda source: (source.randint(0, 1), 0.0),
}
"""What befalls who writes a snapshot, by name, and what to draw for ``other`` and ``value``."""


def _with_snapshots(plan: Plan, source: Random) -> Plan:
    """The plan, and in some worlds state machines that give out their state, and faults that go with that. The dice are
    its own, so that they move nothing else."""
    if source.random() >= SNAPSHOTS:
        return replace(plan, snapshots=SnapshotLoad(asked_s=0.3)) if source.random() < ASKED_IN_VAIN else plan
    load = SnapshotLoad(
        machine=source.choice(("memory", "memory", "disk")),
        entries=source.choice((0, 3, 20, 100)),
        asked_s=source.choice((0.03, 0.1, 0.3)),
        in_thread=source.random() < 0.3,
        piece_s=source.choice((0.0, 0.0, 0.0005, 0.002)),
        saved=source.choice((0.0, 0.02, 0.2)),
    )
    room = max(0, int(_room(plan)))
    found = []
    for _ in range(min(room, source.choice((0, 2, 5, 8)))):
        kind = source.choice([*SNAPSHOT_FAULTS])
        other, value = SNAPSHOT_FAULTS[kind](source)
        at_s = round(source.uniform(0.0, plan.duration_s), 5)
        found.append(Fault(at_s=at_s, kind=kind, node=source.randint(1, plan.nodes), other=other, value=value))
    harmed = source.random() < HARMED_SNAPSHOTS and plan.nodes != 2 and not plan.disk.out_of_order
    if harmed and not any(fault.kind in HARM for fault in plan.faults):
        node = source.randint(1, plan.nodes)
        for _ in range(min(room - len(found), source.randint(1, 3))):
            at_s = round(source.uniform(0.2 * plan.duration_s, 0.8 * plan.duration_s), 5)
            other, value = source.randrange(1000), _seconds(source)
            found.append(Fault(at_s=at_s, kind="harmed_snapshot", node=node, other=other, value=value))
    return replace(plan, snapshots=load, faults=_in_order(*plan.faults, *found))


FETCH_FAULTS: dict[str, Callable[[Random], tuple[int, float]]] = {
    "kill_in_fetch": lambda source: (source.randint(1, 6), _seconds(source)),
    "kill_giving": lambda source: (source.randint(1, 20), _seconds(source)),
    "kill_in_restore": lambda source: (source.randint(1, 8), _seconds(source)),
    "wrong_chunk": lambda source: (source.randint(1, 3), 0.0),
}
"""What befalls who sends a snapshot to another node, or receives it, by name, as ``SNAPSHOT_FAULTS``."""


def _with_short_logs(plan: Plan, source: Random) -> Plan:
    """The plan, and in most worlds with snapshots no log stays for those that fall behind, as one node does now and
    then. The dice are its own, so that they move nothing else."""
    if plan.snapshots.machine == "none" or source.random() >= SHORT_LOGS:
        return plan
    load = replace(plan.snapshots, trailing_bytes=source.choice((0, 0, 1_000)))
    load = replace(load, asked_s=source.choice((load.asked_s, 1.0)))  # so that none is out of date at once
    plan = replace(plan, snapshots=load)
    found: list[Fault] = []
    for _ in range(source.choice((0, 1, 2, 3)) if plan.nodes > 2 else 0):
        more = _left_behind(plan, source)
        if len(found) + len(more) <= _room(plan):
            found += more
    return replace(plan, faults=_in_order(*plan.faults, *found))


def _with_lost_states(plan: Plan, source: Random) -> Plan:
    """The plan, and in some worlds with snapshots nodes that lose all of theirs, so that their logs are all they have;
    never where disks are harmed otherwise. The dice are its own, so that they move nothing else."""
    harmed = plan.disk.out_of_order or any(fault.kind in (*HARM, "harmed_snapshot") for fault in plan.faults)
    if plan.snapshots.machine == "none" or plan.nodes < 3 or harmed or source.random() >= LOST_STATES:
        return plan
    found = []
    for node in source.sample(range(1, plan.nodes + 1), min(int(_room(plan)), source.choice((1, 1, plan.nodes)))):
        at_s = round(source.uniform(0.1, 0.7) * plan.duration_s, 5)
        other, value = source.randrange(1000), _seconds(source)
        found.append(Fault(at_s=at_s, kind="lost_state", node=node, other=other, value=value))
    return replace(plan, faults=_in_order(*plan.faults, *found))


def _left_behind(plan: Plan, source: Random) -> list[Fault]:
    """A node is left behind the logs of the others, and two things befall what brings it up."""
    node, at_s = source.randint(1, plan.nodes), round(source.uniform(0.1, 0.7) * plan.duration_s, 5)
    found = [Fault(at_s=at_s, kind="left_behind", node=node, value=round(source.uniform(0.2, 0.6), 4))]
    for kind in source.sample(sorted(FETCH_FAULTS), 2):
        other, value = FETCH_FAULTS[kind](source)
        for befallen in (node,) if kind in ("kill_in_fetch", "kill_in_restore") else _others(plan, node):
            found.append(Fault(at_s=at_s, kind=kind, node=befallen, other=other, value=value))
    return found


def _with_one_to_resume(plan: Plan, source: Random) -> Plan:
    """The plan, and in a few worlds a node that is left behind logs of which hardly anything stays, while much is
    written, and dies half way through the snapshot that brings it up. The dice are its own, so that they move nothing
    else."""
    if source.random() >= RESUMED or plan.nodes < 3 or _room(plan) < 2:
        return plan
    load = replace(
        plan.snapshots,
        machine=source.choice(("memory", "memory", "disk")),
        entries=source.choice((0, 20)),
        asked_s=source.choice((0.1, 0.3)),
        trailing_bytes=source.choice((500, 1_000, 2_000)),
        block_bytes=source.choice((69, 69, 150)),
        chunk_bytes=source.choice((64, 100)),
    )
    at_s, node = round(source.uniform(0.2, 0.6) * plan.duration_s, 5), source.randint(1, plan.nodes)
    left = Fault(at_s=at_s, kind="left_behind", node=node, value=0.6)
    half_way = replace(left, kind="kill_half_way", other=source.randint(30, 95), value=_seconds(source))
    found = [left, half_way]
    if source.random() < ANOTHER_GIVEN and _room(plan) > plan.nodes:
        found += [replace(left, kind="other_bytes", node=other, value=0.0) for other in _others(plan, node)]
    return replace(
        plan,
        snapshots=load,
        load=replace(
            plan.load,
            think_s=min(plan.load.think_s, 0.01),
            clients=max(plan.load.clients, 4),
            writes=0.6,
            swaps=min(plan.load.swaps, 0.3),
        ),
        faults=_in_order(*plan.faults, *found),
    )


def _with_pieces(plan: Plan, source: Random) -> Plan:
    """The plan, and in most worlds in which snapshots go from node to node they do so in many pieces, the process that
    receives one dies half way, and some of the log stays, so that what was begun may be gone on with. The dice are its
    own, so that they move nothing else."""
    behind = [fault for fault in plan.faults if fault.kind == "left_behind"]
    if not behind or source.random() >= SMALL_PIECES or any(fault.kind == "kill_half_way" for fault in plan.faults):
        return plan
    load = replace(
        plan.snapshots,
        block_bytes=source.choice((0, 69, 69, 150)),
        chunk_bytes=source.choice((64, 64, 200, 1_000)),
        trailing_bytes=source.choice((plan.snapshots.trailing_bytes, 1_000, 5_000)),
    )
    plan = replace(plan, snapshots=load)
    if source.random() < SEVERAL_GROUPS and plan.groups == 1:
        plan = replace(plan, groups=source.choice((2, 3)))
    for left in behind:
        half_way = replace(left, kind="kill_half_way", other=source.randint(5, 95), value=_seconds(source))
        if source.random() < HALF_WAY and _room(plan) >= 1:
            plan = replace(plan, faults=_in_order(*plan.faults, half_way))
    left = source.choice(behind)
    if source.random() < ANOTHER_GIVEN and _room(plan) >= plan.nodes - 1:
        found = [replace(left, kind="other_bytes", node=node, value=0.0) for node in _others(plan, left.node)]
        plan = replace(plan, faults=_in_order(*plan.faults, *found))
    return plan


def _with_limits(plan: Plan, source: Random) -> Plan:
    """The plan, and in some worlds the cluster agrees on what a command may have at most, once or twice. The dice are
    its own, so that they move nothing else."""
    if source.random() >= LIMITS:
        return plan
    found = [
        Fault(
            at_s=round(source.uniform(0.2, 0.9) * plan.duration_s, 5),
            kind="max_command",
            value=float(source.choice((50, 200, 5_000, 32 << 20))),
        )
        for _ in range(min(int(_room(plan)), source.randint(1, 2)))
    ]
    return replace(plan, faults=_in_order(*plan.faults, *found))
