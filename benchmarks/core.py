"""The core alone: three cores in one process, without disk and sockets, datagrams between them.

    python -m benchmarks.core BATCH ENTRIES [python|c]     # prints {"ns_per_entry": ...}

Without a driver given it is Python's, and ``c_loop_ns`` beside it is the other's.

Entries of 16 B are proposed in batches and carried on until all three have applied them, where applied means handed
over as a lazy batch. Every message is encoded into a datagram by its sender and decoded by its receiver; written means
that the blocks are kept in a list. What drives the three is Python, as tight as it gets, or with ``c`` the loop of
``raftcore.testing.loopback``. Either makes the calls that a node's rounds make: step_frames, collect, written, applied.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from raftcore.api.outbox import Outbox
from raftcore.api.raw_node import RawNode
from raftcore.base.config import Config
from raftcore.base.types import StateType
from raftcore.testing.loopback import Loopback
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.values.message import ConfState, Entries
from raftcore.values.storage_view import InitialState
from raftcore.wire.codec import DatagramBuilder, Header

IDS = (1, 2, 3)
MAX_DATAGRAM = 60_000
SIZE = 16
ENTRIES = {1: 40_000, 10: 200_000, 100: 400_000, 1000: 1_000_000}
"""How many entries a measurement takes, by the size of its batches."""


class Core:
    """One core with its outbox. ``inbox`` holds what was sent to it, ``stored`` what it wrote: blocks, as they came."""

    def __init__(self, node_id: int) -> None:
        self.inbox: list[bytes] = []
        self.inboxes: dict[int, list[bytes]] = {}  # of the others, by their ids
        self.stored: list[Entries] = []
        self.applied = 0
        config = Config(
            id=node_id,
            max_size_per_msg=MAX_DATAGRAM - 200,
            max_inflight_bytes=1 << 20,
            max_committed_size_per_ready=1 << 20,
            async_storage_writes=True,
            seed=node_id,
        )
        self.raw = RawNode(config, InitialState(conf_state=ConfState(voters=IDS)), MemoryStorage())
        self.outbox = Outbox(
            DatagramBuilder(Header(cluster_id=1, from_=node_id, to=peer), MAX_DATAGRAM)
            for peer in IDS
            if peer != node_id
        )
        self.appends, self.applies = self.outbox.appends, self.outbox.applies

    def work(self) -> None:
        """Takes what has come in and carries out all that follows: writes, applies, sends."""
        raw, outbox, appends, applies = self.raw, self.outbox, self.appends, self.applies
        for datagram in self.inbox:
            raw.step_frames(datagram)
        self.inbox.clear()
        more = raw.collect(outbox)
        while more:
            if appends:
                for append in appends:
                    self.stored.append(append.entries)  # type: ignore[arg-type]  # in a steady term, all have some
                raw.written(appends, outbox)
                appends.clear()
            if applies:
                for entries in applies:
                    self.applied += len(entries)
                    raw.applied(entries)
                applies.clear()
            more = raw.collect(outbox)
        for to, datagram in outbox.datagrams():
            self.inboxes[to].append(datagram)


class Cores:
    """Three of them; 1 leads."""

    def __init__(self) -> None:
        self.nodes = [Core(node_id) for node_id in IDS]
        for core in self.nodes:
            core.inboxes = {other.raw.id: other.inbox for other in self.nodes if other is not core}
        self.leader, *self.followers = self.nodes
        self.leader.raw.campaign()
        self.settle()
        if self.leader.raw.state != StateType.StateLeader:
            raise RuntimeError("core 1 does not lead")

    def settle(self) -> None:
        """The leader works, the followers that have been sent something, the leader again, until it hears nothing more.

        Followers speak to nobody but the leader.
        """
        leader, followers = self.leader, self.followers
        leader.work()
        while True:
            for core in followers:
                if core.inbox:
                    core.work()
            if not leader.inbox:
                return
            leader.work()

    def commit(self, commands: list[bytes]) -> None:
        """Proposes ``commands`` and carries on until all three have applied them."""
        self.leader.raw.propose(commands)
        self.settle()

    @property
    def applied(self) -> tuple[int, ...]:
        """Entries applied on each."""
        return tuple(core.applied for core in self.nodes)


class CoresInC:
    """The same, driven by the loopback's loop in C."""

    def __init__(self) -> None:
        self.loopback = Loopback(len(IDS), max_size_per_msg=MAX_DATAGRAM - 200)
        self.loopback.campaign(1)

    def commit(self, commands: list[bytes], times: int = 1) -> None:
        """Proposes ``commands`` and carries on until all three have applied them, ``times`` times."""
        self.loopback.propose(1, commands, times)

    @property
    def applied(self) -> tuple[int, ...]:
        """Entries applied on each."""
        return tuple(sum(map(len, seat.applied)) for seat in self.loopback.seats.values())


def measure(batch: int, entries: int, driver: str = "python") -> dict[str, float]:
    """Nanoseconds for each of ``entries`` entries in batches of ``batch``; ``driver`` is ``python`` or ``c``."""
    cores = {"python": Cores, "c": CoresInC}[driver]()
    commands = [bytes(SIZE)] * batch
    for _ in range(max(2, 2000 // batch)):
        cores.commit(commands)
    before, rounds = cores.applied, max(1, entries // batch)
    gc.collect()
    gc.freeze()
    began = time.perf_counter_ns()
    if isinstance(cores, CoresInC):
        cores.commit(commands, rounds)
    else:
        for _ in range(rounds):
            cores.commit(commands)
    elapsed = time.perf_counter_ns() - began
    gc.unfreeze()
    if any(now - then != rounds * batch for now, then in zip(cores.applied, before, strict=True)):
        raise RuntimeError(f"applied {cores.applied}, {before} before, of {rounds * batch} entries")
    return {"ns_per_entry": round(elapsed / (rounds * batch), 1)}


if __name__ == "__main__":
    figures = measure(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
    if len(sys.argv) == 3:
        figures["c_loop_ns"] = measure(int(sys.argv[1]), int(sys.argv[2]), "c")["ns_per_entry"]
    print(json.dumps(figures))
