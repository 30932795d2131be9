"""Logs to begin with: in memory or on the disk, given by their terms."""

from __future__ import annotations

from raftcore.log.log import RaftLog
from raftcore.values.message import Entries
from tests.model.log import Disk, Item, encode

NORMAL, CONF_CHANGE, CONF_CHANGE_V2, NOOP = range(4)


def item(term: int, data: bytes = b"", kind: int = NORMAL) -> Item:
    return Item(term, kind, data or (b"" if kind == NOOP else b"t%d" % term), 0)


def ents(first: int, *terms: int) -> Entries | None:
    """Entries from `first` on with these terms; None without terms."""
    return encode(first, [item(t) for t in terms]) if terms else None


def log_of(*terms: int, base: int = 0, base_term: int = 0, committed: int = 0, durable: bool = False) -> RaftLog:
    """A log behind a snapshot at `base` with entries of these terms, in memory, and durable if asked for."""
    disk = Disk(base, base_term)
    log = RaftLog(disk, base, base_term)
    if terms:
        log.append(ents(base + 1, *terms))
        if durable:
            disk.write(base + 1, [item(t) for t in terms])
            log.accept_unstable()
            log.stable_to(base + len(terms), terms[-1])
    log.commit_to(committed)
    log.check()
    return log


def stored(*terms: int, base: int = 0, base_term: int = 0, committed: int = 0, applied: int = 0) -> RaftLog:
    """The same after a restart: all entries are on the disk only."""
    disk = Disk(base, base_term, [item(t) for t in terms])
    log = RaftLog(disk, base, base_term, disk.last, disk.term_runs(), committed, applied)
    log.check()
    return log


def terms(log: RaftLog) -> list[int]:
    """Term of the snapshot, and of each entry."""
    return [log.term_at(i) for i in range(log.snapshot_index, log.last_index() + 1)]
