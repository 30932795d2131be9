"""Elections: standing, voting, counting (paper 5.2, 5.4.1; thesis 9.6)."""

from libc.stdint cimport int64_t

from raftcore.algorithm.roles cimport (
    become_candidate,
    become_follower,
    become_leader,
    become_pre_candidate,
    promotable,
    wait_for_writes,
)
from raftcore.algorithm.sending cimport broadcast_append, send
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.base.types cimport (
    LARGEST_NUMBER,
    MsgPreVote,
    MsgPreVoteResp,
    MsgVote,
    MsgVoteResp,
    StateLeader,
    StatePreCandidate,
    node_id_t,
    term_t,
)
from raftcore.membership.quorum cimport VoteLost, VoteResult, VoteWon
from raftcore.membership.tracker cimport tally_votes
from raftcore.values.message cimport Message, new_message

# Context of the vote requests of a leadership transfer: they are answered even while a leader is alive, because that
# leader asked for them (thesis 4.2.3).
cdef bytes TRANSFER_CONTEXT = b"CampaignTransfer"

cdef enum:
    LONGEST_VOTE = 4  # election timeouts: no late vote, whoever sends it, makes this node wait longer


cdef int hup(Raft r, bint transfer) except -1:
    """Stand for election, if this node may."""
    if r.state == StateLeader or not promotable(r) or (promised_lease(r) and not transfer):
        return 0
    if r.term >= LARGEST_NUMBER:
        return 0  # there is no later term to stand in; only a faulty peer can have raised the term so far
    # A committed configuration change that is not applied yet may have taken this node's vote away.
    if r.log.applied < r.log.committed and r.log.has_pending_conf_change(r.log.applied + 1, r.log.committed + 1):
        return 0
    return campaign(r, r.options.pre_vote and not transfer, transfer)


cdef int campaign(Raft r, bint pre, bint transfer) except -1:
    cdef term_t term
    cdef int request = MsgPreVote if pre else MsgVote
    cdef node_id_t voter
    if pre:
        become_pre_candidate(r)
        term = r.term + 1  # the term it would stand in, not one it has entered
    else:
        become_candidate(r)
        term = r.term
    for voter in r.tracker.voter_ids():
        if voter == r.id:
            # Its own vote counts like any other: once it is durable (thesis 3.8).
            m = new_message(MsgPreVoteResp if pre else MsgVoteResp, voter)
            m.term = term
        else:
            m = new_message(request, voter)
            m.term = term
            m.index = r.log.last_index()
            m.log_term = r.log.last_term()
            if transfer:
                m.context = TRANSFER_CONTEXT
        send(r, m)
    return 0


cdef bint hears_leader(Raft r, Message m) except -1:
    """Is a leader alive as far as this node knows, so that it ignores this vote request (paper 6, thesis 4.2.3)? With
    leases or without: promised_lease adds what they ask for beyond that."""
    if not r.options.check_quorum or (m.context is not None and m.context == TRANSFER_CONTEXT):
        return False
    return (r.lead != 0 and r.election_elapsed < r.options.election_timeout) or promised_lease(r)


cdef bint promised_lease(Raft r) noexcept:
    """May a leader hold a lease that this node has confirmed? Just after a start it may: the node does not remember."""
    return r.options.lease_ms != 0 and r.contact_elapsed < r.options.election_timeout


cdef int handle_vote_request(Raft r, Message m) except -1:
    """RequestVote, receiver (Figure 2); the term check is done, m.term >= this node's, or m is a pre-vote."""
    cdef bint pre = m.type == MsgPreVote
    if promised_lease(r) and hears_leader(r, m):
        return 0  # also a request of this node's own term, which may have risen without an election
    cdef bint granted = (
        # a repetition of a vote already given,
        r.vote == m.from_
        # or the first of this term, with no leader elected by others yet,
        or (r.vote == 0 and r.lead == 0)
        # or a pre-vote, which promises nothing, for a term to come
        or (pre and m.term > r.term)
        # and in each case the candidate's log must be at least as complete (paper 5.4.1)
    ) and r.log.is_up_to_date(m.index, m.log_term)
    answer = new_message(MsgPreVoteResp if pre else MsgVoteResp, m.from_)
    if granted:
        # The request's term: a pre-candidate ignores answers of a term below the one it asked about.
        answer.term = m.term
        send(r, answer)
        if not pre:
            r.election_elapsed = 0  # Figure 2, followers: granting a vote restarts the timeout; refusing does not
            wait_for_writes(r)
            r.vote = m.from_
    else:
        answer.term = r.term
        answer.reject = True
        send(r, answer)
    if tracing(r):
        r.emit("vote", {"candidate": m.from_, "granted": bool(granted), "pre": bool(pre), "for_term": m.term})
    return 0


cdef int handle_vote_response(Raft r, Message m) except -1:
    cdef int granted = 0
    cdef int rejected = 0
    cdef VoteResult result
    # Answers to the pre-vote may still arrive while the real one is running.
    if m.type != (MsgPreVoteResp if r.state == StatePreCandidate else MsgVoteResp):
        if m.type == MsgVoteResp:
            vote_came_late(r, m)
        return 0
    r.tracker.record_vote(m.from_, not m.reject)
    result = tally_votes(r.tracker, &granted, &rejected)
    if result == VoteWon:
        if r.state == StatePreCandidate:
            return campaign(r, False, False)
        become_leader(r)
        return broadcast_append(r)
    if result == VoteLost:
        return become_follower(r, r.term, 0)
    return 0


cdef void vote_came_late(Raft r, Message m) noexcept:
    """A vote for an election that this node has given up: writing it took longer than this node has waited."""
    cdef int64_t longest = LONGEST_VOTE * <int64_t> r.options.election_timeout
    if not m.reject and r.lead == 0:
        r.vote_ticks = max(r.vote_ticks, min(r.randomized_timeout + r.election_wait, longest))


cdef int handle_timeout_now(Raft r, Message m) except -1:
    """The leader hands over to this node: stand at once, without a pre-vote (thesis 3.10)."""
    return hup(r, True)
