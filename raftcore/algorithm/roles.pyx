"""The roles and the ways between them (Figure 4, with thesis 9.6's pre-candidate, and the quarantine).

                    timeout              pre-vote won            won
      follower ----------------> pre- ----------------> candi- --------> leader
         ^                     candidate                 date              |
         |                        |                       |                |
         +------------------------+-----------------------+----------------+
           a higher term, a leader of this term, an election lost, no quorum

Without pre-vote the timeout leads straight to candidate. A follower whose committed entries its leader contradicts is
quarantined (quarantine.pyx), and stays that for ever: it hears nothing, says nothing and hands out no work.
"""

from libc.stdint cimport int64_t, uint64_t

from raftcore.base.errors import InvariantViolation

from raftcore.algorithm.options cimport lease
from raftcore.algorithm.options cimport priority
from raftcore.algorithm.options cimport quiet
from raftcore.algorithm.options.witness cimport is_witness
from raftcore.algorithm.proposals cimport append_noop
from raftcore.algorithm.state cimport Raft, ReadOnly, tracing
from raftcore.base.types cimport (
    StateCandidate,
    StateFollower,
    StateLeader,
    StatePreCandidate,
    StateQuarantined,
    index_t,
    node_id_t,
    term_t,
)
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport queue_free

cdef tuple ROLE_NAMES = ("follower", "candidate", "leader", "pre-candidate", "quarantined")

cdef enum:
    WRITES = 2  # of an election, one after the other: the candidate's and a voter's
    APART = 6   # a candidate's wait is drawn from so many writes: with fewer, candidates collide more often


cdef int reset(Raft r, term_t term) except -1:
    """What every change of role but the one to pre-candidate starts from, the election timer apart."""
    cdef Progress pr
    cdef index_t last = r.log.last_index()
    if r.term != term:
        r.term = term
        r.vote = 0
        lease.new_term(r)
        r.acknowledged = 0
    elif r.state == StateLeader:
        r.acknowledged = last  # as the leader of this term it has told others that this is the log
    r.lead = 0
    r.heartbeat_elapsed = 0
    r.transferee = 0
    r.preferred = 0
    r.takeover_pause = 0
    r.tracker.reset_votes()
    for pr in r.tracker.ordered:
        # Figure 2, volatile state on leaders: nextIndex just after the log's end, matchIndex 0.
        pr.reset(last if pr.id == r.id else 0, last + 1)
    r.pending_conf_index = 0
    r.suspicion.rounds = 0
    r.uncommitted_size = 0
    r.reads = ReadOnly()
    r.postponed_reads = []
    lease.restart(r)
    quiet.restart(r)
    return 0


cdef int restart_election_timer(Raft r) except -1:
    """Counts from 0 to a timeout that is drawn anew, from [election_timeout, 2 * election_timeout) (paper 5.2)."""
    cdef int shortest = r.options.election_timeout
    r.election_elapsed = 0
    r.randomized_timeout = shortest + <int> r.draw(shortest) + priority.extra_timeout(r)
    wait_for_writes(r)
    return 0


cdef void wait_for_writes(Raft r) noexcept:
    """A node that knows no leader adds to its election timeout what the writes of an election take.

    The candidate's request leaves after its own write, the votes after the voters': an election takes two writes more
    than with disks that take no time. And a candidate is not heard of before its own write is done: two of them collide
    unless their timeouts lie at least one write apart. So part of the wait is drawn at random, from several writes.

    A node that follows a leader does not wait like this: when it starts an election, and how long it refuses votes
    before that (paper 6), depends on no disk. Where only the voters' disks are slow, their late votes show it
    (election.vote_came_late).
    """
    cdef int64_t writes = r.write_ticks
    if r.lead != 0:
        r.vote_ticks = 0
        r.election_wait = 0
    else:
        r.election_wait = r.vote_ticks
        if writes > 0:
            r.election_wait += WRITES * writes + <int64_t> r.draw(APART * <uint64_t> writes)


cdef void write_took(Raft r, int64_t ticks) noexcept:
    """A write took so many ticks. A wait that was drawn by a longer one is cut down in proportion.

    Else the node with the newest log could wait for seconds after one stalled write, while the others stand again and
    again and cannot win (paper 5.4.1). In proportion, because who has drawn apart shall stay apart.
    """
    cdef int64_t before = r.write_ticks
    cdef int64_t drawn = r.election_wait - r.vote_ticks
    r.write_ticks = max(ticks, before // 2)
    if drawn > 0 and r.write_ticks < before:
        r.election_wait -= drawn - drawn * r.write_ticks // before


cdef int start(Raft r, term_t term, node_id_t vote, object conflict) except -1:
    """With what was stored (Figure 2, persistent state), a node begins as a follower (paper 5.2), or quarantined."""
    r.term = term
    r.vote = vote
    restart_election_timer(r)
    become_follower(r, term, 0)
    return 0 if conflict is None else become_quarantined(r, conflict)


cdef int become_follower(Raft r, term_t term, node_id_t lead) except -1:
    # A follower that only learns of a later term lets its timer run on (Figure 2, followers). The term may be that of a
    # candidate whose request is refused next; asking again and again, it would keep everybody else from standing.
    cdef bint waits_on = r.state == StateFollower and lead == 0
    reset(r, term)
    r.lead = lead
    r.state = StateFollower
    if not waits_on:
        restart_election_timer(r)
    return role_changed(r)


cdef int become_pre_candidate(Raft r) except -1:
    if r.state == StateLeader:
        raise InvariantViolation("a leader cannot become pre-candidate")
    # Neither the term nor the vote changes: nothing has been promised to anyone (thesis 9.6).
    r.tracker.reset_votes()
    r.lead = 0
    r.suspicion.rounds = 0
    r.state = StatePreCandidate
    return role_changed(r)


cdef int become_candidate(Raft r) except -1:
    if r.state == StateLeader:
        raise InvariantViolation("a leader cannot become candidate")
    reset(r, r.term + 1)
    restart_election_timer(r)
    r.vote = r.id
    r.state = StateCandidate
    return role_changed(r)


cdef int become_leader(Raft r) except -1:
    cdef Progress pr
    if r.state == StateFollower:
        raise InvariantViolation("a follower cannot become leader without an election")
    reset(r, r.term)
    r.lead = r.id
    restart_election_timer(r)
    r.state = StateLeader
    pr = r.tracker.get(r.id)
    pr.become_replicate()
    pr.recent_active = True
    # Somewhere in the log there may be a configuration change that is not applied yet; waiting for all of it costs
    # less than looking.
    r.pending_conf_index = r.log.last_index()
    role_changed(r)
    # An entry of its own term lets the leader commit what former leaders left (paper 5.4.2, 8).
    append_noop(r)
    return 0


cdef int become_quarantined(Raft r, object conflict) except -1:
    reset(r, r.term)
    r.state = StateQuarantined
    r.conflict = conflict
    # What waits to be sent, now or after a write, is dropped: its receivers would rely on it.
    queue_free(&r.messages)
    queue_free(&r.after_append)
    queue_free(&r.waiting)
    r.read_states = []
    return role_changed(r)


cdef bint promotable(Raft r) except -1:
    """May this node stand for election? Only a full voter by its own configuration, with no snapshot half in place and
    a state to lead with. Any server may by the paper; but one without a state would have every read and proposal wait
    until it has been restored."""
    cdef Progress pr = r.tracker.get(r.id)
    if is_witness(r, r.id) or r.state == StateQuarantined:
        return False
    if r.log.awaits_state:
        return False
    return pr is not None and not pr.is_learner and not r.log.has_next_or_in_progress_snapshot()


cdef int role_changed(Raft r) except -1:
    if tracing(r):
        r.emit("role", {"role": ROLE_NAMES[r.state], "leader": r.lead, "vote": r.vote})
    return 0
