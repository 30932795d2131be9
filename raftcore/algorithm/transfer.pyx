"""Leadership transfer (thesis 3.10): let the target catch up, then tell it to stand for election at once.

Whoever keeps up with what is committed can be a target that a leader picks by itself (``successors``); told to stand is
only who holds the whole log. Both are defined in membership/progress.pxd.

While a transfer runs, proposals are refused, so that the target can catch up; it ends with a new leader, or after an
election timeout, when this leader carries on.
"""

from raftcore.algorithm.options cimport lease
from raftcore.algorithm.options.witness cimport is_witness
from raftcore.algorithm.sending cimport send, send_append
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.base.types cimport MsgTimeoutNow, MsgTransferLeader, StateLeader, node_id_t
from raftcore.membership.progress cimport Progress, holds_whole_log, keeps_up
from raftcore.values.message cimport Message, new_message


cdef bint may_take_over(Raft r, Progress pr) except -1:
    """A learner has no vote, and a witness no commands to lead with (options/witness.pyx)."""
    return not pr.is_learner and not is_witness(r, pr.id)


cdef list successors(Raft r):
    """Leader: the voters that keep up, best first: by priority, then by how far their logs reach, then by id. A leader
    that stops hands over to the first that it can reach (thesis 3.10)."""
    cdef Progress pr
    cdef list ready = []
    if r.state != StateLeader:
        return ready
    priorities = r.priorities or {}
    for pr in r.tracker.ordered:
        if pr.id != r.id and may_take_over(r, pr) and keeps_up(pr, r.log.committed):
            ready.append((-priorities.get(pr.id, 0), -<object> pr.match, pr.id))
    ready.sort()
    return [order[2] for order in ready]


cdef int leader_transfer(Raft r, Message m) except -1:
    """m.from_ names the target."""
    cdef node_id_t target = m.from_
    cdef Progress pr = r.tracker.get(target)
    if pr is None or not may_take_over(r, pr):
        return 0
    if r.transferee != 0:
        if r.transferee == target:
            return 0
        r.transferee = 0
    if target == r.id:
        return 0
    # One election timeout from now on is what the transfer may take.
    r.election_elapsed = 0
    r.transferee = target
    if tracing(r):
        r.emit("transfer", {"to": target, "match": pr.match})
    if holds_whole_log(pr, r.log.last_index()):
        return send_timeout_now(r, target)
    send_append(r, pr, True)
    return 0


cdef int continue_transfer(Raft r, Progress pr) except -1:
    """The target has acknowledged something: does it hold the whole log now?"""
    if pr.id == r.transferee and holds_whole_log(pr, r.log.last_index()):
        return send_timeout_now(r, pr.id)
    return 0


cdef int send_timeout_now(Raft r, node_id_t target) except -1:
    lease.give_up(r)  # the target is voted for in spite of it
    send(r, new_message(MsgTimeoutNow, target))
    return 0


cdef int forward_transfer(Raft r, Message m) except -1:
    """A follower passes the request on; the target stays in from_."""
    if r.lead == 0:
        return 0
    forwarded = new_message(MsgTransferLeader, r.lead)
    forwarded.from_ = m.from_
    send(r, forwarded)
    return 0
