"""Election priority: which member should lead, as far as it can.

Two rules, neither of which touches safety. A member that some other voter is preferred to waits one election timeout
longer before it stands, so that the preferred one gets there first if it is alive; it still stands, and wins, when it
is alone. And a leader that another voter is preferred to hands leadership over once that voter has been active and has
kept up (membership/progress.pxd) for a whole election timeout (thesis 3.10).
"""

from raftcore.algorithm.state cimport Raft
from raftcore.algorithm.transfer cimport leader_transfer, may_take_over
from raftcore.base.types cimport MsgTransferLeader
from raftcore.membership.progress cimport Progress, keeps_up
from raftcore.values.message cimport new_message

cdef enum:
    PAUSE = 10  # election timeouts between two attempts to hand over in one leadership


cdef int extra_timeout(Raft r) except -1:
    """Ticks to add to the election timeout."""
    if r.priorities is None:
        return 0
    own = r.priorities.get(r.id, 0)
    for voter in r.tracker.voter_ids():
        if r.priorities.get(voter, 0) > own:
            return r.options.election_timeout
    return 0


cdef int prefer(Raft r) except -1:
    """Leader, once an election timeout: hand over to the most preferred voter that is ready, if there is one."""
    cdef Progress pr
    cdef Progress best = None
    if r.priorities is None or r.transferee != 0:
        return 0
    highest = r.priorities.get(r.id, 0)
    candidate = 0
    for pr in r.tracker.ordered:
        if pr.id == r.id or not pr.recent_active or not may_take_over(r, pr) or not keeps_up(pr, r.log.committed):
            continue
        if r.priorities.get(pr.id, 0) > highest:
            highest = r.priorities.get(pr.id, 0)
            best = pr
    candidate = 0 if best is None else best.id
    if r.takeover_pause > 0:
        r.takeover_pause -= 1
        return 0
    if candidate != 0 and candidate == r.preferred:
        m = new_message(MsgTransferLeader, r.id)
        m.from_ = candidate
        leader_transfer(r, m)
        r.preferred = 0
        r.takeover_pause = PAUSE  # a transfer refuses proposals while it runs: one that fails is not repeated at once
    else:
        r.preferred = candidate  # ready now: handed over to if it still is an election timeout from now
    return 0
