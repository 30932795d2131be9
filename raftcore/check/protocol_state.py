"""The protocol state of one node as values: what it will do next, without clocks, timers and random numbers.

:func:`raftcore.testing.exploration.protocol_state` makes it, for those who explore every schedule of a small cluster
and take the passing of time as an event (decision 8). Two nodes with equal protocol states answer every message in the
same way.
All of it is hashable, and can be compared and ordered by its ``repr``.
"""

from __future__ import annotations

from typing import NamedTuple


class LogState(NamedTuple):
    """The log: what is in it, and how far each of its borders has come."""

    snapshot_index: int
    """Index just before the first entry, with its term."""
    snapshot_term: int
    entries: tuple[tuple[int, int, bytes], ...]
    """(term, kind, payload) of each entry, from ``snapshot_index + 1`` on."""
    committed: int
    applying: int
    """Highest index handed out to be applied."""
    applied: int
    durable: int
    """Highest index reported as durable."""
    being_written: int
    """Highest index handed out to be written."""
    restoring: tuple[int, int] | None
    """(index, term) of a snapshot that is not durable yet."""

    @property
    def last(self) -> int:
        """Index of the last entry."""
        return self.snapshot_index + len(self.entries)


class ProgressState(NamedTuple):
    """What a leader knows of one member (Figure 2, volatile state on leaders)."""

    id: int
    match: int
    next: int
    state: int
    """0 probe, 1 replicate, 2 snapshot."""
    sent_commit: int
    pending_snapshot: int
    recent_active: bool
    paused: bool
    """A probe, or a full window, is waiting for an answer."""
    bare_probe: bool
    inflights: tuple[tuple[int, int], ...]
    """(last index, bytes) of each append on its way."""


class ReadState(NamedTuple):
    """The reads of one leadership that wait for a quorum (thesis 6.4)."""

    round: int
    round_open: bool
    requests: tuple[tuple[int, int, int, bytes], ...]
    """(round, index, who asked, context), oldest first."""
    acknowledged: tuple[tuple[int, int], ...]
    """(member, newest round it has answered)."""
    postponed: tuple[tuple[int, bytes], ...]
    """(who asked, context) of reads that wait for the first commit of the term."""


class ProtocolState(NamedTuple):
    """One node. Maps and sets are tuples, sorted by the (renamed) id."""

    id: int
    term: int
    vote: int
    role: int
    """:class:`raftcore.StateType`"""
    leader: int
    log: LogState
    voters: tuple[int, ...]
    voters_outgoing: tuple[int, ...]
    learners: tuple[int, ...]
    learners_next: tuple[int, ...]
    auto_leave: bool
    conf_index: int
    conf_indexes: tuple[tuple[int, int], ...]
    """(member, index of the configuration entry that made its progress)."""
    votes: tuple[tuple[int, bool], ...]
    """Answers counted in the running election."""
    progress: tuple[ProgressState, ...]
    """On a leader; elsewhere empty: becoming leader starts it anew."""
    reads: ReadState
    transferee: int
    pending_conf_index: int
    uncommitted_size: int
    takeover_pause: int
    preferred: int
    timeout_passed: bool
    """An election timeout has passed since the last word of a leader: with check-quorum, this node may vote again."""
    witnesses: tuple[int, ...]
    """The members without payloads, as last given to ``RawNode.set_members``."""
    priorities: tuple[tuple[int, int], ...] | None
    """(member, election priority), as last given to ``RawNode.set_members``; None: nobody has one."""
    suspicion: tuple[int, int, int, int, bool, bool] | tuple[()] = ()
    """Of a leader that has contradicted what is committed here: the entry's index, its term there, the leader, the
    rounds in which it was said, whether a heartbeat was heard since, whether a heartbeat timeout has passed since. Else
    empty."""
    conflict: tuple[int, int, int, int, int] | tuple[()] = ()
    """Why this node is quarantined: the fields of :class:`raftcore.Conflict`. Empty when it is not."""
