"""Copies and fingerprints of a node's whole state, for exploring every schedule of a small cluster (decision 8).

A clone shares payloads with its original, and nothing that changes. Two nodes have the same fingerprint exactly when
they hold the same protocol state: whatever they are given next, they will do the same. The caller's clock counts only
where a lease or a log time depends on it.
"""

from hashlib import blake2b

from raftcore.algorithm.state cimport Raft, ReadOnly
from raftcore.membership.progress cimport Progress
from raftcore.values.message cimport Message, queue_copy, queue_listed


cdef Raft clone_raft(Raft r, object storage):
    cdef Raft copy = Raft.__new__(Raft)
    copy.term = r.term
    copy.vote = r.vote
    copy.log = r.log.clone(storage)
    copy.id = r.id
    copy.state = r.state
    copy.lead = r.lead
    copy.is_learner = r.is_learner
    copy.tracker = r.tracker.clone()
    copy.conf_index = r.conf_index
    copy.acknowledged = r.acknowledged
    copy.suspicion = r.suspicion
    copy.conflict = r.conflict
    copy.transferee = r.transferee
    copy.pending_conf_index = r.pending_conf_index
    copy.uncommitted_size = r.uncommitted_size
    copy.reads = clone_reads(r.reads)
    copy.postponed_reads = list(r.postponed_reads)
    copy.round_times = dict(r.round_times)
    copy.lease_until = r.lease_until
    copy.lease_given_up = r.lease_given_up
    copy.takeover_pause = r.takeover_pause
    copy.preferred = r.preferred
    copy.election_elapsed = r.election_elapsed
    copy.heartbeat_elapsed = r.heartbeat_elapsed
    copy.heartbeat_pause = r.heartbeat_pause
    copy.heartbeat_last = r.heartbeat_last
    copy.heartbeat_round = r.heartbeat_round
    copy.heard_leader_ms = r.heard_leader_ms
    copy.contact_elapsed = r.contact_elapsed
    copy.randomized_timeout = r.randomized_timeout
    copy.election_wait = r.election_wait
    copy.vote_ticks = r.vote_ticks
    copy.write_ticks = r.write_ticks
    copy.now_ms = r.now_ms
    copy.random_state = r.random_state
    copy.options = r.options
    copy.message_size = r.message_size
    copy.far = r.far
    copy.witnesses = r.witnesses
    copy.priorities = r.priorities
    queue_copy(&copy.messages, &r.messages)
    queue_copy(&copy.after_append, &r.after_append)
    queue_copy(&copy.waiting, &r.waiting)
    copy.read_states = list(r.read_states)
    copy.offers = None if r.offers is None else list(r.offers)
    return copy


cdef ReadOnly clone_reads(ReadOnly reads):
    cdef ReadOnly copy = ReadOnly.__new__(ReadOnly)
    copy.round = reads.round
    copy.round_open = reads.round_open
    copy.requests = list(reads.requests)
    copy.acknowledged = dict(reads.acknowledged)
    return copy


cdef tuple suspected(Raft r):
    if r.suspicion.rounds == 0:
        return ()
    return (r.suspicion.index, r.suspicion.leader_term, r.suspicion.leader, r.suspicion.rounds,
            bool(r.suspicion.heartbeat), r.suspicion.elapsed)


cdef bytes fingerprint_raft(Raft r, bint suspicion):
    cdef Progress pr
    cdef Message m
    cdef list parts = [
        r.id, r.term, r.vote, r.state, r.lead, r.is_learner, r.conf_index, r.acknowledged, r.transferee,
        r.pending_conf_index,
        r.uncommitted_size, r.lease_given_up, r.takeover_pause, r.preferred, r.election_elapsed, r.heartbeat_elapsed,
        r.heartbeat_pause, r.heartbeat_last, r.heartbeat_round,
        r.contact_elapsed if r.options.lease_ms else 0, r.randomized_timeout, r.election_wait, r.vote_ticks,
        r.write_ticks, r.random_state,
        ((r.now_ms, r.lease_until, sorted(r.round_times.items())) if r.options.lease_ms
         else max(r.now_ms, r.log.last_time())),
        r.tracker.config._values(), sorted(r.tracker.votes.items()), r.message_size,
        None if r.far is None else sorted(r.far),
        None if r.witnesses is None else sorted(r.witnesses),
        None if r.priorities is None else sorted(r.priorities.items()),
        r.reads.round, r.reads.round_open, sorted(r.reads.acknowledged.items()),
        [(round, index, repr(request)) for round, index, request in r.reads.requests],
        suspected(r) if suspicion else (), r.conflict,
    ]
    for pr in r.tracker.ordered:
        parts.append((
            pr.id, pr.match, pr.next, pr.state, pr.sent_commit, pr.pending_snapshot, pr.recent_active,
            pr.msg_app_flow_paused, pr.awaits_entries, pr.spare, pr.bare_probe, pr.is_learner, pr.conf_index,
            pr.takeover_pause, pr.takeover_tries, pr.inflights.messages(),
        ))
    for m in [*r.postponed_reads, *queue_listed(&r.messages), *queue_listed(&r.after_append),
              *queue_listed(&r.waiting), *(r.offers or ())]:
        parts.append(repr(m))
    parts.append(r.read_states)
    digest = blake2b(repr(parts).encode(), digest_size=16)
    digest.update(r.log.fingerprint())
    return digest.digest()
