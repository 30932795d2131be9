"""Snapshots (paper 7): the follower's restore, and what the leader makes of the outcome."""

from raftcore.algorithm.membership_changes cimport restore_configuration
from raftcore.algorithm.sending cimport send, send_this_snapshot
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.base.types cimport MsgAppResp, StateFollower, StateLeader, StateQuarantined, node_id_t
from raftcore.membership.progress cimport Progress, StateSnapshot
from raftcore.values.message cimport Message, Snapshot, new_message


cdef int handle_snapshot(Raft r, Message m) except -1:
    """InstallSnapshot, receiver. The answer is an append reply: the leader goes on from there."""
    answer = new_message(MsgAppResp, m.from_)
    answer.conf_index = m.conf_index
    if restore(r, m.snapshot):
        answer.index = r.log.last_index()
    else:
        # No further than the snapshot goes: behind it the leader's log may be another (docs/design.md, decision 1).
        answer.index = min(r.log.committed, m.snapshot.index)
    return send(r, answer)


cdef bint needs_snapshot(Raft r, Message m) except -1:
    """Would it take the place of this node's log?"""
    return (m.term >= r.term and r.state != StateQuarantined and m.snapshot.index > r.log.committed
            and not r.log.match_term(m.snapshot.index, m.snapshot.term))


cdef bint restore(Raft r, Snapshot s) except -1:
    """Takes the snapshot in place of the log; False, and nothing moved back, when it brings nothing new.

    Also one whose configuration lacks this node, because it was taken before the node was added: it has the latest
    configuration that it knows of, serves a leader that is no part of it, and stands for no election (thesis 4.1,
    4.2.2). The entry that adds it follows. If it were refused, the same snapshot would be sent again and again.
    """
    if s.index <= r.log.committed or r.state != StateFollower:
        return False
    if r.log.match_term(s.index, s.term):
        # The log holds all of it already: keep the log, which may go further, and commit up to there (Figure 13, 6).
        r.log.commit_to(s.index)
        return False
    r.log.restore(s, r.offers is not None)  # who brings its bytes restores the state by itself
    restore_configuration(r, s.conf_state, s.conf_index)
    if tracing(r):
        r.emit("snapshot_restored", {"index": s.index, "snapshot_term": s.term})
    return True


cdef bint offer_snapshot(Raft r, node_id_t id, Snapshot s) except -1:
    """Sends s in the place of the snapshot that is on its way to ``id``; False where that would bring it no further.

      compacted   s   on its way   committed
          |-------|--------|-----------|------
                   s may be older, as long as the log goes on behind it: what follows then comes from the log.
    """
    cdef Progress pr = r.tracker.get(id)
    if r.state != StateLeader or pr is None or pr.state != StateSnapshot:
        return False
    if not r.log.snapshot_index <= s.index <= r.log.committed or not r.log.match_term(s.index, s.term):
        return False
    return send_this_snapshot(r, pr, s)


cdef bint state_restored(Raft r, Snapshot s) except -1:
    """The state machine was restored from `s`, in place of the log's beginning or from further on in it. False, and
    nothing is done, where the log does not wait for it."""
    if r.state == StateQuarantined or not r.log.state_restored(s.index, s.term):
        return False
    restore_configuration(r, s.conf_state, s.conf_index)
    if tracing(r):
        r.emit("state_restored", {"index": s.index, "snapshot_term": s.term})
    return True


cdef int handle_snapshot_status(Raft r, Progress pr, Message m) except -1:
    """Whether the snapshot reached its follower, as the driver reports it."""
    if pr.state != StateSnapshot:
        return 0
    if m.reject:
        pr.pending_snapshot = 0  # before become_probe, which goes on from the pending snapshot otherwise
    pr.become_probe()
    # Delivered: wait for the follower's own word. Failed: wait for the next heartbeat before trying again.
    pr.msg_app_flow_paused = True
    return 0
