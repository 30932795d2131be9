"""Log replication (paper 5.3): the follower's side of appends and heartbeats, the leader's side of their answers."""

from raftcore.algorithm.options.backtrack cimport last_agreement, runs_below
from raftcore.algorithm.quarantine cimport rests_on_suspected, suspected_leader_lives
from raftcore.algorithm.read_index cimport acknowledge_round, release_postponed
from raftcore.algorithm.roles cimport become_follower
from raftcore.algorithm.sending cimport broadcast_append, send, send_append
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.algorithm.transfer cimport continue_transfer
from raftcore.base.types cimport MsgAppResp, MsgHeartbeatResp, index_t, term_t
from raftcore.log.log cimport maybe_append
from raftcore.log.log_entries cimport find_conflict_by_term, in_memory
from raftcore.membership.progress cimport (
    Progress,
    StateProbe,
    StateSnapshot,
    can_bump_commit,
    holds_whole_log,
    is_replicating,
    maybe_update,
)
from raftcore.values.message cimport Message, new_message


cdef int handle_append(Raft r, Message m) except -1:
    """AppendEntries, receiver (Figure 2). peer_checks has already refused what no correct leader sends."""
    cdef index_t last_new = 0
    cdef index_t hint
    cdef term_t hint_term = 0
    answer = new_message(MsgAppResp, m.from_)
    answer.conf_index = m.conf_index
    if r.suspicion.rounds and rests_on_suspected(r, m):
        # Upon this rejection the leader goes back to the suspected entry, and sends again what it has there.
        answer.index = m.index
        answer.reject = True
        answer.reject_hint = r.suspicion.index - 1
        answer.log_term = r.log.term_or_zero(r.suspicion.index - 1)
        return send(r, answer)
    if m.index < r.log.committed:
        # No further than the message goes: only so far the leader's log has been compared (peer_checks.check_history).
        answer.index = min(r.log.committed, m.index if m.entries is None else m.index + m.entries.count)
        return send(r, answer)
    if maybe_append(r.log, m.index, m.log_term, m.commit, m.entries, r.acknowledged, &last_new):
        r.acknowledged = max(r.acknowledged, last_new)
        answer.index = last_new
        return send(r, answer)
    # No match at m.index. The best guess at where the logs still agree: the last of our entries at or below m.index
    # with a term at or below the leader's there; all our entries of higher terms cannot be the leader's.
    #
    #   index    1 2 3 4 5 6 7 8 9
    #   leader   1 3 3 3 3 3 3 3 7    probes at 8 (term 3)
    #   we       1 3 3 4 4 5 5 5 6    answer with the hint 3 (term 3), not 7
    hint = find_conflict_by_term(r.log, min(m.index, r.log.last_index()), m.log_term, &hint_term)
    answer.index = m.index
    answer.reject = True
    answer.reject_hint = hint
    answer.log_term = hint_term
    if r.options.max_reject_runs > 0:
        answer.context = runs_below(r.log, hint, r.options.max_reject_runs)
    if tracing(r):
        r.emit("append_rejected", {"from": m.from_, "index": m.index, "hint": hint, "hint_term": hint_term})
    return send(r, answer)


cdef int handle_heartbeat(Raft r, Message m) except -1:
    r.log.commit_to(m.commit)
    if r.suspicion.rounds:
        suspected_leader_lives(r, m)
    answer = new_message(MsgHeartbeatResp, m.from_)
    answer.context = m.context
    answer.conf_index = m.conf_index
    return send(r, answer)


cdef bint advance_commit(Raft r) except -1:
    """Commits what a quorum holds, if it is of this leader's own term (paper 5.4.2, Figure 8)."""
    if not r.log.maybe_commit(r.tracker.committed(), r.term):
        return False
    if tracing(r):
        r.emit("commit", {"index": r.log.committed})
    if r.postponed_reads:
        release_postponed(r)
    return True


cdef int handle_append_response(Raft r, Progress pr, Message m) except -1:
    pr.recent_active = True
    pr.heard_ms = r.now_ms
    if m.reject:
        return append_rejected(r, pr, m)
    # An answer that does not raise match is ignored, unless the follower is being probed and confirms its match:
    # then it is known where the logs agree.
    if not (maybe_update(pr, m.index) or (pr.match == m.index and pr.state == StateProbe)):
        return 0
    if pr.state == StateProbe:
        pr.become_replicate()
    elif pr.state == StateSnapshot:
        # Once its log reaches ours, by the snapshot or otherwise, entries can be sent again.
        if pr.match + 1 >= r.log.first_index():
            pr.become_probe()
            pr.become_replicate()
        elif pr.match >= pr.pending_snapshot:
            pr.become_probe()  # the snapshot gives it nothing, and the log begins behind both: a newer one is sent
    else:
        pr.inflights.free_le(m.index)
    # Only a match beyond the commit index can move it.
    if pr.match > r.log.committed and advance_commit(r):
        broadcast_append(r)
    elif pr.id != r.id and can_bump_commit(pr, r.log.committed):
        send_append(r, pr, True)
    if pr.id != r.id:
        # The acknowledgement may have made room for several messages.
        while pr.next <= r.log._last and send_append(r, pr, False):
            pass
    if r.transferee != 0:
        return continue_transfer(r, pr)
    return 0


cdef int append_rejected(Raft r, Progress pr, Message m) except -1:
    """Moves next back to the last place where the logs may agree, at most one probe for each term in our log.

      index      1 2 3 4 5 6 7 8 9
      leader     1 3 3 3 5 5 5 5 5
      follower   1 1 1 1 2 2          rejects at 9 with the hint 6 (term 2)

    Our terms at 2 to 6 are all above 2, the follower's are at most 2: they can agree at 1 at the earliest.
    """
    cdef index_t probe = m.reject_hint
    cdef term_t ignored = 0
    if r.options.max_reject_runs > 0 and m.context is not None:
        probe = last_agreement(r.log, m.context, m.reject_hint)
    elif m.log_term > 0:
        probe = find_conflict_by_term(r.log, m.reject_hint, m.log_term, &ignored)
    if pr.maybe_decr_to(m.index, probe):
        if is_replicating(pr):
            pr.become_probe()
        # While the place where the logs agree is searched for, appends carry no entries.
        pr.bare_probe = r.options.max_reject_runs > 0 and pr.next > pr.match + 1
        if tracing(r):
            r.emit("progress", {"of": pr.id, "match": pr.match, "next": pr.next})
        send_append(r, pr, True)
    return 0


cdef int handle_heartbeat_response(Raft r, Progress pr, Message m) except -1:
    pr.recent_active = True
    pr.heard_ms = r.now_ms
    pr.msg_app_flow_paused = False
    # A lost append shows here: the follower is alive, but behind, or still being probed.
    if not holds_whole_log(pr, r.log._last) or pr.state == StateProbe:
        send_append(r, pr, True)
    return acknowledge_round(r, m)


cdef int handle_unreachable(Raft r, Progress pr, Message m) except -1:
    """The transport could not deliver: what was sent optimistically is probably lost."""
    if is_replicating(pr) and pr.id != r.id:
        pr.become_probe()
    return 0


cdef int handle_check_quorum(Raft r, Message m) except -1:
    """A leader that has heard no quorum for an election timeout steps down (thesis 6.2). Who lacks what has left the
    memory is spare until the next check, where those that were heard and do not are a quorum: they can acknowledge what
    is appended now, as none of the far ones can. What a spare one lacks is sent without haste."""
    cdef Progress pr
    cdef bint enough
    if not r.tracker.quorum_active():
        become_follower(r, r.term, 0)
    enough = r.tracker.quorum_active_from(r.log._window.first)
    for pr in r.tracker.ordered:
        pr.spare = enough and not in_memory(r.log, pr.match + 1)
        if pr.id != r.id:
            pr.recent_active = False
    return 0
