"""Leadership transfer (thesis 3.10): let the target catch up, then tell it to stand for election at once.

While a transfer runs, proposals are refused, so that the target can catch up; it ends with a new leader, or after an
election timeout, when this leader carries on.
"""

from raftcore.algorithm.options.witness cimport is_witness
from raftcore.algorithm.sending cimport send_append
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.base.types cimport MsgTimeoutNow, MsgTransferLeader, node_id_t
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport Message, new_message


cdef int leader_transfer(Raft r, Message m) except -1:
    """m.from_ names the target."""
    cdef node_id_t target = m.from_
    cdef Progress pr = r.tracker.get(target)
    if pr is None or pr.is_learner or is_witness(r, target):
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
    if pr.match == r.log.last_index():
        return send_timeout_now(r, target)
    send_append(r, pr, True)
    return 0


cdef int continue_transfer(Raft r, Progress pr) except -1:
    """The target has acknowledged something: is it complete now?"""
    if pr.id == r.transferee and pr.match == r.log.last_index():
        return send_timeout_now(r, pr.id)
    return 0


cdef int send_timeout_now(Raft r, node_id_t target) except -1:
    r.lease_given_up = True  # the target is voted for in spite of the lease
    r.send(new_message(MsgTimeoutNow, target))
    return 0


cdef int forward_transfer(Raft r, Message m) except -1:
    """A follower passes the request on; the target stays in from_."""
    if r.lead == 0:
        return 0
    forwarded = new_message(MsgTransferLeader, r.lead)
    forwarded.from_ = m.from_
    r.send(forwarded)
    return 0
