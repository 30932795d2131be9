"""The events of a short made-up run, with real datagrams: an election, a partition, a second election, a crash."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from random import Random

from raftcore.base.types import MessageType
from raftcore.values.entries import Entries, Entry
from raftcore.values.message import Message
from raftcore.wire.datagram import DatagramBuilder
from raftcore.wire.header import Header
from raftpy.sim.outcome import Failure
from raftpy.sim.trace import Event

NODES = (1, 2, 3)
FOLLOWER, CANDIDATE, LEADER, PRE_CANDIDATE = 0, 1, 2, 3


def datagram(sender: int, to: int, messages: Iterable[Message], group: int = 0) -> bytes:
    builder = DatagramBuilder(Header(cluster_id=7, from_=sender, to=to, from_store=sender, from_boot=1), 60_000)
    for message in messages:
        assert builder.add(message, group)
    return builder.finish()


def append(sender: int, to: int, term: int, index: int, *commands: bytes, commit: int = 0) -> Message:
    """Those commands behind ``index``."""
    entries = [Entry(term, index + 1 + at, 0, command) for at, command in enumerate(commands)]
    return Message(
        MessageType.MsgApp, to=to, from_=sender, term=term, log_term=term, index=index, commit=commit,
        entries=Entries.build(entries) if entries else None,
    )  # fmt: skip


class Story:
    """Collects events in any order."""

    def __init__(self, seed: int = 1) -> None:
        self._dice = Random(seed)
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._heap: list[tuple[float, int, Event]] = []
        self.lost: list[tuple[float, float, int]] = []  # from, to, node that is cut off

    def at(self, time: float, node: int, kind: str, *detail: int | float | str | bytes) -> None:
        heapq.heappush(self._heap, (time, next(self._order), Event(time, node, kind, detail)))

    def events(self) -> list[Event]:
        return [event for _, _, event in sorted(self._heap)]

    def send(
        self, time: float, sender: int, to: int, kind: MessageType, term: int, delay: float = 0, **what: int
    ) -> float:
        """One message; returns when it arrives."""
        return self.post(time, Message(kind, to=to, from_=sender, term=term, **what), delay)

    def post(self, time: float, message: Message, delay: float = 0) -> float:
        number = next(self._numbers)
        data = datagram(message.from_, message.to, [message])
        self.at(time, message.from_, "send", number, message.to, data)
        arrival = time + (delay or self._dice.uniform(0.0006, 0.002))
        if any(start <= time < end and node in (message.from_, message.to) for start, end, node in self.lost):
            self.at(arrival, message.to, "drop", number, "partition")
        else:
            self.at(arrival, message.to, "deliver", number)
        return arrival

    def election(self, time: float, node: int, term: int, voters: Iterable[int]) -> float:
        """Pre-vote, vote, leadership; returns when it leads."""
        for role, ask, answer in (
            (PRE_CANDIDATE, MessageType.MsgPreVote, MessageType.MsgPreVoteResp),
            (CANDIDATE, MessageType.MsgVote, MessageType.MsgVoteResp),
        ):
            self.at(time, node, "role", term - (role == PRE_CANDIDATE), role, 0)
            ends = [time]
            for peer in NODES:
                if peer != node:
                    arrives = self.send(time, node, peer, ask, term, index=3, log_term=term - 1)
                    if peer in voters:
                        ends.append(self.send(arrives, peer, node, answer, term))
            time = max(ends)
        self.at(time, node, "role", term, LEADER, node)
        for peer in NODES:
            if peer != node:
                self.at(self.post(time, append(node, peer, term, 3, b"")), peer, "role", term, FOLLOWER, node)
        return time

    def write(self, time: float, number: int, leader: int, term: int, index: int, peers: Iterable[int] = NODES) -> None:
        """One client's command: appended, acknowledged, committed, answered."""
        self.at(time, leader, "invoke", number, number % 3 + 1, f"put k{number % 5} v{number}")
        done = []
        for peer in NODES:
            if peer == leader:
                continue
            arrives = self.post(
                time + 0.0002, append(leader, peer, term, index - 1, b"put k v%d" % number, commit=index - 1)
            )
            if peer in peers:
                self.at(arrives, peer, "disk", "sync")
                done.append(self.send(arrives + 0.0004, peer, leader, MessageType.MsgAppResp, term, index=index))
        if done:
            self.at(min(done), leader, "commit", index, 0)
            self.at(min(done), leader, "applied", index, number * 977, 0)
            self.at(min(done) + 0.0001, leader, "return", number, f"ok version {index}")

    def heartbeats(self, start: float, end: float, leader: int, term: int) -> None:
        time = start
        while time < end:
            for peer in NODES:
                if peer != leader:
                    arrives = self.send(time, leader, peer, MessageType.MsgHeartbeat, term)
                    self.send(arrives, peer, leader, MessageType.MsgHeartbeatResp, term)
            time += 0.05


def story(writes: int = 40) -> tuple[list[Event], Failure]:
    """Node 1 leads, is cut off, node 2 leads; node 3 loses its power; at last a check fails."""
    told = Story()
    for node in NODES:
        told.at(0, node, "start", 1)
        told.at(0, node, "role", 0, FOLLOWER, 0)
    began = told.election(0.18, 1, 1, NODES)
    told.lost = [(0.6, 0.95, 1)]
    told.heartbeats(began, 0.95, 1, 1)
    for number in range(writes):
        told.write(began + 0.01 + 0.38 * number / writes, number, 1, 1, 5 + number)
    told.write(0.65, writes + 1, 1, 1, 5 + writes, ())
    told.at(0.6, 1, "fault", "partition", "node 1 is cut off from the others")
    second = told.election(0.83, 2, 2, (2, 3))
    told.heartbeats(second, 1.6, 2, 2)
    told.at(0.95, 0, "fault", "partition", "is over")
    told.at(1.0, 1, "role", 2, FOLLOWER, 2)
    for number in range(12):
        told.write(0.96 + number / 100, 100 + number, 2, 2, 50 + number)
    told.at(1.1, 0, "fault", "power", "node 3 loses its power")
    told.at(1.1, 3, "crash", "power")
    told.at(1.2, 1, "pause")
    told.at(1.28, 1, "resume")
    told.at(1.35, 3, "start", 2)
    told.at(1.35, 3, "role", 2, FOLLOWER, 0)
    told.send(1.3, 2, 3, MessageType.MsgHeartbeat, 2, delay=0.12)
    told.send(1.36, 2, 3, MessageType.MsgAppResp, 2, delay=0.05, index=50)
    told.at(1.4, 0, "healed")
    told.at(1.5, 3, "note", "<script>alert(1)</script>")
    return told.events(), Failure(
        "durable", "entry 52 was acknowledged, and node 3 does not have it after its restart", 1.5
    )
