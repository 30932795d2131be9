"""The core alone: three cores in one process, without disk and sockets, datagrams between them.

    python -m benchmarks.core BATCH ENTRIES     # prints {"ns_per_entry": ...}

Entries of 16 B are proposed in batches and carried on until all three have applied them, where applied means handed
over as a lazy batch. Every message is encoded into a datagram by its sender and decoded by its receiver; the log is
kept by ``raftcore.memory_storage.MemoryStorage``. What drives the three is Python, as tight as it gets.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from raftcore.codec import DatagramBuilder, Header
from raftcore.config import Config
from raftcore.memory_storage import MemoryStorage
from raftcore.message import ConfState, Message
from raftcore.raw_node import RawNode
from raftcore.storage_view import InitialState
from raftcore.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, StateType

IDS = (1, 2, 3)
MAX_DATAGRAM = 60_000
SIZE = 16
ENTRIES = {1: 40_000, 10: 200_000, 100: 400_000, 1000: 1_000_000}
"""How many entries a measurement takes, by the size of its batches."""


class Core:
    """One core with its storage and one open datagram for each peer."""

    def __init__(self, node_id: int) -> None:
        self.id = node_id
        self.storage = MemoryStorage()
        self.applied = 0
        config = Config(
            id=node_id,
            max_size_per_msg=MAX_DATAGRAM - 200,
            max_inflight_bytes=1 << 20,
            max_committed_size_per_ready=1 << 20,
            async_storage_writes=True,
            seed=node_id,
        )
        self.raw = RawNode(config, InitialState(conf_state=ConfState(voters=IDS)), self.storage)
        self.outgoing = {
            peer: DatagramBuilder(Header(cluster_id=1, from_=node_id, to=peer), MAX_DATAGRAM)
            for peer in IDS
            if peer != node_id
        }


class Cores:
    """Three of them; 1 leads. ``flying`` holds datagrams: receiver and bytes."""

    def __init__(self) -> None:
        self.nodes = {node_id: Core(node_id) for node_id in IDS}
        self.flying: list[tuple[Core, bytes]] = []
        self.leader = self.nodes[1]
        self.leader.raw.campaign()
        self.work(self.leader)
        self.deliver()
        if self.leader.raw.state != StateType.StateLeader:
            raise RuntimeError("core 1 does not lead")

    def send(self, core: Core, message: Message) -> None:
        """Into the open datagram; a full one flies first."""
        builder = core.outgoing[message.to]
        if not builder.add(message):
            self.flying.append((self.nodes[message.to], builder.finish()))
            builder.add(message)

    def work(self, core: Core) -> None:
        """Carries out all that a core wants done: writes, applies, sends."""
        raw, storage, own = core.raw, core.storage, core.id
        while raw.has_ready():
            for message in raw.ready().messages:
                to = message.to
                if to == LOCAL_APPLY_THREAD:
                    core.applied += message.entries.count  # type: ignore[union-attr]
                elif to != LOCAL_APPEND_THREAD:
                    self.send(core, message)
                    continue
                elif (entries := message.entries) is not None:
                    storage.append(entries)
                for response in message.responses or ():
                    if response.to == own:
                        raw.step(response)
                    else:
                        self.send(core, response)
        for peer, builder in core.outgoing.items():
            if builder.frames:
                self.flying.append((self.nodes[peer], builder.finish()))

    def deliver(self) -> None:
        """Until nothing flies."""
        while self.flying:
            flying, self.flying = self.flying, []
            receivers = []
            for core, datagram in flying:
                core.raw.step_frames(datagram)
                if core not in receivers:
                    receivers.append(core)
            for core in receivers:
                self.work(core)

    def commit(self, commands: list[bytes]) -> None:
        """Proposes ``commands`` and carries on until all three have applied them."""
        self.leader.raw.propose(commands)
        self.work(self.leader)
        self.deliver()

    @property
    def applied(self) -> tuple[int, ...]:
        """Entries applied on each."""
        return tuple(core.applied for core in self.nodes.values())


def measure(batch: int, entries: int) -> dict[str, float]:
    """Nanoseconds for each of ``entries`` entries in batches of ``batch``."""
    cores = Cores()
    commands = [bytes(SIZE)] * batch
    for _ in range(max(2, 2000 // batch)):
        cores.commit(commands)
    before, rounds = cores.applied, max(1, entries // batch)
    gc.collect()
    gc.freeze()
    began = time.perf_counter_ns()
    for _ in range(rounds):
        cores.commit(commands)
    elapsed = time.perf_counter_ns() - began
    gc.unfreeze()
    if any(now - then != rounds * batch for now, then in zip(cores.applied, before, strict=True)):
        raise RuntimeError(f"applied {cores.applied}, {before} before, of {rounds * batch} entries")
    return {"ns_per_entry": round(elapsed / (rounds * batch), 1)}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
