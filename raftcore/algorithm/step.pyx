"""The state machine itself: the term check that comes first, the table of handlers, the clock.

A message passes three gates: is it one that a correct peer sends (peer_checks)? does its term concern us (below)? and
what does a node in this role do with it (TABLE)? A message with no entry in the table is ignored in that role.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from raftcore.algorithm.election cimport (
    handle_timeout_now,
    handle_vote_request,
    handle_vote_response,
    hears_leader,
    hup,
    vote_came_late,
)
from raftcore.algorithm.membership_changes cimport leave_joint_when_due
from raftcore.algorithm.options cimport quiet
from raftcore.algorithm.options.priority cimport prefer
from raftcore.algorithm.proposals cimport forward_proposal, leader_proposal, reduce_uncommitted
from raftcore.algorithm.read_index cimport follower_read, follower_read_response, leader_read, newest_round
from raftcore.algorithm.replication cimport (
    handle_append,
    handle_append_response,
    handle_check_quorum,
    handle_heartbeat,
    handle_heartbeat_response,
    handle_unreachable,
)
from raftcore.algorithm.roles cimport become_follower, promotable, restart_election_timer
from raftcore.algorithm.sending cimport broadcast_heartbeat, send
from raftcore.algorithm.snapshots cimport handle_snapshot, handle_snapshot_status
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.algorithm.transfer cimport forward_transfer, leader_transfer
from raftcore.base.types cimport (
    ECHOES,
    LEADER_TYPES,
    MEMBER_TYPES,
    MESSAGE_TYPES,
    MsgApp,
    MsgAppResp,
    MsgBeat,
    MsgCheckQuorum,
    MsgForgetLeader,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgHup,
    MsgPreVote,
    MsgPreVoteResp,
    MsgProp,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgSnap,
    MsgSnapStatus,
    MsgStorageAppendResp,
    MsgStorageApplyResp,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgUnreachable,
    MsgVote,
    MsgVoteResp,
    StateCandidate,
    StateFollower,
    StateLeader,
    StatePreCandidate,
    StateQuarantined,
    index_t,
    is_one_of,
)
from raftcore.log.slices cimport applying_size
from raftcore.membership.progress cimport Progress
from raftcore.membership.tracker cimport borrowed_progress
from raftcore.values.message cimport Entries, Message, new_message

cdef enum:
    LONGEST_WAIT = 1 << 30  # ticks

ctypedef int (*Handler)(Raft, Message) except -1

cdef Handler[5][MESSAGE_TYPES] TABLE  # [StateType][MessageType]; NULL: ignored

# What a leader does with MEMBER_TYPES, given the progress of the member that they are from, or about.
ctypedef int (*MemberHandler)(Raft, Progress, Message) except -1

cdef MemberHandler[MESSAGE_TYPES] OF_MEMBER

# What followers, and candidates that become followers by it, do with LEADER_TYPES.
cdef Handler[MESSAGE_TYPES] OF_LEADER


cdef int step(Raft r, Message m) except -1:
    return step_from(r, m, NULL)


cdef int step_from(Raft r, Message m, PyObject* sender) except -1:
    cdef int type = m.type
    cdef Handler handler
    cdef MemberHandler of_member
    if m.term != 0 and m.term != r.term and not term_concerns_us(r, m):
        return 0
    if r.state == StateLeader and is_one_of(type, MEMBER_TYPES):
        if sender == NULL:
            sender = borrowed_progress(r.tracker, m.from_)
        if sender == NULL or not echoes_progress(r, m, <Progress> sender):
            return 0
        of_member = OF_MEMBER[type]
        return 0 if of_member == NULL else of_member(r, <Progress> sender, m)
    handler = TABLE[r.state][type]
    return 0 if handler == NULL else handler(r, m)


cdef bint term_concerns_us(Raft r, Message m) except -1:
    """Rules for servers, all servers (Figure 2): a higher term makes a follower, a lower one is ignored."""
    cdef int type = m.type
    if r.state == StateQuarantined:
        return False  # it does not even learn of terms: nothing is written any more
    if m.term > r.term:
        if type == MsgVote or type == MsgPreVote:
            if hears_leader(r, m):
                return False
            if type == MsgPreVote:
                return True  # about a term to come; it changes nobody's term (thesis 9.6)
        elif type == MsgPreVoteResp and not m.reject:
            return True  # granted: still about the term to come
        become_follower(r, m.term, m.from_ if is_one_of(type, LEADER_TYPES) else 0)
        return True
    if (r.options.check_quorum or r.options.pre_vote) and (type == MsgHeartbeat or type == MsgApp):
        # A leader of a former term, perhaps cut off while this node's term moved on. Its vote requests would be ignored
        # and so would ours: this answer lets it learn of the term (thesis 4.2.3, 9.6).
        answer = new_message(MsgAppResp, m.from_)
        answer.conf_index = m.conf_index
        send(r, answer)
    elif type == MsgPreVote:
        # So that a pre-candidate of a former term gets unstuck.
        answer = new_message(MsgPreVoteResp, m.from_)
        answer.term = r.term
        answer.reject = True
        send(r, answer)
    elif type == MsgVoteResp:
        vote_came_late(r, m)
    elif type == MsgStorageAppendResp and m.snapshot is not None:
        # The entries of that write may have been replaced since; a snapshot holds what is committed, in any term.
        snapshot_applied(r, m)
    return False


cdef bint echoes_progress(Raft r, Message m, Progress pr) noexcept:
    """False: m answers what was sent to the member before it was removed and added again (docs/messages.md, echo)."""
    return not is_one_of(m.type, ECHOES) or m.from_ == r.id or m.conf_index == pr.conf_index


cdef int storage_appended(Raft r, Message m) except -1:
    # Not when others of the same index and term may have taken the place of what was written.
    if m.index != 0 and m.conf_index == r.log.unstable.rewrites:
        r.log.stable_to(m.index, m.log_term)
    if m.snapshot is not None:
        snapshot_applied(r, m)
    return 0


cdef int storage_applied(Raft r, Message m) except -1:
    if m.entries is None:
        return 0
    return applied_to(r, m.entries.first + m.entries.count - 1, m.entries)


cdef int handle_hup(Raft r, Message m) except -1:
    return hup(r, False)


cdef int snapshot_applied(Raft r, Message m) except -1:
    r.log.stable_snapshot_to(m.snapshot.index)
    return applied_to(r, m.snapshot.index, None)


cdef int applied_to(Raft r, index_t index, Entries entries) except -1:
    r.log.applied_to(max(index, r.log.applied), 0 if entries is None else applying_size(entries))
    if entries is not None and r.uncommitted_size:
        reduce_uncommitted(r, entries.payload_size)
    if r.tracker.config.auto_leave:
        return leave_joint_when_due(r)
    return 0


cdef int tick(Raft r, uint32_t count) except -1:
    """So many ticks of the clock, in the role this node has; those in which nothing can be due are only counted."""
    cdef uint64_t idle
    while count > 0:
        idle = due_within(r, <uint64_t> count + 1) - 1
        if idle > 0:
            pass_time(r, <int> idle)
            count -= <uint32_t> idle
        if count > 0:
            tick_once(r)
            count -= 1
    return 0


cdef int nobody_can_lead(Raft r) except -1:
    if r.term == 0 and r.state == StateFollower:
        tick(r, <uint32_t> r.options.election_timeout - 1)
    return 0


cdef uint64_t ticks_until_due(Raft r) except 0:
    """How many ticks until one may do more than count, that one included: 1 is the next."""
    cdef int64_t left = r.options.election_timeout - r.election_elapsed
    if r.state == StateLeader:
        left = min(left, r.heartbeat_pause - r.heartbeat_elapsed)
    elif promotable(r):
        left = timeout(r) - r.election_elapsed
    else:
        return LONGEST_WAIT  # a node that may not stand never has anything to do
    return left if left > 1 else 1


cdef uint64_t due_within(Raft r, uint64_t most) except 0:
    # Far from its timeout it makes no difference whether this node may stand, which takes a look at half of the state.
    if r.state != StateLeader and timeout(r) - r.election_elapsed >= <int64_t> most:
        return most
    return min(most, ticks_until_due(r))


cdef inline int64_t timeout(Raft r) noexcept:
    return r.randomized_timeout + r.election_wait


cdef void pass_time(Raft r, int ticks) noexcept:
    # Bounded, so that no counter overflows on a node that may not stand, or has led for months.
    r.election_elapsed = min(r.election_elapsed + ticks, <int> LONGEST_WAIT)
    r.contact_elapsed = min(r.contact_elapsed + ticks, <int> LONGEST_WAIT)
    if r.state == StateLeader:
        r.heartbeat_elapsed += ticks
    if r.suspicion.rounds:
        r.suspicion.elapsed = min(r.suspicion.elapsed + ticks, r.options.heartbeat_timeout)


cdef int tick_once(Raft r) except -1:
    cdef uint64_t round_before
    pass_time(r, 1)
    if r.state != StateLeader:
        if r.election_elapsed >= timeout(r) and promotable(r):
            r.election_elapsed = 0
            hup(r, False)
        return 0
    if r.election_elapsed >= r.options.election_timeout:
        timeout_led(r)
    if r.state == StateLeader and r.heartbeat_elapsed >= r.heartbeat_pause:
        r.heartbeat_elapsed = 0
        round_before = r.reads.round
        handle_beat(r, None)
        quiet.heartbeat_sent(r, round_before)
        if quiet.looks_early(r):
            timeout_led(r)
    return 0


cdef int timeout_led(Raft r) except -1:
    """This leader has led for another election timeout."""
    r.election_elapsed = 0
    r.transferee = 0  # a transfer has one election timeout (thesis 3.10)
    prefer(r)
    if r.options.check_quorum:
        handle_check_quorum(r, None)
    return 0


cdef int handle_beat(Raft r, Message m) except -1:
    return broadcast_heartbeat(r, newest_round(r))


cdef int heard_leader(Raft r, Message m) except -1:
    if r.lead != m.from_:
        r.lead = m.from_
        restart_election_timer(r)  # its first message in this term: the node had only voted in it, or heard of it
    r.election_elapsed = 0
    r.contact_elapsed = 0
    r.heard_leader_ms = r.now_ms
    return 0


cdef int from_leader(Raft r, Message m) except -1:
    """What the leader of this term has sent a follower, or a candidate, which becomes a follower by it (paper 5.2)."""
    if r.state != StateFollower:
        become_follower(r, m.term, m.from_)  # somebody else won this term
    heard_leader(r, m)
    return OF_LEADER[m.type](r, m)


cdef int forget_leader(Raft r, Message m) except -1:
    """For those who know by other means that the leader is gone; its next message makes it leader again."""
    if r.options.ignore_forget_leader:
        return 0
    if tracing(r) and r.lead != 0:
        r.emit("leader_forgotten", {"leader": r.lead})
    r.lead = 0
    return 0


cdef void on(int state, int type, Handler handler) noexcept:
    TABLE[state][type] = handler


cdef void fill_table() noexcept:
    on(StateLeader, MsgBeat, handle_beat)
    on(StateLeader, MsgCheckQuorum, handle_check_quorum)
    on(StateLeader, MsgProp, leader_proposal)
    on(StateLeader, MsgReadIndex, leader_read)
    OF_MEMBER[<int> MsgAppResp] = handle_append_response
    OF_MEMBER[<int> MsgHeartbeatResp] = handle_heartbeat_response
    OF_MEMBER[<int> MsgSnapStatus] = handle_snapshot_status
    OF_MEMBER[<int> MsgUnreachable] = handle_unreachable
    on(StateLeader, MsgTransferLeader, leader_transfer)
    cdef int state
    for state in (StateFollower, StateCandidate, StateLeader, StatePreCandidate):
        on(state, MsgVote, handle_vote_request)
        on(state, MsgPreVote, handle_vote_request)
        on(state, MsgHup, handle_hup)
    for state in (StateFollower, StateCandidate, StateLeader, StatePreCandidate, StateQuarantined):
        # The storage's reports count in every role; a quarantined node takes no other message.
        on(state, MsgStorageAppendResp, storage_appended)
        on(state, MsgStorageApplyResp, storage_applied)
    OF_LEADER[<int> MsgApp] = handle_append
    OF_LEADER[<int> MsgHeartbeat] = handle_heartbeat
    OF_LEADER[<int> MsgSnap] = handle_snapshot
    for state in (StateFollower, StateCandidate, StatePreCandidate):
        on(state, MsgProp, forward_proposal)
        on(state, MsgApp, from_leader)
        on(state, MsgHeartbeat, from_leader)
        on(state, MsgSnap, from_leader)
    for state in (StateCandidate, StatePreCandidate):
        on(state, MsgVoteResp, handle_vote_response)
        on(state, MsgPreVoteResp, handle_vote_response)
    on(StateFollower, MsgTransferLeader, forward_transfer)
    on(StateFollower, MsgForgetLeader, forget_leader)
    on(StateFollower, MsgTimeoutNow, handle_timeout_now)
    on(StateFollower, MsgReadIndex, follower_read)
    on(StateFollower, MsgReadIndexResp, follower_read_response)


fill_table()  # a static C array is zero before: whatever is not named here is ignored
