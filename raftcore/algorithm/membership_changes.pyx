"""Configuration changes in the log: applying, restoring, leaving a joint one (thesis 4).

A configuration takes effect when its entry is applied, on each node by itself. That is safe because a leader lets in
one change at a time: the next is refused until the last is applied here (proposals.pyx).
"""

from raftcore.base.errors import InvariantViolation
from raftcore.membership.confchange import ConfChange

from raftcore.algorithm.options cimport lease
from raftcore.algorithm.proposals cimport append_payloads, refusal
from raftcore.algorithm.replication cimport advance_commit
from raftcore.algorithm.roles cimport become_follower
from raftcore.algorithm.sending cimport broadcast_append, send_append
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.base.types cimport NO_LIMIT, EntryConfChangeV2, StateLeader, index_t
from raftcore.membership cimport confchange
from raftcore.membership.progress cimport Progress
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport ConfState


cdef ConfState apply_change(Raft r, object change, index_t index):
    """Installs the configuration that the applied entry at index leads to; ConfChangeError when there is none."""
    cdef index_t last = r.log.last_index()
    if isinstance(change, ConfChange):
        change = change.as_v2()
    if change.leave_joint():
        made = confchange.leave_joint(r.tracker, last)
    else:
        auto_leave, use_joint = change.enter_joint()
        if use_joint:
            made = confchange.enter_joint(r.tracker, last, auto_leave, change.changes)
        else:
            made = confchange.simple(r.tracker, last, change.changes)
    return switch_to(r, made, index)


cdef ConfState restore_configuration(Raft r, ConfState cs, index_t index):
    """Replaces the configuration by a stored one: at start, and from a snapshot."""
    empty = Tracker(r.tracker.max_inflight, r.tracker.max_inflight_bytes)
    made = confchange.restore(empty, r.log.last_index(), cs)
    r.tracker = empty
    result = switch_to(r, made, index)
    if result != cs:
        raise InvariantViolation(f"configuration {cs!r} became {result!r} when restored")
    return result


cdef ConfState switch_to(Raft r, tuple made, index_t index):
    cdef Progress pr
    cdef ConfState before = r.tracker.conf_state()
    config, progress = made
    for pr in progress.values():
        if pr.conf_index == NO_LIMIT:
            # New. What this follower answers from now on must echo this index: a late reply from before a removal and
            # re-adding, be it within one change, carries another one.
            pr.conf_index = index
    r.tracker.install(config, progress)
    r.conf_index = index
    if tracing(r):
        r.emit("configuration", {"index": index, "configuration": config.describe()})
    cs = r.tracker.conf_state()
    if cs != before:
        lease.restart(r)  # not for an update: the quorums are what they were
    pr = r.tracker.get(r.id)
    r.is_learner = pr is not None and pr.is_learner
    if r.state != StateLeader:
        return cs
    if r.transferee != 0 and r.transferee not in r.tracker.voter_ids():
        r.transferee = 0  # also where the leader itself was removed with it
    if pr is None or r.is_learner:
        # A leader may commit its own removal (paper 6); it does not count itself from here on.
        if r.options.step_down_on_removal:
            become_follower(r, r.term, 0)
        return cs
    if not cs.voters:
        return cs
    if advance_commit(r):
        broadcast_append(r)  # the new quorum may already hold more
    else:
        for pr in r.tracker.ordered:
            if pr.id != r.id:
                send_append(r, pr, False)  # start on new members at once
    return cs


cdef int leave_joint_when_due(Raft r) except -1:
    """Something was applied: if that was an automatically joint configuration, propose to leave it (thesis 4.3)."""
    if not r.tracker.config.auto_leave or r.state != StateLeader or r.log.applied < r.pending_conf_index:
        return 0
    # Not while leadership is being handed over; the next applied entry, or the next leader, tries again.
    if r.transferee != 0 or r.tracker.get(r.id) is None:
        return 0
    if refusal(r, EntryConfChangeV2, b"") is not None:
        return 0
    append_payloads(r, (b"",), EntryConfChangeV2)
    r.pending_conf_index = r.log.last_index()
    broadcast_append(r)
    return 0
