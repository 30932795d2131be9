"""What leaves this node: which messages may do so before a write is durable, and what a leader sends, appends,
heartbeats and snapshots (paper 5.3, 7).
"""

from libc.stdint cimport uint32_t, uint64_t

from raftcore.base.errors import InvariantViolation, LogTemporarilyUnavailable, SnapshotTemporarilyUnavailable

from raftcore.algorithm.options.witness cimport is_witness, without_payloads
from raftcore.algorithm.state cimport Raft, tracing
from raftcore.base.types cimport (
    CAMPAIGNS, TERMLESS_TYPES, MsgApp, MsgHeartbeat, MsgSnap, StateLeader, index_t, term_t,
)
from raftcore.log.log_entries cimport in_memory, term_at
from raftcore.log.slices cimport ENCODED
from raftcore.membership.progress cimport Progress, is_full, is_paused, is_replicating
from raftcore.values.message cimport Entries, Message, Snapshot, new_message, push


cdef int send(Raft r, Message m) except -1:
    """Queues m, stamped with sender and term.

    Votes and append acknowledgements promise something that must survive a crash (thesis 3.8): they wait until
    all that is unstable now is durable. So do requests for votes: they are what a leader's term rests on, and a
    candidate that forgets its term may stand in it again and be elected again, with other entries. Everything else,
    rejections of other kinds and the leader's own appends among them, leaves at once (thesis 10.2.1).
    """
    cdef uint32_t kind = <uint32_t> 1 << m.type
    if m.from_ == 0:
        m.from_ = r.id
    if kind & CAMPAIGNS:
        # The term campaigned for: a pre-vote names a term that nobody is in yet.
        if m.term == 0:
            raise InvariantViolation(f"message type {m.type} must be sent with a term")
    elif not kind & TERMLESS_TYPES:
        # Forwarded proposals and reads stay without a term: they are requests, not statements about a term.
        m.term = r.term
    if kind & r.options.promises:
        return push(&r.after_append, m)
    if m.to == r.id:
        raise InvariantViolation(f"message type {m.type} must not be sent to oneself")
    return push(&r.messages, m)


cdef inline uint64_t append_limit(Raft r, Progress pr) except? 0:
    # Bytes of blocks in one append to this member.
    return r.message_size if r.far is None or pr.id not in r.far else r.options.max_size_per_msg


cdef bint send_append(Raft r, Progress pr, bint even_if_empty) except -1:
    """Sends the entries from pr.next on, as many as one message takes; True when something was sent.

    An empty append carries the commit index, or a probe; it goes out only if even_if_empty.
    """
    cdef index_t previous
    cdef term_t previous_term
    cdef Entries entries = None
    if is_paused(pr):
        return False
    previous = pr.next - 1
    if not term_at(r.log, previous, &previous_term):
        return send_snapshot(r, pr)  # compacted past this follower (paper 7)
    # A full window in replicate state still lets empty appends through: if every message of the window was lost, the
    # answer to an empty one is what empties it.
    if pr.bare_probe:
        pass  # no entries until it is known where the logs agree
    elif not is_replicating(pr) or not is_full(pr.inflights):
        if pr.next <= r.log._last:
            if in_memory(r.log, pr.next):
                entries = r.log._slice(pr.next, r.log._last + 1, append_limit(r, pr), ENCODED)
            else:
                entries = entries_read_back(r, pr)
                if entries is None:
                    return False
            if r.witnesses is not None and is_witness(r, pr.id):
                entries = without_payloads(entries)
    if entries is None and not even_if_empty:
        return False
    m = new_message(MsgApp, pr.id)
    m.index = previous
    m.log_term = previous_term
    m.entries = entries
    m.commit = r.log.committed
    m.conf_index = pr.conf_index
    send(r, m)
    if pr.bare_probe:
        pr.msg_app_flow_paused = True
    elif entries is None:
        pr.sent_entries(0, 0)
    else:
        pr.sent_entries(entries.count, entries.payload_size)
    pr.sent_commit = r.log.committed
    return True


cdef Entries entries_read_back(Raft r, Progress pr):
    """The entries from pr.next on, which are in the storage alone; None where it has yet to read them. Then nothing is
    sent to this follower before resume_sending: the others must not wait for a disk."""
    try:
        return r.log._slice_at_hand(pr.next, r.log._last + 1, r.log.unstable.offset, append_limit(r, pr), ENCODED,
                                    not pr.spare or pr.id == r.transferee)
    except LogTemporarilyUnavailable:
        pr.awaits_entries = True
        return None


cdef int resume_sending(Raft r) except -1:
    """The storage has read what it lacked, or cannot: who waits for entries is sent them, or what takes their place."""
    cdef list members = r.tracker.ordered
    cdef Progress pr
    cdef Py_ssize_t i
    if r.state != StateLeader:
        return 0
    for i in range(len(members)):
        pr = <Progress> members[i]
        if pr.awaits_entries:
            pr.awaits_entries = False
            while pr.next <= r.log._last and send_append(r, pr, False):
                pass
    return 0


cdef bint send_snapshot(Raft r, Progress pr) except -1:
    """Sends the newest snapshot to a follower that the log cannot reach any more (paper 7)."""
    cdef Snapshot snapshot
    if not pr.recent_active:
        return False  # nobody is there to receive it; the follower's next answer leads here again
    try:
        snapshot = r.log.snapshot()
    except SnapshotTemporarilyUnavailable:
        return False
    if snapshot is None or snapshot.index == 0:
        raise InvariantViolation("the log is compacted, but there is no snapshot to send")
    if snapshot.index < r.log.snapshot_index:
        # After it the follower would need entries that are compacted, and be sent the same snapshot for ever.
        raise InvariantViolation(
            f"the log is compacted up to {r.log.snapshot_index}, but the newest snapshot ends at {snapshot.index}"
        )
    return send_this_snapshot(r, pr, snapshot)


cdef bint send_this_snapshot(Raft r, Progress pr, Snapshot snapshot) except -1:
    pr.become_snapshot(snapshot.index)
    if tracing(r):
        r.emit("snapshot_sent", {"to": pr.id, "index": snapshot.index, "snapshot_term": snapshot.term})
    m = new_message(MsgSnap, pr.id)
    m.snapshot = snapshot
    m.conf_index = pr.conf_index
    send(r, m)
    return True


cdef int broadcast_append(Raft r) except -1:
    cdef list members = r.tracker.ordered
    cdef Py_ssize_t i
    for i in range(len(members)):
        if (<Progress> members[i]).id != r.id:
            send_append(r, <Progress> members[i], True)
    return 0


cdef int broadcast_heartbeat(Raft r, bytes context) except -1:
    """Tells every member that this leader is alive. context: the read round to confirm, or None."""
    cdef Progress pr
    for pr in r.tracker.ordered:
        if pr.id == r.id:
            continue
        m = new_message(MsgHeartbeat, pr.id)
        # Never beyond what this follower is known to hold: past its match its log may differ from ours.
        m.commit = min(pr.match, r.log.committed)
        m.context = context
        m.conf_index = pr.conf_index
        send(r, m)
        pr.sent_commit_to(m.commit)
    return 0
