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
    """Index just before the first entry."""
    snapshot_term: int
    """Its term."""
    entries: tuple[tuple[int, int, bytes], ...]
    """(term, kind, payload) of each entry, from ``snapshot_index + 1`` on."""
    committed: int
    """The commit index."""
    applying: int
    """Highest index handed out to be applied."""
    applied: int
    """Highest index reported as applied."""
    durable: int
    """Highest index reported as durable."""
    being_written: int
    """Highest index handed out to be written."""
    restoring: tuple[int, int] | None
    """(index, term) of a snapshot that is not durable yet."""
    rewrites: int
    """What a write's confirmation has to carry (its ``conf_index``), so that it counts."""

    @property
    def last(self) -> int:
        """Index of the last entry."""
        return self.snapshot_index + len(self.entries)


class ProgressState(NamedTuple):
    """What a leader knows of one member (Figure 2, volatile state on leaders)."""

    id: int
    """The member, by its (renamed) id."""
    match: int
    """matchIndex of Figure 2."""
    next: int
    """nextIndex of Figure 2."""
    state: int
    """0 probe, 1 replicate, 2 snapshot."""
    sent_commit: int
    """Highest commit index that it was sent."""
    pending_snapshot: int
    """Index of the snapshot on its way, 0 for none."""
    recent_active: bool
    """Heard from in the running check-quorum interval (thesis 6.2)."""
    paused: bool
    """A probe, or a full window, is waiting for an answer."""
    bare_probe: bool
    """Probes go without payload: it is not known where the logs agree."""
    inflights: tuple[tuple[int, int], ...]
    """(last index, bytes) of each append on its way."""


class ReadState(NamedTuple):
    """The reads of one leadership that wait for a quorum (thesis 6.4)."""

    round: int
    """Number of the newest round, 0 before the first."""
    round_open: bool
    """More reads may still join it: its heartbeats have not been handed out."""
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
    """currentTerm of Figure 2."""
    vote: int
    """votedFor of Figure 2, 0 for nobody."""
    role: int
    """:class:`raftcore.StateType`"""
    leader: int
    """The leader of the term as far as known, 0 for none."""
    log: LogState
    """Its entries, and how far each border has come."""
    voters: tuple[int, ...]
    """Of the applied configuration, as the four that follow (thesis 4.1 to 4.3)."""
    voters_outgoing: tuple[int, ...]
    """Voters of the configuration that is left; empty when not joint."""
    learners: tuple[int, ...]
    """Members that have the log and no vote."""
    learners_next: tuple[int, ...]
    """Outgoing voters that become learners."""
    auto_leave: bool
    """The leader leaves the joint configuration without being told."""
    conf_index: int
    """Index of the entry that the configuration comes from."""
    conf_indexes: tuple[tuple[int, int], ...]
    """(member, index of the configuration entry that made its progress)."""
    votes: tuple[tuple[int, bool], ...]
    """Answers counted in the running election."""
    progress: tuple[ProgressState, ...]
    """On a leader; elsewhere empty: becoming leader starts it anew."""
    reads: ReadState
    """On a leader: reads that wait."""
    transferee: int
    """On a leader: target of the running transfer (thesis 3.10), 0 for none."""
    pending_conf_index: int
    """On a leader: no change of the configuration is taken until this index is applied."""
    uncommitted_size: int
    """On a leader with a limit: bytes of payload that are not applied."""
    takeover_pause: int
    """On a leader: election timeouts until it tries again to hand over to a preferred member."""
    preferred: int
    """On a leader: the member to hand over to, if it is still ready at the next look; 0 for none."""
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
