"""Small works on single parts of the core, each a function that does a few operations: what pytest-benchmark times and
the guard counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raftcore import Entries, Entry, EntryKind
from raftcore.base.types import MessageType
from raftcore.log.log import RaftLog
from raftcore.membership.quorum import committed_index
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.values.message import Message
from raftcore.wire.codec import DatagramBuilder, Header, messages

SIZE = 16
PAYLOAD = bytes(SIZE)
ENTRIES = 20_000
"""In the logs that are searched."""
MAX_DATAGRAM = 60_000


@dataclass(frozen=True, slots=True)
class Micro:
    """A work: ``make()`` prepares it and gives a function that does ``times`` operations."""

    name: str
    times: int
    make: Callable[[], Callable[[], object]]


def entries(first: int, terms: Sequence[int]) -> Entries:
    """Commands of SIZE bytes with these terms."""
    return Entries.build(Entry(term, index, EntryKind.EntryNormal, PAYLOAD) for index, term in enumerate(terms, first))


def log_of_runs(runs: int) -> RaftLog:
    """ENTRIES entries in as many runs of a term each."""
    log = RaftLog(MemoryStorage())
    log.append(entries(1, [1 + at * runs // ENTRIES for at in range(ENTRIES)]))
    return log


def append(batch: int) -> Callable[[], object]:
    """A leader appends batches to a new log."""
    commands = [PAYLOAD] * batch

    def work() -> None:
        log = RaftLog(MemoryStorage())
        for _ in range(20):
            log.append_commands(commands, 1, EntryKind.EntryNormal, 0)

    return work


def match(runs: int) -> Callable[[], object]:
    """Whether the log holds an entry of this term at this index (paper 5.3)."""
    log = log_of_runs(runs)
    asked = [(index, log.term_or_zero(index)) for index in range(1, ENTRIES, ENTRIES // 100)]

    def work() -> None:
        for index, term in asked:
            log.match_term(index, term)

    return work


def find_conflict(count: int) -> Callable[[], object]:
    """Where the entries of an append differ from the log: nowhere."""
    log = log_of_runs(100)
    same = [log.slice(first, first + count, 1 << 30) for first in range(1, ENTRIES - count, ENTRIES // 12)][:10]

    def work() -> None:
        for each in same:
            assert each is not None
            log.find_conflict(each)

    return work


def find_conflict_by_term(runs: int) -> Callable[[], object]:
    """The last index whose term is not above another log's (the reject hint)."""
    log = log_of_runs(runs)
    asked = [(index, 1 + at * runs // 100) for at, index in enumerate(range(ENTRIES // 100, ENTRIES, ENTRIES // 100))]

    def work() -> None:
        for index, term in asked:
            log.find_conflict_by_term(index, term)

    return work


def commit_index(voters: int) -> Callable[[], object]:
    """The index that a majority of match indexes has reached."""
    indexes = [(voter * 7919) % 1000 for voter in range(voters)]

    def work() -> None:
        for _ in range(100):
            committed_index(indexes)

    return work


def append_message(count: int) -> Message:
    """A MsgApp with ``count`` entries; 0: none."""
    return Message(
        MessageType.MsgApp, to=2, from_=1, term=3, log_term=3, index=7, commit=7,
        entries=entries(8, [3] * count) if count else None,
    )  # fmt: skip


def encode(count: int) -> Callable[[], object]:
    """A message becomes a datagram."""
    builder, message = DatagramBuilder(Header(cluster_id=1, from_=1, to=2), MAX_DATAGRAM), append_message(count)

    def work() -> None:
        for _ in range(100):
            builder.add(message)
            builder.finish()

    return work


def decode(count: int) -> Callable[[], object]:
    """A datagram becomes messages again."""
    builder = DatagramBuilder(Header(cluster_id=1, from_=1, to=2), MAX_DATAGRAM)
    builder.add(append_message(count))
    datagram = builder.finish()

    def work() -> None:
        for _ in range(100):
            list(messages(datagram))

    return work


def _all(name: str, times: int, made_by: Callable[[int], Callable[[], object]], sizes: Sequence[int]) -> list[Micro]:
    return [Micro(f"{name}[{size}]", times, lambda size=size: made_by(size)) for size in sizes]


MICRO = (
    *_all("append", 20, append, (1, 100, 1000)),
    *_all("match", 100, match, (1, 100, 10_000)),
    *_all("find_conflict", 10, find_conflict, (10, 1000)),
    *_all("find_conflict_by_term", 99, find_conflict_by_term, (1, 100, 10_000)),
    *_all("commit_index", 100, commit_index, (3, 5, 9)),
    *_all("encode", 100, encode, (0, 1, 100, 1000)),
    *_all("decode", 100, decode, (0, 1, 100, 1000)),
)
