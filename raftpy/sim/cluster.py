"""A simulated cluster: the shipped host of each member on a disk, in a process, over a network of the world."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import PurePath
from random import Random
from typing import Any

from raftcore.base.errors import Compacted, RaftError
from raftcore.base.types import StateType
from raftpy.config import Config
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import NoState, Stopped, StorageDamaged, StorageFailed, StorageLocked
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.contracts.types import StoreOwner
from raftpy.runtime.commits import Commit
from raftpy.runtime.group import Group
from raftpy.runtime.group_calls import GroupCalls
from raftpy.runtime.host import Host
from raftpy.sim.cuts import watch_cuts
from raftpy.sim.data_directory import DIRECTORY, newest_log
from raftpy.sim.disk.database import SimulatedEngine
from raftpy.sim.disk.files import Disk
from raftpy.sim.entropy import SeededEntropy
from raftpy.sim.executor import LONGEST_WAKE_UP_S, SimulatedExecutor
from raftpy.sim.machine import Machine, MemoryMachine, new_machine
from raftpy.sim.network import Network, SimulatedTransport
from raftpy.sim.plan import Plan
from raftpy.sim.process import Died, Process
from raftpy.sim.strand import Strands
from raftpy.sim.world import World
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.head import Head
from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.storage.leveldb.wal_records import TORN, survey

RETRY_S = 0.01
"""How long a supervisor waits at least before it starts a node again that could not be started."""
BUSY = 0.1
"""How often a thread that has something to do does not get a processor at once."""


class Life:
    """One run of a member, from a start to a stop or a crash."""

    def __init__(self, process: Process, storage: LevelDBStorage, host: Host, machines: dict[int, Machine]) -> None:
        self.process = process
        self.storage = storage
        self.host = host
        self.machines = machines
        self.started = False
        self.stopping = False
        self.stopped = False
        self.error: BaseException | None = None
        """Why it could not start."""
        self.applied: dict[int, int] = {}
        """By group: the last index that its state machine was given."""
        self.left = (0, 0)
        """Tasks and timers that were there when it ended."""
        self.errors_before = 0
        self.lacked_before = 0
        """Operations of its disk that had failed when it began."""
        self.readers: list[asyncio.Task[None]] = []
        """Of the commit feeds."""
        self.fed: dict[int, int] = {}
        """By group: the last index that its commit feed has given."""
        self.reads: dict[int, int] = {}
        """By group: how many reads by a read index it was asked for."""
        self.programs: list[asyncio.Task[None]] = []
        """What else runs in the process, beside the node and its clients."""
        self.founding = True
        """It has not taken part yet, as far as anybody has looked."""
        self.stood_still_s = 0.0
        """How long it was paused, or applied commands, in all."""
        self.paused_at = 0.0
        self.segments = 0
        """How many its store has made."""
        self.unwritten: dict[int, Head] | None = None
        """By group: the head as it was before the round of the store's thread that is under way; None while none is,
        or none is ever seen by anybody."""

        self.damaged_snapshots: list[SnapshotRef] = []
        """Those that it has found damaged."""
        self.snapshot_fails = ""
        """In which way its disk is bad for the snapshot that is being written."""

    def head(self, group: int) -> Head:
        """What is durable of a group. The store's own head is ahead of that while a thread writes."""
        storage: Any = self.storage
        head: Head = storage._groups[group].head if self.unwritten is None else self.unwritten[group]
        return head

    def in_round(self, begins: bool) -> None:
        """The store's thread begins to write, or has written."""
        storage: Any = self.storage
        self.unwritten = {group: log.head.copy() for group, log in storage._groups.items()} if begins else None

    def calls(self, group: int) -> GroupCalls:
        """The calls of a group, as a program in that process makes them."""
        return self.host.group(group)

    @property
    def groups(self) -> dict[int, Group]:
        """The running groups, none before the start has ended."""
        return self.host.driver.groups if self.host.driver is not None else {}

    @property
    def takes_part(self) -> bool:
        """Whether its cores hear anything: a new node asks the others first, a second apart at the longest."""
        return self.host.driver is not None and self.host.driver.rounds.takes_part

    @property
    def serves(self) -> bool:
        """Whether a program in that process could call it."""
        return self.started and not self.stopping and self.process.alive and self.host.failed is None


class Member:
    """One node of the cluster, over all its lives: its disk stays."""

    def __init__(self, node: int, disk: Disk) -> None:
        self.node = node
        self.disk = disk
        self.life: Life | None = None
        self.lives = 0
        self.trusted = True
        """Nothing was done to its disk that it need not survive: what it acknowledged must be there."""
        self.lost = False
        """It can never start again."""
        self.flipped = False
        """A bit of its disk was turned over since its last start."""
        self.emptied = False
        """Its directory was emptied."""
        self.lost_state = False  # all its snapshots were harmed at once
        self.put_back = False
        """Its disk is an older copy."""
        self.die_at: int | None = None
        """So many operations of the disk from now, the process dies."""
        self.die_in_start_at: int | None = None
        """The same, from its next start on."""
        self.die_in_snapshot_at: int | None = None
        """The same, from when the next snapshot is begun there."""
        self.die_in_fetch_at: int | None = None
        """So many operations of its disk from when it begins to receive a snapshot, the process dies."""
        self.die_half_way_at: int | None = None
        """When so many percent of a snapshot that it receives are there, the process dies."""
        self.die_giving_at: int | None = None
        """So many calls of its loop from when it gives bytes of a snapshot to another node, the process dies."""
        self.die_in_restore_at: int | None = None
        """So many from when the machine of a running node begins to be restored: operations of its disk, where the
        machine has one, else calls of its loop."""
        self.wrong_chunks = 0
        """Of so many chunks of snapshots that it gives to others a bit is turned over."""
        self.other_bytes = False
        """The next snapshot that it gives to others is another one than it says."""
        self.failing_snapshot = ""
        """In which way its disk is bad while the next snapshot is written: see ``faults.BAD_DISKS``."""
        self.down_s = 0.5
        """How long it stays down after it died by itself."""
        self.max_datagram = 0
        """Of its next starts, bytes; 0: as the plan's options say."""
        self.rate = 1.0
        self.jump_ms = 0


class Cluster:
    """The members of a world, and what is done to them. ``reached`` counts what happened, by a name."""

    def __init__(self, world: World, plan: Plan, reached: Callable[[str], None]) -> None:
        self.world = world
        self.plan = plan
        self.reached = reached
        self.network = Network(world, plan.network)
        self.network.reached = reached
        self.on_applied: Callable[[Life, int, int, Sequence[bytes]], None] = _nothing
        self.on_fed: Callable[[Life, int, Commit], None] = _nothing_fed
        self.found: Callable[[str, str], None] = _nothing_found
        """Told of what must not be, (name of the check, text), by whoever runs inside of a node."""
        self.committed: Callable[[int], int] = _nothing_committed
        """Up to which index of a group it is known that everything is committed."""
        self.on_ended: Callable[[Member, Life], None] = _nothing_ended
        self.on_started: Callable[[Member, Life], None] = _nothing_ended
        self.watch_snapshots: Callable[[Member, Life], None] = _nothing_ended
        """Told of each life before it does anything."""
        self.on_restoring: Callable[[Member, Life], None] = _nothing_ended
        """Told of a state machine that begins to take over the state of a snapshot."""
        self.on_restored: Callable[[Life, int], None] = _nothing_restored
        """Told of a state machine that has taken over the state of a snapshot, by its group."""
        self.on_snapshot: Callable[[Life, int, int], None] = _nothing_reported
        """Told what a call of ``snapshot()`` has given: group, index."""
        self.make_transport: Callable[[Network, Process, Entropy, int], SimulatedTransport] = SimulatedTransport
        self.healed = False
        """The time for faults is over."""
        self.over = False
        """Nobody is started any more."""
        self.lasting: Counter[Hashable] = Counter()
        """What befalls something for a time, and how many faults are under way that do: see ``faults.py``."""
        self._threads = world.source("threads")
        self._readers = world.source("readers")
        self.strands = Strands(world, self._longer_s, reached) if plan.interleaved else None
        self._strand_dice = world.source("strands")
        self._machine_dice = world.source("machines")
        self._entropy: dict[int, SeededEntropy] = {}
        self.first = {i: f"10.0.0.{i}:7000" for i in range(1, plan.nodes + 1)}
        self.ids = range(1, plan.nodes + plan.members.spares + 1)
        self.members = {node: self._new_member(node) for node in self.ids}

    def _new_member(self, node: int) -> Member:
        disk = Disk(self.world.source(f"disk {node}"), self.plan.disk)
        member = Member(node, disk)
        disk.on_step = partial(self._on_disk, member)
        if self.strands is not None:
            disk.on_wait = self.strands.stand
        self._entropy[node] = SeededEntropy(self.world.source(f"entropy {node}"))
        return member

    def _on_disk(self, member: Member, operation: str) -> None:
        if self.strands is not None:
            self.strands.stand()
        life = member.life
        if member.die_at is not None:
            member.die_at -= 1
            if member.die_at <= 0 and life is not None and life.process.alive:
                member.die_at = None
                self.reached("a process died between two operations of its disk")
                if operation == "sync":
                    self.reached("a process died between a write and its sync")
                self._end(member, life, "kill" if self._threads.random() < 0.5 else "power")
        if life is not None and not life.process.alive:
            raise Died
        self.world.event(member.node, "disk", operation)

    # --- Lives ------------------------------------------------------------------------------------------------------

    def start(self, node: int) -> Life:
        """Begins a new life of a member that has none."""
        member = self.members[node]
        assert member.life is None
        if member.lives and 2 * (sum(other.life is not None for other in self.members.values()) + 1) <= len(self.ids):
            self.reached("a node started during an outage")
        member.lives += 1
        world, plan, options = self.world, self.plan, self.plan.options
        process = Process(world, node, rate=member.rate, jump_ms=member.jump_ms)
        process.disk = member.disk
        executor = SimulatedExecutor(
            process,
            partial(self._wake_up_s, self._threads, member.disk),
            self.reached,
            self.strands,
            partial(self._in_round, member),
            partial(self._wake_up_s, self._readers, member.disk),
        )
        entropy = self._entropy[node]
        files = member.disk.files(pid=1000 * node + member.lives)
        engine = SimulatedEngine(files, executor.lock)
        engine.look = partial(self._segment_made, member)
        storage = LevelDBStorage(
            DIRECTORY,
            mode=options.write_mode,  # type: ignore[arg-type]
            segment_size=options.segment_size,
            files=files,
            database=engine,
            executor=executor,
            entropy=entropy,
            timer=process.stopwatch,
        )
        watch_cuts(storage, partial(self.reached, "a truncation cut through a record"))
        config = self._config(member)
        machines = {
            group: new_machine(plan, group, process, files, executor, self._machine_dice)
            for group in range(plan.groups)
        }
        host = Host(
            config,
            machines,
            storage=storage,
            transport=self.make_transport(self.network, process, entropy, config.max_datagram or 0),
            clock=process,
            executor=executor,
            entropy=entropy,
        )
        life = member.life = Life(process, storage, host, machines)
        life.errors_before = member.disk.errors
        life.lacked_before = member.disk.lacked
        member.die_at, member.die_in_start_at = member.die_in_start_at, None
        for group, machine in machines.items():
            machine.on_applied = partial(self._applied, life, group)
            if isinstance(machine, MemoryMachine):
                machine.on_restoring = partial(self.on_restoring, member, life)
                machine.on_restored = partial(self.on_restored, life, group)
        self.watch_snapshots(member, life)
        process.spawn(self._main(member, life))
        return life

    def _config(self, member: Member) -> Config:
        plan, options = self.plan, self.plan.options
        return Config(
            id=member.node,
            cluster=self.first,
            udp=f"10.0.0.{member.node}:7000",
            contacts={i: f"10.0.0.{i}:7000" for i in self.ids} if plan.members.told else {},
            tick_ms=options.tick_ms,
            heartbeat_ms=options.heartbeat_ms,
            election_ms=(options.election_ms, 2 * options.election_ms),
            pre_vote=options.pre_vote,
            check_quorum=options.check_quorum,
            max_datagram=member.max_datagram or options.max_datagram,
            max_inflight_messages=options.max_inflight_messages,
            max_inflight_bytes=max(options.max_inflight_bytes, options.max_datagram),
            max_uncommitted_bytes=options.max_uncommitted_bytes,
            log_cache_bytes=options.log_cache_bytes,
            catch_up_rate=options.catch_up_rate,
            snapshot_entries=plan.snapshots.entries or None,
            trailing_bytes=plan.snapshots.trailing_bytes,
            seed=plan.seed % 2**64,
        )

    def _wake_up_s(self, source: Random, disk: Disk) -> float:
        """Until a thread runs that has something to do: next to nothing, but now and then about as long as a sync, so
        that a crash comes also where nothing of what was handed over is on the disk yet."""
        waits = source.random() < BUSY
        return source.uniform(0.0, max(disk.faults.sync_s[0], LONGEST_WAKE_UP_S) if waits else LONGEST_WAKE_UP_S)

    def _longer_s(self, process: Process) -> float:
        """How much longer than it must a thread stands that is in the middle of something: mostly not at all."""
        source = self._strand_dice
        if source.random() >= 2 * BUSY:
            return 0.0
        return source.uniform(0.0, max(self.members[process.node].disk.faults.sync_s[0], LONGEST_WAKE_UP_S))

    def _in_round(self, member: Member, begins: bool) -> None:
        life, running = member.life, None if self.strands is None else self.strands.running
        if life is not None and running is not None and running.process is life.process:
            life.in_round(begins)

    def end(self) -> None:
        """The world is over. To be called in the end, whatever has come of it."""
        if self.strands is not None:
            self.strands.end()

    def _applied(self, life: Life, group: int, first_index: int, commands: Sequence[bytes]) -> None:
        self.on_applied(life, group, first_index, commands)
        if not self.healed and (seconds := len(commands) * self.plan.load.apply_s):
            life.process.spent += seconds
            life.stood_still_s += seconds

    async def _read_feed(self, life: Life, group: int) -> None:
        first = self._threads.choice((1, self._threads.randint(1, 300)))
        try:
            while True:
                life.fed[group] = first - 1
                try:
                    async for commit in life.calls(group).commits(first):
                        self.on_fed(life, group, commit)
                    return
                except Compacted:
                    self.reached("a commit feed asked for what was cut off")
                    first = max(first + 1, life.groups[group].raw.first_index)
        except NoState:
            del life.fed[group]
        except RaftError:
            pass  # the node stops, or has failed
        except Exception as error:
            life.process.complain({"message": "in a commit feed", "exception": error})

    async def _main(self, member: Member, life: Life) -> None:
        left = self._left_behind(member)
        try:
            await life.host.start()
        except Exception as error:
            life.error = error
            if isinstance(error, StorageFailed):
                self.reached("a store could not be opened")
            elif isinstance(error, Stopped):
                self.reached("a node was stopped while it started")
            self.world.event(member.node, "failed", str(error))
            self._end(member, life, "")
            return
        if left:
            self.reached(left)
        if member.flipped:
            member.flipped = False
            self.reached("a bit was turned over and nothing came of it")
        life.started = True
        assert life.host.driver is not None
        boot = life.host.driver.boot
        self.world.event(member.node, "start", boot)
        if self.plan.load.feed:
            life.readers = [life.process.spawn(self._read_feed(life, group)) for group in life.machines]
        self.on_started(member, life)

    def _closed_cleanly(self, member: Member) -> bool:
        files = member.disk.files()
        try:
            floor = Floor.read(files, PurePath(DIRECTORY))
        except (StorageDamaged, OSError):
            return False
        return floor is not None and floor.closed

    def _left_behind(self, member: Member) -> str:
        """What the last life has left at the end of the write-ahead file, for the next start to cut off."""
        contents = newest_log(member.disk)
        if contents is None:
            return ""
        verdict, end = survey(contents.read(0, contents.size))
        if verdict == TORN:
            return "a torn write was cut off"
        return "space set aside was cut off" if end < contents.size else ""

    def _segment_made(self, member: Member) -> None:
        assert member.life is not None
        member.life.segments += 1
        if member.life.segments == 3:  # one at its start, and one beforehand
            self.reached("a segment was full")

    def ensure_started(self, node: int) -> None:
        """Starts the member, unless it lives, or can never start again."""
        member = self.members[node]
        if member.life is None and not member.lost and not self.over:
            self.start(node)

    def stop(self, node: int, down_s: float = 0.0) -> None:
        """A clean stop, as SIGTERM brings about; the life ends when it is over, and another begins ``down_s`` later."""
        self.members[node].down_s = down_s
        life = self.members[node].life
        if life is None or life.stopping:
            return
        life.stopping = True
        life.process.spawn(self._stop(self.members[node], life))

    def take_out(self, member: Member) -> None:
        """Stops the member for good."""
        member.lost = True
        self.stop(member.node)

    def start_twice(self, member: Member) -> None:
        """Opens the store of a member that runs, as another process would: it must be refused."""
        files = member.disk.files(pid=1000 * member.node - 1)
        process = Process(self.world, member.node)
        storage = LevelDBStorage(
            DIRECTORY,
            files=files,
            database=SimulatedEngine(files),
            executor=SimulatedExecutor(process, lambda: 0.0),
            entropy=SeededEntropy(self.world.source("second start")),
        )
        try:
            storage.open(StoreOwner(member.node, self.first, groups={0: self.first}))
        except StorageLocked:
            self.reached("a second start on a directory in use was refused")
        else:
            self.found("one life of one disk", f"the directory of node {member.node}, in use, was opened again")

    async def _stop(self, member: Member, life: Life) -> None:
        led = [group.raw for group in life.groups.values() if group.raw.state == StateType.StateLeader]
        try:
            await life.host.stop()
        except RaftError:
            pass  # it has stopped by itself meanwhile
        for raw in led:
            over = raw.leader not in (0, member.node)
            self.reached(
                "a leader that stopped handed over" if over else "a leader that stopped found nobody to take over"
            )
        if life.started and life.host.failed is None and not self._closed_cleanly(member):
            self.reached("a store could not be closed cleanly")
        life.stopped = True
        if life.error is None:
            self.world.event(member.node, "stop")
        # What is left over must not need more than the turns of the loop that are under way.
        life.process.loop.call_soon(self._end, member, life, "")

    def crash(self, node: int, how: str, down_s: float) -> None:
        """The process is gone ("kill"), or the whole machine ("power"); it comes back after ``down_s`` seconds."""
        member = self.members[node]
        member.down_s = down_s
        if member.life is not None:
            self._end(member, member.life, how)

    def crash_in_calls(self, node: int, calls: int, down_s: float) -> None:
        """The process is gone ``calls`` calls of its loop from now, so between two of them that time may not pass
        between, as at any await of a task; it comes back after ``down_s`` seconds."""
        life = self.members[node].life
        if life is not None:
            life.process.at_the_last = partial(self._crash_between_calls, node, down_s)
            life.process.calls_left = max(calls, 1)

    def _crash_between_calls(self, node: int, down_s: float) -> None:
        if not self.healed:
            self.reached("a process died between two calls of its loop")
            self.crash(node, "kill", down_s)

    def _end(self, member: Member, life: Life, how: str) -> None:
        if member.life is not life:
            return
        member.die_at = None
        if how:
            self.world.event(member.node, "crash", how)
            self._died(life)
        under_way = sum(not task.done() for task in life.process.loop.tasks)
        own = sum(not task.done() for task in life.programs)
        life.left = (under_way - own, life.process.timers)
        life.process.kill()
        if how == "power":
            self._lose_power(member)
        else:
            member.disk.kill()
        if (lock := life.storage._lock) is not None:
            lock.leave()  # what its process knew of open directories is gone with it; here all processes are one
        member.life = None
        self.on_ended(member, life)
        if not self.over:
            failed_start = not how and not life.started
            down_s = max(member.down_s, RETRY_S) if failed_start else member.down_s
            self.world.after(down_s, self.ensure_started, member.node)

    def _died(self, life: Life) -> None:
        if self.strands is not None and self.strands.of(life.process):
            self.reached("a process died while a thread stood between two operations")
        if not life.started:
            self.reached("a process died while it started")
        elif life.stopping:
            self.reached("a process died while it stopped")
        elif life.host.driver is not None and life.host.driver.waits_for:
            self.reached("a founding was cut off")

    def _lose_power(self, member: Member) -> None:
        contents = newest_log(member.disk)
        before = None
        if contents is not None and any(write[2] is not None for write in contents.unsynced):
            before = bytes(contents.data)
        member.disk.power_failure()
        if before is not None and contents is not None:
            whole = contents.data == before
            self.reached("a power failure left unsynced writes" if whole else "a power failure took unsynced writes")

    def watch(self, member: Member, life: Life) -> None:
        """As a supervisor of services does: a node that has stopped by itself is started again, a little later."""
        failed = life.host.failed
        if failed is not None and not life.stopping:
            life.stopping = True
            life.error = failed
            self.world.event(member.node, "failed", str(failed))
            self.reached("a node stopped by itself")
            if "No space left" in str(failed):
                self.reached("a full disk stopped a node")
            elif "Input/output error" in str(failed):
                self.reached("a failed write or sync stopped a node")
            life.process.spawn(self._stop(member, life))  # as the program does whose node has failed

    # --- Looking ----------------------------------------------------------------------------------------------------

    def lives(self) -> list[tuple[Member, Life]]:
        """Those that are alive, by node id."""
        return [(member, member.life) for member in self.members.values() if member.life is not None]

    def leader(self, group: int = 0) -> int | None:
        """Who leads in the highest term, as far as anybody knows."""
        best: tuple[int, int] | None = None
        for member, life in self.lives():
            if life.serves and group in life.groups:
                raw = life.groups[group].raw
                if raw.state == StateType.StateLeader and (best is None or raw.term > best[0]):
                    best = (raw.term, member.node)
        return None if best is None else best[1]


def _nothing(life: Life, group: int, first_index: int, commands: Sequence[bytes]) -> None:
    """Nobody looks."""


def _nothing_fed(life: Life, group: int, commit: Commit) -> None:
    """Nobody reads."""


def _nothing_committed(group: int) -> int:
    """Nobody looks."""
    return 0


def _nothing_found(check: str, text: str) -> None:
    """Nobody is told."""


def _nothing_ended(member: Member, life: Life) -> None:
    """Nobody hears."""


def _nothing_restored(life: Life, group: int) -> None:
    """Nobody looks."""


def _nothing_reported(life: Life, group: int, index: int) -> None:
    """Nobody hears."""
