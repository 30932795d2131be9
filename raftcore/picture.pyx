"""A picture of a node at one moment, as Python objects: what raftcore.Status says."""

from raftcore.status import PeerProgress, Status
from raftcore.types import StateType

from raftcore.progress cimport Progress
from raftcore.state cimport Raft
from raftcore.types cimport StateLeader, index_t

cdef tuple PROGRESS_STATES = ("StateProbe", "StateReplicate", "StateSnapshot")


cdef object status_of(Raft r):
    cdef Progress pr
    cdef index_t last = r.log.last_index()
    progress = {}
    if r.state == StateLeader:
        for pr in r.tracker.ordered:
            progress[pr.id] = PeerProgress(
                id=pr.id,
                match=pr.match,
                next=pr.next,
                state=PROGRESS_STATES[pr.state],
                paused=bool(pr.is_paused()),
                recent_active=bool(pr.recent_active),
                is_learner=bool(pr.is_learner),
                pending_snapshot=pr.pending_snapshot,
                inflight=pr.inflights.count,
                inflight_full=bool(pr.inflights.full()),
                behind=last - min(pr.match, last),
                conf_index=pr.conf_index,
            )
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
        progress=progress,
    )
