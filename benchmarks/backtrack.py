"""Conflict backtracking: how many round trips a leader needs to find the last entry it shares with a follower.

    python -m benchmarks.backtrack TERMS     # prints {"value": round trips, "ms": ..., ...}

Both logs hold 1,000,000 entries of 16 B and agree but for the last 20,000; there, TERMS terms of the leader's and as
many of the follower's take turns in equal runs, so that no shortcut by term skips more than one. A round trip is a
probe and its answer; the last one, which matches, counts too. ``value`` is taken as the runtime sets the core up on a
real network (datagrams of 1,200 B, rejections that list as many runs of terms as fit), ``plain`` without such lists.
"""

from __future__ import annotations

import json
import sys
import time

from raftcore import Entries, Entry, EntryKind, HardState
from raftcore.api.raw_node import RawNode
from raftcore.base.config import Config
from raftcore.base.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, MessageType, StateType
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.values.message import ConfState, Message
from raftcore.values.storage_view import InitialState
from raftcore.wire.codec import RUN_SIZE, max_command

ENTRIES = 1_000_000
DIFFERING = 20_000
CHUNK = 10_000
SIZE = 16
VOTERS = (1, 2, 3)
DATAGRAM = 1200
PAYLOAD = bytes(SIZE)


def entry_of(term: int, index: int) -> Entry:
    """A command of SIZE bytes."""
    return Entry(term, index, EntryKind.EntryNormal, PAYLOAD)


def log_of(terms: list[int], entries: int = ENTRIES) -> MemoryStorage:
    """So many entries: of term 1, and behind them DIFFERING in equal runs of ``terms``."""
    storage = MemoryStorage()
    shared, run = entries - DIFFERING, DIFFERING // len(terms)
    for first in range(1, shared + 1, CHUNK):
        storage.append(Entries.build(entry_of(1, index) for index in range(first, first + CHUNK)))
    storage.append(
        Entries.build(entry_of(terms[min(at // run, len(terms) - 1)], shared + 1 + at) for at in range(DIFFERING))
    )
    storage.set_hard_state(HardState(terms[-1], 0, shared))
    return storage


class Server:
    """A core over a log; ``settle`` gives what it sends."""

    def __init__(self, node_id: int, storage: MemoryStorage, max_reject_runs: int) -> None:
        self.storage = storage
        kept = storage.initial_state()
        initial = InitialState(
            hard_state=kept.hard_state,
            conf_state=ConfState(voters=VOTERS),
            last_index=kept.last_index,
            term_runs=kept.term_runs,
        )
        room = max_command(DATAGRAM)
        config = Config(
            id=node_id,
            async_storage_writes=True,
            max_size_per_msg=room,
            max_reject_runs=max_reject_runs,
            applied=kept.last_index - DIFFERING,
            seed=node_id,
        )
        self.raw = RawNode(config, initial, storage)

    def settle(self) -> list[Message]:
        """Carries out all that the core wants done; the messages it sends to others."""
        out: list[Message] = []
        while self.raw.has_ready():
            for message in self.raw.ready().messages:
                if message.to not in (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD):
                    out.append(message)
                    continue
                if message.to == LOCAL_APPEND_THREAD and message.entries is not None:
                    self.storage.append(message.entries)
                for response in message.responses or ():
                    if response.to == self.raw.id:
                        self.raw.step(response)
                    else:
                        out.append(response)
        return out


def elected(storage: MemoryStorage, max_reject_runs: int) -> Server:
    """Server 1 as leader over this log, with the vote of server 3, which is otherwise silent."""
    leader = Server(1, storage, max_reject_runs)
    leader.raw.campaign()
    leader.settle()
    leader.raw.step(Message(MessageType.MsgVoteResp, to=1, from_=3, term=leader.raw.term))
    if leader.raw.state != StateType.StateLeader:
        raise RuntimeError("server 1 does not lead")
    return leader


def until_match(leader: Server, follower: Server) -> int:
    """Round trips until a new leader has found the last entry it shares with server 2."""
    trips = 0
    sent = leader.settle()
    while True:
        for message in sent:
            if message.to == 2:
                follower.raw.step(message)
        for message in follower.settle():
            if message.type == MessageType.MsgAppResp:
                trips += 1
                if not message.reject:
                    return trips
            leader.raw.step(message)
        sent = leader.settle()
        if not sent:
            raise RuntimeError(f"nobody has anything to say after {trips} round trips")


def match(terms: int, max_reject_runs: int) -> tuple[int, float]:
    """Round trips and milliseconds with so many differing terms on either side."""
    leader = elected(log_of([3 + 2 * at for at in range(terms)]), max_reject_runs)
    follower = Server(2, log_of([2 + 2 * at for at in range(terms)]), max_reject_runs)
    began = time.perf_counter()
    trips = until_match(leader, follower)
    return trips, (time.perf_counter() - began) * 1000


def measure(terms: int) -> dict[str, float]:
    """Round trips and milliseconds, with lists of runs in the rejections and without."""
    trips, ms = match(terms, max(1, max_command(DATAGRAM) // RUN_SIZE - 1))
    plain, plain_ms = match(terms, 0)
    return {"value": trips, "ms": round(ms, 3), "plain": plain, "plain_ms": round(plain_ms, 3)}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
