"""What a node knows of itself and, as leader, of the others, at one moment, as Python objects."""

from dataclasses import dataclass, field
from typing import Any

from raftcore.base.conflict import Conflict
from raftcore.base.types import StateType

from libc.stdint cimport uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport NO_LIMIT, StateLeader, index_t
from raftcore.membership.progress cimport Progress, StateReplicate, StateSnapshot
from raftcore.values.message cimport ConfState


@dataclass(frozen=True, slots=True)
class ProgressStatus:
    """What the leader knows of one member (Figure 2, volatile state on leaders); status.pyi says what each field is."""

    id: int
    match: int
    next: int
    state: str
    paused: bool
    recent_active: bool
    is_learner: bool
    pending_snapshot: int
    inflight: int
    inflight_full: bool
    behind: int
    heard_ms: int
    paused_because: str | None
    conf_index: int = 0

    def describe(self) -> str:
        """The member's state as it is printed in transcripts."""
        text = f"{self.state} match={self.match} next={self.next}"
        if self.is_learner:
            text += " learner"
        if self.paused:
            text += " paused"
        if self.pending_snapshot:
            text += f" pendingSnap={self.pending_snapshot}"
        if not self.recent_active:
            text += " inactive"
        if self.inflight:
            text += f" inflight={self.inflight}" + ("[full]" if self.inflight_full else "")
        return text


@dataclass(frozen=True, slots=True)
class Status:
    """A node's state at one moment; ``progress`` is filled on a leader only. status.pyi says what each field is."""

    id: int
    term: int
    vote: int
    state: Any
    leader: int
    commit_index: int
    applied_index: int
    first_index: int
    last_index: int
    last_term: int
    conf_state: ConfState
    conf_index: int
    transferee: int
    in_sync: bool
    has_quorum: bool
    heard_quorum_ms: int
    now_ms: int
    progress: dict[int, ProgressStatus] = field(default_factory=dict)
    conflict: Conflict | None = None


cdef tuple PROGRESS_STATES = ("StateProbe", "StateReplicate", "StateSnapshot")


cdef object why_paused(Progress pr):
    if not pr.is_paused():
        return None
    if pr.state == StateSnapshot:
        return "snapshot"
    if pr.awaits_entries:
        return "entries"
    return "window" if pr.state == StateReplicate else "probe"


cdef uint64_t half_heard(Raft r, tuple voters):
    """The newest time by which a majority of these voters had answered; no limit without voters."""
    cdef Progress pr
    cdef list times = []
    for voter in voters:
        pr = r.tracker.get(voter)
        times.append(r.now_ms if voter == r.id else pr.heard_ms)
    times.sort(reverse=True)
    return times[len(times) // 2] if times else NO_LIMIT


cdef object status_of(Raft r):
    cdef Progress pr
    cdef uint64_t heard
    cdef index_t last = r.log.last_index()
    progress = {}
    if r.state == StateLeader:
        for pr in r.tracker.ordered:
            progress[pr.id] = ProgressStatus(
                id=pr.id,
                match=pr.match,
                next=pr.next,
                state=PROGRESS_STATES[pr.state],
                paused=bool(pr.is_paused()),
                recent_active=bool(pr.recent_active),
                is_learner=bool(pr.is_learner),
                pending_snapshot=pr.pending_snapshot,
                inflight=pr.inflights.count,
                inflight_full=bool(pr.inflights.is_full()),
                behind=last - min(pr.match, last),
                heard_ms=pr.heard_ms,
                paused_because=why_paused(pr),
                conf_index=pr.conf_index,
            )
        heard = min(half_heard(r, r.tracker.config.voters), half_heard(r, r.tracker.config.voters_outgoing))
    else:
        heard = r.heard_leader_ms
    return Status(
        id=r.id,
        term=r.term,
        vote=r.vote,
        state=StateType(r.state),
        leader=r.lead,
        commit_index=r.log.committed,
        applied_index=r.log.applied,
        first_index=r.log.first_index(),
        last_index=last,
        last_term=r.log.last_term(),
        conf_state=r.tracker.conf_state(),
        conf_index=r.conf_index,
        transferee=r.transferee,
        in_sync=r.lead != 0 and r.log.applied == r.log.committed,
        has_quorum=bool(r.tracker.quorum_active()) if r.state == StateLeader else r.lead != 0,
        heard_quorum_ms=heard if heard <= r.now_ms else r.now_ms,
        now_ms=r.now_ms,
        progress=progress,
        conflict=r.conflict,
    )
