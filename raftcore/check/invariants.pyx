"""What must hold within one node: the rules that raftcore.testing.cluster_invariants numbers and describes.

R roles and terms, L log, C configuration, P progress (on a leader), Q reads, O outbox.
"""

from raftcore.base.errors import InvariantViolation

from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport (
    MsgPreVoteResp,
    MsgStorageAppendResp,
    StateCandidate,
    StateFollower,
    StateLeader,
    StatePreCandidate,
    StateQuarantined,
    index_t,
    is_one_of,
    term_t,
)
from raftcore.log.log cimport RaftLog
from raftcore.log.log_entries cimport term_at
from raftcore.membership.progress cimport Progress, StateProbe, StateReplicate, StateSnapshot
from raftcore.values.message cimport Message, queue_listed


# Called after each event of a simulated world: texts that name something are made only for a rule that does not hold.
cdef inline int hold(Raft r, str rule, bint condition, str text) except -1:
    if not condition:
        broken(r, rule, text)
    return 0


cdef inline int hold_of(Raft r, str rule, bint condition, Progress pr, str text) except -1:
    if not condition:
        broken(r, rule, f"{text} of {pr.id}: {pr.describe()}")
    return 0


cdef inline int hold_message(Raft r, str rule, bint condition, Message m, str text) except -1:
    if not condition:
        broken(r, rule, f"{m!r} {text}")
    return 0


cdef int broken(Raft r, str rule, str text) except -1:
    raise InvariantViolation(f"{rule}: node {r.id} in term {r.term}: {text}")


cdef int check_raft(Raft r, bint each_entry=True, bint configuration=True) except -1:
    check_role(r)
    check_log(r, each_entry)
    if configuration:
        check_configuration(r)
    if r.state == StateLeader:
        check_progress(r)
    check_reads(r)
    check_outbox(r)
    return 0


cdef int check_role(Raft r) except -1:
    cdef bint leads = r.state == StateLeader
    cdef bint standing = r.state == StateCandidate or r.state == StatePreCandidate
    hold(r, "R1", r.id != 0, "a node has an id")
    hold(r, "R2", StateFollower <= r.state <= StateQuarantined, "a node has a role")
    # A node may be started from a snapshot alone, as etcd/raft's transcripts do, with no term of its own yet.
    hold(r, "R3", r.term >= r.log.last_term() or (r.term == 0 and r.log.first_index() > r.log.last_index()),
         "the term is not below the log's last term")
    hold(r, "R4", leads == (r.lead == r.id), "a leader, and nobody else, knows itself as leader")
    hold(r, "R5", not standing or r.lead == 0, "a candidate knows no leader")
    hold(r, "R6", r.state != StateCandidate or r.vote == r.id, "a candidate has voted for itself")
    hold(r, "R7", not (leads or r.state == StateCandidate) or r.term > 0, "leaders and candidates have a term")
    hold(r, "R8", standing or not r.tracker.votes, "votes are counted only while standing")
    hold(r, "R9", not (leads or standing) or r.witnesses is None or r.id not in r.witnesses, "a witness never stands")
    hold(r, "R10", r.vote == 0 or r.term > 0, "votes belong to a term")
    hold(r, "R11", r.election_elapsed >= 0 and r.contact_elapsed >= 0, "time does not run back")
    hold(r, "R12", not leads or r.heartbeat_elapsed < r.heartbeat_pause, "heartbeats are not overdue")
    hold(r, "R13", leads or r.transferee == 0, "only a leader hands over")
    hold(r, "R14", r.transferee == 0 or r.transferee in r.tracker.voter_ids(), "leadership goes to a voter")
    hold(r, "R15", not leads or r.transferee != r.id, "leadership is not handed to oneself")
    hold(r, "R16", leads or r.pending_conf_index == 0, "only a leader holds configuration changes back")
    hold(r, "R17", leads or r.uncommitted_size == 0, "only a leader counts uncommitted bytes")
    hold(r, "R18", r.pending_conf_index <= r.log.last_index(), "a pending configuration change is in the log")
    hold(r, "R23", r.election_wait == 0 or r.lead == 0, "who knows a leader waits for no election's writes")
    hold(r, "R24", r.acknowledged <= r.log.last_index(), "what was acknowledged in this term is in the log")
    hold(r, "R25", not (leads or standing) or not r.log.awaits_state, "who has no state to lead with does not stand")
    check_quarantine(r)
    return 0


cdef int check_quarantine(Raft r) except -1:
    cdef bint apart = r.state == StateQuarantined
    hold(r, "R19", apart == (r.conflict is not None), "a quarantined node, and nobody else, knows of a conflict")
    hold(r, "R20", not apart or r.lead == 0, "a quarantined node follows nobody")
    hold(r, "R21", not apart or not (r.messages.count or r.after_append.count or r.waiting.count or r.read_states),
         "a quarantined node says nothing")
    hold(r, "R22", r.suspicion.rounds == 0 or (r.state == StateFollower and r.suspicion.index <= r.log.committed),
         "only followers suspect a leader, and for what is committed")
    return 0


cdef int check_log(Raft r, bint each_entry) except -1:
    cdef RaftLog log = r.log
    cdef term_t term = 0
    # L1 to L5: the entries, their terms, and applied <= applying <= committed <= last.
    if each_entry:
        log.check()
    else:
        log.check_bounds()
    hold(r, "L6", log.first_index() >= 1, "the log begins with index 1 or later")
    hold(r, "L7", log.first_index() - 1 <= log.last_index(), "the log does not end before it begins")
    hold(r, "L8", log.committed >= log.first_index() - 1, "what is compacted is committed")
    hold(r, "L9", term_at(log, log.last_index(), &term) and term == log.last_term(),
         "the last term is the last entry's")
    hold(r, "L10", term_at(log, log.first_index() - 1, &term), "the term before the first entry is known")
    hold(r, "L11", term_at(log, log.committed, &term), "the term at the commit index is known")
    hold(r, "L12", not term_at(log, log.last_index() + 1, &term), "there is no term beyond the log")
    return 0


cdef int check_configuration(Raft r) except -1:
    cdef Progress pr
    config = r.tracker.config
    learners = config.learners
    if learners or config.learners_next or config.voters_outgoing:
        check_sets(r, config)
    else:
        hold(r, "C5", not config.auto_leave, "only a joint configuration is left by itself")
        hold(r, "C6", r.tracker.progress.keys() == set(config.voters), "members, and nobody else, have progress")
    for pr in r.tracker.ordered:
        hold_of(r, "C8", pr.is_learner == (pr.id in learners), pr, "its progress agrees on who learns")
        hold_of(r, "C9", pr.conf_index <= r.conf_index, pr, "its progress is not from a later configuration")
    hold(r, "C10", r.is_learner == (r.id in learners), "a node knows whether it learns")
    hold(r, "C11", r.conf_index <= r.log.committed, "the configuration's entry is committed")
    return 0


cdef int check_sets(Raft r, config) except -1:
    # How the sets of a configuration stand to one another, where there is more of them than the voters.
    voters = {*config.voters, *config.voters_outgoing}
    learners = set(config.learners)
    hold(r, "C1", not voters & learners, "nobody is voter and learner")
    hold(r, "C2", set(config.learners_next) <= set(config.voters_outgoing), "who will be learner is an outgoing voter")
    hold(r, "C3", not set(config.learners_next) & learners, "who will be learner is none yet")
    hold(r, "C4", not set(config.learners_next) & set(config.voters), "who will be learner does not stay a voter")
    hold(r, "C5", not config.auto_leave or config.voters_outgoing, "only a joint configuration is left by itself")
    hold(r, "C6", set(r.tracker.progress) == voters | learners, "members, and nobody else, have progress")
    hold(r, "C7", not config.voters_outgoing or config.voters, "both halves of a joint configuration have voters")
    return 0


cdef int check_progress(Raft r) except -1:
    cdef Progress pr
    cdef index_t last = r.log.last_index()
    for pr in r.tracker.ordered:
        hold_of(r, "P1", pr.match < pr.next, pr, "match < next")
        hold_of(r, "P2", pr.match <= last, pr, "nobody holds more than the leader")
        hold_of(r, "P3", pr.next <= last + 1 or pr.state == StateSnapshot, pr, "next is at most one beyond the log")
        hold_of(r, "P4", 0 <= pr.inflights.count <= pr.inflights.size, pr, "the window has its size")
        hold_of(r, "P5", pr.state != StateProbe or pr.inflights.count == 0, pr, "probing, no window is open")
        hold_of(r, "P6", (pr.state == StateSnapshot) == (pr.pending_snapshot != 0), pr, "a snapshot is on its way")
        hold_of(r, "P7", pr.state != StateSnapshot or pr.next == pr.pending_snapshot + 1, pr, "next follows it")
        hold_of(r, "P8", pr.state != StateReplicate or not pr.bare_probe, pr, "only probes are bare")
        hold_of(r, "P9", pr.sent_commit <= r.log.committed or pr.state == StateSnapshot, pr, "commits sent exist")
        hold_of(r, "P10", pr.inflights.count > 0 or pr.inflights.bytes == 0, pr, "an empty window has no bytes")
        hold_of(r, "P15", not pr.awaits_entries or (pr.next < r.log.window_first and not pr.bare_probe), pr,
                "who waits for entries lacks some that are not in memory")
        hold_of(r, "P16", not pr.awaits_entries or pr.state != StateSnapshot, pr, "a snapshot waits for no entries")
        hold_of(r, "P11", pr.state in (StateProbe, StateReplicate, StateSnapshot), pr, "a state")
        if pr.id == r.id:
            hold_of(r, "P12", pr.state == StateReplicate, pr, "a leader replicates to itself")
            hold_of(r, "P13", pr.recent_active, pr, "a leader hears itself")
            hold_of(r, "P14", pr.inflights.count == 0, pr, "a leader sends itself nothing")
    return 0


cdef int check_reads(Raft r) except -1:
    cdef bint leads = r.state == StateLeader
    before = 0
    hold(r, "Q1", leads or not (r.reads.requests or r.postponed_reads), "only a leader has reads to confirm")
    for round, index, request in r.reads.requests:
        hold(r, "Q2", before <= round, "reads wait in the order of their rounds")
        hold(r, "Q3", round <= r.reads.round, "no read waits for a round that has not begun")
        hold(r, "Q4", index <= r.log.committed, "a read's index is committed")
        hold(r, "Q5", request.context is not None, "a read has a name")
        before = round
    for node, round in r.reads.acknowledged.items():
        if not (round <= r.reads.round):
            broken(r, "Q6", f"{node} has answered no round that has not begun")
    hold(r, "Q7", leads or r.lease_until == 0, "only a leader has a lease")
    hold(r, "Q8", r.lease_until <= r.now_ms + r.options.lease_ms, "a lease is no longer than its length")
    return 0


cdef int check_outbox(Raft r) except -1:
    cdef Message m
    for m in queue_listed(&r.messages):
        hold_message(r, "O1", m.to != r.id and m.to != 0, m, "goes to another node")
        hold_message(r, "O2", not is_one_of(m.type, r.options.promises), m, "waits for the disk")
        hold_message(r, "O3", m.term <= r.term + 1, m, "is of no later term")
    for m in [*queue_listed(&r.after_append), *queue_listed(&r.waiting)]:
        if m.type == MsgStorageAppendResp:
            continue  # the confirmation of a write, not a message
        hold_message(r, "O4", is_one_of(m.type, r.options.promises), m, "need not wait for the disk")
        hold_message(r, "O5", m.to != 0 and m.from_ == r.id, m, "has a sender and a receiver")
        # A granted pre-vote answers for the term it was asked about, however far off that is (thesis 9.6).
        hold_message(r, "O6", m.term <= r.term or (m.type == MsgPreVoteResp and not m.reject), m, "is of no later term")
    return 0
