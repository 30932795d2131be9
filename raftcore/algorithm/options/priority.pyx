"""Election priority: which member should lead, as far as it can.

Two rules, neither of which touches safety. A member that some other voter is preferred to waits one election timeout
longer before it stands, so that the preferred one gets there first if it is alive; it still stands, and wins, when it
is alone. And a leader that another voter is preferred to hands leadership over once that voter has been active and has
kept up (membership/progress.pxd) for a whole election timeout (thesis 3.10).

A voter may keep up and yet not be able to lead, as while its state machine has no state: it does not stand, and the
leader is not told why. Each try refuses proposals for an election timeout. So a try of which no election has come makes
the pause before the next one with this voter twice as long, up to 64 times PAUSE, and others may be handed over to
meanwhile:

    try   PAUSE   try   2 PAUSE   try   4 PAUSE   try   ...   64 PAUSE   try   ...

An election begins a new term and with it anew for everybody (roles.reset); so does a voter that has been started again.
"""

from raftcore.algorithm.state cimport Raft, tracing
from raftcore.algorithm.transfer cimport leader_transfer, may_take_over
from raftcore.base.types cimport MsgTransferLeader, StateLeader, node_id_t
from raftcore.membership.progress cimport Progress, keeps_up
from raftcore.values.message cimport new_message

cdef enum:
    PAUSE = 10      # election timeouts between two attempts to hand over in one leadership
    DOUBLINGS = 6   # of the pause between two attempts with one voter


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
        if pr.takeover_pause > 0:
            pr.takeover_pause -= 1
            continue
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
        if tracing(r):
            r.emit("takeover", {"to": best.id, "in_vain": best.takeover_tries})
        # For the case that nothing comes of it; an election sets both back.
        best.takeover_pause = PAUSE << best.takeover_tries
        best.takeover_tries = min(best.takeover_tries + 1, DOUBLINGS)
    else:
        r.preferred = candidate  # ready now: handed over to if it still is an election timeout from now
    return 0


cdef int begun_anew(Raft r, node_id_t id) except -1:
    """Leader: ``id`` has been started again. What its former life could not take over, this one may."""
    cdef Progress pr = r.tracker.get(id)
    if r.state == StateLeader and pr is not None:
        pr.takeover_pause = 0
        pr.takeover_tries = 0
    return 0
