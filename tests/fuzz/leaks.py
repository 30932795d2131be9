"""Does memory come back? The same work again and again, and what is allocated in between.

Two kinds of work, one cycle after the other:

* *short lives*: a fixed list of random programs (:mod:`tests.fuzz.step_target`: honest and hostile, all options, all
  error paths) and of spoiled datagrams. Everything they made is dropped at the end of each.
* *a long life*: one cluster that lives through all cycles, each of which proposes, replicates, commits, applies, reads,
  changes the configuration, transfers leadership, makes snapshots, compacts, restarts a node and is lied to; it ends
  settled and compacted, so that the cluster is as large as it was a cycle before.

Each cycle does the same, so a leak shows in each of them: with C cycles between the two measurements, one object that
is lost anywhere makes the blocks grow by at least C; allocations of the extensions show in malloc()'s bytes, where one
that is lost at a step in every fifty makes them grow by some 500 C. The bounds are C / 2 blocks, or 8 where that is
more; 64 C bytes of malloc() and 16 KB for tables of the interpreter that grow once; no chunk of the log more.
"""

from __future__ import annotations

import ctypes
import gc
import random
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from raftcore import ConfChange, ConfChangeType, Entries, Entry, EntryKind, Message, MessageType, StateType
from raftcore.base.errors import ProposalDropped
from raftcore.log.window import live_chunks
from raftcore.wire.codec import DatagramBuilder, Header
from tests.fuzz import decode_target, step_target
from tests.fuzz.cluster import Cluster, Peer

PROGRAMS = 40  # of one cycle of short lives
WARM_UP = 3  # cycles, and half as many steps as are measured
SLACK = 16 << 10  # bytes of malloc
OPTIONS = {"election_tick": 5, "pre_vote": True, "check_quorum": True, "max_reject_runs": 4, "max_window_entries": 8}


class MallInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


MALLINFO = getattr(ctypes.CDLL(None), "mallinfo2", None)
if MALLINFO is not None:
    MALLINFO.restype = MallInfo


class Memory:
    """What is allocated at one moment. Its numbers lie in an array made beforehand: taking them allocates nothing that
    stays."""

    def __init__(self) -> None:
        self._numbers = array("q", [0] * 6)

    def take(self, steps: int) -> None:
        """After a full collection."""
        gc.collect()
        info = None if MALLINFO is None else MALLINFO()
        malloc_bytes = 0 if info is None else info.uordblks + info.hblkhd
        statm = Path("/proc/self/statm")
        pages = int(statm.read_text().split()[1]) if statm.exists() else 0
        for place, number in enumerate((steps, malloc_bytes, *live_chunks(), pages * 4, 0)):
            self._numbers[place] = number
        del info, statm, number  # and nothing of these is counted
        self._numbers[5] = sys.getallocatedblocks()

    @property
    def malloc_bytes(self) -> int:
        """malloc()'s bytes in use, in the extensions and elsewhere; 0 where the C library cannot say."""
        return self._numbers[1]

    @property
    def chunks(self) -> int:
        """The log's chunks."""
        return self._numbers[2]

    @property
    def blocks(self) -> int:
        """Python's: sys.getallocatedblocks()."""
        return self._numbers[5]

    def __str__(self) -> str:
        steps, malloc_bytes, chunks, chunk_bytes, resident, blocks = self._numbers
        return (
            f"{steps:>9} steps: {blocks} blocks, {malloc_bytes} bytes of malloc, {chunks} chunks of {chunk_bytes} "
            f"bytes, {resident} KB resident"
        )


class ShortLives:
    """The same programs and datagrams in each cycle."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.programs = [dice.randbytes(dice.choice([100, 300])) for _ in range(PROGRAMS)]

    def cycle(self) -> int:
        """The number of steps it took: operations, and datagrams decoded."""
        steps = 0
        for data in self.programs:
            program = step_target.Program(data)
            program.run()
            steps += program.operations
            decode_target.run(data)
            steps += 4  # datagrams
        return steps


class LongLife:
    """One cluster of three for all cycles."""

    def __init__(self, seed: int) -> None:
        options = [{**OPTIONS, "seed": seed, "async_storage_writes": form} for form in (True, True, False)]
        self.cluster = Cluster(3, [], options, None)
        self.steps = 0

    def cycle(self) -> int:
        """The number of steps it took: calls of a core that change something."""
        before = self.steps
        leader = self.elected()
        for size in (0, 10, 2000):
            self.step(leader.raw.propose, [bytes(size)] * 3, self.cluster.now_ms)
            self.settle()
        follower = self.cluster.peers[leader.id % 3]
        for asking in (leader, follower):
            self.step(asking.raw.read_index, b"r", self.cluster.now_ms)
            self.settle()
        for kind in (ConfChangeType.AddLearner, ConfChangeType.RemoveNode):
            self.step(leader.raw.propose_conf_change, ConfChange(kind, 4), self.cluster.now_ms)
            self.settle()
        self.lied_to(follower, leader)
        self.behind(follower, leader)
        other = self.cluster.peers[(leader.id + 1) % 3]
        self.step(leader.raw.transfer_leader, other.id)
        self.settle()
        self.tick_all(2)
        for peer in self.cluster.peers:
            peer.compact(0)
        return self.steps - before

    def step(self, call: object, *arguments: object) -> None:
        self.steps += 1
        call(*arguments)  # type: ignore[operator]
        for peer in self.cluster.peers:
            peer.collect()

    def elected(self) -> Peer:
        """Ticks until somebody leads and everybody knows."""
        for _ in range(200):
            leaders = [peer for peer in self.cluster.peers if peer.raw.state == StateType.StateLeader]
            if len(leaders) == 1 and all(peer.raw.leader == leaders[0].id for peer in self.cluster.peers):
                return leaders[0]
            self.tick_all(1)
        raise AssertionError("nobody was elected in 200 ticks")

    def tick_all(self, count: int) -> None:
        for _ in range(count):
            self.cluster.now_ms += 10
            for peer in self.cluster.peers:
                self.step(peer.raw.tick, self.cluster.now_ms)
            self.settle()

    def settle(self) -> None:
        """Until nobody has anything to do and nothing flies."""
        while True:
            for peer in self.cluster.peers:
                while peer.writes or peer.applies or peer.taken:
                    self.step(peer.write)
                    self.step(peer.apply)
            if not self.cluster.flying:
                return
            message = self.cluster.flying.pop(0)
            if message.to <= 3:
                builder = DatagramBuilder(Header(from_=message.from_, to=message.to), 60_000)
                builder.add(message)
                self.step(self.cluster.peers[message.to - 1].raw.step_frames, builder.finish())

    def lied_to(self, follower: Peer, leader: Peer) -> None:
        """Faults, messages that concern nobody, garbage, and proposals that are dropped."""
        term = leader.raw.term
        lies = [
            Message(MessageType.MsgHeartbeat, term=term, commit=1 << 40),
            Message(MessageType.MsgApp, term=term, index=1 << 40),
            Message(MessageType.MsgAppResp, term=term, index=1 << 40),
            Message(MessageType.MsgApp, term=1, index=1, log_term=1),
        ]
        for peer in (follower, leader):
            for lie in lies:
                for sender in (1 + peer.id % 3, 9):
                    builder = DatagramBuilder(Header(from_=sender, to=peer.id), 60_000)
                    builder.add(lie)
                    datagram = bytearray(builder.finish())
                    self.step(peer.raw.step_frames, bytes(datagram))
                    del datagram[-1]
                    self.step(peer.raw.step_frames, bytes(datagram))
        for peer in self.cluster.peers:
            peer.raw.forget_leader()
            if peer is not leader:
                try:
                    peer.raw.propose([b"nobody to send it to"])
                except ProposalDropped:
                    self.steps += 1
        self.tick_all(2)

    def behind(self, follower: Peer, leader: Peer) -> None:
        """The follower restarts, misses what is compacted meanwhile, and catches up from a snapshot."""
        follower.start()
        for _ in range(4):
            self.step(leader.raw.propose, [b"x" * 50] * 4, self.cluster.now_ms)
            for _ in range(100):
                mine = [message for message in self.cluster.flying if message.to != follower.id]
                if not mine and not any(p.writes or p.applies or p.taken for p in self.cluster.peers):
                    break
                self.cluster.flying = mine
                for peer in self.cluster.peers:
                    peer.write()
                    peer.apply()
                if mine:
                    message = self.cluster.flying.pop(0)
                    builder = DatagramBuilder(Header(from_=message.from_, to=message.to), 60_000)
                    builder.add(message)
                    self.step(self.cluster.peers[message.to - 1].raw.step_frames, builder.finish())
        leader.compact(0)
        self.tick_all(3)


def cycles(seed: int) -> Iterator[int]:
    """Endless: after each cycle of both kinds, the steps so far."""
    short, long = ShortLives(seed), LongLife(seed)
    steps = 0
    while True:
        steps += short.cycle()
        for _ in range(10):
            steps += long.cycle()
        yield steps


def growth(before: Memory, after: Memory, count: int) -> list[str]:
    """What has grown more than ``count`` cycles of the same work may let it."""
    found = []
    blocks, malloc_bytes = after.blocks - before.blocks, after.malloc_bytes - before.malloc_bytes
    if blocks > max(count // 2, 8):
        found.append(f"{blocks} blocks more, at most {max(count // 2, 8)} allowed")
    if malloc_bytes > SLACK + 64 * count:
        found.append(f"{malloc_bytes} bytes of malloc more, at most {SLACK + 64 * count} allowed")
    if after.chunks > before.chunks:
        found.append(f"{after.chunks - before.chunks} chunks more, none allowed")
    return found


def search(steps: int, seed: int) -> tuple[Memory, Memory, int]:
    """Memory after the warm-up, memory after ``steps`` more, and the cycles between them."""
    # 64 dead ones of these types are kept for reuse; let there be so many at once, or they come one by one.
    kept = [(Message(MessageType.MsgApp), Entries.build([Entry(1, 1, EntryKind.EntryNormal, b"")])) for _ in range(200)]
    del kept
    work = cycles(seed)
    begun = 0
    for done, begun in enumerate(work, 1):
        if done >= WARM_UP and begun >= steps // 2:
            break
    before, after = Memory(), Memory()
    after.take(begun)  # what the taking itself needs is there from here on
    before.take(begun)
    for done, now in enumerate(work, 1):
        if now - begun >= steps:
            after.take(now)
            return before, after, done
    raise AssertionError("the work has no end")


def main(steps: int, seed: int) -> int:
    """Prints both measurements. Exit status: 1 when something has grown, 2 when nothing could be seen to grow."""
    if sys.getallocatedblocks() == 0:
        print("no blocks are counted with PYTHONMALLOC=malloc", file=sys.stderr)
        return 2
    started = time.monotonic()
    print(f"seed: {seed}", flush=True)
    before, after, count = search(steps, seed)
    print(f"warm  {before}\nend   {after}")
    found = growth(before, after, count)
    verdict = "; ".join(found) or "nothing has grown"
    print(f"{count} cycles of the same work in {time.monotonic() - started:.0f} s: {verdict}")
    return 1 if found else 0
